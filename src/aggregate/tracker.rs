//! An evaluation that follows its trials: the same as `evaluate` gives, kept up to date at the cost
//! of what has changed. For watching a sweep; code that decides anything calls `evaluate`.

use std::collections::{BTreeSet, HashMap};

use super::evaluate::{
    Evaluation, Tally, evaluate, evaluate_arms, observation, race, record_passed_over,
};
use super::select::select;
use super::stats::{StatsError, point_stats};
use crate::grid::{ArmGrid, ArmIndex, Grid, PointId, PointIndex, TrialId};
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{Race, RaceUpdate};
use crate::spec::Spec;

/// A sweep's trials and their evaluation.
#[derive(Clone, Debug)]
pub struct Tracker {
    spec: Spec,
    grid: Grid,
    rows: HashMap<TrialId, TrialRow>,
    /// By arm: the ids of its points.
    ids: Vec<Vec<PointId>>,
    /// Where a point stands: number of the arm, number of the point in it.
    places: HashMap<PointId, Vec<(usize, u64)>>,
    race: Option<Race>,
    evaluation: Evaluation,
}

impl Tracker {
    /// Creates a tracker of the trials that there are.
    ///
    /// # Errors
    /// `StatsError`, if Polars reports an error.
    pub fn new(
        spec: Spec,
        grid: Grid,
        rows: HashMap<TrialId, TrialRow>,
    ) -> Result<Self, StatsError> {
        let ids: Vec<Vec<PointId>> = grid.arms().iter().map(|arm| arm.ids().collect()).collect();

        // A point may be in several arms.
        let mut places: HashMap<PointId, Vec<(usize, u64)>> = HashMap::new();
        for (arm, ids) in ids.iter().enumerate() {
            for (id, index) in ids.iter().zip(0..) {
                places.entry(*id).or_default().push((arm, index));
            }
        }

        let race = race(&spec, &grid, &rows);
        let evaluation = evaluate(&spec, &grid, &rows)?;
        Ok(Self {
            spec,
            grid,
            rows,
            ids,
            places,
            race,
            evaluation,
        })
    }

    /// The sweep file.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The row of each trial.
    pub fn rows(&self) -> &HashMap<TrialId, TrialRow> {
        &self.rows
    }

