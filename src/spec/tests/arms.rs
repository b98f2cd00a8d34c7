//! Mistakes in arms and published figures, and sweeps with too many trials.

use super::{BUILTIN, WORKER, each, shown};

#[test]
fn arms() {
    insta::assert_snapshot!(each(&[
        &format!("{WORKER}arms: {{}}\n"),
        &format!("{WORKER}arms: [a, b]\n"),
        &format!("{WORKER}parameters: {{}}\n"),
        &format!("{WORKER}arms: {{a: 1, b: {{}}, c: {{lable: x, parameters: {{l: {{value: 1}}}}}}}}\n"),
        &format!("{WORKER}arms: {{empty: {{label: E}}}}\n"),
        &format!(
            "{WORKER}parameters: {{l: {{value: 1}}}}\narms:\n  SGD (b): {{}}\n  Adam: {{}}\n  -x: {{}}\n  {}: {{}}\n  a: {{label: \"\"}}\n  b: {{label: [x]}}\n",
            "n".repeat(33)
        ),
        &format!("{WORKER}parameters: {{l: {{value: 1}}}}\narms: {{a: {{label: Same}}, b: {{label: Same}}}}\n"),
    ]), @r#"
sweep.yaml:
  × `arms` is empty
   ╭─[sweep.yaml:5:7]
 4 │ seeds: {tune: 2, final: 3}
 5 │ arms: {}
   ·       ─┬
   ·        ╰── no arms
   ╰────
  help: name an arm, or remove `arms` for a sweep with one grid

  × `arms` must be a mapping, not a list
   ╭─[sweep.yaml:5:7]
 4 │ seeds: {tune: 2, final: 3}
 5 │ arms: [a, b]
   ·       ───┬──
   ·          ╰── expected a mapping
   ╰────
  help: write it as `arms: {sgd: {parameters: {...}}, adam: {parameters: {...}}}`

  × `parameters` is empty
   ╭─[sweep.yaml:5:13]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {}
   ·             ─┬
   ·              ╰── nothing in it
   ╰────
  help: name a parameter, or remove the key

  × `a` must be a mapping, not a single value
   ╭─[sweep.yaml:5:11]
 4 │ seeds: {tune: 2, final: 3}
 5 │ arms: {a: 1, b: {}, c: {lable: x, parameters: {l: {value: 1}}}}
   ·           ┬
   ·           ╰── expected a mapping
   ╰────
  help: write it as `{label: ..., parameters: {...}}`

  × unknown key `lable` in an arm
   ╭─[sweep.yaml:5:25]
 4 │ seeds: {tune: 2, final: 3}
 5 │ arms: {a: 1, b: {}, c: {lable: x, parameters: {l: {value: 1}}}}
   ·                         ──┬──
   ·                           ╰── unknown key
   ╰────
  help: did you mean `label`? known keys: label, parameters, zip, exclude, grids, resources and
        limits

2 problems
  × arm `empty` has no parameters
   ╭─[sweep.yaml:5:8]
 4 │ seeds: {tune: 2, final: 3}
 5 │ arms: {empty: {label: E}}
   ·        ──┬──
   ·          ╰── no parameters
   ╰────
  help: add `parameters: {lr: {values: [0.01, 0.1]}}`

  × `SGD (b)` cannot be an arm's name
   ╭─[sweep.yaml:7:3]
 6 │ arms:
 7 │   SGD (b): {}
   ·   ───┬───
   ·      ╰── not a good name
 8 │   Adam: {}
   ╰────
  help: an arm's name has at most 32 lower-case letters, digits, underscores and hyphens; `label`
        is free text

  × `Adam` cannot be an arm's name
   ╭─[sweep.yaml:8:3]
 7 │   SGD (b): {}
 8 │   Adam: {}
   ·   ──┬─
   ·     ╰── not a good name
 9 │   -x: {}
   ╰────
  help: write `adam`: an arm's name has at most 32 lower-case letters, digits, underscores and
        hyphens; `label` is free text

  × `-x` cannot be an arm's name
    ╭─[sweep.yaml:9:3]
  8 │   Adam: {}
  9 │   -x: {}
    ·   ─┬
    ·    ╰── not a good name
 10 │   nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: {}
    ╰────
  help: an arm's name has at most 32 lower-case letters, digits, underscores and hyphens; `label`
        is free text

  × `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` cannot be an arm's name
    ╭─[sweep.yaml:10:3]
  9 │   -x: {}
 10 │   nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: {}
    ·   ────────────────┬────────────────
    ·                   ╰── not a good name
 11 │   a: {label: ""}
    ╰────
  help: an arm's name has at most 32 lower-case letters, digits, underscores and hyphens; `label`
        is free text

  × `label` is empty
    ╭─[sweep.yaml:11:14]
 10 │   nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: {}
 11 │   a: {label: ""}
    ·              ─┬
    ·               ╰── no text
 12 │   b: {label: [x]}
    ╰────
  help: write a text behind it

  × `label` must be text, not a list
    ╭─[sweep.yaml:12:14]
 11 │   a: {label: ""}
 12 │   b: {label: [x]}
    ·              ─┬─
    ·               ╰── not text
    ╰────
  help: write it without brackets

6 problems
  × the arms `a` and `b` have the same label
   ╭─[sweep.yaml:6:26]
 5 │ parameters: {l: {value: 1}}
 6 │ arms: {a: {label: Same}, b: {label: Same}}
   ·        ┬                 ┬
   ·        │                 ╰── the same label
   ·        ╰── as here
   ╰────
  help: the tables could not tell them apart: give each its own `label`
"#);
}

#[test]
fn published_figures() {
    let head = format!(
        "{BUILTIN}parameters: {{lr: {{value: 1}}}}\narms: {{sgd: {{parameters: {{optimizer: {{value: sgd}}}}}}}}\n"
    );
    insta::assert_snapshot!(shown(&format!(
        "{head}published:\n  sdg: {{test_accuracy: {{mean: 1}}}}\n  sgd:\n    test_acuracy: {{mean: 1}}\n    test_accuracy: 87.5\n    val_accuracy: {{std: 1}}\n    train_accuracy: {{mean: x, std: -1, n: 0}}\n    test_loss: {{mean: .inf, sd: 1, n: 1.5}}\n    val_loss: {{mean: [1], n: [2]}}\n"
    )), @r#"
sweep.yaml:
  × there is no arm `sdg`
   ╭─[sweep.yaml:8:3]
 7 │ published:
 8 │   sdg: {test_accuracy: {mean: 1}}
   ·   ─┬─
   ·    ╰── unknown arm
 9 │   sgd:
   ╰────
  help: did you mean `sgd`? arms: sgd

  × mnist-resnet18 reports no metric `test_acuracy`
    ╭─[sweep.yaml:10:5]
  9 │   sgd:
 10 │     test_acuracy: {mean: 1}
    ·     ──────┬─────
    ·           ╰── unknown metric
 11 │     test_accuracy: 87.5
    ╰────
  help: did you mean `test_accuracy`? its metrics: train_accuracy, val_accuracy, test_accuracy,
        train_loss, val_loss, test_loss and training_seconds

  × `test_accuracy` must be a mapping, not a single value
    ╭─[sweep.yaml:11:20]
 10 │     test_acuracy: {mean: 1}
 11 │     test_accuracy: 87.5
    ·                    ──┬─
    ·                      ╰── expected a mapping
 12 │     val_accuracy: {std: 1}
    ╰────
  help: write it as `{mean: 87.45, std: 1.42, n: 10}`

  × `val_accuracy` lacks `mean`
    ╭─[sweep.yaml:12:5]
 11 │     test_accuracy: 87.5
 12 │     val_accuracy: {std: 1}
    ·     ──────┬─────
    ·           ╰── no `mean`
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
    ╰────
  help: write for example `{mean: 87.45, std: 1.42, n: 10}`

  × `mean`: expected a number, found the text `x`
    ╭─[sweep.yaml:13:28]
 12 │     val_accuracy: {std: 1}
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
    ·                            ┬
    ·                            ╰── not a number
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
    ╰────

  × `std` must be 0 or greater, not -1
    ╭─[sweep.yaml:13:36]
 12 │     val_accuracy: {std: 1}
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
    ·                                    ─┬
    ·                                     ╰── negative
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
    ╰────
  help: a standard deviation is never negative

  × `n` must be from 1 to 4294967295, not 0
    ╭─[sweep.yaml:13:43]
 12 │     val_accuracy: {std: 1}
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
    ·                                           ┬
    ·                                           ╰── out of range
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
    ╰────
  help: write the number of runs: 10

  × `mean`: .inf is not a finite number
    ╭─[sweep.yaml:14:23]
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
    ·                       ──┬─
    ·                         ╰── not finite
 15 │     val_loss: {mean: [1], n: [2]}
    ╰────
  help: write a finite number

  × unknown key `sd` in a published figure
    ╭─[sweep.yaml:14:29]
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
    ·                             ─┬
    ·                              ╰── unknown key
 15 │     val_loss: {mean: [1], n: [2]}
    ╰────
  help: did you mean `std`? known keys: mean, std, n and images

  × `n` must be a whole number, 0 or greater, not `1.5`
    ╭─[sweep.yaml:14:39]
 13 │     train_accuracy: {mean: x, std: -1, n: 0}
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
    ·                                       ─┬─
    ·                                        ╰── not a whole number
 15 │     val_loss: {mean: [1], n: [2]}
    ╰────
  help: write it in plain digits, without quotes: 5

  × `mean`: expected a number, found a list
    ╭─[sweep.yaml:15:22]
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
 15 │     val_loss: {mean: [1], n: [2]}
    ·                      ─┬─
    ·                       ╰── not a number
    ╰────

  × `n` must be a whole number, not a list
    ╭─[sweep.yaml:15:30]
 14 │     test_loss: {mean: .inf, sd: 1, n: 1.5}
 15 │     val_loss: {mean: [1], n: [2]}
    ·                              ─┬─
    ·                               ╰── not a number
    ╰────
  help: write the number of runs: 10

12 problems
"#);
    insta::assert_snapshot!(each(&[&format!("{WORKER}parameters: {{l: {{value: 1}}}}\npublished: {{sgd: {{a: {{mean: 1}}}}}}\n"), &format!("{head}published: 3\n")]), @r#"
sweep.yaml:
  × there is no arm `sgd`
   ╭─[sweep.yaml:6:13]
 5 │ parameters: {l: {value: 1}}
 6 │ published: {sgd: {a: {mean: 1}}}
   ·             ─┬─
   ·              ╰── unknown arm
   ╰────
  help: arms: main

  × `published` must be a mapping, not a single value
   ╭─[sweep.yaml:7:12]
 6 │ arms: {sgd: {parameters: {optimizer: {value: sgd}}}}
 7 │ published: 3
   ·            ┬
   ·            ╰── expected a mapping
   ╰────
  help: write it as `published: {sgd: {test_accuracy: {mean: 87.45, std: 1.42, n: 10}}}`
"#);
}

#[test]
fn too_many_trials() {
    let values = |count: usize| {
        (0..count)
            .map(|value| value.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let fifty = values(50);
    let hundred = values(100);
    insta::assert_snapshot!(each(&[
        &format!("{WORKER}parameters:\n  a: {{values: [{hundred}]}}\n  b: {{values: [{hundred}]}}\n  c: {{values: [{hundred}]}}\n  d: {{values: [{fifty}]}}\n  e: {{value: 1}}\n"),
        &format!("{WORKER}parameters:\n  a: {{values: [{hundred}]}}\n  b: {{values: [{hundred}]}}\narms:\n  small: {{}}\n  large:\n    parameters: {{c: {{values: [{hundred}]}}, d: {{values: [{fifty}]}}}}\n"),
    ]), @r#"
sweep.yaml:
  × the sweep has 100,000,003 trials; at most 10,000,000 are possible
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters:
   · ─────┬────
   ·      ╰── too many
 6 │   a: {values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,…
   ╰────
  help: main: 100 a × 100 b × 100 c × 50 d = 50,000,000 points × 2 seeds; try fewer values

  × the sweep has 100,020,006 trials; at most 10,000,000 are possible
    ╭─[sweep.yaml:10:3]
  9 │   small: {}
 10 │   large:
    ·   ──┬──
    ·     ╰── too many
 11 │     parameters: {c: {values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, …
    ╰────
  help: large: 100 a × 100 b × 100 c × 50 d = 50,000,000 points × 2 seeds; small: 100 a × 100 b =
        10,000 points × 2 seeds; try fewer values
"#);
}
