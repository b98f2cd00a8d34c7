//! `pentagrid trials`: one line a trial, for people, or as JSON or CSV for programs.

use std::collections::HashMap;

use serde::Serialize;

use super::args::{Standing, TrialsArgs};
use super::error::CliError;
use super::printer::Printer;
use crate::ledger::{TrialState, Versions};
use crate::plan::{Phase, PlannedTrial, all_trials};
use crate::printable::{escaped, one_line};
use crate::protocol::{Metrics, Notes};
use crate::report::write_trials;
use crate::spec::{Config, Spec};
use crate::sweep::{OpenSweep, Outcome};

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
pub fn trials(arguments: &TrialsArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::open(&arguments.dir)?;
    let mut rows = sweep.settled_trials()?;
    let evaluation = sweep.evaluate(&rows)?;
    let OpenSweep {
        ledger, spec, grid, ..
    } = sweep;
    let arm = match &arguments.arm {
        None => None,
        Some(name) => Some(find_arm(&spec, name)?),
    };
    let state = |trial: &PlannedTrial| match rows.get(&trial.id) {
        row if evaluation.is_pruned(trial, row) => Standing::Pruned,
        row => Standing::In(row.map_or(TrialState::Waiting, |row| row.state)),
    };
    let wanted = |trial: &PlannedTrial| {
        arm.is_none_or(|arm| trial.arm == arm)
            && arguments.state.is_none_or(|wanted| state(trial) == wanted)
    };
    if arguments.csv {
        let arms: Vec<bool> = (0..grid.arms().len())
            .map(|number| arm.is_none_or(|arm| arm == number))
            .collect();
        // What never started has no row, and what was started and is pruned says `waiting`.
        rows.retain(|_, row| {
            arguments
                .state
                .is_none_or(|wanted| Standing::In(row.state) == wanted)
        });
        let mut csv = Vec::new();
        write_trials(&spec, &grid, &evaluation, &rows, &arms, &mut csv)
            .map_err(|error| CliError::Unexpected(error.to_string()))?;
        printer.data(&String::from_utf8_lossy(&csv))?;
        return Ok(Outcome::Done);
    }
    let notes = if arguments.json {
        ledger.notes()?
    } else {
        HashMap::new()
    };
    let planned = all_trials(&spec, &grid, &evaluation.selected());
    let versions = if arguments.json {
        ledger.versions()?
    } else {
        Versions::default()
    };
    let print = |text: &str| {
        if arguments.json {
            printer.data(text)
        } else {
            printer.text(text)
        }
    };
    let mut out = String::new();
    let mut count = 0_u64;
    for trial in planned.iter().filter(|trial| wanted(trial)) {
        count += 1;
        let row = rows.get(&trial.id);
        let points = &grid.arms()[trial.arm];
        let config = points.config(trial.index);
        if arguments.json {
            let line = Line {
                trial: trial.id.to_string(),
                arm: &points.arm().name,
                point: trial.id.point.to_string(),
                seed: trial.id.seed,
                phase: trial.phase.name(),
                state: state(trial).name(),
                failures: row.map_or(0, |row| row.failures),
                config,
                version: row
                    .filter(|row| row.state == TrialState::Done)
                    .and_then(|row| versions.of(row.id)),
                metrics: row.and_then(|row| row.metrics.as_ref()),
                notes: notes.get(&trial.id),
                same_as: row
                    .and_then(|row| row.shared.same_as)
                    .map(|id| id.to_string()),
                shared_epochs: row
                    .map(|row| row.shared.epochs)
                    .filter(|epochs| *epochs > 0),
            };
            out.push_str(
                &serde_json::to_string(&line)
                    .map_err(|error| CliError::Unexpected(error.to_string()))?,
            );
        } else {
            let metric = row
                .and_then(|row| row.metrics.as_ref())
                .and_then(|metrics| metrics.get(&spec.metric.name));
            let metric = metric.map_or(String::new(), |value| {
                format!("{} {value:.4}", one_line(&spec.metric.name))
            });
            let values = points.searched().filter_map(|name| {
                config
                    .get(name)
                    .map(|value| format!("{name}={}", escaped(&value.to_string())))
            });
            let values: Vec<String> = std::iter::once(points.arm().name.clone())
                .chain(values)
                .collect();
            let phase = if trial.phase == Phase::Final {
                "final"
            } else {
                "tune"
            };
            out.push_str(&format!(
                "{:<15} {phase:<5} {:<7} {}",
                trial.id,
                state(trial).name(),
                values.join(" ")
            ));
            if !metric.is_empty() {
                out.push_str(&format!("  {metric}"));
            }
        }
        out.push('\n');
        if out.len() > 1 << 16 {
            print(&std::mem::take(&mut out))?;
        }
    }
    if !out.is_empty() {
        print(&out)?;
    }
    if count == 0 {
        printer.say("no such trials");
    }
    Ok(Outcome::Done)
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
