//! `pentagrid trials`: one line a trial, for people, or as JSON or CSV for programs.

use std::collections::HashMap;

use serde::Serialize;

use super::args::{ListedState, TrialsArgs};
use super::error::CliError;
use super::printer::Printer;
use crate::aggregate::Evaluation;
use crate::grid::TrialId;
use crate::ledger::{TrialRow, TrialState, Versions};
use crate::plan::{Phase, PlannedTrial, all_trials};
use crate::printable::{escaped, one_line};
use crate::protocol::{Metrics, Notes};
use crate::report::{TrialsCsv, write_trials};
use crate::spec::{Config, Spec};
use crate::sweep::{OpenSweep, Outcome};

/// Size of a block of output in bytes.
const BLOCK: usize = 1 << 16;

/// One trial as a JSON line.
#[derive(Serialize)]
struct Line<'a> {
    trial: String,
    arm: &'a str,
    point: String,
    seed: u64,
    phase: &'static str,
    state: &'static str,
    failures: u32,
    config: Config,
    /// The version of what was trained, of a finished trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<&'a Metrics>,
    /// What was reported and is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a Notes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_epochs: Option<u32>,
}

/// Lists trials.
pub(crate) fn trials(arguments: &TrialsArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::open(&arguments.dir)?;
    let rows = sweep.settled_trials()?;
    let arm = match &arguments.arm {
        None => None,
        Some(name) => Some(find_arm(&sweep.spec, name)?),
    };
    let list = List {
        evaluation: sweep.evaluate(&rows)?,
        rows,
        arm,
        state: arguments.state,
        sweep: &sweep,
    };
    if arguments.csv {
        printer.data(&list.to_csv()?)?;
        return Ok(Outcome::Done);
    }

    let planned = all_trials(&sweep.spec, &sweep.grid, &list.evaluation.selected());
    let wanted = planned.iter().filter(|trial| list.wants(trial));
    let mut output = Output::new(printer, arguments.json);
    if arguments.json {
        let notes = sweep.ledger.notes()?;
        let versions = sweep.ledger.versions()?;
        for trial in wanted {
            output.line(&list.json_line(trial, &notes, &versions)?)?;
        }
    } else {
        for trial in wanted {
            output.line(&list.text_line(trial))?;
        }
    }
    if output.finish()? == 0 {
        printer.say("no such trials");
    }
    Ok(Outcome::Done)
}

/// The trials of a sweep, and which of them are wanted.
struct List<'a> {
    sweep: &'a OpenSweep,
    rows: HashMap<TrialId, TrialRow>,
    evaluation: Evaluation,
    /// Only those of this arm.
    arm: Option<usize>,
    /// Only those in this state.
    state: Option<ListedState>,
}

