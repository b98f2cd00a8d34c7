//! Nothing that was acknowledged is lost, and nothing runs twice: SIGKILL, Ctrl-C, changed specs,
//! second coordinators, ledgers of other versions.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pentagrid::schedule::start_ticks;

use crate::support::{DONE, TOY, Test, filters, wait_until};

/// A sweep that takes long enough to be interrupted: 14 + 6 trials of three epochs.
fn slow() -> String {
    TOY.replace(
        "parameters: {epochs: {value: 3}}",
        "parameters: {epochs: {value: 3}, epoch_ms: {value: 30}}",
    )
}

fn send(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Every process of a worker that the ledger knows of.
fn workers(test: &Test) -> Vec<(u32, u64)> {
    let ledger = test.ledger("runs/toy");
    let mut statement = ledger
        .prepare("SELECT pid, start_ticks FROM worker")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[track_caller]
fn assert_no_worker_lives(test: &Test) {
    let all = workers(test);
    assert!(!all.is_empty());
    wait_until("all workers are gone", || {
        all.iter()
            .all(|(pid, ticks)| start_ticks(*pid) != Some(*ticks))
    });
}

#[test]
fn killed_ten_times_it_ends_with_the_same_tables() {
    let undisturbed = Test::with_spec(&slow());
    undisturbed
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);

    let test = Test::with_spec(&slow());
    for round in 0..10 {
        // After the first kill there may be no table yet.
        let known = test
            .path("runs/toy/ledger.sqlite")
            .exists()
            .then(|| test.ledger("runs/toy"));
        let count = |ledger: rusqlite::Connection| {
            ledger.query_row("SELECT count(*) FROM session", [], |row| row.get(0))
        };
        let sessions: i64 = known.and_then(|ledger| count(ledger).ok()).unwrap_or(0);
        let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
        // Moments are chosen by progress and a varying pause, so that they fall before, between and
        // within trials.
        if round % 3 == 0 {
            wait_until("it has begun", || {
                test.path("runs/toy/ledger.sqlite").exists()
            });
        } else {
            // However long a busy machine takes to begin.
            test.wait_for("runs/toy", "SELECT count(*) FROM session", sessions + 1);
            test.wait_for("runs/toy", DONE, i64::from(round) * 3 / 2);
        }
        std::thread::sleep(std::time::Duration::from_millis(round as u64 * 17 % 60));
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
    }
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(
        test.report("reports/toy"),
        undisturbed.report("reports/toy")
    );
    assert_no_worker_lives(&test);
    let twice = "SELECT count(*) FROM (SELECT trial FROM attempt WHERE outcome = 'done' GROUP BY trial HAVING count(*) > 1)";
    assert_eq!(
        test.count("runs/toy", twice),
        0,
        "a finished trial ran twice"
    );
    let after = "SELECT count(*) FROM attempt a JOIN attempt d ON d.trial = a.trial AND d.outcome = 'done' AND a.id > d.id";
    assert_eq!(
        test.count("runs/toy", after),
        0,
        "a finished trial was begun again"
    );
    // Some of the kills may have come before the session was noted.
    assert!(test.count("runs/toy", "SELECT count(*) FROM session") >= 3);
    assert_eq!(
        test.count("runs/toy", "SELECT sum(failures) FROM trial"),
        0,
        "being cut off is no failure of a trial"
    );
}

#[test]
fn ctrl_c_keeps_everything_and_says_how_to_go_on() {
    let test = Test::with_spec(&slow());
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 3);
    send(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let stderr = test.stderr();
    assert!(
        stderr.contains("running trials are cut off and will start again (Ctrl-C again"),
        "{stderr}"
    );
    assert!(
        stderr.contains("resume with: pentagrid resume runs/toy"),
        "{stderr}"
    );
    assert_no_worker_lives(&test);
    let kept = test.count("runs/toy", DONE);
    assert!(
        stderr.contains(&format!(
            "warning: interrupted; kept in runs/toy: the results of {kept} of 14 tuning"
        )),
        "{stderr}"
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM session WHERE outcome = 'interrupted'"
        ),
        1
    );
    test.run(&["resume", "runs/toy", "-q", "--devices", "cpu:2"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 20);
}

#[test]
fn the_end_of_the_terminal_and_a_shutdown_keep_everything_too() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let test = Test::with_spec(&slow());
        let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
        test.wait_for("runs/toy", DONE, 2);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_no_worker_lives(&test);
        test.run(&["resume", "runs/toy", "-q", "--devices", "cpu:2"])
            .expect(0);
        assert_eq!(test.count("runs/toy", DONE), 20);
    }
}

