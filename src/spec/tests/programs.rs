//! A user's program: `program`, `command`, `env`, `workdir`; and `resources`.

use super::{BUILTIN, each, good};

const PARAMETERS: &str = "parameters: {lr: {values: [1, 2]}}\n";

const OWN: &str = "name: t\nmetric: {name: a, goal: minimize}\nseeds: {tune: 1, final: 1}\n";

#[test]
fn programs_are_read() {
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
        good(&format!(
            "program: a.py\nname: t\nmetric: {metric}\nseeds: {{tune: 1, final: 1}}\n{PARAMETERS}"
        ))
        .metric
        .goal
    };
    assert_eq!(goal("{name: a}"), crate::spec::Goal::Minimize, "as in W&B");
    assert_eq!(
        goal("{name: a, goal: maximize}"),
        crate::spec::Goal::Maximize
    );
    let name = |name: &str| {
        good(&format!("program: src/train_net.py\n{name}metric: {{name: a}}\nseeds: {{tune: 1, final: 1}}\n{PARAMETERS}")).name
    };
    assert_eq!(
        (name(""), name("name: My sweep (2)\n")),
        ("train_net".to_owned(), "My-sweep-2".to_owned()),
        "as in W&B"
    );
    let spec = good(&format!(
        "program: a.py\nenv: {{A: 1, B: 'x${{seed}}', C: }}\nworkdir: sub\n{OWN}{PARAMETERS}"
    ));
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
  help: write `command: [python, train.py, "${args}"]`; there is no shell

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
        `${args_append_hydra}`, `${args_override_hydra}`, `${args_hydra}`, `${args_json}`,
        `${args_json_file}`, `${envvar:NAME}`, `${seed}`, `${trial}`, `${dir}` and `${$}`

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
  help: write `${envvar:nope}` for an environment variable; known macros: `${env}`,
        `${interpreter}`, `${program}`, `${args}`, `${args_no_equals}`, `${args_no_hyphens}`,
        `${args_no_boolean_flags}`, `${args_append_hydra}`, `${args_override_hydra}`,
        `${args_hydra}`, `${args_json}`, `${args_json_file}`, `${envvar:NAME}`, `${seed}`,
        `${trial}`, `${dir}` and `${$}`

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
  help: remove it; every trial runs to its end. `prune: safe` leaves out trials that cannot change
        the winner

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
fn resources() {
    let own = |resources: &str| {
        format!(
            "name: t\nworker: [w]\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\nparameters: {{x: {{value: 1}}}}\nresources: {resources}\n"
        )
    };
    let spec = good(&own("{per_gpu: 3, threads: 4}"));
    assert_eq!((spec.resources.per_gpu, spec.resources.threads), (3, 4));
    assert_eq!(
        good(&own("{}")).resources,
        crate::spec::Resources {
            per_gpu: 1,
            threads: 1
        }
    );
    let arms = |who: &str| {
        format!(
            "name: t\n{who}\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\nresources: {{per_gpu: 4}}\n\
                 arms: {{a: {{parameters: {{x: {{value: 1}}}}}}, b: {{parameters: {{x: {{value: 2}}}}, resources: {{per_gpu: 1, threads: 2}}}}}}\n"
        )
    };
    let spec = good(&arms("program: a.py"));
    let of = |arm| {
        (
            spec.resources_of(arm).per_gpu,
            spec.resources_of(arm).threads,
        )
    };
    assert_eq!(
        (of(0), of(1), spec.widest_resources().per_gpu),
        ((4, 1), (1, 2), 4)
    );
    let builtin = format!(
        "{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{value: 1}}}}\nresources: {{threads: 2}}\n"
    );
    insta::assert_snapshot!(each(&[&own("{per_gpu: 0, threads: many}"), &own("{gpus: 2}"), &builtin, &arms("worker: [w]")]), @r#"
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

  × `threads` of an arm: a worker trains trials of all arms, with the threads that it was started
  │ with
   ╭─[sweep.yaml:6:108]
 5 │ resources: {per_gpu: 4}
 6 │ …{x: {value: 1}}}, b: {parameters: {x: {value: 2}}, resources: {per_gpu: 1, threads: 2}}}
   ·                                                                                      ┬
   ·                                                                                      ╰── not for an arm
   ╰────
  help: set it under `resources` of the sweep, or use a `program`, which is started for each trial
"#);
}
