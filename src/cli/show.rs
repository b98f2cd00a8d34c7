//! `pentagrid show`: everything about one trial.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;

use super::args::ShowArgs;
use super::error::CliError;
use super::json;
use super::printer::Printer;
use crate::aggregate::race;
use crate::grid::TrialId;
use crate::ledger::{AttemptRow, EpochRow, TrialRow, TrialState};
use crate::plan::Phase;
use crate::printable::{escaped, one_line};
use crate::protocol::{FailureKind, Metrics, Notes, Place, Unit, note_text};
use crate::schedule::log_end;
use crate::spec::Config;
use crate::sweep::{FoundTrial, OpenSweep, Outcome, rerun_command, secrets};
use crate::text::{count, form};

/// How much of a log's end is shown, in bytes.
const LOG_END: u64 = 2000;
/// Number of epochs that are shown at the beginning, and at the end, of a longer history.
const SHOWN_EPOCHS: usize = 20;
/// How much of a note is shown, in characters; `--json` has all that is kept.
const NOTE_SHOWN: usize = 100;

/// A trial as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    trial: String,
    arm: &'a str,
    label: &'a str,
    point: String,
    seed: u64,
    phase: &'static str,
    state: &'static str,
    failures: u32,
    config: Config,
    metrics: Option<&'a Metrics>,
    notes: &'a Notes,
    same_as: Option<String>,
    shared_epochs: u32,
    history: Vec<ShownEpoch>,
    attempts: Vec<ShownAttempt>,
    run_again: String,
}

#[derive(Serialize)]
struct ShownEpoch {
    epoch: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Place>,
    values: Metrics,
}

#[derive(Serialize)]
struct ShownAttempt {
    started_at: String,
    ended_at: Option<String>,
    outcome: String,
    kind: Option<&'static str>,
    message: Option<String>,
    seconds: Option<f64>,
    device: Option<String>,
    program: Option<String>,
    /// The version of what was trained.
    version: Option<i64>,
    /// What it gave, where the trial was run again afterwards.
    metrics: Option<Metrics>,
    log: Option<ShownLog>,
}

#[derive(Serialize)]
struct ShownLog {
    file: String,
    begin: u64,
    end: Option<u64>,
}

impl ShownEpoch {
    fn of(row: EpochRow) -> Self {
        Self {
            epoch: row.epoch(),
            step: row.step(),
            values: row.metrics,
        }
    }
}

impl ShownAttempt {
    fn of(row: AttemptRow) -> Self {
        Self {
            started_at: row.started_at,
            ended_at: row.ended_at,
            outcome: row.outcome,
            kind: row.kind.map(FailureKind::name),
            message: row.message,
            seconds: row.duration,
            device: row.device,
            program: row.program.map(|program| program.trim_end().to_owned()),
            version: row.version,
            metrics: row.metrics,
            log: row
                .log
                .map(|(file, begin, end)| ShownLog { file, begin, end }),
        }
    }
}

/// Shows one trial.
pub(crate) fn show(arguments: &ShowArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::open(&arguments.dir)?;
    printer.hide(secrets(&sweep.spec));
    let rows = sweep.trials()?;
    let found = sweep.find_trial(&arguments.trial, &rows)?;
    let notes = sweep.ledger.notes_of(found.id)?;
    let trial = ShownTrial {
        run_again: rerun_command(&sweep.spec, &sweep.ledger, &arguments.dir, &found)?,
        is_pruned: is_pruned(&sweep, &rows, found.id),
        row: rows.get(&found.id),
        notes: &notes,
        found: &found,
        sweep: &sweep,
    };
    if arguments.json {
        printer.data(&trial.to_json()?)?;
    } else {
        printer.text(&trial.to_text()?)?;
    }
    Ok(Outcome::Done)
}

/// Whether a trial will not run since its point cannot become the best of its arm any more.
fn is_pruned(sweep: &OpenSweep, rows: &HashMap<TrialId, TrialRow>, id: TrialId) -> bool {
    let waits = rows
        .get(&id)
        .is_none_or(|row| row.state == TrialState::Waiting);
    if !waits || !sweep.spec.seeds.tune.contains(&id.seed) {
        return false;
    }
    race(&sweep.spec, &sweep.grid, rows).is_some_and(|race| race.is_eliminated(id.point))
}

