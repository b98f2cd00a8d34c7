//! What is started in a slot: a worker that stays, or a program for each trial. Fills in what a
//! trial's program is started with; `cli` makes these of the sweep file, the dispatcher uses them.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::devices::thread_variables;
use super::launch::{CommandLine, ProgramPlan};
use crate::files;
use crate::plan::PlannedTrial;
use crate::spec::Config;
use crate::spec::command::{
    CONFIG_FILE, Filling, Piece, Program, fill, holds_variable, nested_json,
};

/// The folder of a trial's program, relative to the run directory: here all trials have theirs.
pub const TRIALS: &str = "trials";
/// The file in a trial's folder that the output of its first attempt goes to. Later ones get a file
/// of their own.
pub const OUTPUT_FILE: &str = "output.log";
/// The variable that names the file that an attempt writes its metrics to.
pub const METRICS_VARIABLE: &str = "PENTAGRID_METRICS";
/// The name of that file where no attempt is known; each attempt has its own.
const METRICS_FILE: &str = "metrics.jsonl";

/// How a slot gets its trials run.
#[derive(Clone, Debug)]
pub enum Start {
    /// By a worker, which is started once and given trials.
    Worker(WorkerStart),
    /// By a program, which is started once for every trial.
    Program(Arc<ProgramStart>),
}

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerStart {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables, over the slot's.
    pub environment: Vec<(String, String)>,
    /// Names of those whose values may be secrets.
    pub secret: Vec<String>,
    /// The folder that it is started in; None: the coordinator's.
    pub workdir: Option<PathBuf>,
}

/// How to start trials' programs.
#[derive(Clone, Debug)]
pub struct ProgramStart {
    /// The command line.
    pub program: Program,
    /// Environment variables, over the slot's and ours.
    pub env: Vec<(String, Vec<Piece>)>,
    /// The Python interpreter.
    pub interpreter: String,
    /// The folder that they are started in.
    pub workdir: PathBuf,
    /// The metric that the sweep selects by.
    pub metric: String,
    /// How many threads a trial of each arm is told to use, by the arm's number.
    pub threads: Vec<u32>,
}

impl ProgramStart {
    /// Makes the trial's folder with its hyper-parameters in it, and returns what to start there.
    /// The slot's variables are still missing, and so are the attempt's own files
    /// (`ProgramPlan::begin`). `run_dir` is absolute.
    ///
    /// # Errors
    /// The operating system's, if the folder cannot be written; a variable that is not set any
    /// more.
    pub fn plan(
        &self,
        trial: &PlannedTrial,
        config: &Config,
        run_dir: &Path,
    ) -> std::io::Result<ProgramPlan> {
        let id = trial.id.to_string();
        let dir = run_dir.join(TRIALS).join(&id);
        let shown = dir.display().to_string();
        let filling = Filling {
            config,
            seed: trial.id.seed,
            trial: &id,
            dir: &shown,
            interpreter: &self.interpreter,
        };
        let variable = |name: &str| std::env::var(name).ok();
        let command = self
            .program
            .fill(&filling, &variable)
            .map_err(std::io::Error::other)?;
        let mut environment: BTreeMap<String, String> =
            thread_variables(self.threads_of(trial)).collect();
        environment.extend(Self::own_variables(&filling));
        environment.insert(UNBUFFERED.to_owned(), unbuffered());
        for (name, value) in &self.env {
            environment.insert(
                name.clone(),
                fill(value, &filling, &variable).map_err(std::io::Error::other)?,
            );
        }
        let fresh = make_folder(run_dir, &id)?;
        let config = nested_json(config) + "\n";
        if fresh {
            files::create(&dir.join(CONFIG_FILE))?.write_all(config.as_bytes())?;
        } else {
            // An earlier attempt may have put anything there.
            files::replace(&dir.join(CONFIG_FILE), config.as_bytes())?;
        }
        Ok(ProgramPlan {
            trial: id.clone(),
            line: CommandLine {
                command,
                environment,
                workdir: Some(self.workdir.clone()),
                secret: self
                    .env
                    .iter()
                    .filter(|(_, value)| holds_variable(value))
                    .map(|(name, _)| name.clone())
                    .collect(),
                secret_words: self.program.secret_words(&filling),
                ..CommandLine::default()
            },
            agent: false,
            fresh,
            metrics: dir.join(METRICS_FILE),
            log: OUTPUT_FILE.to_owned(),
            folder: dir,
            metric: self.metric.clone(),
        })
    }

    /// How many threads a trial is told to use.
    pub fn threads_of(&self, trial: &PlannedTrial) -> u32 {
        self.threads.get(trial.arm.0).copied().unwrap_or(1)
    }

    /// The variables by which a program is told of its trial.
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

/// Whether Python writes its output at once, or keeps it in a buffer that is lost when the program
/// is killed.
pub const UNBUFFERED: &str = "PYTHONUNBUFFERED";

/// What that variable is set to, unless the sweep file says otherwise: as the user has it, else on.
pub fn unbuffered() -> String {
    std::env::var(UNBUFFERED).unwrap_or_else(|_| "1".to_owned())
}

/// Makes a trial's folder; says whether it was not there before. A run directory that is gone is
/// not made again.
fn make_folder(run_dir: &Path, trial: &str) -> std::io::Result<bool> {
    let trials = run_dir.join(TRIALS);
    match make(&trials.join(trial)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(&trials).and_then(|_| make(&trials.join(trial)))
        }
        made => made,
    }
}

/// Makes a folder; says whether it was not there before. If it is something else that stands there,
/// the first file in it tells.
fn make(dir: &Path) -> std::io::Result<bool> {
    match std::fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