impl List<'_> {
    fn wants(&self, trial: &PlannedTrial) -> bool {
        self.arm.is_none_or(|arm| trial.arm.0 == arm)
            && self.state.is_none_or(|state| self.state_of(trial) == state)
    }

    fn state_of(&self, trial: &PlannedTrial) -> ListedState {
        let row = self.rows.get(&trial.id);
        if self.evaluation.is_pruned(trial, row) {
            return ListedState::Pruned;
        }
        ListedState::In(row.map_or(TrialState::Waiting, |row| row.state))
    }

    /// All wanted trials that were started, as CSV.
    fn to_csv(&self) -> Result<String, CliError> {
        let arms: Vec<bool> = (0..self.sweep.grid.arms().len())
            .map(|number| self.arm.is_none_or(|arm| arm == number))
            .collect();
        // What never started has no row, and what was started and is pruned says `waiting`.
        let mut rows = self.rows.clone();
        if let Some(state) = self.state {
            rows.retain(|_, row| ListedState::In(row.state) == state);
        }
        let mut csv = Vec::new();
        let ledger = &self.sweep.ledger;
        let source = TrialsCsv {
            spec: &self.sweep.spec,
            grid: &self.sweep.grid,
            evaluation: &self.evaluation,
            rows: &rows,
            versions: &ledger.versions()?,
            names: &ledger.column_names(&self.sweep.spec)?,
            arms: &arms,
        };
        write_trials(source, &mut csv).map_err(|error| CliError::Unexpected(error.to_string()))?;
        Ok(String::from_utf8_lossy(&csv).into_owned())
    }

    fn json_line(
        &self,
        trial: &PlannedTrial,
        notes: &HashMap<TrialId, Notes>,
        versions: &Versions,
    ) -> Result<String, CliError> {
        let row = self.rows.get(&trial.id);
        let points = &self.sweep.grid[trial.arm];
        let finished = row.filter(|row| row.state == TrialState::Done);
        let same_as = row.and_then(|row| row.shared.same_as);
        let line = Line {
            trial: trial.id.to_string(),
            arm: &points.arm().name,
            point: trial.id.point.to_string(),
            seed: trial.id.seed,
            phase: trial.phase.name(),
            state: self.state_of(trial).name(),
            failures: row.map_or(0, |row| row.failures),
            config: points.config(trial.index),
            version: finished.and_then(|row| versions.of(row.id)),
            metrics: row.and_then(|row| row.metrics.as_ref()),
            notes: notes.get(&trial.id),
            same_as: same_as.map(|id| id.to_string()),
            shared_epochs: row
                .map(|row| row.shared.epochs)
                .filter(|epochs| *epochs > 0),
        };
        serde_json::to_string(&line).map_err(|error| CliError::Unexpected(error.to_string()))
    }

    fn text_line(&self, trial: &PlannedTrial) -> String {
        let points = &self.sweep.grid[trial.arm];
        let config = points.config(trial.index);
        let mut values = vec![points.arm().name.clone()];
        for name in points.searched() {
            if let Some(value) = config.get(name) {
                values.push(format!("{name}={}", escaped(&value.to_string())));
            }
        }
        let phase = match trial.phase {
            Phase::Final => "final",
            Phase::Tune => "tune",
        };
        let mut line = format!(
            "{:<15} {phase:<5} {:<7} {}",
            trial.id,
            self.state_of(trial).name(),
            values.join(" ")
        );

        let metric = &self.sweep.spec.metric.name;
        let metrics = self
            .rows
            .get(&trial.id)
            .and_then(|row| row.metrics.as_ref());
        if let Some(value) = metrics.and_then(|metrics| metrics.get(metric)) {
            line.push_str(&format!("  {} {value:.4}", one_line(metric)));
        }
        line
    }
}

/// Lines on stdout, written in blocks.
struct Output<'a> {
    printer: &'a Printer,
    is_json: bool,
    block: String,
    lines: u64,
}

impl<'a> Output<'a> {
    fn new(printer: &'a Printer, is_json: bool) -> Self {
        Self {
            printer,
            is_json,
            block: String::new(),
            lines: 0,
        }
    }

    fn line(&mut self, line: &str) -> Result<(), CliError> {
        self.block.push_str(line);
        self.block.push('\n');
        self.lines += 1;
        if self.block.len() > BLOCK {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), CliError> {
        let block = std::mem::take(&mut self.block);
        if block.is_empty() {
            return Ok(());
        }
        if self.is_json {
            self.printer.data(&block)
        } else {
            self.printer.text(&block)
        }
    }

    /// Writes what is left. Returns how many lines there were.
    fn finish(mut self) -> Result<u64, CliError> {
        self.write()?;
        Ok(self.lines)
    }
}

fn find_arm(spec: &Spec, name: &str) -> Result<usize, CliError> {
    spec.arms
        .iter()
        .position(|arm| arm.name == name)
        .ok_or_else(|| {
            let known: Vec<&str> = spec.arms.iter().map(|arm| arm.name.as_str()).collect();
            CliError::Usage(format!(
                "the sweep has no arm {name:?}; its arms are {}",
                known.join(", ")
            ))
        })
}
