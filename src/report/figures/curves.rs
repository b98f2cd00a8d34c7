//! Learning curves: the paper's figures for the built-in task (loss, accuracy, one figure for each
//! arm, spectral norms), one figure for each metric for other programs.

use std::collections::BTreeSet;

use super::data::{FigureData, Sketch, csv_text};
use super::names::{FileNames, arm_label, metric_label};
use super::series::{Series, curve_scale, frequency, legend, panel, series_of};
use crate::aggregate::{ArmCurves, EpochStat};
use crate::plan::Phase;
use crate::protocol::{Unit, is_wall_clock};
use crate::report::csv_files::{exact, stat_cells};
use crate::report::plot::{Chart, Panel, Scale, Style};
use crate::spec::task::{GRAD_NORM_CONV1, GRAD_NORM_FC};
use crate::text::count;

/// Maximum number of arms in a figure for one column of a paper; more need both columns.
pub(super) const MAX_ARMS_IN_COLUMN: usize = 8;

/// The paper's figures 1 to 8, or as many as there are arms for.
pub(super) fn of_the_paper(data: &FigureData<'_>, names: &mut FileNames) -> Vec<Sketch> {
    let mut list = Vec::new();
    for (number, metric) in [(1, "val_loss"), (2, "val_accuracy")] {
        let name = names.make(&[&format!("figure{number}")]);
        list.extend(all_arms(data, name, format!("Figure {number}"), metric));
    }
    for arm in 0..data.spec.arms.len() {
        list.extend(one_arm(data, arm, names));
    }

    let number = 3 + data.spec.arms.len();
    let name = names.make(&[&format!("figure{number}")]);
    list.extend(norms(data, name, format!("Figure {number}")));
    list
}

/// One figure for each metric in the history.
pub(super) fn of_each_metric(data: &FigureData<'_>, names: &mut FileNames) -> Vec<Sketch> {
    let metrics: BTreeSet<&String> = data
        .curves
        .iter()
        .flat_map(|curves| curves.metrics.keys())
        .collect();

    let mut list = Vec::new();
    for metric in metrics {
        // Rows by epochs may have a step, too, whose curve would say nothing.
        let is_step = metric == Unit::Step.name() && *metric != data.spec.metric.name;
        if is_step || is_wall_clock(metric) || *metric == "switched" {
            continue;
        }

        let title = format!("Learning curve ({})", metric_label(&data.spec.task, metric));
        list.extend(all_arms(
            data,
            names.make(&["history", metric]),
            title,
            metric,
        ));
    }
    list
}

/// A metric of all arms in one panel.
fn all_arms(data: &FigureData<'_>, name: String, title: String, metric: &str) -> Option<Sketch> {
    // A metric that is never a number, such as a `null` of a score that is never defined, has no
    // curve.
    let series = series_of(data, metric);
    let mut points = series.iter().flat_map(|one| one.points);
    if !points.any(|at| at.stat.mean.is_finite()) {
        return None;
    }

    let curves: Vec<&ArmCurves> = data.curves.iter().collect();
    let label = metric_label(&data.spec.task, metric);
    let caption = format!(
        "{label} of each arm's selected point {}{}{}",
        frequency(&series),
        over_seeds(data, &[metric]),
        remarks(data, &[metric], &curves)
    );

    let scale = curve_scale(metric, &series);
    let chart = Chart {
        columns: 1,
        panels: vec![panel("", &label, scale, &series)],
        legend: if data.spec.arms.len() > 1 {
            legend(&series)
        } else {
            Vec::new()
        },
        wide: data.spec.arms.len() > MAX_ARMS_IN_COLUMN,
        ..Chart::default()
    };
    Some(Sketch {
        name,
        title,
        caption,
        chart,
        csv: csv(data, &[metric], &curves),
    })
}

