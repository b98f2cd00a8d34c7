//! How a changed sweep file differs from the one that a run directory was created with: which
//! points and seeds are new, which are gone, and what is kept. The user sees this before anything
//! runs under the changed file.

use std::collections::{BTreeMap, HashSet};

use crate::grid::{Grid, PointId};
use crate::spec::{Spec, Task};
use crate::text::count;

/// The difference between two specs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecChanges {
    /// Per arm, in the order of the new file and then of the old: points added, removed and kept.
    pub arms: Vec<ArmChange>,
    /// Changes of the tuning seeds.
    pub tune_seeds: SeedChange,
    /// Changes of the final seeds.
    pub final_seeds: SeedChange,
    /// The change of the metric, as a line for the user.
    pub metric: Option<String>,
    /// The change of the task, as a line for the user.
    pub task: Option<String>,
    /// The change of the sweep's name, as a line for the user.
    pub name: Option<String>,
    /// The change of `timed`, as a line for the user.
    pub timed: Option<String>,
}

/// How the points of one arm differ.
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

/// How the seeds of one phase differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeedChange {
    /// Seeds only in the new spec.
    pub added: Vec<u64>,
    /// Seeds only in the old spec.
    pub removed: Vec<u64>,
}

impl SpecChanges {
    /// Compares an old spec with a new one.
    pub fn between(old: &Spec, new: &Spec) -> Self {
        let metric =
            (old.metric != new.metric).then(|| format!("metric: {} → {}", old.metric, new.metric));
        let task = (old.task != new.task)
            .then(|| format!("task: {} → {}", task_text(old), task_text(new)));
        let name = (old.name != new.name).then(|| format!("name: {} → {}", old.name, new.name));

        let timed = (old.timed != new.timed).then(|| {
            format!(
                "timed: {} → {}",
                timed_text(old.timed),
                timed_text(new.timed)
            )
        });

        Self {
            arms: arm_changes(old, new),
            tune_seeds: SeedChange::between(&old.seeds.tune, &new.seeds.tune),
            final_seeds: SeedChange::between(&old.seeds.final_, &new.seeds.final_),
            metric,
            task,
            name,
            timed,
        }
    }

    /// Whether what runs and what is selected stays the same: only texts, labels, published figures
    /// or claims differ.
    pub fn is_cosmetic(&self) -> bool {
        self.metric.is_none()
            && self.task.is_none()
            && self.name.is_none()
            && self.timed.is_none()
            && self.tune_seeds.is_empty()
            && self.final_seeds.is_empty()
            && self.has_same_points()
    }

    /// One line for each thing that changed; where points come or go, also what each arm keeps.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.has_same_points() {
            lines.extend(self.arms.iter().map(ArmChange::line));
        }
        lines.extend(self.tune_seeds.lines("tuning"));
        lines.extend(self.final_seeds.lines("final"));
        let others = [&self.metric, &self.task, &self.name, &self.timed];
        lines.extend(others.into_iter().flatten().cloned());
        lines
    }

    fn has_same_points(&self) -> bool {
        self.arms
            .iter()
            .all(|arm| arm.added == 0 && arm.removed == 0)
    }
}

impl ArmChange {
    fn line(&self) -> String {
        let counts = [
            (self.added, "added"),
            (self.removed, "removed"),
            (self.kept, "kept"),
        ];
        let parts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(points, what)| format!("{} {what}", count(points, "point")))
            .collect();
        format!("arm {}: {}", self.arm, parts.join(", "))
    }
}

impl SeedChange {
    fn between(old: &[u64], new: &[u64]) -> Self {
        Self {
            added: missing_from(old, new),
            removed: missing_from(new, old),
        }
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    fn lines(&self, phase: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.added.is_empty() {
            lines.push(format!("{phase} seeds added: {}", joined(&self.added)));
        }
        if !self.removed.is_empty() {
            lines.push(format!("{phase} seeds removed: {}", joined(&self.removed)));
        }
        lines
    }
}

/// The seeds of `seeds` that `others` lacks.
fn missing_from(others: &[u64], seeds: &[u64]) -> Vec<u64> {
    seeds
        .iter()
        .copied()
        .filter(|seed| !others.contains(seed))
        .collect()
}

fn joined(seeds: &[u64]) -> String {
    let texts: Vec<String> = seeds.iter().map(u64::to_string).collect();
    texts.join(" ")
}

/// The arms of the new spec, then those that only the old one has.
fn arm_changes(old: &Spec, new: &Spec) -> Vec<ArmChange> {
    let before = points_by_arm(old);
    let after = points_by_arm(new);

    let mut names: Vec<&String> = new.arms.iter().map(|arm| &arm.name).collect();
    let gone = old
        .arms
        .iter()
        .map(|arm| &arm.name)
        .filter(|name| !after.contains_key(*name));
    names.extend(gone);

    let none = HashSet::new();
    names
        .into_iter()
        .map(|name| {
            let old_points = before.get(name).unwrap_or(&none);
            let new_points = after.get(name).unwrap_or(&none);
            let kept = old_points.intersection(new_points).count() as u64;
            ArmChange {
                arm: name.clone(),
                added: new_points.len() as u64 - kept,
                removed: old_points.len() as u64 - kept,
                kept,
            }
        })
        .collect()
}

fn points_by_arm(spec: &Spec) -> BTreeMap<String, HashSet<PointId>> {
    Grid::new(spec)
        .arms()
        .iter()
        .map(|arm| (arm.arm().name.clone(), arm.ids().collect()))
        .collect()
}

/// The task, with what decides how hyper-parameters are given to it.
fn task_text(spec: &Spec) -> String {
    let mut parts = vec![spec.task.to_string()];
    if let Task::Program(program) = &spec.task {
        parts.extend(program.settings());
    }
    parts.join(", ")
}

fn timed_text(timed: Option<bool>) -> &'static str {
    match timed {
        None => "by default",
        Some(true) => "true",
        Some(false) => "false",
    }
}
