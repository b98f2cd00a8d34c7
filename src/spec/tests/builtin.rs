//! Mistakes in sweeps of the built-in task: its parameters, their ranges, and what each optimizer
//! takes.

use super::{BUILTIN, each, shown};

fn file(parameters: &str) -> String {
    format!("{BUILTIN}parameters: {{{parameters}}}\n")
}

#[test]
fn unknown_parameters() {
    insta::assert_snapshot!(shown(&format!(
        "{BUILTIN}parameters:\n  optimizer: {{value: adam}}\n  learning_rate: {{value: 1}}\n  lr: {{value: 0.1}}\n  beta3: {{value: 0.9}}\n  weight_decay: {{value: 0.1}}\n  opt: {{parameters: {{eps: {{value: 1}}}}}}\n"
    )), @r#"
sweep.yaml:
  × `learning_rate` is not a parameter of mnist-resnet18
   ╭─[sweep.yaml:7:3]
 6 │   optimizer: {value: adam}
 7 │   learning_rate: {value: 1}
   ·   ──────┬──────
   ·         ╰── unknown parameter
 8 │   lr: {value: 0.1}
   ╰────
  help: the task calls it `lr`

  × `beta3` is not a parameter of mnist-resnet18
    ╭─[sweep.yaml:9:3]
  8 │   lr: {value: 0.1}
  9 │   beta3: {value: 0.9}
    ·   ──┬──
    ·     ╰── unknown parameter
 10 │   weight_decay: {value: 0.1}
    ╰────
  help: did you mean `beta1`? its parameters: optimizer, lr, momentum, dampening, tl, lr1, lr2,
        beta1, beta2, eps, hessian_power, epochs, batch_size, train_images, data_dir and protocol

  × `weight_decay` is not a parameter of mnist-resnet18
    ╭─[sweep.yaml:10:3]
  9 │   beta3: {value: 0.9}
 10 │   weight_decay: {value: 0.1}
    ·   ──────┬─────
    ·         ╰── unknown parameter
 11 │   opt: {parameters: {eps: {value: 1}}}
    ╰────
  help: its parameters: optimizer, lr, momentum, dampening, tl, lr1, lr2, beta1, beta2, eps,
        hessian_power, epochs, batch_size, train_images, data_dir and protocol

  × `opt.eps` is not a parameter of mnist-resnet18
    ╭─[sweep.yaml:11:22]
 10 │   weight_decay: {value: 0.1}
 11 │   opt: {parameters: {eps: {value: 1}}}
    ·                      ─┬─
    ·                       ╰── unknown parameter
    ╰────
  help: the task has no nested parameters: write `eps` beside the others

4 problems
"#);
}

#[test]
fn ranges_and_types() {
    insta::assert_snapshot!(shown(&format!(
        "{BUILTIN}parameters:\n  optimizer: {{value: adam}}\n  lr: {{values: [0, -1e-3, \"1e-4\"]}}\n  beta1: {{values: [1, 1.5, 0.9]}}\n  eps: {{value: -1}}\n  epochs: {{values: [0, 2.5, 3.0]}}\n  batch_size: {{value: 1}}\n  data_dir: {{value: 5}}\n  train_images: {{value: 1e3, type: float}}\n"
    )), @r#"
sweep.yaml:
  × lr must be greater than 0, not 0
   ╭─[sweep.yaml:7:17]
 6 │   optimizer: {value: adam}
 7 │   lr: {values: [0, -1e-3, "1e-4"]}
   ·                 ┬
   ·                 ╰── out of range
 8 │   beta1: {values: [1, 1.5, 0.9]}
   ╰────
  help: lr: learning rate

  × lr must be greater than 0, not -1e-3
   ╭─[sweep.yaml:7:20]
 6 │   optimizer: {value: adam}
 7 │   lr: {values: [0, -1e-3, "1e-4"]}
   ·                    ──┬──
   ·                      ╰── out of range
 8 │   beta1: {values: [1, 1.5, 0.9]}
   ╰────
  help: lr: learning rate

  × lr: expected a number, found the text `1e-4`
   ╭─[sweep.yaml:7:27]
 6 │   optimizer: {value: adam}
 7 │   lr: {values: [0, -1e-3, "1e-4"]}
   ·                           ───┬──
   ·                              ╰── not a number
 8 │   beta1: {values: [1, 1.5, 0.9]}
   ╰────
  help: remove the quotes: 1e-4

  × beta1 must be at least 0 and less than 1, not 1
   ╭─[sweep.yaml:8:20]
 7 │   lr: {values: [0, -1e-3, "1e-4"]}
 8 │   beta1: {values: [1, 1.5, 0.9]}
   ·                    ┬
   ·                    ╰── out of range
 9 │   eps: {value: -1}
   ╰────
  help: beta1: decay β1 of the first moment (hybrid: of its second phase)

  × beta1 must be at least 0 and less than 1, not 1.5
   ╭─[sweep.yaml:8:23]
 7 │   lr: {values: [0, -1e-3, "1e-4"]}
 8 │   beta1: {values: [1, 1.5, 0.9]}
   ·                       ─┬─
   ·                        ╰── out of range
 9 │   eps: {value: -1}
   ╰────
  help: beta1: decay β1 of the first moment (hybrid: of its second phase)

  × eps must be 0 or greater, not -1
    ╭─[sweep.yaml:9:16]
  8 │   beta1: {values: [1, 1.5, 0.9]}
  9 │   eps: {value: -1}
    ·                ─┬
    ·                 ╰── out of range
 10 │   epochs: {values: [0, 2.5, 3.0]}
    ╰────
  help: eps: term added to the denominator; 1e-8 for adam, 1e-4 for adahessian and hybrid when
        left out

  × epochs must be from 1 to 10000, not 0
    ╭─[sweep.yaml:10:21]
  9 │   eps: {value: -1}
 10 │   epochs: {values: [0, 2.5, 3.0]}
    ·                     ┬
    ·                     ╰── out of range
 11 │   batch_size: {value: 1}
    ╰────
  help: epochs: passes over the training images

  × epochs: expected an integer, found the float 2.5
    ╭─[sweep.yaml:10:24]
  9 │   eps: {value: -1}
 10 │   epochs: {values: [0, 2.5, 3.0]}
    ·                        ─┬─
    ·                         ╰── not an integer
 11 │   batch_size: {value: 1}
    ╰────

  × epochs: expected an integer, found the float 3.0
    ╭─[sweep.yaml:10:29]
  9 │   eps: {value: -1}
 10 │   epochs: {values: [0, 2.5, 3.0]}
    ·                             ─┬─
    ·                              ╰── not an integer
 11 │   batch_size: {value: 1}
    ╰────
  help: write 3

  × batch_size must be from 2 to 10000, not 1
    ╭─[sweep.yaml:11:23]
 10 │   epochs: {values: [0, 2.5, 3.0]}
 11 │   batch_size: {value: 1}
    ·                       ┬
    ·                       ╰── out of range
 12 │   data_dir: {value: 5}
    ╰────
  help: batch_size: images a step

  × data_dir: expected text, found the integer 5
    ╭─[sweep.yaml:12:21]
 11 │   batch_size: {value: 1}
 12 │   data_dir: {value: 5}
    ·                     ┬
    ·                     ╰── not text
 13 │   train_images: {value: 1e3, type: float}
    ╰────
  help: quote it to make it text: "5"

  × train_images: expected an integer, found the float 1000.0
    ╭─[sweep.yaml:13:25]
 12 │   data_dir: {value: 5}
 13 │   train_images: {value: 1e3, type: float}
    ·                         ─┬─
    ·                          ╰── not an integer
    ╰────
  help: write 1000

  × `train_images` of mnist-resnet18 is an integer, not of type float
    ╭─[sweep.yaml:13:36]
 12 │   data_dir: {value: 5}
 13 │   train_images: {value: 1e3, type: float}
    ·                                    ──┬──
    ·                                      ╰── another type
    ╰────
  help: remove `type`: the task knows it

13 problems
"#);
}

#[test]
fn optimizers() {
    insta::assert_snapshot!(each(&[
        &file("lr: {value: 0.1}"),
        &file("optimizer: {value: adamw}, lr: {value: 0.1}"),
        &file("optimizer: {value: sgd}, lr: {value: 0.1}, momentum: {value: 0.9}"),
        &file("optimizer: {value: hybrid}, lr: {value: 0.1}, momentum: {value: 0.9}, tl: {value: 1}"),
        &file("optimizer: {value: sgd_momentum}"),
    ]), @r#"
sweep.yaml:
  × the sweep names no `optimizer`
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {lr: {value: 0.1}}
   · ─────┬────
   ·      ╰── no optimizer
   ╰────
  help: add `optimizer: {value: sgd}` to its parameters; it is one of sgd, sgd_momentum, adam,
        adahessian or hybrid

  × unknown optimizer `adamw`
   ╭─[sweep.yaml:5:33]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: adamw}, lr: {value: 0.1}}
   ·                                 ──┬──
   ·                                   ╰── unknown optimizer
   ╰────
  help: did you mean `adam`? optimizers: sgd, sgd_momentum, adam, adahessian and hybrid

  × `momentum` means nothing to sgd
   ╭─[sweep.yaml:5:57]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: sgd}, lr: {value: 0.1}, momentum: {value: 0.9}}
   ·                                                         ────┬───
   ·                                                             ╰── not for sgd
   ╰────
  help: `momentum` belongs to sgd_momentum and hybrid; sgd takes lr

  × the sweep lacks `lr1`, needed by hybrid
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: hybrid}, lr: {value: 0.1}, momentum: {value: 0.9}, tl: {…
   · ─────┬────
   ·      ╰── no `lr1`
   ╰────
  help: add `lr1: {values: [...]}` to its parameters: learning rate of hybrid's first phase (SGD
        with momentum)

  × the sweep lacks `lr2`, needed by hybrid
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: hybrid}, lr: {value: 0.1}, momentum: {value: 0.9}, tl: {…
   · ─────┬────
   ·      ╰── no `lr2`
   ╰────
  help: add `lr2: {values: [...]}` to its parameters: learning rate of hybrid's second phase
        (AdaHessian)

  × `lr` means nothing to hybrid
   ╭─[sweep.yaml:5:42]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …: {optimizer: {value: hybrid}, lr: {value: 0.1}, momentum: {value: 0.9}, tl: {value: 1}}
   ·                                 ─┬
   ·                                  ╰── not for hybrid
   ╰────
  help: `lr` belongs to sgd, sgd_momentum, adam and adahessian; hybrid takes momentum, dampening,
        tl, lr1, lr2, beta1, beta2, eps and hessian_power

3 problems
  × the sweep lacks `lr`, needed by sgd_momentum
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: sgd_momentum}}
   · ─────┬────
   ·      ╰── no `lr`
   ╰────
  help: add `lr: {values: [...]}` to its parameters: learning rate

  × the sweep lacks `momentum`, needed by sgd_momentum
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: sgd_momentum}}
   · ─────┬────
   ·      ╰── no `momentum`
   ╰────
  help: add `momentum: {values: [...]}` to its parameters: momentum β (hybrid: of its first phase)

