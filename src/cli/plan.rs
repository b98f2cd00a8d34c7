//! `pentagrid plan`: what a sweep would run. Touches nothing.

mod overview;
mod time;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::args::{LauncherArg, PlanArgs};
use super::error::CliError;
use super::planned::{self, Known};
use super::printer::Printer;
use super::trials_left::TrialsLeft;
use crate::aggregate::{Evaluation, evaluate};
use crate::grid::{ArmIndex, Grid, TrialId};
use crate::ledger::{FILE_NAME, Reader, TrialRow, TrialState};
use crate::plan::{Groups, PlannedTrial, SpecChanges, all_trials};
use crate::spec::Spec;
use crate::sweep::{self, Computing, Outcome, Subject, SweepFile, place, take_fingerprint};
use crate::text::{count, thousands};

/// Shows what a sweep would run.
pub(super) fn plan(arguments: &PlanArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let SweepFile { text, spec } = sweep::read(&arguments.spec, arguments.dir.as_deref())?;
    let grid = Grid::new(&spec);
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| sweep::default_run_dir(&spec));
    let ledger = if dir.join(FILE_NAME).exists() {
        Some(Reader::open(&dir)?)
    } else {
        None
    };
    let rows = known_trials(ledger.as_ref())?;

    for remark in &spec.remarks {
        printer.say(remark);
    }
    if let Ok(folder) = sweep::folder()
        && let Some(warning) =
            sweep::handover_warning(&spec, &sweep::working_folder(&spec, &folder))
    {
        printer.warn(warning);
    }
    if arguments.trials {
        return list(&spec, &grid, &rows, arguments.json, printer);
    }

    let launcher = arguments.launcher.map(LauncherArg::kind);
    let placement = place(&spec, &arguments.devices, launcher)?;
    let devices: HashSet<usize> = placement.slots.iter().map(|slot| slot.device).collect();
    let mut known = Known {
        rows: ledger.is_some().then_some(&rows),
        changes: Vec::new(),
        measured: BTreeMap::new(),
        slots: placement.slots.len(),
        devices: devices.len(),
    };
    if let Some(ledger) = &ledger {
        let folder = sweep::folder()?;
        let subject = Subject {
            spec: &spec,
            folder: &folder,
            launcher: &placement.launcher,
            computing: Computing::default(),
            run_dir: &dir,
        };
        known.measured = durations(&spec, ledger)?;
        known.changes = changes(subject, &text, ledger)?;
    }

    if arguments.json {
        printer.data(&planned::document(&spec, &grid, known)?)?;
        return Ok(Outcome::Done);
    }

    printer.text(&overview::overview(&spec, &grid))?;
    let mut left = TrialsLeft::of_all(&spec, &grid);
    if ledger.is_some() {
        if !known.changes.is_empty() {
            printer.text(&described_changes(&dir, &known.changes))?;
        }
        let evaluation = evaluate(&spec, &grid, &rows)?;
        left = TrialsLeft::of_unfinished(&spec, &grid, &evaluation);
        printer.text(&described_rest(&dir, &left, evaluation.failed()))?;
    }

    let groups = Groups::of(&spec, &grid);
    if !groups.is_empty() {
        printer.text(&time::sharing(
            groups.bounds(),
            spec.seeds.tune.len() as u64,
        ))?;
        if let Some(ledger) = &ledger {
            printer.text(&time::shared_so_far(&rows, ledger.epochs()?))?;
        }
    }

    let lines = time::estimates(&spec, &grid, &left, &known, !groups.is_empty());
    if !lines.is_empty() {
        printer.text(&format!("Estimated time:\n{}", lines.join("\n")))?;
    } else if left.tune() + left.finals() > 0 {
        printer.text("Estimated time: unknown until the first trials have finished")?;
    }
    Ok(Outcome::Done)
}

/// The trials of the ledger, if there is one.
fn known_trials(ledger: Option<&Reader>) -> Result<HashMap<TrialId, TrialRow>, CliError> {
    let Some(ledger) = ledger else {
        return Ok(HashMap::new());
    };
    let rows = ledger.trials()?.into_iter();
    Ok(rows.map(|row| (row.id, row)).collect())
}

/// What has changed since the last run, with the flags that `run` asks for.
fn described_changes(dir: &Path, changes: &[String]) -> String {
    let retrained = changes.iter().any(|line| line.ends_with(RAN));
    let flags = if retrained {
        "`--rerun-changed` or `--accept-changes`"
    } else {
        "`--accept-changes`"
    };
    format!(
        "Changed since the last run in {}, so that `run` asks for {flags}:\n  {}",
        dir.display(),
        changes.join("\n  ")
    )
}

