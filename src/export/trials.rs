//! The trials that every format tells of: those of the spec in force that were ever started, in
//! grid order.

use std::collections::HashMap;

use crate::aggregate::Evaluation;
use crate::grid::{ArmIndex, Grid, TrialId};
use crate::ledger::{LastAttempt, TrialRow};
use crate::plan::{Phase, PlannedTrial};
use crate::spec::{Config, Spec};

/// One trial with all that is known of it but its history.
#[derive(Clone, Debug)]
pub struct Exported<'a> {
    /// The id.
    pub id: TrialId,
    /// Number of its arm.
    pub arm: usize,
    /// What it is for.
    pub phase: Phase,
    /// Its hyper-parameters.
    pub config: Config,
    /// Where it stands, and its metrics.
    pub row: &'a TrialRow,
    /// Whether it had begun, was cut off, and will not run again since its point is out of the race
    /// (`prune: safe`).
    pub pruned: bool,
    /// When and how long it ran the last time, and what went wrong.
    pub last: Option<&'a LastAttempt>,
}

impl Exported<'_> {
    /// Where it stands, in a word.
    pub fn state(&self) -> &'static str {
        if self.pruned {
            "pruned"
        } else {
            self.row.state.name()
        }
    }
}

/// The trials of the spec in force that were ever started: arm by arm, point by point, tuning seeds
/// before final ones.
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
            let finals: &[u64] = if best == Some(point.index.0) {
                &spec.seeds.final_
            } else {
                &[]
            };
            let tuning = spec.seeds.tune.iter().map(|seed| (Phase::Tune, seed));
            for (phase, &seed) in tuning.chain(finals.iter().map(|seed| (Phase::Final, seed))) {
                let id = TrialId {
                    point: point.id,
                    seed,
                };
                let Some(row) = rows.get(&id) else { continue };
                let pruned = evaluation.is_pruned(
                    &PlannedTrial {
                        id,
                        phase,
                        arm: ArmIndex(arm),
                        index: point.index,
                        group: None,
                    },
                    Some(row),
                );
                let (config, last) = (point.config.clone(), attempts.get(&id));
                trials.push(Exported {
                    id,
                    arm,
                    phase,
                    config,
                    row,
                    pruned,
                    last,
                });
            }
        }
    }
    trials
}
