//! The state of a sweep read at once, and from every attempt.

use super::gather;
use crate::grid::{Grid, TrialId};
use crate::ledger::{Consent, LogMark, SessionInfo, WorkerId, Write, Writer, open_for_run};
use crate::monitor::Sweep;
use crate::plan::{Fingerprint, Phase, Shared};
use crate::protocol::{FailureKind, Metrics, Position};
use crate::sweep::sweep_rows;

/// A ledger with every outcome of an attempt, read while its coordinator runs and after its end.
#[test]
fn a_snapshot_says_the_same_as_every_attempt() {
    let text = "name: t\nworker: [w]\nmetric: {name: m, goal: maximize}\nseeds: {tune: 2, final: 1}\narms:\n  \
                a: {parameters: {x: {values: [1, 2, 3]}}}\n  b: {parameters: {x: {values: [4, 5]}}}\n";
    let spec = crate::spec::read(text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
    let grid = Grid::new(&spec);
    let trial = |arm: usize, index: u64, seed: usize| TrialId {
        point: grid.arms()[arm].point(crate::grid::PointIndex(index)).id,
        seed: spec.seeds.tune[seed],
    };
    let dir = tempfile::tempdir().unwrap();
    let session = SessionInfo {
        holder: crate::ledger::Holder {
            host: "h".into(),
            pid: 1,
            since: "2026-11-24T00:00:00Z".into(),
        },
        boot_id: "boot".into(),
        command: "run".into(),
        version: "1".into(),
        git: None,
        devices: "cpu cpu".into(),
        folder: "/".into(),
    };
    let opened = open_for_run(
        dir.path(),
        sweep_rows(text, &spec, &grid),
        &session,
        Consent::Refuse,
        |_| Fingerprint::default(),
        &|_| (),
    )
    .unwrap();
    let writer = Writer::start(opened.connection, opened.claim.clone(), |_| ());
    let write = |write| writer.send(write);
    let worker = WorkerId(opened.next_worker);
    let phase = Phase::Tune;
    let device = "cpu".to_owned();
    write(Write::WorkerStarted {
        worker,
        session: opened.session,
        slot: 0,
        device,
        pid: 1,
        start_ticks: 1,
        launcher: None,
    });
    let start = |trial| {
        write(Write::TrialStarted {
            trial,
            phase,
            worker,
            log: LogMark {
                file: "logs/0".into(),
                offset: 0,
            },
        });
    };
    let metrics = |value: f64| -> Metrics { [("m", value)].into_iter().collect() };
    let done = |trial, seconds: f64| {
        write(Write::TrialDone {
            trial,
            metrics: metrics(seconds).into(),
            shared: Shared::default(),
            log_end: 0,
            // Trials of a pack take no more time than has passed.
            duration: seconds / 1000.0,
        });
    };
    let fail = |trial, permanent| {
        let message = format!("it broke, permanent: {permanent}");
        write(Write::TrialFailed {
            trial,
            phase,
            kind: FailureKind::Exit,
            message,
            permanent,
            log_end: 0,
            duration: 8.0,
        });
    };
    for (id, seconds) in [
        (trial(0, 0, 0), 1.0),
        (trial(0, 0, 1), 2.0),
        (trial(1, 0, 0), 4.0),
    ] {
        start(id);
        done(id, seconds);
    }
    // Failed and then well; failed, no retries left; failed and to be tried again; cut off; running
    // with an epoch and without.
    start(trial(0, 1, 0));
    fail(trial(0, 1, 0), false);
    start(trial(0, 1, 0));
    done(trial(0, 1, 0), 3.0);
    start(trial(0, 1, 1));
    fail(trial(0, 1, 1), false);
    start(trial(0, 1, 1));
    fail(trial(0, 1, 1), true);
    start(trial(0, 2, 0));
    fail(trial(0, 2, 0), false);
    start(trial(0, 2, 1));
    write(Write::TrialInterrupted {
        trial: trial(0, 2, 1),
        message: "cut off".into(),
        log_end: 0,
    });
    start(trial(1, 0, 1));
    write(Write::Epoch {
        trial: trial(1, 0, 1),
        position: Position::epoch(3),
        values: metrics(0.5).into(),
    });
    start(trial(1, 1, 0));
    // All commands are committed before the ledger is read.
    drop(writer);

    let compare = || {
        let all = serde_json::to_string_pretty(&gather(&Sweep::open(dir.path()).unwrap())).unwrap();
        let snapshot =
            serde_json::to_string_pretty(&gather(&Sweep::snapshot(dir.path()).unwrap())).unwrap();
        assert_eq!(snapshot, all);
        snapshot
    };
    let held = compare();
    drop(opened.claim);
    let left = compare();
    insta::assert_snapshot!(held);
    assert!(
        left.contains("\"seconds_left\": 0.01") && left.contains("\"running\": []"),
        "{left}"
    );
}
