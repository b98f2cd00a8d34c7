//! Which trials to rerun, and the metric that a rerun has to report.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::super::args::VerifyArgs;
use super::super::error::CliError;
use crate::grid::TrialId;
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{PlannedTrial, shuffle};
use crate::shell::shell_path;
use crate::spec::Spec;

/// The trials to rerun: those that were named, or some drawn at random.
pub(super) fn choose(
    arguments: &VerifyArgs,
    planned: Vec<PlannedTrial>,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Vec<PlannedTrial>, CliError> {
    let mut done: Vec<PlannedTrial> = planned
        .into_iter()
        .filter(|trial| {
            let row = rows.get(&trial.id);
            row.is_some_and(|row| row.state == TrialState::Done)
        })
        .collect();
    if !arguments.trial.is_empty() {
        let typed = arguments.trial.iter();
        return typed.map(|typed| find(typed, &done, arguments)).collect();
    }

    if done.is_empty() {
        return Err(CliError::Usage(format!(
            "{} has no finished trials to rerun yet",
            arguments.dir.display()
        )));
    }
    // Another draw at each call, so that repeated calls cover more and more of the sweep.
    shuffle(&mut done, RandomState::new().hash_one(0));
    done.truncate(arguments.n as usize);
    Ok(done)
}

/// The finished trial whose id begins with what was typed.
fn find(
    typed: &str,
    done: &[PlannedTrial],
    arguments: &VerifyArgs,
) -> Result<PlannedTrial, CliError> {
    let found: Vec<PlannedTrial> = done
        .iter()
        .filter(|trial| fits(typed, trial.id))
        .copied()
        .collect();
    match found[..] {
        [trial] => Ok(trial),
        [] => Err(CliError::Usage(format!(
            "{typed} is no finished trial of this sweep; `pentagrid trials {} --state done` lists them",
            shell_path(&arguments.dir)
        ))),
        [first, second, ..] => Err(CliError::Usage(format!(
            "{typed:?} is not enough to tell {} finished trials apart, {} and {} among them",
            found.len(),
            first.id,
            second.id
        ))),
    }
}

/// Whether what was typed is the beginning of a trial's point, with its seed or without one.
fn fits(typed: &str, id: TrialId) -> bool {
    let point = id.point.to_string();
    match typed.split_once('-') {
        Some((beginning, seed)) => point.starts_with(beginning) && id.seed.to_string() == seed,
        None => point.starts_with(typed),
    }
}

/// A metric that each of these trials has reported: the one that selects, if they have it. Empty if
/// there is none.
pub(super) fn metric_of_all(
    spec: &Spec,
    trials: &[PlannedTrial],
    rows: &HashMap<TrialId, TrialRow>,
) -> String {
    if all_have(&spec.metric.name, trials, rows) {
        return spec.metric.name.clone();
    }

    let first = trials.first().and_then(|trial| rows.get(&trial.id));
    let metrics = first.and_then(|row| row.metrics.as_ref());
    metrics
        .into_iter()
        .flat_map(|metrics| metrics.0.keys())
        .find(|name| all_have(name, trials, rows))
        .cloned()
        .unwrap_or_default()
}

fn all_have(name: &str, trials: &[PlannedTrial], rows: &HashMap<TrialId, TrialRow>) -> bool {
    trials.iter().all(|trial| {
        let metrics = rows.get(&trial.id).and_then(|row| row.metrics.as_ref());
        metrics.is_some_and(|metrics| metrics.get(name).is_some())
    })
}
