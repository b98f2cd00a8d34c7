//! Heat maps: the selection metric by the values of each pair of searched hyper-parameters of an
//! arm.

use super::data::{FigureData, Sketch, csv_text};
use super::names::{FileNames, arm_label, metric_label, parameter_label};
use super::value_axis::ValueAxis;
use crate::aggregate::{Average, Pair, pairs};
use crate::report::csv_files::stat_cells;
use crate::report::plot::{Chart, Mark, Panel};
use crate::spec::{Axis as Parameter, Goal, apart};
use crate::text::count;

/// If the worst value is farther from the best than this many times the median, the colours do not
/// extend to it.
const MAX_SPAN: f64 = 20.0;
/// Where the colours end in that case.
const CLIPPED_SPAN: f64 = 4.0;
/// Columns of the CSV files beside those of the parameters.
const CSV_COLUMNS: [&str; 4] = ["mean", "std", "points", "not_finite"];

/// Averages by row and column of a map; None where the grid has no points.
type Cells = Vec<Vec<Option<Average>>>;

/// Makes the figures of an arm.
pub(super) fn sketches(data: &FigureData<'_>, arm: usize, names: &mut FileNames) -> Vec<Sketch> {
    let grid = &data.grid.arms()[arm];
    pairs(grid, &data.points_of(arm), &data.spec.metric.name)
        .iter()
        .filter(|pair| is_map(&pair.cells) && has_results(&pair.cells))
        .map(|pair| sketch(data, arm, pair, names))
        .collect()
}

fn has_results(cells: &Cells) -> bool {
    averages(cells).any(|average| average.stat.is_some())
}

fn averages(cells: &Cells) -> impl Iterator<Item = &Average> {
    cells.iter().flatten().flatten()
}

fn sketch(data: &FigureData<'_>, arm: usize, pair: &Pair, names: &mut FileNames) -> Sketch {
    let grid = &data.grid.arms()[arm];
    let label = arm_label(grid.arm());
    let metric = metric_label(&data.spec.task, &data.spec.metric.name);
    let parameters = pair.axes.map(|axis| &grid.arm().axes[axis]);

    let [first, second] = parameters.map(parameter_label);
    let [x, y] = parameters.map(ValueAxis::slots);
    let cells = in_order_of_slots(&pair.cells, &x, &y);

    let lower_is_better = data.spec.metric.goal == Goal::Minimize;
    let means: Vec<f64> = averages(&cells)
        .filter_map(|average| average.stat)
        .map(|stat| stat.mean)
        .collect();
    let colours = ColourSpan::of(&means, lower_is_better);
    let format = NumberFormat::of(&means);

    let mark = Mark::Cells {
        texts: cells
            .iter()
            .map(|row| row.iter().map(|cell| format.cell_text(cell)).collect())
            .collect(),
        rows: cells
            .iter()
            .map(|row| row.iter().map(mean_of).collect())
            .collect(),
        span: (colours.low, colours.high),
        best: best_cell(&cells, lower_is_better),
        lower_is_better,
    };

    // With two parameters there is no rest of the grid.
    let seeds = count(data.spec.seeds.tune.len(), "tuning seed");
    let over = if grid.searched().count() > 2 {
        format!("over the rest of the grid and {seeds}")
    } else {
        format!("over {seeds}")
    };

    let mut caption = format!(
        "{metric} of {label} by {first} and {second}, mean {over}. The frame marks the best mean."
    );
    if cells.iter().flatten().any(Option::is_none) {
        caption.push_str(" Blank: not in the grid.");
    }
    let not_finite: u32 = averages(&cells).map(|average| average.not_finite).sum();
    if not_finite > 0 {
        let points = count(not_finite, "point");
        caption.push_str(&format!(" Left out: {points} whose mean is not finite."));
    }

    caption.push_str(&data.note_on_seeds(arm));
    caption.push_str(&colours.note(&format, lower_is_better));

    Sketch {
        name: names.make(&[
            "heatmap",
            &grid.arm().name,
            &parameters[0].name,
            &parameters[1].name,
        ]),
        title: format!("Heat map of {label}, {first} and {second}"),
        caption,
        chart: Chart {
            columns: 1,
            panels: vec![Panel {
                title: format!("{label}: {metric}"),
                x: x.axis,
                y: y.axis,
                marks: vec![mark],
            }],
            ..Chart::default()
        },
        csv: csv(parameters[0], parameters[1], &pair.cells),
    }
}

/// Whether some row and some column hold several combinations of the grid. If parameters advance
/// together, or one exists only under a value of the other, one value determines the other, and the
/// sensitivity figure shows everything.
fn is_map(cells: &Cells) -> bool {
    let columns = cells.first().map_or(0, Vec::len);
    let any_row = cells.iter().any(|row| row.iter().flatten().count() > 1);
    let any_column = (0..columns).any(|column| {
        let in_column = cells.iter().filter(|row| row[column].is_some());
        in_column.count() > 1
    });
    any_row && any_column
}

/// Moves cells from the order of the sweep file to the order of the axes' slots.
fn in_order_of_slots(cells: &Cells, x: &ValueAxis, y: &ValueAxis) -> Cells {
    let mut ordered = vec![vec![None; x.places.len()]; y.places.len()];
    for (averages, y_place) in cells.iter().zip(&y.places) {
        for (average, x_place) in averages.iter().zip(&x.places) {
            ordered[*y_place as usize][*x_place as usize] = *average;
        }
    }
    ordered
}

fn mean_of(cell: &Option<Average>) -> f64 {
    cell.and_then(|average| average.stat)
        .map_or(f64::NAN, |stat| stat.mean)
}

