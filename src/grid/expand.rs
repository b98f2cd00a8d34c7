//! The points of a spec in grid order: arms as in the file, and the grids of an arm's union; within
//! a grid the last parameter changes fastest, as in nested loops. Nothing is materialised: a point
//! is computed from its number.

use super::ids::PointId;
use super::order::Ordered;
use crate::spec::{Arm, Axis, Config, Dimension, ParamValue, Region, Side, Spec, Subgrid, project};

/// All the points of a spec.
#[derive(Clone, Debug)]
pub struct Grid {
    arms: Vec<ArmGrid>,
}

/// The points of one arm.
#[derive(Clone, Debug)]
pub struct ArmGrid {
    arm: Arm,
    /// Whose union it is, in the order of the file.
    grids: Vec<Ordered>,
    /// By axis: whether some points lack it.
    lacking: Vec<bool>,
    /// The axes in the order of their names, and by each axis's value its part of the canonical
    /// text: `"lr":0.1`.
    parts: Vec<(usize, Vec<String>)>,
    len: u64,
}

/// One point: a configuration and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The id: a hash of the configuration.
    pub id: PointId,
    /// Number of the point within its arm, in grid order, from 0.
    pub index: u64,
    /// The hyper-parameters.
    pub config: Config,
}

impl Grid {
    /// The grid of a valid spec (whose number of points validation has bounded).
    pub fn new(spec: &Spec) -> Self {
        Self {
            arms: spec.arms.iter().cloned().map(ArmGrid::new).collect(),
        }
    }

    /// The arms' grids, in the order of the file.
    pub fn arms(&self) -> &[ArmGrid] {
        &self.arms
    }

    /// Number of points of all arms; one that stands in several arms counts in each.
    pub fn len(&self) -> u64 {
        self.arms.iter().map(ArmGrid::len).sum()
    }

    /// Whether there are no points: never, for a valid spec.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a point stands in more than one arm. Arithmetic, from the values alone.
    pub fn arms_overlap(&self) -> bool {
        self.arms
            .iter()
            .enumerate()
            .any(|(i, a)| self.arms[i + 1..].iter().any(|b| a.overlaps(b)))
    }
}

impl ArmGrid {
    fn new(arm: Arm) -> Self {
        let grids: Vec<Ordered> = match arm.shape.grids.as_slice() {
            [] => vec![Ordered::new(product(&arm.axes))],
            grids => grids.iter().cloned().map(Ordered::new).collect(),
        };
        let len = grids.iter().map(Ordered::len).sum();
        let lacking = (0..arm.axes.len())
            .map(|axis| arm.shape.lacks(axis))
            .collect();
        let parts = parts(&arm.axes);
        Self {
            arm,
            grids,
            lacking,
            parts,
            len,
        }
    }

    /// The arm whose points these are.
    pub fn arm(&self) -> &Arm {
        &self.arm
    }

    /// The grids whose union it is: dimensions, and the regions that the points lie in. One, for
    /// most arms.
    pub fn grids(&self) -> impl ExactSizeIterator<Item = &Subgrid> {
        self.grids.iter().map(Ordered::grid)
    }

