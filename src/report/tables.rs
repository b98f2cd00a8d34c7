//! Table I (accuracy on the training, validation and test sets) and Table II (training time) of a
//! sweep, shaped as the paper prints them; for a worker of the user's own, Table I holds the
//! metrics that it reports.

use super::figure::Figure;
use super::protocol::{NOTE_ON_ACCURACY, NOTE_ON_TIME, is_as_run};
use super::selection::notes_on_selection;
use super::table::{Cell, Column, Row, Table};
use crate::aggregate::{Evaluation, PointStats, Stat};
use crate::protocol::{is_loss, is_wall_clock};
use crate::spec::task::{OptimizerKind, SWITCH_METRIC};
use crate::spec::{ParamValue, Spec, Task};

/// Table I: what the selected points reach, over the final seeds (or over the tuning seeds, if
/// there are no final ones, which the caption then says).
pub fn table_one(spec: &Spec, evaluation: &Evaluation) -> Table {
    let metrics: Vec<String> = match spec.task {
        Task::MnistResnet18 => ["train_accuracy", "val_accuracy", "test_accuracy"]
            .map(str::to_owned)
            .into(),
        Task::Worker(_) | Task::Program(_) => reported(spec, evaluation),
    };
    let what = match spec.task {
        Task::MnistResnet18 if is_as_run(spec) => {
            "Accuracy in % of each optimizer's selected point".to_owned()
        }
        Task::MnistResnet18 => {
            "Accuracy in % of each optimizer's selected point after its last epoch".to_owned()
        }
        Task::Worker(_) | Task::Program(_) => {
            "Final metrics of each arm's selected point".to_owned()
        }
    };
    let mut notes: Vec<String> = evaluation
        .unreported(&spec.metric.name)
        .map(|unreported| format!("{unreported}."))
        .into_iter()
        .collect();
    notes.extend(notes_on_counts(spec, evaluation));
    notes.extend(notes_on_switches(spec, evaluation));
    if is_as_run(spec) {
        notes.push(NOTE_ON_ACCURACY.to_owned());
    }
    make(
        spec,
        evaluation,
        ("Table I", format!("{what}, {}.", seeds(spec))),
        &metrics,
        notes,
    )
}

/// A device in the note below Table II: `NVIDIA H100, 1 thread`.
pub fn device_in_words(device: &str, threads: u32) -> String {
    format!(
        "{device}, {threads} thread{}",
        if threads == 1 { "" } else { "s" }
    )
}

/// Table II: training time in seconds over the final seeds; None where trials are not timed (no
/// final seeds, or a worker that reports no `training_seconds`).
pub fn table_two(spec: &Spec, evaluation: &Evaluation, devices: &[String]) -> Option<Table> {
    let metric = "training_seconds";
    let timed = |stats: &PointStats| stats.stats.contains_key(metric);
    let known = spec.task == Task::MnistResnet18
        || evaluation
            .arms
            .iter()
            .filter_map(|arm| arm.final_.as_ref())
            .any(timed);
    if spec.seeds.final_.is_empty() || !known {
        return None;
    }
    let caption = format!(
        "Training time in seconds of each arm's selected point, {}.",
        seeds(spec)
    );
    let mut notes = Vec::new();
    if !devices.is_empty() {
        notes.push(format!(
            "Each final trial ran alone on its device: {}.",
            devices.join("; ")
        ));
    }
    for arm in evaluation.arms.iter().filter(|arm| arm.untimed > 0) {
        let label = &spec.arms[arm.arm].label;
        let trials = if arm.untimed == 1 {
            "1 of them".to_owned()
        } else {
            format!("{} of them", arm.untimed)
        };
        notes.push(format!(
            "{label}: {trials} ran as tuning trials of an earlier spec and are not timed."
        ));
    }
    if is_as_run(spec) {
        notes.push(NOTE_ON_TIME.to_owned());
    } else if spec.task == Task::MnistResnet18 {
        notes.push(
            "Time spent in optimisation steps; evaluation and loading are not in it.".to_owned(),
        );
    }
    Some(make(
        spec,
        evaluation,
        ("Table II", caption),
        &[metric.to_owned()],
        notes,
    ))
}

fn make(
    spec: &Spec,
    evaluation: &Evaluation,
    (title, caption): (&str, String),
    metrics: &[String],
    notes: Vec<String>,
) -> Table {
    let published = |arm: &str, metric: &str| {
        spec.published
            .get(arm)
            .and_then(|figures| figures.get(metric))
    };
    let columns: Vec<Column> = metrics
        .iter()
        .map(|metric| Column {
            metric: metric.clone(),
            heading: heading(&spec.task, metric),
            published: spec
                .arms
                .iter()
                .any(|arm| published(&arm.name, metric).is_some()),
        })
        .collect();
    let planned = if spec.seeds.final_.is_empty() {
        spec.seeds.tune.len()
    } else {
        spec.seeds.final_.len()
    } as u32;
    let rows = evaluation
        .arms
        .iter()
        .map(|evaluated| {
            let arm = &spec.arms[evaluated.arm];
            let stats = if spec.seeds.final_.is_empty() {
                &evaluated.tuned
            } else {
                &evaluated.final_
            };
            let cell = |metric: &String| Cell {
                ours: stats
                    .as_ref()
                    .and_then(|stats| stats.stats.get(metric))
                    .map(|stat| Figure::ours(*stat, planned)),
                published: published(&arm.name, metric).copied().map(Figure::published),
            };
            Row {
                arm: arm.name.clone(),
                label: arm.label.clone(),
                cells: metrics.iter().map(cell).collect(),
            }
        })
        .collect();
    let corner = if spec.task == Task::MnistResnet18 {
        "Optimizer"
    } else {
        "Arm"
    }
    .to_owned();
    Table {
        title: title.to_owned(),
        caption,
        corner,
        columns,
        rows,
        notes,
    }
}

