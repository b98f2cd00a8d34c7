//! Learning curves: the paper's figures for the built-in task (loss, accuracy, one figure for each
//! arm, spectral norms), one figure for each metric for a worker of the user's.

use std::collections::BTreeSet;

use super::names::{FileNames, arm_label, metric_label};
use super::set::{FigureData, Sketch, count, csv_text};
use crate::aggregate::{ArmCurves, EpochStat};
use crate::plan::Phase;
use crate::protocol::{Unit, is_wall_clock};
use crate::report::csv_files::{cell, exact};
use crate::report::plot::{Axis, Chart, LegendEntry, Mark, Panel, Scale, Spread, Style};
use crate::spec::task::{GRAD_NORM_CONV1, GRAD_NORM_FC};

/// More arms than that need both columns of a paper.
pub(super) const NARROW: usize = 8;

/// How many points of a curve are drawn; of a longer one evenly chosen ones.
const MAX_POINTS: usize = 1000;

/// One line of a chart.
struct Series<'a> {
    label: String,
    style: Style,
    points: &'a [EpochStat],
}

/// The paper's figures 1 to 8, or as many as the arms make of them.
pub(super) fn of_the_paper(data: &FigureData<'_>, names: &mut FileNames) -> Vec<Sketch> {
    let mut list = Vec::new();
    for (number, metric) in [(1, "val_loss"), (2, "val_accuracy")] {
        list.extend(all_arms(
            data,
            names.make(&[&format!("figure{number}")]),
            format!("Figure {number}"),
            metric,
        ));
    }
    for (arm, _) in data.spec.arms.iter().enumerate() {
        list.extend(one_arm(data, arm, names));
    }
    let number = 3 + data.spec.arms.len();
    list.extend(norms(
        data,
        names.make(&[&format!("figure{number}")]),
        format!("Figure {number}"),
    ));
    list
}

/// One figure for each metric in the history of a user's worker.
pub(super) fn of_a_worker(data: &FigureData<'_>, names: &mut FileNames) -> Vec<Sketch> {
    let metrics: BTreeSet<&String> = data
        .curves
        .iter()
        .flat_map(|curves| curves.metrics.keys())
        .collect();
    // Rows of epochs may say their steps, too, which are no curve to look at.
    let position =
        |metric: &String| metric == Unit::Step.name() && *metric != data.spec.metric.name;
    let shown = metrics
        .into_iter()
        .filter(|metric| !is_wall_clock(metric) && *metric != "switched" && !position(metric));
    let sketch = |metric: &String| {
        let title = format!("History of {}", metric_label(&data.spec.task, metric));
        all_arms(data, names.make(&["history", metric]), title, metric)
    };
    shown.filter_map(sketch).collect()
}

/// A metric of all arms in one panel.
fn all_arms(data: &FigureData<'_>, name: String, title: String, metric: &str) -> Option<Sketch> {
    let series = series_of(data, metric);
    // A metric that is never a number, as a `null` of a score that is never defined, has no curve.
    if !series
        .iter()
        .flat_map(|one| one.points)
        .any(|at| at.stat.mean.is_finite())
    {
        return None;
    }
    let label = metric_label(&data.spec.task, metric);
    let caption = format!(
        "{label} of each arm's selected point {}{}{}",
        course(&series),
        over(data, &[metric]),
        remarks(data, &[metric], data.curves.iter().collect())
    );
    let legend = if data.spec.arms.len() > 1 {
        legend(&series)
    } else {
        Vec::new()
    };
    let wide = data.spec.arms.len() > NARROW;
    let chart = Chart {
        columns: 1,
        panels: vec![panel(String::new(), label, scale(metric, &series), &series)],
        legend,
        wide,
        ..Chart::default()
    };
    Some(Sketch {
        name,
        title,
        caption,
        chart,
        csv: csv(data, &[metric], data.curves.iter().collect()),
    })
}

