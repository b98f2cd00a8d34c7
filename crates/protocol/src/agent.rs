//! The messages between the coordinator and the agent. The agent (`src/schedule/agent/`) stands
//! between the coordinator and a worker or program that was started through another program. Lines
//! with the key `agent` are its own; it passes on all others without reading them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The beginning of every line to or from an agent.
pub const AGENT_LINE: &[u8] = b"{\"agent\":";

/// A message from the coordinator to an agent. If the agent's stdin is closed, it ends the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "snake_case")]
pub enum ToAgent {
    /// What must not appear on the agent's own command line. The first line to an agent that waits
    /// for it.
    Secrets {
        /// Variables of the worker's environment.
        environment: BTreeMap<String, String>,
        /// Words of its command line, with their places.
        words: Vec<(usize, String)>,
    },
    /// The coordinator is alive.
    Heartbeat,
    /// Send SIGTERM to the worker's process group.
    Terminate,
    /// Send SIGSTOP to it.
    Suspend,
    /// Send SIGCONT to it.
    Continue,
}

/// A message from an agent to the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "snake_case")]
pub enum FromAgent {
    /// The agent runs, and starts the worker next.
    Running {
        /// The name of the host.
        host: String,
        /// Slurm's number of the job, or of the job and step (`12.0`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<String>,
        /// Seconds until Slurm ends the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// The GPUs that it was given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpus: Option<String>,
    },
    /// The agent of a program is alive. A worker sends its own heartbeats.
    Heartbeat,
    /// The worker could not be started.
    NotStarted {
        /// The system's reason.
        why: String,
        /// Its number, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        errno: Option<i32>,
    },
    /// The worker has ended. Only this tells how; an exit code of `srun` or `ssh` does not.
    Ended {
        /// Its exit code, if it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The signal that ended it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Why the agent ended it, if neither the worker nor the coordinator asked for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<String>,
        /// The length of the program's metrics file there, in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metrics: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromWorker, ToWorker, decode_line, encode_line};

    #[test]
    fn lines_of_agents_differ_from_all_others_and_survive_the_round_trip() {
        let secrets = ToAgent::Secrets {
            environment: [("KEY".to_owned(), "a\nb".to_owned())].into(),
            words: vec![(3, "--key=a".to_owned())],
        };
        for message in [
            ToAgent::Heartbeat,
            ToAgent::Terminate,
            ToAgent::Suspend,
            ToAgent::Continue,
            secrets,
        ] {
            let line = encode_line(&message);
            assert!(line.as_bytes().starts_with(AGENT_LINE), "{line}");
            assert_eq!(decode_line::<ToAgent>(line.as_bytes()).unwrap(), message);
            assert!(decode_line::<ToWorker>(line.as_bytes()).is_err());
        }
        let all = [
            FromAgent::Running {
                host: "n1".into(),
                job: Some("12.0".into()),
                seconds: Some(60),
                gpus: None,
            },
            FromAgent::Heartbeat,
            FromAgent::NotStarted {
                why: "no".into(),
                errno: Some(2),
            },
            FromAgent::Ended {
                code: Some(0),
                signal: None,
                lost: None,
                metrics: Some(3),
            },
        ];
        for message in all {
            let line = encode_line(&message);
            assert!(line.as_bytes().starts_with(AGENT_LINE), "{line}");
            assert_eq!(decode_line::<FromAgent>(line.as_bytes()).unwrap(), message);
            assert!(decode_line::<FromWorker>(line.as_bytes()).is_err());
        }
        assert!(
            !encode_line(&ToWorker::Heartbeat)
                .as_bytes()
                .starts_with(AGENT_LINE)
        );
    }
}
