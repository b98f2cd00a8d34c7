//! How a changed spec differs from the one that a run directory was made with: which points and
//! seeds are new, which are gone, and what is kept. The user sees this before anything runs under
//! the changed spec.

use std::collections::{BTreeMap, HashSet};

use crate::grid::{Grid, PointId};
use crate::spec::Spec;
use crate::text::count;

/// The difference between two specs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecChanges {
    /// Per arm, in the order of the new file and then of the old: points added, removed and kept.
    pub arms: Vec<ArmChange>,
    /// Tuning seeds added and removed.
    pub tune_seeds: (Vec<u64>, Vec<u64>),
    /// Final seeds added and removed.
    pub final_seeds: (Vec<u64>, Vec<u64>),
    /// Other changes that can alter what runs or what is selected, in words.
    pub others: Vec<String>,
}

/// How one arm's points differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmChange {
    /// The arm's name.
    pub arm: String,
    /// Points only in the new spec.
    pub added: u64,
    /// Points only in the old spec.
    pub removed: u64,
    /// Points in both.
    pub kept: u64,
}

impl SpecChanges {
    /// Compares an old spec with a new one.
    pub fn between(old: &Spec, new: &Spec) -> Self {
        let points = |spec: &Spec| -> BTreeMap<String, HashSet<PointId>> {
            let grid = Grid::new(spec);
            grid.arms()
                .iter()
                .map(|arm| (arm.arm().name.clone(), arm.ids().collect()))
                .collect()
        };
        let (before, after) = (points(old), points(new));
        let mut names: Vec<&String> = new.arms.iter().map(|arm| &arm.name).collect();
        names.extend(
            old.arms
                .iter()
                .map(|arm| &arm.name)
                .filter(|name| !after.contains_key(*name)),
        );
        let none = HashSet::new();
        let arms = names
            .into_iter()
            .map(|name| {
                let (was, is) = (
                    before.get(name).unwrap_or(&none),
                    after.get(name).unwrap_or(&none),
                );
                let kept = was.intersection(is).count() as u64;
                ArmChange {
                    arm: name.clone(),
                    added: is.len() as u64 - kept,
                    removed: was.len() as u64 - kept,
                    kept,
                }
            })
            .collect();
        let mut others = Vec::new();
        if old.metric != new.metric {
            others.push(format!(
                "metric: {} {} instead of {} {}",
                new.metric.goal.name(),
                new.metric.name,
                old.metric.goal.name(),
                old.metric.name
            ));
        }
        if old.task != new.task {
            others.push(format!("who trains: {} instead of {}", new.task, old.task));
        }
        if old.name != new.name {
            others.push(format!("name: {} instead of {}", new.name, old.name));
        }
        Self {
            arms,
            tune_seeds: seed_changes(&old.seeds.tune, &new.seeds.tune),
            final_seeds: seed_changes(&old.seeds.final_, &new.seeds.final_),
            others,
        }
    }

    /// Whether what runs and what is selected stays the same: only texts, labels, published figures
    /// or claims differ.
    pub fn is_cosmetic(&self) -> bool {
        let no_seeds =
            |(added, removed): &(Vec<u64>, Vec<u64>)| added.is_empty() && removed.is_empty();
        self.others.is_empty()
            && no_seeds(&self.tune_seeds)
            && no_seeds(&self.final_seeds)
            && self
                .arms
                .iter()
                .all(|arm| arm.added == 0 && arm.removed == 0)
    }

    /// One line for each thing that changed; where points come or go, also what each arm keeps.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let same_points = self
            .arms
            .iter()
            .all(|arm| arm.added == 0 && arm.removed == 0);
        for arm in self.arms.iter().filter(|_| !same_points) {
            let parts: Vec<String> = [
                (arm.added, "added"),
                (arm.removed, "removed"),
                (arm.kept, "kept"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(points, what)| format!("{} {what}", count(points, "point")))
            .collect();
            lines.push(format!("arm {}: {}", arm.arm, parts.join(", ")));
        }
        for (what, (added, removed)) in [("tuning", &self.tune_seeds), ("final", &self.final_seeds)]
        {
            let list = |seeds: &[u64]| {
                seeds
                    .iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            if !added.is_empty() {
                lines.push(format!("{what} seeds added: {}", list(added)));
            }
            if !removed.is_empty() {
                lines.push(format!("{what} seeds removed: {}", list(removed)));
            }
        }
        lines.extend(self.others.iter().cloned());
        lines
    }
}

fn seed_changes(old: &[u64], new: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let only = |these: &[u64], not: &[u64]| {
        these
            .iter()
            .copied()
            .filter(|seed| !not.contains(seed))
            .collect()
    };
    (only(new, old), only(old, new))
}