/// Column and row of the best cell; the first one if several are equal.
fn best_cell(cells: &Cells, lower_is_better: bool) -> Option<(usize, usize)> {
    let mut best = None;
    let mut best_mean = f64::NAN;
    for (row, averages) in cells.iter().enumerate() {
        for (column, average) in averages.iter().enumerate() {
            let mean = mean_of(average);
            if !mean.is_finite() {
                continue;
            }

            let is_better = if lower_is_better {
                mean < best_mean
            } else {
                mean > best_mean
            };
            if best.is_none() || is_better {
                best = Some((column, row));
                best_mean = mean;
            }
        }
    }
    best
}

/// The values of the first and the last colour.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ColourSpan {
    low: f64,
    high: f64,
    /// Whether there are values beyond.
    clipped: bool,
}

impl ColourSpan {
    /// All finite means; a few that are worse by far than half of all do not decide the colours of
    /// the others.
    fn of(means: &[f64], lower_is_better: bool) -> Self {
        let sorted = sorted_finite(means);
        let low = sorted.first().copied().unwrap_or(0.0);
        let high = sorted.last().copied().unwrap_or(0.0);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);

        // The distance of the median from the best is the measure for the others.
        let best = if lower_is_better { low } else { high };
        let worst = if lower_is_better { high } else { low };

        let distance = (median - best).abs();
        if distance == 0.0 || (worst - best).abs() <= MAX_SPAN * distance {
            return Self {
                low,
                high,
                clipped: false,
            };
        }

        // Beyond this end all values have the last colour.
        let end = best + CLIPPED_SPAN * (median - best);
        Self {
            low: if lower_is_better { low } else { end },
            high: if lower_is_better { end } else { high },
            clipped: true,
        }
    }

    /// The caption's sentence on values beyond the colours.
    fn note(self, format: &NumberFormat, lower_is_better: bool) -> String {
        if !self.clipped {
            String::new()
        } else if lower_is_better {
            let end = format.write(self.high);
            format!(" Values above {end} have the lightest colour.")
        } else {
            let end = format.write(self.low);
            format!(" Values below {end} have the lightest colour.")
        }
    }
}

fn sorted_finite(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// How the numbers of a map are written: with as many digits as tell them apart, about five at
/// most.
struct NumberFormat {
    decimals: usize,
    /// Whether all numbers are so small that they need an exponent.
    exponent: bool,
}

impl NumberFormat {
    fn of(means: &[f64]) -> Self {
        let sizes: Vec<f64> = means.iter().map(|mean| mean.abs()).collect();
        let sizes = sorted_finite(&sizes);
        let largest = sizes.last().copied().unwrap_or(0.0);
        let decimals = match sizes.get(sizes.len() / 2).copied().unwrap_or(0.0) {
            median if median >= 100.0 => 0,
            median if median >= 10.0 => 1,
            median if median >= 1.0 => 2,
            median if median >= 0.01 => 3,
            _ => 4,
        };

        Self {
            decimals,
            exponent: largest > 0.0 && largest < 1e-3,
        }
    }

    fn write(&self, value: f64) -> String {
        let decimals = self.decimals;
        let text = match value {
            value if self.exponent || value.abs() >= 1e5 => format!("{value:.1e}"),
            value if value.abs() >= 1000.0 => format!("{value:.0}"),
            value => format!("{value:.decimals$}"),
        };
        text.replace('-', "−")
    }

    fn cell_text(&self, cell: &Option<Average>) -> String {
        let Some(average) = cell else {
            return String::new();
        };
        match average.stat {
            Some(stat) => self.write(stat.mean),
            None if average.not_finite > 0 => "NaN".to_owned(),
            None => "–".to_owned(),
        }
    }
}

fn csv(first: &Parameter, second: &Parameter, cells: &Cells) -> String {
    let mut rows = Vec::new();
    for (averages, y) in cells.iter().zip(&second.values) {
        for (average, x) in averages.iter().zip(&first.values) {
            let Some(average) = average else { continue };
            let mut row = vec![x.to_string(), y.to_string()];
            row.extend(stat_cells(average.stat.as_ref()));
            row.push(average.not_finite.to_string());
            rows.push(row);
        }
    }

    let parameters = apart(&[&first.name, &second.name], &CSV_COLUMNS);
    let headings: Vec<&str> = parameters
        .iter()
        .map(String::as_str)
        .chain(CSV_COLUMNS)
        .collect();
    csv_text(&headings, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_does_not_wash_out_the_others() {
        let span = |low, high, clipped| ColourSpan { low, high, clipped };
        assert!(ColourSpan::of(&[0.1, 0.2, 0.3, 50.0], true).clipped);
        assert_eq!(
            ColourSpan::of(&[0.1, 0.2, 0.3, 0.9], true),
            span(0.1, 0.9, false)
        );
        assert_eq!(
            ColourSpan::of(&[90.0, 88.0, 10.0], false),
            span(90.0 - 4.0 * 2.0, 90.0, true)
        );
        assert_eq!(ColourSpan::of(&[5.0, 5.0], false), span(5.0, 5.0, false));
        assert_eq!(ColourSpan::of(&[f64::NAN], false), span(0.0, 0.0, false));
    }

    #[test]
    fn cells_have_few_digits() {
        let write = |means: &[f64], value| NumberFormat::of(means).write(value);
        assert_eq!(write(&[93.25, 10.0], 93.25), "93.2");
        assert_eq!(write(&[0.9325], 0.9325), "0.932");
        assert_eq!(write(&[2e-5], 2e-5), "2.0e−5");
        assert_eq!(write(&[0.5, 0.4, 1e9], 1e9), "1.0e9");
    }
}
