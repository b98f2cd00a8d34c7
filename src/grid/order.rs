//! Puts the points of a grid's regions in the order of nested loops, the last dimension fastest,
//! with random access: descends the dimensions and counts, by multiplication, how many points lie
//! below each setting.
//!
//! To lack a parameter comes before its values. That is seen only where a parameter stands in the
//! file before the one that its condition names; elsewhere each round of the outer loops has either
//! the one or the other.

use crate::spec::{Region, Side, Subgrid};

/// A grid and what is needed to find its points.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    grid: Subgrid,
    /// By region and dimension: combinations of all later dimensions.
    below: Vec<Vec<u64>>,
    len: u64,
}

impl Ordered {
    pub fn new(grid: Subgrid) -> Self {
        let below: Vec<Vec<u64>> = grid.regions.iter().map(below).collect();
        let first = |(region, below): (&Region, &Vec<u64>)| {
            region
                .sides
                .first()
                .map_or(1, |side| side.len() as u64 * below[0])
        };
        let len = grid.regions.iter().zip(&below).map(first).sum();
        Self { grid, below, len }
    }

    pub fn grid(&self) -> &Subgrid {
        &self.grid
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The value that the point of that number has on each axis, by its number; None: it lacks the
    /// parameter. `values` is as long as there are axes, and all None.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn place(&self, index: u64, values: &mut [Option<usize>]) {
        assert!(
            index < self.len,
            "point {index} of a grid with {} points",
            self.len
        );
        // Most grids have one region: then nothing is narrowed down, and nothing need be kept.
        let mut regions: Vec<usize> = if self.grid.regions.len() == 1 {
            Vec::new()
        } else {
            (0..self.grid.regions.len()).collect()
        };
        let mut rest = index;
        for (number, dimension) in self.grid.dimensions.iter().enumerate() {
            let only = match regions.as_slice() {
                [] => Some(0),
                [only] => Some(*only),
                _ => None,
            };
            let setting = match only {
                Some(only) => {
                    let below = self.below[only][number];
                    let at = (rest / below) as usize;
                    rest %= below;
                    match &self.grid.regions[only].sides[number] {
                        Side::Absent => None,
                        Side::Settings(settings) => Some(settings[at]),
                    }
                }
                None => {
                    let (setting, before) = self.descend(&regions, number, rest);
                    rest -= before;
                    regions
                        .retain(|region| holds(&self.grid.regions[*region].sides[number], setting));
                    setting
                }
            };
            let Some(setting) = setting else { continue };
            for (axis, value) in dimension
                .axes
                .iter()
                .zip(&dimension.settings[setting as usize])
            {
                values[*axis] = Some(*value);
            }
        }
    }

    /// The setting of a dimension under which a point lies, counted from the first point of these
    /// regions; and how many points lie before those.
    fn descend(&self, regions: &[usize], dimension: usize, point: u64) -> (Option<u32>, u64) {
        let mut absent = 0;
        let mut counts = vec![0; self.grid.dimensions[dimension].settings.len()];
        for &region in regions {
            let below = self.below[region][dimension];
            match &self.grid.regions[region].sides[dimension] {
                Side::Absent => absent += below,
                Side::Settings(settings) => settings
                    .iter()
                    .for_each(|setting| counts[*setting as usize] += below),
            }
        }
        let mut before = 0;
        for (setting, count) in
            std::iter::once((None, absent)).chain((0_u32..).map(Some).zip(counts))
        {
            if point < before + count {
                return (setting, before);
            }
            before += count;
        }
        unreachable!("point {point} of the {before} that these regions were counted to hold")
    }
}

fn holds(side: &Side, setting: Option<u32>) -> bool {
    match (side, setting) {
        (Side::Absent, None) => true,
        (Side::Settings(settings), Some(setting)) => settings.binary_search(&setting).is_ok(),
        _ => false,
    }
}

/// By dimension: combinations of all later dimensions. Validation has bounded the number of points.
fn below(region: &Region) -> Vec<u64> {
    let mut below = vec![1; region.sides.len()];
    for dimension in (1..region.sides.len()).rev() {
        below[dimension - 1] = below[dimension] * region.sides[dimension].len() as u64;
    }
    below
}
