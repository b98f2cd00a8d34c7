//! The scale of an axis of a metric: linear or logarithmic.

use crate::report::plot::Scale;

/// A log axis, if all values are positive and some are far above a typical one.
pub(super) fn scale_of(metric: &str, typical: f64, values: impl Iterator<Item = f64>) -> Scale {
    let mut low = f64::INFINITY;
    let mut high: f64 = 0.0;
    for value in values.filter(|value| value.is_finite()) {
        low = low.min(value);
        high = high.max(value);
    }

    let max_ratio = if metric.contains("loss") {
        50.0
    } else {
        1000.0
    };
    if low > 0.0 && high / typical > max_ratio {
        Scale::Log
    } else {
        Scale::Linear
    }
}

/// The median of the finite values (the upper one of two); infinity if there are none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len() / 2)
        .copied()
        .unwrap_or(f64::INFINITY)
}
