//! Leaves out of an arm's axes and dimensions what none of its points has, so that figures and
//! tables speak only of values that occur.

use super::region::{Side, Subgrid};
use crate::spec::model::Axis;

/// The axes with the values that some point has, and the grids with the numbers that remain.
pub(super) fn occurring(axes: Vec<Axis>, mut grids: Vec<Subgrid>) -> (Vec<Axis>, Vec<Subgrid>) {
    let mut taken: Vec<Vec<bool>> = axes
        .iter()
        .map(|axis| vec![false; axis.values.len()])
        .collect();
    for grid in &mut grids {
        for number in 0..grid.dimensions.len() {
            drop_settings(grid, number);
        }
        for (number, dimension) in grid.dimensions.iter_mut().enumerate() {
            if grid
                .regions
                .iter()
                .all(|region| region.sides[number] != Side::Absent)
            {
                // The condition always holds here: nothing hangs on it.
                dimension.when.clear();
            }
            for setting in &dimension.settings {
                dimension
                    .axes
                    .iter()
                    .zip(setting)
                    .for_each(|(axis, value)| taken[*axis][*value] = true);
            }
        }
        let kept: Vec<bool> = grid
            .dimensions
            .iter()
            .map(|dimension| !dimension.settings.is_empty())
            .collect();
        grid.regions
            .iter_mut()
            .for_each(|region| retain(&mut region.sides, &kept));
        retain(&mut grid.dimensions, &kept);
    }
    let exists: Vec<bool> = taken.iter().map(|taken| taken.contains(&true)).collect();
    let axis_numbers = numbers(&exists);
    let value_numbers: Vec<Vec<usize>> = taken.iter().map(|taken| numbers(taken)).collect();
    for dimension in grids.iter_mut().flat_map(|grid| &mut grid.dimensions) {
        for setting in &mut dimension.settings {
            dimension
                .axes
                .iter()
                .zip(setting)
                .for_each(|(axis, value)| *value = value_numbers[*axis][*value]);
        }
        dimension
            .axes
            .iter_mut()
            .for_each(|axis| *axis = axis_numbers[*axis]);
    }
    let mut axes = axes;
    axes.iter_mut()
        .zip(&taken)
        .for_each(|(axis, taken)| retain(&mut axis.values, taken));
    retain(&mut axes, &exists);
    (axes, grids)
}

/// Removes the settings of a dimension that no region holds.
fn drop_settings(grid: &mut Subgrid, number: usize) {
    let settings = &mut grid.dimensions[number].settings;
    let mut held = vec![false; settings.len()];
    for region in &grid.regions {
        if let Side::Settings(own) = &region.sides[number] {
            own.iter()
                .for_each(|setting| held[*setting as usize] = true);
        }
    }
    if !held.contains(&false) {
        return;
    }
    let left = numbers(&held);
    for region in &mut grid.regions {
        if let Side::Settings(own) = &region.sides[number] {
            region.sides[number] = Side::Settings(
                own.iter()
                    .map(|setting| left[*setting as usize] as u32)
                    .collect(),
            );
        }
    }
    retain(settings, &held);
}

/// The number of each item among those that are kept; of no meaning for the others.
fn numbers(kept: &[bool]) -> Vec<usize> {
    kept.iter()
        .scan(0, |next, kept| {
            let number = *next;
            *next += usize::from(*kept);
            Some(number)
        })
        .collect()
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}
