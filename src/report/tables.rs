//! Table I (accuracy on the training, validation and test sets) and Table II (training time) of a
//! sweep, in the form of the paper. For programs other than the built-in task, Table I holds the
//! metrics that they report.

use super::cell::CellValue;
use super::methods::{CAPTION_AS_RUN, NOTE_ON_ACCURACY, NOTE_ON_TIME, is_as_run};
use super::selection::notes_on_selection;
use super::table::{Cell, Column, Row, Table};
use crate::aggregate::{ArmEvaluation, Evaluation, Tally, reported_seeds};
use crate::protocol::{is_loss, is_wall_clock};
use crate::spec::task::{OptimizerKind, SWITCH_METRIC};
use crate::spec::{At, ParamValue, PublishedFigure, Spec, TRAINING_SECONDS, Task};
use crate::text::count;

/// Makes Table I: the results of the selected points over the final seeds, or over the tuning seeds
/// if there are no final ones.
pub fn table_one(spec: &Spec, evaluation: &Evaluation) -> Table {
    let built_in = spec.task.built_in();
    let metrics: Vec<String> = match built_in {
        Some(task) => task
            .table_metrics
            .iter()
            .copied()
            .map(str::to_owned)
            .collect(),
        None => reported_metrics(spec, evaluation),
    };
    let what = match built_in {
        Some(_) if is_as_run(spec) => CAPTION_AS_RUN,
        Some(task) if spec.metric.at == At::Last => task.table_caption,
        Some(_) | None => "Final metrics of each arm's selected point",
    };

    // From what concerns the whole table to what concerns single arms.
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

    Table {
        title: "Table I".to_owned(),
        caption: format!("{what}{} ({}).", rule(spec), seeds(spec)),
        notes,
        ..table_of(spec, evaluation, &metrics)
    }
}

/// Which values of their histories are the trials', if not the last ones.
fn rule(spec: &Spec) -> String {
    let metric = &spec.metric.name;
    match spec.metric.at {
        At::Last => String::new(),
        At::Best => format!(", in each trial at the epoch or step with the best {metric}"),
        At::MeanLast(1) => format!(", in each trial at the last epoch or step with {metric}"),
        At::MeanLast(count) => {
            format!(", in each trial the mean over the last {count} epochs or steps with {metric}")
        }
    }
}

/// A device in the note below Table II: `NVIDIA H100, 1 thread`.
pub fn device_in_words(device: &str, threads: u32) -> String {
    format!("{device}, {}", count(threads, "thread"))
}

/// Makes Table II: training time in seconds over the final seeds. None where trials are not timed
/// (no final seeds, a worker that reports no `training_seconds`, or `timed: false`).
pub fn table_two(spec: &Spec, evaluation: &Evaluation, devices: &[String]) -> Option<Table> {
    let built_in = spec.task.built_in();
    let is_timed = built_in.is_some_and(|task| task.metrics.contains(&TRAINING_SECONDS))
        || evaluation
            .arms
            .iter()
            .filter_map(|arm| arm.final_.as_ref())
            .any(|stats| stats.stats.contains_key(TRAINING_SECONDS));
    if spec.seeds.final_.is_empty() || !is_timed || !evaluation.finals_are_timed(spec) {
        return None;
    }

    let mut notes = Vec::new();
    if !devices.is_empty() {
        notes.push(format!(
            "Each final trial ran alone on its device: {}.",
            devices.join("; ")
        ));
    }

    for arm in evaluation.arms.iter().filter(|arm| arm.untimed > 0) {
        notes.push(format!(
            "{}: {} of them ran as tuning trials of an earlier sweep file and are not timed.",
            spec.arms[arm.arm].label, arm.untimed
        ));
    }
    if is_as_run(spec) {
        notes.push(NOTE_ON_TIME.to_owned());
    } else if let Some(task) = built_in {
        notes.push(task.note_on_time.to_owned());
    }

    Some(Table {
        title: "Table II".to_owned(),
        caption: format!(
            "Training time in seconds of each arm's selected point ({}).",
            seeds(spec)
        ),
        notes,
        ..table_of(spec, evaluation, &[TRAINING_SECONDS.to_owned()])
    })
}

/// A table of some metrics of the selected points, without title, caption and notes.
fn table_of(spec: &Spec, evaluation: &Evaluation, metrics: &[String]) -> Table {
    let columns = metrics
        .iter()
        .map(|metric| Column {
            metric: metric.clone(),
            heading: heading(&spec.task, metric).to_owned(),
            published: spec
                .arms
                .iter()
                .any(|arm| published(spec, &arm.name, metric).is_some()),
        })
        .collect();

    let rows = evaluation
        .arms
        .iter()
        .map(|arm| row(spec, arm, metrics))
        .collect();
    let corner = spec.task.built_in().map_or("Arm", |task| task.corner);

    Table {
        title: String::new(),
        caption: String::new(),
        corner: corner.to_owned(),
        columns,
        rows,
        notes: Vec::new(),
    }
}

