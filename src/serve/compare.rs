//! Compares selected trials: their learning curves in one metric, and what distinguishes them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::overview::json;
use super::trial::{History, MAX_EPOCHS, history, parameters, unit_of};
use crate::grid::TrialId;
use crate::ledger::{EpochRow, LedgerError};
use crate::monitor::Sweep;
use crate::plan::PlannedTrial;
use crate::protocol::Real;

/// Maximum number of trials: more curves in one plot cannot be told apart.
const MAX_TRIALS: usize = 8;
/// Maximum length of an unknown id in the answer, in characters.
const MAX_ID_LENGTH: usize = 40;

/// Name and value of something that a trial has: its arm, a parameter, its seed.
type Fact = (String, String);

/// The trials that the page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CompareRequest {
    /// Their ids, separated by commas.
    trials: String,
    /// The metric; an unknown one stands for the metric of selection.
    metric: String,
}

#[derive(Serialize)]
struct Compared {
    /// Every metric that has a curve.
    metrics: Vec<String>,
    metric: String,
    /// Whether the metric's curves are by epochs or by steps.
    unit: &'static str,
    /// What all trials have in common.
    common: Vec<Fact>,
    trials: Vec<ComparedTrial>,
    /// Ids that are not in the sweep.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct ComparedTrial {
    trial: String,
    /// What distinguishes it from the others.
    label: String,
    state: &'static str,
    /// The final metric.
    last: Option<Real>,
    history: History,
}

/// Returns learning curves of selected trials as JSON.
///
/// # Errors
/// The ledger's.
pub(crate) fn compare(sweep: &Sweep, request: &CompareRequest) -> Result<String, LedgerError> {
    let ledger = sweep.reader()?;
    let mut found: Vec<(PlannedTrial, Vec<EpochRow>)> = Vec::new();
    let mut unknown = Vec::new();
    for id in requested_ids(request) {
        match id.parse::<TrialId>().ok().and_then(|id| sweep.planned(id)) {
            Some(planned) => found.push((planned, ledger.history_sample(planned.id, MAX_EPOCHS)?)),
            None => unknown.push(id.chars().take(MAX_ID_LENGTH).collect()),
        }
    }

    let facts: Vec<Vec<Fact>> = found
        .iter()
        .map(|(planned, _)| facts_of(sweep, planned))
        .collect();
    let (common, labels) = distinguish(&facts);

    // The metrics that have a curve are those that any of the trials has reported.
    let rows = found.iter().flat_map(|(_, rows)| rows);
    let names: BTreeSet<&String> = rows.clone().flat_map(|row| row.metrics.0.keys()).collect();
    let own_metric = &sweep.spec().metric.name;
    let metric = [&request.metric, own_metric]
        .into_iter()
        .find(|name| names.contains(name))
        .or(names.first().copied())
        .unwrap_or(own_metric);
    let unit = unit_of(rows, metric);

    Ok(json(&Compared {
        metrics: names.iter().map(|name| (*name).clone()).collect(),
        metric: metric.clone(),
        unit: unit.name(),
        common,
        trials: found
            .iter()
            .zip(labels)
            .map(|((planned, rows), label)| {
                compared_trial(sweep, planned, label, metric, history(rows, unit))
            })
            .collect(),
        unknown,
    }))
}

/// The requested ids in the order in which they were selected, each once.
fn requested_ids(request: &CompareRequest) -> impl Iterator<Item = &str> {
    let mut seen = BTreeSet::new();
    request
        .trials
        .split(',')
        .filter(move |id| !id.is_empty() && seen.insert(*id))
        .take(MAX_TRIALS)
}

fn compared_trial(
    sweep: &Sweep,
    planned: &PlannedTrial,
    label: String,
    metric: &str,
    mut history: History,
) -> ComparedTrial {
    history.metrics.retain(|(name, _)| name == metric);
    let metrics = sweep.row(planned.id).and_then(|row| row.metrics.as_ref());
    ComparedTrial {
        trial: planned.id.to_string(),
        label,
        state: sweep.state_of(planned),
        last: metrics.and_then(|metrics| metrics.get(metric)).map(Real),
        history,
    }
}

/// Arm, parameters and seed of a trial.
fn facts_of(sweep: &Sweep, planned: &PlannedTrial) -> Vec<Fact> {
    let config = sweep.grid()[planned.arm].config(planned.index);
    let mut facts = vec![("arm".to_owned(), sweep.names().arm(planned.arm).to_owned())];
    facts.extend(parameters(&config));
    facts.push(("seed".to_owned(), planned.id.seed.to_string()));
    facts
}

/// Splits the facts about several trials: those that all have in common, and for each trial a label
/// of the others. The label of a single trial is its arm and its seed.
fn distinguish(trials: &[Vec<Fact>]) -> (Vec<Fact>, Vec<String>) {
    let Some((first, others)) = trials.split_first() else {
        return Default::default();
    };

    let is_single = others.is_empty();
    let common: Vec<Fact> = first
        .iter()
        .filter(|fact| others.iter().all(|other| other.contains(fact)))
        .filter(|(name, _)| !(is_single && matches!(name.as_str(), "arm" | "seed")))
        .cloned()
        .collect();
    let labels = trials.iter().map(|facts| label(facts, &common)).collect();
    (common, labels)
}

/// The facts of a trial that are not common, as text.
fn label(facts: &[Fact], common: &[Fact]) -> String {
    let words: Vec<String> = facts
        .iter()
        .filter(|fact| !common.contains(fact))
        .map(|(name, value)| match name.as_str() {
            "arm" => value.clone(),
            _ => format!("{name}={value}"),
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Vec<(String, String)> {
        text.split_whitespace()
            .map(|fact| {
                fact.split_once('=')
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .unwrap()
            })
            .collect()
    }

    #[test]
    fn labels_have_what_differs_and_the_rest_is_common() {
        let (common, labels) = distinguish(&[
            facts("arm=Adam epochs=15 lr=0.1 seed=0"),
            facts("arm=Adam epochs=15 lr=0.2 seed=0"),
            facts("arm=Adam epochs=15 lr=0.2 seed=0 warm=yes"),
        ]);
        assert_eq!(common, facts("arm=Adam epochs=15 seed=0"));
        assert_eq!(labels, ["lr=0.1", "lr=0.2", "lr=0.2 warm=yes"]);
    }

    #[test]
    fn trials_may_differ_only_in_arm_and_seed() {
        let (common, labels) = distinguish(&[
            facts("arm=SGD lr=0.1 seed=0"),
            facts("arm=Adam lr=0.1 seed=3"),
        ]);
        assert_eq!(common, facts("lr=0.1"));
        assert_eq!(labels, ["SGD seed=0", "Adam seed=3"]);
        let (common, labels) = distinguish(&[facts("arm=SGD lr=0.1 seed=0")]);
        assert_eq!(
            (common, labels),
            (facts("lr=0.1"), vec!["SGD seed=0".to_owned()])
        );
        assert_eq!(distinguish(&[]), Default::default());
    }
}