    /// The evaluation of the sweep.
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }

    /// Where a point stands: number of the arm, number of the point in it.
    pub fn places(&self, point: PointId) -> &[(usize, u64)] {
        self.places.get(&point).map_or(&[], Vec::as_slice)
    }

    /// The ids of an arm's points, in the arm's order.
    pub fn ids(&self, arm: usize) -> &[PointId] {
        &self.ids[arm]
    }

    /// Updates trials that are new or have changed.
    ///
    /// # Errors
    /// `StatsError`, if Polars reports an error.
    pub fn update(&mut self, rows: impl IntoIterator<Item = TrialRow>) -> Result<(), StatsError> {
        let mut dirty: BTreeSet<(usize, u64)> = BTreeSet::new();
        let mut race_changed = false;
        let mut finals_changed = false;
        for row in rows {
            finals_changed |= self.spec.seeds.final_.contains(&row.id.seed);
            race_changed |= self.record_in_race(&row);
            dirty.extend(self.replace(row));
        }

        let before = self.evaluation.selected();
        if !dirty.is_empty() {
            self.update_points(&dirty)?;
            self.select();
        }

        // The statistics beside a selection are computed again only if they may have changed.
        if finals_changed || !dirty.is_empty() && self.needs_arms(&before, &dirty) {
            self.update_arms()?;
        }

        if race_changed || self.race.is_some() {
            self.recount();
        }
        record_passed_over(&self.spec, &self.grid, &self.rows, &mut self.evaluation);
        Ok(())
    }

    /// Records the result of a newly finished trial in the race. Returns whether the race changed.
    fn record_in_race(&mut self, row: &TrialRow) -> bool {
        let was_done = self
            .rows
            .get(&row.id)
            .is_some_and(|row| row.state == TrialState::Done);
        if was_done || row.state != TrialState::Done {
            return false;
        }
        let (Some(race), Some(metrics)) = (&mut self.race, &row.metrics) else {
            return false;
        };
        race.record(row.id, metrics.get(&self.spec.metric.name)) != RaceUpdate::Unchanged
    }

    /// Replaces a trial's row and updates the counts of tuning trials. Returns the points whose
    /// statistics have changed.
    fn replace(&mut self, row: TrialRow) -> Vec<(usize, u64)> {
        let id = row.id;
        let metric = &self.spec.metric.name;
        let before = tally(metric, self.rows.get(&id));
        let after = tally(metric, Some(&row));

        self.rows.insert(id, row);
        if !self.spec.seeds.tune.contains(&id.seed) {
            return Vec::new();
        }

        // Tallies are updated by the difference, so that a change costs the same in any sweep.
        let mut dirty = Vec::new();
        for (arm, index) in self.places.get(&id.point).into_iter().flatten() {
            let tally = &mut self.evaluation.arms[*arm].tune_tally;
            tally.done = tally.done - before.done + after.done;
            tally.diverged = tally.diverged - before.diverged + after.diverged;
            tally.failed = tally.failed - before.failed + after.failed;
            tally.running = tally.running - before.running + after.running;
            if before.done > 0 || after.done > 0 {
                dirty.push((*arm, *index));
            }
        }
        dirty
    }

    /// Computes the statistics of points that have new results.
    fn update_points(&mut self, dirty: &BTreeSet<(usize, u64)>) -> Result<(), StatsError> {
        let metric = &self.spec.metric.name;
        let mut observations = Vec::new();
        for &(arm, index) in dirty {
            let point = self.ids[arm][index as usize];
            for &seed in &self.spec.seeds.tune {
                let row = self.rows.get(&TrialId { point, seed });
                observations.extend(observation(metric, arm, index, seed, row));
            }
        }

        let updated = point_stats(&observations)?;
        let points = &mut self.evaluation.points;
        let known = points.len();
        for stats in updated {
            // Points are sorted; new ones are appended and sorted in below.
            match points[..known]
                .binary_search_by_key(&(stats.arm, stats.index), |stats| (stats.arm, stats.index))
            {
                Ok(found) => points[found] = stats,
                Err(_) => points.push(stats),
            }
        }

        // Sorting two sorted runs is one pass for any number of new points.
        if points.len() > known {
            points.sort_by_key(|stats| (stats.arm, stats.index));
        }
        Ok(())
    }

    fn select(&mut self) {
        let sizes: Vec<u64> = self.grid.arms().iter().map(ArmGrid::len).collect();
        let seeds = self.spec.seeds.tune.len() as u32;
        for selection in select(&self.spec.metric, &sizes, seeds, &self.evaluation.points) {
            let arm = selection.arm;
            self.evaluation.arms[arm].selection = selection;
        }
    }

    /// Whether the evaluation of an arm has changed: another point is selected, or the statistics
    /// of the selected point have changed.
    fn needs_arms(
        &self,
        before: &[(ArmIndex, PointIndex)],
        dirty: &BTreeSet<(usize, u64)>,
    ) -> bool {
        let now = self.evaluation.selected();
        now != before
            || now
                .iter()
                .any(|(arm, point)| dirty.contains(&(arm.0, point.0)))
    }

    fn update_arms(&mut self) -> Result<(), StatsError> {
        let arms = std::mem::take(&mut self.evaluation.arms);
        let tallies: Vec<Tally> = arms.iter().map(|arm| arm.tune_tally).collect();
        let selections = arms.into_iter().map(|arm| arm.selection).collect();
        self.evaluation.arms = evaluate_arms(
            &self.spec,
            &self.grid,
            &self.rows,
            selections,
            &self.evaluation.points,
            &tallies,
        )?;
        Ok(())
    }

    /// Counts all tuning trials again: with `prune: safe` one result decides about trials of other
    /// points.
    fn recount(&mut self) {
        let metric = &self.spec.metric.name;
        self.evaluation.pruned.clear();
        for (arm, ids) in self.ids.iter().enumerate() {
            let mut tally = Tally::default();
            for (&point, index) in ids.iter().zip(0..) {
                let out = self
                    .race
                    .as_ref()
                    .is_some_and(|race| race.is_eliminated(point));
                for &seed in &self.spec.seeds.tune {
                    let row = self.rows.get(&TrialId { point, seed });
                    if tally.count(metric, row, out) {
                        self.evaluation.pruned.insert((arm, index));
                    }
                }
            }
            self.evaluation.arms[arm].tune_tally = tally;
        }

        self.evaluation.beyond = self
            .race
            .as_ref()
            .and_then(|race| race.bound_violation().cloned());
    }
}

