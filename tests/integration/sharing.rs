//! Trials with work in common: what is computed once, what is recorded, and what a crash among them
//! costs.

use crate::support::Test;

/// Trials with the same `x` and seed have the same result.
const TWINS: &str = "name: twins
worker: [WORKER]
affinity: [x]
metric: {name: score, goal: maximize}
seeds: {tune: 2, final: 1}
parameters: {x: {values: [1, 2, 3]}, y: {values: [1, 2, 3, 4]}, epochs: {value: 3}}
";

#[test]
fn what_is_the_same_is_computed_once_and_recorded_for_each() {
    let lone = Test::with_spec(TWINS);
    lone.run(&[
        "run",
        "sweep.yaml",
        "-q",
        "--devices",
        "cpu:1",
        "--no-sharing",
    ])
    .expect(0);
    let shared = Test::with_spec(TWINS);
    shared
        .run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(lone.report("reports/twins"), shared.report("reports/twins"));
    let alike = "SELECT count(*) FROM trials WHERE same_as IS NOT NULL";
    assert_eq!(
        (
            lone.count("runs/twins", alike),
            shared.count("runs/twins", alike)
        ),
        (0, 2 * 3 * 3)
    );
    // Each names the first of its group, of the same seed; a final trial names none.
    let strange = "SELECT count(*) FROM trials t LEFT JOIN trials o ON o.trial = t.same_as WHERE t.same_as IS NOT NULL
                   AND (o.same_as IS NOT NULL OR o.seed <> t.seed OR o.x <> t.x OR t.phase = 'final' OR t.shared_epochs <> 3)";
    assert_eq!(shared.count("runs/twins", strange), 0);
    insta::assert_snapshot!(
        shared
            .run(&["plan", "sweep.yaml", "--devices", "cpu:1"])
            .expect(0)
            .stdout
    );
    let listed = shared
        .run(&["trials", "runs/twins", "--json"])
        .expect(0)
        .stdout;
    let twin = listed
        .lines()
        .find(|line| line.contains("same_as"))
        .expect("there are some");
    let twin: serde_json::Value = serde_json::from_str(twin).unwrap();
    let shown = shared
        .run(&["show", "runs/twins", twin["trial"].as_str().unwrap()])
        .expect(0)
        .stdout;
    let same_as = twin["same_as"].as_str().unwrap();
    assert!(
        shown.contains(&format!("Reused the result of {same_as}")),
        "{shown}"
    );
}

#[test]
fn several_workers_share_too_and_nothing_is_lost_or_done_twice() {
    let test = Test::with_spec(TWINS);
    test.run(&[
        "run",
        "sweep.yaml",
        "-q",
        "--devices",
        "cpu:3",
        "--shuffle",
        "7",
    ])
    .expect(0);
    assert_eq!(
        test.count(
            "runs/twins",
            "SELECT count(*) FROM trial WHERE state = 'done'"
        ),
        25
    );
    assert_eq!(test.count("runs/twins", "SELECT count(*) FROM attempt"), 25);
    let lone = Test::with_spec(TWINS);
    lone.run(&[
        "run",
        "sweep.yaml",
        "-q",
        "--devices",
        "cpu:1",
        "--no-sharing",
    ])
    .expect(0);
    assert_eq!(lone.report("reports/twins"), test.report("reports/twins"));
}

/// A group with a trial in its middle that always crashes.
const POISON: &str = "name: poison
worker: [WORKER]
affinity: [x]
metric: {name: score, goal: maximize}
seeds: {tune: 1, final: 0}
parameters: {x: {value: 2}, epochs: {value: 2}}
arms:
  before: {parameters: {y: {values: [1, 2, 3]}}}
  bad: {parameters: {y: {value: 4}, behaviour: {value: BEHAVIOUR}}}
  after: {parameters: {y: {values: [5, 6, 7]}}}
";

#[test]
fn a_crash_in_a_group_costs_only_the_trial_that_crashed() {
    for (behaviour, attempts) in [("crash", 3), ("crash-before-start", 3), ("liar", 2)] {
        let test = Test::with_spec(&POISON.replace("BEHAVIOUR", behaviour));
        test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
            .expect(3);
        let count = |sql: &str| test.count("runs/poison", sql);
        assert_eq!(
            count(
                "SELECT count(*) FROM trials WHERE arm <> 'bad' AND state = 'done' AND failures = 0"
            ),
            6,
            "{behaviour}"
        );
        assert_eq!(
            count("SELECT failures FROM trials WHERE arm = 'bad' AND state = 'failed'"),
            attempts,
            "{behaviour}"
        );
        // What was finished before the crash was not run again: one attempt each.
        let again = "SELECT count(*) FROM attempt a JOIN trials t ON t.trial = (SELECT point || '-' || seed FROM trial WHERE id = a.trial)
                     WHERE t.arm = 'before' AND a.outcome <> 'done'";
        assert_eq!(count(again), 0, "{behaviour}");
        // The trials after it share again, in the next worker.
        assert!(
            count("SELECT count(*) FROM trials WHERE arm = 'after' AND same_as IS NOT NULL") >= 2,
            "{behaviour}"
        );
    }
}

#[test]
fn a_result_that_is_said_to_be_another_trials_is_refused_if_there_is_none() {
    let test = Test::with_spec(&POISON.replace("BEHAVIOUR", "liar"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(3);
    assert!(
        ran.stderr
            .contains("`same_as` names trial \"0000000000-0\""),
        "{}",
        ran.stderr
    );
}
