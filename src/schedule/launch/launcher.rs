//! The common interface of all launchers: what is really started for a command line, whether it
//! waits in a queue, whether an agent runs beside it, and how it is ended.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::command_line::{CommandLine, Place};
use super::prefix::Prefix;
use super::slurm::Slurm;
use crate::schedule::process_groups::{signal_group, signal_process};

/// How long a worker may take to say hello unless the sweep file says otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How workers and programs are started.
#[derive(Clone, Debug, Default)]
pub enum Launcher {
    /// As processes of this machine.
    #[default]
    Local,
    /// Behind a program that forwards stdin and stdout, such as ssh.
    Prefix(Prefix),
    /// By `srun`.
    Slurm(Box<Slurm>),
}

impl Launcher {
    /// The command line that is really started for `line`.
    pub fn wrap(&self, line: CommandLine, place: Place<'_>) -> CommandLine {
        match self {
            Self::Local => line,
            Self::Prefix(prefix) => prefix.wrap(line, place),
            Self::Slurm(slurm) => slurm.wrap(line, place),
        }
    }

    /// Whether an agent runs beside the process. Then only the agent's report proves how it ended.
    pub fn has_agent(&self, program: bool) -> bool {
        match self {
            Self::Local => false,
            Self::Prefix(prefix) => prefix.has_agent(program),
            Self::Slurm(_) => true,
        }
    }

    /// Whether the process may have to wait in a queue, for any length of time.
    pub fn has_queue(&self) -> bool {
        matches!(self, Self::Slurm(_))
    }

    /// Whether processes run on this machine, so that its devices and its kernel's counts are
    /// theirs.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }

    /// How long a worker may take to say hello, once it runs.
    pub fn start(&self) -> Duration {
        match self {
            Self::Prefix(prefix) => prefix.start.unwrap_or(START_TIMEOUT),
            Self::Local | Self::Slurm(_) => START_TIMEOUT,
        }
    }

    /// How long the coordinator may be silent before a worker ends itself. None: the end of its
    /// stdin is certain to reach it.
    pub fn silence(&self) -> Option<Duration> {
        match self {
            Self::Local => None,
            Self::Prefix(prefix) => Some(prefix.silence),
            Self::Slurm(slurm) => Some(slurm.silence),
        }
    }

    /// The name of the launcher in the ledger; None: processes of this machine.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Local => None,
            Self::Prefix(_) => Some("command"),
            Self::Slurm(_) => Some("slurm"),
        }
    }

    /// Asks a process to end. Not used with an agent, which gets a message.
    pub fn terminate(&self, pid: u32) {
        signal_group(pid, Signal::SIGTERM);
    }

    /// Kills a process.
    pub fn kill(&self, pid: u32) {
        match self {
            // srun forwards this as SIGKILL, and cancels a job that waits. A signal to its group
            // would kill the child that does so, and the worker would live on.
            Self::Slurm(_) => signal_process(pid, Signal::SIGTERM),
            Self::Local | Self::Prefix(_) => signal_group(pid, Signal::SIGKILL),
        }
    }

    /// Kills what a process that has exited has left running on this machine.
    pub fn end_leftovers(&self, pid: u32) {
        if !self.has_queue() {
            signal_group(pid, Signal::SIGKILL);
        }
    }
}