/// An arm's losses on the left and its spectral norms on the right.
fn one_arm(data: &FigureData<'_>, arm: usize, names: &mut FileNames) -> Option<Sketch> {
    let name = names.make(&[&format!("figure{}", 3 + arm)]);
    let curves = data.curves.iter().find(|curves| curves.arm == arm)?;
    let losses = [
        ("val_loss", "Validation loss"),
        ("train_loss", "Training loss"),
    ];
    let losses = series_of_arm(curves, losses);

    let norms = [
        (GRAD_NORM_CONV1, "Gradient of conv1"),
        (GRAD_NORM_FC, "Gradient of fc"),
    ];
    let norms = series_of_arm(curves, norms);

    let mut panels = Vec::new();
    let mut entries = Vec::new();
    let mut metrics = Vec::new();
    let mut what = Vec::new();
    if !losses.is_empty() {
        let scale = curve_scale("loss", &losses);
        panels.push(panel("Loss", "Loss (cross entropy)", scale, &losses));
        entries.extend(legend(&losses));
        metrics.extend(["train_loss", "val_loss"]);
        what.push("training and validation loss");
    }

    if !norms.is_empty() {
        panels.push(panel("Gradient", "Spectral norm", Scale::Log, &norms));
        entries.extend(legend(&norms));
        metrics.extend([GRAD_NORM_CONV1, GRAD_NORM_FC]);
        what.push(
            "spectral norm of the loss's gradient with respect to the weights of conv1 and fc, \
             log scale",
        );
    }

    // A single panel needs no heading.
    if let [only] = &mut panels[..] {
        only.title.clear();
    }

    let mut what = match &what[..] {
        [] => return None,
        [only] => (*only).to_owned(),
        [left, right, ..] => format!("{left} (left) and {right} (right)"),
    };
    what[..1].make_ascii_uppercase();

    let label = arm_label(&data.spec.arms[arm]);
    let caption = format!(
        "{label}: {what} of the selected point after each epoch{}{}",
        over_seeds(data, &metrics),
        remarks(data, &metrics, &[curves])
    );
    Some(Sketch {
        name,
        title: format!("Figure {}", 3 + arm),
        caption,
        chart: Chart {
            title: label,
            columns: panels.len(),
            panels,
            legend: entries,
            wide: false,
        },
        csv: csv(data, &metrics, &[curves]),
    })
}

/// Two metrics of one arm: the first in the arm's colour of the comparison charts, the second in
/// black or grey.
fn series_of_arm<'a>(curves: &'a ArmCurves, metrics: [(&str, &str); 2]) -> Vec<Series<'a>> {
    let style = Style::of_arm(curves.arm);
    metrics
        .into_iter()
        .zip([style.with_line_of(0), Style::second_to(style)])
        .filter_map(|((metric, label), style)| {
            Some(Series {
                label: label.to_owned(),
                style,
                points: curves.metrics.get(metric)?,
            })
        })
        .collect()
}

/// Spectral norms of all arms, conv1 on the left and fc on the right.
fn norms(data: &FigureData<'_>, name: String, title: String) -> Option<Sketch> {
    let metrics = [GRAD_NORM_CONV1, GRAD_NORM_FC];
    let [conv1, fc] = metrics.map(|metric| series_of(data, metric));
    let panels: Vec<Panel> = [("conv1", &conv1), ("fc", &fc)]
        .into_iter()
        .filter(|(_, series)| !series.is_empty())
        .map(|(title, series)| panel(title, "Spectral norm of the gradient", Scale::Log, series))
        .collect();
    if panels.is_empty() {
        return None;
    }

    let curves: Vec<&ArmCurves> = data.curves.iter().collect();
    let caption = format!(
        "Spectral norm of the loss's gradient with respect to the weights of conv1 and fc, \
         log scale, at each arm's selected point{}{}",
        over_seeds(data, &metrics),
        remarks(data, &metrics, &curves)
    );

    // The legend explains the panel with more arms.
    let longest = if conv1.len() > fc.len() { &conv1 } else { &fc };
    Some(Sketch {
        name,
        title,
        caption,
        chart: Chart {
            columns: panels.len(),
            panels,
            legend: legend(longest),
            ..Chart::default()
        },
        csv: csv(data, &metrics, &curves),
    })
}

