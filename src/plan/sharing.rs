//! Points whose trials have work in common, as the task declares it (`spec/affinity.rs`): the
//! scheduler hands such trials out together, and `pentagrid plan` says what that may save. Pure
//! arithmetic on the grid.

use std::collections::{HashMap, HashSet};

use super::PlannedTrial;
use crate::grid::{ArmIndex, Grid, PointIndex, TrialId};
use crate::spec::{Config, Spec};

/// The groups of a grid's points. Only points that have others to share with are in one.
#[derive(Debug, Default)]
pub struct Groups {
    /// By arm and point; arms without any group have an empty list.
    group_of: Vec<Vec<Option<u32>>>,
    bounds: Bounds,
}

/// What sharing can save for one seed, before anything has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Points in groups.
    pub points: u64,
    /// Groups: the number of different trials if all trials of each group turn out alike.
    pub groups: u64,
    /// Epochs of the points in groups, each counted by itself; None where the task has no epochs.
    pub epochs: Option<Epochs>,
}

/// Epochs of the points in groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Each trial by itself.
    pub nominal: u64,
    /// If no trial ever leaves its group.
    pub least: u64,
    /// If every threshold is crossed, and those of one second phase at different epochs, from the
    /// first on.
    pub most: u64,
}

impl Epochs {
    fn add(self, other: Self) -> Self {
        Self {
            nominal: self.nominal + other.nominal,
            least: self.least + other.least,
            most: self.most + other.most,
        }
    }
}

/// What a result took from other trials of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The trial that it is the same as, if it was not computed at all.
    pub same_as: Option<TrialId>,
    /// Epochs that were computed for another trial.
    pub epochs: u32,
}

/// A group while the grid is being read.
#[derive(Default)]
struct Group {
    members: Vec<(ArmIndex, PointIndex)>,
    epochs: Option<u32>,
    /// For each second phase, the number of thresholds that it is tried with.
    thresholds: HashMap<String, u32>,
}

impl Group {
    fn add(&mut self, spec: &Spec, config: &Config, arm: ArmIndex, index: PointIndex) {
        self.members.push((arm, index));
        self.epochs = spec.epochs(config);
        if let Some(phase) = spec.second_phase(config) {
            *self.thresholds.entry(phase).or_default() += 1;
        }
    }

    /// None where the task has no epochs.
    fn epochs(&self) -> Option<Epochs> {
        let epochs = u64::from(self.epochs?);
        let nominal = self.members.len() as u64 * epochs;
        let most = epochs
            + self
                .thresholds
                .values()
                .map(|thresholds| branch_epochs(epochs, *thresholds))
                .sum::<u64>();

        Some(Epochs {
            nominal,
            least: epochs,
            most: most.min(nominal),
        })
    }
}

/// Maximum number of epochs after the branches of one second phase: at most one branches off after
/// each epoch, and trains the epochs that are left.
fn branch_epochs(epochs: u64, thresholds: u32) -> u64 {
    (1..=u64::from(thresholds))
        .map(|branch| epochs.saturating_sub(branch))
        .sum()
}

impl Groups {
    /// Finds the groups of a grid.
    pub fn of(spec: &Spec, grid: &Grid) -> Self {
        let groups = find_groups(spec, grid);

        let mut group_of: Vec<Vec<Option<u32>>> = vec![Vec::new(); grid.arms().len()];
        for (number, group) in groups.iter().enumerate() {
            for &(arm, index) in &group.members {
                let arm_groups = &mut group_of[arm.0];
                if arm_groups.is_empty() {
                    let points = usize::try_from(grid[arm].len()).unwrap_or(usize::MAX);
                    *arm_groups = vec![None; points];
                }
                arm_groups[index.0 as usize] = u32::try_from(number).ok();
            }
        }

        Self {
            group_of,
            bounds: Bounds::of(&groups),
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

    /// Sets the group of each trial.
    pub fn mark(&self, trials: &mut [PlannedTrial]) {
        for trial in trials {
            trial.group = self.group_of[trial.arm.0]
                .get(trial.index.0 as usize)
                .copied()
                .flatten();
        }
    }
}

fn find_groups(spec: &Spec, grid: &Grid) -> Vec<Group> {
    // The walk over a large grid is slow, and often not needed.
    if !spec.has_affinities() {
        return Vec::new();
    }

    let overlap = grid.arms_overlap();
    let mut seen = HashSet::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (arm, arm_grid) in grid.numbered_arms() {
        for index in arm_grid.indices() {
            let config = arm_grid.config(index);
            let Some(key) = spec.affinity(&config) else {
                continue;
            };
            // A point of several arms runs once, as the first arm's.
            if overlap && !seen.insert(config.canonical()) {
                continue;
            }

            let number = *numbers.entry(key).or_insert(groups.len());
            if number == groups.len() {
                groups.push(Group::default());
            }
            groups[number].add(spec, &config, arm, index);
        }
    }

    groups.retain(|group| group.members.len() > 1);
    groups
}

impl Bounds {
    fn of(groups: &[Group]) -> Self {
        let epochs: Option<Vec<Epochs>> = groups.iter().map(Group::epochs).collect();
        Self {
            points: groups.iter().map(|group| group.members.len() as u64).sum(),
            groups: groups.len() as u64,
            epochs: epochs.and_then(|all| all.into_iter().reduce(Epochs::add)),
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
    fn hybrid_trials_are_grouped_by_their_first_phase_and_loners_are_in_no_group() {
        let text = format!(
            "{HEAD}seeds: {{tune: 2, final: 0}}\nparameters: {{epochs: {{value: 4}}}}\narms:\n  \
             sgd: {{parameters: {{optimizer: {{value: sgd}}, lr: {{values: [0.1, 0.2]}}}}}}\n  \
             m: {{parameters: {{optimizer: {{value: sgd_momentum}}, lr: {{values: [0.1, 0.3]}}, momentum: {{value: 0.9}}}}}}\n  \
             h: {{parameters: {{optimizer: {{value: hybrid}}, lr1: {{values: [0.1, 0.2]}}, lr2: {{value: 0.1}}, \
             tl: {{values: [1, 2, 3, 4, 5]}}, momentum: {{value: 0.9}}}}}}\n"
        );
        let (groups, of) = of(&text);
        let first = Some(0);
        let second = Some(1);
        let seed = [
            None, None, first, None, first, first, first, first, first, second, second, second,
            second, second,
        ];
        assert_eq!(of, [seed, seed].concat());
        // Each first phase is four epochs; thresholds crossed after 1, 2, 3 and 4 leave 3, 2, 1 and
        // 0 to train.
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

    /// docs/benchmarks.md and the README quote these numbers.
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
