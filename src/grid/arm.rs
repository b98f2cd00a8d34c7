//! The points of one arm. None of them is kept: a point is computed from its number.

use super::ids::PointId;
use super::index::PointIndex;
use super::order::Ordered;
use crate::spec::{Arm, Axis, Config, Dimension, Region, Side, Subgrid, project};

/// Maximum number of regions to compare when two arms are checked for common points. Above it the
/// arms are taken to overlap, which costs the plan a set of ids.
const MAX_COMPARED_REGIONS: usize = 10_000;

/// The points of one arm.
#[derive(Clone, Debug)]
pub struct ArmGrid {
    arm: Arm,
    /// The grids whose union it is, in the order of the file.
    grids: Vec<Ordered>,
    /// By axis: whether some points lack it.
    lacking: Vec<bool>,
    /// What the values of each axis add to the canonical text; the axes in the order of their
    /// names.
    fragments: Vec<AxisFragments>,
    len: u64,
}

/// One point: a configuration and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The id: a hash of the configuration.
    pub id: PointId,
    /// Number of the point within its arm, in grid order.
    pub index: PointIndex,
    /// The hyper-parameters.
    pub config: Config,
}

/// What each value of an axis adds to the canonical text of a configuration: `"lr":0.1`.
#[derive(Clone, Debug)]
struct AxisFragments {
    /// Number of the axis.
    axis: usize,
    /// By value.
    texts: Vec<String>,
}

impl ArmGrid {
    pub(super) fn new(arm: Arm) -> Self {
        let grids: Vec<Ordered> = match arm.shape.grids.as_slice() {
            [] => vec![Ordered::new(full_product(&arm.axes))],
            grids => grids.iter().cloned().map(Ordered::new).collect(),
        };
        let len = grids.iter().map(Ordered::len).sum();
        let lacking = (0..arm.axes.len())
            .map(|axis| arm.shape.lacks(axis))
            .collect();
        let fragments = canonical_fragments(&arm.axes);

        Self {
            arm,
            grids,
            lacking,
            fragments,
            len,
        }
    }

    /// The arm whose points these are.
    pub fn arm(&self) -> &Arm {
        &self.arm
    }

    /// The grids whose union the arm is: dimensions, and the regions that the points lie in. Most
    /// arms have one.
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

    /// Returns, for each of the arm's axes, the number of the value that a point has on it; None
    /// where the point lacks the parameter.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn places(&self, index: PointIndex) -> Vec<Option<usize>> {
        assert!(
            index.0 < self.len,
            "point {index} of an arm with {} points",
            self.len
        );

        let mut places = vec![None; self.arm.axes.len()];
        self.write_places(index, &mut places);
        places
    }

    /// Like `places`, into a buffer that is as long as there are axes.
    fn write_places(&self, index: PointIndex, places: &mut [Option<usize>]) {
        places.fill(None);

        let mut rest = index.0;
        for grid in &self.grids {
            if rest < grid.len() {
                return grid.write_values(rest, places);
            }
            rest -= grid.len();
        }
    }

    /// Returns the configuration of a point.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn config(&self, index: PointIndex) -> Config {
        let places = self.places(index);
        self.arm
            .axes
            .iter()
            .zip(places)
            .filter_map(|(axis, place)| Some((axis.name.clone(), axis.values[place?].clone())))
            .collect()
    }

    /// Returns the point of that number.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn point(&self, index: PointIndex) -> Point {
        let config = self.config(index);
        Point {
            id: PointId::of(&config),
            index,
            config,
        }
    }

    /// The numbers of the points, in grid order.
    pub fn indices(&self) -> impl Iterator<Item = PointIndex> + use<> {
        (0..self.len).map(PointIndex)
    }

    /// The points, in grid order.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.indices().map(|index| self.point(index))
    }

    /// The ids of the points, in grid order: many times as fast as making the points, since only
    /// text is put together.
    pub fn ids(&self) -> impl Iterator<Item = PointId> + '_ {
        self.map_canonical(PointId::of_canonical)
    }

    /// Applies `f` to the canonical text of each point's configuration, in grid order.
    pub fn map_canonical<'a, T>(
        &'a self,
        mut f: impl FnMut(&str) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        let mut places = vec![None; self.arm.axes.len()];
        let mut text = String::new();

        self.indices().map(move |index| {
            self.write_places(index, &mut places);

            text.clear();
            for fragments in &self.fragments {
                if let Some(place) = places[fragments.axis] {
                    text.push(if text.is_empty() { '{' } else { ',' });
                    text.push_str(&fragments.texts[place]);
                }
            }
            text.push_str(if text.is_empty() { "{}" } else { "}" });
            f(&text)
        })
    }

    /// Names of the parameters that take more than one value, or that some points lack: those that
    /// tell the points of this arm apart.
    pub fn searched(&self) -> impl Iterator<Item = &str> {
        self.arm
            .axes
            .iter()
            .zip(&self.lacking)
            .filter(|(axis, lacking)| axis.values.len() > 1 || **lacking)
            .map(|(axis, _)| axis.name.as_str())
    }

    /// Whether some points lack the parameter of an axis.
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

    /// Returns which pairs of values of two axes some point has: a row for each value of the second
    /// axis, with a cell for each value of the first.
    pub fn pairs(&self, first: usize, second: usize) -> Vec<Vec<bool>> {
        let columns = self.arm.axes[first].values.len();
        let rows = self.arm.axes[second].values.len();
        let mut found = vec![vec![false; columns]; rows];

        for grid in self.grids() {
            let Some(a) = AxisPlace::find(grid, first) else {
                continue;
            };
            let Some(b) = AxisPlace::find(grid, second) else {
                continue;
            };

            for region in &grid.regions {
                let Side::Settings(columns) = &region.sides[a.dimension] else {
                    continue;
                };
                let Side::Settings(rows) = &region.sides[b.dimension] else {
                    continue;
                };
                for column in columns.iter() {
                    for row in rows.iter() {
                        // Two axes of one dimension have the same setting.
                        if a.dimension != b.dimension || row == column {
                            found[b.value(grid, *row)][a.value(grid, *column)] = true;
                        }
                    }
                }
            }
        }
        found
    }

    /// Whether a point stands in both arms. Computed from the values alone, without expanding the
    /// grids.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let translations: Vec<Option<AxisTranslation>> = self
            .arm
            .axes
            .iter()
            .map(|axis| AxisTranslation::new(axis, &other.arm.axes))
            .collect();

        let translate = |axis: usize, value: usize| {
            let translation = translations[axis].as_ref()?;
            Some((translation.axis, translation.values[value]?))
        };

        for ours in self.grids() {
            for theirs in other.grids() {
                for region in &ours.regions {
                    // With too many regions the arms are taken to overlap.
                    let Some(common) = project(
                        region,
                        &ours.dimensions,
                        &theirs.dimensions,
                        translate,
                        MAX_COMPARED_REGIONS,
                    ) else {
                        return true;
                    };
                    if common
                        .iter()
                        .any(|part| theirs.regions.iter().any(|region| part.meets(region)))
                    {
                        return true;
                    }
                }
            }
        }
        false
    }
}

