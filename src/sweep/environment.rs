//! What the program finds around it: its own trainer, the host, the time, the state of the git
//! checkout.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::SweepError;
use super::find_program;
use super::git::git;
use crate::ledger::{Holder, Reader, SessionInfo};
use crate::machine::{self, host_name};
use crate::schedule::{
    Launcher, ProgramStart, Source, Start, UNBUFFERED, WorkerStart, located, unbuffered,
};
use crate::secrets::Secrets;
use crate::spec::command::{Filling, Piece, fill, holds_variable};
use crate::spec::{Spec, Task};
use crate::tasks::BuiltIn;

/// The time now, ISO 8601 in UTC with milliseconds.
pub(super) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// How long a shortage may keep trials from starting while none runs: two minutes, or as many
/// seconds as the environment says.
pub(super) fn shortage_limit() -> Duration {
    let asked = std::env::var("PENTAGRID_SHORTAGE")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(120))
}

/// How the built-in trainer is to compute; your own workers are told too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Computing {
    /// The most trials that it trains as one network; None: it decides.
    pub pack: Option<u16>,
    /// Whether it may multiply in TF32.
    pub tf32: bool,
}

impl Computing {
    /// The variables that say so.
    fn variables(self) -> Vec<(String, String)> {
        let pack = self
            .pack
            .map(|pack| ("PENTAGRID_PACK".to_owned(), pack.to_string()));
        let tf32 = self
            .tf32
            .then(|| ("PENTAGRID_TF32".to_owned(), "1".to_owned()));
        pack.into_iter().chain(tf32).collect()
    }
}

/// Returns the folder that trials are started in: `workdir`, relative to the folder that the sweep
/// was started from.
pub fn working_folder(spec: &Spec, folder: &Path) -> PathBuf {
    match &spec.workdir {
        Some(workdir) => folder.join(workdir),
        None => folder.to_owned(),
    }
}

/// How a sweep's trials are run. `folder` is the one that the sweep was started from.
///
/// # Errors
/// `SweepError::Refused` if a program is not where it should be, or a variable that the spec names is
/// not set: before anything is started.
pub fn start(
    spec: &Spec,
    folder: &Path,
    computing: Computing,
    launcher: &Launcher,
) -> Result<Start, SweepError> {
    // What is on another machine cannot be looked for here. Under Slurm both have the same files.
    let elsewhere = matches!(launcher, Launcher::Prefix(_));
    let workdir = working_folder(spec, folder);
    if !elsewhere && !workdir.is_dir() && spec.workdir.is_some() {
        let shell = spec
            .workdir
            .as_ref()
            .is_some_and(|workdir| workdir.starts_with('~') || workdir.contains('$'));
        let why = if shell {
            "`workdir`: there is no shell that would replace `~` and `$NAME`"
        } else {
            "`workdir`"
        };
        return Err(SweepError::Refused(format!(
            "the folder to start in, {}, is not there ({why})",
            workdir.display()
        )));
    }
    if !elsewhere && !workdir.is_dir() {
        return Err(SweepError::Refused(format!(
            "the folder that the sweep was started from, {}, is not there any more\n\
             go on from another one: pentagrid run SPEC --dir DIR, with the sweep file and the run directory",
            workdir.display()
        )));
    }
    let pieces = spec.env.iter().flat_map(|(_, pieces)| pieces);
    let own = match &spec.task {
        Task::Program(program) => Some(program.pieces()),
        Task::Worker(_) | Task::BuiltIn(_) => None,
    };
    refuse_unset(pieces.chain(own.into_iter().flatten()))?;
    match &spec.task {
        Task::Worker(command) => Ok(Start::Worker(worker(
            spec,
            command.clone(),
            workdir,
            computing,
        ))),
        Task::BuiltIn(task) => Ok(Start::Worker(worker(
            spec,
            vec![trainer_path(task, elsewhere)?.display().to_string()],
            workdir,
            computing,
        ))),
        Task::Program(program) => {
            let path = search_path(spec);
            let interpreter = interpreter(&path);
            if !elsewhere {
                find_program::check(program, &interpreter, &workdir, &path)?;
            }
            Ok(Start::Program(Arc::new(ProgramStart {
                program: program.clone(),
                env: spec.env.clone(),
                interpreter,
                workdir,
                metric: spec.metric.name.clone(),
                sources: Source::all(&spec.sources),
                threads: (0..spec.arms.len())
                    .map(|arm| spec.resources_of(arm).threads)
                    .collect(),
            })))
        }
    }
}

fn worker(
    spec: &Spec,
    command: Vec<String>,
    workdir: PathBuf,
    computing: Computing,
) -> WorkerStart {
    let filling = Filling::of_no_trial("");
    let value = |pieces: &[Piece]| {
        fill(pieces, &filling, &|name| std::env::var(name).ok()).unwrap_or_default()
    };
    let own = spec
        .env
        .iter()
        .map(|(name, pieces)| (name.clone(), value(pieces)));
    let output = spec
        .task
        .built_in()
        .is_none()
        .then(|| (UNBUFFERED.to_owned(), unbuffered()));
    let environment = output
        .into_iter()
        .chain(computing.variables())
        .chain(own)
        .collect();
    let secret = spec
        .env
        .iter()
        .filter(|(_, pieces)| holds_variable(pieces))
        .map(|(name, _)| name.clone())
        .collect();
    WorkerStart {
        command,
        environment,
        secret,
        workdir: Some(workdir),
    }
}

