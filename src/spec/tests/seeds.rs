//! Mistakes in seeds.

use super::each;

fn seeds(seeds: &str) -> String {
    format!(
        "name: t\nworker: [w]\nmetric: {{name: loss, goal: minimize}}\nseeds: {seeds}\nparameters: {{lr: {{values: [1, 2]}}}}\n"
    )
}

#[test]
fn seed_counts() {
    insta::assert_snapshot!(each(&[
        &seeds("5"),
        &seeds("{tune: 5}"),
        &seeds("{tune: 5, final: }"),
        &seeds("{tune: -1, final: 1.5}"),
        &seeds("{tune: \"5\", final: many}"),
        &seeds("{tune: 010, final: {a: 1}}"),
        &seeds("{tune: 1001, final: 99999999999999999999}"),
        &seeds("{tune: 0, final: 0}"),
        &seeds("{tune: [], final: []}"),
        &seeds("{tune: 0, final: 3}"),
    ]), @r#"
sweep.yaml:
  × `seeds` must be a mapping, not a single value
   ╭─[sweep.yaml:4:8]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: 5
   ·        ┬
   ·        ╰── expected a mapping
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write it as `seeds: {tune: 5, final: 10}`

  × `seeds` lacks `final`
   ╭─[sweep.yaml:4:1]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 5}
   · ──┬──
   ·   ╰── no `final`
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write `seeds: {tune: 5, final: 10}`; 0 for none

  × `final` must be a count or a list of seeds, not an empty value
   ╭─[sweep.yaml:4:18]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 5, final: }
   ·                  ──┬──
   ·                    ╰── not seeds
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write `seeds: {tune: 5, final: 10}`, or lists: `tune: [0, 1, 2]`

  × `tune` must be a whole number, 0 or greater, not `-1`
   ╭─[sweep.yaml:4:15]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: -1, final: 1.5}
   ·               ─┬
   ·                ╰── not a whole number
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write it in plain digits, without quotes: 5

  × `final` must be a whole number, 0 or greater, not `1.5`
   ╭─[sweep.yaml:4:26]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: -1, final: 1.5}
   ·                          ─┬─
   ·                           ╰── not a whole number
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write it in plain digits, without quotes: 5

2 problems
  × `tune` must be a whole number, 0 or greater, not `5`
   ╭─[sweep.yaml:4:15]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: "5", final: many}
   ·               ─┬─
   ·                ╰── not a whole number
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write it in plain digits, without quotes: 5

  × `final` must be a count or a list of seeds, not `many`
   ╭─[sweep.yaml:4:27]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: "5", final: many}
   ·                           ──┬─
   ·                             ╰── not seeds
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write `final: 5` for the seeds 1000 to 1004, or a list: `final: [7, 8]`

2 problems
  × `tune` must be a whole number, 0 or greater, not `010`
   ╭─[sweep.yaml:4:15]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 010, final: {a: 1}}
   ·               ─┬─
   ·                ╰── not a whole number
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write it in plain digits, without quotes: 5

  × `final` must be a count or a list of seeds, not a mapping
   ╭─[sweep.yaml:4:27]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 010, final: {a: 1}}
   ·                           ───┬──
   ·                              ╰── not seeds
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write `seeds: {tune: 5, final: 10}`, or lists: `tune: [0, 1, 2]`

2 problems
  × `tune` asks for 1001 seeds; a count may be at most 1000
   ╭─[sweep.yaml:4:15]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 1001, final: 99999999999999999999}
   ·               ──┬─
   ·                 ╰── too many
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write a smaller count; the single seed 1001 is `tune: [1001]`

  × `final` must be at most 9,223,372,036,854,775,807, not `99999999999999999999`
   ╭─[sweep.yaml:4:28]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 1001, final: 99999999999999999999}
   ·                            ──────────┬─────────
   ·                                      ╰── too large
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write a smaller number

2 problems
  × neither tuning seeds nor final seeds: nothing would run
   ╭─[sweep.yaml:4:25]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 0, final: 0}
   ·               ┬         ┬
   ·               │         ╰── none here
   ·               ╰── and none here
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write for example `seeds: {tune: 5, final: 10}`

  × neither tuning seeds nor final seeds: nothing would run
   ╭─[sweep.yaml:4:26]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [], final: []}
   ·               ─┬         ─┬
   ·                │          ╰── none here
   ·                ╰── and none here
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write for example `seeds: {tune: 5, final: 10}`

  × without tuning seeds no point can be chosen, and the sweep has 2 points
   ╭─[sweep.yaml:4:15]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 0, final: 3}
   ·               ┬
   ·               ╰── no tuning seeds
 5 │ parameters: {lr: {values: [1, 2]}}
   · ─────┬────
   ·      ╰── 2 points
   ╰────
  help: give `tune` at least 1, or every parameter a single value
"#);
}

#[test]
fn seed_lists() {
    insta::assert_snapshot!(each(&[
        &seeds("{tune: [1, 2, 1], final: [7, x, [8]]}"),
        &seeds("{tune: [1, 2, 3], final: [4, 3]}"),
        &seeds("{tune: 5, final: [10, 4]}"),
        &seeds("{tune: [7, 1003], final: 10}"),
        &seeds("{tune: [18446744073709551615], final: 1}"),
    ]), @r#"
sweep.yaml:
  × seed 1 is here twice, first in line 4
   ╭─[sweep.yaml:4:22]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [1, 2, 1], final: [7, x, [8]]}
   ·                ┬     ┬
   ·                │     ╰── again
   ·                ╰── first here
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: remove one of them

  × a seed must be a whole number, 0 or greater, not `x`
   ╭─[sweep.yaml:4:37]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [1, 2, 1], final: [7, x, [8]]}
   ·                                     ┬
   ·                                     ╰── not a whole number
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write it in plain digits, without quotes: 5

  × a seed must be a whole number, not a list
   ╭─[sweep.yaml:4:40]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [1, 2, 1], final: [7, x, [8]]}
   ·                                        ─┬─
   ·                                         ╰── not a number
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write `final: [0, 1, 2]`

3 problems
  × seed 3 is a tuning seed and a final seed
   ╭─[sweep.yaml:4:37]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [1, 2, 3], final: [4, 3]}
   ·                      ┬              ┬
   ·                      │              ╰── final
   ·                      ╰── tuning
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: final seeds must be fresh, or the winner's figures are too good; a count of N stands for 0
        to N-1 under `tune`, for 1000 to 1000+N-1 under `final`

  × seed 4 is a tuning seed and a final seed
   ╭─[sweep.yaml:4:30]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: 5, final: [10, 4]}
   ·               ┬              ┬
   ·               │              ╰── final
   ·               ╰── tuning
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: final seeds must be fresh, or the winner's figures are too good; a count of N stands for 0
        to N-1 under `tune`, for 1000 to 1000+N-1 under `final`

  × seed 1003 is a tuning seed and a final seed
   ╭─[sweep.yaml:4:33]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [7, 1003], final: 10}
   ·                   ──┬─          ─┬
   ·                     │            ╰── final
   ·                     ╰── tuning
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: final seeds must be fresh, or the winner's figures are too good; a count of N stands for 0
        to N-1 under `tune`, for 1000 to 1000+N-1 under `final`

  × a seed must be at most 9,223,372,036,854,775,807, not `18446744073709551615`
   ╭─[sweep.yaml:4:16]
 3 │ metric: {name: loss, goal: minimize}
 4 │ seeds: {tune: [18446744073709551615], final: 1}
   ·                ──────────┬─────────
   ·                          ╰── too large
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: write a smaller number
"#);
}
