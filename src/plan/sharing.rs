//! Points whose trials have work in common, as the task says (`spec/affinity.rs`): the scheduler
//! hands such trials out together, and `pentagrid plan` says what that may save. Pure arithmetic on
//! the grid.

use std::collections::{HashMap, HashSet};

use super::PlannedTrial;
use crate::grid::{Grid, TrialId};
use crate::spec::Spec;

/// The groups of a grid's points. Only a point that has others to share with is in one.
#[derive(Debug, Default)]
pub struct Groups {
    /// By arm and number of the point; arms without any group have an empty list.
    of: Vec<Vec<Option<u32>>>,
    bounds: Bounds,
}

/// What sharing can save for one seed, before anything has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Points in groups.
    pub points: u64,
    /// Groups: if all of a group's trials turn out alike, so many different trials are left.
    pub groups: u64,
    /// Epochs of the points in groups, each counted by itself; None where the task has no epochs.
    pub epochs: Option<Epochs>,
}

/// Epochs of the points in groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Each trial by itself.
    pub nominal: u64,
    /// If no trial ever parts from its group.
    pub least: u64,
    /// If every threshold is crossed, and those of one second phase at different epochs, from the
    /// first on.
    pub most: u64,
}

/// What a result took from other trials of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The trial that it is the same as, if it was not computed at all.
    pub same_as: Option<TrialId>,
    /// Epochs that were computed for another trial.
    pub epochs: u32,
}

/// What is known of a group while the grid is gone through.
#[derive(Default)]
struct Group {
    members: Vec<(usize, usize)>,
    epochs: Option<u32>,
    /// How many thresholds each second phase is tried with.
    phases: HashMap<String, u32>,
}

impl Groups {
    /// The groups of a grid.
    pub fn of(spec: &Spec, grid: &Grid) -> Self {
        let mut found: Vec<Group> = Vec::new();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let (overlap, mut seen) = (grid.arms_overlap(), HashSet::new());
        // A big grid need not be gone through for nothing.
        let arms = if spec.has_affinities() {
            grid.arms()
        } else {
            &[]
        };
        for (number, arm) in arms.iter().enumerate() {
            for index in 0..arm.len() {
                let config = arm.config(index);
                let Some(key) = spec.affinity(&config) else {
                    continue;
                };
                // A point of several arms runs once, as the first arm's.
                if overlap && !seen.insert(config.canonical()) {
                    continue;
                }
                let group = *numbers.entry(key).or_insert(found.len());
                if group == found.len() {
                    found.push(Group::default());
                }
                found[group].members.push((number, index as usize));
                found[group].epochs = spec.epochs(&config);
                if let Some(phase) = spec.second_phase(&config) {
                    *found[group].phases.entry(phase).or_default() += 1;
                }
            }
        }
        found.retain(|group| group.members.len() > 1);
        let mut of: Vec<Vec<Option<u32>>> = vec![Vec::new(); grid.arms().len()];
        for (number, group) in found.iter().enumerate() {
            for &(arm, index) in &group.members {
                if of[arm].is_empty() {
                    of[arm] =
                        vec![None; usize::try_from(grid.arms()[arm].len()).unwrap_or(usize::MAX)];
                }
                of[arm][index] = u32::try_from(number).ok();
            }
        }
        Self {
            of,
            bounds: Bounds::of(&found),
        }
    }

    /// Whether no trial has anything to share.
    pub fn is_empty(&self) -> bool {
        self.bounds.groups == 0
    }

    /// What sharing can save for one seed.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Tells the trials which group they are of.
    pub fn mark(&self, trials: &mut [PlannedTrial]) {
        for trial in trials {
            trial.group = self.of[trial.arm]
                .get(trial.index as usize)
                .copied()
                .flatten();
        }
    }
}

