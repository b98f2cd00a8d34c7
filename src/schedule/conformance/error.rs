//! What a worker that is being checked can do wrong.

use crate::protocol::FrameError;

/// A breach of the protocol, or an exit.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerError {
    /// The process has exited, which the text describes.
    #[error("{0}")]
    Exited(String),
    /// The process had exited before.
    #[error("it has ended")]
    Gone,
    /// It took too long.
    #[error("it said nothing in time")]
    Silent,
    /// It printed a line that is not a message.
    #[error("it printed {0}")]
    Garbage(FrameError),
    /// Its output cannot be read.
    #[error("{0}")]
    Unread(String),
    /// Its first message is another one.
    #[error("its first message is `{0}`")]
    NotHello(&'static str),
    /// It answered a trial with another message.
    #[error("it answered `{0}` and not `started`")]
    NotStarted(&'static str),
    /// It said hello again.
    #[error("it said `hello` a second time")]
    SecondHello,
    /// A message is about a trial that it does not have.
    #[error("`{message}` is about trial {trial:?}, which it does not have")]
    UnknownTrial {
        /// The message.
        message: &'static str,
        /// The beginning of the trial's id.
        trial: String,
    },
    /// It computed trials together that were to be computed alone.
    #[error("it shared work although `run` did not say `share`: such a trial may be timed")]
    UnwantedSharing,
    /// It named a trial that it has not finished.
    #[error("`same_as` names trial {0:?}, which is not one of the group that it has finished")]
    UnknownSameAs(String),
    /// It started a trial twice.
    #[error("it said `started` twice for one trial")]
    StartedTwice,
    /// It reported about a trial that it has not started.
    #[error("it said `{0}` before `started`")]
    BeforeStarted(&'static str),
    /// It reported about a trial that has ended.
    #[error("it said `{0}` about a trial that had ended")]
    AfterEnd(&'static str),
}
