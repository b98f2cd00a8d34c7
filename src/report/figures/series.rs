//! The lines of learning curves, and panels and legends of them.

use super::data::FigureData;
use super::names::arm_label;
use super::scales::scale_of;
use crate::aggregate::EpochStat;
use crate::protocol::{Place, Unit};
use crate::report::plot::{Axis, LegendEntry, Mark, Panel, Scale, Spread, Style};

/// Maximum number of points drawn of a curve; those of a longer one are thinned evenly.
const MAX_POINTS: usize = 1000;
/// An axis over fewer epochs needs ticks between whole numbers, if there are epochs in between.
const MIN_WHOLE_SPAN: f64 = 3.0;

/// One line of a chart.
pub(super) struct Series<'a> {
    pub label: String,
    pub style: Style,
    pub points: &'a [EpochStat],
}

/// A metric of all arms.
pub(super) fn series_of<'a>(data: &FigureData<'a>, metric: &str) -> Vec<Series<'a>> {
    data.curves
        .iter()
        .filter_map(|curves| {
            Some(Series {
                label: arm_label(&data.spec.arms[curves.arm]),
                style: Style::of_arm(curves.arm),
                points: curves.metrics.get(metric)?,
            })
        })
        .collect()
}

impl Series<'_> {
    /// The mark of the curve, thinned if it is long.
    fn mark(&self) -> Mark {
        let stride = self.points.len().div_ceil(MAX_POINTS).max(1);
        let last = self.points.len().saturating_sub(1);
        Mark::Curve {
            points: self
                .points
                .iter()
                .enumerate()
                .filter(|(index, _)| index % stride == 0 || *index == last)
                .map(|(_, at)| Spread::new(at.position.number(), at.stat.mean, at.stat.std))
                .collect(),
            style: self.style,
        }
    }

    fn legend_entry(&self) -> LegendEntry {
        LegendEntry {
            label: self.label.clone(),
            style: self.style,
            band: self.points.iter().any(|at| at.stat.std.is_some()),
        }
    }

    /// The first finite mean.
    fn start(&self) -> Option<f64> {
        self.points
            .iter()
            .map(|at| at.stat.mean)
            .find(|mean| mean.is_finite())
    }
}

/// Makes a panel of curves.
pub(super) fn panel(title: &str, label: &str, scale: Scale, series: &[Series<'_>]) -> Panel {
    Panel {
        title: title.to_owned(),
        x: Axis {
            label: unit_of(series).title().to_owned(),
            scale: epoch_scale(series),
            ticks: None,
            reach: Vec::new(),
        },
        y: Axis {
            label: label.to_owned(),
            scale,
            ticks: None,
            reach: Vec::new(),
        },
        marks: series.iter().map(Series::mark).collect(),
    }
}

fn epoch_scale(series: &[Series<'_>]) -> Scale {
    let places: Vec<Place> = series
        .iter()
        .flat_map(|one| one.points)
        .map(|at| at.position.place)
        .collect();
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for place in &places {
        low = low.min(place.get());
        high = high.max(place.get());
    }

    let all_whole = places.iter().all(|place| place.whole().is_some());
    if all_whole || high - low >= MIN_WHOLE_SPAN {
        Scale::Whole
    } else {
        Scale::Linear
    }
}

/// The unit of a panel's curves, which is the same for all curves of a metric.
fn unit_of(series: &[Series<'_>]) -> Unit {
    series
        .iter()
        .find_map(|one| one.points.first())
        .map_or(Unit::Epoch, |at| at.position.unit)
}

/// How often the curves were measured, for captions.
pub(super) fn frequency(series: &[Series<'_>]) -> &'static str {
    let any_fractional = series
        .iter()
        .flat_map(|one| one.points)
        .any(|at| at.position.place.whole().is_none());
    match unit_of(series) {
        Unit::Epoch if any_fractional => "by epoch",
        Unit::Epoch => "after each epoch",
        Unit::Step => "by step",
    }
}

/// Makes the legend of some curves.
pub(super) fn legend(series: &[Series<'_>]) -> Vec<LegendEntry> {
    series.iter().map(Series::legend_entry).collect()
}

/// Curves that rise far above where one of them began get a log axis, because an arm that
/// diverges would hide the others. A loss that falls by orders of magnitude stays on a linear axis,
/// as papers show it.
pub(super) fn curve_scale(metric: &str, series: &[Series<'_>]) -> Scale {
    let start = series
        .iter()
        .filter_map(Series::start)
        .fold(f64::INFINITY, f64::min);
    let means = series
        .iter()
        .flat_map(|one| one.points)
        .map(|at| at.stat.mean);
    scale_of(metric, start, means)
}
