//! Names of trials for people: the arm's label, and the values that distinguish the point from the
//! others of its arm.

use crate::grid::{ArmIndex, Grid, PointIndex};
use crate::plan::PlannedTrial;
use crate::printable::escaped;
use crate::spec::Spec;

/// Labels and values of the trials of a sweep.
#[derive(Clone, Debug)]
pub struct Names {
    grid: Grid,
    /// The metric that is shown for each trial.
    pub metric: String,
}

impl Names {
    /// Returns the names of a sweep.
    pub fn new(spec: &Spec, grid: &Grid) -> Self {
        Self {
            grid: grid.clone(),
            metric: spec.metric.name.clone(),
        }
    }

    /// The label of an arm.
    pub fn arm(&self, arm: ArmIndex) -> &str {
        &self.grid[arm].arm().label
    }

    /// The values that identify a point: `lr=0.01 momentum=0.9`.
    pub fn values(&self, trial: &PlannedTrial) -> String {
        self.values_at(trial.arm, trial.index)
    }

    /// The same for a point, by the index of its arm and its own index in the arm.
    pub fn values_at(&self, arm: ArmIndex, index: PointIndex) -> String {
        let points = &self.grid[arm];
        let config = points.config(index);
        let values: Vec<String> = points
            .searched()
            .filter_map(|name| {
                let value = config.get(name)?.to_string();
                Some(format!("{name}={}", escaped(&value)))
            })
            .collect();
        values.join(" ")
    }

    /// The full name of a trial: `Adam lr=0.001, seed 3`.
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
