//! Learning curves of the selected points and of running trials, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::overview::json;
use super::trial::{History, MAX_EPOCHS, history, unit_of};
use crate::aggregate::moments;
use crate::grid::{ArmIndex, PointIndex, TrialId};
use crate::ledger::{EpochRow, LedgerError, Reader};
use crate::monitor::Sweep;
use crate::plan::{Phase, PlannedTrial};
use crate::protocol::{Place, Unit};

/// Maximum number of running trials that have a curve.
const MAX_RUNNING: usize = 32;
/// Maximum number of epochs of a curve; a longer one is thinned.
const MAX_CURVE_EPOCHS: usize = 400;

/// The curves that the page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CurvesRequest {
    /// The metric; an unknown one stands for the metric of selection.
    metric: String,
}

#[derive(Serialize)]
struct Curves {
    /// Every metric that has a curve.
    metrics: Vec<String>,
    metric: String,
    /// Whether the metric's curves are by epochs or by steps.
    unit: &'static str,
    /// The phase of the selected points' curves.
    phase: &'static str,
    arms: Vec<ArmCurve>,
    running: Vec<RunningCurve>,
}

#[derive(Serialize)]
struct ArmCurve {
    arm: usize,
    label: String,
    values: String,
    seeds: u32,
    epochs: Vec<Place>,
    mean: Vec<Option<f64>>,
    std: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct RunningCurve {
    trial: String,
    arm: usize,
    label: String,
    history: History,
}

/// The histories of a selected point, one for each seed.
struct SelectedHistories {
    arm: ArmIndex,
    index: PointIndex,
    seeds: Vec<Vec<EpochRow>>,
}

/// The history of a running trial.
struct RunningHistory {
    trial: PlannedTrial,
    rows: Vec<EpochRow>,
}

/// Returns learning curves as JSON.
///
/// # Errors
/// The ledger's.
pub(crate) fn curves(sweep: &Sweep, request: &CurvesRequest) -> Result<String, LedgerError> {
    let ledger = sweep.reader()?;
    let phase = phase_of_curves(sweep);
    let selected = selected_histories(sweep, &ledger, phase)?;
    let running = running_histories(sweep, &ledger)?;

    // The metrics that have a curve are those that any of these trials has reported.
    let seeds = selected.iter().flat_map(|selected| &selected.seeds);
    let trials = running.iter().map(|running| &running.rows);
    let rows: Vec<&EpochRow> = seeds.chain(trials).flatten().collect();
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.metrics.0.keys()).collect();
    let own_metric = &sweep.spec().metric.name;
    let metric = [&request.metric, own_metric]
        .into_iter()
        .find(|name| names.contains(name))
        .or(names.first().copied())
        .unwrap_or(own_metric);
    let unit = unit_of(rows.iter().copied(), metric);

    Ok(json(&Curves {
        metrics: names.iter().map(|name| (*name).clone()).collect(),
        metric: metric.clone(),
        unit: unit.name(),
        phase: phase.name(),
        arms: selected
            .iter()
            .map(|selected| arm_curve(sweep, selected, metric, unit))
            .filter(|arm| !arm.epochs.is_empty())
            .collect(),
        running: running
            .iter()
            .map(|running| running_curve(sweep, running, metric, unit))
            .collect(),
    }))
}

/// The final phase, once one of its trials is done.
fn phase_of_curves(sweep: &Sweep) -> Phase {
    let arms = &sweep.evaluation().arms;
    let has_finals = arms.iter().any(|arm| arm.final_tally.done > 0);
    if sweep.spec().seeds.tune.is_empty() || has_finals {
        Phase::Final
    } else {
        Phase::Tune
    }
}