/// The largest number of seeds of an arm's curves of some metrics.
fn seeds_of(curves: &ArmCurves, metrics: &[&str]) -> u32 {
    metrics
        .iter()
        .filter_map(|metric| curves.metrics.get(*metric))
        .flatten()
        .map(|at| at.stat.n)
        .max()
        .unwrap_or(0)
}

/// The largest number of seeds of any arm.
fn max_seeds(data: &FigureData<'_>, metrics: &[&str]) -> u32 {
    data.curves
        .iter()
        .map(|curves| seeds_of(curves, metrics))
        .max()
        .unwrap_or(0)
}

/// The seeds of means and bands, for captions.
fn over_seeds(data: &FigureData<'_>, metrics: &[&str]) -> String {
    let phase = match data.phase {
        Phase::Final => "final",
        Phase::Tune if data.spec.seeds.final_.is_empty() => "tuning",
        Phase::Tune => "tuning (final seeds have no result yet)",
    };
    match max_seeds(data, metrics) {
        1 => format!(", with a single {phase} seed (n = 1, no band)."),
        n => {
            format!(": mean (line) and ± one standard deviation (band) over n = {n} {phase} seeds.")
        }
    }
}

/// Remarks on single arms in a caption: missing ones, fewer seeds, values that are not finite.
fn remarks(data: &FigureData<'_>, metrics: &[&str], curves: &[&ArmCurves]) -> String {
    let max_seeds = max_seeds(data, metrics);
    let mut out = String::new();
    for one in curves {
        let label = arm_label(&data.spec.arms[one.arm]);
        let seeds = seeds_of(one, metrics);
        if (1..max_seeds).contains(&seeds) {
            out.push_str(&format!(" {label}: n = {seeds}."));
        }

        for metric in metrics {
            let points = one.metrics.get(*metric).map_or(&[][..], Vec::as_slice);
            let Some(gap) = gap(points) else {
                continue;
            };

            let what = metric_label(&data.spec.task, metric);
            if curves.len() > 1 {
                out.push_str(&format!(" {label}: {what} {gap}."));
            } else {
                out.push_str(&format!(" {what} {gap}."));
            }
        }
    }

    // A figure of one of several arms does not list the other arms.
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

/// Where a curve is not finite: `is not finite for 1 seed at epochs 4 to 6, which leaves a gap`.
fn gap(points: &[EpochStat]) -> Option<String> {
    let gaps: Vec<&EpochStat> = points
        .iter()
        .filter(|at| !at.stat.mean.is_finite())
        .collect();
    let first = gaps.first()?.position;
    let last = gaps.last()?.position;
    let seeds = gaps.iter().map(|at| at.not_finite).max().unwrap_or(0);

    let seeds = count(seeds, "seed");
    let epochs = if first == last {
        first.to_string()
    } else {
        format!("{}s {} to {}", first.unit.name(), first.place, last.place)
    };
    Some(format!(
        "is not finite for {seeds} at {epochs}, which leaves a gap"
    ))
}

fn csv(data: &FigureData<'_>, metrics: &[&str], curves: &[&ArmCurves]) -> String {
    let mut unit = None;
    let mut rows = Vec::new();
    for one in curves {
        for metric in metrics {
            for at in one.metrics.get(*metric).into_iter().flatten() {
                unit = unit.or(Some(at.position.unit));
                let [_, std, n] = stat_cells(Some(&at.stat));
                rows.push(vec![
                    data.spec.arms[one.arm].name.clone(),
                    (*metric).to_owned(),
                    at.position.place.to_string(),
                    exact(at.stat.mean),
                    std,
                    n,
                    at.not_finite.to_string(),
                ]);
            }
        }
    }

    let headings = [
        "arm",
        "metric",
        unit.unwrap_or(Unit::Epoch).name(),
        "mean",
        "std",
        "n",
        "not_finite",
    ];
    csv_text(&headings, rows)
}
