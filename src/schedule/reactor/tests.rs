//! The reactor by example.

use super::*;
use crate::grid::{ArmIndex, PointId, PointIndex, TrialId};
use crate::plan::Phase;
use crate::protocol::Metrics;
use crate::spec::{Limit, Limits};

pub(super) fn trial(number: u64) -> PlannedTrial {
    let point = PointId::of_canonical(&number.to_string());
    PlannedTrial {
        id: TrialId { point, seed: 0 },
        phase: Phase::Tune,
        arm: ArmIndex(0),
        index: PointIndex(number),
        group: None,
    }
}

pub(super) fn reactor(slots: &[usize], bundle: usize) -> Reactor {
    limited(slots, bundle, Limits::default())
}

fn limited(slots: &[usize], bundle: usize, limits: Limits) -> Reactor {
    Reactor::new(settings(slots, bundle, limits))
}

pub(super) fn settings(slots: &[usize], bundle: usize, limits: Limits) -> Settings {
    Settings {
        queued: false,
        agent: false,
        all_end: None,
        longest: Vec::new(),
        slots: slots.to_vec(),
        persistent: true,
        bundle,
        metric: "m".into(),
        heartbeat: Duration::from_secs(60),
        start: Duration::from_secs(120),
        grace: Duration::from_secs(5),
        shortage: Duration::from_secs(1_000_000),
        limits,
        per_gpu: Vec::new(),
        arms: Vec::new(),
        warned_of_notes: false,
    }
}

pub(super) fn hello() -> FromWorker {
    FromWorker::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        program: "w".into(),
        version: "1".into(),
        ..Hello::default()
    })
}

pub(super) fn started(number: u64) -> FromWorker {
    FromWorker::Started {
        trial: trial(number).id.to_string(),
    }
}

pub(super) fn done(number: u64) -> FromWorker {
    FromWorker::done(
        trial(number).id.to_string(),
        Metrics::from_iter([("m", 1.0)]),
    )
}

pub(super) fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// Actions in a few words each.
pub(super) fn short(actions: &[Action]) -> String {
    let name = |action: &Action| match action {
        Action::Spawn { slot } => format!("spawn {slot}"),
        Action::Send {
            slot,
            bundle,
            share,
        } => {
            let trials = bundle
                .iter()
                .map(|trial| trial.index.to_string())
                .collect::<Vec<_>>()
                .join("+");
            format!(
                "send {slot}:{trials}{}",
                if *share { " shared" } else { "" }
            )
        }
        Action::End { slot, how } => format!("{how:?} {slot}").to_lowercase(),
        Action::Record(Record::Started { trial, .. }) => format!("record start {}", trial.index),
        Action::Record(Record::Epoch { trial, .. }) => format!("record epoch {}", trial.index),
        Action::Record(Record::Done { trial, .. }) => format!("record done {}", trial.index),
        Action::Record(Record::Failed {
            trial,
            kind,
            for_good,
            ..
        }) => {
            format!(
                "record {} {}{}",
                kind.name(),
                trial.index,
                if *for_good { " for good" } else { "" }
            )
        }
        Action::Record(Record::Interrupted { trial, .. }) => {
            format!("record interrupted {}", trial.index)
        }
        Action::Tell(Notice::TrialDone { trial, .. }) => format!("tell done {}", trial.index),
        Action::Tell(_) => String::new(),
        Action::PhaseDone => "phase done".into(),
        Action::Stopped => "stopped".into(),
    };
    actions
        .iter()
        .map(name)
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn a_worker_that_packs_trials_gets_as_many_as_it_wishes_but_for_timed_ones() {
    let wishing = || {
        FromWorker::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            pack: 3,
            ..Hello::default()
        })
    };
    for (policy, expected) in [
        (Policy::AllSlots, "send 0:1+2+3"),
        (Policy::OnePerDevice, "send 0:1"),
    ] {
        let mut r = reactor(&[0], 2);
        r.on_trials(at(0), (1..=4).map(trial).collect(), policy);
        assert_eq!(short(&r.on_message(at(1), 0, wishing())), expected);
    }
    let mut r = reactor(&[0], 2);
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    assert_eq!(short(&r.on_message(at(1), 0, hello())), "send 0:1+2");
}

