//! Mistakes in the mapping under the kind of a claim.

use super::claims::builtin;
use super::{WORKER, each, shown};

#[test]
fn mistakes_within_claims() {
    insta::assert_snapshot!(shown(&builtin(
        "  - {says: a, highest: {arm: smd, metric: test_acuracy, amongst: [adam]}}
  - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
  - {says: c, greater: {arm: sgd, than: sgd, metric: switch_epoch}}
  - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
  - {says: e, at_least: {metric: test_accuracy, value: high, arms: []}}
"
    )), @r#"
sweep.yaml:
  × there is no arm `smd`
    ╭─[sweep.yaml:11:30]
 10 │ claims:
 11 │   - {says: a, highest: {arm: smd, metric: test_acuracy, amongst: [adam]}}
    ·                              ─┬─
    ·                               ╰── unknown arm
 12 │   - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
    ╰────
  help: did you mean `sgd`? arms: sgd, adam and adahessian

  × mnist-resnet18 reports no metric `test_acuracy`
    ╭─[sweep.yaml:11:43]
 10 │ claims:
 11 │   - {says: a, highest: {arm: smd, metric: test_acuracy, amongst: [adam]}}
    ·                                           ──────┬─────
    ·                                                 ╰── unknown metric
 12 │   - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
    ╰────
  help: did you mean `test_accuracy`? its metrics: train_accuracy, val_accuracy, test_accuracy,
        train_loss, val_loss, test_loss and training_seconds

  × unknown key `amongst` in `highest`
    ╭─[sweep.yaml:11:57]
 10 │ claims:
 11 │   - {says: a, highest: {arm: smd, metric: test_acuracy, amongst: [adam]}}
    ·                                                         ───┬───
    ·                                                            ╰── unknown key
 12 │   - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
    ╰────
  help: did you mean `among`? known keys: arm, metric and among

  × `lowest` compares the arm with no other
    ╭─[sweep.yaml:12:64]
 11 │   - {says: a, highest: {arm: smd, metric: test_acuracy, amongst: [adam]}}
 12 │   - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
    ·                                                                ──┬──
    ·                                                                  ╰── no other arm
 13 │   - {says: c, greater: {arm: sgd, than: sgd, metric: switch_epoch}}
    ╰────
  help: name other arms under `among`, or leave it out where there are any

  × `greater` compares `sgd` with itself
    ╭─[sweep.yaml:13:41]
 12 │   - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
 13 │   - {says: c, greater: {arm: sgd, than: sgd, metric: switch_epoch}}
    ·                                         ─┬─
    ·                                          ╰── the same
 14 │   - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
    ╰────
  help: write for example `greater: {metric: test_accuracy, arm: adahessian, than: sgd}`

  × a claim cannot be about `switch_epoch`, which not every trial reports
    ╭─[sweep.yaml:13:54]
 12 │   - {says: b, lowest: {arm: sgd, metric: test_accuracy, among: [sgd]}}
 13 │   - {says: c, greater: {arm: sgd, than: sgd, metric: switch_epoch}}
    ·                                                      ──────┬─────
    ·                                                            ╰── no mean over all seeds
 14 │   - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
    ╰────
  help: only hybrid trials that switched have it, and a mean over those alone would say nothing of
        the others: `trials.csv` of the report has each trial's

  × `is` must be greater than 0, not 0
    ╭─[sweep.yaml:14:72]
 13 │   - {says: c, greater: {arm: sgd, than: sgd, metric: switch_epoch}}
 14 │   - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
    ·                                                                        ┬
    ·                                                                        ╰── out of range
 15 │   - {says: e, at_least: {metric: test_accuracy, value: high, arms: []}}
    ╰────
  help: write for example `ratio: {metric: training_seconds, of: adahessian, to: adam, is: 1.26,
        within: 0.1}`

  × `within` must be greater than 0 and less than 1, not 1
    ╭─[sweep.yaml:14:83]
 13 │   - {says: c, greater: {arm: sgd, than: sgd, metric: switch_epoch}}
 14 │   - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
    ·                                                                                   ┬
    ·                                                                                   ╰── out of range
 15 │   - {says: e, at_least: {metric: test_accuracy, value: high, arms: []}}
    ╰────
  help: write for example `ratio: {metric: training_seconds, of: adahessian, to: adam, is: 1.26,
        within: 0.1}`

  × `value`: expected a number, found the text `high`
    ╭─[sweep.yaml:15:56]
 14 │   - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
 15 │   - {says: e, at_least: {metric: test_accuracy, value: high, arms: []}}
    ·                                                        ──┬─
    ·                                                          ╰── not a number
    ╰────

  × `arms` must be a list of arms, not an empty list
    ╭─[sweep.yaml:15:68]
 14 │   - {says: d, ratio: {of: sgd, to: adam, metric: training_seconds, is: 0, within: 1}}
 15 │   - {says: e, at_least: {metric: test_accuracy, value: high, arms: []}}
    ·                                                                    ─┬
    ·                                                                     ╰── not a list
    ╰────
  help: write `arms: [sgd]`, or leave it out for all arms

10 problems
"#);
    insta::assert_snapshot!(shown(&builtin(
        "  - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
  - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}}
  - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
  - {says: i, always_above: {metric: train_loss, than: train_loss}}
  - {says: j, less: {}}
"
    )), @r#"
sweep.yaml:
  × `at_most` lacks `value`
    ╭─[sweep.yaml:11:15]
 10 │ claims:
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
    ·               ───┬───
    ·                  ╰── no `value`
 12 │   - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}…
    ╰────
  help: write for example `at_most: {metric: test_loss, value: 0.5}`

  × an arm's name must be text, not a list
    ╭─[sweep.yaml:11:60]
 10 │ claims:
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
    ·                                                            ─┬─
    ·                                                             ╰── not a name
 12 │   - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}…
    ╰────
  help: write the arm's key

  × the arm `sgd` is here twice
    ╭─[sweep.yaml:11:65]
 10 │ claims:
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
    ·                                                                 ─┬─
    ·                                                                  ╰── again
 12 │   - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}…
    ╰────
  help: remove one of them

  × there is no arm `no_arm`
    ╭─[sweep.yaml:11:70]
 10 │ claims:
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
    ·                                                                      ───┬──
    ·                                                                         ╰── unknown arm
 12 │   - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}…
    ╰────
  help: arms: sgd, adam and adahessian

  × mnist-resnet18 has no history of `test_loss`
    ╭─[sweep.yaml:12:35]
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
 12 │ … - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}}
    ·                                   ────┬────
    ·                                       ╰── unknown metric
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ╰────
  help: its history: train_loss, train_accuracy, val_loss, val_accuracy, grad_norm_conv1,
        grad_norm_fc, seconds and switched

  × `at` must be at least 1, not 0
    ╭─[sweep.yaml:12:50]
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
 12 │ … - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}}
    ·                                                  ┬
    ·                                                  ╰── out of range
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ╰────
  help: write for example `saturates: {metric: train_loss, arms: [adahessian, hybrid], at: 4,
        within: 1}`

  × `within` must be 0 or greater, not -1
    ╭─[sweep.yaml:12:61]
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
 12 │ … - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}}
    ·                                                             ─┬
    ·                                                              ╰── out of range
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ╰────
  help: write for example `saturates: {metric: train_loss, arms: [adahessian, hybrid], at: 4,
        within: 1}`

  × `tolerance` must be at least 0 and less than 1, not 1
    ╭─[sweep.yaml:12:76]
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
 12 │ … - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}}
    ·                                                                            ┬
    ·                                                                            ╰── out of range
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ╰────
  help: write for example `saturates: {metric: train_loss, arms: [adahessian, hybrid], at: 4,
        within: 1}`

  × unknown goal `max`
    ╭─[sweep.yaml:12:85]
 11 │   - {says: f, at_most: {metric: test_accuracy, arms: [sgd, [x], sgd, no_arm]}}
 12 │ … - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}}
    ·                                                                                     ─┬─
    ·                                                                                      ╰── unknown goal
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ╰────
  help: did you mean `maximize`?

  × `at`: expected a number, found a list
    ╭─[sweep.yaml:13:51]
 12 │   - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}…
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ·                                                   ─┬─
    ·                                                    ╰── not a number
 14 │   - {says: i, always_above: {metric: train_loss, than: train_loss}}
    ╰────

  × `arms` must be a list of arms, not a single value
    ╭─[sweep.yaml:13:62]
 12 │   - {says: g, saturates: {metric: test_loss, at: 0, within: -1, tolerance: 1, goal: max}…
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
    ·                                                              ─┬─
    ·                                                               ╰── not a list
 14 │   - {says: i, always_above: {metric: train_loss, than: train_loss}}
    ╰────
  help: write `arms: [sgd]`, or leave it out for all arms

  × `always_above` compares `train_loss` with itself
    ╭─[sweep.yaml:14:56]
 13 │   - {says: h, saturates: {metric: train_loss, at: [4], arms: sgd}}
 14 │   - {says: i, always_above: {metric: train_loss, than: train_loss}}
    ·                                                        ─────┬────
    ·                                                             ╰── the same
 15 │   - {says: j, less: {}}
    ╰────
  help: write for example `always_above: {metric: train_accuracy, than: val_accuracy}`

  × `less` lacks `metric`
    ╭─[sweep.yaml:15:15]
 14 │   - {says: i, always_above: {metric: train_loss, than: train_loss}}
 15 │   - {says: j, less: {}}
    ·               ──┬─
    ·                 ╰── no `metric`
    ╰────
  help: write for example `less: {metric: test_loss, arm: adahessian, than: sgd}`

  × `less` lacks `arm`
    ╭─[sweep.yaml:15:15]
 14 │   - {says: i, always_above: {metric: train_loss, than: train_loss}}
 15 │   - {says: j, less: {}}
    ·               ──┬─
    ·                 ╰── no `arm`
    ╰────
  help: write for example `less: {metric: test_loss, arm: adahessian, than: sgd}`

  × `less` lacks `than`
    ╭─[sweep.yaml:15:15]
 14 │   - {says: i, always_above: {metric: train_loss, than: train_loss}}
 15 │   - {says: j, less: {}}
    ·               ──┬─
    ·                 ╰── no `than`
    ╰────
  help: write for example `less: {metric: test_loss, arm: adahessian, than: sgd}`

15 problems
"#);
    insta::assert_snapshot!(each(&[&format!(
        "{WORKER}parameters: {{l: {{value: 1}}}}\nclaims: [{{says: x, highest: {{arm: main, metric: loss}}}}, {{says: y, saturates: {{metric: f1, at: 2}}}}]\n"
    ),]), @r#"
sweep.yaml:
  × `highest` compares the arm with no other
   ╭─[sweep.yaml:6:20]
 5 │ parameters: {l: {value: 1}}
 6 │ claims: [{says: x, highest: {arm: main, metric: loss}}, {says: y, saturates: {metric: f1…
   ·                    ───┬───
   ·                       ╰── no other arm
   ╰────
  help: name other arms under `among`, or leave it out where there are any

  × `saturates` lacks `goal`: which way `f1` gets better is not known
   ╭─[sweep.yaml:6:67]
 5 │ parameters: {l: {value: 1}}
 6 │ …says: x, highest: {arm: main, metric: loss}}, {says: y, saturates: {metric: f1, at: 2}}]
   ·                                                          ────┬────
   ·                                                              ╰── no `goal`
   ╰────
  help: add `goal: minimize` or `goal: maximize`

2 problems
"#);
}