#[test]
fn workers_killed_at_random_moments_change_no_table() {
    let spec = slow() + "limits: {retries: 100}\n";
    let undisturbed = Test::with_spec(&spec);
    undisturbed
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let test = Test::with_spec(&spec);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    for round in 1..8 {
        test.wait_for("runs/toy", DONE, round);
        std::thread::sleep(std::time::Duration::from_millis(round as u64 * 13 % 40));
        let alive = workers(&test)
            .into_iter()
            .filter(|(pid, ticks)| start_ticks(*pid) == Some(*ticks))
            .collect::<Vec<_>>();
        if let Some((pid, _)) = alive.get(round as usize % alive.len().max(1)) {
            // It may have ended by now.
            let _ = kill(Pid::from_raw(*pid as i32), Signal::SIGKILL);
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(
        test.report("reports/toy"),
        undisturbed.report("reports/toy")
    );
    assert!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE kind = 'signal'"
        ) > 0,
        "no kill met a trial"
    );
    assert_no_worker_lives(&test);
}

#[test]
fn a_folder_that_is_gone_is_named() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    test.ledger("runs/toy")
        .execute_batch("UPDATE session SET folder = '/no/such/folder'")
        .unwrap();
    insta::assert_snapshot!(test.run(&["resume", "runs/toy"]).expect(2).stderr, @r#"
error: the folder that the sweep was started from, /no/such/folder, is not there any more
go on from another one: pentagrid run SPEC --dir DIR, with the sweep file and the run directory
"#);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
}

#[test]
fn an_edited_copy_of_the_spec_is_not_overwritten() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    let copy = test.path("runs/toy/spec.yaml");
    let edited = std::fs::read_to_string(&copy)
        .unwrap()
        .replace("values: [5, 8]", "values: [5, 8, 9]");
    std::fs::write(&copy, &edited).unwrap();
    insta::assert_snapshot!(test.run(&["resume", "runs/toy"]).expect(2).stderr, @r#"
error: runs/toy/spec.yaml is not the spec that this sweep was run with: it has been edited
to resume with the edited one: pentagrid run runs/toy/spec.yaml --dir runs/toy --accept-changes
to resume as before: remove it, the ledger has the spec
"#);
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), edited);
    test.run(&[
        "run",
        "runs/toy/spec.yaml",
        "--dir",
        "runs/toy",
        "--accept-changes",
        "-q",
    ])
    .expect(0);
    test.run(&["resume", "runs/toy", "-q"]).expect(0);
}

#[test]
fn the_second_ctrl_c_does_not_wait() {
    let spec = slow().replace(
        "epochs: {value: 3}",
        "epochs: {value: 3}, behaviour: {value: ignore-sigterm}",
    );
    let test = Test::with_spec(&spec);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM trial WHERE state = 'running'",
        1,
    );
    wait_until("SIGTERM is ignored", || {
        std::fs::read_to_string(test.path("runs/toy/logs/worker-0.log"))
            .unwrap()
            .contains("ignored")
    });
    send(&child, Signal::SIGINT);
    wait_until("it is stopping", || test.stderr().contains("stopping"));
    send(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_no_worker_lives(&test);
}

#[test]
fn what_a_killed_coordinator_left_is_ended_at_the_next_start() {
    let spec = slow().replace("[WORKER]", "[WORKER, --outlive]");
    let test = Test::with_spec(&spec);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM worker WHERE program IS NOT NULL",
        1,
    );
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let (pid, ticks) = workers(&test)[0];
    assert_eq!(
        start_ticks(pid),
        Some(ticks),
        "the test needs a worker that outlives its coordinator"
    );
    test.write_spec(&slow());
    let ran = test
        .run(&[
            "run",
            "sweep.yaml",
            "--devices",
            "cpu:2",
            "--accept-changes",
        ])
        .expect(0);
    assert!(
        ran.stderr
            .contains("ended 1 process that a killed coordinator had left running"),
        "{}",
        ran.stderr
    );
    assert_no_worker_lives(&test);
}

#[test]
fn a_second_coordinator_is_turned_away() {
    // So slow that the sweep is not over before four other commands are, on however busy a machine.
    let test = Test::with_spec(&slow().replace("epoch_ms: {value: 30}", "epoch_ms: {value: 400}"));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for("runs/toy", DONE, 1);
    let second = test.run(&["run", "sweep.yaml"]).expect(4);
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!(second.stderr, @"
        error: runs/toy is in use by another pentagrid: process [PID] on [HOST], since [TIME]
        wait for it to end, or stop it (Ctrl-C in its terminal, or `kill [PID]` on [HOST])
        ");
    });
    let json: serde_json::Value =
        serde_json::from_str(&test.run(&["status", "runs/toy", "--json"]).expect(0).stdout)
            .unwrap();
    assert_eq!(
        (json["state"].as_str(), json["coordinator"]["pid"].as_u64()),
        (Some("running"), Some(u64::from(child.id())))
    );
    test.run(&["report", "runs/toy"]).expect(0);
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_changed_spec_is_listed_and_asks_for_consent() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);
    let kept = std::fs::read(test.path("runs/toy/spec.yaml")).unwrap();
    test.write_spec(
        &TOY.replace("[1, 2, 3]", "[2, 3, 4]")
            .replace("tune: 2", "tune: 3")
            .replace("deep", "other"),
    );
    let refused = test.run(&["run", "sweep.yaml"]).expect(2);
    insta::assert_snapshot!(refused.stderr);
    assert_eq!(
        std::fs::read(test.path("runs/toy/spec.yaml")).unwrap(),
        kept,
        "a refusal changes nothing"
    );
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM spec"), 1);

    let before = test.count("runs/toy", "SELECT count(*) FROM attempt");
    test.run(&[
        "run",
        "sweep.yaml",
        "-q",
        "--accept-changes",
        "--devices",
        "cpu:2",
    ])
    .expect(0);
    // near: x = 4 for three seeds, x = 2 and 3 for the new seed; far: four new points for three
    // seeds, and finals.
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt") - before,
        3 + 2 + 12 + 3
    );
    let fresh = Test::with_spec(&std::fs::read_to_string(test.path("sweep.yaml")).unwrap());
    fresh
        .run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);
    assert_eq!(
        test.report("reports/toy"),
        fresh.report("reports/toy"),
        "as if it had been so from the start"
    );
}

