//! The points of a sweep in grid order: the arms as in the file, within an arm the grids of its
//! union, within a grid the last parameter fastest, as in nested loops.

use std::ops::Index;

use super::arm::ArmGrid;
use super::index::ArmIndex;
use crate::spec::Spec;

/// All the points of a sweep.
#[derive(Clone, Debug)]
pub struct Grid {
    arms: Vec<ArmGrid>,
}

impl Grid {
    /// Creates the grid of a valid spec (validation has bounded its number of points).
    pub fn new(spec: &Spec) -> Self {
        Self {
            arms: spec.arms.iter().cloned().map(ArmGrid::new).collect(),
        }
    }

    /// The arms' grids, in the order of the file.
    pub fn arms(&self) -> &[ArmGrid] {
        &self.arms
    }

    /// The arms' grids with their numbers, in the order of the file.
    pub fn numbered_arms(&self) -> impl ExactSizeIterator<Item = (ArmIndex, &ArmGrid)> {
        self.arms
            .iter()
            .enumerate()
            .map(|(number, arm)| (ArmIndex(number), arm))
    }

    /// Number of points of all arms; a point of several arms counts in each.
    pub fn len(&self) -> u64 {
        self.arms.iter().map(ArmGrid::len).sum()
    }

    /// Whether there are no points: never, for a valid spec.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a point stands in more than one arm. Computed from the values alone, without
    /// expanding the grids.
    pub fn arms_overlap(&self) -> bool {
        self.arms.iter().enumerate().any(|(number, arm)| {
            self.arms[number + 1..]
                .iter()
                .any(|later| arm.overlaps(later))
        })
    }
}

impl Index<ArmIndex> for Grid {
    type Output = ArmGrid;

    fn index(&self, arm: ArmIndex) -> &ArmGrid {
        &self.arms[arm.0]
    }
}