fn row(spec: &Spec, evaluated: &ArmEvaluation, metrics: &[String]) -> Row {
    let arm = &spec.arms[evaluated.arm];
    let stats = evaluated.reported(spec);
    let planned = reported_seeds(&spec.seeds).len() as u32;
    let cells = metrics.iter().map(|metric| Cell {
        ours: stats
            .and_then(|stats| stats.stats.get(metric))
            .map(|stat| CellValue::ours(*stat, planned)),
        published: published(spec, &arm.name, metric).map(CellValue::published),
    });
    Row {
        arm: arm.name.clone(),
        label: arm.label.clone(),
        cells: cells.collect(),
    }
}

fn published(spec: &Spec, arm: &str, metric: &str) -> Option<PublishedFigure> {
    spec.published.get(arm)?.get(metric).copied()
}

/// The metrics that a program reported: the selection metric first, without wall-clock ones and
/// those that are NaN for every arm (a `null` of a score that is never defined), unless they are
/// losses.
fn reported_metrics(spec: &Spec, evaluation: &Evaluation) -> Vec<String> {
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

fn heading<'a>(task: &Task, metric: &'a str) -> &'a str {
    if metric == TRAINING_SECONDS {
        return "Training time (s)";
    }
    let label = task.built_in().and_then(|task| task.label(metric));
    label.map_or(metric, |label| label.heading)
}

/// The seeds of a table as text: `mean ± sample std over 10 held-out seeds`.
pub(super) fn seeds(spec: &Spec) -> String {
    let seeds = reported_seeds(&spec.seeds).len();
    let statistic = if seeds == 1 {
        ""
    } else {
        "mean ± sample std "
    };
    if spec.seeds.final_.is_empty() {
        let seeds = count(seeds, "tuning seed");
        format!("{statistic}over the {seeds} used for the selection")
    } else {
        format!("{statistic}over {}", count(seeds, "held-out seed"))
    }
}

/// When the trials of Table I switched their optimizer, arm by arm; nothing for arms that never
/// switch.
fn notes_on_switches(spec: &Spec, evaluation: &Evaluation) -> Vec<String> {
    if spec.task.built_in().is_none() {
        return Vec::new();
    }

    let mut notes = Vec::new();
    for arm in &evaluation.arms {
        let (Some(point), Some(stats)) = (&arm.point, arm.reported(spec)) else {
            continue;
        };
        if !is_hybrid(point.config.get("optimizer")) {
            continue;
        }

        // Only trials that switched report the metric.
        let switched = stats.stats.get(SWITCH_METRIC);
        let when = match switched.map(|stat| (stat.mean, stat.std)) {
            Some((mean, Some(std))) => format!(", at the end of epoch {mean:.1} ± {std:.1}"),
            Some((epoch, None)) => format!(", at the end of epoch {epoch}"),
            None => String::new(),
        };
        notes.push(format!(
            "{}: {} of {} switched to AdaHessian{when}.",
            spec.arms[arm.arm].label,
            switched.map_or(0, |stat| stat.n),
            count(stats.n, "trial")
        ));
    }
    notes
}

fn is_hybrid(optimizer: Option<&ParamValue>) -> bool {
    matches!(optimizer, Some(ParamValue::Text(name)) if name == OptimizerKind::Hybrid.name())
}

/// Trials that are missing, failed or diverged, and points that could not be selected, arm by arm:
/// none of them is dropped silently.
fn notes_on_counts(spec: &Spec, evaluation: &Evaluation) -> Vec<String> {
    let mut notes = Vec::new();
    for arm in &evaluation.arms {
        let label = &spec.arms[arm.arm].label;
        for (phase, tally) in [("tuning", &arm.tune_tally), ("final", &arm.final_tally)] {
            let counts = counts(spec, tally);
            if !counts.is_empty() {
                notes.push(format!(
                    "{label}: of {} {}.",
                    count(tally.planned, &format!("{phase} trial")),
                    counts.join(", ")
                ));
            }
        }

        notes.extend(notes_on_selection(spec, evaluation, arm));
    }
    notes
}

fn counts(spec: &Spec, tally: &Tally) -> Vec<String> {
    let mut counts = Vec::new();
    if tally.left() > 0 {
        counts.push(format!("{} not finished", tally.left()));
    }
    if tally.pruned > 0 {
        counts.push(format!(
            "{} pruned (their points could no longer become the best)",
            tally.pruned
        ));
    }
    if tally.failed > 0 {
        counts.push(format!("{} failed (no retries left)", tally.failed));
    }
    if tally.diverged > 0 {
        let metric = &spec.metric.name;
        let losses = if is_loss(metric) {
            "a loss".to_owned()
        } else {
            format!("{metric} or a loss")
        };
        counts.push(format!(
            "{} diverged ({losses} became NaN or infinite; the last reported values are used)",
            tally.diverged
        ));
    }
    counts
}
