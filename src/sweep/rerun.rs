//! The command line that runs one trial again, on its own, as a person would type it.

use std::path::Path;

use super::environment::{self, Computing};
use super::error::SweepError;
use super::open::FoundTrial;
use crate::collect::wandb_config;
use crate::ledger::Reader;
use crate::schedule::devices::{DeviceRequest, Machine};
use crate::schedule::{Launcher, ProgramStart, Start, WANDB_CONFIG_FILE, wandb_variables};
use crate::shell::{shell_path, shell_quoted};
use crate::spec::command::{CONFIG_FILE, Filling, Program, nested_json, shell};
use crate::spec::{MetricsSource, Spec, Task};

/// Returns the command line that runs a trial of the run directory `dir` again, on its own.
///
/// # Errors
/// `SweepError`: the ledger cannot be read, or the current folder cannot be used.
pub fn rerun_command(
    spec: &Spec,
    ledger: &Reader,
    dir: &Path,
    trial: &FoundTrial,
) -> Result<String, SweepError> {
    let folder = environment::folder_of(ledger, spec)?;
    match &spec.task {
        Task::BuiltIn(_) => {
            let start = environment::start(spec, &folder, Computing::default(), &Launcher::Local);
            if let Ok(Start::Worker(worker)) = start {
                let words: Vec<String> = worker
                    .command
                    .iter()
                    .map(|word| shell_quoted(word))
                    .collect();
                return Ok(format!(
                    "{} --seed {} --config {}",
                    words.join(" "),
                    trial.id.seed,
                    shell_quoted(&trial.config.canonical())
                ));
            }
        }
        Task::Program(program) => return Ok(program_command(spec, &folder, program, trial)),
        Task::Worker(_) => {}
    }
    Ok(format!(
        "pentagrid verify {} --trial {}",
        shell_path(dir),
        trial.id
    ))
}

/// The command line of a program: its folder, its configuration file, its variables.
fn program_command(spec: &Spec, folder: &Path, program: &Program, trial: &FoundTrial) -> String {
    let workdir = shell_path(&environment::working_folder(spec, folder));
    let id = trial.id.to_string();
    // A folder of its own: what the sweep recorded stays as it is.
    let scratch = std::env::temp_dir().join(format!("pentagrid-{id}"));
    let scratch = scratch.display().to_string();
    let interpreter = environment::interpreter(&environment::search_path(spec));
    let filling = Filling {
        config: &trial.config,
        seed: trial.id.seed,
        trial: &id,
        dir: &scratch,
        interpreter: &interpreter,
    };

    // The first slot's device: the trial may have had another of the same kind.
    let slots = Machine::detect()
        .slots(&DeviceRequest::Auto, spec.resources_of(trial.arm))
        .unwrap_or_default();
    let device = slots
        .first()
        .map(|slot| slot.environment.clone())
        .unwrap_or_default();
    let mut variables: Vec<String> = ProgramStart::own_variables(&filling)
        .into_iter()
        .map(|(name, value)| format!("{name}={}", shell_quoted(&value)))
        .collect();
    variables.push(format!("PENTAGRID_RUN={}", shell_quoted(&scratch)));
    for (name, value) in device {
        variables.push(format!("{name}={}", shell_quoted(&value)));
    }
    let mut wandb_file = String::new();
    if spec.sources.contains(&MetricsSource::Wandb) {
        let config = wandb_config(&trial.config, trial.id.seed);
        wandb_file = format!(
            "printf %s {} > {}/{WANDB_CONFIG_FILE} &&\n  ",
            shell_quoted(&config),
            shell_quoted(&scratch)
        );
        for (name, value) in wandb_variables(&scratch) {
            variables.push(format!("{name}={}", shell_quoted(&value)));
        }
    }
    for (name, pieces) in &spec.env {
        variables.push(format!("{name}={}", shell(pieces, &filling)));
    }

    let quoted = shell_quoted(&scratch);
    format!(
        "cd {workdir} && rm -rf {quoted} && mkdir {quoted} && printf '%s\\n' {} > {quoted}/{CONFIG_FILE} &&\n  {wandb_file}env {} \\\n  {}",
        shell_quoted(&nested_json(&trial.config)),
        variables.join(" "),
        program.shell(&filling)
    )
}