#[test]
fn a_trial_counts_only_when_its_result_is_on_the_disk() {
    let mut r = reactor(&[0], 1);
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "spawn 0"
    );
    assert_eq!(short(&r.on_message(at(1), 0, hello())), "send 0:1");
    assert_eq!(short(&r.on_message(at(2), 0, started(1))), "record start 1");
    assert_eq!(
        short(&r.on_message(at(3), 0, done(1))),
        "record done 1",
        "not told, not finished"
    );
    assert_eq!(short(&r.on_committed(1)), "", "that was the start");
    assert_eq!(short(&r.on_committed(1)), "tell done 1, phase done");
    assert_eq!(short(&r.on_close(at(5))), "close 0");
    assert_eq!(short(&r.on_exit(at(6), 0, Exit::Code(0), "")), "stopped");
}

/// What a worker says waits in its pipe while the ledger is locked: it is neither silent, nor is
/// its trial late.
#[test]
fn a_worker_that_is_not_heard_is_neither_silent_nor_late() {
    let timeout = Limit {
        timeout: Some(at(100)),
        retries: Some(0),
        ..Limit::default()
    };
    let mut r = limited(
        &[0],
        1,
        Limits {
            all: timeout,
            arms: Vec::new(),
        },
    );
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), 0, hello());
    r.on_message(at(0), 0, started(1));
    for second in 1..1000 {
        r.on_unheard(at(1));
        assert_eq!(short(&r.on_tick(at(second))), "", "{second}");
    }
    let silent = (1000..2000).find(|&second| !r.on_tick(at(second)).is_empty());
    assert_eq!(silent, Some(1060), "from then on it is heard again");

    let mut r = limited(
        &[0],
        1,
        Limits {
            all: timeout,
            arms: Vec::new(),
        },
    );
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), 0, hello());
    r.on_message(at(0), 0, started(1));
    for second in 1..=500 {
        r.on_unheard(at(1));
        assert_eq!(short(&r.on_tick(at(second))), "", "{second}");
    }
    let late = (501..2000).find(|&second| {
        r.on_message(at(second), 0, FromWorker::Heartbeat);
        !r.on_tick(at(second)).is_empty()
    });
    assert_eq!(late, Some(601), "100 s in which it was heard");
    // What it takes is told as it was.
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), 0, hello());
    r.on_message(at(0), 0, started(1));
    r.on_unheard(at(500));
    let actions = r.on_message(at(600), 0, done(1));
    assert!(
        matches!(&actions[0], Action::Record(Record::Done { duration, .. }) if *duration == at(600)),
        "{actions:?}"
    );
}

#[test]
fn a_device_on_which_nothing_starts_does_not_stop_the_others() {
    let mut r = reactor(&[0, 1], 1);
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    let mut now = 0;
    let mut fail = |r: &mut Reactor, slot| {
        now += 20;
        r.on_exit(at(now), slot, Exit::Code(1), "");
        short(&r.on_tick(at(now + 19)))
    };
    // The other one is still in its first start.
    (0..4).for_each(|_| assert_eq!(fail(&mut r, 1), "spawn 1"));
    assert_eq!(r.fatal(), None);
    r.on_message(at(100), 0, hello());
    (0..4).for_each(|_| assert_eq!(fail(&mut r, 1), "spawn 1"));
    assert_eq!(r.fatal(), None);
    // Now that it is gone too, and does not come back, nobody is left.
    r.on_exit(at(200), 0, Exit::Code(1), "");
    (0..2).for_each(|_| drop(fail(&mut r, 1)));
    assert!(
        r.fatal().is_none(),
        "its first start after that may succeed"
    );
    r.on_exit(at(300), 0, Exit::Code(1), "");
    assert!(
        matches!(r.fatal(), Some(Fatal::NoStart { slot: 0, .. })),
        "{:?}",
        r.fatal()
    );
}

#[test]
fn a_trial_that_takes_too_long_is_ended_with_a_warning_first() {
    let limit = Limit {
        timeout: Some(Duration::from_secs(10)),
        retries: Some(1),
        max_failures: None,
    };
    let mut r = limited(
        &[0],
        1,
        Limits {
            all: limit,
            arms: Vec::new(),
        },
    );
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(1), 0, started(1));
    (2..=11).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(12))), "terminate 0");
    assert_eq!(short(&r.on_message(at(13), 0, done(1))), "", "too late");
    (13..=16).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(17))), "kill 0");
    assert_eq!(
        short(&r.on_exit(at(18), 0, Exit::Signal(9), "")),
        "record timeout 1"
    );
    assert_eq!(short(&r.on_tick(at(19))), "spawn 0", "retries: 1");
}

