//! Mistakes in the top level of the file: keys and texts.

use super::{BUILTIN, WORKER, each, good, shown};

const PARAMETERS: &str = "parameters: {lr: {values: [1, 2]}}\n";

#[test]
fn unknown_and_foreign_keys() {
    insta::assert_snapshot!(shown(&format!(
        "{WORKER}{PARAMETERS}paramters: {{}}\nproject: mine\nearly_terminate: {{type: hyperband}}\nseed: 3\nx: 1\n"
    )), @r#"
sweep.yaml:
  × unknown key `paramters` in the sweep file
   ╭─[sweep.yaml:6:1]
 5 │ parameters: {lr: {values: [1, 2]}}
 6 │ paramters: {}
   · ────┬────
   ·     ╰── unknown key
 7 │ project: mine
   ╰────
  help: did you mean `parameters`? known keys: name, description, task, worker, program, command,
        env, workdir, method, metric, seeds, parameters, zip, exclude, grids, arms, limits,
        resources, published, project, entity, apiVersion, kind and claims

  × `early_terminate` is not supported: pentagrid runs full grids only
   ╭─[sweep.yaml:8:1]
 7 │ project: mine
 8 │ early_terminate: {type: hyperband}
   · ───────┬───────
   ·        ╰── not a full grid
 9 │ seed: 3
   ╰────
  help: remove it; every trial runs to its end

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
  help: known keys: name, description, task, worker, program, command, env, workdir, method,
        metric, seeds, parameters, zip, exclude, grids, arms, limits, resources, published,
        project, entity, apiVersion, kind and claims

4 problems
"#);
}

const OWN: &str = "name: t\nmetric: {name: a, goal: minimize}\nseeds: {tune: 1, final: 1}\n";

#[test]
fn programs_of_ones_own() {
    let line = |text: &str| good(&format!("{text}\n{OWN}{PARAMETERS}")).task.to_string();
    let lines = [
        "program: train.py",
        "program: ./train.sh",
        "program: train.py\ncommand: ['${env}', '${interpreter}', -u, '${program}', '${args_no_equals}', --n, 3]",
        "command: [sh, -c, 'cd ${dir} && exec x-${seed}-${trial} ${envvar:HOME} ${$}{HOME}', '${args_json}', '${args_json_file}']",
    ];
    insta::assert_snapshot!(lines.map(line).join("\n"), @r#"
program `${interpreter} train.py ${args}`
program `./train.sh ${args}`
program `/usr/bin/env ${interpreter} -u train.py ${args_no_equals} --n 3`
program `sh -c cd ${dir} && exec x-${seed}-${trial} ${envvar:HOME} ${HOME} ${args_json} ${args_json_file}`
"#);
    let goal = |metric: &str| {
        good(&format!("program: a.py\nname: t\nmetric: {metric}\nseeds: {{tune: 1, final: 1}}\n{PARAMETERS}")).metric.goal
    };
    assert_eq!(goal("{name: a}"), crate::spec::Goal::Minimize, "as in W&B");
    assert_eq!(goal("{name: a, goal: maximize}"), crate::spec::Goal::Maximize);
    let name = |name: &str| {
        good(&format!("program: src/train_net.py\n{name}metric: {{name: a}}\nseeds: {{tune: 1, final: 1}}\n{PARAMETERS}")).name
    };
    assert_eq!((name(""), name("name: My sweep (2)\n")), ("train_net".to_owned(), "My-sweep-2".to_owned()), "as in W&B");
    let spec = good(&format!("program: a.py\nenv: {{A: 1, B: 'x${{seed}}', C: }}\nworkdir: sub\n{OWN}{PARAMETERS}"));
    assert_eq!((spec.env.len(), spec.workdir.as_deref()), (3, Some("sub")));
}

#[test]
fn bad_programs() {
    let file = |text: &str| format!("{text}\n{OWN}{PARAMETERS}");
    insta::assert_snapshot!(each(&[
        &file("program: train.py\nworker: [w]"),
        &file("command: python train.py"),
        &file("command: []"),
        &file("command: ['${args}']"),
        &file("command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]"),
        &file("program: a.py\nenv: {PENTAGRID_SEED: 1, CUDA_VISIBLE_DEVICES: 0, 1x: 2, A: [1], B: '${nope}'}"),
        &file("worker: [w]\nenv: {A: '${seed}'}"),
        &file("program: a.py\nearly_terminate: {type: hyperband}\nrun_cap: 5"),
    ]), @r#"
sweep.yaml:
  × both `program` and `worker`: only one can train
   ╭─[sweep.yaml:2:1]
 1 │ program: train.py
   · ───┬───
   ·    ╰── this
 2 │ worker: [w]
   · ───┬──
   ·    ╰── and this
 3 │ name: t
   ╰────
  help: keep `task` for the built-in trainer, `program` or `command` for a program that trains one
        trial, `worker` for one that speaks the worker protocol

  × `command` must be a list of words, not a single value
   ╭─[sweep.yaml:1:10]
 1 │ command: python train.py
   ·          ───────┬───────
   ·                 ╰── not a list
 2 │ name: t
   ╰────
  help: write `command: [python3, train.py, "${args}"]`; there is no shell

  × `command` is empty
   ╭─[sweep.yaml:1:10]
 1 │ command: []
   ·          ─┬
   ·           ╰── no program
 2 │ name: t
   ╰────
  help: write `command: [python3, train.py, "${args}"]`

  × `command` begins with arguments: its first word must be the program
   ╭─[sweep.yaml:1:10]
 1 │ command: ['${args}']
   ·          ─────┬─────
   ·               ╰── no program
 2 │ name: t
   ╰────
  help: write `command: [python3, train.py, "${args}"]`

  × `${program}` without a `program`
   ╭─[sweep.yaml:1:19]
 1 │ command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]
   ·                   ──────┬─────
   ·                         ╰── no program
 2 │ name: t
   ╰────
  help: add `program: train.py`

  × `${args}` stands for several words
   ╭─[sweep.yaml:1:33]
 1 │ command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]
   ·                                 ─────┬────
   ·                                      ╰── not a word of its own
 2 │ name: t
   ╰────
  help: write it as an item of its own: `command: [python3, train.py, "${args}"]`

  × unknown macro `${arg}`
   ╭─[sweep.yaml:1:45]
 1 │ command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]
   ·                                             ────┬───
   ·                                                 ╰── unknown macro
 2 │ name: t
   ╰────
  help: did you mean `${args}`? known macros: `${env}`, `${interpreter}`, `${program}`, `${args}`,
        `${args_no_equals}`, `${args_no_hyphens}`, `${args_no_boolean_flags}`,
        `${args_append_hydra}`, `${args_override_hydra}`, `${args_json}`, `${args_json_file}`,
        `${envvar:NAME}`, `${seed}`, `${trial}`, `${dir}` and `${$}`

  × `${envvar:}` names no environment variable
   ╭─[sweep.yaml:1:55]
 1 │ command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]
   ·                                                       ──────┬─────
   ·                                                             ╰── not a name
 2 │ name: t
   ╰────
  help: write for example `${envvar:HOME}`

  × `${unfinished` has a `${` without its `}`
   ╭─[sweep.yaml:1:69]
 1 │ command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]
   ·                                                                     ───────┬──────
   ·                                                                            ╰── unfinished macro
 2 │ name: t
   ╰────
  help: write `${$}{` for a bare `${`

  × word 7 of `command` must be text, not a list
   ╭─[sweep.yaml:1:85]
 1 │ command: [python, '${program}', 'x${args}', '${arg}', '${envvar:}', '${unfinished', [1]]
   ·                                                                                     ─┬─
   ·                                                                                      ╰── not a word
 2 │ name: t
   ╰────
  help: write `command: [python3, train.py, "${args}"]`; there is no shell

