//! The plain data between reactor and dispatcher: what the reactor knows of its surroundings, what
//! it asks the dispatcher to do, and why it gives a sweep up.

use std::time::Duration;

use super::notice::Notice;
use super::slot_index::SlotIndex;
use crate::plan::{Finals, PlannedTrial, Shared};
use crate::protocol::{FailureKind, PROTOCOL_VERSION, Position, Reported};
use crate::spec::Limits;
use crate::text;

/// Time since the dispatcher started, by a monotonic clock.
pub type Time = Duration;

/// Time between two ticks. A much longer gap means that the program was suspended.
pub const TICK: Duration = Duration::from_secs(1);
/// How many workers in a row may not start before the sweep is given up.
pub(super) const MAX_START_FAILURES: u32 = 3;

/// What a reactor needs to know of its surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of each slot's device. Slots with the same number share a device.
    pub slots: Vec<usize>,
    /// Whether workers stay for many trials and speak the protocol. Otherwise a program is started
    /// for each trial.
    pub persistent: bool,
    /// Maximum number of trials that a worker is given at once.
    pub bundle: usize,
    /// The final metric that each result must have.
    pub metric: String,
    /// The rule for a trial's final metrics, unless its last values are these.
    pub finals: Option<Finals>,
    /// How long a worker with a trial may be silent before it is lost.
    pub heartbeat: Duration,
    /// How long a worker may take to say hello.
    pub start: Duration,
    /// Grace period between asking a worker to end and killing it.
    pub grace: Duration,
    /// How long a shortage of this machine may keep trials from starting while none runs.
    pub shortage: Duration,
    /// How long trials may take and how often they may fail.
    pub limits: Limits,
    /// Whether a worker may have to wait in a queue before it runs, for any length of time.
    pub queued: bool,
    /// Whether an agent runs beside each process. The agent sends heartbeats, and only its report
    /// proves how a worker ended.
    pub agent: bool,
    /// When the allocation ends that all workers belong to.
    pub all_end: Option<Time>,
    /// The longest that a trial of each arm has taken in earlier runs, by arm; may be empty.
    pub longest: Vec<Option<Duration>>,
    /// How many trials of each arm may share a device, by arm. Empty: as many as the device has
    /// slots.
    pub per_gpu: Vec<u32>,
    /// The names of the arms, for messages.
    pub arms: Vec<String>,
    /// Whether the user was warned, in an earlier run, of reported values that are not numbers.
    pub warned_of_notes: bool,
}

/// Which slots may work at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All slots.
    AllSlots,
    /// One slot for each device: a trial that is timed has its device to itself.
    OnePerDevice,
}

/// How a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// The program could not be started.
    NotStarted,
    /// It was taken away: preempted, cancelled, at its time limit, on a node that is down. No trial
    /// is to blame.
    Lost,
}

/// Why an attempt at a trial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind, which decides how often the trial is tried again.
    pub kind: FailureKind,
    /// The reason, for people.
    pub message: String,
}

/// Something for the dispatcher to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a worker in a slot.
    Spawn {
        /// The slot.
        slot: SlotIndex,
    },
    /// Send trials to a slot's worker.
    Send {
        /// The slot.
        slot: SlotIndex,
        /// The trials.
        bundle: Vec<PlannedTrial>,
        /// Whether what the trials have in common may be computed once.
        share: bool,
    },
    /// End a slot's worker.
    End {
        /// The slot.
        slot: SlotIndex,
        /// By which means.
        how: EndBy,
    },
    /// Put something into the ledger. `on_committed` is called once it is on the disk.
    Record(Record),
    /// Tell the observers.
    Tell(Notice),
    /// Every trial of the phase has ended and is recorded.
    PhaseDone,
    /// Every worker is gone and everything is recorded, after a stop or `on_close`.
    Stopped,
}

/// Means to end a worker, in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndBy {
    /// Close its stdin: there are no further trials.
    Close,
    /// Send SIGTERM to its process group as well.
    Terminate,
    /// Send SIGKILL to its process group.
    Kill,
}