#[test]
fn a_suspended_coordinator_does_not_use_up_a_trials_time() {
    let limit = Limit {
        timeout: Some(Duration::from_secs(10)),
        ..Limit::default()
    };
    let mut r = limited(
        &[0],
        1,
        Limits {
            all: limit,
            arms: Vec::new(),
        },
    );
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(1), 0, started(1));
    r.on_tick(at(2));
    assert_eq!(
        short(&r.on_tick(at(3600))),
        "",
        "it was stopped for an hour, less two seconds"
    );
    (3601..=3607).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(3610))), "terminate 0");
}

#[test]
fn too_many_failures_stop_the_sweep_and_are_recorded() {
    let limit = Limit {
        retries: Some(0),
        max_failures: Some(1),
        ..Limit::default()
    };
    let mut r = limited(
        &[0, 0],
        1,
        Limits {
            all: limit,
            arms: Vec::new(),
        },
    );
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    for slot in [0, 1] {
        r.on_message(at(1), slot, hello());
        r.on_message(at(1), slot, started(slot as u64 + 1));
    }
    let failed = |number: u64| FromWorker::Failed {
        trial: trial(number).id.to_string(),
        kind: FailureKind::Error,
        message: format!("{number}"),
    };
    assert_eq!(
        short(&r.on_message(at(2), 0, failed(1))),
        "record error 1 for good, send 0:3"
    );
    r.on_message(at(3), 0, started(3));
    assert_eq!(
        short(&r.on_message(at(4), 0, failed(3))),
        "record error 3 for good, terminate 0, terminate 1"
    );
    assert!(matches!(
        r.fatal(),
        Some(Fatal::TooManyFailures { arm: None, most: 1 })
    ));
    assert_eq!(
        short(&r.on_exit(at(5), 1, Exit::Signal(15), "")),
        "record interrupted 2"
    );
    r.on_exit(at(5), 0, Exit::Signal(15), "");
    assert_eq!(short(&r.on_committed(6)), "stopped");
}

#[test]
fn a_phase_without_trials_starts_no_worker() {
    assert_eq!(
        short(&reactor(&[0, 0], 1).on_trials(at(0), vec![], Policy::AllSlots)),
        "phase done"
    );
}

#[test]
fn no_more_workers_start_than_there_are_trials() {
    let mut r = reactor(&[0, 0, 0], 1);
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots)),
        "spawn 0, spawn 1"
    );
}

#[test]
fn timed_trials_have_their_device_to_themselves() {
    let mut r = reactor(&[0, 0, 1, 1], 1);
    r.on_trials(at(0), vec![], Policy::AllSlots);
    assert_eq!(
        short(&r.on_trials(
            at(0),
            vec![trial(1), trial(2), trial(3)],
            Policy::OnePerDevice
        )),
        "spawn 0, spawn 2"
    );
    assert_eq!(short(&r.on_message(at(1), 0, hello())), "send 0:1");
    assert_eq!(short(&r.on_message(at(1), 2, hello())), "send 2:2");
    r.on_message(at(2), 2, started(2));
    assert_eq!(
        short(&r.on_message(at(3), 2, done(2))),
        "record done 2, send 2:3"
    );
}

#[test]
fn a_crash_costs_the_begun_trial_an_attempt_and_the_others_nothing() {
    let mut r = reactor(&[0], 3);
    r.on_trials(at(0), vec![trial(1), trial(2), trial(3)], Policy::AllSlots);
    assert_eq!(short(&r.on_message(at(1), 0, hello())), "send 0:1+2+3");
    r.on_message(at(2), 0, started(1));
    assert_eq!(
        short(&r.on_exit(at(3), 0, Exit::Signal(11), "")),
        "record signal 1, spawn 0"
    );
    assert_eq!(
        short(&r.on_message(at(3), 0, hello())),
        "send 0:2+3",
        "after a pause the poison trial runs alone"
    );
    r.on_message(at(5), 0, started(2));
    r.on_message(at(6), 0, done(2));
    r.on_message(at(6), 0, started(3));
    assert_eq!(
        short(&r.on_message(at(7), 0, done(3))),
        "record done 3, send 0:1"
    );
    r.on_message(at(8), 0, started(1));
    assert_eq!(
        short(&r.on_exit(at(9), 0, Exit::Signal(11), "")),
        "record signal 1"
    );
    assert_eq!(short(&r.on_tick(at(12))), "spawn 0");
    r.on_message(at(13), 0, hello());
    r.on_message(at(14), 0, started(1));
    assert_eq!(
        short(&r.on_exit(at(15), 0, Exit::Signal(11), "")),
        "record signal 1 for good"
    );
}

