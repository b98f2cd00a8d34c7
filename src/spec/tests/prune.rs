//! `prune`, and the bound that it needs.

use super::{BUILTIN, each, good};
use crate::spec::Prune;

const X: &str = "parameters: {x: {values: [1, 2]}}\n";
const SGD: &str = "parameters: {optimizer: {value: sgd}, lr: {values: [0.1, 0.2]}}\n";

fn own(metric: &str, prune: &str) -> String {
    format!(
        "name: t\nworker: [w]\nmetric: {metric}\nseeds: {{tune: 2, final: 3}}\n{X}prune: {prune}\n"
    )
}

#[test]
fn the_bound_is_declared_or_known() {
    let prune = |text: &str| good(text).prune;
    assert_eq!(
        prune(&own("{name: acc, goal: maximize, best: 1}", "safe")),
        Prune::Safe { best: 1.0 }
    );
    assert_eq!(
        prune(&own("{name: loss, goal: minimize, best: -1e-3}", "safe")),
        Prune::Safe { best: -1e-3 }
    );
    assert_eq!(
        prune(&own("{name: acc, goal: maximize, best: 1}", "none")),
        Prune::None
    );
    assert_eq!(
        prune(&own("{name: acc, goal: maximize}", "none")),
        Prune::None
    );
    assert_eq!(prune(&format!("{BUILTIN}{SGD}")), Prune::None);
    assert_eq!(
        prune(&format!("{BUILTIN}{SGD}prune: safe\n")),
        Prune::Safe { best: 100.0 }
    );
    let loss = BUILTIN.replace("val_accuracy, goal: maximize", "val_loss, goal: minimize");
    assert_eq!(
        prune(&format!("{loss}{SGD}prune: safe\n")),
        Prune::Safe { best: 0.0 }
    );
}

#[test]
fn sweeps_that_cannot_be_pruned() {
    let loss = BUILTIN.replace("val_accuracy, goal: maximize", "val_loss, goal: maximize");
    let twice = BUILTIN.replace("goal: maximize", "goal: maximize, best: 99");
    insta::assert_snapshot!(each(&[
        &own("{name: acc, goal: maximize}", "safe"),
        &own("{name: loss, goal: minimize}", "sfae"),
        &own("{name: acc, goal: maximize, best: .inf}", "safe"),
        &own("{name: acc, goal: maximize, best: perfect}", "[safe]"),
        &own("{name: acc, goal: maximize, best: 1.0}", "true"),
        &format!("{loss}{SGD}prune: safe\n"),
        &format!("{twice}{SGD}"),
    ]), @"
sweep.yaml:
  × `prune: safe` needs to know the best value that `acc` can take
   ╭─[sweep.yaml:6:8]
 2 │ worker: [w]
 3 │ metric: {name: acc, goal: maximize}
   · ───┬──
   ·    ╰── no `best` here
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ prune: safe
   ·        ──┬─
   ·          ╰── needs a bound
   ╰────
  help: write it under `metric`, if there is one: `metric: {name: acc, goal: maximize, best: 1.0}`

  × unknown way to prune `sfae`
   ╭─[sweep.yaml:6:8]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ prune: sfae
   ·        ──┬─
   ·          ╰── unknown way
   ╰────
  help: did you mean `safe`?

  × `best`: .inf is not a finite number
   ╭─[sweep.yaml:3:43]
 2 │ worker: [w]
 3 │ metric: {name: acc, goal: maximize, best: .inf}
   ·                                           ──┬─
   ·                                             ╰── not finite
 4 │ seeds: {tune: 2, final: 3}
   ╰────
  help: write a finite number

  × `best`: expected a number, found the text `perfect`
   ╭─[sweep.yaml:3:43]
 2 │ worker: [w]
 3 │ metric: {name: acc, goal: maximize, best: perfect}
   ·                                           ───┬───
   ·                                              ╰── not a number
 4 │ seeds: {tune: 2, final: 3}
   ╰────

  × `prune` must be text, not a list
   ╭─[sweep.yaml:6:8]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ prune: [safe]
   ·        ───┬──
   ·           ╰── not text
   ╰────
  help: write it without brackets

2 problems
  × unknown way to prune `true`
   ╭─[sweep.yaml:6:8]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ prune: true
   ·        ──┬─
   ·          ╰── unknown way
   ╰────
  help: write `prune: safe`

  × `prune: safe` needs to know the best value that `val_loss` can take
   ╭─[sweep.yaml:6:8]
 5 │ parameters: {optimizer: {value: sgd}, lr: {values: [0.1, 0.2]}}
 6 │ prune: safe
   ·        ──┬─
   ·          ╰── needs a bound
   ╰────
  help: to maximize it there is no bound: remove `prune`, or select by another metric

  × the bounds of the built-in task's metrics are known: here it is 100
   ╭─[sweep.yaml:3:46]
 2 │ task: mnist-resnet18
 3 │ metric: {name: val_accuracy, goal: maximize, best: 99}
   ·                                              ──┬─
   ·                                                ╰── known already
 4 │ seeds: {tune: 2, final: 3}
   ╰────
  help: remove `best`
");
}
