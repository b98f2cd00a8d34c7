//! The project's sweep files, and the JSON schema.

use super::good;
use crate::spec::{Spec, claims, json_schema, keys, task};

const PAPER: &str = include_str!("../../../sweeps/paper.yaml");
const TABLES: &str = include_str!("../../../sweeps/tables.yaml");
const AS_RUN: &str = include_str!("../../../sweeps/as-run.yaml");
const SGD_GRIDS: &str = include_str!("../../../sweeps/sgd-grids.yaml");
const SCHEMA: &str = include_str!("../../../sweeps/schema.json");

/// Points of each arm.
fn points(spec: &Spec) -> Vec<(&str, usize)> {
    spec.arms
        .iter()
        .map(|arm| {
            (
                arm.name.as_str(),
                arm.axes.iter().map(|axis| axis.values.len()).product(),
            )
        })
        .collect()
}

#[test]
fn the_paper_is_its_full_grid() {
    let spec = good(PAPER);
    assert_eq!(
        points(&spec),
        [
            ("sgd", 5),
            ("sgd_momentum", 25),
            ("adam", 125),
            ("adahessian", 125),
            ("hybrid", 15_625)
        ]
    );
    assert_eq!((spec.seeds.tune.len(), spec.seeds.final_.len()), (5, 10));
    let labels: Vec<&str> = spec.arms.iter().map(|arm| arm.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "SGD (β = 0)",
            "SGD with momentum",
            "Adam",
            "AdaHessian",
            "Hybrid"
        ]
    );
}

#[test]
fn the_tables_are_the_papers_best_points() {
    let spec = good(TABLES);
    assert!(points(&spec).iter().all(|(_, points)| *points == 1));
    assert_eq!((spec.seeds.tune.len(), spec.seeds.final_.len()), (0, 10));
    assert_eq!(spec.published, good(PAPER).published);
    assert_eq!(
        spec.published
            .values()
            .map(std::collections::BTreeMap::len)
            .sum::<usize>(),
        20
    );
    assert_eq!(spec.claims, good(PAPER).claims);
    assert_eq!(spec.claims.len(), 10);
    // Each is a point of the full grid.
    for (arm, full) in spec.arms.iter().zip(&good(PAPER).arms) {
        for axis in &arm.axes {
            let values = full
                .axes
                .iter()
                .find(|other| other.name == axis.name)
                .map(|other| &other.values);
            assert!(
                values.is_some_and(|values| values.contains(&axis.values[0])),
                "{}: {axis:?}",
                arm.name
            );
        }
    }
}

#[test]
fn as_run_differs_from_the_tables_only_by_the_protocol() {
    let (mut spec, tables) = (good(AS_RUN), good(TABLES));
    for arm in &mut spec.arms {
        let protocol = arm
            .axes
            .iter()
            .position(|axis| axis.name == "protocol")
            .map(|at| arm.axes.remove(at));
        assert_eq!(
            protocol.map(|axis| axis.values),
            Some(vec![crate::spec::ParamValue::Text("as_run".to_owned())])
        );
    }
    assert_eq!(
        (&spec.arms, &spec.seeds, &spec.published),
        (&tables.arms, &tables.seeds, &tables.published)
    );
    assert_eq!(spec.claims, tables.claims);
}

#[test]
fn the_sgd_grids_are_the_papers() {
    let spec = good(SGD_GRIDS);
    let paper = good(PAPER);
    assert_eq!(
        (&spec.arms[..], &spec.seeds),
        (&paper.arms[..2], &paper.seeds)
    );
    assert!(
        spec.published
            .iter()
            .all(|(arm, figures)| paper.published[arm] == *figures)
    );
}

#[test]
fn the_schema_in_the_tree_is_the_current_one() {
    assert!(
        SCHEMA == json_schema(),
        "sweeps/schema.json is out of date: cargo run -- schema > sweeps/schema.json"
    );
}

#[test]
fn schema_and_reader_know_the_same_keys() {
    let schema: serde_json::Value =
        serde_json::from_str(&json_schema()).expect("the schema is JSON");
    let names = |pointer: &str| -> Vec<String> {
        let object = schema.pointer(pointer).and_then(|value| value.as_object());
        object
            .unwrap_or_else(|| panic!("no {pointer}"))
            .keys()
            .cloned()
            .collect()
    };
    let known = |keys: &[keys::Key]| {
        keys.iter()
            .map(|key| key.name.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/properties"), known(keys::SWEEP));
    assert_eq!(names("/properties/metric/properties"), known(keys::METRIC));
    assert_eq!(names("/properties/seeds/properties"), known(keys::SEEDS));
    assert_eq!(names("/$defs/arm/properties"), known(keys::ARM));
    assert_eq!(names("/$defs/grid/properties"), known(keys::GRID));
    assert_eq!(names("/properties/limits/properties"), known(keys::LIMITS));
    assert_eq!(
        names("/properties/resources/properties"),
        known(keys::RESOURCES)
    );
    assert_eq!(names("/$defs/figure/properties"), known(keys::FIGURE));
    assert_eq!(names("/$defs/claim/properties"), known(keys::CLAIM));
    for kind in keys::CLAIM.iter().filter(|key| key.name != "says") {
        let parts = claims::kind_keys(kind.name);
        let example = claims::kind_example(kind.name);
        assert_eq!(
            names(&format!("/$defs/claim/properties/{}/properties", kind.name)),
            known(parts)
        );
        assert!(
            example.starts_with(&format!("{}: {{", kind.name)),
            "{example}"
        );
    }
    assert_eq!(names("/$defs/parameter/properties"), known(keys::PARAMETER));
    assert_eq!(
        names("/$defs/builtin/properties"),
        task::PARAMS
            .iter()
            .map(|param| param.name.to_owned())
            .collect::<Vec<_>>()
    );
    for pointer in [
        "/properties",
        "/$defs/arm/properties",
        "/$defs/builtin/properties",
        "/$defs/parameter/properties",
    ] {
        for (name, property) in schema
            .pointer(pointer)
            .and_then(|value| value.as_object())
            .expect("checked above")
        {
            assert!(property["description"].is_string(), "{pointer}/{name}");
        }
    }
}
