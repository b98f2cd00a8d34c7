//! The state of a sweep by its ledger: for `status`, also as JSON, and for `watch`.

mod text;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::Serialize;

use crate::aggregate::{Evaluation, Tally};
use crate::grid::Grid;
use crate::monitor::Sweep;
use crate::protocol::{FailureKind, Place, Unit};
use crate::report::{Selected, ShownVersion, not_selected, selected, shown_versions};
use crate::spec::Spec;

pub(super) use text::describe;

/// The state of a sweep.
#[derive(Serialize)]
pub(super) struct Status {
    sweep: String,
    /// running, finished, or stopped.
    state: &'static str,
    coordinator: Option<crate::ledger::Holder>,
    arms: Vec<ArmStatus>,
    running: Vec<RunningTrial>,
    failed: Vec<FailedTrial>,
    /// The versions of what is trained that gave the finished trials their results.
    versions: Vec<ShownVersion>,
    /// Workers that wait in a queue.
    waiting: Vec<Waiting>,
    /// Seconds left with the slots of the last run, by the durations of this sweep's own trials.
    seconds_left: Option<f64>,
}

#[derive(Serialize)]
struct ArmStatus {
    arm: String,
    label: String,
    tune: Counts,
    #[serde(rename = "final")]
    final_: Counts,
    /// The point that is selected so far, and the values that tell it from the others.
    selected: Option<SelectedPoint>,
    /// Why no point can be selected, although the tuning trials have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_selected: Option<String>,
}

#[derive(Serialize)]
struct SelectedPoint {
    point: String,
    values: String,
}

#[derive(Serialize)]
struct Counts {
    planned: u64,
    done: u64,
    diverged: u64,
    failed: u64,
    running: u64,
    /// Not to be run: their points cannot become the best any more.
    pruned: u64,
}

#[derive(Serialize)]
struct RunningTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    epoch: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Place>,
    metric: Option<f64>,
}

#[derive(Serialize)]
struct Waiting {
    /// The queue's reason.
    reason: String,
    workers: u64,
}

#[derive(Serialize)]
struct FailedTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    kind: &'static str,
    message: String,
}

/// Reads the state of a sweep from its ledger.
pub(super) fn gather(sweep: &Sweep) -> Status {
    let spec = sweep.spec();
    let running = sweep.running().map(|running| RunningTrial {
        trial: running.trial.id.to_string(),
        what: sweep.names().trial(&running.trial),
        epoch: running
            .epoch
            .as_ref()
            .and_then(|(position, _)| position.of(Unit::Epoch)),
        step: running
            .epoch
            .as_ref()
            .and_then(|(position, _)| position.of(Unit::Step)),
        metric: running
            .epoch
            .as_ref()
            .and_then(|(_, metrics)| metrics.get(&spec.metric.name)),
    });

    let failed = sweep.failed().map(|trial| {
        let (kind, message) = sweep
            .latest(trial.id)
            .and_then(|last| last.failure.clone())
            .unzip();
        FailedTrial {
            trial: trial.id.to_string(),
            what: sweep.names().trial(trial),
            kind: kind.map(FailureKind::name).unwrap_or_default(),
            message: message.unwrap_or_default(),
        }
    });

    let versions = shown_versions(
        spec,
        sweep.grid(),
        sweep.evaluation(),
        sweep.rows(),
        sweep.versions(),
    );
    Status {
        versions,
        waiting: sweep
            .waiting()
            .iter()
            .map(|(reason, workers)| Waiting {
                reason: reason.clone(),
                workers: *workers,
            })
            .collect(),
        sweep: spec.name.clone(),
        state: sweep.status().name(),
        coordinator: sweep.holder().cloned(),
        arms: arms(spec, sweep.grid(), sweep.evaluation()),
        running: running.collect(),
        failed: failed.collect(),
        seconds_left: sweep.time_left().map(|left| left.total()),
    }
}

fn arms(spec: &Spec, grid: &Grid, evaluation: &Evaluation) -> Vec<ArmStatus> {
    let mut chosen: HashMap<usize, Selected> = selected(spec, grid, evaluation)
        .into_iter()
        .map(|selected| (selected.arm, selected))
        .collect();

    evaluation
        .arms
        .iter()
        .map(|arm| ArmStatus {
            arm: spec.arms[arm.arm].name.clone(),
            label: spec.arms[arm.arm].label.clone(),
            tune: counts(&arm.tune_tally, arm.tune_tally.planned),
            final_: counts(&arm.final_tally, spec.seeds.final_.len() as u64),
            selected: chosen.remove(&arm.arm).map(|selected| SelectedPoint {
                point: selected.point,
                values: selected.values,
            }),
            not_selected: not_selected(spec, evaluation, arm),
        })
        .collect()
}

fn counts(tally: &Tally, planned: u64) -> Counts {
    Counts {
        planned,
        done: tally.done,
        diverged: tally.diverged,
        failed: tally.failed,
        running: tally.running,
        pruned: tally.pruned,
    }
}
