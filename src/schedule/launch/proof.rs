//! How a worker behind an agent ended: by what the agent said. The exit code of `srun` or `ssh`
//! proves nothing, not even 0.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::protocol::FromAgent;
use crate::schedule::action::Exit;
use crate::schedule::memory::line_about_memory;
use crate::schedule::shortage::Refusal;

/// What an agent has said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proof {
    /// Whether it has run at all.
    pub ran: bool,
    /// Its last message, if that was about the end.
    pub end: Option<FromAgent>,
}

/// Words by which `srun` says that what it was asked for is not to blame: cancelled while it
/// waited, or nobody there to ask.
const NO_FAULT: [&str; 6] = [
    "revoked",
    "Force Terminated",
    "DUE TO",
    "Unable to contact slurm controller",
    "Job has been cancelled",
    "Socket timed out",
];

impl Proof {
    /// Takes note of what the agent says; what of it is news to the dispatcher.
    pub fn hear(&mut self, message: FromAgent) -> Option<super::Incoming> {
        match message {
            FromAgent::Running {
                host,
                job,
                seconds,
                gpus,
            } => {
                self.ran = true;
                Some(super::Incoming::Running {
                    host,
                    job,
                    ends_in: seconds.map(Duration::from_secs),
                    gpus,
                })
            }
            FromAgent::Heartbeat => Some(super::Incoming::Alive),
            end => {
                self.end = Some(end);
                None
            }
        }
    }

    /// Whether the worker has run, and its end was seen.
    pub fn has_seen_the_end(&self) -> bool {
        matches!(self.end, Some(FromAgent::Ended { .. }))
    }

    /// What the system there refused, if nothing could be started, and how the agent says it.
    pub fn refusal(&self) -> Option<(Refusal, String)> {
        match &self.end {
            Some(FromAgent::NotStarted {
                why,
                errno: Some(errno),
            }) => Some((
                Refusal::of_the_process(std::io::Error::from_raw_os_error(*errno)),
                why.clone(),
            )),
            _ => None,
        }
    }

    /// The end that this proves, and what there is to say of it. `exit` is that of the launcher's
    /// own process, `program` its name, `log` the end of the log.
    pub fn judge(self, exit: Exit, program: &str, log: &str) -> (Exit, String) {
        let how = match exit {
            Exit::Code(code) => format!("{program} ended with exit code {code}"),
            Exit::Signal(signal) => format!("{program} was ended by signal {signal}"),
            Exit::NotStarted | Exit::Lost => format!("{program} ended"),
        };
        let how = reason(log, program).map_or(how.clone(), |line| format!("{how}: {line}"));
        match self.end {
            Some(FromAgent::Ended {
                lost: Some(why), ..
            }) => {
                // Slurm knows better than the agent, which only got a signal.
                (
                    Exit::Lost,
                    log.lines()
                        .rev()
                        .find(|line| is_reason(line))
                        .map_or(why, |line| line.trim().to_owned()),
                )
            }
            Some(FromAgent::Ended {
                signal: Some(signal),
                ..
            }) => (Exit::Signal(signal), String::new()),
            Some(FromAgent::Ended { code, .. }) => (Exit::Code(code.unwrap_or(-1)), String::new()),
            Some(FromAgent::NotStarted { why, .. }) => (Exit::NotStarted, why),
            // Where memory ran out, Slurm may kill the agent too.
            _ if self.ran
                && log.lines().any(|line| {
                    is_launchers(line, program) && line_about_memory(line).is_some()
                }) =>
            {
                (Exit::Signal(Signal::SIGKILL as i32), String::new())
            }
            _ if self.ran => (Exit::Lost, how),
            _ if NO_FAULT.iter().any(|words| log.contains(words)) => (Exit::Lost, how),
            _ => (Exit::NotStarted, format!("{how} (before the worker ran)")),
        }
    }
}

/// The line of a log that says best why a worker ended: Slurm's reason, or else the launcher's last
/// words.
fn reason<'l>(log: &'l str, program: &str) -> Option<&'l str> {
    log.lines()
        .rev()
        .find(|line| is_reason(line))
        .or_else(|| log.lines().rev().find(|line| is_launchers(line, program)))
        .map(str::trim)
}

/// Whether a line of a log is the launcher's own, and not the worker's.
fn is_launchers(line: &str, program: &str) -> bool {
    line.starts_with(program) || line.starts_with("slurmstepd")
}

fn is_reason(line: &str) -> bool {
    ["CANCELLED", "DUE TO", "Node failure"]
        .iter()
        .any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agent_proves_an_end() {
        let ended = |code, signal, lost: Option<&str>| {
            let end = FromAgent::Ended {
                code,
                signal,
                lost: lost.map(str::to_owned),
                metrics: None,
            };
            Proof {
                ran: true,
                end: Some(end),
            }
        };
        let judge = |proof: Proof, exit, log| proof.judge(exit, "srun", log);
        let zero = Exit::Code(0);
        assert_eq!(
            judge(ended(Some(3), None, None), Exit::Code(3), "").0,
            Exit::Code(3)
        );
        assert_eq!(
            judge(ended(None, Some(9), None), Exit::Code(137), "").0,
            Exit::Signal(9)
        );
        let silent = || Proof {
            ran: true,
            end: None,
        };
        assert_eq!(
            judge(silent(), zero, "srun: error: Node failure on n1"),
            (
                Exit::Lost,
                "srun ended with exit code 0: srun: error: Node failure on n1".to_owned()
            )
        );
        let (exit, why) = judge(
            ended(None, Some(15), Some("told")),
            Exit::Code(143),
            "x\nslurmstepd: error: *** STEP 1.0 ON n1 CANCELLED DUE TO TIME LIMIT ***\n",
        );
        assert_eq!(
            (exit, why.ends_with("DUE TO TIME LIMIT ***")),
            (Exit::Lost, true)
        );
        let oom = "slurmstepd: error: Detected 1 oom_kill event in StepId=1.0. Some of the step tasks have been OOM Killed.";
        for said in [
            oom,
            "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=1.0. Some of your processes may have been killed",
            "slurmstepd-n1: error: StepId=1.0 exceeded memory limit (93712384 > 52428800), being killed\nsrun: error: n1: task 0: Killed",
            "srun: Exceeded job memory limit",
        ] {
            assert_eq!(
                judge(silent(), Exit::Code(137), said).0,
                Exit::Signal(9),
                "the trial is to blame, and memory is: {said}"
            );
        }
        for said in [
            "the room is full\nout of memory, trying again",
            "srun: error: no room",
        ] {
            assert_eq!(
                judge(silent(), Exit::Code(137), said).0,
                Exit::Lost,
                "{said}"
            );
        }
        let never = Proof::default;
        assert_eq!(
            judge(
                never(),
                Exit::Code(1),
                "srun: error: invalid partition specified: x"
            )
            .0,
            Exit::NotStarted
        );
        assert_eq!(
            judge(
                never(),
                Exit::Code(1),
                "srun: error: Job allocation 5 has been revoked"
            )
            .0,
            Exit::Lost
        );
    }
}
