//! A plan as JSON: `pentagrid plan --json`.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::error::CliError;
use super::json;
use super::trials_left::TrialsLeft;
use crate::aggregate::evaluate;
use crate::grid::{ArmIndex, Grid, TrialId};
use crate::ledger::TrialRow;
use crate::plan::{Basis, Estimate, Groups, PlannedTrial, estimate};
use crate::spec::{Config, Spec};

/// What a sweep would run.
#[derive(Serialize)]
struct Planned<'a> {
    sweep: &'a str,
    metric: &'a str,
    goal: &'static str,
    tune_seeds: &'a [u64],
    final_seeds: &'a [u64],
    points: u64,
    arms: Vec<PlannedArm<'a>>,
    started: bool,
    /// Trials that failed and have no retries left.
    failed: u64,
    changes: Vec<String>,
    sharing: Option<Sharing>,
    slots: usize,
    devices: usize,
    tune_seconds: Option<f64>,
    final_seconds: Option<f64>,
    estimated_by: Option<&'static str>,
}

#[derive(Serialize)]
struct PlannedArm<'a> {
    arm: &'a str,
    label: &'a str,
    points: u64,
    tune_trials: u64,
    final_trials: u64,
    tune_left: u64,
    final_left: u64,
}

/// What tuning trials have in common, before any has run.
#[derive(Serialize)]
struct Sharing {
    trials: u64,
    groups: u64,
    epochs: Option<SharedEpochs>,
}

#[derive(Serialize)]
struct SharedEpochs {
    one_by_one: u64,
    at_least: u64,
    at_most: u64,
}

/// One trial that is left, as a line.
#[derive(Serialize)]
struct Line<'a> {
    trial: String,
    phase: &'static str,
    arm: &'a str,
    point: String,
    seed: u64,
    config: Config,
}

/// What is known beside the spec.
pub(super) struct Known<'a> {
    /// The trials of the ledger, if there is one.
    pub rows: Option<&'a HashMap<TrialId, TrialRow>>,
    /// What the spec changes of the ledger's.
    pub changes: Vec<String>,
    /// Mean durations of finished trials, by arm number.
    pub measured: BTreeMap<ArmIndex, f64>,
    pub slots: usize,
    pub devices: usize,
}

/// The plan as a document.
pub(super) fn document(spec: &Spec, grid: &Grid, known: Known<'_>) -> Result<String, CliError> {
    let evaluation = match known.rows {
        Some(rows) => Some(evaluate(spec, grid, rows)?),
        None => None,
    };
    let left = match &evaluation {
        Some(evaluation) => TrialsLeft::of_unfinished(spec, grid, evaluation),
        None => TrialsLeft::of_all(spec, grid),
    };
    let tune_seeds = spec.seeds.tune.len() as u64;
    let arms = grid
        .arms()
        .iter()
        .enumerate()
        .map(|(number, points)| PlannedArm {
            arm: &spec.arms[number].name,
            label: &spec.arms[number].label,
            points: points.len(),
            tune_trials: points.len() * tune_seeds,
            final_trials: spec.seeds.final_.len() as u64,
            tune_left: left.tune[number],
            final_left: left.finals[number],
        });
    let tuning = work(spec, grid, &known.measured, &left.tune);
    let finals = work(spec, grid, &known.measured, &left.finals);

    json::document(&Planned {
        sweep: &spec.name,
        metric: &spec.metric.name,
        goal: spec.metric.goal.name(),
        tune_seeds: &spec.seeds.tune,
        final_seeds: &spec.seeds.final_,
        points: grid.len(),
        arms: arms.collect(),
        started: known.rows.is_some(),
        failed: evaluation.map_or(0, |evaluation| evaluation.failed()),
        changes: known.changes,
        sharing: sharing(spec, grid),
        slots: known.slots,
        devices: known.devices,
        tune_seconds: tuning.map(|estimate| seconds_on(known.slots, estimate)),
        final_seconds: finals.map(|estimate| seconds_on(known.devices, estimate)),
        estimated_by: tuning.map(|estimate| match estimate.basis {
            Basis::Measured => "finished_trials",
            Basis::Reference => "reference_machine",
        }),
    })
}

/// What tuning trials have in common; None: nothing.
fn sharing(spec: &Spec, grid: &Grid) -> Option<Sharing> {
    let seeds = spec.seeds.tune.len() as u64;
    let groups = Groups::of(spec, grid);
    if groups.is_empty() {
        return None;
    }
    let bounds = groups.bounds();
    Some(Sharing {
        trials: bounds.points * seeds,
        groups: bounds.groups * seeds,
        epochs: bounds.epochs.map(|epochs| SharedEpochs {
            one_by_one: epochs.nominal * seeds,
            at_least: epochs.least * seeds,
            at_most: epochs.most * seeds,
        }),
    })
}

/// Estimates how long that many trials of each arm take, one after another.
pub(super) fn work(
    spec: &Spec,
    grid: &Grid,
    measured: &BTreeMap<ArmIndex, f64>,
    counts: &[u64],
) -> Option<Estimate> {
    let trials = (0..).map(ArmIndex).zip(counts.iter().copied());
    estimate(spec, grid, trials, measured)
}

/// The seconds that work takes on several slots.
fn seconds_on(slots: usize, estimate: Estimate) -> f64 {
    estimate.work.as_secs_f64() / slots.max(1) as f64
}

/// One trial as a line.
pub(super) fn line(grid: &Grid, trial: &PlannedTrial) -> Result<String, CliError> {
    let arm = &grid[trial.arm];
    let line = Line {
        trial: trial.id.to_string(),
        phase: trial.phase.name(),
        arm: &arm.arm().name,
        point: trial.id.point.to_string(),
        seed: trial.id.seed,
        config: arm.config(trial.index),
    };
    Ok(
        serde_json::to_string(&line).map_err(|error| CliError::Unexpected(error.to_string()))?
            + "\n",
    )
}
