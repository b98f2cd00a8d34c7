//! The common interface of all launchers: what is really started for a command line, whether it
//! waits in a queue, whether an agent runs beside it, and how it is ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::prefix::Prefix;
use super::slurm::Slurm;
use crate::ledger::WorkerId;
use crate::schedule::process_groups::signal_group;
use crate::schedule::run_mark::Mark;
use crate::schedule::slot_index::SlotIndex;
use crate::schedule::ulimits::{
    OriginalLimit, fits_original_limit, original_open_files, set_open_files,
};

/// How long a worker may take to say hello unless the sweep file says otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// What replaces a secret word on a command line.
const SECRET_PLACEHOLDER: &str = "${secret}";

/// A command line that is to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables to set, over the coordinator's own.
    pub environment: BTreeMap<String, String>,
    /// Variables of the coordinator's environment that are not passed on.
    pub without: Vec<String>,
    /// The folder that it is started in; None: the coordinator's.
    pub workdir: Option<PathBuf>,
    /// Names of those variables in `environment` whose values may be secrets: they must not be on a
    /// command line.
    pub secret: Vec<String>,
    /// Places in `command` of words that may hold secrets: they are only on the command line of the
    /// program itself.
    pub secret_words: Vec<usize>,
    /// What its stdin begins with.
    pub first_lines: Hidden,
}

/// Text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl CommandLine {
    /// Takes the secret words out of the command, and puts placeholders in their places.
    pub fn take_secret_words(&mut self) -> Vec<(usize, String)> {
        let places = std::mem::take(&mut self.secret_words);
        places
            .into_iter()
            .map(|place| {
                let placeholder = SECRET_PLACEHOLDER.to_owned();
                let word = std::mem::replace(&mut self.command[place], placeholder);
                (place, word)
            })
            .collect()
    }

    /// The program's name, without its folder.
    pub fn name(&self) -> Arc<str> {
        self.command
            .first()
            .and_then(|program| program.rsplit('/').next())
            .unwrap_or_default()
            .into()
    }

    /// The process to start, without its pipes, as the leader of a process group. So Ctrl-C in the
    /// terminal reaches only the coordinator, which ends workers in order; and everything that the
    /// process starts can be ended with it.
    ///
    /// # Errors
    /// If there is no program.
    pub fn process(&self) -> std::io::Result<Command> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| std::io::Error::other("an empty command"))?;
        let mut command = Command::new(program);
        if let Some(workdir) = &self.workdir {
            command.current_dir(workdir);
        }
        for name in &self.without {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .envs(&self.environment)
            .process_group(0);
        Ok(command)
    }
}

/// Starts a process with the limit of open files that this program was started with.
///
/// # Errors
/// The operating system's.
pub fn start(mut command: Command) -> std::io::Result<Child> {
    let Some(limit) = original_open_files() else {
        return command.spawn();
    };

    // The standard library forks if something must be done before exec, and the kernel then copies
    // this program's page tables. Without that it uses `posix_spawn`, which copies nothing.
    if fits_original_limit() {
        let _lowered = OriginalLimit::put_in_force();
        return command.spawn();
    }

    // SAFETY: between fork and exec only a system call is made.
    unsafe { command.pre_exec(move || set_open_files(limit)) };
    command.spawn()
}

/// What a process is started for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The slot.
    pub slot: SlotIndex,
    /// Its number in the ledger.
    pub worker: WorkerId,
    /// The mark of the run directory.
    pub mark: &'a Mark,
    /// The metrics file, for a program that trains one trial.
    pub metrics: Option<&'a Path>,
}

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

/// Sends a signal to one process, if it still exists.
pub fn signal_process(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && let Err(error) = kill(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %signal, "cannot signal a launcher's process: {error}");
    }
}

/// The agent's own command line, without the command that it is to start. With `has_secrets` it
/// waits for the secrets on its stdin.
pub fn agent_words(
    agent: &str,
    silence: Duration,
    place: Place<'_>,
    has_secrets: bool,
) -> Vec<String> {
    let mut words = vec![
        agent.to_owned(),
        "agent".to_owned(),
        "--silence".to_owned(),
        silence.as_secs().to_string(),
        "--run".to_owned(),
        place.mark.dir.clone(),
    ];
    if let Some(metrics) = place.metrics {
        words.extend(["--metrics".to_owned(), metrics.display().to_string()]);
    }
    if has_secrets {
        words.push("--secrets".to_owned());
    }
    words
}