2 problems
"#);
}

#[test]
fn an_optimizer_axis() {
    insta::assert_snapshot!(each(&[
        &file("optimizer: {values: [sgd, sgd_momentum]}, lr: {value: 0.1}, momentum: {value: 0.9}"),
        &file("optimizer: {values: [sgd, adam]}"),
    ]), @r#"
sweep.yaml:
  × `momentum` means nothing to sgd
   ╭─[sweep.yaml:5:74]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …rs: {optimizer: {values: [sgd, sgd_momentum]}, lr: {value: 0.1}, momentum: {value: 0.9}}
   ·                                                                   ────┬───
   ·                                                                       ╰── not for sgd
   ╰────
  help: `momentum` belongs to sgd_momentum and hybrid; sgd takes lr; give each optimizer an arm of
        its own, or say when the parameter exists: `when: {optimizer: sgd_momentum}`

  × the sweep lacks `lr`, needed by sgd and adam
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {values: [sgd, adam]}}
   · ─────┬────
   ·      ╰── no `lr`
   ╰────
  help: add `lr: {values: [...]}` to its parameters: learning rate
"#);
}

#[test]
fn common_parameters_that_do_not_apply_to_an_arm() {
    insta::assert_snapshot!(shown(&format!(
        "{BUILTIN}parameters: {{lr: {{value: 0.1}}, beta1: {{value: 0.9}}}}\narms:\n  sgd: {{parameters: {{optimizer: {{value: sgd}}}}}}\n  adam: {{parameters: {{optimizer: {{value: adam}}}}}}\n  none: {{label: nothing}}\n"
    )), @r#"
sweep.yaml:
  × arm `sgd`: `beta1` means nothing to sgd
   ╭─[sweep.yaml:5:32]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {lr: {value: 0.1}, beta1: {value: 0.9}}
   ·                                ──┬──
   ·                                  ╰── not for sgd
 6 │ arms:
   ╰────
  help: `beta1` belongs to adam, adahessian and hybrid; sgd takes lr

  × arm `none` names no `optimizer`
   ╭─[sweep.yaml:9:3]
 8 │   adam: {parameters: {optimizer: {value: adam}}}
 9 │   none: {label: nothing}
   ·   ──┬─
   ·     ╰── no optimizer
   ╰────
  help: add `optimizer: {value: sgd}` to its parameters; it is one of sgd, sgd_momentum, adam,
        adahessian or hybrid

2 problems
"#);
}

#[test]
fn the_protocol_is_a_parameter_with_two_values() {
    let rest = "parameters: {optimizer: {value: sgd}, lr: {value: 1}, protocol: {value: as_is}}\n";
    insta::assert_snapshot!(each(&[&format!("{BUILTIN}{rest}"), &format!("{BUILTIN}protocol: as_run\n{}", rest.replace("as_is", "as_run"))]), @r#"
sweep.yaml:
  × protocol must be paper or as_run, not as_is
   ╭─[sweep.yaml:5:73]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {optimizer: {value: sgd}, lr: {value: 1}, protocol: {value: as_is}}
   ·                                                                         ──┬──
   ·                                                                           ╰── out of range
   ╰────
  help: protocol: what is measured on which images: paper is what the paper says, as_run repeats
        what its authors' program did

  × `protocol` is a parameter of the built-in task, not a key of the sweep
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ protocol: as_run
   · ────┬───
   ·     ╰── a parameter
 6 │ parameters: {optimizer: {value: sgd}, lr: {value: 1}, protocol: {value: as_run}}
   ╰────
  help: write it under `parameters`: `protocol: {value: as_run}`
"#);
}
