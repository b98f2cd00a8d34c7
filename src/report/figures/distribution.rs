//! Distribution: the selection metric of all tuning trials, arm by arm, with the selected point's
//! mean.

use super::curves::MAX_ARMS_IN_COLUMN;
use super::data::{FigureData, Sketch, csv_text};
use super::names::{FileNames, arm_label, metric_label};
use super::scales::{median, scale_of};
use crate::grid::{ArmGrid, PointId, TrialId};
use crate::ledger::TrialState;
use crate::report::csv_files::exact;
use crate::report::plot::{Axis, Chart, Mark, Panel, Scale, Style};
use crate::text::count;

/// Makes the figure; None if there are not at least two tuning trials with a result.
pub(super) fn sketch(data: &FigureData<'_>, names: &mut FileNames) -> Option<Sketch> {
    let metric = &data.spec.metric.name;
    let mut rows = Vec::new();
    let mut finite: Vec<Vec<f64>> = Vec::new();
    let mut not_finite: Vec<usize> = Vec::new();
    for arm in data.grid.arms() {
        let results = results(data, arm);
        for (point, seed, value) in &results {
            rows.push(vec![
                arm.arm().name.clone(),
                point.to_string(),
                seed.to_string(),
                exact(*value),
            ]);
        }

        // Values that are not finite are counted for the caption.
        let all = results.len();
        let values: Vec<f64> = results
            .into_iter()
            .map(|(.., value)| value)
            .filter(|value| value.is_finite())
            .collect();
        not_finite.push(all - values.len());
        finite.push(values);
    }
    if rows.len() < 2 || finite.iter().all(Vec::is_empty) {
        return None;
    }

    let values = || finite.iter().flatten().copied();
    let scale = scale_of(metric, median(values()), values());

    let label = metric_label(&data.spec.task, metric);
    let caption = caption(data, &label, rows.len(), &not_finite);
    let chart = Chart {
        columns: 1,
        panels: vec![panel(data, label, scale, finite)],
        wide: data.spec.arms.len() > MAX_ARMS_IN_COLUMN,
        ..Chart::default()
    };
    Some(Sketch {
        name: names.make(&["distribution"]),
        title: "Distribution".to_owned(),
        caption,
        chart,
        csv: csv_text(&["arm", "point", "seed", "value"], rows),
    })
}

/// The results of an arm's tuning trials.
fn results(data: &FigureData<'_>, arm: &ArmGrid) -> Vec<(PointId, u64, f64)> {
    let mut results = Vec::new();
    for point in arm.ids() {
        for &seed in &data.spec.seeds.tune {
            let row = data
                .rows
                .get(&TrialId { point, seed })
                .filter(|row| row.state == TrialState::Done);
            let metrics = row.and_then(|row| row.metrics.as_ref());
            if let Some(value) = metrics.and_then(|metrics| metrics.get(&data.spec.metric.name)) {
                results.push((point, seed, value));
            }
        }
    }
    results
}

/// One slot for each arm.
fn panel(data: &FigureData<'_>, label: String, scale: Scale, values: Vec<Vec<f64>>) -> Panel {
    let mut marks = Vec::new();
    let mut ticks = Vec::new();
    for (number, values) in values.into_iter().enumerate() {
        let x = number as f64;
        ticks.push((x, arm_label(&data.spec.arms[number])));
        marks.push(Mark::Cloud {
            x,
            values,
            style: Style::of_arm(number),
        });

        // The selected point's mean is highlighted.
        let tuned = data
            .evaluation
            .arms
            .get(number)
            .and_then(|arm| arm.tuned.as_ref());
        if let Some(stat) = tuned.and_then(|stats| stats.stats.get(&data.spec.metric.name)) {
            marks.push(Mark::Star { x, y: stat.mean });
        }
    }

    Panel {
        title: String::new(),
        x: Axis {
            label: String::new(),
            scale: Scale::Slots,
            ticks: Some(ticks),
            reach: Vec::new(),
        },
        y: Axis {
            label,
            scale,
            ticks: None,
            reach: Vec::new(),
        },
        marks,
    }
}

fn caption(data: &FigureData<'_>, label: &str, trials: usize, not_finite: &[usize]) -> String {
    let mut caption = format!(
        "{label} of all {} with a result, by arm. Box: quartiles and median; whiskers: 1.5 IQR; \
         outline: density; dots: single trials, if there are few. \
         Diamond: mean of the selected point over the tuning seeds.",
        count(trials, "tuning trial")
    );

    for (arm, &values) in data.spec.arms.iter().zip(not_finite) {
        if values > 0 {
            let arm = arm_label(arm);
            let values = count(values, "value");
            caption.push_str(&format!(" {arm}: {values} not finite, left out."));
        }
    }

    if !data.evaluation.pruned.is_empty() {
        caption.push_str(" Pruned points have fewer trials here.");
    }
    caption
}
