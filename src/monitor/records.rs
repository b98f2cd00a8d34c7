//! What is known of running trials, latest attempts, slots and failures.

use crate::grid::TrialId;
use crate::plan::PlannedTrial;
use crate::protocol::{FailureKind, Metrics, Position};

/// What a slot has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotWork {
    /// The device, as its last worker named it.
    pub device: String,
    /// Number of trials that succeeded there.
    pub done: u64,
    /// How long they took, in seconds.
    pub seconds: f64,
}

/// The latest attempt at a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestAttempt {
    pub(super) number: i64,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
    /// If it failed: the kind of failure, and the message.
    pub failure: Option<(FailureKind, String)>,
}

/// A trial that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningTrial {
    /// The trial.
    pub trial: PlannedTrial,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// Its slot, and the device's name.
    pub slot: Option<(u32, String)>,
    /// Its last epoch or step, and the metrics at its end.
    pub epoch: Option<(Position, Metrics)>,
}

/// Trials whose latest attempt failed in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Failures {
    /// The kind of failure.
    pub kind: FailureKind,
    /// Trials that failed and have no retries left, by id.
    pub failed: Vec<TrialId>,
    /// Number of trials that will be retried.
    pub to_retry: u64,
    /// The message of the first of them.
    pub message: String,
}
