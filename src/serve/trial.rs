//! Everything about one trial, as `pentagrid show` tells it.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::grid::TrialId;
use crate::ledger::{AttemptRow, EpochRow, LedgerError};
use crate::monitor::Sweep;
use crate::printable::escaped;
use crate::protocol::{Place, Real, Unit, note_text};
use crate::report::mean_std;
use crate::schedule::log_end;
use crate::spec::Config;

/// How much of a log's end is shown, in bytes.
const LOG_END: u64 = 16_000;
/// A longer history is thinned to so many rows.
pub const MAX_EPOCHS: usize = 1000;

#[derive(Serialize)]
struct Trial {
    trial: String,
    point: String,
    arm: String,
    seed: u64,
    phase: &'static str,
    state: &'static str,
    parameters: Vec<(String, String)>,
    metrics: Vec<(String, Real)>,
    /// What it reported that is no number.
    notes: Vec<(String, String)>,
    /// What it did not compute itself.
    shared: Option<String>,
    /// The point's trials with other seeds.
    siblings: Vec<Sibling>,
    /// The point's mean over the tuning seeds.
    mean: Option<String>,
    attempts: Vec<Attempt>,
    log: Option<Log>,
    history: History,
    /// What is by steps, of a trial that reports both.
    by_step: Option<History>,
    /// The line that runs it again.
    rerun: String,
}

#[derive(Serialize)]
struct Sibling {
    trial: String,
    seed: u64,
    phase: &'static str,
    state: &'static str,
    metric: Option<Real>,
}

#[derive(Serialize)]
struct Attempt {
    started: String,
    ended: Option<String>,
    outcome: String,
    kind: Option<String>,
    message: Option<String>,
    seconds: Option<f64>,
    device: Option<String>,
    program: Option<String>,
}

#[derive(Serialize)]
struct Log {
    file: String,
    text: Option<String>,
    trouble: Option<String>,
}

/// A trial's history, a list of values for each metric.
#[derive(Serialize)]
pub struct History {
    /// Whether it is by epochs or by steps.
    pub unit: &'static str,
    /// Numbers of the epochs or steps.
    pub epochs: Vec<Place>,
    /// By metric: a value each, or null.
    pub metrics: Vec<(String, Vec<Option<Real>>)>,
}

/// One trial as JSON; None: there is no such trial.
///
/// # Errors
/// The ledger's.
pub fn trial(
    sweep: &Sweep,
    id: TrialId,
    rerun: impl FnOnce(TrialId, usize) -> String,
) -> Result<Option<String>, LedgerError> {
    let Some(planned) = sweep.planned(id) else {
        return Ok(None);
    };
    let ledger = sweep.reader()?;
    let points = &sweep.grid().arms()[planned.arm];
    let config = points.config(planned.index);
    let row = sweep.row(id);
    let attempts = ledger.attempts(id)?;
    let shared = row.and_then(|row| match row.shared.same_as {
        Some(other) => Some(format!(
            "Not computed again: the same as {other}, whose result it has."
        )),
        None if row.shared.epochs > 0 => Some(format!(
            "{} of its epochs were computed for another trial that begins in the same way.",
            row.shared.epochs
        )),
        None => None,
    });
    let metric = &sweep.spec().metric.name;
    let seeds = &sweep.spec().seeds;
    let selected = sweep.evaluation().arms[planned.arm].selection.best == Some(planned.index);
    let finals = seeds
        .final_
        .iter()
        .filter(|seed| selected || sweep.row(TrialId { seed: **seed, ..id }).is_some());
    let sibling = |seed: &u64| {
        let id = TrialId { seed: *seed, ..id };
        let planned = sweep.planned(id)?;
        let metric = sweep
            .row(id)
            .and_then(|row| row.metrics.as_ref()?.get(metric))
            .map(Real);
        Some(Sibling {
            trial: id.to_string(),
            seed: *seed,
            phase: planned.phase.name(),
            state: sweep.state_of(&planned),
            metric,
        })
    };
    let points = &sweep.evaluation().points;
    let place = points
        .binary_search_by_key(&(planned.arm, planned.index), |point| {
            (point.arm, point.index)
        })
        .ok();
    let stat = place.and_then(|place| points[place].stats.get(metric));
    let rows = ledger.history_sample(id, MAX_EPOCHS)?;
    let unit = main_unit(&rows);
    let both = unit == Unit::Epoch && rows.iter().any(|row| row.position.unit == Unit::Step);
    let log = attempts
        .last()
        .and_then(|attempt| attempt.log.clone())
        .map(|part| log(sweep.dir(), part));
    Ok(Some(super::overview::json(&Trial {
        trial: id.to_string(),
        point: id.point.to_string(),
        arm: sweep.names().arm(planned.arm).to_owned(),
        seed: id.seed,
        phase: planned.phase.name(),
        state: sweep.state_of(&planned),
        parameters: parameters(&config),
        metrics: row
            .and_then(|row| row.metrics.as_ref())
            .map(|metrics| {
                metrics
                    .0
                    .iter()
                    .map(|(name, value)| (name.clone(), *value))
                    .collect()
            })
            .unwrap_or_default(),
        notes: ledger
            .notes_of(id)?
            .iter()
            .map(|(name, value)| (name.clone(), note_text(value)))
            .collect(),
        shared,
        siblings: seeds
            .tune
            .iter()
            .chain(finals)
            .filter_map(sibling)
            .collect(),
        mean: stat.map(|stat| {
            format!(
                "{metric} {} over {} of {} tuning seeds",
                mean_std(*stat),
                stat.n,
                seeds.tune.len()
            )
        }),
        attempts: attempts.into_iter().map(attempt).collect(),
        log,
        history: history(&rows, unit),
        by_step: both.then(|| history(&rows, Unit::Step)),
        rerun: rerun(id, planned.arm),
    })))
}

