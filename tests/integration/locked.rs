//! A ledger that another program has locked: trials keep running, results wait in memory, nothing is told
//! before it is written, and who wants to stop can.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;

use crate::support::{DONE, TOY, Test, wait_until};

fn slow() -> String {
    TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 3}, epoch_ms: {value: 30}",
    )
}

fn send(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Another program that has begun to write and keeps its transaction open.
fn lock(test: &Test) -> Connection {
    let other = test.ledger("runs/toy");
    other.busy_timeout(crate::support::PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

fn told(test: &Test) -> usize {
    test.stderr()
        .lines()
        .filter(|line| line.starts_with('[') && line.contains("score"))
        .count()
}

#[test]
fn a_transaction_of_another_program_is_waited_for_and_interrupts_nothing() {
    let test = Test::with_spec(&slow());
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 2);
    let other = lock(&test);
    let recorded: i64 = other.query_row(DONE, [], |row| row.get(0)).unwrap();
    // Two messages: for more than half a minute.
    wait_until("it was told twice", || {
        test.stderr().matches("has been locked by").count() >= 2
    });
    let said = test.stderr();
    assert!(
        said.contains(&format!(
            "runs/toy/ledger.sqlite has been locked by process {} (",
            std::process::id()
        )),
        "{said}"
    );
    assert!(
        said.contains("trials keep running, ") && said.contains("results wait in memory"),
        "{said}"
    );
    assert!(
        told(&test) as i64 <= recorded,
        "more was told than is on the disk: {said}"
    );
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert!(
        test.stderr().contains("the ledger is free again"),
        "{}",
        test.stderr()
    );
    assert_eq!(
        (
            test.count("runs/toy", DONE),
            test.count("runs/toy", "SELECT count(*) FROM attempt")
        ),
        (20, 20)
    );
}

#[test]
fn the_second_ctrl_c_does_not_wait_for_a_transaction_of_another_program() {
    let test = Test::with_spec(&slow());
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 2);
    let other = lock(&test);
    let recorded: i64 = other.query_row(DONE, [], |row| row.get(0)).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("results wait in memory")
    });
    send(&child, Signal::SIGINT);
    wait_until("it is stopping", || test.stderr().contains("stopping"));
    send(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    let said = test.stderr();
    assert!(said.contains("not written, and will run again"), "{said}");
    assert!(told(&test) as i64 <= recorded, "{said}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 20);
}

#[test]
fn the_first_ctrl_c_keeps_what_can_be_written_in_time() {
    let test = Test::with_spec(&slow());
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 2);
    let other = lock(&test);
    let recorded: i64 = other.query_row(DONE, [], |row| row.get(0)).unwrap();
    wait_until("results wait", || {
        test.stderr().contains("results wait in memory")
    });
    send(&child, Signal::SIGINT);
    wait_until("it is stopping", || test.stderr().contains("stopping"));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", test.stderr());
    assert!(
        test.count("runs/toy", DONE) > recorded,
        "what waited was written"
    );
    test.run(&["resume", "runs/toy", "-q"]).expect(0);
}

#[test]
fn a_sweep_does_not_start_before_its_ledger_is_free_and_can_be_stopped_until_then() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    test.write_spec(&TOY.replace("tune: 2", "tune: 3"));
    let other = lock(&test);
    let run = || {
        test.start(&[
            "run",
            "sweep.yaml",
            "--accept-changes",
            "--devices",
            "cpu:2",
        ])
    };
    let waits = || test.stderr().contains("waiting until it is free");
    let mut child = run();
    wait_until("it waits", waits);
    send(&child, Signal::SIGINT);
    assert!(!child.wait().unwrap().success(), "{}", test.stderr());
    let mut child = run();
    wait_until("it waits", waits);
    // Who only reads does not wait.
    test.run(&["status", "runs/toy"]).expect(0);
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(test.count("runs/toy", DONE), 7 * 3 + 6);
}
