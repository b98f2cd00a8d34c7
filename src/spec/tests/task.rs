//! Mistakes in `task`, `worker`, `method` and `metric`.

use super::{WORKER, each};

const PARAMETERS: &str = "parameters: {lr: {values: [1, 2]}}\n";

#[test]
fn who_trains() {
    let file = |line: &str| {
        format!(
            "name: t\n{line}\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 2, final: 3}}\n{PARAMETERS}"
        )
    };
    insta::assert_snapshot!(each(&[
        &file("task: mnist_resnet"),
        &file("task: cifar"),
        &file("task: [a]"),
        &file("worker: python3 train.py"),
        &file("worker: []"),
        &file("worker: [python3, [a], ~]"),
        &file("worker: ['']"),
        &file("worker: [w]\ntask: mnist-resnet18"),
    ]), @"
sweep.yaml:
  × unknown task `mnist_resnet`
   ╭─[sweep.yaml:2:7]
 1 │ name: t
 2 │ task: mnist_resnet
   ·       ──────┬─────
   ·             ╰── unknown task
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: did you mean `mnist-resnet18`?

  × unknown task `cifar`
   ╭─[sweep.yaml:2:7]
 1 │ name: t
 2 │ task: cifar
   ·       ──┬──
   ·         ╰── unknown task
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: the built-in task is `mnist-resnet18`; a program of your own goes under `program`

  × `task` must be text, not a list
   ╭─[sweep.yaml:2:7]
 1 │ name: t
 2 │ task: [a]
   ·       ─┬─
   ·        ╰── not text
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: write it without brackets

  × `worker` must be a list of words, not a single value
   ╭─[sweep.yaml:2:9]
 1 │ name: t
 2 │ worker: python3 train.py
   ·         ────────┬───────
   ·                 ╰── not a list
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: write the program and each of its arguments as an item: `worker: [python3, train.py]`;
        there is no shell

  × `worker` is empty
   ╭─[sweep.yaml:2:9]
 1 │ name: t
 2 │ worker: []
   ·         ─┬
   ·          ╰── no program
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: write the program and each of its arguments as an item: `worker: [python3, train.py]`;
        there is no shell

  × word 2 of `worker` must be text, not a list
   ╭─[sweep.yaml:2:19]
 1 │ name: t
 2 │ worker: [python3, [a], ~]
   ·                   ─┬─
   ·                    ╰── not a word
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: write the program and each of its arguments as an item: `worker: [python3, train.py]`;
        there is no shell

  × word 3 of `worker` must be text, not an empty value
   ╭─[sweep.yaml:2:24]
 1 │ name: t
 2 │ worker: [python3, [a], ~]
   ·                        ┬
   ·                        ╰── not a word
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: write the program and each of its arguments as an item: `worker: [python3, train.py]`;
        there is no shell

2 problems
  × word 1 of `worker` must be text, not an empty value
   ╭─[sweep.yaml:2:10]
 1 │ name: t
 2 │ worker: ['']
   ·          ─┬
   ·           ╰── not a word
 3 │ metric: {name: loss, goal: minimize}
   ╰────
  help: write the program and each of its arguments as an item: `worker: [python3, train.py]`;
        there is no shell

  × both `worker` and `task`: only one can train
   ╭─[sweep.yaml:3:1]
 1 │ name: t
 2 │ worker: [w]
   · ───┬──
   ·    ╰── this
 3 │ task: mnist-resnet18
   · ──┬─
   ·   ╰── and this
 4 │ metric: {name: loss, goal: minimize}
   ╰────
  help: keep `task` for the built-in trainer, `program` or `command` for a program that trains one
        trial, `worker` for one that speaks the worker protocol
");
}

#[test]
fn methods() {
    insta::assert_snapshot!(each(&[
        &format!("{WORKER}{PARAMETERS}method: bayes\n"),
        &format!("{WORKER}{PARAMETERS}method: random\n"),
        &format!("{WORKER}{PARAMETERS}method: gird\n"),
    ]), @r#"
sweep.yaml:
  × the method `bayes` is not supported: pentagrid runs full grids only
   ╭─[sweep.yaml:6:9]
 5 │ parameters: {lr: {values: [1, 2]}}
 6 │ method: bayes
   ·         ──┬──
   ·           ╰── not a grid
   ╰────
  help: write `method: grid`, and list the values of every parameter

  × the method `random` is not supported: pentagrid runs full grids only
   ╭─[sweep.yaml:6:9]
 5 │ parameters: {lr: {values: [1, 2]}}
 6 │ method: random
   ·         ───┬──
   ·            ╰── not a grid
   ╰────
  help: write `method: grid`, and list the values of every parameter

  × unknown method `gird`
   ╭─[sweep.yaml:6:9]
 5 │ parameters: {lr: {values: [1, 2]}}
 6 │ method: gird
   ·         ──┬─
   ·           ╰── not a grid
   ╰────
  help: the only method is `grid`
"#);
}

#[test]
fn metrics() {
    let file = |task: &str, metric: &str| {
        format!(
            "name: t\n{task}\nmetric: {metric}\nseeds: {{tune: 1, final: 1}}\nparameters: {{optimizer: {{value: sgd}}, lr: {{value: 1}}}}\n"
        )
    };
    let builtin = |metric: &str| file("task: mnist-resnet18", metric);
    insta::assert_snapshot!(each(&[
        &builtin("{name: val_acuracy, goal: maximize}"),
        &builtin("{name: val_acc, goal: maximize}"),
        &builtin("{name: f1, goal: maximize}"),
        &builtin("{name: training_seconds, goal: minimize}"),
        &builtin("{name: switch_epoch, goal: minimize}"),
        &builtin("val_accuracy"),
        &builtin("{name: val_accuracy, goal: max}"),
        &builtin("{name: val_accuracy, goal: up}"),
        &file("worker: [w]", "{goal: minimize}"),
        &file("worker: [w]", "{name: loss}"),
        &file("worker: [w]", "{name: [loss], goal: minimize}"),
    ]), @"
sweep.yaml:
  × mnist-resnet18 reports no metric `val_acuracy`
   ╭─[sweep.yaml:3:16]
 2 │ task: mnist-resnet18
 3 │ metric: {name: val_acuracy, goal: maximize}
   ·                ─────┬─────
   ·                     ╰── unknown metric
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: did you mean `val_accuracy`? metrics to select by: train_accuracy, val_accuracy,
        test_accuracy, train_loss, val_loss and test_loss

  × mnist-resnet18 reports no metric `val_acc`
   ╭─[sweep.yaml:3:16]
 2 │ task: mnist-resnet18
 3 │ metric: {name: val_acc, goal: maximize}
   ·                ───┬───
   ·                   ╰── unknown metric
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: did you mean `val_accuracy`? metrics to select by: train_accuracy, val_accuracy,
        test_accuracy, train_loss, val_loss and test_loss

  × mnist-resnet18 reports no metric `f1`
   ╭─[sweep.yaml:3:16]
 2 │ task: mnist-resnet18
 3 │ metric: {name: f1, goal: maximize}
   ·                ─┬
   ·                 ╰── unknown metric
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: metrics to select by: train_accuracy, val_accuracy, test_accuracy, train_loss, val_loss
        and test_loss

  × a wall-clock time cannot select points: it differs from run to run
   ╭─[sweep.yaml:3:16]
 2 │ task: mnist-resnet18
 3 │ metric: {name: training_seconds, goal: minimize}
   ·                ────────┬───────
   ·                        ╰── a time
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: metrics to select by: train_accuracy, val_accuracy, test_accuracy, train_loss, val_loss
        and test_loss

  × not every trial reports `switch_epoch`
   ╭─[sweep.yaml:3:16]
 2 │ task: mnist-resnet18
 3 │ metric: {name: switch_epoch, goal: minimize}
   ·                ──────┬─────
   ·                      ╰── not always there
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: metrics to select by: train_accuracy, val_accuracy, test_accuracy, train_loss, val_loss
        and test_loss

  × `metric` must be a mapping with `name` and `goal`, not a single value
   ╭─[sweep.yaml:3:9]
 2 │ task: mnist-resnet18
 3 │ metric: val_accuracy
   ·         ──────┬─────
   ·               ╰── expected a mapping
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: write `metric: {name: val_accuracy, goal: maximize}`, or `minimize` if lower is better

  × unknown goal `max`
   ╭─[sweep.yaml:3:36]
 2 │ task: mnist-resnet18
 3 │ metric: {name: val_accuracy, goal: max}
   ·                                    ─┬─
   ·                                     ╰── unknown goal
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: did you mean `maximize`?

  × unknown goal `up`
   ╭─[sweep.yaml:3:36]
 2 │ task: mnist-resnet18
 3 │ metric: {name: val_accuracy, goal: up}
   ·                                    ─┬
   ·                                     ╰── unknown goal
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: write `maximize` or `minimize`

  × `metric` lacks `name`
   ╭─[sweep.yaml:3:1]
 2 │ worker: [w]
 3 │ metric: {goal: minimize}
   · ───┬──
   ·    ╰── no `name`
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: write `metric: {name: val_accuracy, goal: maximize}`

  × `metric` lacks `goal`
   ╭─[sweep.yaml:3:1]
 2 │ worker: [w]
 3 │ metric: {name: loss}
   · ───┬──
   ·    ╰── no `goal`
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: write `metric: {name: val_accuracy, goal: maximize}`

  × `name` must be text, not a list
   ╭─[sweep.yaml:3:16]
 2 │ worker: [w]
 3 │ metric: {name: [loss], goal: minimize}
   ·                ───┬──
   ·                   ╰── not text
 4 │ seeds: {tune: 1, final: 1}
   ╰────
  help: write it without brackets
");
}
