//! Removes from an arm's axes and dimensions the values that none of its points has, so that
//! figures and tables show only values that occur.

use super::region::{Side, Subgrid};
use crate::spec::model::Axis;

/// The axes and the grids of an arm.
pub(in crate::spec) struct ShapedArm {
    pub axes: Vec<Axis>,
    pub grids: Vec<Subgrid>,
}

impl ShapedArm {
    /// Keeps the values that some point has, and renumbers the grids accordingly.
    pub(crate) fn occurring(mut axes: Vec<Axis>, mut grids: Vec<Subgrid>) -> Self {
        // By axis and value.
        let mut taken: Vec<Vec<bool>> = axes
            .iter()
            .map(|axis| vec![false; axis.values.len()])
            .collect();
        for grid in &mut grids {
            drop_unused_settings(grid);
            clear_constant_conditions(grid);
            mark_taken(grid, &mut taken);
            drop_empty_dimensions(grid);
        }

        let exists: Vec<bool> = taken.iter().map(|taken| taken.contains(&true)).collect();
        renumber(&mut grids, &exists, &taken);

        for (axis, taken) in axes.iter_mut().zip(&taken) {
            retain(&mut axis.values, taken);
        }
        retain(&mut axes, &exists);
        Self { axes, grids }
    }
}

/// Removes the settings that no region holds.
fn drop_unused_settings(grid: &mut Subgrid) {
    for number in 0..grid.dimensions.len() {
        let settings = &mut grid.dimensions[number].settings;
        let mut held = vec![false; settings.len()];
        for region in &grid.regions {
            if let Side::Settings(own) = &region.sides[number] {
                for setting in own.iter() {
                    held[*setting as usize] = true;
                }
            }
        }
        if !held.contains(&false) {
            continue;
        }

        let left = new_numbers(&held);
        for region in &mut grid.regions {
            if let Side::Settings(own) = &mut region.sides[number] {
                *own = own
                    .iter()
                    .map(|setting| left[*setting as usize] as u32)
                    .collect();
            }
        }
        retain(settings, &held);
    }
}

/// Clears conditions that always hold in this grid.
fn clear_constant_conditions(grid: &mut Subgrid) {
    for (number, dimension) in grid.dimensions.iter_mut().enumerate() {
        let always_exists = grid
            .regions
            .iter()
            .all(|region| region.sides[number] != Side::Absent);
        if always_exists {
            dimension.when.clear();
        }
    }
}

fn mark_taken(grid: &Subgrid, taken: &mut [Vec<bool>]) {
    for dimension in &grid.dimensions {
        for setting in &dimension.settings {
            for (axis, value) in dimension.axes.iter().zip(setting) {
                taken[*axis][*value] = true;
            }
        }
    }
}

fn drop_empty_dimensions(grid: &mut Subgrid) {
    let kept: Vec<bool> = grid
        .dimensions
        .iter()
        .map(|dimension| !dimension.settings.is_empty())
        .collect();
    for region in &mut grid.regions {
        retain(&mut region.sides, &kept);
    }
    retain(&mut grid.dimensions, &kept);
}

/// Changes the numbers of axes and values to those among the ones that remain.
fn renumber(grids: &mut [Subgrid], exists: &[bool], taken: &[Vec<bool>]) {
    let axis_numbers = new_numbers(exists);
    let value_numbers: Vec<Vec<usize>> = taken.iter().map(|taken| new_numbers(taken)).collect();

    for dimension in grids.iter_mut().flat_map(|grid| &mut grid.dimensions) {
        for setting in &mut dimension.settings {
            for (axis, value) in dimension.axes.iter().zip(setting) {
                *value = value_numbers[*axis][*value];
            }
        }
        for axis in &mut dimension.axes {
            *axis = axis_numbers[*axis];
        }
    }
}

/// The number of each item among those that are kept; meaningless for the others.
fn new_numbers(kept: &[bool]) -> Vec<usize> {
    let mut next = 0;
    let mut numbers = Vec::with_capacity(kept.len());
    for kept in kept {
        numbers.push(next);
        next += usize::from(*kept);
    }
    numbers
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}
