//! Ranges that include all data with some space around it, and round numbers for ticks. Pure
//! arithmetic.

use super::model::Scale;

/// Ticks of an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ticks {
    /// With a name.
    pub named: Vec<(f64, String)>,
    /// Between these, without a name.
    pub minor: Vec<f64>,
}

/// Larger numbers have no place on an axis, because the space around them might overflow.
const MAX_SIZE: f64 = 1e300;
/// Smaller numbers have no place on a log axis.
const MIN_LOG_SIZE: f64 = 1e-300;
/// Longer axes of whole numbers have no ticks between the named ones.
const MAX_SPAN_WITH_MINOR: f64 = 40.0;
/// Steps between ticks, times a power of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];
const WHOLE_STEPS: [f64; 3] = [1.0, 2.0, 5.0];
const DIGITS: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

/// The range of an axis, which includes every value that has a place on it.
pub(super) fn range(scale: Scale, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for value in values.filter(|value| has_place(scale, *value)) {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return match scale {
            Scale::Log => (1.0, 10.0),
            _ => (0.0, 1.0),
        };
    }

    match scale {
        Scale::Slots => (low - 0.5, high + 0.5),
        Scale::Whole if low == high => (low - 1.0, high + 1.0),
        Scale::Whole => widen(scale, low, high, 0.03),
        Scale::Log if high / low < 1.05 => ((low / 1.5).max(f64::MIN_POSITIVE), high * 1.5),
        Scale::Log => widen(scale, low, high, 0.05),
        Scale::Linear => {
            let space = space_around(low, high);
            (low - space, high + space)
        }
    }
}

fn has_place(scale: Scale, value: f64) -> bool {
    value.is_finite() && value.abs() < MAX_SIZE && (scale != Scale::Log || value > MIN_LOG_SIZE)
}

/// The space on each side of a linear range.
fn space_around(low: f64, high: f64) -> f64 {
    // Numbers that differ only by rounding are constant.
    let size = low.abs().max(high.abs());
    let spread = high - low;
    if spread > (1e-9 * size).max(MIN_LOG_SIZE) {
        0.05 * spread
    } else if size > MIN_LOG_SIZE {
        0.1 * size
    } else {
        1.0
    }
}

/// Widens a range on both sides by a part of its length.
pub(super) fn widen(scale: Scale, low: f64, high: f64, part: f64) -> (f64, f64) {
    if scale == Scale::Log {
        let factor = ((high.ln() - low.ln()) * part).exp();
        let low = (low / factor).max(f64::MIN_POSITIVE);
        return (low, (high * factor).min(f64::MAX));
    }
    let space = part * (high - low);
    (low - space, high + space)
}

/// About `count` round numbers within a range.
pub(super) fn ticks(scale: Scale, low: f64, high: f64, count: usize) -> Ticks {
    let count = count.max(2);
    match scale {
        Scale::Linear | Scale::Slots => Ticks {
            named: linear(low, high, count),
            minor: Vec::new(),
        },
        Scale::Whole => Ticks {
            named: whole(low, high, count),
            minor: whole_minor(low, high),
        },
        Scale::Log => log(low, high, count),
    }
}