/// An arm's losses on the left and its spectral norms on the right.
fn one_arm(data: &FigureData<'_>, arm: usize, names: &mut FileNames) -> Option<Sketch> {
    let name = names.make(&[&format!("figure{}", 3 + arm)]);
    let curves = data.curves.iter().find(|curves| curves.arm == arm)?;
    let arm_style = Style::of_arm(arm);
    let series = |metrics: [(&str, &str); 2]| -> Vec<Series<'_>> {
        let found = metrics
            .into_iter()
            .enumerate()
            .filter_map(|(number, (metric, label))| {
                // The arm's colour for what the comparison charts show of it, black or grey for the
                // other.
                let style = if number == 0 {
                    arm_style.with_line_of(0)
                } else {
                    Style::second_to(arm_style)
                };
                Some(Series {
                    label: label.to_owned(),
                    style,
                    points: curves.metrics.get(metric)?,
                })
            });
        found.collect()
    };
    let losses = series([
        ("val_loss", "Validation loss"),
        ("train_loss", "Training loss"),
    ]);
    let norms = series([
        (GRAD_NORM_CONV1, "Gradient of conv1"),
        (GRAD_NORM_FC, "Gradient of fc"),
    ]);
    let label = arm_label(&data.spec.arms[arm]);
    let (mut panels, mut legend_entries, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    let mut what = Vec::new();
    if !losses.is_empty() {
        panels.push(panel(
            "Loss".to_owned(),
            "Loss (cross entropy)".to_owned(),
            scale("loss", &losses),
            &losses,
        ));
        legend_entries.extend(legend(&losses));
        shown.extend(["train_loss", "val_loss"]);
        what.push("training and validation loss");
    }
    if !norms.is_empty() {
        panels.push(panel(
            "Gradient".to_owned(),
            "Spectral norm".to_owned(),
            Scale::Log,
            &norms,
        ));
        legend_entries.extend(legend(&norms));
        shown.extend([GRAD_NORM_CONV1, GRAD_NORM_FC]);
        what.push("spectral norm of the loss's gradient with respect to the weights of conv1 and fc, log scale");
    }
    if panels.is_empty() {
        return None;
    }
    if let [only] = &mut panels[..] {
        only.title.clear();
    }
    let mut what = if panels.len() == 2 {
        format!("{} (left) and {} (right)", what[0], what[1])
    } else {
        what[0].to_owned()
    };
    what[..1].make_ascii_uppercase();
    let caption = format!(
        "{label}: {what} of the selected point after each epoch{}{}",
        over(data, &shown),
        remarks(data, &shown, vec![curves])
    );
    let chart = Chart {
        title: label,
        columns: panels.len(),
        panels,
        legend: legend_entries,
        wide: false,
    };
    Some(Sketch {
        name,
        title: format!("Figure {}", 3 + arm),
        caption,
        chart,
        csv: csv(data, &shown, vec![curves]),
    })
}

/// Spectral norms of all arms, conv1 on the left and fc on the right.
fn norms(data: &FigureData<'_>, name: String, title: String) -> Option<Sketch> {
    let shown = [(GRAD_NORM_CONV1, "conv1"), (GRAD_NORM_FC, "fc")];
    let found: Vec<(&str, Vec<Series<'_>>)> = shown
        .map(|(metric, label)| (label, series_of(data, metric)))
        .into();
    let panels: Vec<Panel> = found
        .iter()
        .filter(|(_, series)| !series.is_empty())
        .map(|(label, series)| {
            panel(
                (*label).to_owned(),
                "Spectral norm of the gradient".to_owned(),
                Scale::Log,
                series,
            )
        })
        .collect();
    let (_, longest) = found.iter().max_by_key(|(_, series)| series.len())?;
    if panels.is_empty() {
        return None;
    }
    let metrics = shown.map(|(metric, _)| metric);
    let caption = format!(
        "Spectral norm of the loss's gradient with respect to the weights of conv1 and fc, log scale, at each arm's selected point{}{}",
        over(data, &metrics),
        remarks(data, &metrics, data.curves.iter().collect())
    );
    let legend = legend(longest);
    let chart = Chart {
        columns: panels.len(),
        panels,
        legend,
        ..Chart::default()
    };
    Some(Sketch {
        name,
        title,
        caption,
        chart,
        csv: csv(data, &metrics, data.curves.iter().collect()),
    })
}

fn series_of<'a>(data: &FigureData<'a>, metric: &str) -> Vec<Series<'a>> {
    let series = |curves: &'a ArmCurves| {
        let points = curves.metrics.get(metric)?;
        Some(Series {
            label: arm_label(&data.spec.arms[curves.arm]),
            style: Style::of_arm(curves.arm),
            points,
        })
    };
    data.curves.iter().filter_map(series).collect()
}

