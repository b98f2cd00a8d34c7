//! Sweeps that run, crash or end while the page is open. The server leaves the run directory as it is.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Server, finished};
use crate::support::{DONE, TOY, Test, wait_until};

fn slow() -> String {
    TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 40}, epoch_ms: {value: 5}",
    )
}

/// Every file of a folder with its size and time.
fn files(test: &Test, dir: &str) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(test.path(dir)).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        found.insert(
            entry.file_name().into_string().unwrap(),
            (metadata.len(), metadata.modified().unwrap()),
        );
    }
    found
}

#[test]
fn a_running_sweep_sends_what_changes() {
    let test = Test::with_spec(&slow());
    let mut run = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
    test.wait_for("runs/toy", DONE, 1);
    let server = Server::start(&test, &["runs/toy"]);
    let mut events = server.connect("/events", "Host: localhost\r\n");
    let mut next = || loop {
        let mut line = String::new();
        assert!(
            events.read_line(&mut line).unwrap() > 0,
            "the stream has ended"
        );
        if let Some(json) = line.strip_prefix("data: ") {
            return serde_json::from_str::<Value>(json).unwrap();
        }
    };
    let first = next();
    assert_eq!(first["sweep"]["state"], "running");
    assert!(
        first["arms"].is_array() && first["tables"].is_array(),
        "the first event has everything"
    );
    let done = |event: &Value| event["sweep"]["total"]["done"].as_u64();
    let mut last = done(&first).unwrap();
    let mut state = "running".to_owned();
    while state == "running" {
        let event = next();
        if let Some(now) = done(&event) {
            assert!(now >= last, "{event}");
            last = now;
            state = event["sweep"]["state"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!((state.as_str(), last), ("finished", 20));
    assert_eq!(run.wait().unwrap().code(), Some(0));
    // A page that followed the changes shows the same as one that is opened now.
    let seen = server.json("/api/overview");
    let fresh = Server::start(&test, &["runs/toy"]).json("/api/overview");
    for section in [
        "sweep", "arms", "tables", "leaders", "running", "failures", "devices",
    ] {
        assert_eq!(seen[section], fresh[section], "{section}");
    }
}

#[test]
fn a_crashed_sweep_is_shown_and_left_as_it_is() {
    let test = Test::with_spec(&slow());
    let mut run = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
    test.wait_for("runs/toy", DONE, 3);
    run.kill().unwrap();
    run.wait().unwrap();
    let before = files(&test, "runs/toy");
    assert!(
        before["ledger.sqlite-wal"].0 > 0,
        "results stand in the log that the coordinator left"
    );
    let server = Server::start(&test, &["runs/toy"]);
    let seen = server.json("/api/overview");
    assert_eq!(
        (
            seen["sweep"]["state"].as_str(),
            seen["sweep"]["killed"].as_bool()
        ),
        (Some("stopped"), Some(true))
    );
    assert!(seen["sweep"]["total"]["done"].as_u64().unwrap() >= 3);
    assert_eq!(
        (
            seen["sweep"]["total"]["running"].as_u64(),
            seen["running"].as_array().unwrap().len()
        ),
        (Some(0), 0)
    );
    let id = server.json("/api/trials?state=done&count=1")["rows"][0]["trial"]
        .as_str()
        .unwrap()
        .to_owned();
    server.json(&format!("/api/trial/{id}"));
    assert_eq!(files(&test, "runs/toy"), before);
    // The open page follows the resumed sweep.
    test.run(&["resume", "runs/toy", "-q", "--devices", "cpu:2"])
        .expect(0);
    wait_until("the page says that it is finished", || {
        server.json("/api/overview")["sweep"]["state"] == "finished"
    });
    assert_eq!(server.json("/api/overview")["sweep"]["total"]["done"], 20);
}

#[test]
fn a_finished_sweep_gets_no_file_beside_its_ledger() {
    let test = finished();
    // As a copy of the one file, or after the coordinator was the last to close it.
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(test.path("runs/toy").join(name));
    }
    let before = files(&test, "runs/toy");
    let server = Server::start(&test, &["runs/toy"]);
    assert_eq!(server.json("/api/overview")["sweep"]["state"], "finished");
    server.json("/api/curves");
    assert_eq!(files(&test, "runs/toy"), before);
}

#[test]
fn ctrl_c_ends_it_while_a_page_is_open() {
    let test = finished();
    let mut server = Server::start(&test, &["runs/toy"]);
    let mut events = server.connect("/events", "Host: localhost\r\n");
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    kill(Pid::from_raw(server.child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_ledger_that_becomes_a_pipe_is_told_and_hangs_nothing() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy"]);
    let known = server.json("/api/trials?count=5")["total"].clone();
    let ledger = test.path("runs/toy/ledger.sqlite");
    std::fs::rename(&ledger, test.path("kept")).unwrap();
    nix::unistd::mkfifo(&ledger, nix::sys::stat::Mode::S_IRWXU).unwrap();

    // The page keeps what is known and adds a message.
    wait_until("the page tells", || {
        let trouble = server.json("/api/overview")["trouble"].to_string();
        trouble.contains("FIFO")
    });
    assert_eq!(server.json("/api/trials?count=5")["total"], known);
    for verb in ["serve", "watch"] {
        let refused = test.run(&[verb, "runs/toy"]).expect(5).stderr;
        assert!(refused.contains("FIFO"), "{verb}: {refused}");
    }

    std::fs::rename(test.path("kept"), &ledger).unwrap();
    wait_until("the page recovers", || {
        server.json("/api/overview")["trouble"].is_null()
    });
}
