//! Mean and sample standard deviation of numbers of any size: close to each other and far from
//! zero, too large to be added, or too small to be squared.

use std::ops::RangeInclusive;

/// Larger numbers are scaled down before they are added.
const MAX_UNSCALED: f64 = 1e290;
/// The factor by which they are scaled: a power of two, so that no digit is lost.
const SCALE: f64 = 1.0 / 18_446_744_073_709_551_616.0;
/// Deviations whose squares neither overflow nor vanish.
const SQUARABLE: RangeInclusive<f64> = 1e-140..=1e140;

/// How many times the mean the largest value is if values cancel each other.
const CANCELLATION: f64 = 1024.0;

/// Returns mean and sample standard deviation (n - 1 in the denominator; None for fewer than two
/// values).
///
/// The mean of finite values is finite. A value that is not finite makes the mean not finite and
/// the deviation NaN; the mean of no values is NaN.
///
/// Two passes: the mean of compensated sums, corrected by the mean of what is left over, then the
/// deviations from it (T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample
/// variance, The American Statistician 37 (1983), equation 1.7).
pub fn moments(values: &[f64]) -> (f64, Option<f64>) {
    if values.iter().any(|value| !value.is_finite()) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        return (mean, (values.len() > 1).then_some(f64::NAN));
    }
    if max_abs(values.iter().copied()) > MAX_UNSCALED {
        let scaled: Vec<f64> = values.iter().map(|value| value * SCALE).collect();
        let (mean, std) = finite_moments(&scaled);
        return (mean / SCALE, std.map(|std| std / SCALE));
    }
    finite_moments(values)
}

fn finite_moments(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;

    // The mean of the deviations corrects the rounding of the first mean. Where large values cancel
    // each other, the deviations are rounded by more than the correction is worth.
    let rough = compensated_sum(values.iter().copied()) / n;
    let mean = if max_abs(values.iter().copied()) > CANCELLATION * rough.abs() {
        rough
    } else {
        rough + compensated_sum(values.iter().map(|value| value - rough)) / n
    };
    if values.len() < 2 {
        return (mean, None);
    }

    let deviations = || values.iter().map(|value| value - mean);
    let largest = max_abs(deviations());
    if largest == 0.0 {
        return (mean, Some(0.0));
    }

    // Squares of numbers far from one overflow or vanish.
    let unit = if SQUARABLE.contains(&largest) {
        1.0
    } else {
        largest
    };
    let squares = compensated_sum(deviations().map(|deviation| (deviation / unit).powi(2)));
    let rest = compensated_sum(deviations().map(|deviation| deviation / unit));
    let variance = (squares - rest * rest / n) / (n - 1.0);
    (mean, Some(variance.max(0.0).sqrt() * unit))
}