/// All that is shown of a trial.
struct ShownTrial<'a> {
    sweep: &'a OpenSweep,
    found: &'a FoundTrial,
    /// What the ledger knows of it; None: it was never started.
    row: Option<&'a TrialRow>,
    notes: &'a Notes,
    is_pruned: bool,
    /// The command line that runs it again.
    run_again: String,
}

impl ShownTrial<'_> {
    fn to_json(&self) -> Result<String, CliError> {
        let spec = &self.sweep.spec;
        let ledger = &self.sweep.ledger;
        let FoundTrial { id, arm, config } = self.found;
        let row = self.row;
        let phase = match spec.seeds.tune.contains(&id.seed) {
            true => Phase::Tune,
            false => Phase::Final,
        };
        let state = match (self.is_pruned, row) {
            (true, _) => "pruned",
            (false, Some(row)) => row.state.name(),
            (false, None) => TrialState::Waiting.name(),
        };
        let same_as = row.and_then(|row| row.shared.same_as);
        let history = ledger.history_of(*id)?;
        let attempts = ledger.attempts(*id)?;

        json::document(&Shown {
            trial: id.to_string(),
            arm: &spec.arms[*arm].name,
            label: &spec.arms[*arm].label,
            point: id.point.to_string(),
            seed: id.seed,
            phase: phase.name(),
            state,
            failures: row.map_or(0, |row| row.failures),
            config: config.clone(),
            metrics: row.and_then(|row| row.metrics.as_ref()),
            notes: self.notes,
            same_as: same_as.map(|id| id.to_string()),
            shared_epochs: row.map_or(0, |row| row.shared.epochs),
            history: history.into_iter().map(ShownEpoch::of).collect(),
            attempts: attempts.into_iter().map(ShownAttempt::of).collect(),
            run_again: self.run_again.clone(),
        })
    }

    fn to_text(&self) -> Result<String, CliError> {
        let ledger = &self.sweep.ledger;
        let FoundTrial { id, arm, config } = self.found;
        let label = one_line(&self.sweep.spec.arms[*arm].label);
        let mut out = format!("{id}  {label}, seed {}", id.seed);
        match self.row {
            Some(row) => out.push_str(&format!(", {}, {}\n", row.phase, row.state.name())),
            None => out.push_str(", not started\n"),
        }
        if self.is_pruned {
            out.push_str(
                "Pruned: its point cannot become the best of its arm any more, so it does not run.\n",
            );
        }

        let parameters = config
            .0
            .iter()
            .map(|(name, value)| (name.clone(), escaped(&value.to_string())));
        out.push_str(&section("Parameters", parameters.collect()));
        if let Some(metrics) = self.row.and_then(|row| row.metrics.as_ref()) {
            let metrics = metrics
                .0
                .iter()
                .map(|(name, value)| (one_line(name).into_owned(), value.0.to_string()));
            out.push_str(&section("Metrics", metrics.collect()));
        }
        if !self.notes.is_empty() {
            let notes = self.notes.iter().map(|(name, value)| {
                let value = beginning(&note_text(value));
                (one_line(name).into_owned(), one_line(&value).into_owned())
            });
            out.push_str(&section(
                "Notes (reported, but not numbers)",
                notes.collect(),
            ));
        }
        out.push_str(&self.row.map(shared).unwrap_or_default());

        for unit in [Unit::Epoch, Unit::Step] {
            // Of a long history the beginning and the end; `history.csv` of the report has all.
            let (rows, left_out) = ledger.history_ends(*id, unit, SHOWN_EPOCHS)?;
            out.push_str(&history(unit, &rows, left_out));
        }
        out.push_str(&attempts(&ledger.attempts(*id)?, &self.sweep.dir));
        out.push_str(&format!("\nRun it again:\n  {}\n", self.run_again));
        Ok(out)
    }
}

/// A heading with names and values below it, aligned.
fn section(heading: &str, rows: Vec<(String, String)>) -> String {
    let lengths = rows.iter().map(|(name, _)| name.chars().count());
    let width = lengths.max().unwrap_or(0);
    let mut out = format!("\n{heading}:\n");
    for (name, value) in rows {
        out.push_str(&format!("  {name:<width$}  {value}\n"));
    }
    out
}

/// The beginning of a note.
fn beginning(text: &str) -> String {
    let shown = text.chars().take(NOTE_SHOWN);
    shown
        .chain(text.chars().nth(NOTE_SHOWN).map(|_| '…'))
        .collect()
}