#[test]
fn without_final_seeds_no_table_of_times_is_left_behind() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    assert!(test.path("reports/toy/table2.tex").exists());
    test.write_spec(&TOY.replace("final: 3", "final: 0"));
    let ran = test
        .run(&["run", "sweep.yaml", "-q", "--accept-changes"])
        .expect(0);
    assert!(
        ran.stdout
            .contains("over the 2 tuning seeds used for the selection"),
        "{}",
        ran.stdout
    );
    assert!(!test.path("reports/toy/table2.tex").exists());
}

#[test]
fn a_seed_that_becomes_a_final_one_keeps_its_result_but_not_its_time() {
    let spec = |seeds: &str| slow().replace("{tune: 2, final: 3}", seeds);
    let test = Test::with_spec(&spec("{tune: [0, 1], final: [3]}"));
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);
    test.write_spec(&spec("{tune: [0], final: [1, 3]}"));
    let ran = test
        .run(&["run", "sweep.yaml", "-q", "--accept-changes"])
        .expect(0);
    assert!(
        ran.stdout.contains(
            "Near: 1 of them ran as tuning trials of an earlier sweep file and are not timed."
        ),
        "{}",
        ran.stdout
    );
    let times = std::fs::read_to_string(test.path("reports/toy/table2.csv")).unwrap();
    assert!(times.lines().nth(1).unwrap().ends_with(",1"), "{times}");
    let accuracies = std::fs::read_to_string(test.path("reports/toy/table1.csv")).unwrap();
    assert_eq!(
        accuracies.lines().nth(1).unwrap().split(',').nth(4),
        Some("2"),
        "{accuracies}"
    );
}

#[test]
fn a_change_of_texts_needs_no_consent() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    test.write_spec(&TOY.replace("label: Near", "label: Nearest"));
    let ran = test.run(&["run", "sweep.yaml"]).expect(0);
    assert!(ran.stdout.contains(" Nearest "), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("the sweep file's text has changed, but not what it runs"),
        "{}",
        ran.stderr
    );
}

#[test]
fn ledgers_of_other_versions_and_programs_are_refused() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    test.ledger("runs/toy")
        .pragma_update(None, "user_version", 99)
        .unwrap();
    insta::assert_snapshot!(test.run(&["run", "sweep.yaml"]).expect(5).stderr, @r#"
error: runs/toy/ledger.sqlite was written by a newer pentagrid (ledger version 99; this program knows up to 5)
use that newer program, or start again in another directory with --dir
"#);
    test.run(&["status", "runs/toy"]).expect(5);
    std::fs::File::create(test.path("runs/toy/ledger.sqlite")).unwrap();
    std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).ok();
    let emptied = test.run(&["run", "sweep.yaml"]).expect(5).stderr;
    assert!(
        emptied.contains("it is empty, although a sweep was run here"),
        "{emptied}"
    );
    std::fs::create_dir_all(test.path("runs/junk")).unwrap();
    std::fs::write(
        test.path("runs/junk/ledger.sqlite"),
        "not a database, but long enough to be looked at as one ".repeat(20),
    )
    .unwrap();
    insta::assert_snapshot!(test.run(&["run", "sweep.yaml", "--dir", "runs/junk"]).expect(5).stderr, @"
    error: runs/junk/ledger.sqlite is not a pentagrid ledger (it is not an SQLite file)
    move it away, or name another run directory with --dir
    ");
}

#[test]
fn order_and_number_of_workers_change_no_result() {
    let variants: [&[&str]; 4] = [
        &["--devices", "cpu:1"],
        &["--devices", "cpu:3"],
        &["--devices", "cpu:2", "--shuffle", "7"],
        &["--devices", "cpu:2", "--bundle", "5"],
    ];
    let reports: Vec<_> = variants
        .iter()
        .map(|how| {
            let test = Test::with_spec(TOY);
            test.run(&[&["run", "sweep.yaml", "-q"], *how].concat())
                .expect(0);
            test.report("reports/toy")
        })
        .collect();
    assert!(reports.windows(2).all(|pair| pair[0] == pair[1]));
}
