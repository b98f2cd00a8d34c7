//! Grids of every shape, written as sweep files, against a model that lays all combinations out.

use std::collections::HashSet;

use proptest::prelude::*;

use super::shapes_model::{Draw, ModelPoint, PARAMS, name};
use super::{Grid, Point};
use crate::spec::{ParamValue, read};

#[test]
fn enough_drawn_sweeps_are_valid() {
    let valid = (0..400)
        .filter(|seed| Draw(*seed).sweep().points().is_some())
        .count();
    assert!(
        valid > 60,
        "{valid} of 400: the property below would be weak"
    );
}

fn model_point(point: &Point) -> ModelPoint {
    let number = |key: &String| (0..PARAMS).find(|param| name(*param) == key).unwrap();
    let values = point.config.0.iter();
    values
        .map(|(key, value)| match value {
            ParamValue::Int(value) => (number(key), *value),
            other => panic!("{other:?} is not an integer"),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_shape_has_the_points_of_its_model(seed: u64) {
        let sweep = Draw(seed).sweep();
        let text = sweep.write();
        let (spec, model) = match (read(&text, "t.yaml"), sweep.points()) {
            (Ok(spec), Some(model)) => (spec, model),
            (Err(_), None) => return Ok(()),
            (found, expected) => panic!("{text}\n{found:?}\nbut the model has {expected:?}"),
        };
        let grid = Grid::new(&spec);

        let mut sets: Vec<HashSet<_>> = Vec::new();
        for (arm, expected) in grid.arms().iter().zip(&model) {
            let found: Vec<ModelPoint> = arm.points().map(|point| model_point(&point)).collect();
            prop_assert_eq!(&found, expected, "{}", text);
            prop_assert_eq!(arm.len() as usize, expected.len());
            let ids: HashSet<_> = arm.points().map(|point| point.id).collect();
            prop_assert_eq!(ids.len(), expected.len());
            prop_assert!(arm.ids().eq(arm.points().map(|point| point.id)), "{}", text);
            sets.push(ids);

            let places: Vec<Vec<Option<usize>>> = arm.indices().map(|index| arm.places(index)).collect();
            for second in 1..arm.arm().axes.len() {
                let first = second - 1;
                for (row, found) in arm.pairs(first, second).iter().enumerate() {
                    for (column, found) in found.iter().enumerate() {
                        let occurs = places.iter().any(|at| at[first] == Some(column) && at[second] == Some(row));
                        prop_assert_eq!(*found, occurs, "{}", text);
                    }
                }
            }

            // Axes have the values that occur, and no others.
            for (number, axis) in arm.arm().axes.iter().enumerate() {
                let places: Vec<Option<usize>> = places.iter().map(|at| at[number]).collect();
                prop_assert!((0..axis.values.len()).all(|value| places.contains(&Some(value))), "{}", text);
                prop_assert_eq!(arm.is_lacking(number), places.contains(&None), "{}", text);
            }
        }

        let overlap = sets.len() == 2 && !sets[0].is_disjoint(&sets[1]);
        prop_assert_eq!(grid.arms_overlap(), overlap, "{}", text);
    }
}