    /// Number of points.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no points: never, for a valid spec.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Which value of each of the arm's axes the point of that number has, by the value's number.
    /// None: it lacks the parameter.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn places(&self, index: u64) -> Vec<Option<usize>> {
        assert!(
            index < self.len,
            "point {index} of an arm with {} points",
            self.len
        );
        let mut places = vec![None; self.arm.axes.len()];
        self.write_places(index, &mut places);
        places
    }

    /// As `places`, into a buffer of the same length.
    fn write_places(&self, index: u64, places: &mut [Option<usize>]) {
        places.fill(None);
        let mut rest = index;
        for grid in &self.grids {
            if rest < grid.len() {
                return grid.place(rest, places);
            }
            rest -= grid.len();
        }
    }

    /// The configuration of the point of that number.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn config(&self, index: u64) -> Config {
        let places = self.places(index);
        let value = |(axis, place): (&Axis, Option<usize>)| {
            Some((axis.name.clone(), axis.values[place?].clone()))
        };
        self.arm.axes.iter().zip(places).filter_map(value).collect()
    }

    /// The point of that number.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn point(&self, index: u64) -> Point {
        let config = self.config(index);
        Point {
            id: PointId::of(&config),
            index,
            config,
        }
    }

    /// The points, in grid order.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        (0..self.len).map(|index| self.point(index))
    }

    /// The ids of the points, in grid order: many times as fast as making the points, since nothing
    /// but text is put together.
    pub fn ids(&self) -> impl Iterator<Item = PointId> + '_ {
        self.canonicals(PointId::of_canonical)
    }

    /// What `f` makes of the canonical text of each point's configuration, in grid order.
    pub fn canonicals<'a, T>(
        &'a self,
        mut f: impl FnMut(&str) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        let mut places = vec![None; self.arm.axes.len()];
        let mut text = String::new();
        (0..self.len).map(move |index| {
            self.write_places(index, &mut places);
            text.clear();
            for (axis, parts) in &self.parts {
                if let Some(place) = places[*axis] {
                    text.push(if text.is_empty() { '{' } else { ',' });
                    text.push_str(&parts[place]);
                }
            }
            text.push_str(if text.is_empty() { "{}" } else { "}" });
            f(&text)
        })
    }

    /// Names of the parameters that take more than one value, or that some points lack: what a
    /// point of this arm is told by.
    pub fn searched(&self) -> impl Iterator<Item = &str> {
        let searched = |(axis, lacking): &(&Axis, &bool)| axis.values.len() > 1 || **lacking;
        self.arm
            .axes
            .iter()
            .zip(&self.lacking)
            .filter(searched)
            .map(|(axis, _)| axis.name.as_str())
    }

    /// Whether some points lack the parameter of that number.
    pub fn is_lacking(&self, axis: usize) -> bool {
        self.lacking[axis]
    }

    /// Whether every combination of the axes' values is a point.
    pub fn is_product(&self) -> bool {
        let product = self.arm.axes.iter().try_fold(1_u64, |product, axis| {
            product.checked_mul(axis.values.len() as u64)
        });
        product == Some(self.len) && !self.lacking.contains(&true)
    }

    /// Which pairs of values of two axes some point has: a row for each value of the second, in it
    /// one for each of the first.
    pub fn pairs(&self, [first, second]: [usize; 2]) -> Vec<Vec<bool>> {
        let [columns, rows] = [first, second].map(|axis| self.arm.axes[axis].values.len());
        let mut found = vec![vec![false; columns]; rows];
        for grid in self.grids() {
            let dimension = |axis: usize| {
                let place =
                    |dimension: &Dimension| dimension.axes.iter().position(|other| *other == axis);
                grid.dimensions
                    .iter()
                    .enumerate()
                    .find_map(|(number, dimension)| Some((number, place(dimension)?)))
            };
            let (Some((a, a_place)), Some((b, b_place))) = (dimension(first), dimension(second))
            else {
                continue;
            };
            let value = |dimension: usize, place: usize, setting: u32| {
                grid.dimensions[dimension].settings[setting as usize][place]
            };
            for region in &grid.regions {
                let (Side::Settings(ours), Side::Settings(theirs)) =
                    (&region.sides[a], &region.sides[b])
                else {
                    continue;
                };
                for column in ours.iter() {
                    // Of one dimension both have the same setting.
                    for row in theirs.iter().filter(|row| a != b || *row == column) {
                        found[value(b, b_place, *row)][value(a, a_place, *column)] = true;
                    }
                }
            }
        }
        found
    }

    /// Whether a point stands in both arms. Arithmetic, from the values alone.
    fn overlaps(&self, other: &Self) -> bool {
        /// So many parts are told apart; beyond that, arms are taken to overlap, which costs the
        /// plan a set of ids.
        const PARTS: usize = 10_000;
        let axes: Vec<Option<(usize, Vec<Option<usize>>)>> = self
            .arm
            .axes
            .iter()
            .map(|axis| translation(axis, &other.arm.axes))
            .collect();
        let translate = |axis: usize, value: usize| {
            let (there, values) = axes[axis].as_ref()?;
            Some((*there, values[value]?))
        };
        self.grids().any(|grid| {
            grid.regions.iter().any(|region| {
                other.grids().any(|theirs| {
                    project(
                        region,
                        &grid.dimensions,
                        &theirs.dimensions,
                        translate,
                        PARTS,
                    )
                    .is_none_or(|parts| {
                        parts
                            .iter()
                            .any(|part| theirs.regions.iter().any(|other| part.meets(other)))
                    })
                })
            })
        })
    }
}

