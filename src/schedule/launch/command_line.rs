//! Command lines: what is to be started, with its environment and what must not be shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::ledger::WorkerId;
use crate::schedule::run_mark::Mark;
use crate::schedule::slot_index::SlotIndex;
use crate::schedule::ulimits::{
    OriginalLimit, fits_original_limit, original_open_files, set_open_files,
};

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
pub(super) fn start(mut command: Command) -> std::io::Result<Child> {
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

/// The agent's own command line, without the command that it is to start. With `has_secrets` it
/// waits for the secrets on its stdin.
pub(super) fn agent_words(
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
