//! Published figures and claims, from the sweep file through to the report and the exit code of
//! `report --check`.

use crate::support::{TOY, Test};

/// One claim of each kind that holds.
const TRUE: &str = "
claims:
  - {says: Near is the best, highest: {arm: near, metric: score}}
  - {says: Far is the worst, lowest: {arm: far, metric: score}}
  - {says: Near beats Far, greater: {metric: score, arm: near, than: far}}
  - {says: Far is beaten, less: {metric: score, arm: far, than: near}}
  - {says: Near is 4 % better, ratio: {metric: score, of: near, to: far, is: 1.04, within: 0.02}}
  - {says: All are above 90, at_least: {metric: score, value: 90}}
  - {says: All are below 110, at_most: {metric: score, value: 110}}
  - {says: The score grows to the end, saturates: {metric: score, at: 3, within: 0}}
  - {says: A score takes no time, always_above: {metric: score, than: seconds}}
";
/// Claims that do not hold, are not shown, or cannot be judged.
const OTHERS: &str = "  - {says: Far beats Near, greater: {metric: score, arm: far, than: near}}
  - {says: The score is soon there, saturates: {metric: score, at: 1, arms: [near]}}
  - {says: Time outruns the score, always_above: {metric: seconds, than: score}}
  - {says: Near has the lower loss, less: {metric: val_loss, arm: near, than: far}}
  - {says: Near has the better grade, greater: {metric: grade, arm: near, than: far}}
";

#[test]
fn claims_are_judged_and_checked() {
    let test = Test::with_spec(&format!("{TOY}{TRUE}{OTHERS}"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    insta::assert_snapshot!("claims_on_the_terminal", ran.stdout);
    let read = |name: &str| std::fs::read_to_string(test.path("reports/toy").join(name)).unwrap();
    insta::assert_snapshot!("audit_file", read("audit.txt"));
    assert!(read("report.md").contains(&format!("## Audit\n\n{}", read("audit.md"))));
    assert_eq!(read("audit.csv").lines().count(), 2);
    assert_eq!(read("claims.csv").lines().count(), 1 + 14);

    // Contradicted claims change the exit code only with --check.
    assert_eq!(test.run(&["report", "runs/toy"]).expect(0).stderr, "");
    let checked = test.run(&["report", "runs/toy", "--check"]).expect(3);
    assert_eq!(checked.stdout, ran.stdout);
    insta::assert_snapshot!("what_does_not_hold", checked.stderr);

    // Other claims, and fewer files: nothing runs again, and no consent is asked for.
    let attempts = test.count("runs/toy", "SELECT count(*) FROM attempt");
    test.write_spec(&format!("{TOY}{TRUE}"));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        attempts
    );
    assert_eq!(
        test.run(&["report", "runs/toy", "--check"])
            .expect(0)
            .stderr,
        ""
    );
    test.write_spec(TOY.split("published:").next().unwrap());
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    for name in ["audit.txt", "audit.md", "audit.csv", "claims.csv"] {
        assert!(
            !test.path("reports/toy").join(name).exists(),
            "{name} is of an earlier spec"
        );
    }
    test.run(&["report", "runs/toy", "--check"]).expect(0);

    // What is not finished cannot be relied upon.
    test.ledger("runs/toy")
        .execute(
            "UPDATE trial SET state = 'waiting' WHERE phase = 'final' AND seed = 1000",
            [],
        )
        .unwrap();
    insta::assert_snapshot!(test.run(&["report", "runs/toy", "--check"]).expect(3).stderr, @"warning: the sweep is not finished: resume it with `pentagrid resume runs/toy`");
}

#[test]
fn without_final_seeds_claims_are_judged_by_the_tuning_seeds() {
    let test = Test::with_spec(&format!("{}{TRUE}", TOY.replace("final: 3", "final: 0")));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert!(
        ran.stdout
            .contains("confirmed  A score takes no time: true at 12 of 12 epochs of 4 trials"),
        "{}",
        ran.stdout
    );
    let audit = std::fs::read_to_string(test.path("reports/toy/audit.txt")).unwrap();
    assert!(
        audit.contains("Claims (mean ± sample std over the 2 tuning seeds used for the selection)"),
        "{audit}"
    );
}
