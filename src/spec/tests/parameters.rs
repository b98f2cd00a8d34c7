//! Mistakes in the names and the structure of parameters, for a user's program.

use super::{WORKER, shown};

/// A sweep with one parameter for each line.
pub(super) fn file(lines: &[&str]) -> String {
    let lines: String = lines
        .iter()
        .enumerate()
        .map(|(index, line)| format!("  p{index}: {line}\n"))
        .collect();
    format!("{WORKER}parameters:\n{lines}")
}

#[test]
fn shapes() {
    insta::assert_snapshot!(shown(&file(&[
        "0.1",
        "[0.1, 0.2]",
        "",
        "{}",
        "{value: 1, values: [1]}",
        "{value: 1, parameters: {x: {value: 1}}}",
        "{values: 3}",
        "{values: []}",
        "{values: }",
        "{value: [1, 2]}",
        "{values: [[1, 2], {a: 1}]}",
        "{parameters: {}}",
        "{parameters: [1]}",
        "{type: int, parameters: {x: {value: 1}}}",
        "{vales: [1]}",
    ])), @"
sweep.yaml:
  × the parameter `p0` must be a mapping with `value` or `values`
   ╭─[sweep.yaml:6:7]
 5 │ parameters:
 6 │   p0: 0.1
   ·       ─┬─
   ·        ╰── a single value, not a mapping
 7 │   p1: [0.1, 0.2]
   ╰────
  help: write `p0: {value: 0.1}`

  × the parameter `p1` must be a mapping with `value` or `values`
   ╭─[sweep.yaml:7:7]
 6 │   p0: 0.1
 7 │   p1: [0.1, 0.2]
   ·       ─────┬────
   ·            ╰── a list, not a mapping
 8 │   p2: 
   ╰────
  help: write `p1: {values: [...]}`

  × the parameter `p2` must be a mapping with `value` or `values`
   ╭─[sweep.yaml:8:3]
 7 │   p1: [0.1, 0.2]
 8 │   p2: 
   ·   ─┬
   ·    ╰── an empty value, not a mapping
 9 │   p3: {}
   ╰────
  help: write `p2: {value: ...}` or `p2: {values: [...]}`

  × the parameter `p3` has no value
    ╭─[sweep.yaml:9:3]
  8 │   p2: 
  9 │   p3: {}
    ·   ─┬
    ·    ╰── no `value`, no `values`
 10 │   p4: {value: 1, values: [1]}
    ╰────
  help: write `p3: {value: ...}` for one value or `p3: {values: [...]}` for several

  × the parameter `p4` has both `value` and `values`
    ╭─[sweep.yaml:10:18]
  9 │   p3: {}
 10 │   p4: {value: 1, values: [1]}
    ·        ──┬──     ───┬──
    ·          │          ╰── and this
    ·          ╰── this
 11 │   p5: {value: 1, parameters: {x: {value: 1}}}
    ╰────
  help: keep one of them

  × the parameter `p5` has both `value` and `parameters`
    ╭─[sweep.yaml:11:18]
 10 │   p4: {value: 1, values: [1]}
 11 │   p5: {value: 1, parameters: {x: {value: 1}}}
    ·        ──┬──     ─────┬────
    ·          │            ╰── and this
    ·          ╰── this
 12 │   p6: {values: 3}
    ╰────
  help: keep one of them

  × `values` of `p6` must be a list, not a single value
    ╭─[sweep.yaml:12:16]
 11 │   p5: {value: 1, parameters: {x: {value: 1}}}
 12 │   p6: {values: 3}
    ·                ┬
    ·                ╰── not a list
 13 │   p7: {values: []}
    ╰────
  help: write `values: [3]`, or `value` for a single one

  × `values` of `p7` is empty
    ╭─[sweep.yaml:13:16]
 12 │   p6: {values: 3}
 13 │   p7: {values: []}
    ·                ─┬
    ·                 ╰── no values
 14 │   p8: {values: }
    ╰────
  help: list at least one value

  × `values` of `p8` must be a list, not an empty value
    ╭─[sweep.yaml:14:8]
 13 │   p7: {values: []}
 14 │   p8: {values: }
    ·        ───┬──
    ·           ╰── not a list
 15 │   p9: {value: [1, 2]}
    ╰────
  help: write `values: [a, b]`, or `value: a` for a single one

  × `parameters` is empty
    ╭─[sweep.yaml:17:21]
 16 │   p10: {values: [[1, 2], {a: 1}]}
 17 │   p11: {parameters: {}}
    ·                     ─┬
    ·                      ╰── nothing in it
 18 │   p12: {parameters: [1]}
    ╰────
  help: name a parameter, or remove the key

  × `parameters` must be a mapping, not a list
    ╭─[sweep.yaml:18:21]
 17 │   p11: {parameters: {}}
 18 │   p12: {parameters: [1]}
    ·                     ─┬─
    ·                      ╰── expected a mapping
 19 │   p13: {type: int, parameters: {x: {value: 1}}}
    ╰────
  help: write it as `parameters: {lr: {values: [0.01, 0.1]}, epochs: {value: 15}}`

  × a group of parameters has no type
    ╭─[sweep.yaml:19:9]
 18 │   p12: {parameters: [1]}
 19 │   p13: {type: int, parameters: {x: {value: 1}}}
    ·         ──┬─
    ·           ╰── not here
 20 │   p14: {vales: [1]}
    ╰────
  help: give each nested parameter its own `type`

  × unknown key `vales` in the parameter `p14`
    ╭─[sweep.yaml:20:9]
 19 │   p13: {type: int, parameters: {x: {value: 1}}}
 20 │   p14: {vales: [1]}
    ·         ──┬──
    ·           ╰── unknown key
    ╰────
  help: did you mean `values`? known keys: value, values, parameters, type, args, min, max, q,
        distribution, linspace, logspace, range and when

13 problems
");
}

#[test]
fn wandb_distributions() {
    insta::assert_snapshot!(shown(&file(&["{distribution: uniform, min: 0, max: 1}", "{values: [1, 2], probabilities: [0.5, 0.5]}"])), @"
sweep.yaml:
  × `distribution` describes a random search; pentagrid runs full grids only
   ╭─[sweep.yaml:6:8]
 5 │ parameters:
 6 │   p0: {distribution: uniform, min: 0, max: 1}
   ·        ──────┬─────
   ·              ╰── not a grid
 7 │   p1: {values: [1, 2], probabilities: [0.5, 0.5]}
   ╰────
  help: list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with
        `value`

  × `probabilities` describes a random search; pentagrid runs full grids only
   ╭─[sweep.yaml:7:24]
 6 │   p0: {distribution: uniform, min: 0, max: 1}
 7 │   p1: {values: [1, 2], probabilities: [0.5, 0.5]}
   ·                        ──────┬──────
   ·                              ╰── not a grid
   ╰────
  help: list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with
        `value`

2 problems
");
}

#[test]
fn type_names() {
    insta::assert_snapshot!(shown(&file(&["{type: str, value: a}", "{type: Integer, value: 1}", "{type: flaot, value: 1}", "{type: [x], value: 1}"])), @r#"
sweep.yaml:
  × `str` is not a type
   ╭─[sweep.yaml:6:14]
 5 │ parameters:
 6 │   p0: {type: str, value: a}
   ·              ─┬─
   ·               ╰── unknown type
 7 │   p1: {type: Integer, value: 1}
   ╰────
  help: did you mean `text`? types: float, int, bool and text

  × `Integer` is not a type
   ╭─[sweep.yaml:7:14]
 6 │   p0: {type: str, value: a}
 7 │   p1: {type: Integer, value: 1}
   ·              ───┬───
   ·                 ╰── unknown type
 8 │   p2: {type: flaot, value: 1}
   ╰────
  help: did you mean `int`? types: float, int, bool and text

  × `flaot` is not a type
   ╭─[sweep.yaml:8:14]
 7 │   p1: {type: Integer, value: 1}
 8 │   p2: {type: flaot, value: 1}
   ·              ──┬──
   ·                ╰── unknown type
 9 │   p3: {type: [x], value: 1}
   ╰────
  help: did you mean `float`? types: float, int, bool and text

  × a list is not a type
   ╭─[sweep.yaml:9:14]
 8 │   p2: {type: flaot, value: 1}
 9 │   p3: {type: [x], value: 1}
   ·              ─┬─
   ·               ╰── unknown type
   ╰────
  help: types: float, int, bool and text

4 problems
"#);
}

#[test]
fn names() {
    insta::assert_snapshot!(shown(&format!(
        "{WORKER}parameters:\n  optimizer.lr: {{value: 1}}\n  seed: {{values: [1, 2]}}\n  g: {{parameters: {{random_seed: {{value: 1}}, ' x': {{value: 1}}}}}}\n  \"a\\tb\": {{value: 1}}\n"
    )), @r#"
sweep.yaml:
  × `seed` is not a hyper-parameter: seeds are an axis of their own
   ╭─[sweep.yaml:7:3]
 6 │   optimizer.lr: {value: 1}
 7 │   seed: {values: [1, 2]}
   ·   ──┬─
   ·     ╰── a seed
 8 │   g: {parameters: {random_seed: {value: 1}, ' x': {value: 1}}}
   ╰────
  help: remove it, and write `seeds: {tune: [1, 2], final: 10}` at the top of the file; or keep it
        there and write `seeds: {parameter: seed, final: 10}`

  × `random_seed` is not a hyper-parameter: seeds are an axis of their own
   ╭─[sweep.yaml:8:20]
 7 │   seed: {values: [1, 2]}
 8 │   g: {parameters: {random_seed: {value: 1}, ' x': {value: 1}}}
   ·                    ─────┬─────
   ·                         ╰── a seed
 9 │   "a\tb": {value: 1}
   ╰────
  help: remove it, and write `seeds: {tune: 5, final: 10}` at the top of the file; or keep it
        there and write `seeds: {parameter: random_seed, final: 10}`

  × ` x` cannot be a parameter's name
   ╭─[sweep.yaml:8:45]
 7 │   seed: {values: [1, 2]}
 8 │   g: {parameters: {random_seed: {value: 1}, ' x': {value: 1}}}
   ·                                             ──┬─
   ·                                               ╰── not a name
 9 │   "a\tb": {value: 1}
   ╰────
  help: use at most 64 bytes, without control characters and outer spaces

  × `a\tb` cannot be a parameter's name
   ╭─[sweep.yaml:9:3]
 8 │   g: {parameters: {random_seed: {value: 1}, ' x': {value: 1}}}
 9 │   "a\tb": {value: 1}
   ·   ───┬──
   ·      ╰── not a name
   ╰────
  help: use at most 64 bytes, without control characters and outer spaces

4 problems
"#);
}
