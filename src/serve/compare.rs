//! Chosen trials side by side: their learning curves in one metric, and what of their parameters
//! tells them apart.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::overview::json;
use super::trial::{History, MAX_EPOCHS, history, parameters, unit_of};
use crate::grid::TrialId;
use crate::ledger::LedgerError;
use crate::monitor::Sweep;
use crate::protocol::Real;

/// So many trials can be told apart in one plot.
const MOST: usize = 8;

/// Which trials the page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompareRequest {
    /// Their ids, with commas between them.
    trials: String,
    /// The metric; the selection metric if it is none that there is.
    metric: String,
}

#[derive(Serialize)]
struct Compared {
    /// Every metric that has a curve.
    metrics: Vec<String>,
    metric: String,
    /// Whether the metric's curves are by epochs or by steps.
    unit: &'static str,
    /// What all have in common.
    common: Vec<(String, String)>,
    trials: Vec<One>,
    /// Ids that the sweep has not.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct One {
    trial: String,
    /// What tells it from the others.
    label: String,
    state: &'static str,
    /// The metric at its end.
    last: Option<Real>,
    history: History,
}

/// Learning curves of chosen trials as JSON.
///
/// # Errors
/// The ledger's.
pub fn compare(sweep: &Sweep, request: &CompareRequest) -> Result<String, LedgerError> {
    let ledger = sweep.reader()?;
    let (mut found, mut unknown, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    // In the order in which they were chosen, each once.
    for id in request
        .trials
        .split(',')
        .filter(|id| !id.is_empty() && seen.insert(*id))
        .take(MOST)
    {
        match id.parse::<TrialId>().ok().and_then(|id| sweep.planned(id)) {
            Some(planned) => found.push((planned, ledger.history_sample(planned.id, MAX_EPOCHS)?)),
            None => unknown.push(id.chars().take(40).collect()),
        }
    }
    let facts: Vec<Vec<(String, String)>> = found
        .iter()
        .map(|(planned, _)| {
            let mut facts = vec![("arm".to_owned(), sweep.names().arm(planned.arm).to_owned())];
            facts.extend(parameters(
                &sweep.grid().arms()[planned.arm].config(planned.index),
            ));
            facts.push(("seed".to_owned(), planned.id.seed.to_string()));
            facts
        })
        .collect();
    let (common, labels) = tell_apart(&facts);
    let names: BTreeSet<&String> = found
        .iter()
        .flat_map(|(_, rows)| rows)
        .flat_map(|row| row.metrics.0.keys())
        .collect();
    let wished = [&request.metric, &sweep.spec().metric.name]
        .into_iter()
        .find(|name| names.contains(name));
    let metric = wished
        .or(names.first().copied())
        .unwrap_or(&sweep.spec().metric.name)
        .clone();
    let metrics = names.into_iter().cloned().collect();
    let unit = unit_of(found.iter().flat_map(|(_, rows)| rows), &metric);
    let trials = found
        .into_iter()
        .zip(labels)
        .map(|((planned, rows), label)| {
            let mut history = history(&rows, unit);
            history.metrics.retain(|(name, _)| *name == metric);
            One {
                trial: planned.id.to_string(),
                label,
                state: sweep.state_of(&planned),
                last: sweep
                    .row(planned.id)
                    .and_then(|row| row.metrics.as_ref()?.get(&metric))
                    .map(Real),
                history,
            }
        });
    let trials = trials.collect();
    Ok(json(&Compared {
        metrics,
        metric,
        unit: unit.name(),
        common,
        trials,
        unknown,
    }))
}

/// Of facts about several things: those that all have in common, and for each thing the rest in
/// words. A thing by itself is told by its seed and its arm.
fn tell_apart(facts: &[Vec<(String, String)>]) -> (Vec<(String, String)>, Vec<String>) {
    let Some((first, others)) = facts.split_first() else {
        return Default::default();
    };
    let everywhere = |fact: &(String, String)| others.iter().all(|other| other.contains(fact));
    let alone = |name: &str| others.is_empty() && matches!(name, "arm" | "seed");
    let common: Vec<(String, String)> = first
        .iter()
        .filter(|fact| everywhere(fact) && !alone(&fact.0))
        .cloned()
        .collect();
    let words = |(name, value): &(String, String)| match name.as_str() {
        "arm" => value.clone(),
        _ => format!("{name}={value}"),
    };
    let rest = |facts: &Vec<(String, String)>| {
        facts
            .iter()
            .filter(|fact| !common.contains(fact))
            .map(words)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let labels = facts.iter().map(rest).collect();
    (common, labels)
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
    fn what_differs_is_the_label_and_the_rest_stands_once() {
        let (common, labels) = tell_apart(&[
            facts("arm=Adam epochs=15 lr=0.1 seed=0"),
            facts("arm=Adam epochs=15 lr=0.2 seed=0"),
            facts("arm=Adam epochs=15 lr=0.2 seed=0 warm=yes"),
        ]);
        assert_eq!(common, facts("arm=Adam epochs=15 seed=0"));
        assert_eq!(labels, ["lr=0.1", "lr=0.2", "lr=0.2 warm=yes"]);
    }

    #[test]
    fn arms_and_seeds_may_be_all_that_differs() {
        let (common, labels) = tell_apart(&[
            facts("arm=SGD lr=0.1 seed=0"),
            facts("arm=Adam lr=0.1 seed=3"),
        ]);
        assert_eq!(common, facts("lr=0.1"));
        assert_eq!(labels, ["SGD seed=0", "Adam seed=3"]);
        let (common, labels) = tell_apart(&[facts("arm=SGD lr=0.1 seed=0")]);
        assert_eq!(
            (common, labels),
            (facts("lr=0.1"), vec!["SGD seed=0".to_owned()])
        );
        assert_eq!(tell_apart(&[]), Default::default());
    }
}