/// The counts of a single trial.
fn tally(selecting: &str, row: Option<&TrialRow>) -> Tally {
    let mut tally = Tally::default();
    tally.count(selecting, row, false);
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, Shared};
    use proptest::prelude::*;

    fn spec(prune: bool) -> Spec {
        let prune = if prune {
            "metric: {name: m, goal: maximize, best: 10}\nprune: safe"
        } else {
            "metric: {name: m, goal: maximize}"
        };
        let text = format!(
            "name: t\nworker: [w]\n{prune}\nseeds: {{tune: 3, final: 2}}\narms:\n  a: {{parameters: {{x: {{values: [1, 2, 3]}}}}}}\n  b: {{parameters: {{x: {{values: [3, 4]}}}}}}\n"
        );
        crate::spec::read(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}"))
    }

    /// `value`: of the metric, which the trial lacks where that is None.
    fn row(id: TrialId, phase: Phase, state: TrialState, value: Option<f64>) -> TrialRow {
        let metrics = (state == TrialState::Done).then(|| match value {
            Some(value) => [("m", value), ("val_loss", -value)].into_iter().collect(),
            None => [("other", 1.0)].into_iter().collect(),
        });
        TrialRow {
            id,
            phase,
            state,
            failures: 0,
            metrics,
            shared: Shared::default(),
        }
    }

    fn value() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            16 => (0_i32..=10).prop_map(|value| Some(f64::from(value))),
            2 => Just(Some(f64::NAN)),
            1 => Just(Some(f64::INFINITY)),
            1 => Just(Some(f64::NEG_INFINITY)),
            2 => Just(None),
            1 => Just(Some(1e308)),
        ]
    }

    proptest! {
        /// NaN is equal to nothing: figures are compared as they are written.
        #[test]
        fn it_agrees_with_a_full_evaluation_at_every_step(
            prune: bool,
            steps in prop::collection::vec(prop::collection::vec((0_usize..4, 0_u64..8, 0_usize..4, value()), 1..4), 1..25),
        ) {
            let spec = spec(prune);
            let grid = Grid::new(&spec);
            let points = [(0, 0), (0, 1), (0, 2), (1, 1)].map(|(arm, index)| grid.arms()[arm].point(PointIndex(index)).id);
            let seeds: Vec<u64> = spec.seeds.tune.iter().chain(&spec.seeds.final_).copied().collect();
            let mut rows: HashMap<TrialId, TrialRow> = HashMap::new();
            let mut tracker = Tracker::new(spec.clone(), grid.clone(), HashMap::new()).unwrap();
            for step in steps {
                let mut changed = Vec::new();
                for (point, seed, state, value) in step {
                    let seed = seeds[seed as usize % seeds.len()];
                    let id = TrialId { point: points[point], seed };
                    // Results never change.
                    if rows.get(&id).is_some_and(|row| row.state == TrialState::Done) {
                        continue;
                    }
                    let phase = if spec.seeds.tune.contains(&seed) { Phase::Tune } else { Phase::Final };
                    let row = row(id, phase, TrialState::ALL[state], value);
                    rows.insert(id, row.clone());
                    changed.push(row);
                }
                tracker.update(changed).unwrap();
                let fresh = evaluate(&spec, &grid, &rows).unwrap();
                prop_assert_eq!(format!("{:#?}", tracker.evaluation()), format!("{:#?}", fresh));
            }
        }
    }
}
