//! The points of a spec in grid order: arms as in the file; within an arm the last parameter changes fastest, as
//! in nested loops. Nothing is materialised: a point is computed from its number.

use super::ids::PointId;
use crate::spec::{Arm, Config, Spec};

/// All the points of a spec.
#[derive(Clone, Debug)]
pub struct Grid {
    arms: Vec<ArmGrid>,
}

/// The points of one arm.
#[derive(Clone, Debug)]
pub struct ArmGrid {
    arm: Arm,
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
        Self { arms: spec.arms.iter().cloned().map(ArmGrid::new).collect() }
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
        self.arms.iter().enumerate().any(|(i, a)| self.arms[i + 1..].iter().any(|b| a.overlaps(b)))
    }
}

impl ArmGrid {
    fn new(arm: Arm) -> Self {
        let len = arm.axes.iter().map(|axis| axis.values.len() as u64).product();
        Self { arm, len }
    }

    /// The arm whose points these are.
    pub fn arm(&self) -> &Arm {
        &self.arm
    }

    /// Number of points.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no points: never, for a valid spec.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The configuration of the point of that number.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn config(&self, index: u64) -> Config {
        assert!(index < self.len, "point {index} of an arm with {} points", self.len);
        let mut rest = index;
        let mut config = Config::default();
        for axis in self.arm.axes.iter().rev() {
            let count = axis.values.len() as u64;
            config.0.insert(axis.name.clone(), axis.values[(rest % count) as usize].clone());
            rest /= count;
        }
        config
    }

    /// The point of that number.
    ///
    /// # Panics
    /// If there is no such point.
    pub fn point(&self, index: u64) -> Point {
        let config = self.config(index);
        Point { id: PointId::of(&config), index, config }
    }

    /// The points, in grid order.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        (0..self.len).map(|index| self.point(index))
    }

    /// Names of the parameters that take more than one value: what a point of this arm is told by.
    pub fn searched(&self) -> impl Iterator<Item = &str> {
        self.arm.axes.iter().filter(|axis| axis.values.len() > 1).map(|axis| axis.name.as_str())
    }

    /// Whether a point stands in both arms: the same parameters, and a value in common on each.
    fn overlaps(&self, other: &Self) -> bool {
        self.arm.axes.len() == other.arm.axes.len()
            && self.arm.axes.iter().all(|axis| {
                let same = other.arm.axes.iter().find(|candidate| candidate.name == axis.name);
                same.is_some_and(|candidate| candidate.values.iter().any(|value| axis.values.contains(value)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Axis, ParamValue};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn arm(axes: &[(&str, usize)]) -> ArmGrid {
        let axes = axes
            .iter()
            .map(|(name, count)| Axis { name: (*name).into(), values: (0..*count as i64).map(ParamValue::Int).collect() })
            .collect();
        ArmGrid::new(Arm { name: "a".into(), label: "A".into(), axes })
    }

    #[test]
    fn the_last_parameter_changes_fastest() {
        let shown: Vec<_> = arm(&[("b", 2), ("a", 3)]).points().map(|point| point.config.canonical()).collect();
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
        assert_eq!(huge.point(999_999_999_999).config.canonical(), r#"{"a":999,"b":999,"c":999,"d":999}"#);
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
            for (number, point) in grid.points().enumerate() {
                prop_assert_eq!(point.index, number as u64);
                prop_assert_eq!(&grid.point(point.index), &point);
            }
        }
    }
}
