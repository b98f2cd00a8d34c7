//! Grid shapes: the points of sweeps with `zip`, `exclude`, `when` and `grids`. Mistakes in them
//! are in `shape_rules` and `shape_conditions`.

use super::{BUILTIN, WORKER, good};
use crate::grid::Grid;

/// The points of every arm, one a line.
fn points(text: &str) -> String {
    let arm = |arm: &crate::grid::ArmGrid| -> String {
        let points = arm
            .points()
            .map(|point| format!("  {}\n", point.config.canonical()));
        format!("{}\n{}", arm.arm().name, points.collect::<String>())
    };
    format!(
        "\n{}",
        Grid::new(&good(text))
            .arms()
            .iter()
            .map(arm)
            .collect::<String>()
    )
}

/// A sweep of a user's program.
pub(super) fn file(rest: &str) -> String {
    format!("{WORKER}{rest}")
}

#[test]
fn a_zip_advances_its_members_together_at_the_place_of_the_first() {
    insta::assert_snapshot!(points(&file(
        "parameters:\n  lr: {values: [0.1, 0.1, 0.5]}\n  seeded: {values: [true, false]}\n  batch_size: {values: [32, 64, 64]}\nzip: [lr, batch_size]\n"
    )), @r#"
main
  {"batch_size":32,"lr":0.1,"seeded":true}
  {"batch_size":32,"lr":0.1,"seeded":false}
  {"batch_size":64,"lr":0.1,"seeded":true}
  {"batch_size":64,"lr":0.1,"seeded":false}
  {"batch_size":64,"lr":0.5,"seeded":true}
  {"batch_size":64,"lr":0.5,"seeded":false}
"#);
}

#[test]
fn several_zips_in_arms_over_common_parameters() {
    insta::assert_snapshot!(points(&file(
        "parameters: {a: {values: [1, 2]}}\narms:\n  x: {parameters: {b: {values: [3, 4]}}, zip: [[a, b]]}\n  y: {parameters: {a: {value: 9}}}\n"
    )), @r#"
x
  {"a":1,"b":3}
  {"a":2,"b":4}
y
  {"a":9}
"#);
}

#[test]
fn exclude_removes_single_points_and_whole_slices() {
    insta::assert_snapshot!(points(&file(
        "parameters:\n  optimizer: {values: [sgd, adam]}\n  lr: {values: [1, 10, 100], type: float}\nexclude:\n  - {optimizer: adam, lr: [10, 100]}\n  - lr: 1\n    optimizer: sgd\n"
    )), @r#"
main
  {"lr":10.0,"optimizer":"sgd"}
  {"lr":100.0,"optimizer":"sgd"}
  {"lr":1.0,"optimizer":"adam"}
"#);
}

#[test]
fn a_condition_may_depend_on_a_conditional_parameter() {
    insta::assert_snapshot!(points(&file(
        "parameters:\n  optimizer: {values: [sgd, adam]}\n  momentum: {values: [0, 0.9], when: {optimizer: sgd}}\n  nesterov: {values: [true, false], when: {momentum: 0.9}}\n  beta: {value: 0.99, when: {optimizer: adam}}\n"
    )), @r#"
main
  {"momentum":0,"optimizer":"sgd"}
  {"momentum":0.9,"nesterov":true,"optimizer":"sgd"}
  {"momentum":0.9,"nesterov":false,"optimizer":"sgd"}
  {"beta":0.99,"optimizer":"adam"}
"#);
}

#[test]
fn points_that_lack_a_parameter_come_first_if_its_condition_is_further_down() {
    insta::assert_snapshot!(points(&file(
        "parameters:\n  momentum: {values: [0, 0.9], when: {optimizer: sgd}}\n  optimizer: {values: [sgd, adam]}\n"
    )), @r#"
main
  {"optimizer":"adam"}
  {"momentum":0,"optimizer":"sgd"}
  {"momentum":0.9,"optimizer":"sgd"}
"#);
}

#[test]
fn a_union_has_a_point_once_at_its_first_place() {
    insta::assert_snapshot!(points(&file(
        "parameters: {task: {value: t}}\ngrids:\n  - parameters: {lr: {values: [1, 2]}, wd: {values: [0, 1]}}\n  - parameters: {wd: {values: [1, 2]}, lr: {values: [2, 3]}}\n    exclude: [{wd: 2, lr: 3}]\n  - parameters: {lr: {value: 1}}\n"
    )), @r#"
main
  {"lr":1,"task":"t","wd":0}
  {"lr":1,"task":"t","wd":1}
  {"lr":2,"task":"t","wd":0}
  {"lr":2,"task":"t","wd":1}
  {"lr":3,"task":"t","wd":1}
  {"lr":2,"task":"t","wd":2}
  {"lr":1,"task":"t"}
"#);
}

#[test]
fn a_zip_in_one_grid_meets_a_product_in_another() {
    insta::assert_snapshot!(points(&file(
        "grids:\n  - {parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}, zip: [a, b]}\n  - {parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}}\n"
    )), @r#"
main
  {"a":1,"b":1}
  {"a":2,"b":2}
  {"a":1,"b":2}
  {"a":2,"b":1}
"#);
}

#[test]
fn a_common_rule_needs_an_effect_in_one_arm_only() {
    insta::assert_snapshot!(points(&file(
        "parameters: {lr: {values: [1, 2]}, momentum: {values: [0, 0.9], when: {optimizer: sgd}}}\nexclude: [{optimizer: adam, lr: 2}]\narms:\n  s: {parameters: {optimizer: {value: sgd}}}\n  a: {parameters: {optimizer: {value: adam}}}\n  n: {}\n"
    )), @r#"
s
  {"lr":1,"momentum":0,"optimizer":"sgd"}
  {"lr":1,"momentum":0.9,"optimizer":"sgd"}
  {"lr":2,"momentum":0,"optimizer":"sgd"}
  {"lr":2,"momentum":0.9,"optimizer":"sgd"}
a
  {"lr":1,"optimizer":"adam"}
n
  {"lr":1}
  {"lr":2}
"#);
}

#[test]
fn axes_hold_only_values_that_occur() {
    let spec = good(&file(
        "parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}, c: {value: 0, when: {opt: x}}}\nexclude: [{a: 2}]\narms: {p: {}, q: {parameters: {opt: {value: x}}}}\n",
    ));
    let axes = |arm: usize| -> String {
        spec.arms[arm]
            .axes
            .iter()
            .map(|axis| format!("{}:{} ", axis.name, axis.values.len()))
            .collect()
    };
    assert_eq!(
        (axes(0).trim(), axes(1).trim()),
        ("a:2 b:2", "a:2 b:2 c:1 opt:1")
    );
}

#[test]
fn every_optimizer_in_one_arm() {
    let spec = good(&format!(
        "{BUILTIN}parameters:\n  optimizer: {{values: [sgd, sgd_momentum, adam]}}\n  lr: {{values: [0.1, 1]}}\n  momentum: {{values: [0.5, 0.9], when: {{optimizer: sgd_momentum}}}}\n  beta1: {{values: [0.8, 0.9], when: {{optimizer: adam}}}}\n"
    ));
    assert_eq!(Grid::new(&spec).len(), 2 + 4 + 4);
}
