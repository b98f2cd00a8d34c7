//! Heat maps: the selection metric by the values of each pair of searched hyper-parameters of an
//! arm.

use super::names::{FileNames, arm_label, metric_label};
use super::sensitivity::ValueAxis;
use super::set::{FigureData, Sketch, count, csv_text};
use crate::aggregate::{Average, Pair, pairs};
use crate::report::csv_files::{cell, exact};
use crate::report::plot::{Chart, Mark, Panel, clean, shorten};
use crate::spec::{Axis as Parameter, Goal, apart};

/// The figures of an arm.
pub(super) fn sketches(data: &FigureData<'_>, arm: usize, names: &mut FileNames) -> Vec<Sketch> {
    let grid = &data.grid.arms()[arm];
    let found = pairs(grid, &data.points_of(arm), &data.spec.metric.name);
    let searched = grid.searched().count();
    let has_results = |pair: &Pair| {
        pair.cells
            .iter()
            .flatten()
            .flatten()
            .any(|average| average.stat.is_some())
    };
    let drawn = found
        .iter()
        .filter(|pair| is_map(&pair.cells) && has_results(pair));
    drawn
        .map(|pair| sketch(data, arm, pair, searched > 2, names))
        .collect()
}

fn sketch(
    data: &FigureData<'_>,
    arm: usize,
    pair: &Pair,
    rest: bool,
    names: &mut FileNames,
) -> Sketch {
    let parameters = pair
        .axes
        .map(|axis| &data.grid.arms()[arm].arm().axes[axis]);
    let label = arm_label(&data.spec.arms[arm]);
    let lower_is_better = data.spec.metric.goal == Goal::Minimize;
    let axis_name = |parameter: &Parameter| shorten(&clean(&parameter.name), 36);
    let [x, y] = parameters.map(|parameter| ValueAxis::slots(parameter, axis_name(parameter)));
    let mut ordered = vec![vec![None; x.places.len()]; y.places.len()];
    for (row, averages) in pair.cells.iter().enumerate() {
        for (column, average) in averages.iter().enumerate() {
            ordered[y.places[row] as usize][x.places[column] as usize] = *average;
        }
    }
    let mean = |average: &Option<Average>| {
        average
            .and_then(|average| average.stat)
            .map_or(f64::NAN, |stat| stat.mean)
    };
    let means: Vec<f64> = ordered
        .iter()
        .flatten()
        .flatten()
        .filter_map(|average: &Average| average.stat)
        .map(|stat| stat.mean)
        .collect();
    let (span, clipped) = span(&means, lower_is_better);
    let write = writer(&means);
    let text = |average: &Option<Average>| match average {
        None => String::new(),
        Some(Average {
            stat: Some(stat), ..
        }) => write(stat.mean),
        Some(average) if average.not_finite > 0 => "NaN".to_owned(),
        Some(_) => "–".to_owned(),
    };
    let best = best(&ordered, lower_is_better);
    let mark = Mark::Cells {
        texts: ordered
            .iter()
            .map(|row| row.iter().map(text).collect())
            .collect(),
        rows: ordered
            .iter()
            .map(|row| row.iter().map(mean).collect())
            .collect(),
        span,
        best,
        lower_is_better,
    };
    let metric = metric_label(&data.spec.task, &data.spec.metric.name);
    let panel = Panel {
        title: format!("{label}: {metric}"),
        x: x.axis,
        y: y.axis,
        marks: vec![mark],
    };
    let seeds = count(data.spec.seeds.tune.len(), "tuning seed");
    let over = if rest {
        format!("over the rest of the grid and {seeds}")
    } else {
        format!("over {seeds}")
    };
    let [a, b] = parameters.map(axis_name);
    let mut caption =
        format!("{metric} of {label} by {a} and {b}, mean {over}. The frame marks the best mean.");
    if ordered.iter().flatten().any(Option::is_none) {
        caption.push_str(" Blank: not in the grid.");
    }
    let odd: u32 = ordered
        .iter()
        .flatten()
        .flatten()
        .map(|average| average.not_finite)
        .sum();
    if odd > 0 {
        caption.push_str(&format!(
            " Left out: {} whose mean is not finite.",
            count(odd as usize, "point")
        ));
    }
    caption.push_str(&data.note_on_seeds(arm));
    if clipped {
        let end = if lower_is_better { span.1 } else { span.0 };
        caption.push_str(&format!(
            " Colours end at {}: worse values share the last one.",
            write(end)
        ));
    }
    let name = names.make(&[
        "heatmap",
        &data.spec.arms[arm].name,
        &parameters[0].name,
        &parameters[1].name,
    ]);
    let csv = csv(parameters, &pair.cells);
    let chart = Chart {
        columns: 1,
        panels: vec![panel],
        ..Chart::default()
    };
    Sketch {
        name,
        title: format!("Heat map of {label}, {a} and {b}"),
        caption,
        chart,
        csv,
    }
}