/// What a trial's result took from others.
fn shared(row: &TrialRow) -> String {
    match row.shared.same_as {
        Some(other) => format!("\nReused the result of {other}, which is the same up to here.\n"),
        None if row.shared.epochs > 0 => {
            format!(
                "\nIts first {} {} computed for another trial that begins in the same way.\n",
                count(row.shared.epochs, "epoch"),
                form(row.shared.epochs, "was", "were")
            )
        }
        None => String::new(),
    }
}

/// The rows of a history that count the same unit, as a table. `left_out` rows in the middle are
/// missing.
fn history(unit: Unit, rows: &[EpochRow], left_out: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.metrics.0.keys()).collect();
    let first = rows
        .iter()
        .map(|row| row.position.place.to_string().len())
        .max()
        .unwrap_or(0)
        .max(5);
    let mut out = format!("\nHistory:\n  {:>first$}", unit.name());
    for name in &names {
        out.push_str(&format!(
            "  {:>width$}",
            one_line(name),
            width = column_width(name)
        ));
    }
    out.push('\n');
    for (place, row) in rows.iter().enumerate() {
        if left_out > 0 && place == SHOWN_EPOCHS {
            out.push_str(&format!("  ... {left_out} more\n"));
        }
        out.push_str(&format!("  {:>first$}", row.position.place));
        for name in &names {
            let figure = match row.metrics.get(name) {
                None => String::new(),
                Some(_) if *name == Unit::Step.name() => {
                    row.step().map_or_else(String::new, |step| step.to_string())
                }
                Some(value) => format!("{value:.4}"),
            };
            out.push_str(&format!("  {figure:>width$}", width = column_width(name)));
        }
        out.push('\n');
    }
    out
}

/// The width of a metric's column in characters.
fn column_width(name: &str) -> usize {
    one_line(name).chars().count().max(10)
}

fn attempts(rows: &[AttemptRow], dir: &Path) -> String {
    let mut out = String::from("\nAttempts:\n");
    if rows.is_empty() {
        out.push_str("  none\n");
    }
    // One version is a matter of course, and not said.
    let versions: BTreeSet<_> = rows.iter().map(|attempt| attempt.version).collect();
    for (number, attempt) in rows.iter().enumerate() {
        let version = attempt.version.filter(|_| versions.len() > 1);
        let version = version.map_or(String::new(), |version| {
            format!(", version {version} of what is trained")
        });
        let duration = attempt
            .duration
            .map_or(String::new(), |seconds| format!(" after {seconds:.1} s"));
        let device = attempt
            .device
            .as_ref()
            .map_or(String::new(), |device| format!(" on {}", one_line(device)));
        let program = attempt.program.as_ref().map_or(String::new(), |program| {
            format!(", {}", one_line(program.trim_end()))
        });
        out.push_str(&format!(
            "  {}. {} {}{duration}{device}{program}{version}\n",
            number + 1,
            attempt.started_at,
            attempt.outcome
        ));
        if let Some(metrics) = &attempt.metrics {
            let metrics: Vec<String> = metrics
                .0
                .iter()
                .map(|(name, value)| format!("{name} {}", value.0))
                .collect();
            out.push_str(&format!(
                "     its result, before the trial was run again: {}\n",
                one_line(&metrics.join(", "))
            ));
        }
        if let Some(message) = &attempt.message {
            let kind = attempt
                .kind
                .map_or(String::new(), |kind| format!("{kind}: "));
            out.push_str(&format!("     {kind}{}\n", one_line(message)));
        }
    }
    let Some((file, begin, end)) = rows.last().and_then(|attempt| attempt.log.clone()) else {
        return out;
    };
    let path = dir.join(&file);
    match log_end(&path, begin, end, LOG_END) {
        Ok(text) if text.trim().is_empty() => out.push_str(&format!(
            "\nLog ({}): nothing was written\n",
            path.display()
        )),
        Ok(text) => {
            out.push_str(&format!(
                "\nEnd of its log ({}, bytes {begin} to {}):\n",
                path.display(),
                end.map_or("the end".to_owned(), |end| end.to_string())
            ));
            for line in text.trim_end().lines() {
                out.push_str(&format!("  | {line}\n"));
            }
        }
        Err(error) => out.push_str(&format!("\nLog: cannot read {}: {error}\n", path.display())),
    }
    out
}
