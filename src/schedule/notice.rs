//! What the scheduler tells observers: progress bars, plain lines, a web page. Observers see
//! everything and decide nothing.

use std::time::Duration;

use crate::plan::{BoundViolation, Phase, PlannedTrial};
use crate::protocol::{FailureKind, Hello, Metrics, Notes, Position};

/// Something that an observer may want to show.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A phase begins.
    PhaseStarted {
        /// Which.
        phase: Phase,
        /// Its trials by arm number: (all, of these already done, of these already failed for
        /// good).
        arms: Vec<(u64, u64, u64)>,
        /// How many trials can run at once.
        slots: usize,
    },
    /// A phase has ended; every result of it is on the disk.
    PhaseEnded {
        /// Which.
        phase: Phase,
    },
    /// A worker is ready.
    WorkerReady {
        /// Its slot.
        slot: usize,
        /// What it said of itself.
        hello: Hello,
    },
    /// A worker ended that was not meant to.
    WorkerLost {
        /// Its slot.
        slot: usize,
        /// How.
        how: String,
    },
    /// A worker, or a trial's program, waits for its turn; or does not wait any more.
    Waits {
        /// Its slot.
        slot: usize,
        /// What for, in the queue's own words; None: it runs, or is gone.
        why: Option<String>,
    },
    /// Trials cannot be started for now, for a shortage of this machine; they are tried again.
    Shortage {
        /// What was refused, and why.
        why: String,
    },
    /// A shortage is over.
    ShortageOver {
        /// How long it lasted.
        lasted: Duration,
    },
    /// No trial that is left can finish before the allocation ends.
    OutOfTime {
        /// How long it still has.
        left: Duration,
    },
    /// A trial began.
    TrialStarted {
        /// The slot of its worker.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
    },
    /// A trial reported values that are no numbers, for the first time in this sweep. They are kept
    /// as notes.
    Noted {
        /// The trial.
        trial: PlannedTrial,
        /// The values.
        notes: Notes,
    },
    /// An epoch or a step of a trial ended.
    Epoch {
        /// The slot of its worker.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// Which.
        position: Position,
        /// What was measured.
        values: Metrics,
    },
    /// A trial's result is on the disk.
    TrialDone {
        /// The slot of its worker.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// Its final metrics.
        metrics: Metrics,
        /// How long it took.
        duration: Duration,
    },
    /// An attempt at a trial failed.
    TrialFailed {
        /// The slot of its worker.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// Why.
        kind: FailureKind,
        /// Why, in words.
        message: String,
        /// When it will be tried again; None: not any more.
        retry_in: Option<Duration>,
    },
    /// Trials that need not run: their points cannot become the best of their arms any more.
    Pruned {
        /// The trials.
        trials: Vec<PlannedTrial>,
    },
    /// A result is better than the metric was said to be: no point is out any more.
    RaceOff {
        /// That result.
        beyond: BoundViolation,
        /// The trials that are to run after all.
        back: Vec<PlannedTrial>,
    },
    /// Another program has the ledger locked: trials go on, and nothing that they report is told
    /// before it is written.
    LedgerLocked {
        /// Which ledger, by whom, and for how long.
        what: String,
        /// How many results wait in memory.
        results: usize,
    },
    /// The ledger can be written again.
    LedgerFree,
    /// A stop was asked for; running trials are being cut off.
    Stopping {
        /// How many trials are cut off.
        cut_off: usize,
    },
}

/// Someone who watches a sweep.
pub trait Observer {
    /// Takes note. Called on the scheduler's thread: must return at once.
    fn notice(&mut self, notice: &Notice);
}