/// The trials that are left of a sweep that has started.
fn described_rest(dir: &Path, left: &TrialsLeft, failed: u64) -> String {
    let failed = match failed {
        0 => String::new(),
        1 => ", 1 failed (`run --retry-failed` runs it again)".to_owned(),
        failed => format!(
            ", {} failed (`run --retry-failed` runs them again)",
            thousands(failed)
        ),
    };
    format!(
        "{}: {} tuning and {} left{failed}",
        dir.display(),
        thousands(left.tune()),
        count(left.finals(), "final trial")
    )
}

/// Mean durations of finished trials, by arm.
fn durations(spec: &Spec, ledger: &Reader) -> Result<BTreeMap<ArmIndex, f64>, CliError> {
    let by_name = ledger.durations()?;
    let mut means = BTreeMap::new();
    for (arm, spec) in spec.arms.iter().enumerate() {
        if let Some((count, sum)) = by_name.get(&spec.name) {
            means.insert(ArmIndex(arm), sum / *count as f64);
        }
    }
    Ok(means)
}

/// Prints every trial that is left, one a line: id, phase, arm, configuration.
fn list(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    json: bool,
    printer: &Printer,
) -> Result<Outcome, CliError> {
    let evaluation = evaluate(spec, grid, rows)?;
    let selected = evaluation.selected();

    let mut out = String::new();
    for trial in all_trials(spec, grid, &selected) {
        if !is_left(&trial, rows.get(&trial.id), &evaluation) {
            continue;
        }
        if json {
            out.push_str(&planned::line(grid, &trial)?);
        } else {
            out.push_str(&text_line(grid, &trial));
        }
        // A sweep of millions of trials is not kept in memory as text.
        if out.len() > 1 << 16 {
            print(&std::mem::take(&mut out), json, printer)?;
        }
    }
    if !out.is_empty() {
        print(&out, json, printer)?;
    }

    let unselected = grid.arms().len() - selected.len();
    if unselected > 0 && !spec.seeds.final_.is_empty() {
        printer.say(&format!(
            "plus {} for the best point of each arm, chosen after tuning",
            count(unselected * spec.seeds.final_.len(), "final trial")
        ));
    }
    Ok(Outcome::Done)
}

/// Whether a trial still has to run.
fn is_left(trial: &PlannedTrial, row: Option<&TrialRow>, evaluation: &Evaluation) -> bool {
    let has_ended =
        row.is_some_and(|row| matches!(row.state, TrialState::Done | TrialState::Failed));
    !has_ended && !evaluation.is_pruned(trial, row)
}

/// A planned trial as text.
fn text_line(grid: &Grid, trial: &PlannedTrial) -> String {
    let arm = &grid[trial.arm];
    format!(
        "{}\t{}\t{}\t{}\n",
        trial.id,
        trial.phase.name(),
        arm.arm().name,
        arm.config(trial.index).canonical()
    )
}

fn print(text: &str, json: bool, printer: &Printer) -> Result<(), CliError> {
    if json {
        printer.data(text)
    } else {
        printer.text(text)
    }
}

/// What the sweep file, and what is trained, change of what the ledger has: what `run` will ask
/// about.
fn changes(subject: Subject<'_>, text: &str, ledger: &Reader) -> Result<Vec<String>, CliError> {
    let mut lines = spec_changes(subject.spec, text, ledger)?;
    if let Some(retrained) = ledger.retrained(|key| take_fingerprint(subject, key))? {
        let of = count(retrained.trials, "finished trial");
        lines.extend(
            retrained
                .difference
                .lines()
                .map(|line| format!("{line} (since {of}{RAN}")),
        );
    }
    Ok(lines)
}

/// How a line ends that names a change of what is trained.
const RAN: &str = " ran)";

/// What the sweep file changes of the one that the ledger has.
fn spec_changes(spec: &Spec, text: &str, ledger: &Reader) -> Result<Vec<String>, CliError> {
    let known = ledger.spec_text()?;
    if known == text {
        return Ok(Vec::new());
    }
    // One that cannot be read any more is the business of `run`.
    let Ok(old) = crate::spec::read_named(&known, "spec.yaml", Some(&spec.name)) else {
        return Ok(Vec::new());
    };
    let changes = SpecChanges::between(&old, spec);
    Ok(if changes.is_cosmetic() {
        Vec::new()
    } else {
        changes.lines()
    })
}