/// The metrics that a user's worker reported: the selection metric first, no wall-clock ones, and
/// none that is no number for any arm (a `null` of a score that is never defined), unless it is a
/// loss.
fn reported(spec: &Spec, evaluation: &Evaluation) -> Vec<String> {
    let mut names: Vec<String> = evaluation
        .arms
        .iter()
        .flat_map(|arm| arm.final_.iter().chain(&arm.tuned))
        .flat_map(|stats| stats.stats.iter())
        .filter(|(name, stat)| !stat.mean.is_nan() || is_loss(name))
        .map(|(name, _)| name)
        .filter(|name| **name != spec.metric.name && !is_wall_clock(name))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names.insert(0, spec.metric.name.clone());
    names
}

fn heading(task: &Task, metric: &str) -> String {
    let short = match (task, metric) {
        (Task::MnistResnet18, "train_accuracy") => "Train",
        (Task::MnistResnet18, "val_accuracy") => "Validation",
        (Task::MnistResnet18, "test_accuracy") => "Test",
        (_, "training_seconds") => "Training time (s)",
        (_, other) => other,
    };
    short.to_owned()
}

/// Over which seeds the figures of a table are, in words.
pub(super) fn seeds(spec: &Spec) -> String {
    let count = |seeds: &[u64]| {
        format!(
            "{} {}",
            seeds.len(),
            if seeds.len() == 1 { "seed" } else { "seeds" }
        )
    };
    let figure = |seeds: &[u64]| {
        if seeds.len() == 1 {
            "over "
        } else {
            "mean ± std over "
        }
    };
    if spec.seeds.final_.is_empty() {
        let seeds = &spec.seeds.tune;
        format!(
            "{}the {} that it was selected by (no final seeds)",
            figure(seeds),
            count(seeds)
        )
    } else {
        let seeds = &spec.seeds.final_;
        format!(
            "{}{} that took no part in the selection",
            figure(seeds),
            count(seeds)
        )
    }
}

/// When the trials of Table I switched their optimizer, arm by arm; nothing for arms that never
/// could.
fn notes_on_switches(spec: &Spec, evaluation: &Evaluation) -> Vec<String> {
    let hybrid = |value: Option<&ParamValue>| matches!(value, Some(ParamValue::Text(name)) if name == OptimizerKind::Hybrid.name());
    let mut notes = Vec::new();
    for arm in evaluation
        .arms
        .iter()
        .filter(|_| spec.task == Task::MnistResnet18)
    {
        let stats = if spec.seeds.final_.is_empty() {
            &arm.tuned
        } else {
            &arm.final_
        };
        let (Some(point), Some(stats)) = (&arm.point, stats) else {
            continue;
        };
        if hybrid(point.config.get("optimizer")) {
            let switched = stats.stats.get(SWITCH_METRIC);
            let when = match switched {
                Some(Stat {
                    mean,
                    std: Some(std),
                    ..
                }) => format!(", at the end of epoch {mean:.1} ± {std:.1}"),
                Some(stat) => format!(", at the end of epoch {}", stat.mean),
                None => String::new(),
            };
            let label = &spec.arms[arm.arm].label;
            notes.push(format!(
                "{label}: {} of {} trials switched to AdaHessian{when}.",
                switched.map_or(0, |stat| stat.n),
                stats.n
            ));
        }
    }
    notes
}

/// Trials that are missing, failed or diverged, arm by arm: never dropped in silence.
fn notes_on_counts(spec: &Spec, evaluation: &Evaluation) -> Vec<String> {
    let mut notes = Vec::new();
    for arm in &evaluation.arms {
        let label = &spec.arms[arm.arm].label;
        for (phase, tally) in [("tuning", &arm.tune_tally), ("final", &arm.final_tally)] {
            let mut parts = Vec::new();
            if tally.left() > 0 {
                parts.push(format!("{} not finished", tally.left()));
            }
            if tally.pruned > 0 {
                parts.push(format!(
                    "{} pruned (their points could not become the best any more)",
                    tally.pruned
                ));
            }
            if tally.failed > 0 {
                parts.push(format!("{} failed (no retries left)", tally.failed));
            }
            if tally.diverged > 0 {
                let metric = &spec.metric.name;
                let losses = if is_loss(metric) {
                    "a loss".to_owned()
                } else {
                    format!("{metric} or a loss")
                };
                parts.push(format!(
                    "{} diverged ({losses} became NaN or infinite; the last reported values are used)",
                    tally.diverged
                ));
            }
            if !parts.is_empty() {
                notes.push(format!(
                    "{label}: of {} {phase} trials {}.",
                    tally.planned,
                    parts.join(", ")
                ));
            }
        }
        notes.extend(notes_on_selection(spec, evaluation, arm));
    }
    notes
}
