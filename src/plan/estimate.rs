//! How long the trials that are left may take. From this sweep's own finished trials where there are any; for
//! the built-in task before its first trial, from what a reference machine needed.

use std::collections::BTreeMap;
use std::time::Duration;

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

/// Seconds that a training step of 100 images takes on one core of the reference machine, and what evaluating
/// 100 images adds, by optimizer: measured, see docs/benchmarks.md.
fn reference_step_seconds(kind: OptimizerKind) -> f64 {
    match kind {
        OptimizerKind::Sgd => 0.26,
        OptimizerKind::SgdMomentum => 0.27,
        OptimizerKind::Adam => 0.30,
        OptimizerKind::Adahessian => 1.14,
        // It spends about the first third of its epochs as SGD with momentum.
        OptimizerKind::Hybrid => 0.85,
    }
}

/// Seconds to evaluate 100 images on one core of the reference machine.
const REFERENCE_EVAL_SECONDS: f64 = 0.07;

/// Estimates the work of some trials, given as (arm number, configuration of a typical point, count).
/// `measured` holds the mean duration in seconds of finished trials by arm number. None where nothing is known.
pub fn estimate<'a>(
    spec: &Spec,
    left: impl IntoIterator<Item = (usize, &'a Config, u64)>,
    measured: &BTreeMap<usize, f64>,
) -> Option<Estimate> {
    let mean = (!measured.is_empty()).then(|| measured.values().sum::<f64>() / measured.len() as f64);
    let mut seconds = 0.0;
    for (arm, config, count) in left {
        let each = match (measured.get(&arm), &spec.task, mean) {
            (Some(own), ..) => *own,
            (None, Task::MnistResnet18, None) => reference_seconds(config)?,
            // An arm that has not begun, in a sweep that has: scaled by what its neighbours needed.
            (None, Task::MnistResnet18, Some(_)) => reference_seconds(config)? * scale(spec, measured)?,
            (None, Task::Worker(_), known) => known?,
        };
        seconds += each * count as f64;
    }
    let basis = if measured.is_empty() { Basis::Reference } else { Basis::Measured };
    Some(Estimate { work: Duration::try_from_secs_f64(seconds).ok()?, basis })
}

/// How much slower or faster this machine is than the reference, from the arms that have finished trials.
fn scale(spec: &Spec, measured: &BTreeMap<usize, f64>) -> Option<f64> {
    let ratios: Vec<f64> = measured
        .iter()
        .filter_map(|(&arm, seconds)| {
            let first: Config = spec.arms[arm].axes.iter().map(|axis| (axis.name.clone(), axis.values[0].clone())).collect();
            Some(seconds / reference_seconds(&first)?)
        })
        .collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// What one trial of the built-in task takes on the reference machine, in seconds.
fn reference_seconds(config: &Config) -> Option<f64> {
    let number = |name: &str| config.get(name).and_then(ParamValue::as_f64).or_else(|| default_of(name));
    let optimizer = match config.get("optimizer")? {
        ParamValue::Text(name) => OptimizerKind::from_name(name)?,
        _ => return None,
    };
    let full = if config.get("data_dir").is_some() { (60_000.0, 10_000.0) } else { (1200.0, 400.0) };
    let images = number("train_images").map_or(full.0, |limit: f64| limit.min(full.0));
    let train = images / 100.0 * reference_step_seconds(optimizer);
    let evaluate = (images + full.1 / 2.0) / 100.0 * REFERENCE_EVAL_SECONDS;
    Some(number("epochs")? * (train + evaluate))
}

fn default_of(name: &str) -> Option<f64> {
    match TaskParam::find(name)?.default {
        ParamDefault::Int(value) => Some(value as f64),
        ParamDefault::Float(value) => Some(value),
        ParamDefault::Required | ParamDefault::Unset => None,
    }
}
