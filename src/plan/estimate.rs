//! How long the trials that are left may take. From this sweep's own finished trials where there
//! are any; for the built-in task before its first trial, from what a reference machine needed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::grid::Grid;
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

/// What a training step takes on one core of the reference machine, by optimizer: seconds a step,
/// whatever its size, and seconds an image. From steps of 12 and of 100 images
/// (docs/benchmarks.md).
fn reference_step_seconds(kind: OptimizerKind) -> (f64, f64) {
    match kind {
        OptimizerKind::Sgd | OptimizerKind::SgdMomentum => (0.017, 0.00165),
        OptimizerKind::Adam => (0.024, 0.0017),
        OptimizerKind::Adahessian => (0.20, 0.0041),
        // It spends about the first third of its epochs as SGD with momentum.
        OptimizerKind::Hybrid => (0.145, 0.0034),
    }
}

/// Seconds to evaluate an image on one core of the reference machine.
const REFERENCE_EVAL_SECONDS: f64 = 0.00044;

/// Estimates the work of some trials, given as (arm number, configuration of a typical point,
/// count). `measured` holds the mean duration in seconds of finished trials by arm number. None
/// where nothing is known.
pub fn estimate<'a>(
    spec: &Spec,
    left: impl IntoIterator<Item = (usize, &'a Config, u64)>,
    measured: &BTreeMap<usize, f64>,
) -> Option<Estimate> {
    let mean =
        (!measured.is_empty()).then(|| measured.values().sum::<f64>() / measured.len() as f64);
    let mut seconds = 0.0;
    for (arm, config, count) in left {
        let each = match (measured.get(&arm), &spec.task, mean) {
            (Some(own), ..) => *own,
            (None, Task::MnistResnet18, None) => reference_seconds(config)?,
            // An arm that has not begun, in a sweep that has: scaled by what its neighbours needed.
            (None, Task::MnistResnet18, Some(_)) => {
                reference_seconds(config)? * scale(spec, measured)?
            }
            (None, Task::Worker(_) | Task::Program(_), known) => known?,
        };
        seconds += each * count as f64;
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

/// How much slower or faster this machine is than the reference, from the arms that have finished
/// trials.
fn scale(spec: &Spec, measured: &BTreeMap<usize, f64>) -> Option<f64> {
    let grid = Grid::new(spec);
    let ratios: Vec<f64> = measured
        .iter()
        .filter_map(|(&arm, seconds)| {
            Some(seconds / reference_seconds(&grid.arms()[arm].config(0))?)
        })
        .collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// What one trial of the built-in task takes on the reference machine, in seconds.
fn reference_seconds(config: &Config) -> Option<f64> {
    let number = |name: &str| {
        config
            .get(name)
            .and_then(ParamValue::as_f64)
            .or_else(|| default_of(name))
    };
    let optimizer = match config.get("optimizer")? {
        ParamValue::Text(name) => OptimizerKind::from_name(name)?,
        _ => return None,
    };
    // Training images, and those of the validation set; the test set is passed once.
    let (train, val) = if config.get("data_dir").is_some() {
        (60_000.0, 5000.0)
    } else {
        (1200.0, 200.0)
    };
    let images = number("train_images").map_or(train, |limit: f64| limit.min(train));
    let (a_step, an_image) = reference_step_seconds(optimizer);
    let steps = (images / number("batch_size")?).ceil();
    let epoch = steps * a_step + images * an_image + (images + val) * REFERENCE_EVAL_SECONDS;
    Some(number("epochs")? * epoch + val * REFERENCE_EVAL_SECONDS)
}

fn default_of(name: &str) -> Option<f64> {
    match TaskParam::find(name)?.default {
        ParamDefault::Int(value) => Some(value as f64),
        ParamDefault::Float(value) => Some(value),
        ParamDefault::Required | ParamDefault::Unset | ParamDefault::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    /// The quick sweep, whose 50 tuning trials took 6.9 core-minutes together with its 15 final
    /// ones.
    fn quick() -> (Spec, Vec<Config>) {
        let text = include_str!("../../sweeps/quick.yaml");
        let spec = spec::read(text, "quick.yaml").unwrap();
        let grid = crate::grid::Grid::new(&spec);
        let firsts = grid.arms().iter().map(|arm| arm.config(0)).collect();
        (spec, firsts)
    }

    fn seconds(measured: &[(usize, f64)], counts: [u64; 5]) -> Option<(f64, Basis)> {
        let (spec, firsts) = quick();
        let left = counts
            .into_iter()
            .enumerate()
            .map(|(arm, count)| (arm, &firsts[arm], count));
        let estimate = estimate(&spec, left, &measured.iter().copied().collect())?;
        Some((estimate.work.as_secs_f64(), estimate.basis))
    }

    #[test]
    fn before_the_first_trial_it_goes_by_the_reference_machine() {
        let (work, basis) = seconds(&[], [13; 5]).unwrap();
        assert_eq!(basis, Basis::Reference);
        assert!(
            (200.0..600.0).contains(&work),
            "{work} s for the quick sweep"
        );
    }

    #[test]
    fn after_that_by_the_arms_own_trials() {
        let all: Vec<(usize, f64)> = (0..5).map(|arm| (arm, 2.0 + arm as f64)).collect();
        assert_eq!(
            seconds(&all, [1, 0, 2, 0, 1]),
            Some((2.0 + 8.0 + 6.0, Basis::Measured))
        );
    }

    #[test]
    fn an_arm_that_has_not_begun_is_scaled_by_its_neighbours() {
        let (reference, _) = seconds(&[], [1, 0, 0, 0, 0]).unwrap();
        let (other, _) = seconds(&[], [0, 0, 0, 1, 0]).unwrap();
        let (scaled, _) = seconds(&[(0, 3.0 * reference)], [0, 0, 0, 1, 0]).unwrap();
        assert!((scaled / (3.0 * other) - 1.0).abs() < 1e-9);
    }
}
