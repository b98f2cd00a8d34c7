//! What a person calls a trial: its arm's label and the values that tell its point from the arm's
//! others.

use crate::grid::Grid;
use crate::plan::PlannedTrial;
use crate::printable::escaped;
use crate::spec::Spec;

/// Labels and values of a sweep.
#[derive(Clone, Debug)]
pub struct Names {
    grid: Grid,
    /// The metric that is shown of each trial.
    pub metric: String,
}

impl Names {
    /// The names of a sweep.
    pub fn new(spec: &Spec, grid: &Grid) -> Self {
        Self {
            grid: grid.clone(),
            metric: spec.metric.name.clone(),
        }
    }

    /// The label of an arm.
    pub fn arm(&self, arm: usize) -> &str {
        &self.grid.arms()[arm].arm().label
    }

    /// The values that a point is told by: `lr=0.01 momentum=0.9`.
    pub fn values(&self, trial: &PlannedTrial) -> String {
        self.values_at(trial.arm, trial.index)
    }

    /// The same of a point, by the numbers of its arm and of itself in it.
    pub fn values_at(&self, arm: usize, index: u64) -> String {
        let points = &self.grid.arms()[arm];
        let config = points.config(index);
        let value = |name| {
            config
                .get(name)
                .map(|value| format!("{name}={}", escaped(&value.to_string())))
        };
        points
            .searched()
            .filter_map(value)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Everything that tells a trial: `Adam lr=0.001, seed 3`.
    pub fn trial(&self, trial: &PlannedTrial) -> String {
        let values = self.values(trial);
        let space = if values.is_empty() { "" } else { " " };
        format!(
            "{}{space}{values}, seed {}",
            self.arm(trial.arm),
            trial.id.seed
        )
    }
}
