//! What the program finds around it: its own trainer, the host, the time, the state of the git checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::CliError;
use crate::ledger::{Holder, SessionInfo};
use crate::spec::{Spec, Task};

/// Name of the built-in task's program.
const TRAINER: &str = "pentagrid-trainer";

/// The time now, ISO 8601 in UTC with milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// The command line of a sweep's workers.
///
/// # Errors
/// `CliError::Usage` if the built-in trainer is not where it should be.
pub fn worker_command(spec: &Spec) -> Result<Vec<String>, CliError> {
    match &spec.task {
        Task::Worker(command) => Ok(command.clone()),
        Task::MnistResnet18 => Ok(vec![trainer_path()?.display().to_string()]),
    }
}

/// The built-in trainer: PENTAGRID_TRAINER, or the program beside this one.
fn trainer_path() -> Result<PathBuf, CliError> {
    let path = match std::env::var_os("PENTAGRID_TRAINER") {
        Some(path) => PathBuf::from(path),
        None => {
            let own = std::env::current_exe().map_err(|error| CliError::Unexpected(format!("cannot find myself: {error}")))?;
            own.with_file_name(TRAINER)
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(CliError::Usage(format!(
        "the built-in task's program is not at {}\nbuild it with `scripts/setup.sh && cargo build`, or name it in PENTAGRID_TRAINER",
        path.display()
    )))
}

/// What the ledger notes about this run of the program.
pub fn session(devices: String) -> SessionInfo {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown".to_owned());
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    SessionInfo {
        holder: Holder { host, pid: std::process::id(), since: now() },
        boot_id,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: git_state(Path::new(".")),
        devices,
    }
}

/// Commit of a checkout, and whether it has uncommitted changes. None outside a checkout, or without git.
fn git_state(dir: &Path) -> Option<(String, bool)> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(dir).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    // What a sweep itself writes is not a change of the code.
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some((commit, !changes.is_empty()))
}