/// Whether some row and some column hold several combinations of the grid. Where parameters advance
/// together, or one exists under a value of the other only, the one value says the other:
/// sensitivity shows all there is.
fn is_map(cells: &[Vec<Option<Average>>]) -> bool {
    let several = |line: &mut dyn Iterator<Item = &Option<Average>>| line.flatten().count() > 1;
    let columns = cells.first().map_or(0, Vec::len);
    cells.iter().any(|row| several(&mut row.iter()))
        && (0..columns).any(|column| several(&mut cells.iter().map(|row| &row[column])))
}

/// Column and row of the best cell.
fn best(rows: &[Vec<Option<Average>>], lower_is_better: bool) -> Option<(usize, usize)> {
    let mut best: Option<(f64, (usize, usize))> = None;
    for (row, averages) in rows.iter().enumerate() {
        for (column, average) in averages.iter().enumerate() {
            let Some(mean) = average
                .and_then(|average| average.stat)
                .map(|stat| stat.mean)
                .filter(|mean| mean.is_finite())
            else {
                continue;
            };
            let better = best.is_none_or(|(other, _)| {
                if lower_is_better {
                    mean < other
                } else {
                    mean > other
                }
            });
            if better {
                best = Some((mean, (column, row)));
            }
        }
    }
    best.map(|(_, place)| place)
}

/// The values that the first and the last colour stand for, and whether some lie beyond. Where few
/// are worse by far than half of all, they do not get to decide the colours of the others.
fn span(means: &[f64], lower_is_better: bool) -> ((f64, f64), bool) {
    let mut sorted: Vec<f64> = means
        .iter()
        .copied()
        .filter(|mean| mean.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (sorted.first().copied(), sorted.last().copied()) else {
        return ((0.0, 0.0), false);
    };
    let middle = sorted[sorted.len() / 2];
    let (best, worst) = if lower_is_better {
        (low, high)
    } else {
        (high, low)
    };
    let near = (middle - best).abs();
    if near > 0.0 && (worst - best).abs() > 20.0 * near {
        let end = best + 4.0 * (middle - best);
        return (
            if lower_is_better {
                (low, end)
            } else {
                (end, high)
            },
            true,
        );
    }
    ((low, high), false)
}

/// As many digits as tell the values apart, at most five or so.
fn writer(means: &[f64]) -> impl Fn(f64) -> String {
    let biggest = means
        .iter()
        .copied()
        .filter(|mean| mean.is_finite())
        .map(f64::abs)
        .fold(0.0, f64::max);
    let mut sorted: Vec<f64> = means
        .iter()
        .copied()
        .filter(|mean| mean.is_finite())
        .map(f64::abs)
        .collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let decimals = match middle {
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        m if m >= 0.01 => 3,
        _ => 4,
    };
    let tiny = biggest > 0.0 && biggest < 1e-3;
    move |value: f64| match value {
        v if tiny || v.abs() >= 1e5 => format!("{v:.1e}").replace('-', "−"),
        v if v.abs() >= 1000.0 => format!("{v:.0}").replace('-', "−"),
        v => format!("{v:.decimals$}").replace('-', "−"),
    }
}

fn csv([a, b]: [&Parameter; 2], cells: &[Vec<Option<Average>>]) -> String {
    let mut rows = Vec::new();
    for (row, y) in cells.iter().zip(&b.values) {
        for (average, x) in row.iter().zip(&a.values) {
            let Some(average) = average else { continue };
            rows.push(vec![
                x.to_string(),
                y.to_string(),
                average
                    .stat
                    .map(|stat| exact(stat.mean))
                    .unwrap_or_default(),
                cell(average.stat.and_then(|stat| stat.std)),
                average.stat.map_or(0, |stat| stat.n).to_string(),
                average.not_finite.to_string(),
            ]);
        }
    }
    const OWN: [&str; 4] = ["mean", "std", "points", "not_finite"];
    let parameters = apart(&[&a.name, &b.name], &OWN);
    let headings: Vec<&str> = parameters.iter().map(String::as_str).chain(OWN).collect();
    csv_text(&headings, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_does_not_wash_out_the_others() {
        assert!(span(&[0.1, 0.2, 0.3, 50.0], true).1);
        assert_eq!(span(&[0.1, 0.2, 0.3, 0.9], true), ((0.1, 0.9), false));
        assert_eq!(
            span(&[90.0, 88.0, 10.0], false),
            ((90.0 - 4.0 * 2.0, 90.0), true)
        );
        assert_eq!(span(&[5.0, 5.0], false), ((5.0, 5.0), false));
        assert_eq!(span(&[f64::NAN], false), ((0.0, 0.0), false));
    }

    #[test]
    fn cells_have_few_digits() {
        assert_eq!(writer(&[93.25, 10.0])(93.25), "93.2");
        assert_eq!(writer(&[0.9325])(0.9325), "0.932");
        assert_eq!(writer(&[2e-5])(2e-5), "2.0e−5");
        assert_eq!(writer(&[0.5, 0.4, 1e9])(1e9), "1.0e9");
    }
}
