//! Sensitivity: the selection metric against each searched hyper-parameter of an arm, over the rest
//! of the grid and along the line through the selected point.

use super::curves::{median, scale_of};
use super::names::{FileNames, arm_label, metric_label};
use super::set::{FigureData, Sketch, csv_text};
use crate::aggregate::{Sensitivity, Stat, sensitivity};
use crate::grid::{ArmGrid, PointIndex};
use crate::report::csv_files::{cell, exact};
use crate::report::plot::{
    Axis, Chart, LegendEntry, Mark, Panel, Scale, Spread, Style, clean, shorten,
};
use crate::spec::{Axis as Parameter, ParamValue};

/// An axis of a parameter's values: where each value stands, in the order of the spec.
pub(super) struct ValueAxis {
    pub axis: Axis,
    pub places: Vec<f64>,
}

/// Values that span more than this go on a log axis.
const WIDE: f64 = 30.0;

impl ValueAxis {
    /// Numbers on a log axis if they span orders of magnitude or grow by a factor, on a linear one
    /// if they do not crowd there; everything else in slots of equal width.
    pub fn new(parameter: &Parameter) -> Self {
        let name = |value: &ParamValue| short_value(value);
        let numbers: Option<Vec<f64>> = parameter.values.iter().map(ParamValue::as_f64).collect();
        let label = shorten(&clean(&parameter.name), 36);
        let Some((numbers, scale)) =
            numbers.and_then(|numbers| Some((numbers.clone(), number_scale(&numbers)?)))
        else {
            return Self::slots(parameter, label);
        };
        let mut ticks: Vec<(f64, String)> = numbers
            .iter()
            .copied()
            .zip(parameter.values.iter().map(name))
            .collect();
        ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            axis: Axis {
                label,
                scale,
                ticks: Some(ticks),
                reach: Vec::new(),
            },
            places: numbers,
        }
    }

    /// One slot a value: numbers from the least to the greatest, others in the order of the spec.
    pub fn slots(parameter: &Parameter, label: String) -> Self {
        let mut order: Vec<usize> = (0..parameter.values.len()).collect();
        let numbers: Option<Vec<f64>> = parameter.values.iter().map(ParamValue::as_f64).collect();
        if let Some(numbers) = numbers {
            order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
        }
        let mut places = vec![0.0; order.len()];
        let mut ticks = Vec::new();
        for (slot, value) in order.iter().enumerate() {
            places[*value] = slot as f64;
            ticks.push((slot as f64, short_value(&parameter.values[*value])));
        }
        Self {
            axis: Axis {
                label,
                scale: Scale::Slots,
                ticks: Some(ticks),
                reach: Vec::new(),
            },
            places,
        }
    }
}

/// A value as a tick is named by it: `1` for `1.0`, `1e−4` for `0.0001`.
pub(super) fn short_value(value: &ParamValue) -> String {
    let text = value.to_string();
    let text = match value {
        ParamValue::Float(x) => {
            let plain = text.strip_suffix(".0").unwrap_or(&text);
            let exponent = format!("{x:e}");
            // As people write learning rates, where that is clearly shorter.
            if exponent.len() + 2 <= plain.len() {
                &exponent
            } else {
                plain
            }
            .replace('-', "−")
        }
        ParamValue::Text(_) if text.trim().is_empty() => format!("\"{text}\""),
        _ => clean(&text),
    };
    shorten(&text, 24)
}

/// On which axis numbers can be told apart; None: on none.
fn number_scale(numbers: &[f64]) -> Option<Scale> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.first()?, sorted.last()?);
    let apart = |place: &dyn Fn(f64) -> f64| {
        let span = place(*high) - place(*low);
        span > 0.0
            && span.is_finite()
            && sorted
                .windows(2)
                .all(|pair| (place(pair[1]) - place(pair[0])) / span > 0.45 / sorted.len() as f64)
    };
    let ratios: Vec<f64> = sorted.windows(2).map(|pair| pair[1] / pair[0]).collect();
    let geometric = ratios.len() > 1
        && ratios
            .iter()
            .all(|ratio| *ratio >= 1.5 && (ratio / ratios[0] - 1.0).abs() < 0.01);
    if *low > 0.0 && (high / low > WIDE || geometric) && apart(&f64::ln) {
        return Some(Scale::Log);
    }
    apart(&|x| x).then_some(Scale::Linear)
}

