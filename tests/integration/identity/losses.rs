//! Ledgers that have lost everything, or the last transactions.

use std::process::Command;

use crate::support::{DONE, TOY, Test};

/// A sweep of workers that was killed with some results, none of which is in the file itself.
fn killed() -> Test {
    let test = Test::with_spec(&TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 3}, epoch_ms: {value: 30}",
    ));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    test
}

#[test]
fn a_ledger_that_lost_everything_is_no_new_sweep() {
    type Loss = fn(&Test);
    let losses: [(Loss, &str); 4] = [
        (
            |test| std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap(),
            "it holds nothing, although a sweep was run",
        ),
        (
            |test| std::fs::remove_file(test.path("runs/toy/ledger.sqlite")).unwrap(),
            "it is missing, although a sweep was run",
        ),
        (
            |test| {
                std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap();
                std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
            },
            "logs/worker-",
        ),
        (
            |test| drop(std::fs::File::create(test.path("runs/toy/ledger.sqlite")).unwrap()),
            "it is empty, although a sweep was run",
        ),
    ];
    for (lose, what) in losses {
        let test = killed();
        lose(&test);
        for arguments in [
            &["run", "sweep.yaml"][..],
            &["status", "runs/toy"],
            &["run", "sweep.yaml"],
            &["report", "runs/toy"],
        ] {
            let said = test.run(arguments).expect(5).stderr;
            assert!(
                said.contains(what) && said.contains("restore the file from a copy"),
                "{arguments:?}: {said}"
            );
        }
    }
}

#[test]
fn a_ledger_that_lost_its_last_transactions_is_refused_until_the_user_agrees() {
    let test = killed();
    // A run that ended in order is in the file itself; that of one after it which was killed is in
    // the log.
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    let first = test.count("runs/toy", "SELECT count(*) FROM session");
    let longer = std::fs::read_to_string(test.path("sweep.yaml"))
        .unwrap()
        .replace("tune: 2", "tune: 4");
    std::fs::write(test.path("sweep.yaml"), longer).unwrap();
    let mut child = test.start(&[
        "run",
        "sweep.yaml",
        "--devices",
        "cpu:2",
        "--accept-changes",
    ]);
    test.wait_for("runs/toy", DONE, 23);
    child.kill().unwrap();
    child.wait().unwrap();
    let whole = Test::new();
    let status = Command::new("cp")
        .arg("-r")
        .arg(test.path("runs"))
        .arg(whole.path(""))
        .status()
        .unwrap();
    assert!(status.success());

    std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap();
    for _ in 0..2 {
        let said = test
            .run(&["run", "sweep.yaml", "--accept-changes"])
            .expect(5)
            .stderr;
        assert!(
            said.contains("it lacks the whole of its last run"),
            "{said}"
        );
        assert!(
            said.contains("ledger.sqlite-wal, is missing")
                && said.contains("rm runs/toy/ledger.lock"),
            "{said}"
        );
    }
    std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
    test.run(&["run", "sweep.yaml", "-q", "--accept-changes"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 2 * 14 + 6);
    assert!(test.count("runs/toy", "SELECT count(*) FROM session") > first);

    // Only some of them.
    let test = killed();
    test.ledger("runs/toy")
        .execute_batch("UPDATE session SET commits = commits - 5")
        .unwrap();
    let said = test.run(&["run", "sweep.yaml"]).expect(5).stderr;
    assert!(said.contains("it lacks the last "), "{said}");
    // A file that was put back is not the one that the note speaks of.
    std::fs::copy(test.path("runs/toy/ledger.sqlite"), test.path("backup")).unwrap();
    std::fs::rename(test.path("backup"), test.path("runs/toy/ledger.sqlite")).unwrap();
    let ran = test.run(&["run", "sweep.yaml"]).expect(0);
    assert!(
        ran.stderr.contains("was restored from one"),
        "{}",
        ran.stderr
    );
}
