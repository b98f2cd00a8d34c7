//! What processes tell the dispatcher.

use std::time::Duration;

use super::exit_evidence::ExitEvidence;
use crate::collect::MetricsError;
use crate::protocol::{FrameError, FromWorker};
use crate::schedule::action::Exit;
use crate::schedule::budget::Held;

/// What comes from a worker process.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message(FromWorker),
    /// Messages that were read together, and the memory that they take until what they lead to is
    /// on the disk.
    Messages(Vec<FromWorker>, Held),
    /// The process does not wait in a queue any more: the worker is being started.
    Running {
        /// Where it runs.
        host: String,
        /// Its job or step, as Slurm numbers it.
        job: Option<String>,
        /// How long until Slurm ends it.
        ends_in: Option<Duration>,
        /// The GPUs that it was given.
        gpus: Option<String>,
    },
    /// The agent beside a program is alive.
    Alive,
    /// Output that is not a message.
    Garbage(FrameError),
    /// A program's metrics are not as they should be.
    Misreport(MetricsError),
    /// A program has exited well, with its result.
    Ended(Exit, FromWorker),
    /// A program has exited, and what it reported cannot be read for a shortage of this machine.
    Unread(String),
    /// The process has exited, and its output has been read to the end. If an agent ran beside it,
    /// with what the agent said.
    Exit(Exit, Option<ExitEvidence>),
}
