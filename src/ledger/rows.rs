//! What a ledger holds, as plain rows. `reader`, `versions` and `follower` fill them; the other
//! modules only read them.

use std::collections::HashMap;

use crate::grid::TrialId;
use crate::plan::{Difference, Fingerprint, Phase, Shared};
use crate::protocol::{FailureKind, Metrics, Place, Position, STEP_KEYS, Unit};

/// The state of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrialState {
    /// Not started, or to be started again.
    Waiting,
    /// A worker runs it (or ran it, if no coordinator is there).
    Running,
    /// Its result is recorded.
    Done,
    /// It failed and has no retries left.
    Failed,
}

impl TrialState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Failed];

    /// The name in the ledger, in tables and in `--state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Returns the state with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One trial that was ever started.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRow {
    /// The id.
    pub id: TrialId,
    /// The phase that it belongs to.
    pub phase: Phase,
    /// Its state.
    pub state: TrialState,
    /// Number of attempts that failed through the trial's own fault.
    pub failures: u32,
    /// The final metrics, once it is done.
    pub metrics: Option<Metrics>,
    /// What its result took from other trials.
    pub shared: Shared,
}

/// One attempt at a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRow {
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// running, done, failed or interrupted.
    pub outcome: String,
    /// Kind of failure.
    pub kind: Option<FailureKind>,
    /// What went wrong.
    pub message: Option<String>,
    /// Its part of a log file: the file relative to the run directory, start, end.
    pub log: Option<(String, u64, Option<u64>)>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
    /// The device, as the worker named it.
    pub device: Option<String>,
    /// Name and version of the worker's program.
    pub program: Option<String>,
    /// The version of what was trained; None if not recorded, as before version 5 of the ledger.
    pub version: Option<i64>,
    /// Its metrics, if the trial was run again afterwards.
    pub metrics: Option<Metrics>,
}

/// The last attempt at a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct LastAttempt {
    /// When it began, ISO 8601, UTC.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
    /// Kind of failure.
    pub kind: Option<FailureKind>,
    /// What went wrong.
    pub message: Option<String>,
}

/// One row of a trial's history.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochRow {
    /// The trial.
    pub id: TrialId,
    /// Its epoch or step.
    pub position: Position,
    /// The metrics at its end; also the step, if a row of an epoch has it.
    pub metrics: Metrics,
}

impl EpochRow {
    /// The epoch, if it is known.
    pub fn epoch(&self) -> Option<Place> {
        self.position.of(Unit::Epoch)
    }

    /// The step, if it is known.
    pub fn step(&self) -> Option<Place> {
        self.position
            .of(Unit::Step)
            .or_else(|| Place::new(self.metrics.get(STEP_KEYS[0])?))
    }
}

/// A session: one run of a coordinator.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRow {
    /// When it began.
    pub started_at: String,
    /// When it ended, if it was not killed.
    pub ended_at: Option<String>,
    /// done, failed or interrupted; None: running, or killed.
    pub outcome: Option<String>,
    /// The host.
    pub host: String,
    /// The command line.
    pub command: String,
    /// The program's version.
    pub version: String,
    /// Commit and dirtiness of the directory that it was started in.
    pub git: Option<(String, bool)>,
    /// The slots.
    pub devices: String,
}

/// A kind of worker, and how many trials it finished.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRow {
    /// Name of the program.
    pub program: String,
    /// Version of the program.
    pub version: String,
    /// The device's name.
    pub device: String,
    /// Versions of libraries.
    pub libraries: String,
    /// Threads.
    pub threads: u32,
    /// Host that it ran on.
    pub host: String,
    /// Number of trials that it finished.
    pub trials: u64,
}

/// A version of what is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRow {
    /// Its number, from 1.
    pub number: i64,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When a session was first started with it, ISO 8601, UTC.
    pub first_seen_at: String,
}

/// The versions of what is trained in a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Versions {
    /// Every version that a session was started with, in the order of their numbers.
    pub list: Vec<VersionRow>,
    /// The version of all trials, if there is only one.
    pub(super) only: Option<i64>,
    /// Otherwise the version of each finished trial; None if it was not recorded.
    pub(super) of: HashMap<TrialId, Option<i64>>,
    /// The version of the last session, and so of the trials that finish after this was read.
    pub(super) last: Option<i64>,
}

/// How what is trained differs from what trained the results of a run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retrained {
    /// The differences.
    pub difference: Difference,
    /// Number of finished trials of the sweep that another version trained.
    pub trials: u64,
}