/// The figure of an arm; None if nothing was searched, or nothing has a result.
pub(super) fn sketch(data: &FigureData<'_>, arm: usize, names: &mut FileNames) -> Option<Sketch> {
    let grid = &data.grid.arms()[arm];
    let metric = &data.spec.metric.name;
    let best = data
        .evaluation
        .arms
        .get(arm)
        .and_then(|arm| arm.selection.best);
    let found = sensitivity(grid, &data.points_of(arm), metric, best);
    if found.is_empty()
        || found
            .iter()
            .all(|one| one.marginal.iter().all(|average| average.stat.is_none()))
    {
        return None;
    }
    let label = arm_label(grid.arm());
    let metric_name = metric_label(&data.spec.task, metric);
    // With one parameter there is no rest of the grid to average over: both series would be the
    // same points.
    let rest = found.len() > 1;
    let values = found.iter().flat_map(|one| {
        let means = one
            .marginal
            .iter()
            .filter_map(|average| average.stat)
            .chain(one.slice.iter().filter_map(|stat| *stat));
        means.map(|stat| stat.mean)
    });
    let values: Vec<f64> = values.collect();
    let scale = scale_of(
        metric,
        median(values.iter().copied()),
        values.iter().copied(),
    );
    let reach = reach(&found, rest, scale);
    let style = Style::of_arm(arm).with_line_of(0);
    let selected = best.map(|index| grid.config(PointIndex(index)));
    let panel = |one: &Sensitivity| {
        let parameter = &grid.arm().axes[one.axis];
        let ValueAxis { axis, places } = ValueAxis::new(parameter);
        let spreads = |stats: Vec<Option<Stat>>| -> Vec<Spread> {
            let missing = Stat {
                mean: f64::NAN,
                std: None,
                n: 0,
            };
            let spread = |(place, stat): (&f64, Option<Stat>)| {
                let stat = stat.unwrap_or(missing);
                Spread::new(*place, stat.mean, stat.std)
            };
            let mut points: Vec<Spread> = places.iter().zip(stats).map(spread).collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            points
        };
        let marginal: Vec<Option<Stat>> = one.marginal.iter().map(|average| average.stat).collect();
        let mut marks = Vec::new();
        if rest || best.is_none() {
            marks.push(Mark::Bars {
                points: spreads(marginal),
                style: Style::neutral(),
                shift: if best.is_some() { -0.9 } else { 0.0 },
            });
        }
        if best.is_some() {
            marks.push(Mark::Bars {
                points: spreads(one.slice.clone()),
                style,
                shift: 0.0,
            });
        }
        let chosen = selected
            .as_ref()
            .and_then(|config| config.get(&parameter.name));
        let at = chosen.and_then(|value| parameter.values.iter().position(|other| other == value));
        if let Some((place, stat)) = at.and_then(|at| Some((places[at], one.slice[at]?))) {
            marks.push(Mark::Star {
                x: place,
                y: stat.mean,
            });
        }
        let y = Axis {
            label: metric_name.clone(),
            scale,
            ticks: None,
            reach: reach.clone(),
        };
        Panel {
            title: String::new(),
            x: axis,
            y,
            marks,
        }
    };
    let mut legend = Vec::new();
    if rest || best.is_none() {
        legend.push(LegendEntry {
            label: "Others averaged (± std over points)".to_owned(),
            style: Style::neutral(),
            band: false,
        });
    }
    if rest && best.is_some() {
        legend.push(LegendEntry {
            label: "Others as selected (± std over seeds)".to_owned(),
            style,
            band: false,
        });
    }
    let panels: Vec<Panel> = found.iter().map(panel).collect();
    let mut caption = caption(
        data,
        grid,
        (&label, &metric_name),
        &found,
        (rest, best.is_some()),
    );
    caption.push_str(&data.note_on_seeds(arm));
    let csv = csv(data, arm, &found);
    let chart = Chart {
        title: label.clone(),
        columns: panels.len().min(2),
        panels,
        wide: false,
        legend,
    };
    let name = names.make(&["sensitivity", &grid.arm().name]);
    Some(Sketch {
        name,
        title: format!("Sensitivity of {label}"),
        caption,
        chart,
        csv,
    })
}

/// The ends of everything that is drawn, so that the panels share one range.
fn reach(found: &[Sensitivity], rest: bool, scale: Scale) -> Vec<f64> {
    let marginals = found
        .iter()
        .flat_map(|one| &one.marginal)
        .filter(|_| rest)
        .filter_map(|average| average.stat);
    let slices = found
        .iter()
        .flat_map(|one| &one.slice)
        .filter_map(|stat| *stat);
    let ends = marginals
        .chain(slices)
        .filter(|stat| stat.mean.is_finite())
        .flat_map(|stat| {
            let spread = Spread::new(0.0, stat.mean, stat.std);
            [
                if scale == Scale::Log {
                    spread.low.max(stat.mean / 4.0)
                } else {
                    spread.low
                },
                spread.high,
            ]
        });
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low <= high {
        vec![low, high]
    } else {
        Vec::new()
    }
}

