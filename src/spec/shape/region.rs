//! The shape of an arm's grid as plain data: dimensions, and disjoint regions of their product.
//! Made by `lay`; the grid counts its points and puts them in order.

use std::sync::Arc;

/// Which combinations of an arm's axes are its points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// The grids whose union it is, in the order of the file. Empty: the product of the axes.
    pub grids: Vec<Subgrid>,
}

/// One grid of an arm, without the points that are already in an earlier grid of the arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Subgrid {
    /// The dimensions that the nested loops run over, the slowest first.
    pub dimensions: Vec<Dimension>,
    /// Its points, as regions that share no point with each other nor with those of other grids of
    /// the arm.
    pub regions: Vec<Region>,
    /// How many points the rules of `exclude` took away.
    pub excluded: u128,
    /// How many points it shares with earlier grids of the arm.
    pub repeated: u128,
}

impl Shape {
    /// Whether some points lack the parameter of that number.
    pub fn lacks(&self, axis: usize) -> bool {
        self.grids.iter().any(|grid| grid.lacks(axis))
    }
}

impl Subgrid {
    /// Number of its points; saturates.
    pub fn points(&self) -> u128 {
        points(&self.regions)
    }

    fn lacks(&self, axis: usize) -> bool {
        let dimension = self
            .dimensions
            .iter()
            .position(|dimension| dimension.axes.contains(&axis));
        match dimension {
            Some(dimension) => self
                .regions
                .iter()
                .any(|region| region.sides[dimension] == Side::Absent),
            None => !self.regions.is_empty(),
        }
    }
}

/// Parameters that advance together: a single one, or the members of a `zip`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Numbers of the parameters among the arm's axes.
    pub axes: Vec<usize>,
    /// The settings that it takes: for each, the numbers of the axes' values. No setting is
    /// repeated.
    pub settings: Vec<Vec<usize>>,
    /// The condition under which its parameters exist, as text; empty if they always exist.
    pub when: String,
}

/// A product of some of the settings of each dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// By dimension.
    pub sides: Vec<Side>,
}

/// Which settings of a dimension a region holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// No setting: points of the region lack the dimension's parameters.
    Absent,
    /// Numbers of settings, ascending; at least one.
    Settings(Arc<[u32]>),
}

impl Side {
    /// All of a number of settings.
    pub fn all(settings: usize) -> Self {
        Self::Settings((0..settings as u32).collect())
    }

    /// Number of choices.
    pub fn len(&self) -> usize {
        match self {
            Self::Absent => 1,
            Self::Settings(settings) => settings.len(),
        }
    }

    /// Whether there is no choice: never, in a region.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The choices of both; None if there are none.
    fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Absent, Self::Absent) => Some(Self::Absent),
            (Self::Settings(ours), Self::Settings(theirs)) => {
                filtered(ours, |one| theirs.binary_search(one).is_ok())
            }
            _ => None,
        }
    }

    /// The choices of this one that the other lacks; None if there are none.
    fn rest(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Absent, Self::Absent) => None,
            (Self::Settings(ours), Self::Settings(theirs)) => {
                filtered(ours, |one| theirs.binary_search(one).is_err())
            }
            _ => Some(self.clone()),
        }
    }
}

fn filtered(settings: &[u32], keep: impl Fn(&u32) -> bool) -> Option<Side> {
    let kept: Vec<u32> = settings.iter().copied().filter(keep).collect();
    (!kept.is_empty()).then(|| Side::Settings(kept.into()))
}

/// Sides of some of the dimensions, by number: what a condition or a rule asks for.
pub(super) type Demands = [(usize, Side)];

impl Region {
    /// Number of its points; saturates.
    pub fn points(&self) -> u128 {
        self.sides
            .iter()
            .fold(1, |points, side| points.saturating_mul(side.len() as u128))
    }

    /// Whether two regions of the same dimensions share a point.
    pub fn meets(&self, other: &Self) -> bool {
        self.sides
            .iter()
            .zip(&other.sides)
            .all(|(ours, theirs)| ours.common(theirs).is_some())
    }

    /// The part that meets all demands; None if there is none.
    pub(super) fn within(&self, demands: &Demands) -> Option<Self> {
        let mut part = self.clone();
        for (dimension, side) in demands {
            part.sides[*dimension] = part.sides[*dimension].common(side)?;
        }
        Some(part)
    }

    /// The part that misses at least one demand, as disjoint regions.
    pub(super) fn without(&self, demands: &Demands) -> Vec<Self> {
        if self.within(demands).is_none() {
            return vec![self.clone()];
        }

        // `meets` is the part that meets the demands so far; the part of it that misses the next
        // demand is split off.
        let mut parts = Vec::new();
        let mut meets = self.clone();
        for (dimension, side) in demands {
            let own_side = meets.sides[*dimension].clone();
            if let Some(rest) = own_side.rest(side) {
                let mut part = meets.clone();
                part.sides[*dimension] = rest;
                parts.push(part);
            }
            match own_side.common(side) {
                Some(common) => meets.sides[*dimension] = common,
                None => break,
            }
        }
        parts
    }
}

/// Number of points of disjoint regions; saturates.
pub(super) fn points(regions: &[Region]) -> u128 {
    regions
        .iter()
        .fold(0, |sum, region| sum.saturating_add(region.points()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn side() -> impl Strategy<Value = Side> {
        prop_oneof![
            1 => Just(Side::Absent),
            4 => prop::collection::btree_set(0_u32..4, 1..4).prop_map(|set| Side::Settings(set.into_iter().collect())),
        ]
    }

    fn holds(region: &Region, point: &[Option<u32>]) -> bool {
        region
            .sides
            .iter()
            .zip(point)
            .all(|(side, at)| holds_side(side, *at))
    }

    fn holds_side(side: &Side, at: Option<u32>) -> bool {
        match (side, at) {
            (Side::Absent, None) => true,
            (Side::Settings(settings), Some(at)) => settings.contains(&at),
            _ => false,
        }
    }

    /// Every point of three dimensions of four settings, each of which may be absent.
    fn every_point() -> impl Iterator<Item = [Option<u32>; 3]> {
        (0..125_u32).map(|n| [n / 25, n / 5 % 5, n % 5].map(|at| (at < 4).then_some(at)))
    }

    proptest! {
        #[test]
        fn a_region_splits_into_what_meets_demands_and_what_does_not(
            sides in prop::collection::vec(side(), 3),
            demands in prop::collection::btree_map(0_usize..3, side(), 0..4),
        ) {
            let region = Region { sides };
            let demands: Vec<(usize, Side)> = demands.into_iter().collect();
            let within = region.within(&demands);
            let without = region.without(&demands);

            for point in every_point() {
                let meets = demands.iter().all(|(dimension, side)| holds_side(side, point[*dimension]));
                let inside = holds(&region, &point);
                prop_assert_eq!(within.as_ref().is_some_and(|part| holds(part, &point)), inside && meets);
                let parts = without.iter().filter(|part| holds(part, &point)).count();
                prop_assert_eq!(parts, usize::from(inside && !meets));
            }
            prop_assert_eq!(within.map_or(0, |part| part.points()) + points(&without), region.points());
        }
    }
}
