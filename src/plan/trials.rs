//! Trials in the order in which they run: seed-major (every point once before any point twice),
//! then grid order. A point that stands in several arms runs once.

use std::collections::{HashMap, HashSet};
use std::fmt;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::grid::{ArmIndex, Grid, PointId, PointIndex, TrialId};
use crate::spec::Spec;

/// The purpose of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It takes part in the selection of its arm's best point.
    Tune,
    /// It re-evaluates a selected point on a fresh seed, alone on its device, and is timed.
    Final,
}

impl Phase {
    /// The name in the ledger and in tables of trials.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tune => "tune",
            Self::Final => "final",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tune => "tuning",
            Self::Final => "final",
        })
    }
}

/// One trial of the plan. Its configuration is computed from `arm` and `index` when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedTrial {
    /// The id.
    pub id: TrialId,
    /// Its purpose.
    pub phase: Phase,
    /// The arm. For a point of several arms, the first of them.
    pub arm: ArmIndex,
    /// The point within that arm.
    pub index: PointIndex,
    /// The group of points that have work in common (`sharing`). Trials of one group and seed are
    /// computed faster in one bundle. None if nothing is shared.
    pub group: Option<u32>,
}

/// A point of the grid: its id and where it stands.
struct PlacedPoint {
    id: PointId,
    arm: ArmIndex,
    index: PointIndex,
}

impl PlacedPoint {
    fn trial(&self, phase: Phase, seed: u64) -> PlannedTrial {
        PlannedTrial {
            id: TrialId {
                point: self.id,
                seed,
            },
            phase,
            arm: self.arm,
            index: self.index,
            group: None,
        }
    }
}

/// The tuning trials of a grid.
pub fn tuning_trials(grid: &Grid, seeds: &[u64]) -> Vec<PlannedTrial> {
    let overlap = grid.arms_overlap();
    let mut seen = HashSet::new();
    let mut points = Vec::new();

    for (arm, arm_grid) in grid.numbered_arms() {
        for (id, index) in arm_grid.ids().zip(arm_grid.indices()) {
            // Without an overlap every point is new, and the set of ids is not needed.
            if !overlap || seen.insert(id) {
                points.push(PlacedPoint { id, arm, index });
            }
        }
    }

    seeds
        .iter()
        .flat_map(|&seed| {
            points
                .iter()
                .map(move |point| point.trial(Phase::Tune, seed))
        })
        .collect()
}

/// The final trials of the selected points.
pub fn final_trials(
    grid: &Grid,
    selected: &[(ArmIndex, PointIndex)],
    seeds: &[u64],
) -> Vec<PlannedTrial> {
    let mut seen = HashSet::new();
    let mut trials = Vec::with_capacity(selected.len() * seeds.len());

    for &seed in seeds {
        for &(arm, index) in selected {
            let point = PlacedPoint {
                id: grid[arm].point(index).id,
                arm,
                index,
            };
            let trial = point.trial(Phase::Final, seed);
            // Two arms may have selected the same point.
            if seen.insert(trial.id) {
                trials.push(trial);
            }
        }
    }
    trials
}

/// All trials of a sweep with these selected points: the tuning trials, then the final ones.
pub fn all_trials(
    spec: &Spec,
    grid: &Grid,
    selected: &[(ArmIndex, PointIndex)],
) -> Vec<PlannedTrial> {
    let mut trials = tuning_trials(grid, &spec.seeds.tune);
    trials.extend(final_trials(grid, selected, &spec.seeds.final_));
    trials
}

