//! How many trials are left of a sweep, by arm.

use crate::aggregate::Evaluation;
use crate::grid::Grid;
use crate::spec::Spec;

/// Numbers of trials that still have to run, by arm.
pub(super) struct TrialsLeft {
    pub tune: Vec<u64>,
    pub finals: Vec<u64>,
}

impl TrialsLeft {
    /// All trials of a sweep that has not started.
    pub(crate) fn of_all(spec: &Spec, grid: &Grid) -> Self {
        let seeds = spec.seeds.tune.len() as u64;
        Self {
            tune: grid.arms().iter().map(|arm| arm.len() * seeds).collect(),
            finals: vec![spec.seeds.final_.len() as u64; grid.arms().len()],
        }
    }

    /// The trials that are left of a sweep that has started. While tuning trials are left, the
    /// selected points are not known, so all final trials count.
    pub(crate) fn of_unfinished(spec: &Spec, grid: &Grid, evaluation: &Evaluation) -> Self {
        let mut left = Self::of_all(spec, grid);
        left.tune = evaluation
            .arms
            .iter()
            .map(|arm| arm.tune_tally.left())
            .collect();

        if left.tune() == 0 {
            left.finals = evaluation
                .arms
                .iter()
                .map(|arm| arm.final_tally.left())
                .collect();
        }
        left
    }

    pub(crate) fn tune(&self) -> u64 {
        self.tune.iter().sum()
    }

    pub(crate) fn finals(&self) -> u64 {
        self.finals.iter().sum()
    }
}
