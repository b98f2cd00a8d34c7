//! The trials that every format contains: those of the current sweep file that were ever started,
//! in grid order.

use std::collections::HashMap;

use crate::aggregate::Evaluation;
use crate::grid::{ArmIndex, Grid, TrialId};
use crate::ledger::{LastAttempt, TrialRow};
use crate::plan::{Phase, PlannedTrial};
use crate::spec::{Config, Spec};

/// A trial without its history.
#[derive(Clone, Debug)]
pub struct Exported<'a> {
    /// The id.
    pub id: TrialId,
    /// Number of its arm.
    pub arm: usize,
    /// Its phase.
    pub phase: Phase,
    /// Its hyper-parameters.
    pub config: Config,
    /// Its state and metrics.
    pub row: &'a TrialRow,
    /// Whether it was started and interrupted, and will not run again because its point is out of
    /// the race (`prune: safe`).
    pub pruned: bool,
    /// Its last attempt: time, duration, error.
    pub last: Option<&'a LastAttempt>,
}

impl Exported<'_> {
    /// Its state as one word.
    pub fn state(&self) -> &'static str {
        if self.pruned {
            "pruned"
        } else {
            self.row.state.name()
        }
    }
}

/// Returns the trials of the current sweep file that were ever started: arm by arm, point by point,
/// tuning seeds before final ones.
pub fn exported<'a>(
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    rows: &'a HashMap<TrialId, TrialRow>,
    attempts: &'a HashMap<TrialId, LastAttempt>,
) -> Vec<Exported<'a>> {
    let mut trials = Vec::with_capacity(rows.len());
    for (arm, points) in grid.arms().iter().enumerate() {
        let best = evaluation.arms.get(arm).and_then(|arm| arm.selection.best);
        for point in points.points() {
            for (phase, seed) in seeds(spec, best == Some(point.index.0)) {
                let id = TrialId {
                    point: point.id,
                    seed,
                };
                let Some(row) = rows.get(&id) else { continue };

                // An interrupted trial of an eliminated point waits in the ledger, but will not
                // run.
                let planned = PlannedTrial {
                    id,
                    phase,
                    arm: ArmIndex(arm),
                    index: point.index,
                    group: None,
                };
                trials.push(Exported {
                    id,
                    arm,
                    phase,
                    config: point.config.clone(),
                    row,
                    pruned: evaluation.is_pruned(&planned, Some(row)),
                    last: attempts.get(&id),
                });
            }
        }
    }
    trials
}

/// The seeds of a point: the tuning seeds, then the final seeds if it is selected.
fn seeds(spec: &Spec, is_selected: bool) -> impl Iterator<Item = (Phase, u64)> {
    let finals: &[u64] = if is_selected { &spec.seeds.final_ } else { &[] };
    let tuning = spec.seeds.tune.iter().map(|seed| (Phase::Tune, *seed));
    tuning.chain(finals.iter().map(|seed| (Phase::Final, *seed)))
}
