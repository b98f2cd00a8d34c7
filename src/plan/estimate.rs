//! How long the remaining trials may take. From this sweep's own finished trials where there are
//! any; for the built-in task before its first trial, from what a reference machine needed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::grid::{ArmIndex, Grid, PointIndex};
use crate::spec::task::{OptimizerKind, ParamDefault, TaskParam};
use crate::spec::{Config, ParamValue, Spec, Task};

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Durations of this sweep's finished trials.
    Measured,
    /// The built-in task's cost on one core of the reference machine (docs/benchmarks.md).
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

/// Duration of a training step on one core of the reference machine, in seconds.
struct StepCost {
    /// For each step, independent of its size.
    per_step: f64,
    /// For each image in it.
    per_image: f64,
}

impl StepCost {
    /// Fitted to steps of 12 and of 100 images (docs/benchmarks.md).
    fn of(optimizer: OptimizerKind) -> Self {
        match optimizer {
            OptimizerKind::Sgd | OptimizerKind::SgdMomentum => Self {
                per_step: 0.017,
                per_image: 0.00165,
            },
            OptimizerKind::Adam => Self {
                per_step: 0.024,
                per_image: 0.0017,
            },
            OptimizerKind::Adahessian => Self {
                per_step: 0.20,
                per_image: 0.0041,
            },
            // It spends about the first third of its epochs as SGD with momentum.
            OptimizerKind::Hybrid => Self {
                per_step: 0.145,
                per_image: 0.0034,
            },
        }
    }
}

/// Seconds to evaluate an image on one core of the reference machine.
const REFERENCE_EVAL_SECONDS: f64 = 0.00044;

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
        let each = match (measured.get(&arm), &spec.task, mean) {
            (Some(own), ..) => *own,
            (None, Task::MnistResnet18, None) => reference_seconds(&first())?,
            // An arm that has not begun, in a sweep that has: scaled by what the others needed.
            (None, Task::MnistResnet18, Some(_)) => {
                reference_seconds(&first())? * machine_factor(grid, measured)?
            }
            (None, Task::Worker(_) | Task::Program(_), known) => known?,
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
fn machine_factor(grid: &Grid, measured: &BTreeMap<ArmIndex, f64>) -> Option<f64> {
    let ratios: Vec<f64> = measured
        .iter()
        .filter_map(|(&arm, seconds)| {
            Some(seconds / reference_seconds(&grid[arm].config(PointIndex(0)))?)
        })
        .collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// Duration of one trial of the built-in task on the reference machine, in seconds.
fn reference_seconds(config: &Config) -> Option<f64> {
    let optimizer = match config.get("optimizer")? {
        ParamValue::Text(name) => OptimizerKind::from_name(name)?,
        _ => return None,
    };

    // Images for training and of the validation set; the test set, as large, is evaluated once.
    let (train, val) = if config.get("data_dir").is_some() {
        (60_000.0, 5000.0)
    } else {
        (1200.0, 200.0)
    };
    let images = number(config, "train_images").map_or(train, |limit: f64| limit.min(train));

    let cost = StepCost::of(optimizer);
    let steps = (images / number(config, "batch_size")?).ceil();
    let epoch =
        steps * cost.per_step + images * cost.per_image + (images + val) * REFERENCE_EVAL_SECONDS;
    Some(number(config, "epochs")? * epoch + val * REFERENCE_EVAL_SECONDS)
}

/// The value of a parameter of the built-in task, or its default.
fn number(config: &Config, name: &str) -> Option<f64> {
    let given = config.get(name).and_then(ParamValue::as_f64);
    given.or_else(|| match TaskParam::find(name)?.default {
        ParamDefault::Int(value) => Some(value as f64),
        ParamDefault::Float(value) => Some(value),
        ParamDefault::Required | ParamDefault::Unset | ParamDefault::Text(_) => None,
    })
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
