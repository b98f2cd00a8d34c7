//! What the reactor knows beforehand, what it asks the dispatcher to do, and why it gives up: the
//! plain data between the two.

use std::time::Duration;

use super::notice::Notice;
use crate::plan::{PlannedTrial, Shared};
use crate::protocol::{FailureKind, PROTOCOL_VERSION, Position, Reported};
use crate::spec::Limits;

/// Time since the dispatcher started, by a clock that does not jump.
pub type Time = Duration;

/// The clock is looked at this often: a longer gap means that the program was suspended.
pub const TICK: Duration = Duration::from_secs(1);
/// Workers that could not start in a row, after which the sweep is given up.
pub const START_FAILURES: u32 = 3;

/// What a reactor needs to know of its surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The device of each slot, as a number: slots of one number share a device.
    pub slots: Vec<usize>,
    /// Whether workers stay for many trials and speak the protocol; if not, a program is started
    /// for each trial.
    pub persistent: bool,
    /// The most trials that a worker is given at a time.
    pub bundle: usize,
    /// The final metric without which a result is of no use.
    pub metric: String,
    /// A worker that is silent for so long is lost.
    pub heartbeat: Duration,
    /// A worker that has not introduced itself after so long is lost.
    pub start: Duration,
    /// How long a worker that was asked to end may take before it is killed.
    pub grace: Duration,
    /// How long a shortage of this machine may keep trials from starting while none runs.
    pub shortage: Duration,
    /// How long trials may take and how often they may fail.
    pub limits: Limits,
    /// Whether a worker may have to wait for its turn in a queue, for as long as it takes, before
    /// it runs.
    pub queued: bool,
    /// Whether an agent stands beside each process: it shows that it lives, and only what it says
    /// proves how a worker ended.
    pub agent: bool,
    /// When the allocation ends that all workers belong to.
    pub all_end: Option<Time>,
    /// The longest that a trial of each arm has taken in earlier runs, by the arm's number; may be
    /// empty.
    pub longest: Vec<Option<Duration>>,
    /// How many trials of each arm may share a device, by the arm's number; empty: as many as the
    /// device has slots.
    pub per_gpu: Vec<u32>,
    /// What the arms are called, by number, for messages.
    pub arms: Vec<String>,
    /// Whether the user has been warned, in an earlier run, of reported values that are no numbers.
    pub warned_of_notes: bool,
}

/// Which slots may work at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All.
    AllSlots,
    /// One for each device: a trial that is timed has its device to itself.
    OnePerDevice,
}

/// How a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It never was a process: the program could not be started.
    NotStarted,
    /// It was taken away: preempted, cancelled, at its time limit, on a node that is gone. No trial
    /// is to blame.
    Lost,
}

/// Something for the dispatcher to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a worker in a slot.
    Spawn {
        /// The slot.
        slot: usize,
    },
    /// Send trials to a slot's worker.
    Send {
        /// The slot.
        slot: usize,
        /// The trials.
        bundle: Vec<PlannedTrial>,
        /// Whether what they have in common may be computed once.
        share: bool,
    },
    /// End a slot's worker.
    End {
        /// The slot.
        slot: usize,
        /// By which means.
        how: EndBy,
    },
    /// Put something into the ledger; `on_committed` is called once it is on the disk.
    Record(Record),
    /// Tell the observers.
    Tell(Notice),
    /// Every trial that was asked for has ended and is recorded.
    PhaseDone,
    /// Every worker is gone and everything is recorded, after a stop or `close`.
    Stopped,
}

/// Means to end a worker, in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndBy {
    /// Close its stdin: it has nothing to do.
    Close,
    /// SIGTERM to its process group, too.
    Terminate,
    /// SIGKILL to its process group.
    Kill,
}