#[test]
fn a_worker_that_dies_on_receiving_a_bundle_blames_its_first_trial() {
    let mut r = reactor(&[0], 2);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    assert_eq!(
        short(&r.on_exit(at(2), 0, Exit::Code(1), "")),
        "record exit 1, spawn 0"
    );
    assert_eq!(short(&r.on_message(at(2), 0, hello())), "send 0:2");
}

#[test]
fn workers_that_never_start_end_the_sweep() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_exit(at(1), 0, Exit::Code(127), "");
    assert_eq!(short(&r.on_tick(at(2))), "spawn 0");
    r.on_exit(at(3), 0, Exit::Code(127), "");
    assert_eq!(short(&r.on_tick(at(5))), "spawn 0");
    assert_eq!(short(&r.on_exit(at(6), 0, Exit::Code(127), "")), "stopped");
    assert_eq!(
        r.fatal().unwrap().to_string(),
        "the worker in slot 0 could not be started 3 times in a row: the worker ended with exit code 127"
    );
}

#[test]
fn workers_that_print_junk_before_hello_end_the_sweep() {
    let mut r = reactor(&[0], 1);
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "spawn 0"
    );
    for (second, then) in [(1, ""), (11, "")] {
        assert_eq!(short(&r.on_garbage(at(second), 0, "junk".into())), "kill 0");
        assert_eq!(
            short(&r.on_exit(at(second), 0, Exit::Signal(9), "")),
            then,
            "not at once again"
        );
        assert_eq!(short(&r.on_tick(at(second + 5))), "spawn 0");
    }
    assert_eq!(short(&r.on_garbage(at(20), 0, "junk".into())), "kill 0");
    assert_eq!(short(&r.on_exit(at(20), 0, Exit::Signal(9), "")), "stopped");
    assert_eq!(
        r.fatal().unwrap().to_string(),
        "the worker in slot 0 could not be started 3 times in a row: junk"
    );
}

#[test]
fn timed_trials_are_never_bundled() {
    let mut r = reactor(&[0], 4);
    r.on_trials(
        at(0),
        vec![trial(1), trial(2), trial(3)],
        Policy::OnePerDevice,
    );
    assert_eq!(short(&r.on_message(at(1), 0, hello())), "send 0:1");
}

#[test]
fn an_idle_worker_may_be_silent() {
    let mut r = reactor(&[0, 0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    for slot in [0, 1] {
        r.on_message(at(1), slot, hello());
    }
    r.on_message(at(2), 1, started(2));
    r.on_message(at(3), 1, done(2));
    let mut said = Vec::new();
    for second in 4..200 {
        r.on_message(at(second), 0, FromWorker::Heartbeat);
        said.extend(r.on_tick(at(second)));
    }
    assert_eq!(short(&said), "");
}

#[test]
fn silence_and_lies_end_a_worker() {
    type Misbehaviour = fn(&mut Reactor) -> Vec<Action>;
    let cases: [(&str, Misbehaviour); 5] = [
        ("lost_heartbeat", |r| r.on_tick_after_seconds(61)),
        ("protocol", |r| r.on_message(at(3), 0, started(7))),
        ("protocol", |r| r.on_message(at(3), 0, started(1))),
        ("protocol", |r| r.on_message(at(3), 0, hello())),
        ("protocol", |r| r.on_garbage(at(3), 0, "junk".into())),
    ];
    for (kind, misbehave) in cases {
        let mut r = reactor(&[0], 1);
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        r.on_message(at(1), 0, hello());
        r.on_message(at(2), 0, started(1));
        assert_eq!(short(&misbehave(&mut r)), "kill 0");
        let after = short(&r.on_exit(at(70), 0, Exit::Signal(9), ""));
        assert!(after.starts_with(&format!("record {kind} 1")), "{after}");
    }
}

impl Reactor {
    /// Ticks as a clock that runs evenly does.
    fn on_tick_after_seconds(&mut self, seconds: u64) -> Vec<Action> {
        (1..=seconds + 2)
            .flat_map(|second| self.on_tick(at(second)))
            .collect()
    }
}

#[test]
fn a_suspended_coordinator_does_not_blame_its_workers() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_tick(at(2));
    assert_eq!(short(&r.on_tick(at(3600))), "");
}

#[test]
fn a_result_without_the_metric_is_a_failure() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(2), 0, started(1));
    let other = FromWorker::done(
        trial(1).id.to_string(),
        Metrics::from_iter([("other", 1.0)]),
    );
    assert_eq!(
        short(&r.on_message(at(3), 0, other)),
        "record missing_metric 1 for good"
    );
}

