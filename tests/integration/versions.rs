//! What is trained is part of a result: a change of variables, folder, program or the code around
//! it is listed, asks for consent, and is told with every table that it stands behind.

use crate::support::{Ran, Test, wait_until};

/// A sweep of a program; `LINES` stands for what a test adds.
const SWEEP: &str = "
name: v
LINES
metric: {name: loss, goal: minimize}
seeds: {tune: 2, final: 0}
parameters: {lr: {values: [0.1, 0.2]}}
";

/// Reports a loss of 1.
const SCRIPT: &str = "#!/bin/sh\necho '{\"loss\": 1.0}' >> \"$PENTAGRID_METRICS\"\n";

fn sweep(lines: &str) -> String {
    SWEEP.replace("LINES", lines)
}

fn write_script(test: &Test, name: &str, text: &str) {
    let path = test.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn test(lines: &str) -> Test {
    let test = Test::with_spec(&sweep(lines));
    write_script(&test, "t.sh", SCRIPT);
    test
}

fn run(test: &Test, more: &[&str]) -> Ran {
    test.run(&[&["run", "sweep.yaml", "--devices", "cpu:2", "-q"], more].concat())
}

#[track_caller]
fn refused(test: &Test, line: &str) {
    let before = std::fs::read(test.path("runs/v/ledger.sqlite")).unwrap();
    let ran = run(test, &[]).expect(2);
    assert!(
        ran.stderr
            .contains("what is trained has changed since 4 finished trials in runs/v ran:"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    assert!(
        ran.stderr.contains("--rerun-changed") && ran.stderr.contains("--accept-changes"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        std::fs::read(test.path("runs/v/ledger.sqlite")).unwrap(),
        before,
        "nothing has been changed"
    );
}

#[test]
fn another_value_of_a_variable_asks_for_consent_and_is_not_kept() {
    let test = test("program: ./t.sh\nenv: {DATA: one, TOKEN: hunter2}");
    run(&test, &[]).expect(0);
    run(&test, &[]).expect(0);
    test.write_spec(
        &sweep("program: ./t.sh\nenv: {DATA: two, TOKEN: hunter2}").replace("0.2]", "0.2, 0.3]"),
    );
    refused(&test, "  env: DATA has another value\n");
    let ran = test.run(&["plan", "sweep.yaml"]).expect(0);
    assert!(
        ran.stdout
            .contains("env: DATA has another value (since 4 finished trials ran)"),
        "{}",
        ran.stdout
    );
    run(&test, &["--accept-changes"]).expect(0);
    let fingerprints = "SELECT group_concat(parts) FROM fingerprint";
    let kept = test.text("runs/v", fingerprints);
    assert!(
        !kept.contains("hunter2") && kept.contains("TOKEN"),
        "{kept}"
    );
}

#[test]
fn another_folder_asks_for_consent() {
    let test = test("program: ./t.sh\nworkdir: A");
    write_script(&test, "A/t.sh", SCRIPT);
    write_script(&test, "B/t.sh", &SCRIPT.replace("1.0", "9.0"));
    run(&test, &[]).expect(0);
    test.write_spec(&sweep("program: ./t.sh\nworkdir: B"));
    refused(&test, "./t.sh has changed\n");
    refused(&test, "/B instead of ");
}

#[test]
fn the_folder_that_it_is_started_from_counts() {
    let test = test("program: ./t.sh");
    let dir = test.path("X").display().to_string();
    for (folder, code) in [("A", 0), ("B", 2)] {
        write_script(
            &test,
            &format!("{folder}/t.sh"),
            &SCRIPT.replace("1.0", if folder == "A" { "1.0" } else { "9.0" }),
        );
        let mut command = test.command(&[
            "run",
            "../sweep.yaml",
            "--dir",
            &dir,
            "--devices",
            "cpu:2",
            "-q",
        ]);
        let output = command.current_dir(test.path(folder)).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(stderr.contains("./t.sh has changed"), code == 2, "{stderr}");
    }
    // `resume` goes back to the folder that it was started from.
    test.run(&["resume", &dir, "--devices", "cpu:2", "-q"])
        .expect(0);
}

#[test]
fn edited_code_is_named_and_accepted_results_are_told_apart() {
    let test = test("program: ./t.sh");
    run(&test, &[]).expect(0);
    write_script(&test, "t.sh", &SCRIPT.replace("1.0", "9.0"));
    test.write_spec(&sweep("program: ./t.sh").replace("tune: 2", "tune: 4"));
    refused(&test, "./t.sh has changed\n");

    let ran = run(&test, &["--accept-changes"]).expect(0);
    assert!(ran.stdout.contains("5.00 ± 4.62"), "{}", ran.stdout);
    let note = "What is trained changed between the";
    let counts = "4 trials by version 1, 4 trials by version 2";
    assert!(
        ran.stdout.contains(note) && ran.stdout.contains(counts),
        "{}",
        ran.stdout
    );
    for name in [
        "table1.txt",
        "table1.md",
        "table1.tex",
        "report.md",
        "report.html",
    ] {
        let text = std::fs::read_to_string(test.path("reports/v").join(name)).unwrap();
        assert!(text.contains(note), "{name}");
    }
    let provenance = std::fs::read_to_string(test.path("reports/v/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    assert_eq!(provenance["versions"][1]["trials"], 4);
    assert_eq!(
        provenance["versions"][1]["changes"][0],
        "./t.sh has changed"
    );
    let status = test.run(&["status", "runs/v"]).expect(0).stdout;
    assert!(status.contains("2 versions of what is trained"), "{status}");
    let status: serde_json::Value =
        serde_json::from_str(&test.run(&["status", "runs/v", "--json"]).stdout).unwrap();
    assert_eq!(status["versions"][0]["trials"], 4);
    let trials = test.run(&["trials", "runs/v", "--json"]).stdout;
    assert_eq!(trials.matches("\"version\":1").count(), 4);
    assert_eq!(trials.matches("\"version\":2").count(), 4);
    // Accepted once, it is not asked again.
    run(&test, &[]).expect(0);
}

#[test]
fn rerun_changed_runs_earlier_versions_again_and_keeps_what_they_gave() {
    let test = test("program: ./t.sh");
    let keeps = format!("{SCRIPT}cd $PENTAGRID_DIR && test ! -e checkpoint && touch checkpoint\n");
    write_script(&test, "t.sh", &keeps);
    run(&test, &[]).expect(0);
    write_script(&test, "t.sh", &keeps.replace("1.0", "9.0"));
    refused(&test, "./t.sh has changed\n");
    // A checkpoint of the earlier code would make each trial fail.
    let ran = run(&test, &["--rerun-changed"]).expect(0);
    assert!(
        ran.stdout.contains("9.000 ± 0.000") && !ran.stdout.contains("What is trained changed"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        test.count(
            "runs/v",
            "SELECT count(*) FROM attempt WHERE outcome = 'done'"
        ),
        8
    );
    assert_eq!(
        test.count(
            "runs/v",
            "SELECT count(*) FROM attempt WHERE metrics = '{\"loss\":1.0}'"
        ),
        4
    );
    let id = test.text("runs/v", "SELECT trial FROM trials LIMIT 1");
    let shown = test.run(&["show", "runs/v", &id]).expect(0).stdout;
    assert!(
        shown.contains("its result, before the trial was run again: loss 1"),
        "{shown}"
    );
    run(&test, &[]).expect(0);
}

#[test]
fn a_commit_is_named_with_the_one_before() {
    let test = test("program: ./t.sh");
    write_script(
        &test,
        "t.sh",
        "#!/bin/sh\ncat model >> \"$PENTAGRID_METRICS\"\n",
    );
    std::fs::write(test.path("model"), "{\"loss\": 1.0}\n").unwrap();
    let git = |arguments: &[&str]| {
        let who = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "commit.gpgsign=false",
        ];
        let output = std::process::Command::new("git")
            .current_dir(test.path(""))
            .args(who)
            .args(arguments)
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q"]) {
        return crate::support::say_skipped("git");
    }
    assert!(git(&["add", "-A"]) && git(&["commit", "-qm", "one"]));
    run(&test, &[]).expect(0);
    std::fs::write(test.path("model"), "{\"loss\": 9.0}\n").unwrap();
    refused(&test, "changed: model\n");
    assert!(git(&["add", "model"]) && git(&["commit", "-qm", "two"]));
    test.write_spec(&sweep("program: ./t.sh").replace("tune: 2", "tune: 3"));
    refused(&test, " instead of ");
    let ran = run(&test, &["--accept-changes"]).expect(0);
    assert!(
        ran.stdout.contains("by version 1 (commit ")
            && ran.stdout.contains("by version 2 (commit "),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_edit_before_anything_has_finished_asks_nothing() {
    let test = test("program: ./t.sh");
    write_script(&test, "t.sh", "#!/bin/sh\nexit 7\n");
    run(&test, &[]).expect(3);
    write_script(&test, "t.sh", SCRIPT);
    run(&test, &["--retry-failed"]).expect(0);
}

#[test]
fn an_edit_while_trials_run_is_told() {
    let test = test("program: ./t.sh");
    write_script(
        &test,
        "t.sh",
        &format!("{SCRIPT}test $(grep -c edited t.sh) -gt 1 || echo '# edited' >> t.sh\n"),
    );
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    assert!(
        ran.stderr
            .contains("what is trained was changed while trials ran"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("while trials ran: ./t.sh has changed"),
        "below the table: {}",
        ran.stdout
    );
    refused(&test, "while trials ran: ./t.sh has changed\n");
    run(&test, &["--rerun-changed"]).expect(0);
    run(&test, &[]).expect(0);
}

/// Waits for the file `go`, then reports a loss of 1.
const WAITING: &str = "#!/bin/sh
while ! test -e go; do sleep 0.02; done
echo '{\"loss\": 1.0}' >> \"$PENTAGRID_METRICS\"
";

/// Starts a sweep whose trials wait, edits their program, and waits until that is told.
fn edit_while_trials_run(test: &Test) -> std::process::Child {
    write_script(test, "t.sh", WAITING);
    let running = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for("runs/v", "SELECT count(*) FROM attempt", 1);
    write_script(test, "t.sh", &format!("{WAITING}# edited\n"));
    wait_until("the edit is told", || {
        test.stderr()
            .contains("what is trained was changed while trials ran")
    });
    write_script(test, "t.sh", WAITING);
    running
}

#[test]
fn an_edit_that_is_taken_back_while_trials_run_is_told() {
    let test = test("program: ./t.sh");
    let mut running = edit_while_trials_run(&test);
    std::fs::write(test.path("go"), "").unwrap();
    assert!(running.wait().unwrap().success());
    refused(&test, "while trials ran: ./t.sh has changed\n");
}

#[test]
fn an_edit_that_is_taken_back_after_a_kill_is_told() {
    let test = test("program: ./t.sh");
    let mut running = edit_while_trials_run(&test);
    std::fs::write(test.path("go"), "").unwrap();
    let finished = "SELECT count(*) FROM trial WHERE state = 'done'";
    test.wait_for("runs/v", finished, 1);
    running.kill().unwrap();
    running.wait().unwrap();

    let again = run(&test, &[]).expect(2);
    assert!(
        again
            .stderr
            .contains("while trials ran: ./t.sh has changed"),
        "{}",
        again.stderr
    );
    run(&test, &["--rerun-changed"]).expect(0);
}

#[test]
fn a_worker_and_its_files_count() {
    let test = Test::with_spec(
        &crate::support::TOY.replace("[WORKER]", "[bash, -c, 'exec WORKER', ./notes.cfg]"),
    );
    std::fs::write(test.path("notes.cfg"), "1").unwrap();
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    std::fs::write(test.path("notes.cfg"), "2").unwrap();
    let ran = test
        .run(&["resume", "runs/toy", "--devices", "cpu:2", "-q"])
        .expect(2);
    assert!(
        ran.stderr.contains("./notes.cfg has changed"),
        "{}",
        ran.stderr
    );
    test.run(&[
        "resume",
        "runs/toy",
        "--devices",
        "cpu:2",
        "-q",
        "--accept-changes",
    ])
    .expect(0);
}

#[test]
fn data_files_and_verify_say_which_version_a_trial_ran() {
    let test = test("program: ./t.sh");
    run(&test, &[]).expect(0);
    write_script(&test, "t.sh", &SCRIPT.replace("1.0", "9.0"));
    test.write_spec(&sweep("program: ./t.sh").replace("0.2]", "0.2, 0.3]"));
    run(&test, &["--accept-changes"]).expect(0);
    let trials = std::fs::read_to_string(test.path("reports/v/trials.csv")).unwrap();
    let column = |name: &str| {
        let place = trials
            .lines()
            .next()
            .unwrap()
            .split(',')
            .position(|heading| heading == name)
            .unwrap();
        let cells = trials.lines().skip(1);
        cells
            .map(|row| row.split(',').nth(place).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(column("version"), ["1", "1", "1", "1", "2", "2"]);
    assert_eq!(column("loss"), ["1.0", "1.0", "1.0", "1.0", "9.0", "9.0"]);

    let verified = test.run(&["verify", "runs/v", "-n", "6"]).expect(3).stdout;
    assert_eq!(
        verified
            .matches(
                "version 1 of what is trained gave the recorded result, and another one ran now"
            )
            .count(),
        4,
        "{verified}"
    );
    assert!(
        verified.contains("2 of 6 trials gave the same"),
        "{verified}"
    );
}
