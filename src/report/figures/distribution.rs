//! Distribution: the selection metric of all tuning trials, arm by arm, with the selected point's
//! mean.

use super::curves::{NARROW, median, scale_of};
use super::names::{FileNames, arm_label, metric_label};
use super::set::{FigureData, Sketch, count, csv_text};
use crate::grid::TrialId;
use crate::ledger::TrialState;
use crate::report::csv_files::exact;
use crate::report::plot::{Axis, Chart, Mark, Panel, Scale, Style};

/// The figure; None if there are not at least two tuning trials with a result.
pub(super) fn sketch(data: &FigureData<'_>, names: &mut FileNames) -> Option<Sketch> {
    let metric = &data.spec.metric.name;
    let (mut rows, mut all, mut odd) = (Vec::new(), Vec::new(), Vec::new());
    for arm in data.grid.arms() {
        let mut values = Vec::new();
        for point in arm.ids() {
            for &seed in &data.spec.seeds.tune {
                let row = data
                    .rows
                    .get(&TrialId { point, seed })
                    .filter(|row| row.state == TrialState::Done);
                let Some(value) = row.and_then(|row| row.metrics.as_ref()?.get(metric)) else {
                    continue;
                };
                rows.push(vec![
                    arm.arm().name.clone(),
                    point.to_string(),
                    seed.to_string(),
                    exact(value),
                ]);
                values.push(value);
            }
        }
        odd.push(values.iter().filter(|value| !value.is_finite()).count());
        values.retain(|value| value.is_finite());
        all.push(values);
    }
    let trials = rows.len();
    if trials < 2 || all.iter().all(Vec::is_empty) {
        return None;
    }
    let label = metric_label(&data.spec.task, metric);
    let scale = scale_of(
        metric,
        median(all.iter().flatten().copied()),
        all.iter().flatten().copied(),
    );
    let mut marks = Vec::new();
    let mut ticks = Vec::new();
    for (number, values) in all.into_iter().enumerate() {
        ticks.push((number as f64, arm_label(&data.spec.arms[number])));
        marks.push(Mark::Cloud {
            x: number as f64,
            values,
            style: Style::of_arm(number),
        });
        let tuned = data
            .evaluation
            .arms
            .get(number)
            .and_then(|arm| arm.tuned.as_ref());
        if let Some(stat) = tuned.and_then(|stats| stats.stats.get(metric)) {
            marks.push(Mark::Star {
                x: number as f64,
                y: stat.mean,
            });
        }
    }
    let x = Axis {
        label: String::new(),
        scale: Scale::Slots,
        ticks: Some(ticks),
        reach: Vec::new(),
    };
    let y = Axis {
        label: label.clone(),
        scale,
        ticks: None,
        reach: Vec::new(),
    };
    let mut caption = format!(
        "{label} of all {} with a result, by arm: box from quartile to quartile with the median, whiskers as Tukey's, density to the right, single trials to the left where they are few. Diamond: mean of the selected point over the tuning seeds.",
        count(trials, "tuning trial")
    );
    for (arm, odd) in odd.iter().enumerate().filter(|(_, odd)| **odd > 0) {
        caption.push_str(&format!(
            " {}: {} not finite, left out.",
            arm_label(&data.spec.arms[arm]),
            count(*odd, "value")
        ));
    }
    if !data.evaluation.pruned.is_empty() {
        caption.push_str(" Points that were pruned, since they could not become the best any more, have fewer trials here.");
    }
    let panel = Panel {
        title: String::new(),
        x,
        y,
        marks,
    };
    let chart = Chart {
        columns: 1,
        panels: vec![panel],
        wide: data.spec.arms.len() > NARROW,
        ..Chart::default()
    };
    let csv = csv_text(&["arm", "point", "seed", "value"], rows);
    Some(Sketch {
        name: names.make(&["distribution"]),
        title: "Distribution".to_owned(),
        caption,
        chart,
        csv,
    })
}