fn panel(title: String, label: String, scale: Scale, series: &[Series<'_>]) -> Panel {
    let mark = |series: &Series<'_>| {
        let spread = |at: &EpochStat| Spread::new(at.position.number(), at.stat.mean, at.stat.std);
        let stride = series.points.len().div_ceil(MAX_POINTS).max(1);
        let last = series.points.len().saturating_sub(1);
        let drawn = series
            .points
            .iter()
            .enumerate()
            .filter(|(place, _)| place % stride == 0 || *place == last);
        Mark::Curve {
            points: drawn.map(|(_, at)| spread(at)).collect(),
            style: series.style,
        }
    };
    // Fractions of a few epochs need ticks between the whole ones.
    let places = || {
        series
            .iter()
            .flat_map(|one| one.points)
            .map(|at| at.position.place)
    };
    let (low, high) = places().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
        (low.min(at.get()), high.max(at.get()))
    });
    let whole = high - low >= 3.0 || places().all(|place| place.whole().is_some());
    let x_scale = if whole { Scale::Whole } else { Scale::Linear };
    Panel {
        title,
        x: Axis {
            label: unit_of(series).title().to_owned(),
            scale: x_scale,
            ticks: None,
            reach: Vec::new(),
        },
        y: Axis {
            label,
            scale,
            ticks: None,
            reach: Vec::new(),
        },
        marks: series.iter().map(mark).collect(),
    }
}