/// Something for the ledger. The dispatcher adds the worker, and positions in its log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An attempt begins.
    Started {
        /// The slot.
        slot: SlotIndex,
        /// The trial.
        trial: PlannedTrial,
    },
    /// An epoch or step ended.
    Epoch {
        /// The slot.
        slot: SlotIndex,
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
        slot: SlotIndex,
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
        slot: SlotIndex,
        /// The trial.
        trial: PlannedTrial,
        /// Why it failed.
        kind: FailureKind,
        /// The same for people.
        message: String,
        /// Whether no retries are left.
        permanent: bool,
        /// How long the attempt took.
        duration: Duration,
    },
    /// An attempt that was cut off through no fault of its own.
    Interrupted {
        /// The slot.
        slot: SlotIndex,
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
        "the worker in slot {slot} could not be started {MAX_START_FAILURES} times in a row: {how}"
    )]
    NoStart {
        /// The last slot in which a worker did not start.
        slot: SlotIndex,
        /// What happened.
        how: String,
    },
    /// This machine lacks something, or the program is missing, and that has lasted.
    #[error("no trial could be started for {seconds} s: {why}")]
    Shortage {
        /// How long it has lasted, in seconds.
        seconds: u64,
        /// What was refused last, and why.
        why: String,
    },
    /// The worker speaks another version of the protocol.
    #[error(
        "the worker {program} speaks version {found} of the worker protocol, this program version {PROTOCOL_VERSION}"
    )]
    WrongProtocol {
        /// The worker's program.
        program: String,
        /// Its version of the protocol.
        found: u32,
    },
    /// The worker does not report the metric that the sweep selects by.
    #[error("the worker {program} does not report the metric {metric:?} (it reports {known})")]
    NoMetric {
        /// The worker's program.
        program: String,
        /// The metric.
        metric: String,
        /// The metrics that it reports.
        known: String,
    },
    /// Every trial of this run has failed with no retries left, all in the same way.
    #[error(
        "the first {} all failed in the same way, with no retries left ({kind}): {message}",
        text::count(*.count, "trial")
    )]
    AllAlike {
        /// The slot of the last one.
        slot: SlotIndex,
        /// How many failed.
        count: u64,
        /// The kind of failure.
        kind: FailureKind,
        /// The message of the last one.
        message: String,
    },
    /// More trials failed, with no retries left, than the sweep file allows.
    #[error(
        "more than {}{} failed with no retries left, which is the limit (`max_failures`)",
        text::count(*.most, "trial"),
        .arm.as_ref().map(|arm| format!(" of {arm}")).unwrap_or_default()
    )]
    TooManyFailures {
        /// The arm whose limit it was; None: the limit of the sweep.
        arm: Option<String>,
        /// The limit.
        most: u32,
    },
    /// The allocation ends before any trial could.
    #[error("the allocation ends in {left} s, and {what}: nothing that is left can finish in it")]
    NoTime {
        /// How much time is left, in seconds.
        left: u64,
        /// How long trials took.
        what: String,
    },
    /// The ledger cannot be written any more.
    #[error("{0}")]
    Ledger(String),
}

/// What is known of the reason for an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// Nothing.
    Unknown,
    /// What shows that memory ran out; for an exit that is no process's own, the system's reason.
    System(&'a str),
    /// The program's own last words, such as the last line of a traceback.
    Words(&'a str),
    /// The program refused its arguments, with these words: it would do so again.
    Usage(&'a str),
}

impl<'a> From<&'a str> for Reason<'a> {
    fn from(why: &'a str) -> Self {
        match why {
            "" => Self::Unknown,
            why => Self::System(why),
        }
    }
}

impl Reason<'_> {
    /// The text of the reason; empty if nothing is known.
    pub fn text(&self) -> &str {
        match self {
            Self::Unknown => "",
            Self::System(why) | Self::Words(why) | Self::Usage(why) => why,
        }
    }
}

impl Exit {
    /// Describes the exit as a failure. `who` is what the process is called.
    pub fn describe(self, who: &str, reason: Reason<'_>) -> Failure {
        let why = reason.text();
        let (kind, how) = match self {
            Self::Code(code) => (
                FailureKind::Exit,
                format!("the {who} ended with exit code {code}"),
            ),
            Self::Signal(signal) => (
                FailureKind::Signal,
                format!("the {who} was ended by {}", signal_name(signal)),
            ),
            Self::NotStarted => {
                return Failure {
                    kind: FailureKind::CouldNotStart,
                    message: why.to_owned(),
                };
            }
            Self::Lost => {
                return Failure {
                    kind: FailureKind::LostHeartbeat,
                    message: format!("the {who} was lost: {why}"),
                };
            }
        };
        let kind = match reason {
            Reason::Unknown => return Failure { kind, message: how },
            Reason::System(_) => FailureKind::OutOfMemory,
            Reason::Words(_) => kind,
            Reason::Usage(_) => FailureKind::BadConfig,
        };
        let how = match (self, reason) {
            (Self::Code(code), Reason::Words(_) | Reason::Usage(_)) => format!("exit code {code}"),
            _ => how,
        };
        Failure {
            kind,
            message: format!("{how}: {why}"),
        }
    }
}

/// The name of a signal, with a hint where its usual cause is known.
fn signal_name(number: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    if number == nix::sys::signal::Signal::SIGKILL as i32 {
        return format!(
            "{name} (sent by another program, or by the kernel because memory ran out)"
        );
    }
    name
}
