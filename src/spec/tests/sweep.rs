//! Mistakes in the top level of the file: keys and texts.

use super::{BUILTIN, WORKER, each, good, shown};

const PARAMETERS: &str = "parameters: {lr: {values: [1, 2]}}\n";

#[test]
fn unknown_and_foreign_keys() {
    insta::assert_snapshot!(shown(&format!(
        "{WORKER}{PARAMETERS}paramters: {{}}\nproject: mine\nearly_terminate: {{type: hyperband}}\nseed: 3\nx: 1\n"
    )), @"
sweep.yaml:
  × unknown key `paramters` in the sweep file
   ╭─[sweep.yaml:6:1]
 5 │ parameters: {lr: {values: [1, 2]}}
 6 │ paramters: {}
   · ────┬────
   ·     ╰── unknown key
 7 │ project: mine
   ╰────
  help: did you mean `parameters`? known keys: name, description, task, worker, affinity, program,
        command, args, env, workdir, method, metric, metrics, seeds, prune, parameters, zip,
        exclude, grids, arms, limits, resources, launcher, timed, published, project, entity,
        apiVersion, kind and claims

  × `early_terminate` is not supported: pentagrid runs full grids only
   ╭─[sweep.yaml:8:1]
 7 │ project: mine
 8 │ early_terminate: {type: hyperband}
   · ───────┬───────
   ·        ╰── not a full grid
 9 │ seed: 3
   ╰────
  help: remove it; every trial runs to its end. `prune: safe` leaves out trials that cannot change
        the winner

  × `seed` is not a key
    ╭─[sweep.yaml:9:1]
  8 │ early_terminate: {type: hyperband}
  9 │ seed: 3
    · ──┬─
    ·   ╰── unknown key
 10 │ x: 1
    ╰────
  help: name the seeds under `seeds`: `seeds: {tune: 5, final: 10}`

  × unknown key `x` in the sweep file
    ╭─[sweep.yaml:10:1]
  9 │ seed: 3
 10 │ x: 1
    · ┬
    · ╰── unknown key
    ╰────
  help: known keys: name, description, task, worker, affinity, program, command, args, env,
        workdir, method, metric, metrics, seeds, prune, parameters, zip, exclude, grids, arms,
        limits, resources, launcher, timed, published, project, entity, apiVersion, kind and
        claims

4 problems
");
}

#[test]
fn missing_keys() {
    insta::assert_snapshot!(shown("description: nothing else\n"), @r#"
sweep.yaml:
  × the sweep file lacks `name`, `task` or `program`, `metric`, `seeds` and `parameters`
   ╭─[sweep.yaml:1:1]
 1 │ description: nothing else
   · ┬
   · ╰── somewhere here
   ╰────
  help: add `name: my-sweep`, `task: mnist-resnet18` or `program: train.py`, `metric: {name:
        val_accuracy, goal: maximize}`, `seeds: {tune: 5, final: 10}` and `parameters: {lr:
        {values: [0.01, 0.1]}}`
"#);
}

#[test]
fn a_misspelt_key_is_not_reported_as_missing() {
    insta::assert_snapshot!(shown(&format!(
        "nmae: t\ntsk: mnist-resnet18\nmetric: {{nam: a, gaol: minimize}}\nseeds: {{tun: 1, finl: 1}}\n{PARAMETERS}"
    )), @"
sweep.yaml:
  × unknown key `nmae` in the sweep file
   ╭─[sweep.yaml:1:1]
 1 │ nmae: t
   · ──┬─
   ·   ╰── unknown key
 2 │ tsk: mnist-resnet18
   ╰────
  help: did you mean `name`? known keys: name, description, task, worker, affinity, program,
        command, args, env, workdir, method, metric, metrics, seeds, prune, parameters, zip,
        exclude, grids, arms, limits, resources, launcher, timed, published, project, entity,
        apiVersion, kind and claims

  × unknown key `tsk` in the sweep file
   ╭─[sweep.yaml:2:1]
 1 │ nmae: t
 2 │ tsk: mnist-resnet18
   · ─┬─
   ·  ╰── unknown key
 3 │ metric: {nam: a, gaol: minimize}
   ╰────
  help: did you mean `task`? known keys: name, description, task, worker, affinity, program,
        command, args, env, workdir, method, metric, metrics, seeds, prune, parameters, zip,
        exclude, grids, arms, limits, resources, launcher, timed, published, project, entity,
        apiVersion, kind and claims

  × unknown key `nam` in `metric`
   ╭─[sweep.yaml:3:10]
 2 │ tsk: mnist-resnet18
 3 │ metric: {nam: a, gaol: minimize}
   ·          ─┬─
   ·           ╰── unknown key
 4 │ seeds: {tun: 1, finl: 1}
   ╰────
  help: did you mean `name`? known keys: name, goal, at and best

  × unknown key `gaol` in `metric`
   ╭─[sweep.yaml:3:18]
 2 │ tsk: mnist-resnet18
 3 │ metric: {nam: a, gaol: minimize}
   ·                  ──┬─
   ·                    ╰── unknown key
 4 │ seeds: {tun: 1, finl: 1}
   ╰────
  help: did you mean `goal`? known keys: name, goal, at and best

  × unknown key `tun` in `seeds`
   ╭─[sweep.yaml:4:9]
 3 │ metric: {nam: a, gaol: minimize}
 4 │ seeds: {tun: 1, finl: 1}
   ·         ─┬─
   ·          ╰── unknown key
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: did you mean `tune`? known keys: tune, final and parameter

  × unknown key `finl` in `seeds`
   ╭─[sweep.yaml:4:17]
 3 │ metric: {nam: a, gaol: minimize}
 4 │ seeds: {tun: 1, finl: 1}
   ·                 ──┬─
   ·                   ╰── unknown key
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: did you mean `final`? known keys: tune, final and parameter

6 problems
");
}

#[test]
fn no_sweep_at_all() {
    insta::assert_snapshot!(each(&["", "# only a comment\n", "---\n...\n", "- a\n- b\n", "just text\n"]), @r#"
sweep.yaml:
  × sweep.yaml: the file holds no sweep
  help: a sweep file names at least `name`, `task`, `metric`, `seeds` and `parameters`; see
        sweeps/quick.yaml

  × the file holds no sweep
   ╭─[sweep.yaml:1:1]
 1 │ # only a comment
   · ┬
   · ╰── nothing here
   ╰────
  help: a sweep file names at least `name`, `task`, `metric`, `seeds` and `parameters`; see
        sweeps/quick.yaml

  × the file holds no sweep
   ╭─[sweep.yaml:1:1]
 1 │ ---
   · ┬
   · ╰── nothing here
 2 │ ...
   ╰────
  help: a sweep file names at least `name`, `task`, `metric`, `seeds` and `parameters`; see
        sweeps/quick.yaml

  × a sweep file is a mapping of keys to values, not a list
   ╭─[sweep.yaml:1:1]
 1 │ - a
   · ─┬─
   ·  ╰── not a mapping
 2 │ - b
   ╰────
  help: begin with `name: my-sweep`

  × a sweep file is a mapping of keys to values, not a single value
   ╭─[sweep.yaml:1:1]
 1 │ just text
   · ────┬────
   ·     ╰── not a mapping
   ╰────
  help: begin with `name: my-sweep`
"#);
}

#[test]
fn names_and_texts() {
    let rest = "worker: [w]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 2, final: 3}\nparameters: {lr: {value: 1}}\n";
    let file = |head: &str| format!("{head}\n{rest}");
    insta::assert_snapshot!(each(&[
        &file("name: ../escape"),
        &file("name: .hidden"),
        &file(&format!("name: {}", "x".repeat(65))),
        &file("name:"),
        &file("name: [a]"),
        &file("name: \"a\\nb\""),
        &file("name: t\ndescription: \"a\\eb\""),
        &file("name: t\ndescription: {a: b}"),
    ]), @r#"
sweep.yaml:
  × `../escape` cannot be the name of a folder of results
   ╭─[sweep.yaml:1:7]
 1 │ name: ../escape
   ·       ────┬────
   ·           ╰── not a good name
 2 │ worker: [w]
   ╰────
  help: write `escape`: a name has at most 64 letters, digits, dots, underscores and hyphens, a
        letter or digit first

  × `.hidden` cannot be the name of a folder of results
   ╭─[sweep.yaml:1:7]
 1 │ name: .hidden
   ·       ───┬───
   ·          ╰── not a good name
 2 │ worker: [w]
   ╰────
  help: write `hidden`: a name has at most 64 letters, digits, dots, underscores and hyphens, a
        letter or digit first

  × `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` cannot be the name of a folder of results
   ╭─[sweep.yaml:1:7]
 1 │ name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
   ·       ────────────────────────────────┬────────────────────────────────
   ·                                       ╰── not a good name
 2 │ worker: [w]
   ╰────
  help: write `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`: a name has at
        most 64 letters, digits, dots, underscores and hyphens, a letter or digit first

  × `name` is empty
   ╭─[sweep.yaml:1:1]
 1 │ name:
   · ──┬─
   ·   ╰── no text
 2 │ worker: [w]
   ╰────
  help: write a text behind it

  × `name` must be text, not a list
   ╭─[sweep.yaml:1:7]
 1 │ name: [a]
   ·       ─┬─
   ·        ╰── not text
 2 │ worker: [w]
   ╰────
  help: write it without brackets

  × `name` must be one line
   ╭─[sweep.yaml:1:7]
 1 │ name: "a\nb"
   ·       ───┬──
   ·          ╰── several lines
 2 │ worker: [w]
   ╰────
  help: write it in one line

  × `description` contains a control character
   ╭─[sweep.yaml:2:14]
 1 │ name: t
 2 │ description: "a\eb"
   ·              ───┬──
   ·                 ╰── control character
 3 │ worker: [w]
   ╰────
  help: remove it

  × `description` must be text
   ╭─[sweep.yaml:2:14]
 1 │ name: t
 2 │ description: {a: b}
   ·              ───┬──
   ·                 ╰── not text
 3 │ worker: [w]
   ╰────
  help: write it in one line, in quotes if it contains a colon
"#);
}

#[test]
fn many_problems_are_cut_short() {
    let keys: String = (0..57)
        .map(|index| format!("unknown_{index}: 1\n"))
        .collect();
    let diagnosis = super::bad(&format!(
        "{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{value: 1}}}}\n{keys}"
    ));
    assert_eq!((diagnosis.problems.len(), diagnosis.omitted), (20, 37));
    assert!(
        diagnosis
            .to_string()
            .ends_with("\nsweep.yaml: and 37 more problems"),
        "{diagnosis}"
    );

    let keys: String = (0..5000)
        .map(|index| format!("unknown_{index}: 1\n"))
        .collect();
    let diagnosis = super::bad(&keys);
    assert!(
        diagnosis
            .to_string()
            .ends_with("and at least 180 more problems"),
        "{diagnosis}"
    );
}

#[test]
fn limits() {
    let file = |limits: &str| {
        format!(
            "name: t\nworker: [w]\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\n\
             arms: {{a: {{parameters: {{x: {{value: 1}}}}, limits: {{retries: 0}}}}, b: {{parameters: {{x: {{value: 2}}}}}}}}\nlimits: {limits}\n"
        )
    };
    let spec = good(&file("{timeout: 1h30m, retries: 3, max_failures: 7}"));
    let a = spec.limits.of(0);
    let b = spec.limits.of(1);
    assert_eq!(
        (a.retries, b.retries, a.max_failures),
        (Some(0), Some(3), Some(7))
    );
    assert_eq!(b.timeout, Some(std::time::Duration::from_secs(5400)));
    insta::assert_snapshot!(each(&[&file("{timeout: 5, retries: -1, max_failures: many}"), &file("{time_out: 1h, timeout: [1h]}"), &file("3")]), @r#"
sweep.yaml:
  × `timeout` must be a duration, not `5`
   ╭─[sweep.yaml:6:19]
 5 │ arms: {a: {parameters: {x: {value: 1}}, limits: {retries: 0}}, b: {parameters: {x: {valu…
 6 │ limits: {timeout: 5, retries: -1, max_failures: many}
   ·                   ┬
   ·                   ╰── not a duration
   ╰────
  help: write whole numbers with their units, the largest first: `90s`, `30m`, `1h30m`, `2d`

  × `retries` must be a whole number, 0 or greater, not `-1`
   ╭─[sweep.yaml:6:31]
 5 │ arms: {a: {parameters: {x: {value: 1}}, limits: {retries: 0}}, b: {parameters: {x: {valu…
 6 │ limits: {timeout: 5, retries: -1, max_failures: many}
   ·                               ─┬
   ·                                ╰── not a whole number
   ╰────
  help: write it in plain digits, without quotes: 5

  × `max_failures` must be a whole number, 0 or greater, not `many`
   ╭─[sweep.yaml:6:49]
 5 │ arms: {a: {parameters: {x: {value: 1}}, limits: {retries: 0}}, b: {parameters: {x: {valu…
 6 │ limits: {timeout: 5, retries: -1, max_failures: many}
   ·                                                 ──┬─
   ·                                                   ╰── not a whole number
   ╰────
  help: write it in plain digits, without quotes: 5

3 problems
  × unknown key `time_out` in `limits`
   ╭─[sweep.yaml:6:10]
 5 │ arms: {a: {parameters: {x: {value: 1}}, limits: {retries: 0}}, b: {parameters: {x: {valu…
 6 │ limits: {time_out: 1h, timeout: [1h]}
   ·          ────┬───
   ·              ╰── unknown key
   ╰────
  help: did you mean `timeout`? known keys: timeout, retries and max_failures

  × `timeout` must be a duration, not a list
   ╭─[sweep.yaml:6:33]
 5 │ arms: {a: {parameters: {x: {value: 1}}, limits: {retries: 0}}, b: {parameters: {x: {valu…
 6 │ limits: {time_out: 1h, timeout: [1h]}
   ·                                 ──┬─
   ·                                   ╰── not a duration
   ╰────
  help: write whole numbers with their units, the largest first: `90s`, `30m`, `1h30m`, `2d`

2 problems
  × `limits` must be a mapping, not a single value
   ╭─[sweep.yaml:6:9]
 5 │ arms: {a: {parameters: {x: {value: 1}}, limits: {retries: 0}}, b: {parameters: {x: {valu…
 6 │ limits: 3
   ·         ┬
   ·         ╰── expected a mapping
   ╰────
  help: write it as `limits: {timeout: 2h, retries: 2, max_failures: 10}`
"#);
}
