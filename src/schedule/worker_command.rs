//! What is started in a slot: a worker for many trials, or a program for each trial. The command
//! line of a program is filled in for its trial.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::devices::thread_variables;
use super::launch::{CommandLine, METRICS_VARIABLE, ProgramPlan, Source};
use crate::collect::{Format, wandb_config};
use crate::files;
use crate::plan::PlannedTrial;
use crate::spec::Config;
use crate::spec::command::{
    CONFIG_FILE, Filling, Piece, Program, fill, holds_variable, nested_json,
};

/// The folder in the run directory in which each trial's program has its own folder.
pub(super) const TRIALS: &str = "trials";
/// The file in a trial's folder for the output of its first attempt. Later attempts get files of
/// their own.
pub(super) const OUTPUT_FILE: &str = "output.log";
/// The name of the metrics file before an attempt begins; each attempt has its own.
const METRICS_FILE: &str = "metrics.jsonl";
/// The file of hyper-parameters for `wandb.config` in a trial's folder.
pub const WANDB_CONFIG_FILE: &str = "wandb-config.yaml";

/// How the trials of a slot are run.
#[derive(Clone, Debug)]
pub enum Start {
    /// By a worker, which is started once and given many trials.
    Worker(WorkerStart),
    /// By a program, which is started once for each trial.
    Program(Arc<ProgramStart>),
}

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerStart {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables, in addition to the slot's.
    pub environment: Vec<(String, String)>,
    /// Names of the variables whose values may be secrets.
    pub secret: Vec<String>,
    /// The folder that it is started in; None: that of the coordinator.
    pub workdir: Option<PathBuf>,
}

/// How to start trials' programs.
#[derive(Clone, Debug)]
pub struct ProgramStart {
    /// The command line.
    pub program: Program,
    /// Environment variables, in addition to the slot's and pentagrid's.
    pub env: Vec<(String, Vec<Piece>)>,
    /// The Python interpreter.
    pub interpreter: String,
    /// The folder that they are started in.
    pub workdir: PathBuf,
    /// The metric that the sweep selects by.
    pub metric: String,
    /// Where their metrics are read from, beside their own metrics files.
    pub sources: Vec<Source>,
    /// How many threads a trial of each arm should use, by arm.
    pub threads: Vec<u32>,
}

impl ProgramStart {
    /// Creates the trial's folder with its hyper-parameters in it, and returns what to start there.
    /// The slot's variables are still missing, and so are the attempt's own files
    /// (`ProgramPlan::begin`). `run_dir` is absolute.
    ///
    /// # Errors
    /// The operating system's, if the folder cannot be written; or a variable that is not set any
    /// more.
    pub fn plan(
        &self,
        trial: &PlannedTrial,
        config: &Config,
        run_dir: &Path,
    ) -> std::io::Result<ProgramPlan> {
        let id = trial.id.to_string();
        let folder = run_dir.join(TRIALS).join(&id);
        let shown_folder = folder.display().to_string();
        let filling = Filling {
            config,
            seed: trial.id.seed,
            trial: &id,
            dir: &shown_folder,
            interpreter: &self.interpreter,
        };
        let line = self.command_line(&filling, self.threads_of(trial))?;
        let sources = self.sources.iter();
        let sources = sources
            .map(|source| source.of_trial(&folder, &filling, &variable))
            .collect::<Result<_, _>>()
            .map_err(std::io::Error::other)?;

        let fresh = create_folder(run_dir, &id)?;
        let json = nested_json(config) + "\n";
        write_file(&folder.join(CONFIG_FILE), &json, fresh)?;
        if reads_wandb(&self.sources) {
            let config = wandb_config(config, trial.id.seed);
            write_file(&folder.join(WANDB_CONFIG_FILE), &config, fresh)?;
        }
        Ok(ProgramPlan {
            trial: id,
            line,
            agent: false,
            fresh,
            metrics: folder.join(METRICS_FILE),
            log: OUTPUT_FILE.to_owned(),
            folder,
            metric: self.metric.clone(),
            sources,
        })
    }

