//! Programs that fail, print junk or cannot be started.

use std::os::unix::fs::PermissionsExt;

use super::{run, script};
use crate::support::{DONE, Test, filters};

#[test]
fn programs_fail_in_ways_that_are_told_apart() {
    let faults = [
        ("exit code", "echo about to fail; exit 3"),
        ("signal", "kill -SEGV $$"),
        ("no metrics", "exit 0"),
        ("another metric", "echo '{\"loss\": 1}'"),
        (
            "a bad line",
            "echo 'epoch 1' > $PENTAGRID_METRICS; sleep 100",
        ),
        (
            "half a line",
            "printf '{\"epoch\": 1, \"score\": 1}\\n{\"epoch\": 2' > $PENTAGRID_METRICS",
        ),
        (
            "no number",
            "echo '{\"score\": \"high\"}' > $PENTAGRID_METRICS",
        ),
        (
            "binary",
            "head -c 3000000 /dev/zero > $PENTAGRID_METRICS; sleep 100",
        ),
        ("a flood", "yes | head -c 20000000 | tr -d '\\n'"),
        (
            "a pipe",
            "rm $PENTAGRID_METRICS; mkfifo $PENTAGRID_METRICS; sleep 100",
        ),
        (
            "shorter",
            "echo '{\"epoch\": 1, \"score\": 1}' > $PENTAGRID_METRICS; sleep 3; echo > $PENTAGRID_METRICS; sleep 100",
        ),
        (
            "overwritten",
            "for v in 9 5 1; do echo \"{\\\"score\\\": $v}\" > $PENTAGRID_METRICS; sleep 0.5; done",
        ),
        (
            "cut short",
            "printf '{\"epoch\": 1, \"sc' > $PENTAGRID_METRICS; echo CUDA out of memory; kill -KILL $$",
        ),
        (
            "memory",
            "echo 'RuntimeError: CUDA out of memory. Tried to allocate 9 GiB' >&2; exit 1",
        ),
        ("time", "sleep 100"),
    ];
    let said: Vec<String> = std::thread::scope(|scope| {
        let one = |(name, text): (&'static str, &'static str)| {
            let limit = if name == "time" { "2s" } else { "60s" };
            let test = script(text, &format!("limits: {{retries: 0, timeout: {limit}}}"));
            run(&test).expect(3);
            let sql = "SELECT kind || ' x' || count(*) || ': ' || max(message) FROM attempt";
            let message = test.text("runs/toy", sql);
            format!("{name}: {message}")
        };
        let threads = faults.map(|fault| scope.spawn(move || one(fault)));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_it_prints_does_no_harm() {
    let text = "head -c 100000 /dev/urandom; yes x | head -c 3000000 | tr -d '\\n'; printf '\\n{\"score\": 5}\\n'; printf 'bye'";
    let test = script(text, "");
    run(&test).expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM trials WHERE score = 5"),
        2
    );
}

#[test]
fn a_failed_trial_is_shown_with_the_end_of_its_output_and_can_be_tried_again() {
    let test = script(
        "echo seed $PENTAGRID_SEED; echo Traceback: no data >&2; exit 1",
        "limits: {retries: 0}",
    );
    let ran = run(&test).expect(3);
    insta::with_settings!({filters => filters()}, { insta::assert_snapshot!(ran.stderr, @r#"
tuning phase: 2 trials on 1 slot
trial d415hwh25a-0 (toy x=1, seed 0): exit: the program ended with exit code 1; failed, no retries left
trial cm3ch8jysj-0 (toy x=2, seed 0): exit: the program ended with exit code 1; failed, no retries left
warning: 2 trials failed, no retries left: see `pentagrid trials runs/toy --state failed`; `pentagrid resume runs/toy --retry-failed` runs them again
warning: toy: no point is selected: 2 points without a result for every tuning seed (d415hwh25a: seed 0; cm3ch8jysj: seed 0)
"#); });
    let list = test
        .run(&["trials", "runs/toy", "--state", "failed"])
        .expect(0)
        .stdout;
    let shown = test
        .run(&["show", "runs/toy", &list[..12]])
        .expect(0)
        .stdout;
    assert!(
        shown.contains("  | seed 0\n  | Traceback: no data\n"),
        "{shown}"
    );
    test.write_script("echo '{\"score\": 1}'");
    test.run(&["resume", "runs/toy", "--retry-failed", "-q"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 2);
}

#[test]
fn what_cannot_start_is_told_before_anything_starts() {
    let test = script("exit 0", "");
    let mut said = Vec::new();
    let mut refuse = |test: &Test| {
        said.push(test.run(&["run", "sweep.yaml"]).expect(2).stderr);
        assert!(!test.path("runs").exists(), "nothing was made");
    };
    std::fs::set_permissions(
        test.path("train.sh"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    refuse(&test);
    std::fs::remove_file(test.path("train.sh")).unwrap();
    refuse(&test);
    let spec = |lines: &str| {
        Test::with_spec(&format!(
            "name: toy\n{lines}\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\nparameters: {{x: {{values: [1, 2]}}}}\n"
        ))
    };
    refuse(&spec("command: [no-such-program, '${args}']"));
    refuse(&spec("program: no_such.py"));
    refuse(&spec(
        "command: [sh, -c, 'exit ${envvar:PENTAGRID_NO_A} ${envvar:PENTAGRID_NO_B}']\nenv: {X: '${envvar:PENTAGRID_NO_A}'}",
    ));
    refuse(&spec("command: [sh, '${args}']\nworkdir: no/such/folder"));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_huge_metrics_file_delays_nothing() {
    let text = "yes '{\"loss\": 1}' | head -c 30000000 > $PENTAGRID_METRICS; echo '{\"score\": 2}' >> $PENTAGRID_METRICS";
    let test = script(text, "");
    run(&test).expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM trials WHERE score = 2"),
        2
    );
}

#[test]
fn a_failure_is_told_with_the_last_line_of_the_traceback() {
    let test = script(
        "#!/bin/sh\nprintf 'epoch 1\\nTraceback (most recent call last):\\n  File \"t.py\", line 1\\nValueError: lr is too much\\n' >&2\nexit 1\n",
        "limits: {retries: 0}",
    );
    let ran = run(&test).expect(3);
    assert!(
        ran.stderr.contains(
            "(toy x=1, seed 0): exit code 1: ValueError: lr is too much; failed, no retries left"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_program_that_refuses_its_arguments_is_not_retried() {
    let test = script(
        "#!/bin/sh\nprintf 'usage: t.py [-h]\\nt.py: error: unrecognized arguments: --x=1\\n' >&2\nexit 2\n",
        "",
    );
    let ran = run(&test).expect(3);
    let line = "exit code 2: t.py: error: unrecognized arguments: --x=1; failed, no retries left";
    assert_eq!(ran.stderr.matches(line).count(), 2, "{}", ran.stderr);
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM attempt"), 2);
}

#[test]
fn a_program_may_ask_to_be_started_again() {
    let test = script(
        "echo x >> $PENTAGRID_DIR/starts\ntest $(wc -l < $PENTAGRID_DIR/starts) -ge 3 || exit 75\necho '{\"score\": 1}'\n",
        "limits: {retries: 0}",
    );
    let ran = run(&test).expect(0);
    assert!(
        ran.stderr
            .contains("it asked to be started again (exit code 75)"),
        "{}",
        ran.stderr
    );
    let attempts = "SELECT count(*) FROM attempt";
    assert_eq!(test.count("runs/toy", attempts), 6);
    let failures = "SELECT sum(failures) FROM trial";
    assert_eq!(test.count("runs/toy", failures), 0);
}

#[test]
fn a_program_that_asks_for_ever_fails() {
    let test = script("exit 75", "limits: {retries: 0}");
    let ran = run(&test).expect(3);
    assert!(
        ran.stderr.contains(
            "its worker was lost 10 times; the last time: it asked to be started again (exit code 75)"
        ),
        "{}",
        ran.stderr
    );
}
