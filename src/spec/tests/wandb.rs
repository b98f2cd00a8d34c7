//! Sweep files as users of W&B write them: names with dots, values of any kind, seeds among the
//! parameters, anchors, arguments.

use super::{each, good, shown};
use crate::spec::command::Filling;
use crate::spec::{Config, Spec, Task};

/// The end of a sweep file of a program.
const END: &str = "metric: {name: loss}\nseeds: {tune: 1, final: 0}\n";

pub(super) fn file(lines: &str) -> String {
    format!("program: train.py\n{END}{lines}\n")
}

fn configs(spec: &Spec) -> Vec<Config> {
    let grid = crate::grid::Grid::new(spec);
    let arm = &grid.arms()[0];
    let points = (0..arm.len()).map(crate::grid::PointIndex);
    points.map(|point| arm.config(point)).collect()
}

/// The arguments of each point, without interpreter and script.
fn arguments(lines: &str) -> String {
    let spec = good(&file(lines));
    arguments_of(&spec)
}

fn arguments_of(spec: &Spec) -> String {
    let Task::Program(program) = &spec.task else {
        panic!("no program");
    };
    let lines: Vec<String> = configs(spec)
        .iter()
        .map(|config| {
            let filling = Filling {
                config,
                seed: 7,
                ..Filling::of_no_trial("python3")
            };
            program.fill(&filling, &|_| None).unwrap()[2..].join(" | ")
        })
        .collect();
    lines.join("\n")
}