/// The values of environment variables that the sweep file names, as they are set here.
pub fn secrets(spec: &Spec) -> Secrets {
    let own = match &spec.task {
        Task::Program(program) => Some(program.pieces()),
        Task::Worker(_) | Task::BuiltIn(_) => None,
    };
    let pieces = spec
        .env
        .iter()
        .flat_map(|(_, pieces)| pieces)
        .chain(own.into_iter().flatten());
    Secrets::new(pieces.filter_map(|piece| match piece {
        Piece::Variable(name) => Some((name.clone(), std::env::var(name).ok()?)),
        _ => None,
    }))
}

/// Variables that are named and not set are told together.
fn refuse_unset<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Result<(), SweepError> {
    let mut unset: Vec<&str> = pieces
        .filter_map(|piece| match piece {
            Piece::Variable(name) if std::env::var(name).is_err() => Some(name.as_str()),
            _ => None,
        })
        .collect();
    unset.sort_unstable();
    unset.dedup();
    if unset.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = unset
        .iter()
        .map(|name| format!("${{envvar:{name}}}"))
        .collect();
    Err(SweepError::Refused(format!(
        "the sweep file names environment variables that are not set: {}\nset them, e.g. `export {}=...`, and start it again",
        named.join(", "),
        unset[0]
    )))
}

/// Where programs are looked for: the PATH that the sweep file sets, or ours.
pub(super) fn search_path(spec: &Spec) -> OsString {
    let filling = Filling::of_no_trial("");
    let own = spec.env.iter().find(|(name, _)| name == "PATH");
    let own =
        own.and_then(|(_, pieces)| fill(pieces, &filling, &|name| std::env::var(name).ok()).ok());
    own.map_or_else(machine::search_path, OsString::from)
}

/// `python`, or `python3` where there is no `python`.
pub(super) fn interpreter(path: &OsStr) -> String {
    let found = |name: &&str| located(name, Path::new(""), path).is_some();
    ["python", "python3"]
        .into_iter()
        .find(found)
        .unwrap_or("python")
        .to_owned()
}

/// The path of this program's executable.
pub(super) fn own_executable() -> Result<PathBuf, SweepError> {
    std::env::current_exe().map_err(SweepError::system(
        "cannot determine the path of the pentagrid executable",
    ))
}

/// A built-in task's program: PENTAGRID_TRAINER, or the one beside this program.
pub(super) fn trainer_path(task: &BuiltIn, elsewhere: bool) -> Result<PathBuf, SweepError> {
    let path = match std::env::var_os("PENTAGRID_TRAINER") {
        Some(path) => PathBuf::from(path),
        None => own_executable()?.with_file_name(task.program),
    };
    if elsewhere || path.is_file() {
        return Ok(path);
    }
    Err(SweepError::Refused(format!(
        "the built-in task's program is not at {}\nbuild it with `scripts/setup.sh && cargo build --workspace`, or name it in PENTAGRID_TRAINER",
        path.display()
    )))
}

/// The folder that this program was started in.
///
/// # Errors
/// `SweepError::Refused` if it is not there any more.
pub fn folder() -> Result<PathBuf, SweepError> {
    std::env::current_dir()
        .map_err(|error| SweepError::Refused(format!("the current folder cannot be used: {error}")))
}

/// The folder that a sweep was started from, wherever one goes on with it; this one, where that was
/// not noted, or where it is not there any more and the built-in task needs none.
///
/// # Errors
/// As the ledger, and as `folder`.
pub fn folder_of(ledger: &Reader, spec: &Spec) -> Result<PathBuf, SweepError> {
    let needs_none = spec.task.built_in().is_some() && spec.workdir.is_none();
    match ledger.folder()? {
        Some(folder) if folder.is_dir() || !needs_none => Ok(folder),
        _ => folder(),
    }
}

/// What the ledger notes about this run of the program, for the sweep of that folder.
pub(super) fn session(devices: String, folder: &Path) -> SessionInfo {
    let host = host_name().unwrap_or_else(|| "unknown".to_owned());
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned();
    SessionInfo {
        holder: Holder {
            host,
            pid: std::process::id(),
            since: now(),
        },
        boot_id,
        command: std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" "),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: git_state(folder),
        devices,
        folder: folder.display().to_string(),
    }
}

/// Commit of a checkout, and whether it has uncommitted changes. None outside a checkout, or
/// without git.
fn git_state(dir: &Path) -> Option<(String, bool)> {
    let commit = git(dir, &["rev-parse", "HEAD"])?;
    // What a sweep itself writes is not a change of the code.
    let changes = git(dir, &["status", "--porcelain", "--untracked-files=no"])?;
    Some((commit.trim().to_owned(), !changes.trim().is_empty()))
}