6 problems
  × `PENTAGRID_SEED` is pentagrid's own variable
   ╭─[sweep.yaml:2:7]
 1 │ program: a.py
 2 │ env: {PENTAGRID_SEED: 1, CUDA_VISIBLE_DEVICES: 0, 1x: 2, A: [1], B: '${nope}'}
   ·       ───────┬──────
   ·              ╰── not allowed
 3 │ name: t
   ╰────
  help: choose a name that does not begin with PENTAGRID_

  × `CUDA_VISIBLE_DEVICES` is set by pentagrid, for each trial its own
   ╭─[sweep.yaml:2:26]
 1 │ program: a.py
 2 │ env: {PENTAGRID_SEED: 1, CUDA_VISIBLE_DEVICES: 0, 1x: 2, A: [1], B: '${nope}'}
   ·                          ──────────┬─────────
   ·                                    ╰── not allowed
 3 │ name: t
   ╰────
  help: choose GPUs with `--devices cuda:0,1`

  × `1x` cannot be the name of an environment variable
   ╭─[sweep.yaml:2:51]
 1 │ program: a.py
 2 │ env: {PENTAGRID_SEED: 1, CUDA_VISIBLE_DEVICES: 0, 1x: 2, A: [1], B: '${nope}'}
   ·                                                   ─┬
   ·                                                    ╰── not allowed
 3 │ name: t
   ╰────
  help: use letters, digits and underscores

  × `A` must be text, not a list
   ╭─[sweep.yaml:2:61]
 1 │ program: a.py
 2 │ env: {PENTAGRID_SEED: 1, CUDA_VISIBLE_DEVICES: 0, 1x: 2, A: [1], B: '${nope}'}
   ·                                                             ─┬─
   ·                                                              ╰── not text
 3 │ name: t
   ╰────
  help: write for example `env: {DATA: /data, WANDB_API_KEY: "${envvar:WANDB_API_KEY}"}`

  × unknown macro `${nope}`
   ╭─[sweep.yaml:2:69]
 1 │ program: a.py
 2 │ env: {PENTAGRID_SEED: 1, CUDA_VISIBLE_DEVICES: 0, 1x: 2, A: [1], B: '${nope}'}
   ·                                                                     ────┬────
   ·                                                                         ╰── unknown macro
 3 │ name: t
   ╰────
  help: known macros: `${env}`, `${interpreter}`, `${program}`, `${args}`, `${args_no_equals}`,
        `${args_no_hyphens}`, `${args_no_boolean_flags}`, `${args_append_hydra}`,
        `${args_override_hydra}`, `${args_json}`, `${args_json_file}`, `${envvar:NAME}`, `${seed}
        `, `${trial}`, `${dir}` and `${$}`

