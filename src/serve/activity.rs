//! The sections of the first view about what runs: trials, devices, failures.

use serde::Serialize;

use crate::monitor::{Failures, RunningTrial, Sweep};
use crate::protocol::{Place, Real, Unit};
use crate::spec::ParamValue;

/// Number of failed trials that are named for each kind of failure.
const MAX_EXAMPLES: usize = 5;

#[derive(Serialize)]
pub(super) struct RunningView {
    trial: String,
    label: String,
    values: String,
    seed: u64,
    phase: &'static str,
    epoch: Option<Place>,
    /// The step, if its history is by steps.
    step: Option<Place>,
    /// Number of epochs that it will have, if a parameter tells.
    epochs: Option<i64>,
    metric: Option<Real>,
    /// Milliseconds since 1970.
    started: i64,
    slot: Option<u32>,
    device: Option<String>,
}

/// The trials that run.
pub(super) fn running(sweep: &Sweep) -> Vec<RunningView> {
    sweep
        .running()
        .map(|running| running_view(sweep, running))
        .collect()
}

fn running_view(sweep: &Sweep, running: &RunningTrial) -> RunningView {
    let trial = &running.trial;
    let config = sweep.grid()[trial.arm].config(trial.index);
    let position = running.epoch.as_ref().map(|(position, _)| *position);
    let metrics = running.epoch.as_ref().map(|(_, metrics)| metrics);
    RunningView {
        trial: trial.id.to_string(),
        label: sweep.names().arm(trial.arm).to_owned(),
        values: sweep.names().values(trial),
        seed: trial.id.seed,
        phase: trial.phase.name(),
        epoch: position.and_then(|position| position.of(Unit::Epoch)),
        step: position.and_then(|position| position.of(Unit::Step)),
        epochs: match config.get("epochs") {
            Some(ParamValue::Int(epochs)) => Some(*epochs),
            _ => None,
        },
        metric: metrics
            .and_then(|metrics| metrics.get(&sweep.spec().metric.name))
            .map(Real),
        started: running.started,
        slot: running.slot.as_ref().map(|(slot, _)| *slot),
        device: running.slot.as_ref().map(|(_, device)| device.clone()),
    }
}

#[derive(Serialize)]
pub(super) struct FailureView {
    kind: &'static str,
    /// The kind as people read it.
    name: String,
    /// Trials with no retries left.
    failed: usize,
    /// Trials that will be retried.
    to_retry: u64,
    message: String,
    examples: Vec<String>,
}

/// The failures by kind.
pub(super) fn failures(sweep: &Sweep) -> Vec<FailureView> {
    sweep.failures().into_iter().map(failure_view).collect()
}

fn failure_view(failures: Failures) -> FailureView {
    FailureView {
        kind: failures.kind.name(),
        name: failures.kind.to_string(),
        failed: failures.failed.len(),
        to_retry: failures.to_retry,
        message: failures.message,
        examples: failures
            .failed
            .iter()
            .take(MAX_EXAMPLES)
            .map(ToString::to_string)
            .collect(),
    }
}

#[derive(Serialize)]
pub(super) struct DeviceView {
    slot: usize,
    /// The device as `--devices` names it.
    place: String,
    /// The device as the worker names it.
    device: Option<String>,
    /// Number of trials that succeeded on it.
    done: u64,
    /// How long they took.
    seconds: f64,
    /// The trials that run on it.
    trials: Vec<String>,
}

/// The slots, and what they do.
pub(super) fn devices(sweep: &Sweep) -> Vec<DeviceView> {
    sweep
        .slots()
        .into_iter()
        .enumerate()
        .map(|(slot, place)| {
            let work = sweep.slot_work().get(&(slot as u32));
            DeviceView {
                slot,
                place: place.to_owned(),
                device: work.map(|work| work.device.clone()),
                done: work.map_or(0, |work| work.done),
                seconds: work.map_or(0.0, |work| work.seconds),
                trials: running_on(sweep, slot),
            }
        })
        .collect()
}

/// The trials that run in a slot.
fn running_on(sweep: &Sweep, slot: usize) -> Vec<String> {
    sweep
        .running()
        .filter(|running| {
            running
                .slot
                .as_ref()
                .is_some_and(|(number, _)| *number as usize == slot)
        })
        .map(|running| running.trial.id.to_string())
        .collect()
}
