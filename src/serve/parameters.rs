//! How much the parameters of an arm matter, as JSON: means by value, and a heat map.

use serde::{Deserialize, Serialize};

use super::overview::json;
use super::standings::by_arm;
use crate::aggregate::{Average, PointStats, Sensitivity, pairs, sensitivity};
use crate::grid::{ArmGrid, PointIndex};
use crate::monitor::Sweep;
use crate::printable::escaped;
use crate::protocol::Real;
use crate::spec::{Axis, Goal, ParamValue};

/// The arm whose parameters the page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ParametersRequest {
    /// Its name; the first arm if empty.
    arm: String,
    /// The parameter across the heat map.
    x: String,
    /// The parameter down the heat map.
    y: String,
}

#[derive(Serialize)]
struct Effects {
    arm: String,
    label: String,
    metric: String,
    maximize: bool,
    /// Number of points of the arm.
    points: u64,
    /// Number of points with a result.
    known: usize,
    /// Number of points with results for all seeds.
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
    /// For each value, the mean over all other parameters.
    marginal: Vec<Mean>,
    /// For each value, the mean with the others fixed at the selected values.
    slice: Vec<Option<Real>>,
    /// Index of the selected value.
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
    /// A row for each value of `y`; null if the grid has no such point.
    cells: Vec<Vec<Option<Mean>>>,
}

/// Returns how much the parameters of an arm matter, as JSON; None if there is no such arm.
pub(crate) fn parameters(sweep: &Sweep, request: &ParametersRequest) -> Option<String> {
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

    let metric = &spec.metric.name;
    let effects = sensitivity(grid, &points, metric, best);
    let searched: Vec<usize> = effects.iter().map(|effect| effect.axis).collect();
    let heat = heat_axes(&grid.arm().axes, &searched, request)
        .and_then(|axes| heat(grid, &points, metric, axes));
    let selected = best.map(|index| grid.places(PointIndex(index)));

    let seeds = spec.seeds.tune.len() as u32;

    Some(json(&Effects {
        arm: spec.arms[arm].name.clone(),
        label: spec.arms[arm].label.clone(),
        metric: metric.clone(),
        maximize: spec.metric.goal == Goal::Maximize,
        points: grid.len(),
        known: points.len(),
        complete: points.iter().filter(|point| point.n == seeds).count(),
        parameters: effects
            .into_iter()
            .map(|effect| {
                let selected = selected.as_ref().and_then(|places| places[effect.axis]);
                parameter(&grid.arm().axes[effect.axis], effect, selected)
            })
            .collect(),
        heat,
    }))
}

fn parameter(axis: &Axis, effect: Sensitivity, selected: Option<usize>) -> Parameter {
    Parameter {
        name: axis.name.clone(),
        values: axis
            .values
            .iter()
            .map(|value| escaped(&value.to_string()))
            .collect(),
        numbers: axis.values.iter().map(ParamValue::as_f64).collect(),
        marginal: effect.marginal.into_iter().map(Mean::of).collect(),
        slice: effect
            .slice
            .into_iter()
            .map(|stat| stat.map(|stat| Real(stat.mean)))
            .collect(),
        selected,
    }
}

/// The axes of a heat map.
#[derive(Clone, Copy)]
struct HeatAxes {
    x: usize,
    y: usize,
}

/// Chooses the axes of the heat map: those that the page asks for, or else the first ones.
fn heat_axes(axes: &[Axis], searched: &[usize], request: &ParametersRequest) -> Option<HeatAxes> {
    let x = find_axis(axes, searched, &request.x).or(searched.first().copied())?;
    let y = find_axis(axes, searched, &request.y)
        .filter(|y| *y != x)
        .or(searched.iter().copied().find(|axis| *axis != x))?;
    Some(HeatAxes { x, y })
}

fn find_axis(axes: &[Axis], searched: &[usize], name: &str) -> Option<usize> {
    searched
        .iter()
        .copied()
        .find(|axis| axes[*axis].name == name)
}

fn heat(
    grid: &ArmGrid,
    points: &[&PointStats],
    metric: &str,
    HeatAxes { x, y }: HeatAxes,
) -> Option<Heat> {
    let pair = pairs(grid, points, metric)
        .into_iter()
        .find(|pair| pair.axes == [x.min(y), x.max(y)])?;
    let axes = &grid.arm().axes;

    // A row of the pair is a value of its second axis.
    let cells: Vec<Vec<Option<Average>>> = if x < y {
        pair.cells
    } else {
        (0..axes[y].values.len())
            .map(|value| pair.cells.iter().map(|row| row[value]).collect())
            .collect()
    };

    Some(Heat {
        x: axes[x].name.clone(),
        y: axes[y].name.clone(),
        cells: cells
            .into_iter()
            .map(|row| row.into_iter().map(|cell| cell.map(Mean::of)).collect())
            .collect(),
    })
}
