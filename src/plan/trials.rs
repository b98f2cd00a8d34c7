//! Trials in the order in which they run: seed-major (every point once before any point twice),
//! then grid order. A point that stands in several arms is run once.

use std::collections::{HashMap, HashSet};
use std::fmt;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::grid::{Grid, PointId, TrialId};
use crate::spec::Spec;

/// What a trial is for.
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
    /// What it is for.
    pub phase: Phase,
    /// Number of the arm, in the order of the file. For a point of several arms: the first of them.
    pub arm: usize,
    /// Number of the point within that arm.
    pub index: u64,
    /// The group of points that it has work in common with (`sharing`); trials of one group and
    /// seed gain by running in one bundle. None: it has none, or is to be computed by itself.
    pub group: Option<u32>,
}

/// The tuning trials of a grid.
pub fn tuning_trials(grid: &Grid, seeds: &[u64]) -> Vec<PlannedTrial> {
    let overlap = grid.arms_overlap();
    let mut seen = HashSet::new();
    let points: Vec<(PointId, usize, u64)> = grid
        .arms()
        .iter()
        .enumerate()
        .flat_map(|(arm, points)| {
            points
                .ids()
                .zip(0..)
                .map(move |(id, index)| (id, arm, index))
        })
        .filter(|(point, ..)| !overlap || seen.insert(*point))
        .collect();
    let trial = |seed, &(point, arm, index): &(PointId, usize, u64)| PlannedTrial {
        id: TrialId { point, seed },
        phase: Phase::Tune,
        arm,
        index,
        group: None,
    };
    seeds
        .iter()
        .flat_map(|&seed| points.iter().map(move |point| trial(seed, point)))
        .collect()
}

/// The final trials of the selected points, given as (number of the arm, number of the point within
/// it).
pub fn final_trials(grid: &Grid, selected: &[(usize, u64)], seeds: &[u64]) -> Vec<PlannedTrial> {
    let mut seen = HashSet::new();
    let mut trials = Vec::with_capacity(selected.len() * seeds.len());
    for &seed in seeds {
        for &(arm, index) in selected {
            let id = TrialId {
                point: grid.arms()[arm].point(index).id,
                seed,
            };
            if seen.insert(id) {
                trials.push(PlannedTrial {
                    id,
                    phase: Phase::Final,
                    arm,
                    index,
                    group: None,
                });
            }
        }
    }
    trials
}

/// Every trial of a sweep whose selected points are these: the tuning trials, then the final ones.
pub fn all_trials(spec: &Spec, grid: &Grid, selected: &[(usize, u64)]) -> Vec<PlannedTrial> {
    let mut trials = tuning_trials(grid, &spec.seeds.tune);
    trials.extend(final_trials(grid, selected, &spec.seeds.final_));
    trials
}

/// Puts trials in an order drawn from a seed: with it, early results cover the whole grid. No
/// result depends on the order.
pub fn shuffle(trials: &mut [PlannedTrial], seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    for last in (1..trials.len()).rev() {
        // The bias of the remainder is below 2^-40 for any plan that validation lets through.
        trials.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// Puts trials of one group and seed side by side, at the place of the first of them. The others
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
    use crate::spec::{Arm, Axis, Goal, Metric, ParamValue, Seeds, Shape, Spec, Task};
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
            task: Task::MnistResnet18,
            metric: Metric {
                name: "m".into(),
                goal: Goal::Maximize,
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
            prune: Default::default(),
        })
    }

    #[test]
    fn every_point_comes_once_before_any_comes_twice() {
        let order: Vec<_> = tuning_trials(&grid(&[&[1, 2], &[7]]), &[0, 5])
            .iter()
            .map(|trial| (trial.id.seed, trial.arm, trial.index))
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
                .map(|trial| (trial.arm, trial.index))
                .collect::<Vec<_>>(),
            [(0, 0), (0, 1), (1, 1)]
        );
        let finals = final_trials(&grid(&[&[1, 2], &[2, 3]]), &[(0, 1), (1, 0)], &[1000, 1001]);
        assert_eq!(finals.len(), 2);
    }

    proptest! {
        #[test]
        fn a_shuffle_keeps_every_trial_and_repeats_itself(n in 1_i64..40, seed: u64) {
            let values: Vec<_> = (0..n).collect();
            let plan = tuning_trials(&grid(&[&values]), &[0, 1]);
            let (mut once, mut again) = (plan.clone(), plan.clone());
            shuffle(&mut once, seed);
            shuffle(&mut again, seed);
            prop_assert_eq!(&once, &again);
            once.sort_by_key(|trial| (trial.id.seed, trial.index));
            prop_assert_eq!(once, plan);
        }

        #[test]
        fn gathering_loses_and_doubles_no_trial_and_leaves_no_gap(n in 1_i64..40, kinds in 1_u64..6, seed: u64) {
            let values: Vec<_> = (0..n).collect();
            let mut plan = tuning_trials(&grid(&[&values]), &[0, 1]);
            shuffle(&mut plan, seed);
            // Every kind but the first is a group.
            plan.iter_mut().for_each(|trial| trial.group = Some((trial.index % kinds) as u32).filter(|kind| *kind > 0));
            let mut gathered = plan.clone();
            gather(&mut gathered);
            let keys: Vec<_> = gathered.iter().filter_map(|trial| Some((trial.id.seed, trial.group?))).collect();
            let mut ended = HashSet::new();
            for pair in keys.windows(2).filter(|pair| pair[0] != pair[1]) {
                ended.insert(pair[0]);
                prop_assert!(!ended.contains(&pair[1]), "{:?} comes in two parts", pair[1]);
            }
            let lone = |plan: &[PlannedTrial]| plan.iter().filter(|trial| trial.group.is_none()).copied().collect::<Vec<_>>();
            prop_assert_eq!(lone(&gathered), lone(&plan));
            prop_assert_eq!(gathered.first(), plan.first());
            let ids = |plan: &[PlannedTrial]| plan.iter().map(|trial| trial.id).collect::<HashSet<_>>();
            prop_assert_eq!(gathered.len(), plan.len());
            prop_assert_eq!(ids(&gathered), ids(&plan));
        }

        #[test]
        fn a_new_value_or_seed_adds_trials_and_moves_none(n in 1_i64..8, seeds in 1_u64..5) {
            let before = tuning_trials(&grid(&[&(0..n).collect::<Vec<_>>()]), &(0..seeds).collect::<Vec<_>>());
            let after = tuning_trials(&grid(&[&(0..=n).collect::<Vec<_>>()]), &(0..=seeds).collect::<Vec<_>>());
            let ids: HashSet<_> = after.iter().map(|trial| trial.id).collect();
            prop_assert!(before.iter().all(|trial| ids.contains(&trial.id)));
            prop_assert_eq!(after.len() as i64, (n + 1) * (seeds as i64 + 1));
        }
    }
}
