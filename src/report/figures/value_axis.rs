//! The axis of a hyper-parameter's values, and how the values are written at its ticks.

use super::names::parameter_label;
use crate::report::plot::{Axis, Scale, clean, shorten};
use crate::spec::{Axis as Parameter, ParamValue};

/// Positive values whose ratio exceeds this get a log axis.
const MIN_LOG_RATIO: f64 = 30.0;
/// Values that grow by a constant factor of at least this get a log axis.
const MIN_LOG_FACTOR: f64 = 1.5;
/// Minimum distance of neighbours on an axis, as a share of the distance of evenly spread values.
const MIN_DISTANCE: f64 = 0.45;
/// Maximum number of letters of a tick.
const MAX_TICK_LENGTH: usize = 24;

/// An axis of a parameter's values.
pub(super) struct ValueAxis {
    pub axis: Axis,
    /// Where each value is, in the order of the sweep file.
    pub places: Vec<f64>,
}

impl ValueAxis {
    /// Numbers on a log axis if they span orders of magnitude or grow by a factor, on a linear one
    /// if they can be told apart there; everything else in slots of equal width.
    pub(crate) fn new(parameter: &Parameter) -> Self {
        let numbers: Option<Vec<f64>> = parameter.values.iter().map(ParamValue::as_f64).collect();
        let Some(numbers) = numbers else {
            return Self::slots(parameter);
        };
        let Some(scale) = number_scale(&numbers) else {
            return Self::slots(parameter);
        };

        let mut ticks: Vec<(f64, String)> = numbers
            .iter()
            .copied()
            .zip(parameter.values.iter().map(short_value))
            .collect();
        ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            axis: axis(parameter, scale, ticks),
            places: numbers,
        }
    }

    /// One slot for each value: numbers in ascending order, others in the order of the sweep file.
    pub(crate) fn slots(parameter: &Parameter) -> Self {
        let mut order: Vec<usize> = (0..parameter.values.len()).collect();
        let numbers: Option<Vec<f64>> = parameter.values.iter().map(ParamValue::as_f64).collect();
        if let Some(numbers) = numbers {
            order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
        }

        // Each value's place is its slot; ticks are in the order of the slots.
        let mut places = vec![0.0; order.len()];
        let mut ticks = Vec::new();
        for (slot, value) in order.iter().enumerate() {
            places[*value] = slot as f64;
            ticks.push((slot as f64, short_value(&parameter.values[*value])));
        }
        Self {
            axis: axis(parameter, Scale::Slots, ticks),
            places,
        }
    }
}

fn axis(parameter: &Parameter, scale: Scale, ticks: Vec<(f64, String)>) -> Axis {
    Axis {
        label: parameter_label(parameter),
        scale,
        ticks: Some(ticks),
        reach: Vec::new(),
    }
}

/// A value at a tick: `1` for `1.0`, `1e−4` for `0.0001`.
fn short_value(value: &ParamValue) -> String {
    let text = value.to_string();
    let text = match value {
        ParamValue::Float(number) => {
            // The form in which people write learning rates, where that is clearly shorter.
            let plain = text.strip_suffix(".0").unwrap_or(&text);
            let exponent = format!("{number:e}");
            if exponent.len() + 2 <= plain.len() {
                exponent.replace('-', "−")
            } else {
                plain.replace('-', "−")
            }
        }
        ParamValue::Text(_) if text.trim().is_empty() => format!("\"{text}\""),
        _ => clean(&text),
    };
    shorten(&text, MAX_TICK_LENGTH)
}

/// The scale on which numbers can be told apart; None if there is none.
fn number_scale(numbers: &[f64]) -> Option<Scale> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let low = *sorted.first()?;
    let high = *sorted.last()?;

    let is_wide = high / low > MIN_LOG_RATIO || is_geometric(&sorted);
    if low > 0.0 && is_wide {
        let logarithms: Vec<f64> = sorted.iter().map(|number| number.ln()).collect();
        if are_apart(&logarithms) {
            return Some(Scale::Log);
        }
    }
    are_apart(&sorted).then_some(Scale::Linear)
}

/// Whether sorted numbers grow by a constant factor.
fn is_geometric(sorted: &[f64]) -> bool {
    let ratios: Vec<f64> = sorted.windows(2).map(|pair| pair[1] / pair[0]).collect();
    ratios.len() > 1
        && ratios
            .iter()
            .all(|ratio| *ratio >= MIN_LOG_FACTOR && (ratio / ratios[0] - 1.0).abs() < 0.01)
}

/// Whether neighbours of sorted places are far enough from each other to be told apart.
fn are_apart(places: &[f64]) -> bool {
    let span = places[places.len() - 1] - places[0];
    let min_distance = MIN_DISTANCE / places.len() as f64;
    span > 0.0
        && span.is_finite()
        && places
            .windows(2)
            .all(|pair| (pair[1] - pair[0]) / span > min_distance)
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
    fn values_have_short_names() {
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
