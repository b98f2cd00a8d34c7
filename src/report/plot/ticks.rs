//! Ranges that hold all data with some air around it, and round numbers to put ticks at. Pure
//! arithmetic.

use super::model::Scale;

/// Ticks of an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ticks {
    /// With a name.
    pub named: Vec<(f64, String)>,
    /// Between these, without one.
    pub minor: Vec<f64>,
}

/// Data may be as big or, on a log axis, as small as floats are; the air around it must not leave
/// them.
const BIGGEST: f64 = 1e300;
const SMALLEST: f64 = 1e-300;

/// The range of an axis: holds every value that has a place on it.
pub(super) fn range(scale: Scale, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let has_place = |value: &f64| {
        value.is_finite() && value.abs() < BIGGEST && (scale != Scale::Log || *value > SMALLEST)
    };
    let (low, high) = values
        .filter(has_place)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    match (scale, low <= high) {
        (Scale::Log, false) => (1.0, 10.0),
        (_, false) => (0.0, 1.0),
        (Scale::Slots, _) => (low - 0.5, high + 0.5),
        (Scale::Whole, _) if low == high => (low - 1.0, high + 1.0),
        (Scale::Whole, _) => widen(scale, low, high, 0.03),
        (Scale::Log, _) if high / low < 1.05 => ((low / 1.5).max(f64::MIN_POSITIVE), high * 1.5),
        (Scale::Log, _) => widen(scale, low, high, 0.05),
        (Scale::Linear, _) => {
            let size = low.abs().max(high.abs());
            // What differs by rounding only is constant.
            let spread = if high - low > (1e-9 * size).max(SMALLEST) {
                high - low
            } else {
                0.0
            };
            let air = match size {
                _ if spread > 0.0 => 0.05 * spread,
                size if size > SMALLEST => 0.1 * size,
                _ => 1.0,
            };
            (low - air, high + air)
        }
    }
}

/// A range with air on both sides, in parts of its length.
pub(super) fn widen(scale: Scale, low: f64, high: f64, part: f64) -> (f64, f64) {
    if scale == Scale::Log {
        let air = ((high.ln() - low.ln()) * part).exp();
        return (
            (low / air).max(f64::MIN_POSITIVE),
            (high * air).min(f64::MAX),
        );
    }
    let air = part * (high - low);
    (low - air, high + air)
}

/// Round numbers within a range, about so many.
pub(super) fn ticks(scale: Scale, low: f64, high: f64, about: usize) -> Ticks {
    let about = about.max(2);
    match scale {
        Scale::Linear | Scale::Slots => Ticks {
            named: linear(low, high, about),
            minor: Vec::new(),
        },
        Scale::Whole => {
            // A short tick at each epoch between the named ones, while there is room for them.
            let minor = if high - low <= 40.0 {
                multiples(low + 0.02 * (high - low), high - 0.02 * (high - low), 1.0)
            } else {
                Vec::new()
            };
            Ticks {
                named: whole(low, high, about),
                minor,
            }
        }
        Scale::Log => log(low, high, about),
    }
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is no less.
fn round_up(step: f64, factors: &[f64]) -> f64 {
    let power = 10_f64.powi(step.log10().floor() as i32);
    let found = factors
        .iter()
        .map(|factor| factor * power)
        .find(|round| *round >= step * (1.0 - 1e-9));
    found.unwrap_or(10.0 * power)
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(-1.0, 100.0);
    // Adding zero turns -0 into 0.
    (0..=count as i64)
        .map(|number| (first + number as f64) * step + 0.0)
        .collect()
}

fn linear(low: f64, high: f64, about: usize) -> Vec<(f64, String)> {
    let step = round_up((high - low) / about as f64, &[1.0, 2.0, 2.5, 5.0]);
    multiples(low, high, step)
        .into_iter()
        .map(|value| (value, write(value, step)))
        .collect()
}

/// As many decimals as the step between ticks has; an exponent for what is very big or very small.
fn write(value: f64, step: f64) -> String {
    let biggest = value.abs().max(step);
    if value == 0.0 {
        return "0".to_owned();
    }
    if biggest >= 1e6 || step < 1e-5 {
        let digits = ((biggest.log10().floor() - step.log10().floor()) as usize).min(4);
        let text = format!("{value:.digits$e}");
        let (number, power) = text.split_once('e').unwrap_or((&text, "0"));
        let number = if number.contains('.') {
            number.trim_end_matches('0').trim_end_matches('.')
        } else {
            number
        };
        return minus(&format!("{number}e{power}"));
    }
    // A step of 0.25 has two decimals, one of 0.2 or 20 has one or none.
    let decimals = (0..9).find(|&places| {
        let shifted = step * 10_f64.powi(places);
        (shifted - shifted.round()).abs() < 1e-6
    });
    minus(&format!(
        "{value:.places$}",
        places = decimals.unwrap_or(9) as usize
    ))
}

/// A minus of a plus's width in place of the hyphen.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

fn whole(low: f64, high: f64, about: usize) -> Vec<(f64, String)> {
    let step = round_up(((high - low) / about as f64).max(1.0), &[1.0, 2.0, 5.0]);
    // None in the air beyond the data: there is no epoch 0.
    let air = 0.027 * (high - low);
    multiples(low + air, high - air, step)
        .into_iter()
        .map(|value| (value, write(value, 1.0)))
        .collect()
}

fn log(low: f64, high: f64, about: usize) -> Ticks {
    let (first, last) = (
        (low.log10() - 1e-9).ceil() as i32,
        (high.log10() + 1e-9).floor() as i32,
    );
    let within = |value: &f64| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9);
    let digits = |factors: &[f64]| -> Vec<f64> {
        (first - 1..=last)
            .flat_map(|power| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(power))
            })
            .filter(within)
            .collect()
    };
    if last - first >= 1 {
        let decades = (last - first + 1) as usize;
        let step = decades.div_ceil(about) as i32;
        let named = (first..=last)
            .filter(|power| power.rem_euclid(step) == 0)
            .map(|power| {
                let plain = first >= -3 && last <= 3;
                let text = if plain {
                    format!("{}", 10_f64.powi(power))
                } else {
                    format!("10{}", superscript(power))
                };
                (10_f64.powi(power), text)
            });
        let minor = match (step, decades) {
            (1, ..=8) => digits(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
            _ => (first..=last).map(|power| 10_f64.powi(power)).collect(),
        };
        return Ticks {
            named: named.collect(),
            minor,
        };
    }
    let minor = digits(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    for factors in [
        &[1.0, 2.0, 5.0][..],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0][..],
    ] {
        let found = digits(factors);
        if found.len() >= 3 {
            let named = found
                .into_iter()
                .map(|value| (value, short(value)))
                .collect();
            return Ticks { named, minor };
        }
    }
    Ticks {
        named: linear(low, high, about),
        minor: Vec::new(),
    }
}

/// A number of one digit.
fn short(value: f64) -> String {
    if (1e-4..1e5).contains(&value) {
        let places = (-value.log10().floor()).max(0.0) as usize;
        format!("{value:.places$}")
    } else {
        minus(&format!("{value:.0e}"))
    }
}

fn superscript(power: i32) -> String {
    let digit = |letter: char| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    power.to_string().chars().map(digit).collect()
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
    fn constants_and_nothing_have_a_range() {
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
                for value in values.iter().filter(|v| v.is_finite() && v.abs() < BIGGEST && (scale != Scale::Log || **v > SMALLEST)) {
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
