//! Run directories and ledgers that are removed, moved or replaced while the sweep runs.

use super::{lives, named, waiting};
use crate::support::{DONE, TOY, Test, wait_until};

/// What a sweep says and exits with when `change` is done while it runs.
fn changed_while_it_runs(test: &Test, change: impl FnOnce()) -> String {
    let slow = TOY.replace(
        "parameters: {epochs: {value: 3}}",
        "parameters: {epochs: {value: 3}, epoch_ms: {value: 30}}",
    );
    test.write_spec(&slow);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 3);
    let workers: Vec<(u32, u64)> = {
        let ledger = test.ledger("runs/toy");
        let mut all = ledger
            .prepare("SELECT pid, start_ticks FROM worker")
            .unwrap();
        let rows = all
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    change();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    wait_until("no worker is left", || {
        !workers.iter().any(|&worker| lives(worker))
    });
    test.stderr()
}

#[test]
fn a_directory_that_is_removed_while_it_runs_ends_the_sweep_and_is_not_made_again() {
    let test = Test::new();
    let said = changed_while_it_runs(&test, || {
        std::fs::remove_dir_all(test.path("runs/toy")).unwrap();
    });
    assert!(said.contains("was removed while its sweep ran"), "{said}");
    assert!(
        said.contains("its ledger, with every result so far, is not on the disk any more"),
        "{said}"
    );
    assert!(!test.path("runs/toy").exists(), "it was made again");
}

#[test]
fn a_write_ahead_log_that_is_removed_while_it_runs_loses_nothing() {
    let test = Test::new();
    let said = changed_while_it_runs(&test, || {
        std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap();
    });
    assert!(
        said.contains("ledger.sqlite-wal in runs/toy was removed or replaced while its sweep ran")
            && said.contains("everything that was reported as done is kept"),
        "{said}"
    );
    let done = test.count("runs/toy", DONE);
    let told = said
        .lines()
        .filter(|line| line.starts_with('[') && line.contains("score"));
    assert!(done > 0 && told.count() as i64 <= done, "{said}");

    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let twice = "SELECT count(*) FROM (SELECT trial FROM attempt WHERE outcome = 'done' GROUP BY trial HAVING count(*) > 1)";
    assert_eq!(test.count("runs/toy", twice), 0);
}

#[test]
fn a_directory_that_is_moved_while_it_runs_keeps_all_that_was_told() {
    let test = Test::new();
    let said = changed_while_it_runs(&test, || {
        std::fs::rename(test.path("runs/toy"), test.path("runs/moved")).unwrap();
        // What is made in its place is not touched.
        std::fs::create_dir(test.path("runs/toy")).unwrap();
        std::fs::write(test.path("runs/toy/ledger.sqlite-wal"), "mine").unwrap();
    });
    assert!(
        said.contains("runs/toy was moved to ") && said.contains("pentagrid resume "),
        "{said}"
    );
    let told = said
        .lines()
        .filter(|line| line.starts_with('[') && line.contains("score"));
    let told: Vec<&str> = told
        .map(|line| line.split("] ").nth(1).unwrap().split(' ').next().unwrap())
        .collect();
    assert!(!told.is_empty());
    for trial in told {
        let sql = format!(
            "SELECT count(*) FROM trial WHERE state = 'done' AND point || '-' || seed = '{trial}'"
        );
        assert_eq!(
            test.count("runs/moved", &sql),
            1,
            "{trial} was reported as done"
        );
    }
    assert_eq!(std::fs::read_dir(test.path("runs/toy")).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_to_string(test.path("runs/toy/ledger.sqlite-wal")).unwrap(),
        "mine"
    );
    let again = test.run(&["resume", "runs/moved"]).expect(0);
    assert!(!again.stderr.contains("is a copy"), "{}", again.stderr);
    assert_eq!(test.count("runs/moved", DONE), 20);
}

#[test]
fn a_ledger_that_is_removed_or_replaced_while_it_runs_ends_the_sweep() {
    for replace in [false, true] {
        let test = Test::new();
        let said = changed_while_it_runs(&test, || {
            let ledger = test.path("runs/toy/ledger.sqlite");
            if replace {
                std::fs::copy(&ledger, test.path("copy")).unwrap();
                std::fs::rename(test.path("copy"), &ledger).unwrap();
            } else {
                std::fs::remove_file(&ledger).unwrap();
            }
        });
        assert!(
            said.contains("was removed or replaced while its sweep ran"),
            "{said}"
        );
    }
}

/// A stop of the whole sweep still finds what has left its group.
#[test]
fn a_directory_that_was_removed_still_tells_whose_a_stray_process_is() {
    let test = waiting();
    test.write_script(
        "setsid sh -c 'echo $$ >> \"$0/pids\"; sleep 1000' \"$PENTAGRID_RUN\" & echo $$ >> \"$PENTAGRID_RUN/pids\"; sleep 1000",
    );
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    wait_until("both run", || named(&test, "runs/toy").len() == 2);
    let programs = named(&test, "runs/toy");
    std::fs::remove_dir_all(test.path("runs/toy")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    wait_until("nothing is left", || {
        !programs.iter().any(|&program| lives(program))
    });
    assert!(!test.path("runs/toy").exists());
}
