//! Statistics of values that are computed from a trial's own metrics, such as the difference of two
//! of them, over the trials that the tables show.

use std::collections::HashMap;

use super::evaluate::Evaluation;
use super::stats::{Observation, PointStats, StatsError, point_stats};
use crate::grid::TrialId;
use crate::ledger::{TrialRow, TrialState};
use crate::protocol::Metrics;
use crate::spec::{Seeds, Spec};

/// The seeds that tables report: the final ones, or the tuning seeds where there are none.
pub fn reported_seeds(seeds: &Seeds) -> &[u64] {
    if seeds.final_.is_empty() {
        &seeds.tune
    } else {
        &seeds.final_
    }
}

/// Computes, for each arm with a selected point, the statistics of what `derive` makes of each
/// finished trial's metrics.
///
/// Values are paired: a difference is taken within a trial, so what its two sides share does not
/// add to the deviation.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn derived_stats(
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    derive: impl Fn(&Metrics) -> Metrics,
) -> Result<Vec<PointStats>, StatsError> {
    let mut derived = Vec::new();
    for arm in &evaluation.arms {
        let Some(point) = &arm.point else { continue };
        for &seed in reported_seeds(&spec.seeds) {
            let id = TrialId {
                point: point.id,
                seed,
            };

            let row = rows.get(&id).filter(|row| row.state == TrialState::Done);
            if let Some(metrics) = row.and_then(|row| row.metrics.as_ref()) {
                derived.push((arm.arm, point.index.0, seed, derive(metrics)));
            }
        }
    }

    let observations: Vec<Observation<'_>> = derived
        .iter()
        .map(|(arm, index, seed, metrics)| Observation {
            arm: *arm,
            index: *index,
            seed: *seed,
            metrics,
            diverged: false,
        })
        .collect();
    point_stats(&observations)
}