fn caption(
    data: &FigureData<'_>,
    grid: &ArmGrid,
    (label, metric): (&str, &str),
    found: &[Sensitivity],
    (rest, best): (bool, bool),
) -> String {
    let seeds = super::set::count(data.spec.seeds.tune.len(), "tuning seed");
    let mut out =
        format!("{metric} against each searched hyper-parameter of {label}, from {seeds}.");
    if rest || !best {
        out.push_str(
            " Squares: mean over all points with that value, ± std over these points' means.",
        );
    }
    if best {
        out.push_str(" Disks: the points that differ from the selected one in this hyper-parameter only, mean ± std over seeds. Diamond: the selected point.");
        if !grid.is_product() {
            out.push_str(
                " The grid does not hold every combination, so some values have no such point.",
            );
        }
    }
    if found.iter().any(|one| grid.is_lacking(one.axis)) {
        out.push_str(" Points without a hyper-parameter are not in its panel.");
    }
    let odd = found
        .iter()
        .map(|one| {
            one.marginal
                .iter()
                .map(|average| average.not_finite)
                .sum::<u32>()
        })
        .max()
        .unwrap_or(0);
    if odd > 0 {
        out.push_str(&format!(
            " Left out: {} whose mean is not finite.",
            super::set::count(odd as usize, "point")
        ));
    }
    out
}

fn csv(data: &FigureData<'_>, arm: usize, found: &[Sensitivity]) -> String {
    let axes = &data.grid.arms()[arm].arm().axes;
    let mut rows = Vec::new();
    for one in found {
        for (number, value) in axes[one.axis].values.iter().enumerate() {
            let marginal = one.marginal[number];
            let figures = |stat: Option<Stat>| {
                [
                    stat.map(|stat| exact(stat.mean)).unwrap_or_default(),
                    cell(stat.and_then(|stat| stat.std)),
                    stat.map_or(0, |stat| stat.n).to_string(),
                ]
            };
            let mut row = vec![axes[one.axis].name.clone(), value.to_string()];
            row.extend(figures(marginal.stat));
            row.push(marginal.not_finite.to_string());
            row.extend(figures(one.slice[number]));
            rows.push(row);
        }
    }
    let headings = [
        "parameter",
        "value",
        "grid_mean",
        "grid_std",
        "grid_points",
        "grid_not_finite",
        "slice_mean",
        "slice_std",
        "slice_n",
    ];
    csv_text(&headings, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(values: &[f64]) -> Option<Scale> {
        number_scale(values)
    }

    #[test]
    fn axes_follow_their_values() {
        assert_eq!(scale(&[1e-4, 1e-3, 1e-2, 0.1, 1.0]), Some(Scale::Log));
        assert_eq!(scale(&[5e-4, 1e-3, 5e-3, 1e-2, 5e-2]), Some(Scale::Log));
        assert_eq!(scale(&[32.0, 64.0, 128.0]), Some(Scale::Log));
        assert_eq!(scale(&[0.25, 0.5, 1.0, 1.5, 2.0]), Some(Scale::Linear));
        assert_eq!(scale(&[0.5, 0.8, 0.9, 0.95, 0.99]), None);
        assert_eq!(scale(&[1.0, 2.0]), Some(Scale::Linear));
        assert_eq!(scale(&[0.9, 0.95, 0.99, 0.999, 0.9999]), None);
        assert_eq!(scale(&[0.0, 1e-4, 1e-3]), None);
        assert_eq!(scale(&[-1.0, 0.0, 1.0]), Some(Scale::Linear));
    }

    #[test]
    fn values_are_named_shortly() {
        assert_eq!(short_value(&ParamValue::Float(1.0)), "1");
        assert_eq!(short_value(&ParamValue::Float(1e-7)), "1e−7");
        assert_eq!(short_value(&ParamValue::Float(0.0001)), "1e−4");
        assert_eq!(short_value(&ParamValue::Float(0.001)), "0.001");
        assert_eq!(short_value(&ParamValue::Float(0.9999)), "0.9999");
        assert_eq!(short_value(&ParamValue::Text(String::new())), "\"\"");
        assert_eq!(short_value(&ParamValue::Text("a\nb".into())), "a b");
        assert_eq!(short_value(&ParamValue::Bool(true)), "true");
    }
}
