//! What a coordinator writes while it runs, one small command for each thing that happened;
//! `tables` puts each into the tables. A finished trial can never be changed by a later command.

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

/// A command together with when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// ISO 8601, UTC.
    pub at: Arc<str>,
    /// What happened.
    pub write: Write,
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
        /// Through what it was started; None: it is a process of this host.
        launcher: Option<&'static str>,
    },
    /// A worker got its place in a queue, or waits no more.
    WorkerPlaced {
        /// Its number.
        worker: WorkerId,
        /// Where it runs.
        host: Option<String>,
        /// Its job, or job and step.
        job: Option<String>,
        /// What it waits for.
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
        /// How.
        outcome: String,
    },
    /// An attempt at a trial began.
    TrialStarted {
        /// The trial.
        trial: TrialId,
        /// What it is for.
        phase: Phase,
        /// Who runs it.
        worker: WorkerId,
        /// Where its part of the log begins.
        log: LogMark,
    },
    /// An epoch or step of a running trial ended. Of several rows of one position the values of the
    /// later ones count.
    Epoch {
        /// The trial.
        trial: TrialId,
        /// Which.
        position: Position,
        /// What was measured, and notes.
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
        /// What it is for.
        phase: Phase,
        /// Why.
        kind: FailureKind,
        /// Why, in words.
        message: String,
        /// Whether no further attempt will be made.
        for_good: bool,
        /// Where its part of the log ends.
        log_end: u64,
        /// How long the attempt took, in seconds.
        duration: f64,
    },
    /// What is trained was changed while trials ran: which of the session's trials ran what is not
    /// known.
    Edited {
        /// The session.
        session: i64,
        /// What is trained now, and what changed.
        fingerprint: Box<Fingerprint>,
    },
    /// A coordinator ends.
    SessionEnded {
        /// Its number.
        session: i64,
        /// How: done, some_failed, incomplete, failed or interrupted.
        outcome: &'static str,
    },
    /// An attempt at a trial was cut off by no fault of its own: it will start again and is not
    /// held against it.
    TrialInterrupted {
        /// The trial.
        trial: TrialId,
        /// Why, in words.
        message: String,
        /// Where its part of the log ends.
        log_end: u64,
    },
}

impl Write {
    /// Whether it is about a trial. Only such commands are acknowledged: the scheduler waits for no
    /// others.
    pub fn of_a_trial(&self) -> bool {
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
