//! Workers that crash, lie, hang and flood: each fault ends in a defined state, with a message, and
//! affects no other worker.

use crate::support::{Ran, Test, filters};

/// A sweep of one bad trial a seed beside three good ones.
fn spec(behaviour: &str) -> String {
    format!(
        "
name: toy
worker: [WORKER]
metric: {{name: score, goal: maximize}}
seeds: {{tune: 2, final: 1}}
arms:
  good: {{label: Good, parameters: {{x: {{values: [1, 2, 3]}}}}}}
  bad: {{label: Bad, parameters: {{x: {{value: 9}}, behaviour: {{value: {behaviour}}}}}}}
"
    )
}

fn run(behaviour: &str) -> (Test, Ran) {
    let test = Test::with_spec(&spec(behaviour));
    let ran = test.run(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    (test, ran)
}

/// Runs a sweep with a fault; checks that the good arm is untouched; returns kind, attempts and
/// message of the bad arm's first trial.
#[track_caller]
fn fault(behaviour: &str) -> String {
    let (test, ran) = run(behaviour);
    let ran = ran.expect(3);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trials WHERE arm = 'good' AND state = 'done'"
        ),
        7,
        "{}",
        ran.stderr
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trial WHERE state IN ('running', 'waiting')"
        ),
        0
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'running'"
        ),
        0
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE ended_at IS NULL"
        ),
        0
    );
    let sql = "SELECT a.kind || ' x' || count(*) || ': ' || max(a.message) FROM attempt a JOIN trial t ON t.id = a.trial
               WHERE t.state = 'failed' AND t.seed = 0";
    test.text("runs/toy", sql)
}

#[test]
fn kinds_of_failure_are_told_apart_and_tried_as_often_as_they_deserve() {
    let faults: Vec<String> = std::thread::scope(|scope| {
        let kinds = [
            "crash",
            "crash-before-start",
            "exit",
            "error",
            "out-of-memory",
            "junk",
            "binary",
            "flood",
            "half-line",
            "twice",
            "old-news",
            "no-metric",
        ];
        let threads = kinds.map(|kind| scope.spawn(move || format!("{kind}: {}", fault(kind))));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    insta::with_settings!({filters => vec![(r"[0-9a-z]{10}-\d+", "[TRIAL]"), (r"x{100,}", "xxx")]}, {
        insta::assert_snapshot!(faults.join("\n"));
    });
}

#[test]
fn a_failed_trial_is_shown_with_its_log_and_can_be_tried_again() {
    let (test, ran) = run("error-first-seed");
    let ran = ran.expect(3);
    assert!(
        ran.stderr.contains("warning: 1 trial failed, no retries left: see `pentagrid trials runs/toy --state failed`"),
        "{}",
        ran.stderr
    );
    insta::assert_snapshot!(ran.stdout);
    let status = test.run(&["status", "runs/toy"]).expect(0).stdout;
    assert!(
        status.starts_with("toy: finished") && !status.contains("about "),
        "{status}"
    );
    let list = test
        .run(&["trials", "runs/toy", "--state", "failed"])
        .expect(0)
        .stdout;
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!(test.run(&["show", "runs/toy", &list[..12]]).expect(0).stdout);
    });
    let attempts =
        "SELECT count(*) FROM attempt a JOIN trial t ON t.id = a.trial WHERE t.state = 'failed'";
    assert_eq!(test.count("runs/toy", attempts), 2);
    test.run(&["resume", "runs/toy"]).expect(3);
    assert_eq!(
        test.count("runs/toy", attempts),
        2,
        "a trial without retries left is not run again"
    );
    test.run(&["resume", "runs/toy", "--retry-failed"])
        .expect(3);
    assert_eq!(test.count("runs/toy", attempts), 4, "unless one asks");
}

#[test]
fn a_diverged_trial_is_a_result() {
    let (test, ran) = run("diverge");
    let ran = ran.expect(3);
    assert!(
        ran.stdout.contains("Bad: of 2 tuning trials 2 diverged"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains(
            "Bad: no point is selected: 1 point whose score is infinite or NaN on a tuning seed ("
        ),
        "{}",
        ran.stdout
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trials WHERE arm = 'bad' AND score = 'NaN' AND state = 'done'"
        ),
        2
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM summary WHERE arm = 'bad' AND mean_score IS NULL AND n_score = 0"
        ),
        1
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trials WHERE state = 'failed'"
        ),
        0
    );
}

#[test]
fn a_grandchild_neither_hangs_the_sweep_nor_outlives_it() {
    let (test, ran) = run("grandchild");
    ran.expect(0);
    let log: String = std::fs::read_dir(test.path("runs/toy/logs"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let pids: Vec<&str> = log
        .lines()
        .filter_map(|line| {
            line.strip_prefix("fake_worker: grandchild Some(")?
                .strip_suffix(')')
        })
        .collect();
    assert_eq!(pids.len(), 3);
    for pid in pids {
        crate::support::wait_until("the grandchild is gone", || {
            pentagrid::schedule::start_ticks(pid.parse().unwrap()).is_none()
        });
    }
}

#[test]
fn a_worker_that_does_not_start_ends_the_sweep_with_the_end_of_its_log() {
    let test = Test::with_spec(&spec("well").replace("[WORKER]", "[WORKER, --no-start]"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1", "-q"])
        .expect(1);
    insta::assert_snapshot!(ran.stderr);
    let test = Test::with_spec(&spec("well").replace("[WORKER]", "[/no/such/program]"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1", "-q"])
        .expect(1);
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn a_worker_that_prints_before_its_hello_ends_the_sweep() {
    let test = Test::with_spec(&spec("well").replace("[WORKER]", "[WORKER, --chatty]"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1", "-q"])
        .expect(1);
    insta::assert_snapshot!(ran.stderr);
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM worker"), 3);
}

#[test]
fn a_worker_of_another_protocol_is_refused() {
    let test = Test::with_spec(&spec("well").replace("[WORKER]", "[WORKER, --old-protocol]"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1", "-q"])
        .expect(1);
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn neighbours_in_a_bundle_are_not_held_to_account() {
    let test = Test::with_spec(&spec("crash"));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1", "--bundle", "8"])
        .expect(3);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT sum(failures) FROM trials WHERE arm = 'good'"
        ),
        0
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trials WHERE arm = 'good' AND state = 'done'"
        ),
        7
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trials WHERE arm = 'bad' AND state = 'failed' AND failures = 3"
        ),
        2
    );
}

#[test]
fn a_folder_of_logs_that_was_removed_is_made_again() {
    let test = Test::with_spec(
        "name: toy\nworker: [./train.sh]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 2, final: 0}\nparameters: {x: {values: [1, 2]}}\n",
    );
    let worker = crate::support::fake_worker();
    test.write_script(&format!(
        "if mkdir once 2>/dev/null; then rm -rf runs/toy/logs; exit 1; fi\nexec {}",
        worker.display()
    ));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(0);
    assert!(!ran.stderr.contains("cannot start"), "{}", ran.stderr);
    assert!(test.path("runs/toy/logs/worker-0.log").exists());
}