/// Something for the ledger. The dispatcher adds times, places in logs, and who did it.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An attempt begins.
    Started {
        /// The slot.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
    },
    /// An epoch or step ended.
    Epoch {
        /// The slot.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// Which epoch or step.
        position: Position,
        /// What was reported of it.
        values: Reported,
    },
    /// A result.
    Done {
        /// The slot.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// Its metrics.
        metrics: Reported,
        /// What it shared with other trials.
        shared: Shared,
        /// How long the attempt took.
        duration: Duration,
    },
    /// A failed attempt.
    Failed {
        /// The slot.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// Why it failed.
        kind: FailureKind,
        /// The same for people.
        message: String,
        /// Whether no retries are left.
        for_good: bool,
        /// How long the attempt took.
        duration: Duration,
    },
    /// An attempt that was cut off by no fault of its own.
    Interrupted {
        /// The slot.
        slot: usize,
        /// The trial.
        trial: PlannedTrial,
        /// What cut it off.
        message: String,
    },
}

/// Why a sweep was given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// Workers do not start.
    #[error(
        "the worker in slot {slot} could not be started {START_FAILURES} times in a row: {how}"
    )]
    NoStart {
        /// The last slot in which it failed.
        slot: usize,
        /// How it failed.
        how: String,
    },
    /// This machine lacks something, or the program is away, and that has lasted.
    #[error("no trial could be started for {seconds} s: {why}")]
    Shortage {
        /// How long, in seconds.
        seconds: u64,
        /// What was refused last, and why.
        why: String,
    },
    /// The worker is of another protocol version.
    #[error(
        "the worker {program} speaks version {found} of the worker protocol, this program version {PROTOCOL_VERSION}"
    )]
    WrongProtocol {
        /// Its program.
        program: String,
        /// Its version of the protocol.
        found: u32,
    },
    /// The worker will not report the metric that selection needs.
    #[error("the worker {program} does not report the metric {metric:?} (it reports {known})")]
    NoMetric {
        /// Its program.
        program: String,
        /// The metric.
        metric: String,
        /// What it does report.
        known: String,
    },
    /// Every trial of this run has failed for good, all in the same way.
    #[error("the first {count} trials all failed for good in the same way ({kind}): {message}")]
    AllAlike {
        /// The slot of the last one.
        slot: usize,
        /// How many.
        count: u64,
        /// The kind.
        kind: FailureKind,
        /// What the last one said.
        message: String,
    },
    /// More trials failed for good than the spec allows.
    #[error("more than {most} trial{}{} failed for good, which is the limit (`max_failures`)", if *.most == 1 { "" } else { "s" }, .arm.as_ref().map(|arm| format!(" of {arm}")).unwrap_or_default())]
    TooManyFailures {
        /// The arm whose limit it was; None: the sweep's.
        arm: Option<String>,
        /// The limit.
        most: u32,
    },
    /// The allocation ends before any trial could.
    #[error("the allocation ends in {left} s, and {what}: nothing that is left can finish in it")]
    NoTime {
        /// How long it still has, in seconds.
        left: u64,
        /// How long trials took.
        what: String,
    },
    /// The ledger cannot be written any more.
    #[error("{0}")]
    Ledger(String),
}

impl Exit {
    /// The kind of failure that this end of a worker is, and how to say it. `who` is what it is
    /// called, `why` is the system's reason why a program could not be started, or what shows that
    /// memory ran out; empty where there is nothing to say.
    pub fn describe(self, who: &str, why: &str) -> (FailureKind, String) {
        let (kind, how) = match self {
            Self::Code(code) => (
                FailureKind::Exit,
                format!("the {who} ended with exit code {code}"),
            ),
            Self::Signal(signal) => (
                FailureKind::Signal,
                format!("the {who} was ended by {}", signal_name(signal)),
            ),
            Self::NotStarted => return (FailureKind::CouldNotStart, why.to_owned()),
            Self::Lost => {
                return (
                    FailureKind::LostHeartbeat,
                    format!("the {who} was lost: {why}"),
                );
            }
        };
        if why.is_empty() {
            (kind, how)
        } else {
            (FailureKind::OutOfMemory, format!("{how}: {why}"))
        }
    }
}

/// A signal's name, and what it usually means.
fn signal_name(number: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    if number == nix::sys::signal::Signal::SIGKILL as i32 {
        return format!("{name} (by somebody, or by the kernel because memory ran out)");
    }
    name
}
