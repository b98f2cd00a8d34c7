//! How long the remaining trials may take. From this sweep's own finished trials where there are
//! any; for a built-in task before its first trial, from what a reference machine needed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::grid::{ArmIndex, Grid, PointIndex};
use crate::spec::Spec;
use crate::tasks::BuiltIn;

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Durations of this sweep's finished trials.
    Measured,
    /// A built-in task's cost on one core of the reference machine (docs/benchmarks.md).
    Reference,
}

/// An estimate of the time that a list of trials takes on one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Sum of the trials' durations.
    pub work: Duration,
    /// What it rests on.
    pub basis: Basis,
}

/// Estimates the work of the trials that are `left`, counted by arm. An arm's first point stands
/// for all of its points.
///
/// `measured` holds the mean duration of finished trials in seconds. Returns None where nothing is
/// known.
pub fn estimate(
    spec: &Spec,
    grid: &Grid,
    left: impl IntoIterator<Item = (ArmIndex, u64)>,
    measured: &BTreeMap<ArmIndex, f64>,
) -> Option<Estimate> {
    let mean =
        (!measured.is_empty()).then(|| measured.values().sum::<f64>() / measured.len() as f64);

    let mut seconds = 0.0;
    for (arm, trials) in left {
        let first = || grid[arm].config(PointIndex(0));
        let each = match (measured.get(&arm), spec.task.built_in(), mean) {
            (Some(own), ..) => *own,
            (None, Some(task), None) => (task.reference_seconds)(&first())?,
            // An arm that has not begun, in a sweep that has: scaled by what the others needed.
            (None, Some(task), Some(_)) => {
                (task.reference_seconds)(&first())? * machine_factor(task, grid, measured)?
            }
            (None, None, known) => known?,
        };
        seconds += each * trials as f64;
    }

    let basis = if measured.is_empty() {
        Basis::Reference
    } else {
        Basis::Measured
    };
    Some(Estimate {
        work: Duration::try_from_secs_f64(seconds).ok()?,
        basis,
    })
}

/// How many times as long as the reference machine this one takes: the mean over the arms that have
/// finished trials.
fn machine_factor(task: &BuiltIn, grid: &Grid, measured: &BTreeMap<ArmIndex, f64>) -> Option<f64> {
    let ratios: Vec<f64> = measured
        .iter()
        .filter_map(|(&arm, seconds)| {
            Some(seconds / (task.reference_seconds)(&grid[arm].config(PointIndex(0)))?)
        })
        .collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    /// The quick sweep, whose 50 tuning trials took 6.9 core-minutes together with its 15 final
    /// ones.
    fn quick() -> Spec {
        let text = include_str!("../../sweeps/quick.yaml");
        spec::read(text, "quick.yaml").unwrap()
    }

    fn seconds(measured: &[(usize, f64)], counts: [u64; 5]) -> Option<(f64, Basis)> {
        let spec = quick();
        let grid = Grid::new(&spec);
        let left = (0..).map(ArmIndex).zip(counts);
        let measured = measured
            .iter()
            .map(|(arm, seconds)| (ArmIndex(*arm), *seconds))
            .collect();
        let estimate = estimate(&spec, &grid, left, &measured)?;
        Some((estimate.work.as_secs_f64(), estimate.basis))
    }

    #[test]
    fn before_the_first_trial_the_reference_machine_counts() {
        let (work, basis) = seconds(&[], [13; 5]).unwrap();
        assert_eq!(basis, Basis::Reference);
        assert!(
            (200.0..600.0).contains(&work),
            "{work} s for the quick sweep"
        );
    }

    #[test]
    fn after_that_the_trials_of_each_arm_count() {
        let all: Vec<(usize, f64)> = (0..5).map(|arm| (arm, 2.0 + arm as f64)).collect();
        assert_eq!(
            seconds(&all, [1, 0, 2, 0, 1]),
            Some((2.0 + 8.0 + 6.0, Basis::Measured))
        );
    }

    #[test]
    fn an_arm_that_has_not_begun_is_scaled_by_the_other_arms() {
        let (reference, _) = seconds(&[], [1, 0, 0, 0, 0]).unwrap();
        let (other, _) = seconds(&[], [0, 0, 0, 1, 0]).unwrap();
        let (scaled, _) = seconds(&[(0, 3.0 * reference)], [0, 0, 0, 1, 0]).unwrap();
        assert!((scaled / (3.0 * other) - 1.0).abs() < 1e-9);
    }
}
