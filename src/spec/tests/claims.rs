//! Claims: their meaning, and mistakes in the claim itself. Those within its kind are in
//! `claim_kinds`.

use super::{BUILTIN, WORKER, each, good, shown};
use crate::spec::{ClaimKind, Goal, Way};

pub(super) fn builtin(claims: &str) -> String {
    format!(
        "{BUILTIN}parameters: {{lr: {{value: 1}}}}\narms:\n  sgd: {{parameters: {{optimizer: {{value: sgd}}}}}}\n  adam: {{parameters: {{optimizer: {{value: adam}}}}}}\n  adahessian: {{parameters: {{optimizer: {{value: adahessian}}}}}}\nclaims:\n{claims}"
    )
}

#[test]
fn every_kind_is_read() {
    let spec = good(&builtin(
        "  - {says: A, highest: {arm: adam, metric: test_accuracy}}
  - {says: B, lowest: {arm: adam, metric: test_loss, among: [adam, sgd]}}
  - {greater: {metric: test_accuracy, arm: adam, than: sgd}, says: C}
  - {says: D, less: {metric: test_accuracy, arm: adam, than: sgd}}
  - {says: E, ratio: {metric: training_seconds, of: adam, to: sgd, is: 1.26}}
  - {says: F, at_least: {metric: test_accuracy, value: 80, arms: [sgd]}}
  - {says: G, at_most: {metric: test_loss, value: 1}}
  - {says: H, saturates: {metric: val_accuracy, at: 4}}
  - {says: I, saturates: {metric: train_loss, at: 4.5, within: 0, tolerance: 0, arms: [sgd, adam], goal: maximize}}
  - {says: J, always_above: {metric: grad_norm_conv1, than: grad_norm_fc}}
",
    ));
    let all = vec![0, 1, 2];
    let metric = |name: &str| name.to_owned();
    let beyond = |way, name: &str, others: &[usize]| ClaimKind::Beyond {
        way,
        metric: metric(name),
        arm: 1,
        others: others.to_vec(),
    };
    let expected = [
        ("highest", beyond(Way::Up, "test_accuracy", &[0, 2])),
        ("lowest", beyond(Way::Down, "test_loss", &[0])),
        ("greater", beyond(Way::Up, "test_accuracy", &[0])),
        ("less", beyond(Way::Down, "test_accuracy", &[0])),
        (
            "ratio",
            ClaimKind::Ratio {
                metric: metric("training_seconds"),
                of: 1,
                to: 0,
                is: 1.26,
                within: 0.1,
            },
        ),
        (
            "at_least",
            ClaimKind::Bound {
                way: Way::Up,
                metric: metric("test_accuracy"),
                arms: vec![0],
                value: 80.0,
            },
        ),
        (
            "at_most",
            ClaimKind::Bound {
                way: Way::Down,
                metric: metric("test_loss"),
                arms: all.clone(),
                value: 1.0,
            },
        ),
        (
            "saturates",
            ClaimKind::Saturates {
                metric: metric("val_accuracy"),
                goal: Goal::Maximize,
                arms: all.clone(),
                at: 4.0,
                within: 1.0,
                tolerance: 0.05,
            },
        ),
        (
            "saturates",
            ClaimKind::Saturates {
                metric: metric("train_loss"),
                goal: Goal::Maximize,
                arms: vec![0, 1],
                at: 4.5,
                within: 0.0,
                tolerance: 0.0,
            },
        ),
        (
            "always_above",
            ClaimKind::AlwaysAbove {
                metric: metric("grad_norm_conv1"),
                than: metric("grad_norm_fc"),
                arms: all,
            },
        ),
    ];
    assert_eq!(spec.claims.len(), expected.len());
    for (claim, (key, kind)) in spec.claims.iter().zip(expected) {
        assert_eq!((claim.key, &claim.kind), (key, &kind));
    }
    assert_eq!(spec.claims[2].says, "C");
}

