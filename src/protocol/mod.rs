//! The worker protocol: JSON lines over a worker's stdin and stdout, shared by the coordinator and the trainer.
//! `docs/protocol.md` describes it for authors of other workers.

mod framing;
mod messages;
mod metrics;
mod named;

pub use framing::{FrameError, MAX_LINE, decode_line, encode_line};
pub use messages::{FailureKind, FromWorker, Hello, PROTOCOL_VERSION, ToWorker, TrialRequest};
pub use metrics::{Metrics, Real, is_wall_clock};
pub use named::Named;
