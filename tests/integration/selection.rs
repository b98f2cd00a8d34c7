//! Which point is selected, and what is said where none can be: metrics that are missing, infinite
//! or NaN, results that disappear.

use crate::support::{Ran, Test};

const DONE_FINALS: &str = "SELECT count(*) FROM trial WHERE phase = 'final' AND state = 'done'";

/// A program for each trial, started in an arm `a` with the values of `x` that `grid` lists;
/// `metric` and `seeds` as in a sweep file.
fn spec(metric: &str, seeds: &str, arms: &str) -> String {
    format!(
        "name: s\nprogram: train.sh\ncommand: [\"./train.sh\"]\nlimits: {{retries: 0}}\nmetric: {metric}\nseeds: {seeds}\narms:\n{arms}\n"
    )
}

const ONE_ARM: &str = "  a: {label: A, parameters: {x: {values: [1, 2, 3]}}}";

fn test(metric: &str, seeds: &str, arms: &str, script: &str) -> Test {
    let test = Test::with_spec(&spec(metric, seeds, arms));
    // The only parameter: its value is the number in the JSON object.
    test.write_script(&format!(
        "x=$(tr -dc 0-9 < \"$PENTAGRID_CONFIG\")\nm=$PENTAGRID_METRICS\n{script}"
    ));
    test
}

fn run(test: &Test, more: &[&str]) -> Ran {
    test.run(&[&["run", "sweep.yaml", "--devices", "cpu:2"], more].concat())
}

#[test]
fn a_metric_that_no_trial_reports_is_an_error_that_names_those_there_are() {
    let seeds = "{tune: 2, final: 1}";
    let test = test(
        "{name: val/acc, goal: maximize}",
        seeds,
        ONE_ARM,
        "echo \"{\\\"val/acc\\\": $x, \\\"time\\\": 1}\" > $m",
    );
    run(&test, &[]).expect(0);
    assert_eq!(test.count("runs/s", DONE_FINALS), 1);
    test.write_spec(&spec("{name: val_acc, goal: maximize}", seeds, ONE_ARM));
    let ran = run(&test, &["--accept-changes"]).expect(3);
    assert!(
        ran.stderr.contains(
            "no finished trial has the metric `val_acc`, which selection needs: they have `time`, `val/acc` (did you mean `val/acc`?)"
        ),
        "{}",
        ran.stderr
    );
    assert_eq!(
        (test.count("runs/s", DONE_FINALS), ran.stdout.as_str()),
        (1, ""),
        "no finals, no tables"
    );
    run(&test, &[]).expect(3);
    test.run(&["resume", "runs/s"]).expect(3);
    // Who only looks is told as well.
    let report = test.run(&["report", "runs/s"]).expect(0);
    assert!(
        report
            .stdout
            .contains("no finished trial has the metric `val_acc`"),
        "{}",
        report.stdout
    );
    let status = test.run(&["status", "runs/s"]).expect(0).stdout;
    assert!(
        status.contains("A: no point is selected: 3 points without val_acc")
            && status.contains("s: finished, but no point could be selected; tables: "),
        "{status}"
    );
    let watched = test.run(&["watch", "runs/s"]).expect(3).stdout;
    assert!(
        watched.contains("s: no finished trial has the metric `val_acc`")
            && watched.ends_with("s: finished; tables: pentagrid report runs/s\n"),
        "{watched}"
    );
    // The trials have the metrics that were recorded, not the one that selects now.
    let verified = test.run(&["verify", "runs/s", "-n", "6"]).expect(0).stdout;
    assert!(
        verified.contains("6 of 6 trials gave the same metrics and history"),
        "{verified}"
    );
    // With the correct metric it resumes.
    test.write_spec(&spec("{name: val/acc, goal: maximize}", seeds, ONE_ARM));
    run(&test, &["--accept-changes"]).expect(0);
}

