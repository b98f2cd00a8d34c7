//! Puts the points of a grid's regions in the order of nested loops, the last dimension fastest,
//! with random access: it descends the dimensions and counts, by multiplication, how many points
//! lie below each setting.
//!
//! Points that lack a parameter come before those that have it. This shows only where a parameter
//! stands in the file before the one that its condition names; elsewhere each round of the outer
//! loops has either the one or the other.

use crate::spec::{Region, Side, Subgrid};

/// A grid with the counts that are needed to find its points.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    grid: Subgrid,
    /// By region and dimension: number of combinations of all later dimensions.
    below: Vec<Vec<u64>>,
    len: u64,
}

impl Ordered {
    pub(super) fn new(grid: Subgrid) -> Self {
        let below: Vec<Vec<u64>> = grid.regions.iter().map(combinations_below).collect();

        let len = grid
            .regions
            .iter()
            .zip(&below)
            .map(|(region, below)| match region.sides.first() {
                Some(side) => side.len() as u64 * below[0],
                None => 1,
            })
            .sum();

        Self { grid, below, len }
    }

    pub(super) fn grid(&self) -> &Subgrid {
        &self.grid
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Writes to `values`, for each axis, the number of the value that a point has on it; None
    /// where the point lacks the parameter. `values` is as long as there are axes, and all None.
    ///
    /// # Panics
    /// If there is no such point.
    pub(super) fn write_values(&self, point: u64, values: &mut [Option<usize>]) {
        assert!(
            point < self.len,
            "point {point} of a grid with {} points",
            self.len
        );

        // Most grids have one region: then there are no others to rule out, and no list is made.
        let mut regions: Vec<usize> = if self.grid.regions.len() == 1 {
            Vec::new()
        } else {
            (0..self.grid.regions.len()).collect()
        };

        let mut rest = point;
        for (number, dimension) in self.grid.dimensions.iter().enumerate() {
            let only_region = match regions.as_slice() {
                [] => Some(0),
                [only] => Some(*only),
                _ => None,
            };
            let setting = match only_region {
                Some(region) => {
                    let below = self.below[region][number];
                    let place = (rest / below) as usize;
                    rest %= below;
                    match &self.grid.regions[region].sides[number] {
                        Side::Absent => None,
                        Side::Settings(settings) => Some(settings[place]),
                    }
                }
                None => {
                    let found = self.descend(&regions, number, rest);
                    rest -= found.points_before;
                    regions.retain(|region| {
                        holds(&self.grid.regions[*region].sides[number], found.setting)
                    });
                    found.setting
                }
            };

            let Some(setting) = setting else { continue };
            let numbers = &dimension.settings[setting as usize];
            for (axis, value) in dimension.axes.iter().zip(numbers) {
                values[*axis] = Some(*value);
            }
        }
    }

    /// Finds the setting of a dimension under which a point lies, the point counted from the first
    /// one of these regions.
    fn descend(&self, regions: &[usize], dimension: usize, point: u64) -> Descent {
        let mut absent = 0;
        let mut counts = vec![0; self.grid.dimensions[dimension].settings.len()];
        for &region in regions {
            let below = self.below[region][dimension];
            match &self.grid.regions[region].sides[dimension] {
                Side::Absent => absent += below,
                Side::Settings(settings) => {
                    for setting in settings.iter() {
                        counts[*setting as usize] += below;
                    }
                }
            }
        }

        let mut points_before = 0;
        let by_setting = (0_u32..).map(Some).zip(counts);
        for (setting, count) in std::iter::once((None, absent)).chain(by_setting) {
            if point < points_before + count {
                return Descent {
                    setting,
                    points_before,
                };
            }
            points_before += count;
        }
        unreachable!("point {point} of {points_before} in these regions")
    }
}

/// A setting of a dimension, and the number of points under the settings before it.
struct Descent {
    /// None: the points that lack the dimension's parameters.
    setting: Option<u32>,
    points_before: u64,
}

fn holds(side: &Side, setting: Option<u32>) -> bool {
    match (side, setting) {
        (Side::Absent, None) => true,
        (Side::Settings(settings), Some(setting)) => settings.binary_search(&setting).is_ok(),
        _ => false,
    }
}

/// By dimension: number of combinations of all later dimensions. It fits, since validation has
/// bounded the number of points.
fn combinations_below(region: &Region) -> Vec<u64> {
    let mut below = vec![1; region.sides.len()];
    for dimension in (1..region.sides.len()).rev() {
        below[dimension - 1] = below[dimension] * region.sides[dimension].len() as u64;
    }
    below
}
