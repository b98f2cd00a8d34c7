//! Lays a grid out as disjoint regions: splits the product where parameters exist only under a
//! condition, takes away what is excluded, and what stands in an earlier grid of the arm. Counts by
//! multiplication, never point by point.

use super::project::project;
use super::region::{Dimension, Region, Side, Subgrid, points};

/// More regions than the sweep may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// What a dimension's condition or a rule of `exclude` asks for: all of these. None: what can never
/// be.
pub(super) type Asked = Option<Vec<(usize, Side)>>;

/// The regions of a product whose dimensions exist under conditions. `order` names the dimensions
/// so that each comes after those that its condition speaks of.
pub(super) fn conditional(
    dimensions: &[Dimension],
    conditions: &[Option<Asked>],
    order: &[usize],
    most: usize,
) -> Result<Vec<Region>, TooMany> {
    let sides = dimensions
        .iter()
        .map(|dimension| Side::all(dimension.settings.len()))
        .collect();
    let mut regions = vec![Region { sides }];
    for &dimension in order {
        let Some(condition) = &conditions[dimension] else {
            continue;
        };
        let absent = |mut region: Region| {
            region.sides[dimension] = Side::Absent;
            region
        };
        regions = match condition {
            Some(demands) => regions
                .iter()
                .flat_map(|region| {
                    region
                        .within(demands)
                        .into_iter()
                        .chain(region.without(demands).into_iter().map(absent))
                })
                .collect(),
            None => regions.into_iter().map(absent).collect(),
        };
        if regions.len() > most {
            return Err(TooMany);
        }
    }
    Ok(regions)
}

/// The grid of those regions without the points that match a rule, nor those of earlier grids.
pub(super) fn lay(
    dimensions: Vec<Dimension>,
    mut regions: Vec<Region>,
    rules: &[Vec<(usize, Side)>],
    earlier: &[Subgrid],
    most: usize,
) -> Result<Subgrid, TooMany> {
    let all = points(&regions);
    for rule in rules {
        regions = take_away(&regions, rule, most)?;
    }
    let kept = points(&regions);
    for grid in earlier {
        for other in &grid.regions {
            let seen = project(
                other,
                &grid.dimensions,
                &dimensions,
                |axis, value| Some((axis, value)),
                most,
            )
            .ok_or(TooMany)?;
            for part in seen {
                let demands: Vec<(usize, Side)> = part.sides.into_iter().enumerate().collect();
                regions = take_away(&regions, &demands, most)?;
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

fn take_away(
    regions: &[Region],
    demands: &[(usize, Side)],
    most: usize,
) -> Result<Vec<Region>, TooMany> {
    let left: Vec<Region> = regions
        .iter()
        .flat_map(|region| region.without(demands))
        .collect();
    if left.len() > most {
        Err(TooMany)
    } else {
        Ok(left)
    }
}
