//! Figures for the page to draw: learning curves of the selected points and of running trials,
//! sensitivity, heat maps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::overview::{by_arm, json};
use super::trial::{History, MAX_EPOCHS, history, unit_of};
use crate::aggregate::{Average, PointStats, moments, pairs, sensitivity};
use crate::grid::TrialId;
use crate::ledger::{EpochRow, LedgerError};
use crate::monitor::Sweep;
use crate::plan::Phase;
use crate::printable::escaped;
use crate::protocol::{Place, Real, Unit};

/// So many running trials have a curve.
const MOST_RUNNING: usize = 32;
/// A longer curve is thinned to so many epochs.
const MOST_EPOCHS: usize = 400;

/// Which curves the page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CurvesRequest {
    /// The metric; the selection metric if it is none that there is.
    metric: String,
}

#[derive(Serialize)]
struct Curves {
    /// Every metric that has a curve.
    metrics: Vec<String>,
    metric: String,
    /// Whether the metric's curves are by epochs or by steps.
    unit: &'static str,
    /// Of which phase the selected points' curves are.
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

/// Learning curves as JSON.
///
/// # Errors
/// The ledger's.
pub fn curves(sweep: &Sweep, request: &CurvesRequest) -> Result<String, LedgerError> {
    let ledger = sweep.reader()?;
    let (spec, evaluation) = (sweep.spec(), sweep.evaluation());
    let finals = evaluation.arms.iter().any(|arm| arm.final_tally.done > 0);
    let (phase, seeds) = match spec.seeds.tune.is_empty() || finals {
        true => (Phase::Final, &spec.seeds.final_),
        false => (Phase::Tune, &spec.seeds.tune),
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut selected = Vec::new();
    for arm in &evaluation.arms {
        let Some(point) = &arm.point else { continue };
        let ids = seeds.iter().map(|&seed| TrialId {
            point: point.id,
            seed,
        });
        let done: Vec<TrialId> = ids
            .filter(|id| sweep.row(*id).is_some_and(|row| row.metrics.is_some()))
            .collect();
        // Thinned alike, so that the seeds keep the same epochs.
        let lengths: Vec<usize> = done
            .iter()
            .map(|id| ledger.history_len(*id))
            .collect::<Result<_, _>>()?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let stride = longest.div_ceil(MAX_EPOCHS).max(1);
        let mut rows = Vec::new();
        for (id, length) in done.into_iter().zip(lengths) {
            rows.push(ledger.history_every(id, stride, length == longest)?);
        }
        names.extend(
            rows.iter()
                .flatten()
                .flat_map(|row| row.metrics.0.keys().cloned()),
        );
        selected.push((arm.arm, point.index, rows));
    }
    let mut running = Vec::new();
    for one in sweep.running().take(MOST_RUNNING) {
        let rows = ledger.history_sample(one.trial.id, MAX_EPOCHS)?;
        names.extend(rows.iter().flat_map(|row| row.metrics.0.keys().cloned()));
        running.push((one.trial, rows));
    }
    let metric = [&request.metric, &spec.metric.name]
        .into_iter()
        .find(|name| names.contains(*name))
        .or(names.first())
        .cloned();
    let metric = metric.unwrap_or_else(|| spec.metric.name.clone());
    let all = selected
        .iter()
        .flat_map(|(_, _, seeds)| seeds)
        .chain(running.iter().map(|(_, rows)| rows));
    let unit = unit_of(all.flatten(), &metric);
    let arms = selected.into_iter().map(|(arm, index, rows)| {
        let (epochs, mean, std) = band(&rows, &metric, unit);
        ArmCurve {
            arm,
            label: sweep.names().arm(arm).to_owned(),
            values: sweep.names().values_at(arm, index),
            seeds: rows
                .iter()
                .filter(|rows| rows.iter().any(|row| row.metrics.get(&metric).is_some()))
                .count() as u32,
            epochs,
            mean,
            std,
        }
    });
    let arms: Vec<ArmCurve> = arms.filter(|arm| !arm.epochs.is_empty()).collect();
    let running = running.into_iter().map(|(trial, rows)| {
        let mut history = history(&rows, unit);
        history.metrics.retain(|(name, _)| *name == metric);
        let label = sweep.names().trial(&trial);
        RunningCurve {
            trial: trial.id.to_string(),
            arm: trial.arm,
            label,
            history,
        }
    });
    let running = running.collect();
    Ok(json(&Curves {
        metrics: names.into_iter().collect(),
        metric,
        unit: unit.name(),
        phase: phase.name(),
        arms,
        running,
    }))
}

/// Mean and deviation over the seeds at each epoch; null where a value is not finite. As
/// `aggregate::curves`, which is not to be called while Polars may be busy elsewhere.
fn band(
    seeds: &[Vec<EpochRow>],
    metric: &str,
    unit: Unit,
) -> (Vec<Place>, Vec<Option<f64>>, Vec<Option<f64>>) {
    let mut by_epoch: std::collections::BTreeMap<Place, Vec<f64>> = Default::default();
    for row in seeds
        .iter()
        .flatten()
        .filter(|row| row.position.unit == unit)
    {
        if let Some(value) = row.metrics.get(metric) {
            by_epoch.entry(row.position.place).or_default().push(value);
        }
    }
    let stride = by_epoch.len().div_ceil(MOST_EPOCHS).max(1);
    let last = by_epoch.keys().next_back().copied();
    let (mut epochs, mut means, mut stds) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (epoch, values)) in by_epoch.into_iter().enumerate() {
        if place % stride != 0 && Some(epoch) != last {
            continue;
        }
        let (mean, std) = moments(&values);
        epochs.push(epoch);
        means.push(Some(mean).filter(|mean| mean.is_finite()));
        stds.push(std.filter(|std| std.is_finite()));
    }
    (epochs, means, stds)
}

/// Of which arm the page asks how much its parameters matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ArmRequest {
    /// Its name.
    arm: String,
    /// For a heat map: the parameters across and down.
    x: String,
    y: String,
}

