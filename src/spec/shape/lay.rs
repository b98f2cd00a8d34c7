//! Lays a grid out as disjoint regions: splits the product where parameters exist only under a
//! condition, and removes what is excluded and what stands in an earlier grid of the arm. Counts by
//! multiplication, never point by point.

use super::project::project;
use super::region::{Demands, Dimension, Region, Side, Subgrid, points};

/// More regions than the sweep may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyRegions;

/// All that a dimension's condition or a rule of `exclude` asks for; None if it can never be met.
pub(super) type Requirement = Option<Vec<(usize, Side)>>;

/// Returns the regions of a product whose dimensions exist under conditions. `order` names the
/// dimensions so that each comes after those that its condition depends on.
pub(super) fn conditional_regions(
    dimensions: &[Dimension],
    conditions: &[Option<Requirement>],
    order: &[usize],
    max_regions: usize,
) -> Result<Vec<Region>, TooManyRegions> {
    let sides = dimensions
        .iter()
        .map(|dimension| Side::all(dimension.settings.len()))
        .collect();
    let mut regions = vec![Region { sides }];

    for &dimension in order {
        let Some(condition) = &conditions[dimension] else {
            continue;
        };
        regions = regions
            .iter()
            .flat_map(|region| split_by_condition(region, dimension, condition))
            .collect();
        if regions.len() > max_regions {
            return Err(TooManyRegions);
        }
    }
    Ok(regions)
}

/// The part of a region in which a dimension exists, and the parts in which it does not.
fn split_by_condition(region: &Region, dimension: usize, condition: &Requirement) -> Vec<Region> {
    let Some(demands) = condition else {
        return vec![without_dimension(region.clone(), dimension)];
    };
    let present = region.within(demands);
    let absent = region
        .without(demands)
        .into_iter()
        .map(|part| without_dimension(part, dimension));
    present.into_iter().chain(absent).collect()
}

fn without_dimension(mut region: Region, dimension: usize) -> Region {
    region.sides[dimension] = Side::Absent;
    region
}

/// Returns the grid of those regions without the points that match a rule, and without those of
/// earlier grids.
pub(super) fn lay(
    dimensions: Vec<Dimension>,
    mut regions: Vec<Region>,
    rules: &[Vec<(usize, Side)>],
    earlier: &[Subgrid],
    max_regions: usize,
) -> Result<Subgrid, TooManyRegions> {
    let all = points(&regions);
    for rule in rules {
        regions = remove(&regions, rule, max_regions)?;
    }

    let kept = points(&regions);
    for grid in earlier {
        for other in &grid.regions {
            // Grids of one arm number its axes and values alike.
            let same = |axis, value| Some((axis, value));
            let common = project(other, &grid.dimensions, &dimensions, same, max_regions)
                .ok_or(TooManyRegions)?;
            for part in common {
                let demands: Vec<(usize, Side)> = part.sides.into_iter().enumerate().collect();
                regions = remove(&regions, &demands, max_regions)?;
            }
        }
    }

    let repeated = kept.saturating_sub(points(&regions));
    Ok(Subgrid {
        dimensions,
        regions,
        excluded: all.saturating_sub(kept),
        repeated,
    })
}

fn remove(
    regions: &[Region],
    demands: &Demands,
    max_regions: usize,
) -> Result<Vec<Region>, TooManyRegions> {
    let left: Vec<Region> = regions
        .iter()
        .flat_map(|region| region.without(demands))
        .collect();
    if left.len() > max_regions {
        Err(TooManyRegions)
    } else {
        Ok(left)
    }
}
