//! What the coordinator and the agent say to each other. The agent (`src/schedule/agent/`) stands between
//! the coordinator and a worker or program that was started through another program: its lines have
//! the key `agent`, all others pass it unseen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How every line to or from an agent begins.
pub const AGENT_LINE: &[u8] = b"{\"agent\":";

/// What the coordinator says to an agent. The end of its stdin means: end the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "snake_case")]
pub enum ToAgent {
    /// What must not stand on the agent's own command line: the first line to an agent that waits
    /// for it.
    Secrets {
        /// Variables of the worker's environment.
        environment: BTreeMap<String, String>,
        /// Words of its command line, by their places.
        words: Vec<(usize, String)>,
    },
    /// The coordinator is alive.
    Heartbeat,
    /// SIGTERM to the worker's process group.
    Terminate,
    /// SIGSTOP to it.
    Suspend,
    /// SIGCONT to it.
    Continue,
}

/// What an agent says to the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "snake_case")]
pub enum FromAgent {
    /// The agent runs, and starts the worker next: nothing is waited for any more.
    Running {
        /// The host.
        host: String,
        /// The job, or the job and step (`12.0`), by Slurm's numbers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<String>,
        /// After so many seconds Slurm will end it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// What it was given as GPUs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpus: Option<String>,
    },
    /// The agent of a program is alive. A worker speaks for itself.
    Heartbeat,
    /// The worker could not be started.
    NotStarted {
        /// The system's reason.
        why: String,
        /// The same by its number, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        errno: Option<i32>,
    },
    /// The worker has ended: the only proof of how. An exit code of `srun` or `ssh` is none.
    Ended {
        /// Its exit code, if it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The signal that ended it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Why it was ended, where neither it nor the coordinator wanted that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<String>,
        /// How long the program's metrics file is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metrics: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromWorker, ToWorker, decode_line, encode_line};

    #[test]
    fn lines_of_agents_are_told_from_all_others_and_survive() {
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
