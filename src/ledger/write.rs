//! The commands that a coordinator writes while it runs, one for each thing that happened; `tables`
//! puts them into the tables. A later command can never change a finished trial.

use std::sync::Arc;

use crate::grid::TrialId;
use crate::plan::{Fingerprint, Phase, Shared};
use crate::protocol::{FailureKind, Hello, Position, Reported};

/// Number of a worker process, unique within a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub i64);

/// A place in a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// The file, relative to the run directory.
    pub file: Arc<str>,
    /// The offset in bytes.
    pub offset: u64,
}

/// A command with the time at which the writer received it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stamped {
    /// ISO 8601, UTC.
    pub at: Box<str>,
    /// What happened.
    pub write: Write,
}

impl Stamped {
    /// Stamps a command with the present time.
    pub(crate) fn now(write: Write) -> Self {
        Self {
            at: format!("{:.3}", jiff::Timestamp::now()).into(),
            write,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A worker process was started.
    WorkerStarted {
        /// Its number.
        worker: WorkerId,
        /// The session that started it.
        session: i64,
        /// Its slot.
        slot: usize,
        /// The device of that slot.
        device: String,
        /// Its process id.
        pid: u32,
        /// When the kernel started it, in clock ticks since boot; 0 where that is unknown.
        start_ticks: u64,
        /// The launcher that started it; None: it is a process of this host.
        launcher: Option<&'static str>,
    },
    /// A worker was queued, or no longer waits in a queue.
    WorkerPlaced {
        /// Its number.
        worker: WorkerId,
        /// Where it runs.
        host: Option<String>,
        /// Its job, or job and step.
        job: Option<String>,
        /// What it waits for; None: nothing.
        waits: Option<String>,
    },
    /// A worker introduced itself.
    WorkerHello {
        /// Its number.
        worker: WorkerId,
        /// What it said.
        hello: Hello,
    },
    /// A worker process ended.
    WorkerEnded {
        /// Its number.
        worker: WorkerId,
        /// How it ended.
        outcome: String,
    },
    /// An attempt at a trial began.
    TrialStarted {
        /// The trial.
        trial: TrialId,
        /// The phase that it belongs to.
        phase: Phase,
        /// The worker that runs it.
        worker: WorkerId,
        /// Where its part of the log begins.
        log: LogMark,
    },
    /// An epoch or step of a running trial ended. If several rows have the same position, the later
    /// values count.
    Epoch {
        /// The trial.
        trial: TrialId,
        /// The epoch or step.
        position: Position,
        /// Its metrics, and notes.
        values: Reported,
    },
    /// A trial ended well.
    TrialDone {
        /// The trial.
        trial: TrialId,
        /// Its final metrics, and notes.
        metrics: Reported,
        /// What it took from other trials.
        shared: Shared,
        /// Where its part of the log ends.
        log_end: u64,
        /// How long the attempt took, in seconds.
        duration: f64,
    },
    /// An attempt at a trial failed.
    TrialFailed {
        /// The trial.
        trial: TrialId,
        /// The phase that it belongs to.
        phase: Phase,
        /// The kind of failure.
        kind: FailureKind,
        /// What went wrong.
        message: String,
        /// Whether the trial is not tried again.
        permanent: bool,
        /// Where its part of the log ends.
        log_end: u64,
        /// How long the attempt took, in seconds.
        duration: f64,
    },
    /// What is trained was changed while trials ran: it is not known which of the session's trials
    /// ran which version.
    Edited {
        /// The session.
        session: i64,
        /// What is trained now, and what changed.
        fingerprint: Box<Fingerprint>,
    },
    /// A coordinator ended.
    SessionEnded {
        /// Its number.
        session: i64,
        /// done, some_failed, incomplete, failed or interrupted.
        outcome: &'static str,
    },
    /// An attempt at a trial was cut off through no fault of the trial: it starts again, and the
    /// attempt does not count as a failure.
    TrialInterrupted {
        /// The trial.
        trial: TrialId,
        /// The reason.
        message: String,
        /// Where its part of the log ends.
        log_end: u64,
    },
}

impl Write {
    /// Whether the command is about a trial. The writer acknowledges only these: the scheduler
    /// waits for no others.
    pub fn is_about_trial(&self) -> bool {
        match self {
            Self::WorkerStarted { .. }
            | Self::WorkerPlaced { .. }
            | Self::WorkerHello { .. }
            | Self::WorkerEnded { .. }
            | Self::Edited { .. }
            | Self::SessionEnded { .. } => false,
            Self::TrialStarted { .. }
            | Self::Epoch { .. }
            | Self::TrialDone { .. }
            | Self::TrialFailed { .. }
            | Self::TrialInterrupted { .. } => true,
        }
    }
}