/// The least product of a factor and a power of ten that is not below the step.
fn round_up(step: f64, factors: &[f64]) -> f64 {
    let power = 10_f64.powi(step.log10().floor() as i32);
    factors
        .iter()
        .map(|factor| factor * power)
        .find(|round| *round >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(-1.0, 100.0);
    // Adding zero turns -0 into 0.
    (0..=count as i64)
        .map(|number| (first + number as f64) * step + 0.0)
        .collect()
}

fn linear(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let step = round_up((high - low) / count as f64, &STEPS);
    multiples(low, high, step)
        .into_iter()
        .map(|value| (value, write(value, step)))
        .collect()
}

/// Writes a number with the decimals of the step between ticks; very large and very small ones with
/// an exponent.
fn write(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs().max(step);
    if size >= 1e6 || step < 1e-5 {
        return write_with_exponent(value, size, step);
    }

    // A step of 0.25 has two decimals, 0.2 has one and 20 has none.
    let decimals = (0..9).find(|&decimals| {
        let shifted = step * 10_f64.powi(decimals);
        (shifted - shifted.round()).abs() < 1e-6
    });
    let decimals = decimals.unwrap_or(9) as usize;
    with_minus(&format!("{value:.decimals$}"))
}

fn write_with_exponent(value: f64, size: f64, step: f64) -> String {
    let digits = ((size.log10().floor() - step.log10().floor()) as usize).min(4);
    let text = format!("{value:.digits$e}");
    let (mut number, power) = text.split_once('e').unwrap_or((&text, "0"));
    if number.contains('.') {
        number = number.trim_end_matches('0').trim_end_matches('.');
    }
    with_minus(&format!("{number}e{power}"))
}

/// Replaces the hyphen by a minus sign.
fn with_minus(text: &str) -> String {
    text.replace('-', "−")
}

fn whole(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let step = round_up(((high - low) / count as f64).max(1.0), &WHOLE_STEPS);
    // None in the space around the data: there is no epoch 0.
    let space = 0.027 * (high - low);
    multiples(low + space, high - space, step)
        .into_iter()
        .map(|value| (value, write(value, 1.0)))
        .collect()
}

/// A short tick at each epoch, if there is room.
fn whole_minor(low: f64, high: f64) -> Vec<f64> {
    if high - low > MAX_SPAN_WITH_MINOR {
        return Vec::new();
    }
    let space = 0.02 * (high - low);
    multiples(low + space, high - space, 1.0)
}

fn log(low: f64, high: f64, count: usize) -> Ticks {
    let first = (low.log10() - 1e-9).ceil() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    if last > first {
        return decades(low, high, first, last, count);
    }

    // Less than a decade: digits have names, if that gives at least three.
    for factors in [&WHOLE_STEPS[..], &DIGITS[..]] {
        let values = digits(low, high, factors);
        if values.len() >= 3 {
            return Ticks {
                named: values
                    .into_iter()
                    .map(|value| (value, write_digit(value)))
                    .collect(),
                minor: digits(low, high, &DIGITS),
            };
        }
    }
    Ticks {
        named: linear(low, high, count),
        minor: Vec::new(),
    }
}

/// Ticks at powers of ten, from the first to the last power in the range.
fn decades(low: f64, high: f64, first: i32, last: i32, count: usize) -> Ticks {
    let decades = (last - first + 1) as usize;
    let step = decades.div_ceil(count) as i32;
    let is_plain = first >= -3 && last <= 3;
    let named = (first..=last)
        .filter(|power| power.rem_euclid(step) == 0)
        .map(|power| {
            let value = 10_f64.powi(power);
            let text = if is_plain {
                format!("{value}")
            } else {
                format!("10{}", superscript(power))
            };
            (value, text)
        })
        .collect();

    // Digits between the powers, if there are few decades; otherwise the powers without a name.
    let minor = if step == 1 && decades <= 8 {
        digits(low, high, &DIGITS[1..])
    } else {
        (first..=last).map(|power| 10_f64.powi(power)).collect()
    };
    Ticks { named, minor }
}

/// Products of the factors and powers of ten within a range.
fn digits(low: f64, high: f64, factors: &[f64]) -> Vec<f64> {
    let first = (low.log10() - 1e-9).ceil() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    let min = low * (1.0 - 1e-9);
    let max = high * (1.0 + 1e-9);
    (first - 1..=last)
        .flat_map(|power| {
            factors
                .iter()
                .map(move |factor| factor * 10_f64.powi(power))
        })
        .filter(|value| *value >= min && *value <= max)
        .collect()
}

/// Writes a number of one digit.
fn write_digit(value: f64) -> String {
    if (1e-4..1e5).contains(&value) {
        let places = (-value.log10().floor()).max(0.0) as usize;
        format!("{value:.places$}")
    } else {
        with_minus(&format!("{value:.0e}"))
    }
}

fn superscript(power: i32) -> String {
    power.to_string().chars().map(superscript_digit).collect()
}

fn superscript_digit(letter: char) -> char {
    match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(scale: Scale, low: f64, high: f64) -> String {
        ticks(scale, low, high, 6)
            .named
            .into_iter()
            .map(|(_, name)| name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(names(Scale::Linear, 0.0, 1.0), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(names(Scale::Linear, 83.0, 96.0), "85.0 87.5 90.0 92.5 95.0");
        assert_eq!(names(Scale::Linear, -3.0, 3.0), "−3 −2 −1 0 1 2 3");
        assert_eq!(
            names(Scale::Linear, 1e9, 4e9),
            "1e9 1.5e9 2e9 2.5e9 3e9 3.5e9 4e9"
        );
        assert_eq!(names(Scale::Whole, 0.6, 15.4), "5 10 15");
        assert_eq!(names(Scale::Whole, 0.0, 2.0), "1");
        assert_eq!(names(Scale::Whole, 1.0 - 0.06, 3.0 + 0.06), "1 2 3");
        assert_eq!(names(Scale::Log, 0.003, 40.0), "0.01 0.1 1 10");
        assert_eq!(names(Scale::Log, 2e-4, 0.5), "0.001 0.01 0.1");
        assert_eq!(names(Scale::Log, 3e-6, 2e-2), "10⁻⁵ 10⁻⁴ 10⁻³ 10⁻²");
        assert_eq!(names(Scale::Log, 0.15, 3.0), "0.2 0.5 1 2");
        assert_eq!(
            names(Scale::Log, 2.1, 2.4),
            "2.10 2.15 2.20 2.25 2.30 2.35 2.40"
        );
        assert_eq!(names(Scale::Log, 1e-30, 1e30), "10⁻²² 10⁻¹¹ 10⁰ 10¹¹ 10²²");
    }

    #[test]
    fn constant_and_missing_values_have_a_range() {
        assert_eq!(range(Scale::Linear, [5.0, 5.0].into_iter()), (4.5, 5.5));
        assert_eq!(range(Scale::Linear, [f64::NAN].into_iter()), (0.0, 1.0));
        assert_eq!(range(Scale::Whole, [1.0].into_iter()), (0.0, 2.0));
        assert_eq!(
            range(Scale::Log, [-1.0, 0.0, f64::INFINITY].into_iter()),
            (1.0, 10.0)
        );
        let (low, high) = range(Scale::Linear, [0.0].into_iter());
        assert!(low < 0.0 && high > 0.0);
    }

    proptest! {
        #[test]
        fn ticks_lie_within_the_range(values in prop::collection::vec(prop::num::f64::ANY, 0..6), about in 0_usize..12) {
            for scale in [Scale::Linear, Scale::Log, Scale::Whole] {
                // Whole numbers are epochs.
                let values: Vec<f64> = match scale {
                    Scale::Whole => values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v as u32)).collect(),
                    _ => values.clone(),
                };
                let (low, high) = range(scale, values.iter().copied());
                prop_assert!(low < high && low.is_finite() && high.is_finite(), "{scale:?} {low} {high}");
                for value in values.iter().filter(|v| v.is_finite() && v.abs() < MAX_SIZE && (scale != Scale::Log || **v > MIN_LOG_SIZE)) {
                    prop_assert!(low <= *value && *value <= high);
                }
                let ticks = ticks(scale, low, high, about);
                prop_assert!(ticks.named.len() <= 110);
                for (place, _) in &ticks.named {
                    let slack = 1e-6 * (high - low);
                    prop_assert!(*place >= low - slack && *place <= high + slack, "{scale:?} {low} {high} {place}");
                }
            }
        }
    }
}
