//! Mistakes in `when` and `grids`, conditions that do not fit the built-in task, and shaped grids
//! with too many points.

use super::shapes::file;
use super::{BUILTIN, each, shown};

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
  × the conditions of `a`, `c` and `b` depend on each other in a circle
   ╭─[sweep.yaml:5:14]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [1, 2], when: {c: 1}}, b: {values: [1, 2], when: {a: 1}}, c: {v…
   ·              ┬
   ·              ╰── depends on itself
   ╰────
  help: a parameter's `when` must name parameters that exist without it

  × the condition of `a` names itself
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
fn a_shaped_grid_without_tuning_seeds_or_with_too_many_points() {
    let values = (0..1000)
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let axes: String = (0..12)
        .map(|axis| format!("  a{axis}: {{values: [{values}]}}\n"))
        .collect();
    let huge = file(&format!(
        "parameters:\n{axes}exclude: [{{a0: 1, a1: 2}}]\nzip: [a5, a6]\n"
    ));
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
fn rules_that_split_a_grid_too_often() {
    // Each rule of two parameters splits the regions that the others have left.
    let axes: String = (0..12)
        .map(|axis| format!("  a{axis}: {{values: [0, 1, 2, 3, 4]}}\n"))
        .collect();
    let rule = |n: usize| {
        format!(
            "  - {{a{}: {}, a{}: {}}}\n",
            n % 12,
            n % 5,
            (n + 1 + n / 12) % 12,
            n / 7 % 5
        )
    };
    let rules: String = (0..120).map(rule).collect();
    let problems = super::bad(&file(&format!("parameters:\n{axes}exclude:\n{rules}"))).problems;
    insta::assert_snapshot!(problems[0].message, @"the grids of the sweep split into more than 5,000 products");
    let rules = "  - {a: 1}\n".repeat(1001);
    let problems = super::bad(&file(&format!(
        "parameters: {{a: {{values: [1, 2]}}}}\nexclude:\n{rules}"
    )))
    .problems;
    insta::assert_snapshot!(problems[0].message, @"`exclude` has 1001 items; at most 1000 are possible");
}