    /// The command line of a trial, with its environment.
    fn command_line(&self, filling: &Filling<'_>, threads: u32) -> std::io::Result<CommandLine> {
        let command = self
            .program
            .fill(filling, &variable)
            .map_err(std::io::Error::other)?;
        let mut environment: BTreeMap<String, String> = thread_variables(threads).collect();
        environment.extend(Self::own_variables(filling));
        if reads_wandb(&self.sources) {
            environment.extend(wandb_variables(filling.dir));
        }
        environment.insert(UNBUFFERED.to_owned(), unbuffered());
        for (name, value) in &self.env {
            let value = fill(value, filling, &variable).map_err(std::io::Error::other)?;
            environment.insert(name.clone(), value);
        }

        let secret = self
            .env
            .iter()
            .filter(|(_, value)| holds_variable(value))
            .map(|(name, _)| name.clone())
            .collect();
        Ok(CommandLine {
            command,
            environment,
            workdir: Some(self.workdir.clone()),
            secret,
            secret_words: self.program.secret_words(filling),
            ..CommandLine::default()
        })
    }

    /// How many threads a trial should use.
    pub fn threads_of(&self, trial: &PlannedTrial) -> u32 {
        self.threads.get(trial.arm.0).copied().unwrap_or(1)
    }

    /// The variables that tell a program about its trial.
    pub fn own_variables(filling: &Filling<'_>) -> Vec<(String, String)> {
        let own = [
            ("PENTAGRID_TRIAL", filling.trial.to_owned()),
            ("PENTAGRID_SEED", filling.seed.to_string()),
            ("PENTAGRID_DIR", filling.dir.to_owned()),
            ("PENTAGRID_CONFIG", format!("{}/{CONFIG_FILE}", filling.dir)),
            (METRICS_VARIABLE, format!("{}/{METRICS_FILE}", filling.dir)),
        ];
        own.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Whether one of the sources is W&B.
fn reads_wandb(sources: &[Source]) -> bool {
    sources
        .iter()
        .any(|source| matches!(source.format, Format::Wandb))
}

/// The variables that let a script of W&B run without its service, write its files to the trial's
/// folder, and find its hyper-parameters in `wandb.config`.
pub fn wandb_variables(dir: &str) -> [(String, String); 3] {
    [
        ("WANDB_MODE", "offline".to_owned()),
        ("WANDB_DIR", dir.to_owned()),
        (
            "WANDB_SWEEP_PARAM_PATH",
            format!("{dir}/{WANDB_CONFIG_FILE}"),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// Writes a file into a trial's folder. Unless that is fresh, an earlier attempt may have put
/// anything there.
fn write_file(path: &Path, text: &str, fresh: bool) -> std::io::Result<()> {
    if fresh {
        files::create(path)?.write_all(text.as_bytes())
    } else {
        files::replace(path, text.as_bytes())
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The variable that makes Python write its output at once, instead of into a buffer that is lost
/// when the program is killed.
pub const UNBUFFERED: &str = "PYTHONUNBUFFERED";

/// The value of that variable unless the sweep file sets it: the user's, or else on.
pub fn unbuffered() -> String {
    std::env::var(UNBUFFERED).unwrap_or_else(|_| "1".to_owned())
}

/// Creates a trial's folder; returns whether it is new. A run directory that was removed is not
/// created again.
fn create_folder(run_dir: &Path, trial: &str) -> std::io::Result<bool> {
    let trials = run_dir.join(TRIALS);
    match create(&trials.join(trial)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(&trials).and_then(|_| create(&trials.join(trial)))
        }
        created => created,
    }
}

/// Creates a folder; returns whether it is new. A link in its place is refused: what is written
/// there would be elsewhere.
fn create(dir: &Path) -> std::io::Result<bool> {
    match std::fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let kind = std::fs::symlink_metadata(dir)?.file_type();
            if kind.is_dir() {
                return Ok(false);
            }
            Err(std::io::Error::other(format!(
                "{} is {}, not a folder",
                dir.display(),
                files::kind_name(kind)
            )))
        }
        Err(error) => Err(error),
    }
}
