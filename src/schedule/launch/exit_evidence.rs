//! How a worker behind an agent ended, by what the agent said. The exit code of `srun` or `ssh`
//! proves nothing, not even 0.

use nix::sys::signal::Signal;

use crate::protocol::FromAgent;
use crate::schedule::action::Exit;
use crate::schedule::out_of_memory::line_about_memory;
use crate::schedule::refusal::Refusal;

/// What an agent has said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExitEvidence {
    /// Whether it has run at all.
    pub ran: bool,
    /// Its last message, if that was about the end.
    pub end: Option<FromAgent>,
}

/// Words by which `srun` says that a job was cancelled while it waited, or that Slurm did not
/// answer: the trial is not to blame.
const NO_FAULT: [&str; 6] = [
    "revoked",
    "Force Terminated",
    "DUE TO",
    "Unable to contact slurm controller",
    "Job has been cancelled",
    "Socket timed out",
];
/// Words by which Slurm says why it ended a job.
const SLURM_REASONS: [&str; 3] = ["CANCELLED", "DUE TO", "Node failure"];

impl ExitEvidence {
    /// Notes a message of the agent.
    pub(crate) fn on_message(&mut self, message: &FromAgent) {
        match message {
            FromAgent::Running { .. } => self.ran = true,
            FromAgent::Heartbeat => {}
            FromAgent::NotStarted { .. } | FromAgent::Ended { .. } => {
                self.end = Some(message.clone());
            }
        }
    }

    /// Whether the worker has run, and the agent has seen its end.
    pub(crate) fn has_seen_the_end(&self) -> bool {
        matches!(self.end, Some(FromAgent::Ended { .. }))
    }

    /// What the system there refused, if nothing could be started, and the agent's message.
    pub(crate) fn refusal(&self) -> Option<(Refusal, String)> {
        match &self.end {
            Some(FromAgent::NotStarted {
                why,
                errno: Some(errno),
            }) => {
                let error = std::io::Error::from_raw_os_error(*errno);
                Some((Refusal::of_the_process(error), why.clone()))
            }
            _ => None,
        }
    }

    /// How the worker ended, and why. `launcher_exit` is the exit of the launcher's own process,
    /// `program` its name, and `log` the end of the log.
    pub(crate) fn conclude(self, launcher_exit: Exit, program: &str, log: &str) -> (Exit, String) {
        match self.end {
            // Slurm knows the reason better than the agent, which only got a signal.
            Some(FromAgent::Ended {
                lost: Some(why), ..
            }) => {
                let reason = log.lines().rev().find(|line| is_reason(line));
                let why = reason.map_or(why, |line| line.trim().to_owned());
                return (Exit::Lost, why);
            }
            Some(FromAgent::Ended {
                signal: Some(signal),
                ..
            }) => return (Exit::Signal(signal), String::new()),
            Some(FromAgent::Ended { code, .. }) => {
                return (Exit::Code(code.unwrap_or(-1)), String::new());
            }
            Some(FromAgent::NotStarted { why, .. }) => return (Exit::NotStarted, why),
            Some(FromAgent::Running { .. } | FromAgent::Heartbeat) | None => {}
        }

        // Where memory ran out, Slurm may have killed the agent as well.
        if self.ran && says_out_of_memory(log, program) {
            return (Exit::Signal(Signal::SIGKILL as i32), String::new());
        }
        let how = describe_launcher(launcher_exit, program, log);
        if self.ran || NO_FAULT.iter().any(|words| log.contains(words)) {
            (Exit::Lost, how)
        } else {
            (Exit::NotStarted, format!("{how} (before the worker ran)"))
        }
    }
}