#[derive(Serialize)]
struct Matters {
    arm: String,
    label: String,
    metric: String,
    maximize: bool,
    /// Points of the arm, those with a result, those with all of them.
    points: u64,
    known: usize,
    complete: usize,
    parameters: Vec<Parameter>,
    heat: Option<Heat>,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    values: Vec<String>,
    /// The values as numbers, if all are.
    numbers: Option<Vec<f64>>,
    marginal: Vec<Mean>,
    /// Along the line through the selected point.
    slice: Vec<Option<Real>>,
    /// The selected point's value, by its place.
    selected: Option<usize>,
}

#[derive(Serialize)]
struct Mean {
    mean: Option<f64>,
    std: Option<f64>,
    n: u32,
    not_finite: u32,
}

impl Mean {
    fn of(average: Average) -> Self {
        Self {
            mean: average.stat.map(|stat| stat.mean),
            std: average.stat.and_then(|stat| stat.std),
            n: average.stat.map_or(0, |stat| stat.n),
            not_finite: average.not_finite,
        }
    }
}

#[derive(Serialize)]
struct Heat {
    x: String,
    y: String,
    /// A row for each value of `y`; null: no such point in the grid.
    cells: Vec<Vec<Option<Mean>>>,
}

/// How much the parameters of an arm matter, as JSON; None: there is no such arm.
pub fn matters(sweep: &Sweep, request: &ArmRequest) -> Option<String> {
    let spec = sweep.spec();
    let arm = if request.arm.is_empty() {
        0
    } else {
        spec.arms.iter().position(|arm| arm.name == request.arm)?
    };
    let grid = &sweep.grid().arms()[arm];
    let points: Vec<&PointStats> = by_arm(sweep.evaluation(), spec.arms.len())
        .nth(arm)?
        .iter()
        .collect();
    let best = sweep.evaluation().arms[arm].selection.best;
    let axes = &grid.arm().axes;
    let chosen = best.map(|index| grid.places(index));
    let parameter = |one: crate::aggregate::Sensitivity| {
        let axis = &axes[one.axis];
        Parameter {
            name: axis.name.clone(),
            values: axis
                .values
                .iter()
                .map(|value| escaped(&value.to_string()))
                .collect(),
            numbers: axis
                .values
                .iter()
                .map(crate::spec::ParamValue::as_f64)
                .collect(),
            marginal: one.marginal.into_iter().map(Mean::of).collect(),
            slice: one
                .slice
                .into_iter()
                .map(|stat| stat.map(|stat| Real(stat.mean)))
                .collect(),
            selected: chosen.as_ref().and_then(|places| places[one.axis]),
        }
    };
    let metric = &spec.metric.name;
    let found = sensitivity(grid, &points, metric, best);
    let searched: Vec<usize> = found.iter().map(|one| one.axis).collect();
    let axis = |name: &str| {
        searched
            .iter()
            .copied()
            .find(|axis| axes[*axis].name == name)
    };
    let x = axis(&request.x).or(searched.first().copied());
    let y = axis(&request.y)
        .filter(|y| Some(*y) != x)
        .or(searched.iter().copied().find(|axis| Some(*axis) != x));
    let heat = x.zip(y).and_then(|(x, y)| {
        let pair = pairs(grid, &points, metric)
            .into_iter()
            .find(|pair| pair.axes == [x.min(y), x.max(y)])?;
        let cells: Vec<Vec<Option<Average>>> = if x < y {
            pair.cells
        } else {
            (0..axes[y].values.len())
                .map(|at| pair.cells.iter().map(|row| row[at]).collect())
                .collect()
        };
        let cells = cells
            .into_iter()
            .map(|row| row.into_iter().map(|cell| cell.map(Mean::of)).collect())
            .collect();
        Some(Heat {
            x: axes[x].name.clone(),
            y: axes[y].name.clone(),
            cells,
        })
    });
    let seeds = spec.seeds.tune.len() as u32;
    Some(json(&Matters {
        arm: spec.arms[arm].name.clone(),
        label: spec.arms[arm].label.clone(),
        metric: metric.clone(),
        maximize: spec.metric.goal == crate::spec::Goal::Maximize,
        points: grid.len(),
        known: points.len(),
        complete: points.iter().filter(|point| point.n == seeds).count(),
        parameters: found.into_iter().map(parameter).collect(),
        heat,
    }))
}
