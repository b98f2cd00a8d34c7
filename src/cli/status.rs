//! `pentagrid status`: how a sweep stands, also while it runs.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::args::StatusArgs;
use super::error::{CliError, Outcome};
use super::json;
use super::plan::{durations, thousands};
use super::printer::Printer;
use super::sweep_file;
use crate::aggregate::{ArmEvaluation, Evaluation, Tally, evaluate};
use crate::grid::{Grid, TrialId};
use crate::ledger::{Lock, Reader, TrialRow, TrialState};
use crate::live::{Names, human_duration};
use crate::plan::{all_trials, estimate};
use crate::protocol::FailureKind;
use crate::report::{Selected, lay_out, selected};
use crate::spec::command::shell_path;
use crate::spec::{Config, Prune, Spec};

/// How a sweep stands.
#[derive(Serialize)]
struct Status {
    sweep: String,
    /// running, finished, or stopped.
    state: &'static str,
    coordinator: Option<crate::ledger::Holder>,
    arms: Vec<ArmStatus>,
    running: Vec<RunningTrial>,
    failed: Vec<FailedTrial>,
    /// Seconds left with the slots of the last run, by the durations of this sweep's own trials.
    seconds_left: Option<f64>,
}

#[derive(Serialize)]
struct ArmStatus {
    arm: String,
    label: String,
    tune: Counts,
    #[serde(rename = "final")]
    final_: Counts,
    /// The point that is selected so far, and the values that it is told by.
    selected: Option<SelectedPoint>,
}

#[derive(Serialize)]
struct SelectedPoint {
    point: String,
    values: String,
}

#[derive(Serialize)]
struct Counts {
    planned: u64,
    done: u64,
    diverged: u64,
    failed: u64,
    running: u64,
    /// Not to be run: their points cannot become the best any more.
    pruned: u64,
}

#[derive(Serialize)]
struct RunningTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    epoch: Option<u32>,
    metric: Option<f64>,
}

#[derive(Serialize)]
struct FailedTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    kind: &'static str,
    message: String,
}

/// Shows how a sweep stands.
pub fn status(arguments: &StatusArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let ledger = Reader::open(&arguments.dir)?;
    let spec = sweep_file::from_ledger(&ledger, &arguments.dir)?.spec;
    let holder = Lock::holder(&arguments.dir);
    let status = gather(&spec, &ledger, holder)?;
    if arguments.json {
        printer.data(&json::document(&status)?)?;
    } else {
        printer.data(&describe(&status, &spec, &shell_path(&arguments.dir)))?;
    }
    Ok(Outcome::Done)
}

fn gather(spec: &Spec, ledger: &Reader, holder: Option<crate::ledger::Holder>) -> Result<Status, CliError> {
    let grid = Grid::new(spec);
    let mut rows: HashMap<TrialId, TrialRow> = ledger.trials()?.into_iter().map(|row| (row.id, row)).collect();
    if holder.is_none() {
        // Nobody is there to run what a killed coordinator left marked as running.
        for row in rows.values_mut().filter(|row| row.state == TrialState::Running) {
            row.state = TrialState::Waiting;
        }
    }
    let evaluation = evaluate(spec, &grid, &rows)?;
    let latest = ledger.running()?;
    let names = Names::new(spec, &grid);
    let reasons = ledger.failures()?;
    let (mut running, mut failed) = (Vec::new(), Vec::new());
    for trial in all_trials(spec, &grid, &evaluation.selected()) {
        match rows.get(&trial.id).map(|row| row.state) {
            Some(TrialState::Running) => running.push(RunningTrial {
                trial: trial.id.to_string(),
                what: names.trial(&trial),
                epoch: latest.get(&trial.id).map(|row| row.epoch),
                metric: latest.get(&trial.id).and_then(|row| row.metrics.get(&spec.metric.name)),
            }),
            Some(TrialState::Failed) => {
                let (kind, message) = reasons.get(&trial.id).cloned().unzip();
                failed.push(FailedTrial {
                    trial: trial.id.to_string(),
                    what: names.trial(&trial),
                    kind: kind.map(FailureKind::name).unwrap_or_default(),
                    message: message.unwrap_or_default(),
                });
            }
            _ => {}
        }
    }
    let state = match (&holder, evaluation.is_complete()) {
        (Some(_), _) => "running",
        (None, true) => "finished",
        (None, false) => "stopped",
    };
    Ok(Status {
        sweep: spec.name.clone(),
        state,
        coordinator: holder,
        arms: arms(spec, &grid, &evaluation),
        running,
        failed,
        seconds_left: seconds_left(spec, &grid, &evaluation, ledger)?,
    })
}