/// Reads the histories of the selected points.
fn selected_histories(
    sweep: &Sweep,
    ledger: &Reader,
    phase: Phase,
) -> Result<Vec<SelectedHistories>, LedgerError> {
    let seeds = match phase {
        Phase::Final => &sweep.spec().seeds.final_,
        Phase::Tune => &sweep.spec().seeds.tune,
    };
    let mut found = Vec::new();
    for arm in &sweep.evaluation().arms {
        let Some(point) = &arm.point else { continue };
        let done: Vec<TrialId> = seeds
            .iter()
            .map(|&seed| TrialId {
                point: point.id,
                seed,
            })
            .filter(|id| sweep.row(*id).is_some_and(|row| row.metrics.is_some()))
            .collect();

        // All seeds are thinned by the same stride, so that they keep the same epochs.
        let lengths: Vec<usize> = done
            .iter()
            .map(|id| ledger.history_len(*id))
            .collect::<Result<_, _>>()?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let stride = longest.div_ceil(MAX_EPOCHS).max(1);
        let mut histories = Vec::new();
        for (id, length) in done.into_iter().zip(lengths) {
            histories.push(ledger.history_every(id, stride, length == longest)?);
        }
        found.push(SelectedHistories {
            arm: ArmIndex(arm.arm),
            index: point.index,
            seeds: histories,
        });
    }
    Ok(found)
}

/// Reads the histories of running trials.
fn running_histories(sweep: &Sweep, ledger: &Reader) -> Result<Vec<RunningHistory>, LedgerError> {
    sweep
        .running()
        .take(MAX_RUNNING)
        .map(|running| {
            Ok(RunningHistory {
                trial: running.trial,
                rows: ledger.history_sample(running.trial.id, MAX_EPOCHS)?,
            })
        })
        .collect()
}

fn arm_curve(sweep: &Sweep, selected: &SelectedHistories, metric: &str, unit: Unit) -> ArmCurve {
    let seeds = selected
        .seeds
        .iter()
        .filter(|rows| rows.iter().any(|row| row.metrics.get(metric).is_some()))
        .count();
    let mut curve = ArmCurve {
        arm: selected.arm.0,
        label: sweep.names().arm(selected.arm).to_owned(),
        values: sweep.names().values_at(selected.arm, selected.index),
        seeds: seeds as u32,
        epochs: Vec::new(),
        mean: Vec::new(),
        std: Vec::new(),
    };

    curve.add_means(&selected.seeds, metric, unit);
    curve
}

fn running_curve(
    sweep: &Sweep,
    running: &RunningHistory,
    metric: &str,
    unit: Unit,
) -> RunningCurve {
    let mut history = history(&running.rows, unit);
    history.metrics.retain(|(name, _)| name == metric);
    RunningCurve {
        trial: running.trial.id.to_string(),
        arm: running.trial.arm.0,
        label: sweep.names().trial(&running.trial),
        history,
    }
}

impl ArmCurve {
    /// Adds mean and standard deviation over the seeds at each epoch; null if not finite.
    ///
    /// Computes the same as `aggregate::curves`, which must not be called while Polars may be busy
    /// in another thread.
    fn add_means(&mut self, seeds: &[Vec<EpochRow>], metric: &str, unit: Unit) {
        let mut by_epoch: BTreeMap<Place, Vec<f64>> = BTreeMap::new();
        for row in seeds.iter().flatten() {
            if row.position.unit == unit
                && let Some(value) = row.metrics.get(metric)
            {
                by_epoch.entry(row.position.place).or_default().push(value);
            }
        }

        let stride = by_epoch.len().div_ceil(MAX_CURVE_EPOCHS).max(1);
        let last = by_epoch.keys().next_back().copied();

        for (index, (epoch, values)) in by_epoch.into_iter().enumerate() {
            if index % stride != 0 && Some(epoch) != last {
                continue;
            }
            let (mean, std) = moments(&values);
            self.epochs.push(epoch);
            self.mean.push(Some(mean).filter(|mean| mean.is_finite()));
            self.std.push(std.filter(|std| std.is_finite()));
        }
    }
}