#[test]
fn the_first_ctrl_c_asks_and_the_second_kills() {
    let mut r = reactor(&[0, 0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2), trial(3)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(1), 1, hello());
    r.on_message(at(2), 0, started(1));
    r.on_message(at(2), 1, started(2));
    assert_eq!(short(&r.on_interrupt(at(3))), "terminate 0, terminate 1");
    assert_eq!(
        short(&r.on_message(at(3), 0, done(1))),
        "record done 1",
        "what is already said still counts"
    );
    assert_eq!(short(&r.on_exit(at(4), 0, Exit::Signal(15), "")), "");
    assert_eq!(short(&r.on_interrupt(at(4))), "kill 1");
    assert_eq!(
        short(&r.on_exit(at(5), 1, Exit::Signal(9), "")),
        "record interrupted 2"
    );
    assert_eq!(short(&r.on_committed(4)), "tell done 1, stopped");
    assert!(r.is_interrupted());
}

#[test]
fn a_worker_that_ignores_the_request_is_killed_after_the_grace() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_interrupt(at(2));
    assert_eq!(short(&r.on_tick(at(5))), "");
    assert_eq!(short(&r.on_tick(at(7))), "kill 0");
}

#[test]
fn a_ledger_that_fails_stops_everything_and_nothing_more_is_recorded() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(2), 0, started(1));
    assert_eq!(
        short(&r.on_ledger_failure(at(3), "disk full".into())),
        "terminate 0"
    );
    assert_eq!(short(&r.on_message(at(3), 0, done(1))), "");
    assert_eq!(short(&r.on_exit(at(4), 0, Exit::Signal(15), "")), "stopped");
    assert_eq!(r.fatal(), Some(&Fatal::Ledger("disk full".into())));
}

#[test]
fn a_worker_of_another_protocol_or_without_the_metric_is_refused() {
    let refuse = |hello: Hello| {
        let mut r = reactor(&[0], 1);
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        assert_eq!(
            short(&r.on_message(at(1), 0, FromWorker::Hello(hello))),
            "terminate 0"
        );
        assert_eq!(short(&r.on_exit(at(2), 0, Exit::Code(0), "")), "stopped");
        r.fatal().unwrap().to_string()
    };
    let base = Hello {
        protocol: 1,
        program: "w".into(),
        version: "2".into(),
        ..Hello::default()
    };
    insta::assert_snapshot!(refuse(Hello { protocol: 9, ..base.clone() }), @"the worker w 2 speaks version 9 of the worker protocol, this program version 1");
    insta::assert_snapshot!(refuse(Hello { metrics: vec!["a".into(), "b".into()], ..base }), @r#"the worker w 2 does not report the metric "m" (it reports a, b)"#);
}

#[test]
fn a_second_result_does_not_count_and_is_not_the_next_trials_fault() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(2), 0, started(1));
    assert_eq!(
        short(&r.on_message(at(3), 0, done(1))),
        "record done 1, send 0:2"
    );
    assert_eq!(short(&r.on_message(at(3), 0, done(1))), "kill 0");
    assert_eq!(
        short(&r.on_exit(at(4), 0, Exit::Signal(9), "")),
        "spawn 0",
        "no attempt of trial 2 is counted"
    );
    assert_eq!(short(&r.on_message(at(5), 0, hello())), "send 0:2");
}

