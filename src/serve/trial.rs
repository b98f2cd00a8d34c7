//! Everything about one trial, like `pentagrid show`, as JSON.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::overview::json;
use crate::grid::TrialId;
use crate::ledger::{AttemptRow, EpochRow, LedgerError, TrialRow};
use crate::monitor::Sweep;
use crate::plan::PlannedTrial;
use crate::printable::escaped;
use crate::protocol::{Place, Real, Unit, note_text};
use crate::report::mean_std;
use crate::schedule::log_end;
use crate::spec::Config;
use crate::text::{count, form, thousands};

/// How much of the end of a log is shown, in bytes.
const LOG_END: u64 = 16_000;
/// Maximum number of rows of a history; a longer one is thinned.
pub(crate) const MAX_EPOCHS: usize = 1000;

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
    /// What it reported that is not a number.
    notes: Vec<(String, String)>,
    /// A sentence about what other trials computed for it.
    shared: Option<String>,
    /// The trials of the point, with all seeds.
    siblings: Vec<Sibling>,
    /// The mean of the point over the tuning seeds.
    mean: Option<String>,
    attempts: Vec<Attempt>,
    log: Option<Log>,
    history: History,
    /// The history by steps, of a trial that reports both.
    by_step: Option<History>,
    /// The command line that runs it again.
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

/// A history, with a list of values for each metric.
#[derive(Serialize)]
pub(crate) struct History {
    /// Whether it is by epochs or by steps.
    pub unit: &'static str,
    /// Numbers of the epochs or steps.
    pub epochs: Vec<Place>,
    /// The values of each metric; null where it was not reported.
    pub metrics: Vec<(String, Vec<Option<Real>>)>,
}

/// Returns one trial as JSON; None if there is no such trial.
///
/// # Errors
/// The ledger's.
pub(crate) fn trial(
    sweep: &Sweep,
    id: TrialId,
    rerun: impl FnOnce(TrialId, usize) -> String,
) -> Result<Option<String>, LedgerError> {
    let Some(planned) = sweep.planned(id) else {
        return Ok(None);
    };

    let ledger = sweep.reader()?;
    let row = sweep.row(id);
    let config = sweep.grid()[planned.arm].config(planned.index);
    let metrics = row.and_then(|row| row.metrics.as_ref());
    let attempts = ledger.attempts(id)?;
    let log = attempts
        .last()
        .and_then(|attempt| attempt.log.as_ref())
        .map(|(file, begin, end)| read_log(sweep.dir(), file, *begin, *end));

    let rows = ledger.history_sample(id, MAX_EPOCHS)?;
    let unit = main_unit(&rows);
    let has_both = unit == Unit::Epoch && rows.iter().any(|row| row.position.unit == Unit::Step);

    Ok(Some(json(&Trial {
        trial: id.to_string(),
        point: id.point.to_string(),
        arm: sweep.names().arm(planned.arm).to_owned(),
        seed: id.seed,
        phase: planned.phase.name(),
        state: sweep.state_of(&planned),
        parameters: parameters(&config),
        metrics: metrics
            .iter()
            .flat_map(|metrics| metrics.0.iter())
            .map(|(name, value)| (name.clone(), *value))
            .collect(),
        notes: ledger
            .notes_of(id)?
            .iter()
            .map(|(name, value)| (name.clone(), note_text(value)))
            .collect(),
        shared: row.and_then(shared_sentence),
        siblings: siblings(sweep, &planned),
        mean: mean_sentence(sweep, &planned),
        attempts: attempts.into_iter().map(attempt).collect(),
        log,
        history: history(&rows, unit),
        by_step: has_both.then(|| history(&rows, Unit::Step)),
        rerun: rerun(id, planned.arm.0),
    })))
}

/// Says what other trials computed for a trial; None if nothing.
fn shared_sentence(row: &TrialRow) -> Option<String> {
    match row.shared.same_as {
        Some(other) => Some(format!("Reused the result of {other}.")),
        None if row.shared.epochs > 0 => Some(format!(
            "{} of its epochs {} computed for another trial that begins in the same way.",
            thousands(row.shared.epochs),
            form(row.shared.epochs, "was", "were")
        )),
        None => None,
    }
}

