//! The worker protocol: JSON lines over a worker's stdin and stdout, shared by the coordinator and
//! the trainer. `docs/protocol.md` describes it for authors of other workers.
//!
//! `messages` are the messages, `framing` their lines, `reported`, `metrics` and `position` what
//! workers report in them. `agent` is what the coordinator exchanges with the agent that stands
//! beside a worker on another machine. `value` holds configurations, and `task` what the built-in
//! task accepts and reports.
#![warn(missing_docs, unreachable_pub)]

mod agent;
mod framing;
mod messages;
mod metrics;
mod position;
mod reported;
pub mod task;
mod value;

pub use agent::{AGENT_LINE, FromAgent, ToAgent};
pub use framing::{FrameError, MAX_LINE, decode_line, encode_line};
pub use messages::{
    FailureKind, FromWorker, HEARTBEAT_VARIABLE, Hello, PROTOCOL_VERSION, ToWorker, TrialRequest,
};
pub use metrics::{Metrics, Real, is_loss, is_wall_clock};
pub use position::{EPOCH_KEY, Place, Position, STEP_KEYS, Unit};
pub use reported::{MAX_NOTES, MORE_NOTES, Notes, Reading, Reported, note_text};
pub use value::{Config, ParamValue};