/// What the curves of a panel are by: all of one metric are by the same.
fn unit_of(series: &[Series<'_>]) -> Unit {
    series
        .iter()
        .find_map(|one| one.points.first())
        .map_or(Unit::Epoch, |at| at.position.unit)
}

/// The course of the curves in words.
fn course(series: &[Series<'_>]) -> &'static str {
    let fractional = |one: &Series<'_>| {
        one.points
            .iter()
            .any(|at| at.position.place.whole().is_none())
    };
    match unit_of(series) {
        Unit::Epoch if series.iter().any(fractional) => "by epoch",
        Unit::Epoch => "after each epoch",
        Unit::Step => "by step",
    }
}

fn legend(series: &[Series<'_>]) -> Vec<LegendEntry> {
    let band = |series: &Series<'_>| series.points.iter().any(|at| at.stat.std.is_some());
    series
        .iter()
        .map(|one| LegendEntry {
            label: one.label.clone(),
            style: one.style,
            band: band(one),
        })
        .collect()
}

/// Curves that rise far above where one of them began go on a log axis: one arm diverges, and
/// nothing could be told of the others. A loss that falls by orders of magnitude stays on a linear
/// one, as papers show it.
fn scale(metric: &str, series: &[Series<'_>]) -> Scale {
    let first = |one: &Series<'_>| {
        one.points
            .iter()
            .map(|at| at.stat.mean)
            .find(|mean| mean.is_finite())
    };
    let start = series
        .iter()
        .filter_map(first)
        .fold(f64::INFINITY, f64::min);
    scale_of(
        metric,
        start,
        series
            .iter()
            .flat_map(|one| one.points)
            .map(|at| at.stat.mean),
    )
}

/// A log axis, if all values are positive and some are far above a typical one.
pub(super) fn scale_of(metric: &str, typical: f64, values: impl Iterator<Item = f64>) -> Scale {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, 0.0_f64), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let most = if metric.contains("loss") {
        50.0
    } else {
        1000.0
    };
    if low > 0.0 && high / typical > most {
        Scale::Log
    } else {
        Scale::Linear
    }
}

/// The middle one of values, those that are not finite left out.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len() / 2)
        .copied()
        .unwrap_or(f64::INFINITY)
}

/// Over how many seeds an arm's curves of some metrics are, where they are over the most.
fn seeds_of(curves: &ArmCurves, metrics: &[&str]) -> u32 {
    let epochs = metrics
        .iter()
        .filter_map(|metric| curves.metrics.get(*metric))
        .flatten();
    epochs.map(|at| at.stat.n).max().unwrap_or(0)
}

/// Over what means and bands are.
fn over(data: &FigureData<'_>, metrics: &[&str]) -> String {
    let seeds = data
        .curves
        .iter()
        .map(|curves| seeds_of(curves, metrics))
        .max()
        .unwrap_or(0) as usize;
    let phase = match data.phase {
        Phase::Final => "final",
        Phase::Tune if data.spec.seeds.final_.is_empty() => "tuning",
        Phase::Tune => "tuning (final seeds have no result yet)",
    };
    match seeds {
        1 => format!(", with a single {phase} seed (n = 1, no band)."),
        n => {
            format!(": mean (line) and ± one standard deviation (band) over n = {n} {phase} seeds.")
        }
    }
}

/// What a reader must know of single arms: missing ones, fewer seeds, values that are not finite.
fn remarks(data: &FigureData<'_>, metrics: &[&str], curves: Vec<&ArmCurves>) -> String {
    let mut out = String::new();
    let most = data
        .curves
        .iter()
        .map(|curves| seeds_of(curves, metrics))
        .max()
        .unwrap_or(0);
    for one in &curves {
        let label = arm_label(&data.spec.arms[one.arm]);
        let seeds = seeds_of(one, metrics);
        if (1..most).contains(&seeds) {
            out.push_str(&format!(" {label}: n = {seeds}."));
        }
        for metric in metrics {
            let odd: Vec<&EpochStat> = one
                .metrics
                .get(*metric)
                .into_iter()
                .flatten()
                .filter(|at| !at.stat.mean.is_finite())
                .collect();
            let (Some(first), Some(last)) = (odd.first(), odd.last()) else {
                continue;
            };
            let unit = first.position.unit.name();
            let epochs = if first.position == last.position {
                first.position.to_string()
            } else {
                format!(
                    "{unit}s {} to {}",
                    first.position.place, last.position.place
                )
            };
            let seeds = odd.iter().map(|at| at.not_finite).max().unwrap_or(0) as usize;
            let what = metric_label(&data.spec.task, metric);
            let whose = if curves.len() > 1 {
                format!("{label}: ")
            } else {
                String::new()
            };
            out.push_str(&format!(
                " {whose}{what} is not finite for {} at {epochs}, which leaves a gap.",
                count(seeds, "seed")
            ));
        }
    }
    if curves.len() > 1 || data.spec.arms.len() == 1 {
        let missing: Vec<String> = (0..data.spec.arms.len())
            .filter(|arm| data.curves.iter().all(|one| one.arm != *arm))
            .map(|arm| arm_label(&data.spec.arms[arm]))
            .collect();
        if !missing.is_empty() {
            out.push_str(&format!(" Without results: {}.", missing.join(", ")));
        }
    }
    out
}

fn csv(data: &FigureData<'_>, metrics: &[&str], curves: Vec<&ArmCurves>) -> String {
    let mut rows = Vec::new();
    let first = curves.iter().find_map(|one| {
        metrics
            .iter()
            .find_map(|metric| one.metrics.get(*metric)?.first())
    });
    let unit = first.map_or(Unit::Epoch, |at| at.position.unit);
    for one in curves {
        for metric in metrics {
            for at in one.metrics.get(*metric).into_iter().flatten() {
                rows.push(vec![
                    data.spec.arms[one.arm].name.clone(),
                    (*metric).to_owned(),
                    at.position.place.to_string(),
                    exact(at.stat.mean),
                    cell(at.stat.std),
                    at.stat.n.to_string(),
                    at.not_finite.to_string(),
                ]);
            }
        }
    }
    csv_text(
        &[
            "arm",
            "metric",
            unit.name(),
            "mean",
            "std",
            "n",
            "not_finite",
        ],
        rows,
    )
}
