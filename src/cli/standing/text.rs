//! The state of a sweep as text.

use std::time::Duration;

use super::{ArmStatus, Counts, Status};
use crate::printable::one_line;
use crate::progress::human_duration;
use crate::report::{ShownVersion, lay_out};
use crate::spec::{Prune, Spec};
use crate::text::{count, form, thousands};

/// Maximum number of failed trials that are listed.
const MAX_SHOWN_FAILURES: usize = 10;

/// Returns the state of a sweep as text.
pub(crate) fn describe(status: &Status, spec: &Spec, dir: &str) -> String {
    let metric_name = one_line(&spec.metric.name);
    let mut out = match (&status.coordinator, status.state) {
        (Some(holder), _) => format!("{}: running ({holder})\n", status.sweep),
        (None, "finished") => format!(
            "{}: finished{}; tables: pentagrid report {dir}\n",
            status.sweep,
            unselected(status)
        ),
        (None, _) => format!(
            "{}: not running; resume with: pentagrid resume {dir}\n",
            status.sweep
        ),
    };
    let races = spec.prune != Prune::None;
    let mut headings: Vec<String> = [
        "Arm",
        "Tuning",
        "Final",
        "Running",
        "Diverged",
        "Failed",
        "Selected so far",
    ]
    .map(str::to_owned)
    .into();
    if races {
        headings.insert(6, "Pruned".to_owned());
    }
    let rows = status.arms.iter().map(|arm| row(arm, races));
    out.push_str(&format!(
        "{}\n",
        lay_out(headings, rows, if races { 1..7 } else { 1..6 })
    ));

    for arm in &status.arms {
        if let Some(why) = &arm.not_selected {
            out.push_str(&format!("  {}: {why}\n", arm.label));
        }
    }
    for trial in &status.running {
        let epoch = match (trial.epoch, trial.step) {
            (Some(epoch), _) => format!("epoch {epoch}"),
            (None, Some(step)) => format!("step {step}"),
            (None, None) => "in its first epoch".to_owned(),
        };
        let metric = trial
            .metric
            .map_or(String::new(), |value| format!(", {metric_name} {value:.4}"));
        out.push_str(&format!(
            "  {} ({}): {epoch}{metric}\n",
            trial.trial,
            one_line(&trial.what)
        ));
    }
    for waiting in &status.waiting {
        out.push_str(&format!(
            "  {} {} pending: {}\n",
            count(waiting.workers, "worker"),
            form(waiting.workers, "is", "are"),
            one_line(&waiting.reason)
        ));
    }
    out.push_str(&versions(&status.versions));

    for trial in status.failed.iter().take(MAX_SHOWN_FAILURES) {
        out.push_str(&format!(
            "  {} ({}) failed, no retries left: {}: {}\n",
            trial.trial,
            one_line(&trial.what),
            trial.kind.replace('_', " "),
            one_line(&trial.message)
        ));
    }
    if status.failed.len() > MAX_SHOWN_FAILURES {
        out.push_str(&format!(
            "  and {} more: pentagrid trials {dir} --state failed\n",
            status.failed.len() - MAX_SHOWN_FAILURES
        ));
    }

    if let Some(seconds) = status.seconds_left.filter(|seconds| *seconds > 0.0) {
        let left = human_duration(Duration::from_secs_f64(seconds));
        let with = if status.state == "running" {
            ""
        } else {
            " with the slots of the last run"
        };
        out.push_str(&format!("about {left} left{with}\n"));
    }
    out
}

/// The cells of an arm. Without racing there is no column of pruned trials.
fn row(arm: &ArmStatus, races: bool) -> Vec<String> {
    let mut cells = vec![
        arm.label.clone(),
        progress(&arm.tune),
        progress(&arm.final_),
        (arm.tune.running + arm.final_.running).to_string(),
        (arm.tune.diverged + arm.final_.diverged).to_string(),
        (arm.tune.failed + arm.final_.failed).to_string(),
        arm.selected
            .as_ref()
            .map_or("—".to_owned(), |selected| selected.values.clone()),
    ];
    if races {
        cells.insert(6, arm.tune.pruned.to_string());
    }
    cells
}

/// How many trials of a phase are done: `14 of 20`.
fn progress(counts: &Counts) -> String {
    format!(
        "{} of {}",
        thousands(counts.done),
        thousands(counts.planned)
    )
}

/// What a finished sweep lacks, if no point is selected of some of its arms.
fn unselected(status: &Status) -> String {
    let count = status
        .arms
        .iter()
        .filter(|arm| arm.not_selected.is_some())
        .count();
    match (count, status.arms.len()) {
        (0, _) => String::new(),
        (_, 1) => ", but no point could be selected".to_owned(),
        (count, all) => format!(", but no point could be selected of {count} of {all} arms"),
    }
}

/// The versions that trained the finished trials, if there is more than one.
fn versions(versions: &[ShownVersion]) -> String {
    if versions.len() < 2 {
        return String::new();
    }

    let mut out = format!(
        "  {} versions of what is trained stand behind the finished trials:\n",
        versions.len()
    );
    for version in versions {
        let number = version.version.map_or("not recorded".to_owned(), |number| {
            format!("version {number}")
        });
        let commit = version
            .commit
            .as_ref()
            .map_or(String::new(), |commit| format!(", commit {commit}"));
        let changes = if version.changes.is_empty() {
            String::new()
        } else {
            format!(": {}", version.changes.join("; "))
        };
        out.push_str(&format!(
            "    {number}, {}{commit}{changes}\n",
            count(version.trials, "trial")
        ));
    }
    out
}
