//! The messages of the worker protocol. `docs/protocol.md` describes them; the two change together.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::position::Position;
use super::reported::Reported;
use crate::value::Config;

/// Version of the protocol. A worker sends its own in `hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// A message from the coordinator to a worker. If the worker's stdin is closed, it stops and exits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// Run these trials and answer each with `started`, any number of `epoch`, and `done` or
    /// `failed`.
    Run {
        /// The trials, in the order in which the coordinator would run them.
        bundle: Vec<TrialRequest>,
        /// Whether the worker may compute only once what these trials have in common with each
        /// other and with earlier trials of this kind. Otherwise it computes each by itself,
        /// because it may be timed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        share: bool,
    },
    /// The coordinator is alive. Sent only to a worker that has `heartbeats` in its hello, and only
    /// if its environment has `PENTAGRID_HEARTBEAT`: where its stdin may stay open after the
    /// coordinator has died.
    Heartbeat,
}

/// The variable that tells a worker to expect heartbeats. Its value is the number of seconds
/// without a message after which the coordinator is lost.
pub const HEARTBEAT_VARIABLE: &str = "PENTAGRID_HEARTBEAT";

/// One trial to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRequest {
    /// The trial's id, which is in every answer about it.
    pub trial: String,
    /// The seed that all of the trial's randomness derives from.
    pub seed: u64,
    /// The trial's hyper-parameters.
    pub config: Config,
}

/// A message from a worker to the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// The first message, once the worker is ready for trials.
    Hello(Hello),
    /// The worker starts a trial.
    Started {
        /// The trial's id.
        trial: String,
    },
    /// A row of the trial's history.
    Epoch {
        /// The trial's id.
        trial: String,
        /// The epoch or step that has ended: `"epoch": 1`, whole or fractional, or `"step": 500`.
        #[serde(flatten)]
        position: Position,
        /// What was measured at that point.
        values: Reported,
    },
    /// The trial has finished.
    Done {
        /// The trial's id.
        trial: String,
        /// The final metrics, and notes.
        metrics: Reported,
        /// The trial of the same group whose result this one reuses, if it was not computed again.
        /// This worker has finished it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        same_as: Option<String>,
        /// How many of its epochs had been computed for other trials of its group.
        #[serde(default, skip_serializing_if = "is_zero")]
        shared_epochs: u32,
    },
    /// The trial has failed; the worker continues.
    Failed {
        /// The trial's id.
        trial: String,
        /// What kind of failure it is.
        kind: FailureKind,
        /// What went wrong, as text.
        message: String,
    },
    /// The worker is alive. Any other message shows that too.
    Heartbeat,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl FromWorker {
    /// The result of a trial that was computed by itself.
    pub fn done(trial: impl Into<String>, metrics: impl Into<Reported>) -> Self {
        Self::Done {
            trial: trial.into(),
            metrics: metrics.into(),
            same_as: None,
            shared_epochs: 0,
        }
    }
}

/// How a worker introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version that it speaks.
    pub protocol: u32,
    /// Name of the program.
    pub program: String,
    /// Version of the program. Results of different versions are not mixed without notice.
    pub version: String,
    /// The device that it trains on, as the vendor names it.
    pub device: String,
    /// The final metrics that its trials report, if it knows them in advance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Versions of the libraries that its numbers depend on, e.g. `libtorch 2.11.0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<String>,
    /// Threads that it computes with.
    #[serde(default)]
    pub threads: u32,
    /// Number of trials that it can compute together, which it prefers as the size of bundles; 0
    /// for no preference.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pack: u32,
    /// Whether it understands heartbeats of the coordinator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heartbeats: bool,
}

/// Why an attempt at a trial failed. Each kind has its own retry rule (`schedule/retry.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The configuration cannot be run, in any attempt.
    BadConfig,
    /// The program reported an error.
    Error,
    /// The host's or the device's memory ran out.
    OutOfMemory,
    /// A final metric that the sweep needs is missing.
    MissingMetric,
    /// A file that a program writes its metrics to is damaged or too large.
    BadMetrics,
    /// The worker ended with an exit code.
    Exit,
    /// The worker was ended by a signal.
    Signal,
    /// The trial took longer than its limit.
    Timeout,
    /// The worker broke the protocol.
    Protocol,
    /// The worker has sent no message for too long.
    LostHeartbeat,
    /// The worker could not be started.
    CouldNotStart,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::BadConfig,
        Self::Error,
        Self::OutOfMemory,
        Self::MissingMetric,
        Self::BadMetrics,
        Self::Exit,
        Self::Signal,
        Self::Timeout,
        Self::Protocol,
        Self::LostHeartbeat,
        Self::CouldNotStart,
    ];

    /// The name used in the protocol and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadConfig => "bad_config",
            Self::Error => "error",
            Self::OutOfMemory => "out_of_memory",
            Self::MissingMetric => "missing_metric",
            Self::BadMetrics => "bad_metrics",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::LostHeartbeat => "lost_heartbeat",
            Self::CouldNotStart => "could_not_start",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamValue;
    use crate::task::{AS_RUN_METRICS, HISTORY, METRICS, PARAMS};
    use crate::{Metrics, encode_line};

    /// Bytes that Slurm 22.05 sends at once; more waits for 44 ms (docs/slurm.md).
    const AT_ONCE: usize = 1024;

    /// The longest text of a finite number.
    const LONG: f64 = -1.234_567_890_123_456_7e-300;

    fn every<'n>(names: impl Iterator<Item = &'n &'static str>) -> Metrics {
        names.map(|&name| (name, LONG)).collect()
    }

    /// The longest messages of the built-in task: every metric, every number with all its digits,
    /// and every parameter, although no optimizer has all of them.
    #[test]
    fn messages_about_trials_and_epochs_are_sent_at_once() {
        let trial = || "zzzzzzzzzz-18446744073709551615".to_owned();
        let messages = [
            encode_line(&FromWorker::Started { trial: trial() }),
            encode_line(&FromWorker::Epoch {
                trial: trial(),
                position: Position::epoch(u32::MAX),
                values: every(HISTORY.iter()).into(),
            }),
            encode_line(&FromWorker::Done {
                trial: trial(),
                metrics: every(METRICS.iter().chain(AS_RUN_METRICS)).into(),
                same_as: Some(trial()),
                shared_epochs: u32::MAX,
            }),
            encode_line(&ToWorker::Run {
                bundle: vec![TrialRequest {
                    trial: trial(),
                    seed: u64::MAX,
                    config: PARAMS
                        .iter()
                        .map(|param| (param.name.to_owned(), ParamValue::Float(LONG)))
                        .collect(),
                }],
                share: true,
            }),
        ];
        for message in messages {
            assert!(
                message.len() <= AT_ONCE,
                "{} bytes: {message}",
                message.len()
            );
        }
    }
}