/// Shuffles trials by a seed, so that early results cover the whole grid. No result depends on the
/// order.
pub fn shuffle(trials: &mut [PlannedTrial], seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    for last in (1..trials.len()).rev() {
        // The bias of the remainder is below 2^-40 for any plan that validation lets through.
        trials.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// Moves trials of one group and seed together, to the place of the first of them. The other trials
/// keep their order.
pub fn gather(trials: &mut Vec<PlannedTrial>) {
    let mut firsts: HashMap<(u64, u32), usize> = HashMap::new();
    let mut keyed: Vec<(usize, PlannedTrial)> = Vec::with_capacity(trials.len());
    for (place, trial) in trials.drain(..).enumerate() {
        let first = trial.group.map_or(place, |group| {
            *firsts.entry((trial.id.seed, group)).or_insert(place)
        });
        keyed.push((first, trial));
    }

    keyed.sort_by_key(|(first, _)| *first);
    trials.extend(keyed.into_iter().map(|(_, trial)| trial));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Arm, At, Axis, Goal, Metric, ParamValue, Seeds, Shape, Spec, Task};
    use proptest::prelude::*;

    fn grid(sizes: &[&[i64]]) -> Grid {
        let arms = sizes
            .iter()
            .enumerate()
            .map(|(number, values)| Arm {
                name: format!("arm{number}"),
                label: format!("Arm {number}"),
                axes: vec![Axis {
                    name: "x".into(),
                    values: values.iter().copied().map(ParamValue::Int).collect(),
                }],
                shape: Shape::default(),
            })
            .collect();
        Grid::new(&Spec {
            name: "t".into(),
            description: None,
            task: Task::BuiltIn(&crate::tasks::MNIST_RESNET18),
            metric: Metric {
                name: "m".into(),
                goal: Goal::Maximize,
                at: At::Last,
            },
            seeds: Seeds {
                tune: vec![],
                final_: vec![],
            },
            arms,
            resources: Default::default(),
            arm_resources: Vec::new(),
            env: Vec::new(),
            workdir: None,
            launcher: Default::default(),
            limits: crate::spec::Limits::default(),
            affinity: Vec::new(),
            published: Default::default(),
            claims: Vec::new(),
            timed: None,
            remarks: Vec::new(),
            prune: Default::default(),
            sources: Vec::new(),
        })
    }

    #[test]
    fn every_point_comes_once_before_any_comes_twice() {
        let order: Vec<_> = tuning_trials(&grid(&[&[1, 2], &[7]]), &[0, 5])
            .iter()
            .map(|trial| (trial.id.seed, trial.arm.0, trial.index.0))
            .collect();
        assert_eq!(
            order,
            [
                (0, 0, 0),
                (0, 0, 1),
                (0, 1, 0),
                (5, 0, 0),
                (5, 0, 1),
                (5, 1, 0)
            ]
        );
    }

    #[test]
    fn a_point_of_two_arms_runs_once() {
        let trials = tuning_trials(&grid(&[&[1, 2], &[2, 3]]), &[0]);
        assert_eq!(
            trials
                .iter()
                .map(|trial| (trial.arm.0, trial.index.0))
                .collect::<Vec<_>>(),
            [(0, 0), (0, 1), (1, 1)]
        );

        let selected = [(ArmIndex(0), PointIndex(1)), (ArmIndex(1), PointIndex(0))];
        let finals = final_trials(&grid(&[&[1, 2], &[2, 3]]), &selected, &[1000, 1001]);
        assert_eq!(finals.len(), 2);
    }

    /// The tuning trials of a grid of `points` points with `seeds` seeds.
    fn plan(points: i64, seeds: u64) -> Vec<PlannedTrial> {
        let values: Vec<i64> = (0..points).collect();
        let seeds: Vec<u64> = (0..seeds).collect();
        tuning_trials(&grid(&[&values]), &seeds)
    }

    fn ids(plan: &[PlannedTrial]) -> HashSet<TrialId> {
        plan.iter().map(|trial| trial.id).collect()
    }

    fn ungrouped(plan: &[PlannedTrial]) -> Vec<PlannedTrial> {
        let trials = plan.iter().filter(|trial| trial.group.is_none());
        trials.copied().collect()
    }

    proptest! {
        #[test]
        fn a_shuffle_keeps_every_trial_and_repeats_itself(n in 1_i64..40, seed: u64) {
            let plan = plan(n, 2);
            let mut once = plan.clone();
            let mut again = plan.clone();
            shuffle(&mut once, seed);
            shuffle(&mut again, seed);
            prop_assert_eq!(&once, &again);
            once.sort_by_key(|trial| (trial.id.seed, trial.index));
            prop_assert_eq!(once, plan);
        }

        #[test]
        fn gathering_keeps_every_trial_once_and_leaves_no_gap(
            n in 1_i64..40,
            kinds in 1_u64..6,
            seed: u64,
        ) {
            let mut plan = plan(n, 2);
            shuffle(&mut plan, seed);
            for trial in &mut plan {
                // Every kind but the first is a group.
                let kind = (trial.index.0 % kinds) as u32;
                trial.group = (kind > 0).then_some(kind);
            }
            let mut gathered = plan.clone();
            gather(&mut gathered);

            let keys: Vec<(u64, u32)> = gathered
                .iter()
                .filter_map(|trial| Some((trial.id.seed, trial.group?)))
                .collect();
            let mut ended = HashSet::new();
            for pair in keys.windows(2).filter(|pair| pair[0] != pair[1]) {
                ended.insert(pair[0]);
                prop_assert!(!ended.contains(&pair[1]), "{:?} is in two places", pair[1]);
            }

            prop_assert_eq!(ungrouped(&gathered), ungrouped(&plan));
            prop_assert_eq!(gathered.first(), plan.first());
            prop_assert_eq!(gathered.len(), plan.len());
            prop_assert_eq!(ids(&gathered), ids(&plan));
        }

        #[test]
        fn a_new_value_or_seed_adds_trials_and_moves_none(n in 1_i64..8, seeds in 1_u64..5) {
            let before = plan(n, seeds);
            let after = plan(n + 1, seeds + 1);
            prop_assert!(ids(&before).is_subset(&ids(&after)));
            prop_assert_eq!(after.len() as i64, (n + 1) * (seeds as i64 + 1));
        }
    }
}
