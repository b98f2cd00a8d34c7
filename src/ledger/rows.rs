//! What a ledger holds, as plain rows: `reader`, `versions` and `news` fill them, everybody else
//! looks at them.

use std::collections::HashMap;

use crate::grid::TrialId;
use crate::plan::{Fingerprint, Phase, Shared};
use crate::protocol::{FailureKind, Metrics, Place, Position, STEP_KEYS, Unit};

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrialState {
    /// Not started, or to be started again.
    Waiting,
    /// A worker has it (or had it, if no coordinator is running).
    Running,
    /// Its result is recorded.
    Done,
    /// It failed and will not be tried again by itself.
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

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One trial that was ever started.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRow {
    /// The id.
    pub id: TrialId,
    /// What it was started for.
    pub phase: Phase,
    /// Where it stands.
    pub state: TrialState,
    /// Attempts that failed by the trial's own doing.
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
    /// Its part of a log file: file relative to the run directory, begin, end.
    pub log: Option<(String, u64, Option<u64>)>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
    /// The device, as the worker named it.
    pub device: Option<String>,
    /// Name and version of the worker's program.
    pub program: Option<String>,
    /// The version of what was trained; None: not recorded, as before version 5 of the ledger.
    pub version: Option<i64>,
    /// What it gave, where the trial was run again afterwards.
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
    /// The epoch or step that it is of.
    pub position: Position,
    /// What was measured at its end; the step too, where a row of an epoch said it.
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

/// One run of a coordinator.
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

/// A kind of worker that took part, and how many trials it finished.
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
    /// Trials that it finished.
    pub trials: u64,
}

/// A version of what is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRow {
    /// Its number, from 1.
    pub number: i64,
    /// What it is.
    pub fingerprint: Fingerprint,
    /// When a run was first started with it, ISO 8601, UTC.
    pub first_seen_at: String,
}

/// The versions of what is trained in a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Versions {
    /// Every version that a run was started with, in the order of their numbers.
    pub list: Vec<VersionRow>,
    /// The version of all trials, where there is but one.
    pub(super) only: Option<i64>,
    /// Otherwise the version of each finished trial; None: it was not recorded.
    pub(super) of: HashMap<TrialId, Option<i64>>,
    /// The version of the last run, and so of what finishes after this was read.
    pub(super) last: Option<i64>,
}