/// A configuration in words.
pub fn parameters(config: &Config) -> Vec<(String, String)> {
    config
        .0
        .iter()
        .map(|(name, value)| (name.clone(), escaped(&value.to_string())))
        .collect()
}

fn attempt(row: AttemptRow) -> Attempt {
    Attempt {
        started: row.started_at,
        ended: row.ended_at,
        outcome: row.outcome,
        kind: row.kind.map(|kind| kind.to_string()),
        message: row.message,
        seconds: row.duration,
        device: row.device,
        program: row.program.map(|program| program.trim_end().to_owned()),
    }
}

/// What most of a history is by: epochs, if it has any.
fn main_unit(rows: &[EpochRow]) -> Unit {
    rows.first().map_or(Unit::Epoch, |row| row.position.unit)
}

/// What a metric's curve is by: epochs, if any row of an epoch has it.
pub fn unit_of<'r>(rows: impl Iterator<Item = &'r EpochRow>, metric: &str) -> Unit {
    let unit = rows
        .filter(|row| row.metrics.get(metric).is_some())
        .map(|row| row.position.unit)
        .min();
    unit.unwrap_or(Unit::Epoch)
}

/// The part of a history that is by epochs or by steps, in columns, thinned evenly if it is long;
/// the last row stays.
pub fn history(rows: &[EpochRow], unit: Unit) -> History {
    let rows: Vec<&EpochRow> = rows
        .iter()
        .filter(|row| row.position.unit == unit)
        .collect();
    let stride = rows.len().div_ceil(MAX_EPOCHS).max(1);
    let kept: Vec<&EpochRow> = rows
        .iter()
        .enumerate()
        .filter(|(at, _)| at % stride == 0 || at + 1 == rows.len())
        .map(|(_, row)| *row)
        .collect();
    let names: std::collections::BTreeSet<&String> =
        kept.iter().flat_map(|row| row.metrics.0.keys()).collect();
    let values = |name: &String| {
        kept.iter()
            .map(|row| row.metrics.get(name).map(Real))
            .collect()
    };
    History {
        unit: unit.name(),
        epochs: kept.iter().map(|row| row.position.place).collect(),
        metrics: names
            .into_iter()
            .map(|name| (name.clone(), values(name)))
            .collect(),
    }
}

fn log(dir: &Path, (file, begin, end): (String, u64, Option<u64>)) -> Log {
    let read = within(dir, &file).and_then(|path| log_end(&path, begin, end, LOG_END));
    match read {
        Ok(text) => Log {
            file,
            text: Some(text),
            trouble: None,
        },
        Err(error) => Log {
            trouble: Some(format!("cannot read {file}: {error}")),
            text: None,
            file,
        },
    }
}

/// A file of the run directory. Who hands over a run directory may have put anything into its
/// ledger: what leads out of it, by its name or by a link, is not read.
fn within(dir: &Path, file: &str) -> std::io::Result<PathBuf> {
    let outside = || std::io::Error::other("it is not in the run directory");
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(file).components().all(plain) {
        return Err(outside());
    }
    let path = dir.join(file).canonicalize()?;
    if path.starts_with(dir.canonicalize()?) {
        Ok(path)
    } else {
        Err(outside())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_run_directory_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("run");
        std::fs::create_dir_all(dir.join("logs")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::fs::write(dir.join("logs/worker-1.log"), "log").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), dir.join("logs/link.log")).unwrap();
        assert!(within(&dir, "logs/worker-1.log").is_ok());
        let absolute = outer.path().join("secret").display().to_string();
        for file in [
            "../secret",
            "logs/../../secret",
            "logs/link.log",
            &absolute,
            "logs/absent.log",
        ] {
            assert!(within(&dir, file).is_err(), "{file}");
        }
        assert!(log(&dir, ("../secret".into(), 0, None)).text.is_none());
    }
}