5 problems
  × `A` holds a macro of a trial, but a worker trains many
   ╭─[sweep.yaml:2:10]
 1 │ worker: [w]
 2 │ env: {A: '${seed}'}
   ·          ────┬────
   ·              ╰── of one trial
 3 │ name: t
   ╰────
  help: only `${envvar:NAME}` makes sense here

  × `early_terminate` is not supported: pentagrid runs full grids only
   ╭─[sweep.yaml:2:1]
 1 │ program: a.py
 2 │ early_terminate: {type: hyperband}
   · ───────┬───────
   ·        ╰── not a full grid
 3 │ run_cap: 5
   ╰────
  help: remove it; every trial runs to its end

  × `run_cap` is not supported: pentagrid runs full grids only
   ╭─[sweep.yaml:3:1]
 2 │ early_terminate: {type: hyperband}
 3 │ run_cap: 5
   · ───┬───
   ·    ╰── not a full grid
 4 │ name: t
   ╰────
  help: remove it; list fewer values instead

2 problems
"#);
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
fn a_misspelt_key_is_not_also_missing() {
    insta::assert_snapshot!(shown(&format!(
        "nmae: t\ntsk: mnist-resnet18\nmetric: {{nam: a, gaol: minimize}}\nseeds: {{tun: 1, finl: 1}}\n{PARAMETERS}"
    )), @r#"
sweep.yaml:
  × unknown key `nmae` in the sweep file
   ╭─[sweep.yaml:1:1]
 1 │ nmae: t
   · ──┬─
   ·   ╰── unknown key
 2 │ tsk: mnist-resnet18
   ╰────
  help: did you mean `name`? known keys: name, description, task, worker, program, command, env,
        workdir, method, metric, seeds, parameters, zip, exclude, grids, arms, limits, resources,
        published, project, entity, apiVersion, kind and claims

  × unknown key `tsk` in the sweep file
   ╭─[sweep.yaml:2:1]
 1 │ nmae: t
 2 │ tsk: mnist-resnet18
   · ─┬─
   ·  ╰── unknown key
 3 │ metric: {nam: a, gaol: minimize}
   ╰────
  help: did you mean `task`? known keys: name, description, task, worker, program, command, env,
        workdir, method, metric, seeds, parameters, zip, exclude, grids, arms, limits, resources,
        published, project, entity, apiVersion, kind and claims

  × unknown key `nam` in `metric`
   ╭─[sweep.yaml:3:10]
 2 │ tsk: mnist-resnet18
 3 │ metric: {nam: a, gaol: minimize}
   ·          ─┬─
   ·           ╰── unknown key
 4 │ seeds: {tun: 1, finl: 1}
   ╰────
  help: did you mean `name`? known keys: name and goal

  × unknown key `gaol` in `metric`
   ╭─[sweep.yaml:3:18]
 2 │ tsk: mnist-resnet18
 3 │ metric: {nam: a, gaol: minimize}
   ·                  ──┬─
   ·                    ╰── unknown key
 4 │ seeds: {tun: 1, finl: 1}
   ╰────
  help: did you mean `goal`? known keys: name and goal

  × unknown key `tun` in `seeds`
   ╭─[sweep.yaml:4:9]
 3 │ metric: {nam: a, gaol: minimize}
 4 │ seeds: {tun: 1, finl: 1}
   ·         ─┬─
   ·          ╰── unknown key
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: did you mean `tune`? known keys: tune and final

  × unknown key `finl` in `seeds`
   ╭─[sweep.yaml:4:17]
 3 │ metric: {nam: a, gaol: minimize}
 4 │ seeds: {tun: 1, finl: 1}
   ·                 ──┬─
   ·                   ╰── unknown key
 5 │ parameters: {lr: {values: [1, 2]}}
   ╰────
  help: did you mean `final`? known keys: tune and final

6 problems
"#);
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
  help: use at most 64 letters, digits, dots, underscores and hyphens, a letter or digit first

  × `.hidden` cannot be the name of a folder of results
   ╭─[sweep.yaml:1:7]
 1 │ name: .hidden
   ·       ───┬───
   ·          ╰── not a good name
 2 │ worker: [w]
   ╰────
  help: use at most 64 letters, digits, dots, underscores and hyphens, a letter or digit first

  × `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` cannot be the name of a folder of results
   ╭─[sweep.yaml:1:7]
 1 │ name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
   ·       ────────────────────────────────┬────────────────────────────────
   ·                                       ╰── not a good name
 2 │ worker: [w]
   ╰────
  help: use at most 64 letters, digits, dots, underscores and hyphens, a letter or digit first

  × `name` is empty
   ╭─[sweep.yaml:1:1]
 1 │ name:
   · ──┬─
   ·   ╰── no text
 2 │ worker: [w]
   ╰────
  help: write a text, or remove the key

  × `name` must be text
   ╭─[sweep.yaml:1:7]
 1 │ name: [a]
   ·       ─┬─
   ·        ╰── not text
 2 │ worker: [w]
   ╰────
  help: write it in one line, in quotes if it contains a colon

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
    let keys: String = (0..57).map(|index| format!("unknown_{index}: 1\n")).collect();
    let diagnosis = super::bad(&format!("{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{value: 1}}}}\n{keys}"));
    assert_eq!((diagnosis.problems.len(), diagnosis.omitted), (20, 37));
    assert!(diagnosis.to_string().ends_with("\nsweep.yaml: and 37 more problems"), "{diagnosis}");

    let keys: String = (0..5000).map(|index| format!("unknown_{index}: 1\n")).collect();
    let diagnosis = super::bad(&keys);
    assert!(diagnosis.to_string().ends_with("and at least 180 more problems"), "{diagnosis}");
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
    let (a, b) = (spec.limits.of(0), spec.limits.of(1));
    assert_eq!((a.retries, b.retries, a.max_failures), (Some(0), Some(3), Some(7)));
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

#[test]
fn resources() {
    let own = |resources: &str| {
        format!(
            "name: t\nworker: [w]\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\nparameters: {{x: {{value: 1}}}}\nresources: {resources}\n"
        )
    };
    let spec = good(&own("{per_gpu: 3, threads: 4}"));
    assert_eq!((spec.resources.per_gpu, spec.resources.threads), (3, 4));
    assert_eq!(good(&own("{}")).resources, crate::spec::Resources { per_gpu: 1, threads: 1 });
    let builtin = format!("{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{value: 1}}}}\nresources: {{threads: 2}}\n");
    insta::assert_snapshot!(each(&[&own("{per_gpu: 0, threads: many}"), &own("{gpus: 2}"), &builtin]), @r#"
sweep.yaml:
  × `per_gpu` must be from 1 to 1024, not 0
   ╭─[sweep.yaml:6:22]
 5 │ parameters: {x: {value: 1}}
 6 │ resources: {per_gpu: 0, threads: many}
   ·                      ┬
   ·                      ╰── not a number of that kind
   ╰────
  help: write for example `resources: {per_gpu: 2, threads: 4}`

  × `threads` must be a whole number, 0 or greater, not `many`
   ╭─[sweep.yaml:6:34]
 5 │ parameters: {x: {value: 1}}
 6 │ resources: {per_gpu: 0, threads: many}
   ·                                  ──┬─
   ·                                    ╰── not a whole number
   ╰────
  help: write it in plain digits, without quotes: 5

2 problems
  × unknown key `gpus` in `resources`
   ╭─[sweep.yaml:6:13]
 5 │ parameters: {x: {value: 1}}
 6 │ resources: {gpus: 2}
   ·             ──┬─
   ·               ╰── unknown key
   ╰────
  help: known keys: per_gpu and threads

  × `threads`: the built-in task trains on one thread
   ╭─[sweep.yaml:6:22]
 5 │ parameters: {optimizer: {value: sgd}, lr: {value: 1}}
 6 │ resources: {threads: 2}
   ·                      ┬
   ·                      ╰── not for the built-in task
   ╰────
  help: remove it: pentagrid starts a worker for each core, which is faster, and results do not
        depend on the machine
"#);
}