fn arms(spec: &Spec, grid: &Grid, evaluation: &Evaluation) -> Vec<ArmStatus> {
    let mut chosen: HashMap<usize, Selected> =
        selected(spec, grid, evaluation).into_iter().map(|selected| (selected.arm, selected)).collect();
    let counts = |tally: &Tally, planned: u64| Counts {
        planned,
        done: tally.done,
        diverged: tally.diverged,
        failed: tally.failed,
        running: tally.running,
        pruned: tally.pruned,
    };
    evaluation
        .arms
        .iter()
        .map(|arm| ArmStatus {
            arm: spec.arms[arm.arm].name.clone(),
            label: spec.arms[arm.arm].label.clone(),
            tune: counts(&arm.tune_tally, arm.tune_tally.planned),
            final_: counts(&arm.final_tally, spec.seeds.final_.len() as u64),
            selected: chosen.remove(&arm.arm).map(|selected| SelectedPoint { point: selected.point, values: selected.values }),
        })
        .collect()
}

/// Tuning trials run on all slots of the last run, final ones one at a time on each of its devices.
fn seconds_left(spec: &Spec, grid: &Grid, evaluation: &Evaluation, ledger: &Reader) -> Result<Option<f64>, CliError> {
    if evaluation.is_complete() {
        return Ok(None);
    }
    let measured = durations(spec, ledger)?;
    let sessions = ledger.sessions()?;
    let slots: Vec<&str> = sessions.last().map(|session| session.devices.split_whitespace().collect()).unwrap_or_default();
    if measured.is_empty() || slots.is_empty() {
        return Ok(None);
    }
    let devices = slots.iter().collect::<HashSet<_>>().len();
    let firsts: Vec<Config> = grid.arms().iter().map(|arm| arm.config(0)).collect();
    let finals = spec.seeds.final_.len() as u64;
    let work = |left: &dyn Fn(&ArmEvaluation) -> u64| {
        let counts = evaluation.arms.iter().map(|arm| (arm.arm, &firsts[arm.arm], left(arm)));
        estimate(spec, counts, &measured).map(|estimate| estimate.work.as_secs_f64())
    };
    let tune = work(&|arm| arm.tune_tally.left());
    // An arm of which no point can be selected any more has no final trials.
    let comes = |arm: &ArmEvaluation| arm.selection.best.is_some() || arm.tune_tally.left() > 0;
    let last = work(&|arm| if comes(arm) { finals - arm.final_tally.done - arm.final_tally.failed } else { 0 });
    Ok(tune.zip(last).map(|(tune, last)| tune / slots.len() as f64 + last / devices as f64))
}

fn describe(status: &Status, spec: &Spec, dir: &str) -> String {
    let mut out = match (&status.coordinator, status.state) {
        (Some(holder), _) => format!("{}: running ({holder})\n", status.sweep),
        (None, "finished") => format!("{}: finished; tables: pentagrid report {dir}\n", status.sweep),
        (None, _) => format!("{}: not running; go on with: pentagrid resume {dir}\n", status.sweep),
    };
    let races = spec.prune != Prune::None;
    let mut headings: Vec<String> =
        ["Arm", "Tuning", "Final", "Running", "Diverged", "Failed", "Selected so far"].map(str::to_owned).into();
    if races {
        headings.insert(6, "Pruned".to_owned());
    }
    let of = |counts: &Counts| format!("{} of {}", thousands(counts.done), thousands(counts.planned));
    let rows = status.arms.iter().map(|arm| {
        let mut cells = vec![
            arm.label.clone(),
            of(&arm.tune),
            of(&arm.final_),
            (arm.tune.running + arm.final_.running).to_string(),
            (arm.tune.diverged + arm.final_.diverged).to_string(),
            (arm.tune.failed + arm.final_.failed).to_string(),
            arm.selected.as_ref().map_or("—".to_owned(), |selected| selected.values.clone()),
        ];
        if races {
            cells.insert(6, arm.tune.pruned.to_string());
        }
        cells
    });
    out.push_str(&format!("{}\n", lay_out(headings, rows, if races { 1..7 } else { 1..6 })));
    for trial in &status.running {
        let epoch = trial.epoch.map_or("in its first epoch".to_owned(), |epoch| format!("epoch {epoch}"));
        let metric = trial.metric.map_or(String::new(), |value| format!(", {} {value:.4}", spec.metric.name));
        out.push_str(&format!("  {} ({}): {epoch}{metric}\n", trial.trial, trial.what));
    }
    const SHOWN: usize = 10;
    for trial in status.failed.iter().take(SHOWN) {
        out.push_str(&format!(
            "  {} ({}) failed for good: {}: {}\n",
            trial.trial,
            trial.what,
            trial.kind.replace('_', " "),
            trial.message
        ));
    }
    if status.failed.len() > SHOWN {
        out.push_str(&format!("  and {} more: pentagrid trials {dir} --state failed\n", status.failed.len() - SHOWN));
    }
    if let Some(seconds) = status.seconds_left.filter(|seconds| *seconds > 0.0) {
        let left = human_duration(std::time::Duration::from_secs_f64(seconds));
        let with = if status.state == "running" { "" } else { " with the slots of the last run" };
        out.push_str(&format!("about {left} left{with}\n"));
    }
    out
}