fn max_abs(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

/// Adds numbers and keeps what each addition rounds away (A. Neumaier, ZAMM 54 (1974)).
fn compensated_sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut sum: f64 = 0.0;
    let mut lost: f64 = 0.0;
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() {
            (sum - next) + value
        } else {
            (value - next) + sum
        };
        sum = next;
    }
    sum + lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_far_from_zero_keep_their_deviation() {
        assert_eq!(
            moments(&[1e16, 1e16 + 2.0, 1e16 + 4.0]),
            (1e16 + 2.0, Some(2.0))
        );
        assert_eq!(
            moments(&[1e16 + 4.0, 1e16, 1e16 + 2.0]),
            (1e16 + 2.0, Some(2.0))
        );
        assert_eq!(
            moments(&[-1e16, -1e16 - 2.0, -1e16 - 4.0]),
            (-1e16 - 2.0, Some(2.0))
        );
        let (mean, std) = moments(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert_eq!(mean, 1e9 + 10.0);
        assert!((std.unwrap().powi(2) - 30.0).abs() < 1e-12);
    }

    #[test]
    fn large_values_that_cancel_leave_the_mean_of_the_rest() {
        assert_eq!(moments(&[1e16, 1.0, -1e16]).0, 1.0 / 3.0);
        assert_eq!(moments(&[-1e16, 1e16, 1.0]).0, 1.0 / 3.0);
        assert_eq!(moments(&[1e300, 1.0, -1e300]).0, 1.0 / 3.0);
        assert_eq!(moments(&[5.0, -5.0]), (0.0, Some(50.0_f64.sqrt())));
    }

    #[test]
    fn large_values_have_a_mean() {
        assert_eq!(moments(&[1e308, 1e308]), (1e308, Some(0.0)));
        assert_eq!(moments(&[-1.7e308; 5]), (-1.7e308, Some(0.0)));
        let (mean, std) = moments(&[1e308, -1e308]);
        assert_eq!(mean, 0.0);
        assert!((std.unwrap() / 1e308 - 2.0_f64.sqrt()).abs() < 1e-12);
        // Too large to be squared, and too small.
        let (mean, std) = moments(&[1e200, 3e200]);
        assert!(mean == 2e200 && (std.unwrap() / 1e200 - 2.0_f64.sqrt()).abs() < 1e-12);
        let (mean, std) = moments(&[1e-200, 3e-200]);
        assert!(
            (mean / 2e-200 - 1.0).abs() < 1e-12
                && (std.unwrap() / 1e-200 - 2.0_f64.sqrt()).abs() < 1e-12
        );
    }

    #[test]
    fn equal_values_are_their_own_mean_without_deviation() {
        for value in [
            0.1,
            1.0 / 3.0,
            93.7,
            1e-300,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -0.7,
        ] {
            assert_eq!(moments(&[value; 7]), (value, Some(0.0)), "{value}");
        }
        assert_eq!(moments(&[0.1, 0.2, 0.3]).0, 0.2);
    }

    #[test]
    fn values_that_are_not_finite_show_in_the_result() {
        let (mean, std) = moments(&[f64::NAN, 1.0]);
        assert!(mean.is_nan() && std.unwrap().is_nan());
        let (mean, std) = moments(&[f64::INFINITY, 1.0]);
        assert!(mean == f64::INFINITY && std.unwrap().is_nan());
        assert!(moments(&[f64::INFINITY, f64::NEG_INFINITY]).0.is_nan());
        assert_eq!(moments(&[2.5]), (2.5, None));
        assert!(moments(&[]).0.is_nan() && moments(&[]).1.is_none());
    }

    proptest! {
        /// Shifted by a number that all sums hold exactly, and scaled by a power of two: the
        /// deviation stays what it was.
        #[test]
        fn shifting_and_scaling_lose_no_digits(
            values in prop::collection::vec(-1000_i64..1000, 2..40),
            shift in -(1_i64 << 45)..(1_i64 << 45),
            power in -900_i32..900,
        ) {
            let plain: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            let (mean, std) = moments(&plain);
            let n = values.len() as i64;
            let (sum, squares) = (values.iter().sum::<i64>(), values.iter().map(|value| value * value).sum::<i64>());
            let variance = (n * squares - sum * sum) as f64 / (n * (n - 1)) as f64;
            prop_assert!((mean - sum as f64 / n as f64).abs() <= 1e-12 * 1000.0);
            prop_assert!((std.unwrap() - variance.sqrt()).abs() <= 1e-12 * (1.0 + variance.sqrt()));

            let shifted: Vec<f64> = values.iter().map(|value| (value + shift) as f64).collect();
            prop_assert!((moments(&shifted).1.unwrap() - variance.sqrt()).abs() <= 1e-6 * (1.0 + variance.sqrt()));
            let scale = 2_f64.powi(power);
            let scaled: Vec<f64> = plain.iter().map(|value| value * scale).collect();
            let (scaled_mean, scaled_std) = moments(&scaled);
            prop_assert!((scaled_mean / scale - mean).abs() <= 1e-12 * 1000.0);
            prop_assert!((scaled_std.unwrap() / scale - variance.sqrt()).abs() <= 1e-12 * (1.0 + variance.sqrt()));
        }

        #[test]
        fn the_mean_of_finite_values_lies_among_them(values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..20)) {
            let (mean, std) = moments(&values);
            let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
            let slack = (high.abs().max(low.abs())) * 1e-15;
            prop_assert!(mean.is_finite() && mean >= low - slack && mean <= high + slack, "{mean} of {low} to {high}");
            prop_assert!(std.is_none_or(|std| !std.is_nan()));
        }
    }
}