/// The trials of a point: those of the tuning seeds, and the final ones that were started or that
/// the selected point has.
fn siblings(sweep: &Sweep, planned: &PlannedTrial) -> Vec<Sibling> {
    let seeds = &sweep.spec().seeds;
    let best = sweep.evaluation().arms[planned.arm.0].selection.best;
    let is_selected = best == Some(planned.index.0);
    let finals = seeds.final_.iter().filter(|seed| {
        let id = TrialId {
            seed: **seed,
            ..planned.id
        };
        is_selected || sweep.row(id).is_some()
    });

    seeds
        .tune
        .iter()
        .chain(finals)
        .filter_map(|seed| sibling(sweep, planned, *seed))
        .collect()
}

fn sibling(sweep: &Sweep, planned: &PlannedTrial, seed: u64) -> Option<Sibling> {
    let id = TrialId { seed, ..planned.id };
    let planned = sweep.planned(id)?;
    let metrics = sweep.row(id).and_then(|row| row.metrics.as_ref());
    Some(Sibling {
        trial: id.to_string(),
        seed,
        phase: planned.phase.name(),
        state: sweep.state_of(&planned),
        metric: metrics
            .and_then(|metrics| metrics.get(&sweep.spec().metric.name))
            .map(Real),
    })
}

/// The mean of a trial's point over the tuning seeds; None before the first result.
fn mean_sentence(sweep: &Sweep, planned: &PlannedTrial) -> Option<String> {
    let metric = &sweep.spec().metric.name;
    let points = &sweep.evaluation().points;
    let index = points
        .binary_search_by_key(&(planned.arm.0, planned.index.0), |point| {
            (point.arm, point.index)
        })
        .ok()?;
    let stat = points[index].stats.get(metric)?;

    Some(format!(
        "{metric} {} over {} of {}",
        mean_std(*stat),
        stat.n,
        count(sweep.spec().seeds.tune.len(), "tuning seed")
    ))
}

/// Names and values of a configuration.
pub(crate) fn parameters(config: &Config) -> Vec<(String, String)> {
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

/// The unit of most of a history: epochs, if it has any.
fn main_unit(rows: &[EpochRow]) -> Unit {
    rows.first().map_or(Unit::Epoch, |row| row.position.unit)
}

/// The unit of a metric's curve: epochs, if any row of an epoch has it.
pub(crate) fn unit_of<'r>(rows: impl Iterator<Item = &'r EpochRow>, metric: &str) -> Unit {
    let unit = rows
        .filter(|row| row.metrics.get(metric).is_some())
        .map(|row| row.position.unit)
        .min();
    unit.unwrap_or(Unit::Epoch)
}

/// Returns the part of a history that is by epochs or by steps, in columns. A long one is thinned
/// evenly; the last row stays.
pub(crate) fn history(rows: &[EpochRow], unit: Unit) -> History {
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
    let names: BTreeSet<&String> = kept.iter().flat_map(|row| row.metrics.0.keys()).collect();

    History {
        unit: unit.name(),
        epochs: kept.iter().map(|row| row.position.place).collect(),
        metrics: names
            .into_iter()
            .map(|name| {
                let values = kept.iter().map(|row| row.metrics.get(name).map(Real));
                (name.clone(), values.collect())
            })
            .collect(),
    }
}

/// Reads the end of a part of a log.
fn read_log(dir: &Path, file: &str, begin: u64, end: Option<u64>) -> Log {
    let read = within(dir, file).and_then(|path| log_end(&path, begin, end, LOG_END));
    let mut log = Log {
        file: file.to_owned(),
        text: None,
        trouble: None,
    };
    match read {
        Ok(text) => log.text = Some(text),
        Err(error) => log.trouble = Some(format!("cannot read {file}: {error}")),
    }
    log
}

/// Returns the path of a file of the run directory.
///
/// The ledger may come from another person and name any file. A path that leads out of the run
/// directory, by its name or by a link, is refused.
fn within(dir: &Path, file: &str) -> std::io::Result<PathBuf> {
    let stays_within = Path::new(file)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays_within {
        let path = dir.join(file).canonicalize()?;
        if path.starts_with(dir.canonicalize()?) {
            return Ok(path);
        }
    }
    Err(std::io::Error::other("it is not in the run directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_the_run_directory_are_not_read() {
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
        assert!(read_log(&dir, "../secret", 0, None).text.is_none());
    }
}
