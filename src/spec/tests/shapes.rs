//! Grid shapes: what `zip`, `exclude`, `when` and `grids` make of a sweep, and the mistakes in them.

use super::{BUILTIN, WORKER, each, good, shown};
use crate::grid::Grid;

/// The points of every arm, one a line.
fn points(text: &str) -> String {
    let arm = |arm: &crate::grid::ArmGrid| -> String {
        let points = arm.points().map(|point| format!("  {}\n", point.config.canonical()));
        format!("{}\n{}", arm.arm().name, points.collect::<String>())
    };
    format!("\n{}", Grid::new(&good(text)).arms().iter().map(arm).collect::<String>())
}

/// A sweep of somebody's own program.
fn file(rest: &str) -> String {
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
fn exclude_takes_single_points_and_whole_slices_away() {
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
fn a_condition_may_hang_on_a_conditional_parameter() {
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
fn to_lack_a_parameter_comes_first_where_its_condition_is_further_down() {
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
fn a_union_counts_a_point_once_where_it_is_first() {
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
fn a_common_rule_needs_to_mean_something_in_one_arm_only() {
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
fn axes_hold_what_occurs() {
    let spec = good(&file(
        "parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}, c: {value: 0, when: {opt: x}}}\nexclude: [{a: 2}]\narms: {p: {}, q: {parameters: {opt: {value: x}}}}\n",
    ));
    let axes = |arm: usize| -> String {
        spec.arms[arm].axes.iter().map(|axis| format!("{}:{} ", axis.name, axis.values.len())).collect()
    };
    assert_eq!((axes(0).trim(), axes(1).trim()), ("a:2 b:2", "a:2 b:2 c:1 opt:1"));
}

#[test]
fn every_optimizer_in_one_arm() {
    let spec = good(&format!(
        "{BUILTIN}parameters:\n  optimizer: {{values: [sgd, sgd_momentum, adam]}}\n  lr: {{values: [0.1, 1]}}\n  momentum: {{values: [0.5, 0.9], when: {{optimizer: sgd_momentum}}}}\n  beta1: {{values: [0.8, 0.9], when: {{optimizer: adam}}}}\n"
    ));
    assert_eq!(Grid::new(&spec).len(), 2 + 4 + 4);
}

#[test]
fn mistakes_in_zips() {
    insta::assert_snapshot!(each(&[
        &file("parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}}\nzip: [a, b]\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}\nzip: [a, bb]\n"),
        &file("parameters: {a: {values: [1, 1, 2]}, b: {values: [3, 3, 3]}}\nzip: [a, b]\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}, c: {values: [1, 2]}}\nzip: [[a, b], [b, c]]\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2], when: {c: 1}}, c: {values: [1, 2]}}\nzip: [a, b]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a, a]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a, [a, b]]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: {a: b}\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [[a, {b: c}]]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: []\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a, b]\narms: {x: {parameters: {b: {values: [1, 2]}}}}\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}\nzip: [a, b]\narms: {x: {parameters: {b: {value: 1}}}}\n"),
    ]), @r#"
sweep.yaml:
  × the sweep: `a` has 3 values and `b` has 2 values, so they cannot advance together
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}}
 6 │ zip: [a, b]
   ·       ┬  ┬
   ·       │  ╰── 2 values
   ·       ╰── 3 values
   ╰────
  help: give each parameter of a `zip` group as many values as the others

  × `zip` names the unknown parameter `bb`
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}
 6 │ zip: [a, bb]
   ·          ─┬
   ·           ╰── unknown parameter
   ╰────
  help: did you mean `b`? parameters here: a and b

  × `a` and `b`: pair 2 has the values of pair 1
   ╭─[sweep.yaml:5:30]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [1, 1, 2]}, b: {values: [3, 3, 3]}}
   ·                           ┬  ┬
   ·                           │  ╰── again
   ·                           ╰── first here
 6 │ zip: [a, b]
   ╰────
  help: remove one of them from each list

  × `b` is in two groups of `zip`
   ╭─[sweep.yaml:6:16]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}, c: {values: [1, 2]}}
 6 │ zip: [[a, b], [b, c]]
   ·           ┬    ┬
   ·           │    ╰── and here
   ·           ╰── here
   ╰────
  help: write one group with all parameters that advance together

  × `a` and `b` do not exist under the same condition
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2], when: {c: 1}}, c: {values: [1, 2]}…
 6 │ zip: [a, b]
   ·       ┬  ┬
   ·       │  ╰── another condition
   ·       ╰── advances with this
   ╰────
  help: give all parameters of a `zip` group the same `when`, or none of them one

  × a group of `zip` needs at least two parameters
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a]
   ·      ─┬─
   ·       ╰── nothing to pair
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `a` is twice in a group of `zip`
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a, a]
   ·       ┬  ┬
   ·       │  ╰── again
   ·       ╰── first here
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` mixes names and groups of names
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a, [a, b]]
   ·      ─────┬─────
   ·           ╰── names and lists
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` must be a list, not a mapping
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: {a: b}
   ·      ───┬──
   ·         ╰── not a list
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` groups names of parameters, not a mapping
   ╭─[sweep.yaml:6:11]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [[a, {b: c}]]
   ·           ───┬──
   ·              ╰── not a name
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` is empty
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: []
   ·      ─┬
   ·       ╰── nothing in it
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` names `b`, a parameter of arm `x` alone
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a, b]
   ·          ┬
   ·          ╰── not here
 7 │ arms: {x: {parameters: {b: {values: [1, 2]}}}}
   ╰────
  help: write the group under the `zip` beside that parameter

  × arm `x`: `a` has 2 values and `b` has 1 value, so they cannot advance together
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}
 6 │ zip: [a, b]
   ·       ┬  ┬
   ·       │  ╰── 1 value
   ·       ╰── 2 values
 7 │ arms: {x: {parameters: {b: {value: 1}}}}
   ╰────
  help: give each parameter of a `zip` group as many values as the others
"#);
}

#[test]
fn mistakes_in_rules() {
    insta::assert_snapshot!(each(&[
        &file("parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}\nexclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: [{lr: [0.1, 1.0]}]\n"),
        &file("parameters: {o: {values: [s, a]}, m: {values: [1, 2], when: {o: s}}}\nexclude: [{o: a, m: 1}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: {lr: 1.0}\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: []\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}, x: {values: [a, b]}}\nexclude: [{x: yes}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\narms:\n  a: {exclude: [{lr: 1.0}, {lr: 0.1}]}\n  b: {}\n"),
        &format!("{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{values: [1, 10]}}}}\nexclude: [{{lr: \"1\"}}, {{lr: 3}}]\n"),
    ]), @r#"
sweep.yaml:
  × `exclude` names the unknown parameter `lrr`
   ╭─[sweep.yaml:6:12]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·            ─┬─
   ·             ╰── unknown parameter
   ╰────
  help: did you mean `lr`? parameters here: lr and opt

  × `lr` never has the value `1`
   ╭─[sweep.yaml:6:26]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·                          ┬
   ·                          ╰── no such value
   ╰────
  help: did you mean 1.0, a float? the values of `lr`: 0.1 and 1.0

  × `lr` never has the value `2`
   ╭─[sweep.yaml:6:35]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·                                   ┬
   ·                                   ╰── no such value
   ╰────
  help: the values of `lr`: 0.1 and 1.0

  × `opt` never has the value `adm`
   ╭─[sweep.yaml:6:43]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·                                           ─┬─
   ·                                            ╰── no such value
   ╰────
  help: did you mean `adam`? the values of `opt`: sgd and adam

4 problems
  × `exclude` leaves nothing of the sweep
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
   · ─────┬────
   ·      ╰── no point is left
 6 │ exclude: [{lr: [0.1, 1.0]}]
   ·            ─┬
   ·             ╰── the last rule that matches
   ╰────
  help: remove a rule, or add values that no rule matches

  × a rule of `exclude` matches no configuration
   ╭─[sweep.yaml:6:12]
 5 │ parameters: {o: {values: [s, a]}, m: {values: [1, 2], when: {o: s}}}
 6 │ exclude: [{o: a, m: 1}]
   ·            ┬
   ·            ╰── matches nothing
   ╰────
  help: no configuration has all of its values together: change the rule, or remove it

  × `exclude` must be a list, not a mapping
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: {lr: 1.0}
   ·          ────┬────
   ·              ╰── not a list
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × a rule of `exclude` must be a mapping, not a single value
   ╭─[sweep.yaml:6:11]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·           ─┬
   ·            ╰── not a rule
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × a rule of `exclude` is empty
   ╭─[sweep.yaml:6:15]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·               ─┬
   ·                ╰── leaves out everything
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × `exclude` names values of `lr`: a value or a list of values, not a mapping
   ╭─[sweep.yaml:6:24]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·                        ──────┬─────
   ·                              ╰── no values
   ╰────
  help: write `lr: value` or `lr: [value, value]`

  × `exclude` names values of `lr`: a value or a list of values, not an empty value
   ╭─[sweep.yaml:6:40]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·                                        ─┬
   ·                                         ╰── no values
   ╰────
  help: write `lr: value` or `lr: [value, value]`

  × `exclude` names values of `lr`: a value or a list of values, not an empty list
   ╭─[sweep.yaml:6:52]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·                                                    ─┬
   ·                                                     ╰── no values
   ╰────
  help: write `lr: value` or `lr: [value, value]`

5 problems
  × `exclude` is empty
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: []
   ·          ─┬
   ·           ╰── nothing in it
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × x: `yes` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:6:15]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, x: {values: [a, b]}}
 6 │ exclude: [{x: yes}]
   ·               ─┬─
   ·                ╰── ambiguous
   ╰────
  help: write true for the boolean, or "yes" in quotes for the text

  × `exclude` leaves nothing of arm `a`
   ╭─[sweep.yaml:7:3]
 6 │ arms:
 7 │   a: {exclude: [{lr: 1.0}, {lr: 0.1}]}
   ·   ┬                         ─┬
   ·   │                          ╰── the last rule that matches
   ·   ╰── no point is left
 8 │   b: {}
   ╰────
  help: remove a rule, or add values that no rule matches

  × lr: expected a number, found the text `1`
   ╭─[sweep.yaml:6:16]
 5 │ parameters: {optimizer: {value: sgd}, lr: {values: [1, 10]}}
 6 │ exclude: [{lr: "1"}, {lr: 3}]
   ·                ─┬─
   ·                 ╰── not a number
   ╰────
  help: remove the quotes: 1

  × `lr` never has the value `3`
   ╭─[sweep.yaml:6:27]
 5 │ parameters: {optimizer: {value: sgd}, lr: {values: [1, 10]}}
 6 │ exclude: [{lr: "1"}, {lr: 3}]
   ·                           ┬
   ·                           ╰── no such value
   ╰────
  help: the values of `lr`: 1.0 and 10.0

2 problems
"#);
}

#[test]
fn mistakes_in_conditions() {
    insta::assert_snapshot!(each(&[
        &file("parameters: {o: {values: [s, a]}, m: {value: 1, when: {oo: s}}, n: {value: 1, when: {o: [s, b]}}}\n"),
        &file("parameters: {a: {values: [1, 2], when: {c: 1}}, b: {values: [1, 2], when: {a: 1}}, c: {values: [1, 2], when: {b: 1}}}\n"),
        &file("parameters: {a: {values: [1, 2], when: {a: 1}}}\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2], when: {a: 1}}, c: {value: 1, when: {a: 2, b: 1}}}\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {value: 1, when: a}, c: {value: 1, when: {}}, d: {value: 1, when: {a: {b: 1}}}}\n"),
        &file("parameters: {a: {values: [1, 2]}, g: {when: {a: 1}, parameters: {x: {value: 1}}}}\n"),
    ]), @r#"
sweep.yaml:
  × `when` names the unknown parameter `oo`
   ╭─[sweep.yaml:5:56]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …s: {o: {values: [s, a]}, m: {value: 1, when: {oo: s}}, n: {value: 1, when: {o: [s, b]}}}
   ·                                                ─┬
   ·                                                 ╰── unknown parameter
   ╰────
  help: did you mean `o`? parameters here: o, m and n

  × `o` never has the value `b`
   ╭─[sweep.yaml:5:93]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …s: {o: {values: [s, a]}, m: {value: 1, when: {oo: s}}, n: {value: 1, when: {o: [s, b]}}}
   ·                                                                                     ┬
   ·                                                                                     ╰── no such value
   ╰────
  help: did you mean `s`? the values of `o`: s and a

2 problems
  × the conditions of `a`, `c` and `b` go in a circle
   ╭─[sweep.yaml:5:14]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [1, 2], when: {c: 1}}, b: {values: [1, 2], when: {a: 1}}, c: {v…
   ·              ┬
   ·              ╰── depends on itself
   ╰────
  help: a parameter's `when` must name parameters that exist without it

  × the condition of `a` speaks of itself
   ╭─[sweep.yaml:5:14]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [1, 2], when: {a: 1}}}
   ·              ┬
   ·              ╰── depends on itself
   ╰────
  help: a parameter's `when` must name parameters that exist without it

  × `c` exists in no configuration
   ╭─[sweep.yaml:5:70]
 4 │ seeds: {tune: 2, final: 3}
 5 │ … {values: [1, 2]}, b: {values: [1, 2], when: {a: 1}}, c: {value: 1, when: {a: 2, b: 1}}}
   ·                                                        ┬
   ·                                                        ╰── its condition never holds
   ╰────
  help: no configuration has all values of its `when` together: change the condition, or remove it

  × `when` must be a mapping, not a single value
   ╭─[sweep.yaml:5:55]
 4 │ seeds: {tune: 2, final: 3}
 5 │ … 2]}, b: {value: 1, when: a}, c: {value: 1, when: {}}, d: {value: 1, when: {a: {b: 1}}}}
   ·                            ┬
   ·                            ╰── expected a mapping
   ╰────
  help: write it as `when: {optimizer: sgd}`

  × `when` is empty
   ╭─[sweep.yaml:5:79]
 4 │ seeds: {tune: 2, final: 3}
 5 │ … 2]}, b: {value: 1, when: a}, c: {value: 1, when: {}}, d: {value: 1, when: {a: {b: 1}}}}
   ·                                                    ─┬
   ·                                                     ╰── no condition
   ╰────
  help: write `when: {optimizer: sgd}`, or remove the key

  × `when` names values of `a`: a value or a list of values, not a mapping
   ╭─[sweep.yaml:5:108]
 4 │ seeds: {tune: 2, final: 3}
 5 │ … 2]}, b: {value: 1, when: a}, c: {value: 1, when: {}}, d: {value: 1, when: {a: {b: 1}}}}
   ·                                                                                 ───┬──
   ·                                                                                    ╰── no values
   ╰────
  help: write `a: value` or `a: [value, value]`

3 problems
  × a group of parameters has no condition
   ╭─[sweep.yaml:5:39]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [1, 2]}, g: {when: {a: 1}, parameters: {x: {value: 1}}}}
   ·                                       ──┬─
   ·                                         ╰── not here
   ╰────
  help: give each nested parameter its own `when`
"#);
}

#[test]
fn mistakes_in_unions() {
    insta::assert_snapshot!(each(&[
        &file("grids: [{parameters: {a: {value: 1}}}]\narms: {x: {parameters: {a: {value: 1}}}}\n"),
        &file("grids: {parameters: {a: {value: 1}}}\n"),
        &file("grids: [{parameters: {a: {value: 1}}, label: x}, [], {}]\n"),
        &file("arms: {x: {parameters: {a: {values: [1, 2]}}, grids: [{parameters: {b: {values: [1]}}, exclude: [{c: 1}]}, {zip: [a, b]}]}}\n"),
        &format!("{BUILTIN}parameters: {{lr: {{value: 1}}}}\ngrids: [{{parameters: {{optimizer: {{value: sgd}}}}}}, {{parameters: {{optimizer: {{value: hybrid}}}}}}]\n"),
    ]), @r#"
sweep.yaml:
  × both `grids` and `arms`: the grids belong to no arm
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ grids: [{parameters: {a: {value: 1}}}]
   · ──┬──
   ·   ╰── grids of which arm?
 6 │ arms: {x: {parameters: {a: {value: 1}}}}
   · ──┬─
   ·   ╰── the arms
   ╰────
  help: write `grids` in the arm whose union they are

  × `grids` must be a list, not a mapping
   ╭─[sweep.yaml:5:8]
 4 │ seeds: {tune: 2, final: 3}
 5 │ grids: {parameters: {a: {value: 1}}}
   ·        ──────────────┬──────────────
   ·                      ╰── not a list
   ╰────
  help: write a list of grids: `grids: [{parameters: {lr: {values: [0.1, 1]}}}, {parameters:
        {...}}]`

  × unknown key `label` in a grid
   ╭─[sweep.yaml:5:39]
 4 │ seeds: {tune: 2, final: 3}
 5 │ grids: [{parameters: {a: {value: 1}}, label: x}, [], {}]
   ·                                       ──┬──
   ·                                         ╰── unknown key
   ╰────
  help: known keys: parameters, zip and exclude

  × a grid must be a mapping, not a list
   ╭─[sweep.yaml:5:50]
 4 │ seeds: {tune: 2, final: 3}
 5 │ grids: [{parameters: {a: {value: 1}}, label: x}, [], {}]
   ·                                                  ─┬
   ·                                                   ╰── not a grid
   ╰────
  help: write a list of grids: `grids: [{parameters: {lr: {values: [0.1, 1]}}}, {parameters:
        {...}}]`

2 problems
  × `exclude` names the unknown parameter `c`
   ╭─[sweep.yaml:5:99]
 4 │ seeds: {tune: 2, final: 3}
 5 │ … [1, 2]}}, grids: [{parameters: {b: {values: [1]}}, exclude: [{c: 1}]}, {zip: [a, b]}]}}
   ·                                                                 ┬
   ·                                                                 ╰── unknown parameter
   ╰────
  help: did you mean `a`? parameters here: a and b

  × `zip` names the unknown parameter `b`
   ╭─[sweep.yaml:5:118]
 4 │ seeds: {tune: 2, final: 3}
 5 │ … [1, 2]}}, grids: [{parameters: {b: {values: [1]}}, exclude: [{c: 1}]}, {zip: [a, b]}]}}
   ·                                                                                    ┬
   ·                                                                                    ╰── unknown parameter
   ╰────
  help: did you mean `a`? parameters here: a

2 problems
  × `lr` means nothing to hybrid
   ╭─[sweep.yaml:5:14]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {lr: {value: 1}}
   ·              ─┬
   ·               ╰── not for hybrid
 6 │ grids: [{parameters: {optimizer: {value: sgd}}}, {parameters: {optimizer: {value: hybrid…
   ╰────
  help: `lr` belongs to sgd, sgd_momentum, adam and adahessian; hybrid takes momentum, dampening,
        tl, lr1, lr2, beta1, beta2, eps and hessian_power

  × grid 2 of the sweep lacks `momentum`, needed by hybrid
   ╭─[sweep.yaml:6:51]
 5 │ parameters: {lr: {value: 1}}
 6 │ …s: [{parameters: {optimizer: {value: sgd}}}, {parameters: {optimizer: {value: hybrid}}}]
   ·                                                ─────┬────
   ·                                                     ╰── no `momentum`
   ╰────
  help: add `momentum: {values: [...]}` to its parameters: momentum β (hybrid: of its first phase)

  × grid 2 of the sweep lacks `tl`, needed by hybrid
   ╭─[sweep.yaml:6:51]
 5 │ parameters: {lr: {value: 1}}
 6 │ …s: [{parameters: {optimizer: {value: sgd}}}, {parameters: {optimizer: {value: hybrid}}}]
   ·                                                ─────┬────
   ·                                                     ╰── no `tl`
   ╰────
  help: add `tl: {values: [...]}` to its parameters: validation loss below which hybrid switches
        to AdaHessian

  × grid 2 of the sweep lacks `lr1`, needed by hybrid
   ╭─[sweep.yaml:6:51]
 5 │ parameters: {lr: {value: 1}}
 6 │ …s: [{parameters: {optimizer: {value: sgd}}}, {parameters: {optimizer: {value: hybrid}}}]
   ·                                                ─────┬────
   ·                                                     ╰── no `lr1`
   ╰────
  help: add `lr1: {values: [...]}` to its parameters: learning rate of hybrid's first phase (SGD
        with momentum)

  × grid 2 of the sweep lacks `lr2`, needed by hybrid
   ╭─[sweep.yaml:6:51]
 5 │ parameters: {lr: {value: 1}}
 6 │ …s: [{parameters: {optimizer: {value: sgd}}}, {parameters: {optimizer: {value: hybrid}}}]
   ·                                                ─────┬────
   ·                                                     ╰── no `lr2`
   ╰────
  help: add `lr2: {values: [...]}` to its parameters: learning rate of hybrid's second phase
        (AdaHessian)

5 problems
"#);
}

#[test]
fn conditions_that_do_not_fit_the_optimizers() {
    insta::assert_snapshot!(each(&[
        &format!("{BUILTIN}parameters:\n  optimizer: {{values: [sgd, sgd_momentum, adam]}}\n  lr: {{value: 0.1}}\n  momentum: {{value: 0.9}}\n"),
        &format!("{BUILTIN}parameters:\n  optimizer: {{values: [sgd, sgd_momentum]}}\n  lr: {{values: [0.1, 1]}}\n  momentum: {{value: 0.9, when: {{optimizer: sgd_momentum, lr: 1}}}}\n"),
        &format!("{BUILTIN}parameters:\n  optimizer: {{value: sgd, when: {{epochs: 1}}}}\n  lr: {{value: 0.1}}\n  epochs: {{values: [1, 2]}}\n"),
    ]), @r#"
sweep.yaml:
  × `momentum` means nothing to sgd and adam
   ╭─[sweep.yaml:8:3]
 7 │   lr: {value: 0.1}
 8 │   momentum: {value: 0.9}
   ·   ────┬───
   ·       ╰── not for sgd
   ╰────
  help: `momentum` belongs to sgd_momentum and hybrid; sgd takes lr; give each optimizer an arm of
        its own, or say when the parameter exists: `when: {optimizer: sgd_momentum}`

  × some configurations of sgd_momentum lack `momentum`
   ╭─[sweep.yaml:8:3]
 7 │   lr: {values: [0.1, 1]}
 8 │   momentum: {value: 0.9, when: {optimizer: sgd_momentum, lr: 1}}
   ·   ────┬───
   ·       ╰── needed by sgd_momentum
   ╰────
  help: let its `when` hold for sgd_momentum: momentum β (hybrid: of its first phase)

  × some configurations have no `optimizer`
   ╭─[sweep.yaml:6:3]
 5 │ parameters:
 6 │   optimizer: {value: sgd, when: {epochs: 1}}
   ·   ────┬────
   ·       ╰── not always there
 7 │   lr: {value: 0.1}
   ╰────
  help: let it exist always: a configuration with lr and epochs alone cannot be trained
"#);
}

#[test]
fn a_shaped_grid_without_tuning_seeds_or_of_absurd_size() {
    let values = (0..1000).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
    let axes: String = (0..12).map(|axis| format!("  a{axis}: {{values: [{values}]}}\n")).collect();
    let huge = file(&format!("parameters:\n{axes}exclude: [{{a0: 1, a1: 2}}]\nzip: [a5, a6]\n"));
    let problems = super::bad(&huge).problems;
    assert_eq!(problems.len(), 1);
    insta::assert_snapshot!(format!("{} ({})", problems[0].message, problems[0].help.as_deref().unwrap_or_default()), @"the sweep has more than 10^33 trials; at most 10,000,000 are possible (main: more than 10^32 points × 2 seeds; try fewer values)");
    insta::assert_snapshot!(shown(&file("parameters: {a: {values: [1, 2, 3]}}\nexclude: [{a: 1}]\n").replace("tune: 2", "tune: 0")), @r#"
sweep.yaml:
  × without tuning seeds no point can be chosen, and the sweep has 2 points
   ╭─[sweep.yaml:4:15]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 0, final: 3}
   ·               ┬
   ·               ╰── no tuning seeds
 5 │ parameters: {a: {values: [1, 2, 3]}}
   · ─────┬────
   ·      ╰── 2 points
 6 │ exclude: [{a: 1}]
   ╰────
  help: give `tune` at least 1, or every parameter a single value
"#);
}

#[test]
fn rules_that_shatter_a_grid() {
    // Each rule of two parameters cuts what the others have left in pieces.
    let axes: String = (0..12).map(|axis| format!("  a{axis}: {{values: [0, 1, 2, 3, 4]}}\n")).collect();
    let rule = |n: usize| format!("  - {{a{}: {}, a{}: {}}}\n", n % 12, n % 5, (n + 1 + n / 12) % 12, n / 7 % 5);
    let rules: String = (0..120).map(rule).collect();
    let problems = super::bad(&file(&format!("parameters:\n{axes}exclude:\n{rules}"))).problems;
    insta::assert_snapshot!(problems[0].message, @"the grids of the sweep fall apart into more than 5,000 products");
    let rules = "  - {a: 1}\n".repeat(1001);
    let problems = super::bad(&file(&format!("parameters: {{a: {{values: [1, 2]}}}}\nexclude:\n{rules}"))).problems;
    insta::assert_snapshot!(problems[0].message, @"`exclude` has 1001 items; at most 1000 are possible");
}
