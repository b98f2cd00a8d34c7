//! What a rerun gave, and how it differs from what was recorded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use super::super::error::CliError;
use crate::grid::TrialId;
use crate::ledger::{Reader, TrialRow, Write};
use crate::protocol::{Metrics, Place, Position, Real, Unit};

/// What a rerun gave: final metrics, history, or why it failed.
#[derive(Debug, Default)]
pub(super) struct Rerun {
    pub metrics: Option<Metrics>,
    history: BTreeMap<Position, Metrics>,
    failure: Option<String>,
}

/// A metric that is not what was recorded.
#[derive(Serialize)]
pub(super) struct Difference {
    /// Of the history; None: a final metric.
    epoch: Option<Place>,
    /// The same, of a history by steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Place>,
    metric: String,
    recorded: Option<Real>,
    now: Option<Real>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(epoch) = self.epoch {
            write!(f, "epoch {epoch} ")?;
        }
        if let Some(step) = self.step {
            write!(f, "step {step} ")?;
        }
        write!(
            f,
            "{}: recorded {}, now {}",
            self.metric,
            shown(self.recorded),
            shown(self.now)
        )
    }
}

/// A value with all its digits.
fn shown(value: Option<Real>) -> String {
    value.map_or("nothing".to_owned(), |value| format!("{:?}", value.0))
}

impl Rerun {
    /// Why the rerun has no result, if it has none.
    pub(super) fn failure(&self) -> Option<String> {
        if self.metrics.is_some() {
            return None;
        }
        let failure = self.failure.clone();
        Some(failure.unwrap_or_else(|| "no result".to_owned()))
    }

    /// Returns what differs from the recorded trial; nothing where the rerun failed.
    pub(super) fn compare(
        &self,
        ledger: &Reader,
        recorded: &TrialRow,
    ) -> Result<Vec<Difference>, CliError> {
        let Some(metrics) = &self.metrics else {
            return Ok(Vec::new());
        };

        let empty = Metrics::default();
        // Final metrics are compared as they were reported, whichever rule chooses among them.
        let reported = ledger.reported_metrics(recorded.id)?.unwrap_or_default();
        let mut all = differences(None, &reported, metrics);

        let history: BTreeMap<Position, Metrics> = ledger
            .history_of(recorded.id)?
            .into_iter()
            .map(|row| (row.position, row.metrics))
            .collect();
        let positions: BTreeSet<Position> =
            history.keys().chain(self.history.keys()).copied().collect();
        for position in positions {
            let was = history.get(&position).unwrap_or(&empty);
            let is = self.history.get(&position).unwrap_or(&empty);
            all.extend(differences(Some(position), was, is));
        }
        Ok(all)
    }
}

fn differences(position: Option<Position>, was: &Metrics, is: &Metrics) -> Vec<Difference> {
    let was = was.without_wall_clock();
    let is = is.without_wall_clock();
    let names: BTreeSet<&String> = was.0.keys().chain(is.0.keys()).collect();
    names
        .into_iter()
        .filter(|name| was.0.get(*name) != is.0.get(*name))
        .map(|name| Difference {
            epoch: position.and_then(|position| position.of(Unit::Epoch)),
            step: position.and_then(|position| position.of(Unit::Step)),
            metric: name.clone(),
            recorded: was.0.get(name).copied(),
            now: is.0.get(name).copied(),
        })
        .collect()
}

/// Keeps what a rerun reports, as the ledger would.
pub(super) fn keep(results: &mut HashMap<TrialId, Rerun>, write: Write) {
    match write {
        Write::TrialStarted { trial, .. } => drop(results.insert(trial, Rerun::default())),
        // As the ledger does: several rows of one position are one.
        Write::Epoch {
            trial,
            position,
            values,
        } => {
            results
                .entry(trial)
                .or_default()
                .history
                .entry(position)
                .or_default()
                .0
                .extend(values.numbers.0);
        }
        Write::TrialDone { trial, metrics, .. } => {
            results.entry(trial).or_default().metrics = Some(metrics.numbers);
        }
        Write::TrialFailed {
            trial,
            kind,
            message,
            ..
        } => {
            results.entry(trial).or_default().failure = Some(format!("{kind}: {message}"));
        }
        _ => {}
    }
}