#[test]
fn a_point_that_lacks_the_metric_on_a_seed_is_not_selected() {
    let script = "if [ $PENTAGRID_SEED = 0 ]; then echo '{\"loss\": 1}' > $m; else echo \"{\\\"loss\\\": 1, \\\"acc\\\": $x}\" > $m; fi";
    let test = test(
        "{name: loss, goal: minimize}",
        "{tune: 1, final: 0}",
        ONE_ARM,
        script,
    );
    run(&test, &[]).expect(0);
    test.write_spec(&spec(
        "{name: acc, goal: maximize}",
        "{tune: 3, final: 2}",
        ONE_ARM,
    ));
    let ran = run(&test, &["--accept-changes"]).expect(3);
    assert!(
        ran.stdout
            .contains("A: no point is selected: 3 points without acc on every tuning seed ("),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(": seed 0"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("warning: A: no point is selected") && ran.stderr.contains("--dir"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stdout.contains("over 3 tuning seeds"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        test.count("runs/s", "SELECT count(*) FROM trial WHERE phase = 'final'"),
        0
    );
    let json = test.run(&["status", "runs/s", "--json"]).expect(0).stdout;
    assert!(
        json.contains(
            "\"not_selected\": \"no point is selected: 3 points without acc on every tuning seed"
        ),
        "{json}"
    );
    // A value that has it on every seed is selected, and the others are named.
    let wider = "  a: {label: A, parameters: {x: {values: [1, 2, 3, 4]}}}";
    test.write_script(
        "x=$(tr -dc 0-9 < \"$PENTAGRID_CONFIG\")\necho \"{\\\"acc\\\": $x}\" > $PENTAGRID_METRICS",
    );
    test.write_spec(&spec(
        "{name: acc, goal: maximize}",
        "{tune: 3, final: 2}",
        wider,
    ));
    let ran = run(&test, &["--accept-changes"]).expect(0);
    assert!(
        ran.stdout
            .contains("x = 4  (acc 4.000 ± 0.000 over 3 tuning seeds, best of 4 points)"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("A: 3 points without acc on every tuning seed ("),
        "{}",
        ran.stdout
    );
    // Every mean says over how many seeds it is.
    let points = std::fs::read_to_string(test.path("reports/s/points.csv")).unwrap();
    let heading: Vec<&str> = points.lines().next().unwrap().split(',').collect();
    let n = heading.iter().position(|name| *name == "acc_n").unwrap();
    let counts: Vec<&str> = points
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(n).unwrap())
        .collect();
    assert_eq!(counts, ["2", "2", "2", "3"]);
    assert_eq!(
        test.count(
            "runs/s",
            "SELECT sum(n_acc) FROM summary WHERE phase = 'tune'"
        ),
        9
    );
}

#[test]
fn infinity_is_no_good_result_under_either_goal() {
    for (goal, odd) in [
        ("maximize", "inf"),
        ("minimize", "-inf"),
        ("maximize", "NaN"),
        ("minimize", "NaN"),
        ("minimize", "inf"),
    ] {
        let odd = odd.replace("inf", "Infinity");
        let script = format!(
            "if [ $x = 1 ]; then v='\"{odd}\"'; else v=0.$((11 - x)); fi\necho \"{{\\\"acc\\\": $v}}\" > $m"
        );
        let test = test(
            &format!("{{name: acc, goal: {goal}}}"),
            "{tune: 2, final: 1}",
            ONE_ARM,
            &script,
        );
        let ran = run(&test, &[]).expect(0);
        let best = if goal == "maximize" {
            "x = 2  (acc 0.9"
        } else {
            "x = 3  (acc 0.8"
        };
        assert!(ran.stdout.contains(best), "{goal} {odd}: {}", ran.stdout);
        let said = "A: 1 point whose acc is infinite or NaN on a tuning seed (";
        assert!(
            ran.stdout.contains(said) && ran.stdout.contains(": seeds 0, 1) could not be selected"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn an_arm_without_a_selected_point_does_not_keep_the_others_from_their_finals() {
    let arms = "  a: {label: A, parameters: {x: {values: [1, 2]}}}\n  b: {label: B, parameters: {x: {values: [3]}}}\n  c: {label: C, parameters: {x: {values: [4]}}}";
    let script =
        "case $x in 1|2) v='\"NaN\"';; 3) exit 7;; *) v=$x;; esac\necho \"{\\\"acc\\\": $v}\" > $m";
    let test = test(
        "{name: acc, goal: maximize}",
        "{tune: 2, final: 2}",
        arms,
        script,
    );
    let ran = run(&test, &[]).expect(3);
    assert!(
        ran.stderr.contains("warning: A: no point is selected: 2 points whose acc is infinite or NaN on a tuning seed"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains(
            "warning: B: no point is selected: 1 point without a result for every tuning seed"
        ),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("warning: 2 trials failed, no retries left"),
        "{}",
        ran.stderr
    );
    assert_eq!(test.count("runs/s", DONE_FINALS), 2);
    // Nothing is left to run, and the answer stays the same.
    let again = run(&test, &[]).expect(3);
    assert!(
        again.stderr.contains(
            "tuning phase: 8 trials: 6 done, 2 failed (--retry-failed runs them again)\n"
        ),
        "{}",
        again.stderr
    );
    assert!(
        again.stderr.contains("A: no point is selected"),
        "{}",
        again.stderr
    );
    let watched = test.run(&["watch", "runs/s"]).expect(3).stdout;
    assert!(
        watched.contains("s: 2 trials failed, no retries left")
            && watched.contains("s: A: no point is selected"),
        "{watched}"
    );
    let plan = test.run(&["plan", "sweep.yaml"]).expect(0).stdout;
    assert!(
        plan.contains(
            "0 tuning and 0 final trials left, 2 failed (`run --retry-failed` runs them again)"
        ),
        "{plan}"
    );
    let provenance = std::fs::read_to_string(test.path("reports/s/provenance.json")).unwrap();
    assert!(
        provenance.contains("finished; some trials failed (--retry-failed runs them again)"),
        "{provenance}"
    );
}

#[test]
fn results_that_disappear_while_the_sweep_runs_are_missed() {
    // The last trial removes what others have left in the ledger.
    let script = "echo \"{\\\"acc\\\": $x}\" > $m\n\
        if [ $x = 3 ] && [ $PENTAGRID_SEED = 1 ]; then\n\
          python3 -c 'import sqlite3; c = sqlite3.connect(\"'$PENTAGRID_RUN'/ledger.sqlite\", timeout=60); \
            c.execute(\"DELETE FROM trial WHERE seed = 0\"); c.commit()'\n\
        fi";
    let test = test(
        "{name: acc, goal: maximize}",
        "{tune: 2, final: 1}",
        ONE_ARM,
        script,
    );
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(3);
    assert!(
        ran.stderr
            .contains("warning: 3 trials are left, although every trial was run"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        test.count("runs/s", "SELECT count(*) FROM trial WHERE phase = 'final'"),
        0,
        "of what is left nothing can be selected"
    );
    let outcome = test.text("runs/s", "SELECT outcome FROM session");
    assert_eq!(outcome, "incomplete");
    let watched = test.run(&["watch", "runs/s"]).expect(3).stdout;
    assert!(watched.contains("s: trials are left"), "{watched}");
    test.run(&["resume", "runs/s", "-q"]).expect(0);
}

#[test]
fn reports_and_exports_of_two_run_directories_do_not_write_over_each_other() {
    let test = test(
        "{name: acc, goal: maximize}",
        "{tune: 1, final: 0}",
        ONE_ARM,
        "echo \"{\\\"acc\\\": $x}\" > $m",
    );
    run(&test, &["-q"]).expect(0);
    run(&test, &["-q", "--dir", "runs/other"]).expect(0);
    assert!(
        test.path("reports/s/table1.txt").exists()
            && test.path("reports/other/table1.txt").exists()
    );
    // Of one name in different places: the second would write over the first.
    let ran = run(&test, &["-q", "--dir", "elsewhere/s"]).expect(2);
    assert!(
        ran.stderr
            .contains("reports/s holds what was made of another run directory")
            && ran.stderr.contains("--out"),
        "{}",
        ran.stderr
    );
    assert!(!test.path("elsewhere").exists(), "nothing has run yet");
    run(
        &test,
        &["-q", "--dir", "elsewhere/s", "--out", "reports/third"],
    )
    .expect(0);
    test.run(&["report", "elsewhere/s"]).expect(2);
    test.run(&["report", "runs/s"]).expect(0);
    test.run(&["export", "runs/s", "--format", "csv"]).expect(0);
    test.run(&["export", "runs/other", "--format", "csv"])
        .expect(0);
    assert!(
        test.path("exports/s/trials.csv").exists()
            && test.path("exports/other/trials.csv").exists()
    );
    let ran = test
        .run(&["export", "elsewhere/s", "--format", "csv"])
        .expect(2);
    assert!(
        ran.stderr
            .contains("exports/s holds what was made of another run directory"),
        "{}",
        ran.stderr
    );
    // One that has taken the place of the other is no other.
    std::fs::remove_dir_all(test.path("runs/s")).unwrap();
    test.run(&["report", "elsewhere/s"]).expect(0);
}
