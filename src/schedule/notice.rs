//! What the scheduler tells observers, such as progress bars or plain lines. Observers see
//! everything and decide nothing.

use std::time::Duration;

use super::slot_index::SlotIndex;
use crate::plan::{BoundViolation, Phase, PlannedTrial};
use crate::protocol::{FailureKind, Hello, Metrics, Notes, Position};

/// An event that an observer may show.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A phase begins.
    PhaseStarted {
        /// The phase.
        phase: Phase,
        /// Its trials by arm: (all, of these already done, of these failed with no retries left).
        arms: Vec<(u64, u64, u64)>,
        /// How many trials can run at once.
        slots: usize,
        /// Whether more could, but they run one at a time on each device because they are timed.
        timed: bool,
    },
    /// A phase has ended; every result of it is on the disk.
    PhaseEnded {
        /// The phase.
        phase: Phase,
    },
    /// A worker is ready.
    WorkerReady {
        /// Its slot.
        slot: SlotIndex,
        /// How it introduced itself.
        hello: Hello,
    },
    /// A worker ended unexpectedly.
    WorkerLost {
        /// Its slot.
        slot: SlotIndex,
        /// What happened.
        how: String,
    },
    /// A worker, or a trial's program, waits in a queue, or does not wait any more.
    Waits {
        /// Its slot.
        slot: SlotIndex,
        /// The queue's reason; None: it runs, or is gone.
        why: Option<String>,
    },
    /// Trials cannot be started because this machine lacks something. They are tried again.
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
        /// How much time is left.
        left: Duration,
    },
    /// A trial has started.
    TrialStarted {
        /// The slot of its worker.
        slot: SlotIndex,
        /// The trial.
        trial: PlannedTrial,
    },
    /// A trial reported values that are not numbers, for the first time in this sweep. They are
    /// kept as notes.
    Noted {
        /// The trial.
        trial: PlannedTrial,
        /// The values.
        notes: Notes,
    },
    /// An epoch or a step of a trial ended.
    Epoch {
        /// The slot of its worker.
        slot: SlotIndex,
        /// The trial.
        trial: PlannedTrial,
        /// Where it is in the history.
        position: Position,
        /// The values.
        values: Metrics,
    },
    /// A trial's result is on the disk.
    TrialDone {
        /// The slot of its worker.
        slot: SlotIndex,
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
        slot: SlotIndex,
        /// The trial.
        trial: PlannedTrial,
        /// The kind of failure.
        kind: FailureKind,
        /// The reason.
        message: String,
        /// The pause before it is tried again; None: no retries are left.
        retry_in: Option<Duration>,
    },
    /// Trials need not run, because their points cannot become the best of their arms any more.
    Pruned {
        /// The trials.
        trials: Vec<PlannedTrial>,
    },
    /// A result is better than the sweep file says is possible, so that no point is out any more.
    RaceOff {
        /// The result.
        beyond: BoundViolation,
        /// The trials that will run after all.
        back: Vec<PlannedTrial>,
    },
    /// Another program has locked the ledger. Trials continue; their results are reported once they
    /// are written.
    LedgerLocked {
        /// Which ledger is locked, by which program, and for how long.
        what: String,
        /// The number of results that wait in memory.
        results: usize,
    },
    /// The ledger can be written again.
    LedgerFree,
    /// The sweep is being stopped, and running trials are cut off.
    Stopping {
        /// The number of trials that are cut off.
        cut_off: usize,
    },
}

/// Watches a sweep.
pub trait Observer {
    /// Called for each event, on the scheduler's thread: it must return at once.
    fn notice(&mut self, notice: &Notice);
}
