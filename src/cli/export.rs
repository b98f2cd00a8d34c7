//! `pentagrid export`: a sweep in the formats of other tools.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::args::{ExportArgs, ExportFormat};
use super::error::{CliError, Outcome};
use super::folder::Folder;
use super::json;
use super::printer::{Printer, count};
use super::report::history_file;
use super::sweep_file;
use crate::aggregate::{evaluate, write_parquet};
use crate::export::{
    Exported, exported, history_table, hyper_parameters, scalars, trials_table, write_junit, write_optuna, write_version,
};
use crate::grid::{Grid, TrialId};
use crate::ledger::{EpochRow, LastAttempt, Lock, Reader, TrialRow, TrialState};
use crate::report::write_trials;
use crate::spec::Spec;
use crate::spec::command::shell_path;

/// What was written, for programs.
#[derive(Serialize)]
struct Answer<'a> {
    sweep: &'a str,
    export: String,
    trials: usize,
    folder: String,
    files: Vec<String>,
}

/// Writes a sweep in another tool's format.
pub fn export(arguments: &ExportArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let ledger = Reader::open(&arguments.dir)?;
    ledger.freeze()?;
    let spec = sweep_file::from_ledger(&ledger, &arguments.dir)?.spec;
    let grid = Grid::new(&spec);
    let mut rows: HashMap<TrialId, TrialRow> = ledger.trials()?.into_iter().map(|row| (row.id, row)).collect();
    if Lock::holder(&arguments.dir).is_none() {
        rows.values_mut().filter(|row| row.state == TrialState::Running).for_each(|row| row.state = TrialState::Waiting);
    }
    let evaluation = evaluate(&spec, &grid, &rows)?;
    let attempts: HashMap<TrialId, LastAttempt> = ledger.last_attempts()?;
    let trials = exported(&spec, &grid, &evaluation, &rows, &attempts);
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("exports").join(&spec.name));
    let folder = Folder::make(&out)?;
    let files: Vec<String> = match arguments.format {
        ExportFormat::Csv => {
            folder.csv("trials.csv", |to| write_trials(&spec, &grid, &evaluation, &rows, &vec![true; grid.arms().len()], to))?;
            history_file(&folder, &ledger, &spec, &grid)?;
            vec!["trials.csv".into(), "history.csv".into()]
        }
        ExportFormat::Parquet => {
            let mut history = Vec::new();
            ledger.each_epoch::<CliError>(|row| {
                history.push(row);
                Ok(())
            })?;
            for (name, table) in
                [("trials.parquet", trials_table(&spec, &trials)), ("history.parquet", history_table(&spec, &trials, &history))]
            {
                folder.write(name, |to| Ok(write_parquet(table, to).map_err(std::io::Error::other)?))?;
            }
            vec!["trials.parquet".into(), "history.parquet".into()]
        }
        ExportFormat::Tensorboard => {
            tensorboard(&ledger, &spec, &trials, &out)?;
            vec!["tensorboard".into()]
        }
        ExportFormat::Optuna => {
            let mut history: HashMap<TrialId, Vec<EpochRow>> = HashMap::new();
            ledger.each_epoch::<CliError>(|row| {
                history.entry(row.id).or_default().push(row);
                Ok(())
            })?;
            folder.write("optuna.journal", |to| Ok(write_optuna(&spec, &trials, &history, to)?))?;
            vec!["optuna.journal".into()]
        }
        ExportFormat::Junit => {
            folder.text("junit.xml", &write_junit(&spec, &trials))?;
            vec!["junit.xml".into()]
        }
    };
    if arguments.json {
        let format = arguments.format.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let folder = out.display().to_string();
        printer.data(&json::document(&Answer { sweep: &spec.name, export: format, trials: trials.len(), folder, files })?)?;
        return Ok(Outcome::Done);
    }
    let files: Vec<String> = files.iter().map(|file| shell_path(&out.join(file))).collect();
    let how = match arguments.format {
        ExportFormat::Csv | ExportFormat::Parquet | ExportFormat::Junit => String::new(),
        ExportFormat::Tensorboard => format!("\nlook at it with: tensorboard --logdir {}", files[0]),
        ExportFormat::Optuna => format!("\nlook at it with: optuna-dashboard {}", files[0]),
    };
    printer.say(&format!("{} in {}{how}", count(trials.len(), "trial"), files.join(" and ")));
    Ok(Outcome::Done)
}

/// A folder for each trial: `tensorboard/ARM/TRIAL`.
fn tensorboard(ledger: &Reader, spec: &Spec, trials: &[Exported<'_>], out: &std::path::Path) -> Result<(), CliError> {
    for trial in trials {
        let arm = &spec.arms[trial.arm].name;
        let folder = Folder::make(&out.join("tensorboard").join(arm).join(trial.id.to_string()))?;
        let history = ledger.history_of(trial.id)?;
        let began = trial.last.and_then(|last| last.started_at.parse::<jiff::Timestamp>().ok());
        let began = began.map_or(0.0, |began| began.as_second() as f64 + f64::from(began.subsec_nanosecond()) * 1e-9);
        let ended = began + trial.last.and_then(|last| last.duration).unwrap_or(0.0);
        // One name for good: a second export replaces the first.
        folder.write("events.out.tfevents.0.pentagrid", |to| {
            write_version(to, began)?;
            hyper_parameters(to, trial, arm, (began, ended))?;
            Ok(scalars(to, &history, trial.row.metrics.as_ref(), began)?)
        })?;
    }
    Ok(())
}