#[test]
fn a_dot_in_a_name_is_a_group() {
    let flat = good(&file("parameters: {model.width: {values: [64, 128]}}"));
    let nested = good(&file(
        "parameters: {model: {parameters: {width: {values: [64, 128]}}}}",
    ));
    assert_eq!(configs(&flat), configs(&nested));
    insta::assert_snapshot!(arguments_of(&flat), @"
    --model.width=64 | --seed=7
    --model.width=128 | --seed=7
    ");
}

#[test]
fn a_parameter_may_have_the_name_of_a_group() {
    let text = "command: [python3, train.py, '${args_no_hyphens}']\nname: t\n".to_owned()
        + END
        + "parameters: {model: {value: big}, model.depth: {value: 4}, data: {parameters: {n: {value: 1}}}}\n";
    let spec = good(&text);
    insta::assert_snapshot!(arguments_of(&spec), @"data.n=1 | model=big | model.depth=4 | seed=7");
    let json = crate::spec::command::nested_json(&configs(&spec)[0]);
    assert_eq!(json, r#"{"data":{"n":1},"model":"big","model.depth":4}"#);
}

#[test]
fn a_parameter_that_is_written_twice_is_refused() {
    insta::assert_snapshot!(shown(&file("parameters: {a.b: {value: 1}, a: {parameters: {b: {value: 2}}}}")), @"
sweep.yaml:
  × the parameter `a.b` is here twice
   ╭─[sweep.yaml:4:48]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {a.b: {value: 1}, a: {parameters: {b: {value: 2}}}}
   ·              ─┬─                               ┬
   ·               │                                ╰── again
   ·               ╰── first here
   ╰────
  help: keep one of them: a dot in a name is a group around the rest of it
");
}

#[test]
fn any_value() {
    insta::assert_snapshot!(arguments("parameters: {hidden: {values: [[64, 64], [128]]}}"), @"
    --hidden=[64, 64] | --seed=7
    --hidden=[128] | --seed=7
    ");
    insta::assert_snapshot!(arguments("parameters: {wd: {values: [null, 0.1]}}"), @"
    --wd=None | --seed=7
    --wd=0.1 | --seed=7
    ");
    insta::assert_snapshot!(arguments("parameters: {opt: {values: [{name: sgd, lr: 0.1}, {name: adam, lr: 0.001}]}}"), @"
    --opt={'lr': 0.1, 'name': 'sgd'} | --seed=7
    --opt={'lr': 0.001, 'name': 'adam'} | --seed=7
    ");
    let spec = good(&file("parameters: {x: {values: [[1, {a: null}], true]}}"));
    let json = crate::spec::command::nested_json(&configs(&spec)[0]);
    assert_eq!(json, r#"{"x":[1,{"a":null}]}"#);
}

#[test]
fn lists_null_and_booleans_as_argparse_wants_them() {
    insta::assert_snapshot!(arguments("args: {lists: words, null: omit, booleans: flags}\nparameters: {hidden: {value: [64, 64]}, wd: {value: null}, augment: {values: [true, false]}}"), @"
    --augment | --hidden | 64 | 64 | --seed=7
    --no-augment | --hidden | 64 | 64 | --seed=7
    ");
    insta::assert_snapshot!(arguments("parameters: {a: {value: true, args: {booleans: store_true}}, b: {value: true}}"), @"--a | --b=True | --seed=7");
}

#[test]
fn mistakes_in_args() {
    insta::assert_snapshot!(each(&[
        &file("args: {lists: word}\nparameters: {a: {value: 1}}"),
        &file("args: [words]\nparameters: {a: {value: 1}}"),
        "task: mnist-resnet18\nname: t\nmetric: {name: val_loss, goal: minimize}\nseeds: {tune: 1, final: 0}\nargs: {lists: words}\nparameters: {optimizer: {value: sgd}, lr: {value: 0.1}}\n",
        &file("arms: {a: {parameters: {x: {value: 1, args: {null: omit}}}}, b: {parameters: {x: {value: 1, args: {null: literal}}}}}"),
    ]), @"
sweep.yaml:
  × `lists` cannot be `word`
   ╭─[sweep.yaml:4:15]
 3 │ seeds: {tune: 1, final: 0}
 4 │ args: {lists: word}
   ·               ──┬─
   ·                 ╰── unknown word
 5 │ parameters: {a: {value: 1}}
   ╰────
  help: did you mean `words`? possible: literal and words

  × `args` must be a mapping, not a list
   ╭─[sweep.yaml:4:7]
 3 │ seeds: {tune: 1, final: 0}
 4 │ args: [words]
   ·       ───┬───
   ·          ╰── expected a mapping
 5 │ parameters: {a: {value: 1}}
   ╰────
  help: write it as `args: {lists: words, null: omit, booleans: flags}`

  × `args` without a program: nothing is written as arguments
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 1, final: 0}
 5 │ args: {lists: words}
   · ──┬─
   ·   ╰── without effect
 6 │ parameters: {optimizer: {value: sgd}, lr: {value: 0.1}}
   ╰────
  help: remove it

  × `args` of `x` differs between arms
   ╭─[sweep.yaml:4:79]
 3 │ seeds: {tune: 1, final: 0}
 4 │ …alue: 1, args: {null: omit}}}}, b: {parameters: {x: {value: 1, args: {null: literal}}}}}
   ·                                                   ┬
   ·                                                   ╰── another one
   ╰────
  help: write it the same way everywhere
");
}

#[test]
fn seeds_among_the_parameters() {
    let text = "program: train.py\nmetric: {name: loss}\nparameters: {seed: {values: [1, 2, 3]}, lr: {value: 0.1}}\n";
    let spec = good(text);
    assert_eq!(spec.seeds.tune, [1, 2, 3]);
    assert!(spec.seeds.final_.is_empty());
    insta::assert_snapshot!(spec.remarks.join("\n"), @"the values of the parameter `seed` are the tuning seeds (1, 2, 3), and no point is trained again with fresh seeds: `seeds: {tune: [1, 2, 3], final: 10}` instead of it asks for that");
    insta::assert_snapshot!(arguments_of(&spec), @"--lr=0.1 | --seed=7");

    let named = "program: train.py\nmetric: {name: loss}\nseeds: {parameter: seed_everything, final: 2}\nparameters: {seed_everything: {values: [4, 5]}, lr: {value: 0.1}}\n";
    let spec = good(named);
    assert_eq!(spec.seeds.tune, [4, 5]);
    insta::assert_snapshot!(arguments_of(&spec), @"--lr=0.1 | --seed_everything=7");
    let only_named = "program: train.py\nmetric: {name: loss}\nseeds: {parameter: random_seed, tune: 2, final: 2}\nparameters: {lr: {value: 0.1}}\n";
    insta::assert_snapshot!(arguments_of(&good(only_named)), @"--lr=0.1 | --random_seed=7");

    insta::assert_snapshot!(each(&[
        &file("parameters: {seed: {values: [1, 2, 3]}, lr: {value: 0.1}}"),
        "program: train.py\nmetric: {name: loss}\nparameters: {seed: {values: [a]}, lr: {value: 0.1}}\n",
        "program: train.py\nmetric: {name: loss}\nparameters: {seed: {linspace: {from: 1, to: 2, points: 2}}, lr: {value: 0.1}}\n",
        "program: train.py\nmetric: {name: loss}\nseeds: {parameter: random_seed, tune: 2, final: 2}\nparameters: {random_seed: {values: [1]}, lr: {value: 0.1}}\n",
    ]), @"
sweep.yaml:
  × `seed` is not a hyper-parameter: seeds are an axis of their own
   ╭─[sweep.yaml:4:14]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {seed: {values: [1, 2, 3]}, lr: {value: 0.1}}
   ·              ──┬─
   ·                ╰── a seed
   ╰────
  help: remove it, and write `seeds: {tune: [1, 2, 3], final: 10}` at the top of the file; or keep
        it there and write `seeds: {parameter: seed, final: 10}`

  × a seed must be a whole number, 0 or greater, not `a`
   ╭─[sweep.yaml:3:30]
 2 │ metric: {name: loss}
 3 │ parameters: {seed: {values: [a]}, lr: {value: 0.1}}
   ·                              ┬
   ·                              ╰── not a whole number
   ╰────
  help: write it in plain digits, without quotes: 5

  × the parameter `seed` holds no seeds
   ╭─[sweep.yaml:3:20]
 2 │ metric: {name: loss}
 3 │ parameters: {seed: {linspace: {from: 1, to: 2, points: 2}}, lr: {value: 0.1}}
   ·                    ───────────────────┬───────────────────
   ·                                       ╰── no seeds
   ╰────
  help: write `seed: {values: [0, 1, 2]}`, or `seeds: {tune: 5, final: 10}` instead

  × tuning seeds under `tune` and as values of the parameter `random_seed`
   ╭─[sweep.yaml:3:33]
 2 │ metric: {name: loss}
 3 │ seeds: {parameter: random_seed, tune: 2, final: 2}
   ·                                 ──┬─
   ·                                   ╰── here
 4 │ parameters: {random_seed: {values: [1]}, lr: {value: 0.1}}
   ·              ─────┬─────
   ·                   ╰── and here
   ╰────
  help: keep one of them
");
}

#[test]
fn one_parameter_in_a_command_line() {
    let text = |command: &str| {
        format!(
            "command: {command}\nname: t\n{END}parameters: {{optimizer: {{values: [sgd, adam]}}, lr: {{value: 0.1}}}}\n"
        )
    };
    let spec = good(&text(
        r#"[python3, train.py, "--optimizer=${optimizer}", "${args}"]"#,
    ));
    insta::assert_snapshot!(arguments_of(&spec), @"
    --optimizer=sgd | --lr=0.1 | --seed=7
    --optimizer=adam | --lr=0.1 | --seed=7
    ");
    insta::assert_snapshot!(each(&[
        &text("[python3, train.py, '--o=${optimiser}']"),
        "command: [t, '${tl}']\nname: t\nmetric: {name: loss}\nseeds: {tune: 1, final: 0}\narms: {a: {parameters: {tl: {value: 1}}}, b: {parameters: {lr: {value: 1}}}}\n",
        "program: t.sh\nenv: {TL: '${tl}'}\nmetric: {name: loss}\nseeds: {tune: 1, final: 0}\nparameters: {o: {values: [a, b]}, tl: {value: 1, when: {o: a}}}\n",
    ]), @"
sweep.yaml:
  × unknown macro `${optimiser}`
   ╭─[sweep.yaml:1:30]
 1 │ command: [python3, train.py, '--o=${optimiser}']
   ·                              ─────────┬────────
   ·                                       ╰── unknown macro
 2 │ name: t
   ╰────
  help: did you mean `${optimizer}`? known macros: `${env}`, `${interpreter}`, `${program}`,
        `${args}`, `${args_no_equals}`, `${args_no_hyphens}`, `${args_no_boolean_flags}`,
        `${args_append_hydra}`, `${args_override_hydra}`, `${args_hydra}`, `${args_json}`,
        `${args_json_file}`, `${envvar:NAME}`, `${seed}`, `${trial}`, `${dir}` and `${$}`

  × `${tl}` in `command`, but not every configuration of arm `b` has the parameter `tl`
   ╭─[sweep.yaml:1:1]
 1 │ command: [t, '${tl}']
   · ───┬───
   ·    ╰── named here
 2 │ name: t
   ╰────
   ╭─[sweep.yaml:5:43]
 4 │ seeds: {tune: 1, final: 0}
 5 │ arms: {a: {parameters: {tl: {value: 1}}}, b: {parameters: {lr: {value: 1}}}}
   ·                                           ┬
   ·                                           ╰── not there
   ╰────
  help: give it a value there too, or let `${args}` pass it on

  × `${tl}` in `env`, but not every configuration of the sweep has the parameter `tl`
   ╭─[sweep.yaml:2:1]
 1 │ program: t.sh
 2 │ env: {TL: '${tl}'}
   · ─┬─
   ·  ╰── named here
 3 │ metric: {name: loss}
 4 │ seeds: {tune: 1, final: 0}
 5 │ parameters: {o: {values: [a, b]}, tl: {value: 1, when: {o: a}}}
   · ─────┬────
   ·      ╰── not there
   ╰────
  help: give it a value there too, or let `${args}` pass it on
");
}

#[test]
fn anchors_have_a_place_at_the_top() {
    let text = "x-common: &common {lr: {values: [0.1, 0.2]}}\nprogram: train.py\nmetric: {name: loss}\nseeds: {tune: 1, final: 0}\nparameters: {<<: *common, n: {value: 1}}\n";
    assert_eq!(configs(&good(text)).len(), 2);
}

#[test]
fn a_macro_as_a_value_is_refused() {
    insta::assert_snapshot!(shown(&file("parameters: {lr: {value: '${bs} * 0.001'}, x: {values: [['${y}'], {a: 1}]}}")), @"
sweep.yaml:
  × lr: `${bs} * 0.001` holds `${`, but values are given as they are
   ╭─[sweep.yaml:4:26]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {lr: {value: '${bs} * 0.001'}, x: {values: [['${y}'], {a: 1}]}}
   ·                          ───────┬───────
   ·                                 ╰── not replaced
   ╰────
  help: list the values that go together under `values` and join them with `zip`, or compute it in
        the program; `command` and `env` replace `${name}`

  × x: `${y}` holds `${`, but values are given as they are
   ╭─[sweep.yaml:4:57]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {lr: {value: '${bs} * 0.001'}, x: {values: [['${y}'], {a: 1}]}}
   ·                                                         ────┬───
   ·                                                             ╰── not replaced
   ╰────
  help: list the values that go together under `values` and join them with `zip`, or compute it in
        the program; `command` and `env` replace `${name}`

2 problems
");
}