/// Where an axis stands in a grid: the number of its dimension, and its place in the settings of
/// that dimension.
struct AxisPlace {
    dimension: usize,
    place: usize,
}

impl AxisPlace {
    fn find(grid: &Subgrid, axis: usize) -> Option<Self> {
        grid.dimensions
            .iter()
            .enumerate()
            .find_map(|(number, dimension)| {
                let place = dimension.axes.iter().position(|other| *other == axis)?;
                Some(Self {
                    dimension: number,
                    place,
                })
            })
    }

    /// The number of the value that the axis has in a setting of its dimension.
    fn value(&self, grid: &Subgrid, setting: u32) -> usize {
        grid.dimensions[self.dimension].settings[setting as usize][self.place]
    }
}

/// An axis of one arm as seen in another.
struct AxisTranslation {
    /// Number of the other arm's axis of that name.
    axis: usize,
    /// By value: its number on the other arm's axis, if it is there.
    values: Vec<Option<usize>>,
}

impl AxisTranslation {
    fn new(axis: &Axis, others: &[Axis]) -> Option<Self> {
        let number = others.iter().position(|other| other.name == axis.name)?;
        let values = axis
            .values
            .iter()
            .map(|value| {
                others[number]
                    .values
                    .iter()
                    .position(|other| other == value)
            })
            .collect();
        Some(Self {
            axis: number,
            values,
        })
    }
}

/// The canonical text of each value of each axis, sorted by the axes' names.
fn canonical_fragments(axes: &[Axis]) -> Vec<AxisFragments> {
    let mut fragments: Vec<AxisFragments> = axes
        .iter()
        .enumerate()
        .map(|(number, axis)| AxisFragments {
            axis: number,
            texts: axis_texts(axis),
        })
        .collect();
    fragments.sort_by(|a, b| axes[a.axis].name.cmp(&axes[b.axis].name));
    fragments
}

fn axis_texts(axis: &Axis) -> Vec<String> {
    axis.values
        .iter()
        .map(|value| {
            let alone: Config = [(axis.name.clone(), value.clone())].into_iter().collect();
            let text = alone.canonical();
            // Without the braces.
            text[1..text.len() - 1].to_owned()
        })
        .collect()
}

/// The grid of all combinations of the axes' values.
fn full_product(axes: &[Axis]) -> Subgrid {
    let dimensions = axes
        .iter()
        .enumerate()
        .map(|(number, axis)| Dimension {
            axes: vec![number],
            settings: (0..axis.values.len()).map(|value| vec![value]).collect(),
            when: String::new(),
        })
        .collect();
    let sides = axes
        .iter()
        .map(|axis| Side::all(axis.values.len()))
        .collect();

    Subgrid {
        dimensions,
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
            huge.point(PointIndex(999_999_999_999)).config.canonical(),
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
            prop_assert!(grid.map_canonical(str::to_owned).eq(grid.points().map(|point| point.config.canonical())));
            for (number, point) in grid.points().enumerate() {
                prop_assert_eq!(point.index, PointIndex(number as u64));
                prop_assert_eq!(&grid.point(point.index), &point);
            }
        }
    }
}