fn out_of_memory(number: u64) -> FromWorker {
    let trial = trial(number).id.to_string();
    FromWorker::Failed {
        trial,
        kind: FailureKind::Error,
        message: "CUDA out of memory. Tried to allocate 2 GiB".into(),
    }
}

#[test]
fn what_ran_out_of_memory_beside_others_gets_its_device_to_itself() {
    let mut r = reactor(&[0, 0, 1], 1);
    r.on_trials(at(0), (1..=6).map(trial).collect(), Policy::AllSlots);
    for slot in 0..3 {
        r.on_message(at(1), slot, hello());
        r.on_message(at(1), slot, started(slot as u64 + 1));
    }
    assert_eq!(
        short(&r.on_message(at(2), 0, out_of_memory(1))),
        "record out_of_memory 1, send 0:4",
        "after a pause"
    );
    r.on_message(at(2), 0, started(4));
    assert_eq!(short(&r.on_tick(at(4))), "", "the device is busy");
    assert_eq!(
        short(&r.on_message(at(5), 0, done(4))),
        "record done 4",
        "nothing new beside it"
    );
    assert_eq!(
        short(&r.on_message(at(5), 2, done(3))),
        "record done 3, send 2:5",
        "other devices go on"
    );
    assert_eq!(
        short(&r.on_message(at(6), 1, done(2))),
        "record done 2, close 1",
        "an idle worker may still hold memory"
    );
    assert_eq!(short(&r.on_exit(at(7), 1, Exit::Code(0), "")), "send 0:1");
    r.on_message(at(7), 0, started(1));
    r.on_message(at(8), 2, started(5));
    assert_eq!(
        short(&r.on_message(at(9), 2, done(5))),
        "record done 5, send 2:6"
    );
    assert_eq!(
        short(&r.on_tick(at(10))),
        "",
        "no second worker is started beside it"
    );
    assert_eq!(short(&r.on_message(at(11), 0, done(1))), "record done 1");
}

#[test]
fn trials_of_an_arm_share_a_gpu_only_with_as_many_as_it_allows() {
    let of_arm = |number: u64, arm: usize| PlannedTrial {
        arm: ArmIndex(arm),
        ..trial(number)
    };
    let mut r = reactor(&[0, 0, 0], 1);
    // Arm 0: three to a GPU; arm 1: a whole one.
    r.settings.per_gpu = vec![3, 1];
    r.on_trials(
        at(0),
        vec![of_arm(1, 0), of_arm(2, 0), of_arm(3, 1), of_arm(4, 0)],
        Policy::AllSlots,
    );
    for slot in 0..3 {
        r.on_message(at(1), slot, hello());
    }
    for (slot, number) in [(0, 1), (1, 2)] {
        assert_eq!(
            short(&r.on_message(at(2), slot, started(number))),
            format!("record start {number}")
        );
    }
    assert_eq!(
        short(&r.on_message(at(3), 0, done(1))),
        "record done 1",
        "the next one needs the whole device"
    );
    assert_eq!(
        short(&r.on_message(at(4), 1, done(2))),
        "record done 2, send 0:3"
    );
    r.on_message(at(5), 0, started(3));
    assert_eq!(short(&r.on_tick(at(5))), "", "nothing beside it");
    assert_eq!(
        short(&r.on_message(at(6), 0, done(3))),
        "record done 3, send 0:4"
    );
}

#[test]
fn a_process_that_lacked_memory_is_told_from_one_that_crashed() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(2), 0, started(1));
    let actions = r.on_exit(
        at(3),
        0,
        Exit::Signal(9),
        "the kernel killed it because memory ran out",
    );
    assert_eq!(short(&actions), "record out_of_memory 1");
    assert_eq!(
        short(&r.on_tick(at(4))),
        "spawn 0",
        "alone on its device anyhow"
    );
}

#[test]
fn time_in_suspension_does_not_count() {
    let limit = Limit {
        timeout: Some(Duration::from_secs(10)),
        ..Limit::default()
    };
    let mut r = limited(
        &[0],
        1,
        Limits {
            all: limit,
            arms: Vec::new(),
        },
    );
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), 0, hello());
    r.on_message(at(1), 0, started(1));
    assert_eq!(
        short(&r.on_continued(at(5), Duration::from_secs(4))),
        "",
        "too short to be seen by the ticks"
    );
    (6..=14).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(16))), "terminate 0");
}
