//! `pentagrid export`: a sweep in the formats of other tools.

use std::collections::{BTreeMap, HashMap};

use clap::ValueEnum;
use serde::Serialize;

use super::args::{ExportArgs, ExportFormat};
use super::error::CliError;
use super::json;
use super::printer::Printer;
use crate::aggregate::{ParquetFile, write_parquet};
use crate::export::{
    Exported, HistoryShape, RunTimes, Scalars, WholeSteps, exported, history_table,
    hyper_parameters, trials_table, write_junit, write_optuna, write_version,
};
use crate::grid::TrialId;
use crate::ledger::{EpochRow, LastAttempt, Reader, TrialState};
use crate::report::write::{
    Folder, ReportError, WriteError, default_export_dir, mark_run_directory, refuse_other_run,
    write_history_csv,
};
use crate::report::{TrialsCsv, write_trials};
use crate::shell::shell_path;
use crate::spec::Spec;
use crate::sweep::{OpenSweep, Outcome};
use crate::text::count;

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
pub(crate) fn export(arguments: &ExportArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::frozen(&arguments.dir)?;
    let rows = sweep.settled_trials()?;
    let evaluation = sweep.evaluate(&rows)?;
    let OpenSweep {
        ledger, spec, grid, ..
    } = sweep;
    let attempts: HashMap<TrialId, LastAttempt> = ledger.last_attempts()?;
    let versions = ledger.versions()?;
    let names = ledger.column_names(&spec)?;
    let trials = exported(&spec, &grid, &evaluation, &rows, &attempts);
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| default_export_dir(&arguments.dir, &spec));
    if arguments.out.is_none() {
        refuse_other_run(&out, &arguments.dir)?;
    }
    let folder = Folder::make(&out)?;
    mark_run_directory(&folder, &out, &arguments.dir)?;
    let files: Vec<String> = match arguments.format {
        ExportFormat::Csv => {
            folder.csv("trials.csv", |to| {
                let source = TrialsCsv {
                    spec: &spec,
                    grid: &grid,
                    evaluation: &evaluation,
                    rows: &rows,
                    versions: &versions,
                    names: &names,
                    arms: &vec![true; grid.arms().len()],
                };
                write_trials(source, to)
            })?;
            write_history_csv(&folder, &ledger, &spec, &grid)?;
            vec!["trials.csv".into(), "history.csv".into()]
        }
        ExportFormat::Parquet => {
            folder.write("trials.parquet", |to| {
                Ok(write_parquet(
                    trials_table(&spec, &trials, &versions, &names),
                    to,
                )?)
            })?;
            history_parquet(&folder, &ledger, &spec, &trials)?;
            vec!["trials.parquet".into(), "history.parquet".into()]
        }
        ExportFormat::Tensorboard => {
            tensorboard(&ledger, &spec, &trials, &out)?;
            vec!["tensorboard".into()]
        }
        ExportFormat::Optuna => {
            folder.write("optuna.journal", |to| {
                write_optuna::<WriteError>(
                    &spec,
                    &trials,
                    &names,
                    |trial| metric_by_step(&ledger, trial, &spec.metric.name),
                    to,
                )
            })?;
            vec!["optuna.journal".into()]
        }
        ExportFormat::Junit => {
            let report = write_junit(&spec, &trials)
                .map_err(|error| CliError::Unexpected(error.to_string()))?;
            folder.text("junit.xml", &report)?;
            vec!["junit.xml".into()]
        }
    };
    if arguments.json {
        let format = arguments
            .format
            .to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned());
        let folder = out.display().to_string();
        printer.data(&json::document(&Answer {
            sweep: &spec.name,
            export: format,
            trials: trials.len(),
            folder,
            files,
        })?)?;
        return Ok(Outcome::Done);
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| shell_path(&out.join(file)))
        .collect();
    let how = match arguments.format {
        ExportFormat::Csv | ExportFormat::Parquet | ExportFormat::Junit => String::new(),
        ExportFormat::Tensorboard => {
            format!("\nlook at it with: tensorboard --logdir {}", files[0])
        }
        ExportFormat::Optuna => format!("\nlook at it with: optuna-dashboard {}", files[0]),
    };
    printer.say(&format!(
        "{} in {}{how}",
        count(trials.len(), "trial"),
        files.join(" and ")
    ));
    Ok(Outcome::Done)
}