/// Says how the launcher's process ended, with the line of the log that says best why.
fn describe_launcher(exit: Exit, program: &str, log: &str) -> String {
    let how = match exit {
        Exit::Code(code) => format!("{program} ended with exit code {code}"),
        Exit::Signal(signal) => format!("{program} was ended by signal {signal}"),
        Exit::NotStarted | Exit::Lost => format!("{program} ended"),
    };
    match reason(log, program) {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

/// The line of a log that says best why a worker ended: Slurm's reason, or else the launcher's last
/// line.
fn reason<'l>(log: &'l str, program: &str) -> Option<&'l str> {
    let slurms = log.lines().rev().find(|line| is_reason(line));
    let line = slurms.or_else(|| log.lines().rev().find(|line| is_of_launcher(line, program)))?;
    Some(line.trim())
}

/// Whether the launcher says that memory ran out.
fn says_out_of_memory(log: &str, program: &str) -> bool {
    log.lines()
        .any(|line| is_of_launcher(line, program) && line_about_memory(line).is_some())
}

/// Whether a line of a log was written by the launcher, and not by the worker.
fn is_of_launcher(line: &str, program: &str) -> bool {
    line.starts_with(program) || line.starts_with("slurmstepd")
}

fn is_reason(line: &str) -> bool {
    SLURM_REASONS.iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, signal: Option<i32>, lost: Option<&str>) -> ExitEvidence {
        let end = FromAgent::Ended {
            code,
            signal,
            lost: lost.map(str::to_owned),
            metrics: None,
        };
        ExitEvidence {
            ran: true,
            end: Some(end),
        }
    }

    /// An agent that has run and said nothing of the end.
    fn silent() -> ExitEvidence {
        ExitEvidence {
            ran: true,
            end: None,
        }
    }

    #[test]
    fn the_agent_says_how_the_worker_ended() {
        let (exit, _) = ended(Some(3), None, None).conclude(Exit::Code(3), "srun", "");
        assert_eq!(exit, Exit::Code(3));
        let (exit, _) = ended(None, Some(9), None).conclude(Exit::Code(137), "srun", "");
        assert_eq!(exit, Exit::Signal(9));

        let log = "x\nslurmstepd: error: *** STEP 1.0 ON n1 CANCELLED DUE TO TIME LIMIT ***\n";
        let told = ended(None, Some(15), Some("told"));
        let (exit, why) = told.conclude(Exit::Code(143), "srun", log);
        assert_eq!(exit, Exit::Lost);
        assert!(why.ends_with("DUE TO TIME LIMIT ***"), "{why}");
    }

    #[test]
    fn an_exit_code_of_srun_proves_nothing() {
        let log = "srun: error: Node failure on n1";
        let (exit, why) = silent().conclude(Exit::Code(0), "srun", log);
        assert_eq!(exit, Exit::Lost);
        assert_eq!(
            why,
            "srun ended with exit code 0: srun: error: Node failure on n1"
        );
    }

    #[test]
    fn a_trial_is_to_blame_for_the_memory_that_slurm_ended_it_for() {
        for log in [
            "slurmstepd: error: Detected 1 oom_kill event in StepId=1.0. Some of the step tasks have been OOM Killed.",
            "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=1.0. Some of your processes may have been killed",
            "slurmstepd-n1: error: StepId=1.0 exceeded memory limit (93712384 > 52428800), being killed\nsrun: error: n1: task 0: Killed",
            "srun: Exceeded job memory limit",
        ] {
            let (exit, _) = silent().conclude(Exit::Code(137), "srun", log);
            assert_eq!(exit, Exit::Signal(9), "{log}");
        }
        for log in [
            "the room is full\nout of memory, trying again",
            "srun: error: no room",
        ] {
            let (exit, _) = silent().conclude(Exit::Code(137), "srun", log);
            assert_eq!(exit, Exit::Lost, "{log}");
        }
    }

    #[test]
    fn a_worker_that_never_ran_was_refused_or_cancelled() {
        let never = ExitEvidence::default;
        let log = "srun: error: invalid partition specified: x";
        let (exit, _) = never().conclude(Exit::Code(1), "srun", log);
        assert_eq!(exit, Exit::NotStarted);
        let log = "srun: error: Job allocation 5 has been revoked";
        let (exit, _) = never().conclude(Exit::Code(1), "srun", log);
        assert_eq!(exit, Exit::Lost);
    }
}