#[test]
fn a_workers_metrics_are_its_own() {
    let spec = good(&format!(
        "{WORKER}parameters: {{l: {{value: 1}}}}\narms: {{a: {{}}, b: {{}}}}\nclaims:\n  - {{says: x, saturates: {{metric: loss, at: 2}}}}\n  - {{says: y, saturates: {{metric: f1, goal: maximize, at: 2}}}}\n"
    ));
    let goals: Vec<_> = spec
        .claims
        .iter()
        .map(|claim| {
            matches!(
                claim.kind,
                ClaimKind::Saturates {
                    goal: Goal::Maximize,
                    ..
                }
            )
        })
        .collect();
    assert_eq!(goals, [false, true]);
    // With a single arm, claims that compare nothing still make sense.
    let spec = good(&format!(
        "{WORKER}parameters: {{l: {{value: 1}}}}\nclaims: [{{says: x, at_most: {{metric: loss, value: 2}}}}]\n"
    ));
    assert_eq!(spec.claims.len(), 1);
    assert!(
        good(&format!(
            "{WORKER}parameters: {{l: {{value: 1}}}}\nclaims: []\n"
        ))
        .claims
        .is_empty()
    );
}

#[test]
fn invalid_claims() {
    insta::assert_snapshot!(each(&[
        &format!("{WORKER}parameters: {{l: {{value: 1}}}}\nclaims: {{says: x}}\n"),
        &builtin("  - Hybrid is best\n  - {}\n"),
        &builtin("  - {says: x}\n  - {higest: {arm: sgd, metric: test_accuracy}}\n  - {says: '', best: 1}\n"),
        &builtin("  - says: x\n    highest: {arm: sgd, metric: test_accuracy}\n    lowest: {arm: sgd, metric: test_accuracy}\n"),
        &builtin("  - {says: [x], highest: sgd}\n"),
    ]), @"
sweep.yaml:
  × `claims` must be a list, not a mapping
   ╭─[sweep.yaml:6:9]
 5 │ parameters: {l: {value: 1}}
 6 │ claims: {says: x}
   ·         ────┬────
   ·             ╰── not a list
   ╰────
  help: write for example `claims: [{says: Hybrid reaches the highest test accuracy, highest:
        {arm: hybrid, metric: test_accuracy}}]`

  × a claim must be a mapping, not a single value
    ╭─[sweep.yaml:11:5]
 10 │ claims:
 11 │   - Hybrid is best
    ·     ───────┬──────
    ·            ╰── not a claim
 12 │   - {}
    ╰────
  help: write for example `claims: [{says: Hybrid reaches the highest test accuracy, highest:
        {arm: hybrid, metric: test_accuracy}}]`

  × the claim lacks `says`
    ╭─[sweep.yaml:12:5]
 11 │   - Hybrid is best
 12 │   - {}
    ·     ─┬
    ·      ╰── no sentence
    ╰────
  help: write the sentence: `says: Hybrid reaches the highest test accuracy`

  × the claim does not say what it means
    ╭─[sweep.yaml:12:5]
 11 │   - Hybrid is best
 12 │   - {}
    ·     ─┬
    ·      ╰── no kind
    ╰────
  help: add one of highest, lowest, greater, less, ratio, at_least, at_most, saturates or
        always_above

3 problems
  × the claim does not say what it means
    ╭─[sweep.yaml:11:6]
 10 │ claims:
 11 │   - {says: x}
    ·      ──┬─
    ·        ╰── no kind
 12 │   - {higest: {arm: sgd, metric: test_accuracy}}
    ╰────
  help: add one of highest, lowest, greater, less, ratio, at_least, at_most, saturates or
        always_above

  × unknown key `higest` in a claim
    ╭─[sweep.yaml:12:6]
 11 │   - {says: x}
 12 │   - {higest: {arm: sgd, metric: test_accuracy}}
    ·      ───┬──
    ·         ╰── unknown key
 13 │   - {says: '', best: 1}
    ╰────
  help: did you mean `highest`? known keys: says, highest, lowest, greater, less, ratio, at_least,
        at_most, saturates and always_above

  × the claim lacks `says`
    ╭─[sweep.yaml:12:6]
 11 │   - {says: x}
 12 │   - {higest: {arm: sgd, metric: test_accuracy}}
    ·      ───┬──
    ·         ╰── no sentence
 13 │   - {says: '', best: 1}
    ╰────
  help: write the sentence: `says: Hybrid reaches the highest test accuracy`

  × the claim does not say what it means
    ╭─[sweep.yaml:13:6]
 12 │   - {higest: {arm: sgd, metric: test_accuracy}}
 13 │   - {says: '', best: 1}
    ·      ──┬─
    ·        ╰── no kind
    ╰────
  help: add one of highest, lowest, greater, less, ratio, at_least, at_most, saturates or
        always_above

  × `says` is empty
    ╭─[sweep.yaml:13:12]
 12 │   - {higest: {arm: sgd, metric: test_accuracy}}
 13 │   - {says: '', best: 1}
    ·            ─┬
    ·             ╰── no text
    ╰────
  help: write a text behind it

  × unknown key `best` in a claim
    ╭─[sweep.yaml:13:16]
 12 │   - {higest: {arm: sgd, metric: test_accuracy}}
 13 │   - {says: '', best: 1}
    ·                ──┬─
    ·                  ╰── unknown key
    ╰────
  help: known keys: says, highest, lowest, greater, less, ratio, at_least, at_most, saturates and
        always_above

6 problems
  × both `highest` and `lowest`: a claim is of one kind
    ╭─[sweep.yaml:13:5]
 11 │   - says: x
 12 │     highest: {arm: sgd, metric: test_accuracy}
    ·     ───┬───
    ·        ╰── this
 13 │     lowest: {arm: sgd, metric: test_accuracy}
    ·     ───┬──
    ·        ╰── and this
    ╰────
  help: make two claims of it

  × `says` must be text, not a list
    ╭─[sweep.yaml:11:12]
 10 │ claims:
 11 │   - {says: [x], highest: sgd}
    ·            ─┬─
    ·             ╰── not text
    ╰────
  help: write it without brackets

  × `highest` must be a mapping, not a single value
    ╭─[sweep.yaml:11:26]
 10 │ claims:
 11 │   - {says: [x], highest: sgd}
    ·                          ─┬─
    ·                           ╰── expected a mapping
    ╰────
  help: write it as `highest: {arm: hybrid, metric: test_accuracy}`

2 problems
");
}

#[test]
fn too_many_claims() {
    let claims: String = (0..201)
        .map(|n| format!("  - {{says: c{n}, at_least: {{metric: test_accuracy, value: {n}}}}}\n"))
        .collect();
    let text = builtin(&claims);
    let diagnosis = super::bad(&text);
    assert_eq!(diagnosis.problems.len(), 1);
    assert!(
        diagnosis.problems[0]
            .message
            .contains("201 claims; at most 200"),
        "{diagnosis}"
    );
}

#[test]
fn images_of_published_figures() {
    insta::assert_snapshot!(shown(&builtin("  []\n").replace(
        "claims:\n  []\n",
        "published:\n  sgd: {test_accuracy: {mean: 93, images: 200}, val_accuracy: {mean: 101, n: 1, images: 0}, train_loss: {mean: -1, n: 1, images: 200}}\n"
    )), @r#"
sweep.yaml:
  × `images` needs `n`: how many runs on that many images
    ╭─[sweep.yaml:11:35]
 10 │ published:
 11 │ …_accuracy: {mean: 93, images: 200}, val_accuracy: {mean: 101, n: 1, images: 0}, train_lo…
    ·                        ───┬──
    ·                           ╰── no `n`
    ╰────
  help: write for example `{mean: 87.45, std: 1.42, n: 10}`, and `images` in it

  × 101 is no percentage of images
    ╭─[sweep.yaml:11:70]
 10 │ published:
 11 │ …, val_accuracy: {mean: 101, n: 1, images: 0}, train_loss: {mean: -1, n: 1, images: 200}}
    ·                         ─┬─        ───┬──
    ·                          │            ╰── asks for a percentage
    ·                          ╰── not in 0 to 100
    ╰────
  help: remove `images`, or write the mean in percent

  × `images` must be from 1 to 4294967295, not 0
    ╭─[sweep.yaml:11:89]
 10 │ published:
 11 │ …, val_accuracy: {mean: 101, n: 1, images: 0}, train_loss: {mean: -1, n: 1, images: 200}}
    ·                                            ┬
    ·                                            ╰── out of range
    ╰────
  help: write the number of images: 200

  × -1 is no percentage of images
    ╭─[sweep.yaml:11:112]
 10 │ published:
 11 │ …, val_accuracy: {mean: 101, n: 1, images: 0}, train_loss: {mean: -1, n: 1, images: 200}}
    ·                                                                   ─┬        ───┬──
    ·                                                                    │           ╰── asks for a percentage
    ·                                                                    ╰── not in 0 to 100
    ╰────
  help: remove `images`, or write the mean in percent

4 problems
"#);
}