/// Rows of history in a group of a Parquet file: what is in memory at a time.
const ROWS_AT_ONCE: usize = 50_000;

/// Writes `history.parquet`, trial by trial.
fn history_parquet(
    folder: &Folder,
    ledger: &Reader,
    spec: &Spec,
    trials: &[Exported<'_>],
) -> Result<(), ReportError> {
    let arms: HashMap<TrialId, &str> = trials
        .iter()
        .map(|trial| (trial.id, spec.arms[trial.arm].name.as_str()))
        .collect();
    let names = ledger.finished_history_names()?;
    let columns = ledger.column_names(spec)?;
    let shape = HistoryShape {
        fractional: ledger.has_fractions()?,
        steps: ledger.has_steps()?,
    };
    folder.write("history.parquet", |to| {
        let mut file = ParquetFile::new(to, history_table(&columns, &names, shape, &[]))?;
        let mut rows: Vec<(EpochRow, &str)> = Vec::new();
        ledger.each_epoch::<WriteError>(|row| {
            // Trials of an earlier spec are in the ledger still, but not in the sweep.
            let Some(arm) = arms.get(&row.id) else {
                return Ok(());
            };
            rows.push((row, arm));
            if rows.len() == ROWS_AT_ONCE {
                file.write(history_table(&columns, &names, shape, &rows))?;
                rows.clear();
            }
            Ok(())
        })?;
        if !rows.is_empty() {
            file.write(history_table(&columns, &names, shape, &rows))?;
        }
        Ok(file.finish()?)
    })
}

/// The selecting metric of a finished trial by whole steps. Two rows, of an epoch and of a step, may
/// have one number: the later one counts.
fn metric_by_step(
    ledger: &Reader,
    trial: &Exported<'_>,
    metric: &str,
) -> Result<Vec<(i64, f64)>, WriteError> {
    if trial.row.state != TrialState::Done {
        return Ok(Vec::new());
    }

    let mut steps = whole_steps(ledger, trial.id)?;
    let mut values = BTreeMap::new();
    ledger.each_epoch_of::<WriteError>(trial.id, 1, |row| {
        let step = steps.step(&row);
        if let Some(value) = row.metrics.get(metric) {
            values.insert(step, value);
        }
        Ok(())
    })?;
    Ok(values.into_iter().collect())
}

/// The steps of a trial's rows, which its whole history decides.
fn whole_steps(ledger: &Reader, id: TrialId) -> Result<WholeSteps, WriteError> {
    let mut steps = WholeSteps::default();
    ledger.each_epoch_of::<WriteError>(id, 1, |row| {
        steps.see(&row);
        Ok(())
    })?;
    Ok(steps)
}

/// A folder for each trial: `tensorboard/ARM/TRIAL`.
fn tensorboard(
    ledger: &Reader,
    spec: &Spec,
    trials: &[Exported<'_>],
    out: &std::path::Path,
) -> Result<(), CliError> {
    let metrics = trials
        .iter()
        .filter_map(|trial| trial.row.metrics.as_ref())
        .flat_map(|metrics| metrics.0.keys());
    let history = ledger.finished_history_names()?;
    let names = ledger
        .column_names(spec)?
        .with(metrics.chain(&history).map(String::as_str));
    for trial in trials {
        let arm = &spec.arms[trial.arm].name;
        let folder = Folder::make(&out.join("tensorboard").join(arm).join(trial.id.to_string()))?;
        let began = trial
            .last
            .and_then(|last| last.started_at.parse::<jiff::Timestamp>().ok());
        let began = began.map_or(0.0, |began| {
            began.as_second() as f64 + f64::from(began.subsec_nanosecond()) * 1e-9
        });
        let ended = began + trial.last.and_then(|last| last.duration).unwrap_or(0.0);
        // A fixed name: a second export replaces the first.
        folder.write("events.out.tfevents.0.pentagrid", |to| {
            write_version(to, began)?;
            hyper_parameters(to, &names, trial, arm, RunTimes { began, ended })?;
            let steps = whole_steps(ledger, trial.id)?;
            let mut scalars = Scalars::new(to, &names, began, steps);
            ledger.each_epoch_of::<WriteError>(trial.id, 1, |row| Ok(scalars.row(&row)?))?;
            Ok(scalars.finish(trial.row.metrics.as_ref())?)
        })?;
    }
    Ok(())
}
