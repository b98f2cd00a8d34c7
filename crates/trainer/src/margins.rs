//! How the tests compare numbers that differ by rounding.
//!
//! Rounding depends on the instructions that libtorch picks, so a bound that holds on one processor
//! may not hold on another. Bits are compared only between runs on one machine that compute the
//! same thing in the same way. Every other bound is at least five times the distance that was
//! measured at the three levels of `scripts/test-processors.sh`. What is compared does not grow
//! with training: one step, double precision, a norm, a mean.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

use tch::{Kind, Tensor};

/// If set, the file that every distance and its bound are appended to.
/// `scripts/test-processors.sh` shows the narrowest ones.
const MARGINS_VARIABLE: &str = "PENTAGRID_MARGINS";

/// Asserts that a distance is below its bound.
#[track_caller]
pub(crate) fn assert_within(what: impl Display, distance: f64, bound: f64) {
    if let Some(path) = std::env::var_os(MARGINS_VARIABLE) {
        let line = format!(
            "{:.3e}\t{distance:.2e}\t{bound:.0e}\t{what}\n",
            bound / distance
        );
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    assert!(
        distance < bound,
        "{what}: differs by {distance:e}, which is not below {bound:e}"
    );
}

/// The norm of the difference, divided by the norm of what is expected.
pub(crate) fn share(found: &Tensor, expected: &Tensor) -> f64 {
    let [found, expected] = [found, expected].map(|tensor| tensor.detach().to_kind(Kind::Double));
    ((found - &expected).norm() / expected.norm()).double_value(&[])
}

/// Asserts that tensors of one shape differ by less than `bound` times the norm of the expected
/// one.
#[track_caller]
pub(crate) fn assert_near(what: impl Display, found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.size(), expected.size(), "{what}");
    assert_within(what, share(found, expected), bound);
}

/// Asserts that two numbers differ by less than `bound` times the expected one.
#[track_caller]
pub(crate) fn assert_ratio(what: impl Display, found: f64, expected: f64, bound: f64) {
    assert_within(what, (found / expected - 1.0).abs(), bound);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_beyond_the_bound_and_nan_are_refused() {
        assert_within("near", 0.9, 1.0);
        assert_ratio("near", 2.0, 2.0 + 1e-9, 1e-8);
        for distance in [1.0, f64::INFINITY, f64::NAN] {
            assert!(
                std::panic::catch_unwind(|| assert_within("far", distance, 1.0)).is_err(),
                "{distance}"
            );
        }
    }
}