/// What each value of each axis adds to the canonical text of a configuration, the axes in the
/// order of their names.
fn parts(axes: &[Axis]) -> Vec<(usize, Vec<String>)> {
    let part = |axis: &Axis, value: &ParamValue| {
        let one: Config = [(axis.name.clone(), value.clone())].into_iter().collect();
        let text = one.canonical();
        text[1..text.len() - 1].to_owned()
    };
    let mut parts: Vec<(usize, Vec<String>)> = axes
        .iter()
        .enumerate()
        .map(|(number, axis)| {
            (
                number,
                axis.values.iter().map(|value| part(axis, value)).collect(),
            )
        })
        .collect();
    parts.sort_by(|(a, _), (b, _)| axes[*a].name.cmp(&axes[*b].name));
    parts
}

/// The axis of that name among others, and which of its values each value is.
fn translation(axis: &Axis, others: &[Axis]) -> Option<(usize, Vec<Option<usize>>)> {
    let there = others.iter().position(|other| other.name == axis.name)?;
    let same = |value| others[there].values.iter().position(|other| other == value);
    Some((there, axis.values.iter().map(same).collect()))
}

/// The grid of all combinations.
fn product(axes: &[Axis]) -> Subgrid {
    let dimension = |(number, axis): (usize, &Axis)| Dimension {
        axes: vec![number],
        settings: (0..axis.values.len()).map(|value| vec![value]).collect(),
        when: String::new(),
    };
    let sides = axes
        .iter()
        .map(|axis| Side::all(axis.values.len()))
        .collect();
    Subgrid {
        dimensions: axes.iter().enumerate().map(dimension).collect(),
        regions: vec![Region { sides }],
        excluded: 0,
        repeated: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ParamValue, Shape};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn arm(axes: &[(&str, usize)]) -> ArmGrid {
        let axes = axes
            .iter()
            .map(|(name, count)| Axis {
                name: (*name).into(),
                values: (0..*count as i64).map(ParamValue::Int).collect(),
            })
            .collect();
        ArmGrid::new(Arm {
            name: "a".into(),
            label: "A".into(),
            axes,
            shape: Shape::default(),
        })
    }

    #[test]
    fn the_last_parameter_changes_fastest() {
        let shown: Vec<_> = arm(&[("b", 2), ("a", 3)])
            .points()
            .map(|point| point.config.canonical())
            .collect();
        insta::assert_snapshot!(shown.join(" "), @r#"{"a":0,"b":0} {"a":1,"b":0} {"a":2,"b":0} {"a":0,"b":1} {"a":1,"b":1} {"a":2,"b":1}"#);
    }

    #[test]
    fn an_arm_without_parameters_has_one_point() {
        assert_eq!(arm(&[]).points().count(), 1);
    }

    #[test]
    fn arms_overlap_only_if_a_point_is_in_both() {
        assert!(arm(&[("a", 2), ("b", 1)]).overlaps(&arm(&[("b", 3), ("a", 1)])));
        assert!(!arm(&[("a", 2)]).overlaps(&arm(&[("a", 2), ("b", 1)])));
        assert!(!arm(&[("a", 2)]).overlaps(&arm(&[("c", 2)])));
    }

    #[test]
    fn a_point_of_a_huge_arm_costs_no_memory() {
        let huge = arm(&[("a", 1000), ("b", 1000), ("c", 1000), ("d", 1000)]);
        assert_eq!(huge.len(), 1_000_000_000_000);
        assert_eq!(
            huge.point(999_999_999_999).config.canonical(),
            r#"{"a":999,"b":999,"c":999,"d":999}"#
        );
    }

    proptest! {
        #[test]
        fn every_combination_comes_once(sizes in prop::collection::vec(1_usize..5, 0..5)) {
            let names = ["a", "b", "c", "d", "e"];
            let axes: Vec<_> = names.iter().copied().zip(sizes.iter().copied()).collect();
            let grid = arm(&axes);
            let ids: HashSet<_> = grid.points().map(|point| point.id).collect();
            let expected: usize = sizes.iter().product();
            prop_assert_eq!(ids.len(), expected);
            prop_assert_eq!(grid.len(), expected as u64);
            prop_assert!(grid.canonicals(str::to_owned).eq(grid.points().map(|point| point.config.canonical())));
            for (number, point) in grid.points().enumerate() {
                prop_assert_eq!(point.index, number as u64);
                prop_assert_eq!(&grid.point(point.index), &point);
            }
        }
    }
}