impl Bounds {
    fn of(groups: &[Group]) -> Self {
        let points = |group: &Group| group.members.len() as u64;
        let epochs = |group: &Group| {
            let epochs = u64::from(group.epochs?);
            // One second phase parts at most once after each epoch, and trains what is left.
            let branches = |thresholds: &u32| {
                (1..=u64::from(*thresholds))
                    .map(|at| epochs.saturating_sub(at))
                    .sum::<u64>()
            };
            let nominal = points(group) * epochs;
            let most = epochs + group.phases.values().map(branches).sum::<u64>();
            Some(Epochs {
                nominal,
                least: epochs,
                most: most.min(nominal),
            })
        };
        let sum = |sum: Epochs, next: Epochs| Epochs {
            nominal: sum.nominal + next.nominal,
            least: sum.least + next.least,
            most: sum.most + next.most,
        };
        Self {
            points: groups.iter().map(points).sum(),
            groups: groups.len() as u64,
            epochs: groups
                .iter()
                .map(epochs)
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.into_iter().reduce(sum)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tuning_trials;

    fn of(text: &str) -> (Groups, Vec<Option<u32>>) {
        let spec = crate::spec::read(text, "t.yaml").unwrap();
        let grid = Grid::new(&spec);
        let groups = Groups::of(&spec, &grid);
        let mut trials = tuning_trials(&grid, &spec.seeds.tune);
        groups.mark(&mut trials);
        (groups, trials.iter().map(|trial| trial.group).collect())
    }

    const HEAD: &str =
        "name: t\ntask: mnist-resnet18\nmetric: {name: val_accuracy, goal: maximize}\n";

    #[test]
    fn hybrid_trials_go_with_their_beginning_and_loners_with_nobody() {
        let text = format!(
            "{HEAD}seeds: {{tune: 2, final: 0}}\nparameters: {{epochs: {{value: 4}}}}\narms:\n  \
             sgd: {{parameters: {{optimizer: {{value: sgd}}, lr: {{values: [0.1, 0.2]}}}}}}\n  \
             m: {{parameters: {{optimizer: {{value: sgd_momentum}}, lr: {{values: [0.1, 0.3]}}, momentum: {{value: 0.9}}}}}}\n  \
             h: {{parameters: {{optimizer: {{value: hybrid}}, lr1: {{values: [0.1, 0.2]}}, lr2: {{value: 0.1}}, \
             tl: {{values: [1, 2, 3, 4, 5]}}, momentum: {{value: 0.9}}}}}}\n"
        );
        let (groups, of) = of(&text);
        let (first, second) = (Some(0), Some(1));
        let seed = [
            None, None, first, None, first, first, first, first, first, second, second, second,
            second, second,
        ];
        assert_eq!(of, [seed, seed].concat());
        // Each beginning is four epochs; thresholds crossed after 1, 2, 3 and 4 leave 3, 2, 1 and 0
        // to train.
        let epochs = Epochs {
            nominal: 11 * 4,
            least: 2 * 4,
            most: 2 * (4 + 3 + 2 + 1),
        };
        assert_eq!(
            groups.bounds(),
            Bounds {
                points: 11,
                groups: 2,
                epochs: Some(epochs)
            }
        );
    }

    /// docs/benchmarks.md and the README quote these.
    #[test]
    fn the_papers_grid() {
        let (groups, of) = of(include_str!("../../sweeps/paper.yaml"));
        let bounds = groups.bounds();
        assert_eq!((bounds.points, bounds.groups), (15_650, 25));
        assert_eq!(of.iter().flatten().count(), 5 * 15_650);
        let epochs = bounds.epochs.unwrap();
        assert_eq!(epochs.nominal, 15_650 * 15);
        assert_eq!(epochs.most, 25 * (15 + 125 * (14 + 13 + 12 + 11 + 10)));
    }

    #[test]
    fn without_affinity_there_are_no_groups() {
        let (groups, of) = of(&format!(
            "{HEAD}seeds: {{tune: 1, final: 0}}\nparameters: {{optimizer: {{value: sgd_momentum}}, momentum: {{value: 0.9}}, lr: {{values: [0.1, 0.3]}}}}\n"
        ));
        assert!(groups.is_empty());
        assert_eq!(of, [None, None]);
        assert_eq!(groups.bounds(), Bounds::default());
    }
}
