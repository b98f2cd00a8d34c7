//! Time limits, silence and failure limits by example.

use super::*;

/// A worker's messages wait in its pipe while the ledger is locked.
#[test]
fn a_worker_that_is_not_heard_is_neither_silent_nor_late() {
    let timeout = Limit {
        timeout: Some(at(100)),
        retries: Some(0),
        ..Limit::default()
    };
    let mut r = limited(&[0], timeout);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), SlotIndex(0), hello());
    r.on_message(at(0), SlotIndex(0), started(1));
    for second in 1..1000 {
        r.on_unheard(at(1));
        assert_eq!(short(&r.on_tick(at(second))), "", "{second}");
    }
    let silent = (1000..2000).find(|&second| !r.on_tick(at(second)).is_empty());
    assert_eq!(silent, Some(1060), "from second 1000 on it is heard again");

    let mut r = limited(&[0], timeout);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), SlotIndex(0), hello());
    r.on_message(at(0), SlotIndex(0), started(1));
    for second in 1..=500 {
        r.on_unheard(at(1));
        assert_eq!(short(&r.on_tick(at(second))), "", "{second}");
    }
    let late = (501..2000).find(|&second| {
        r.on_message(at(second), SlotIndex(0), FromWorker::Heartbeat);
        !r.on_tick(at(second)).is_empty()
    });
    assert_eq!(late, Some(601), "100 s in which it was heard");

    // The recorded duration includes the time in which it was not heard.
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), SlotIndex(0), hello());
    r.on_message(at(0), SlotIndex(0), started(1));
    r.on_unheard(at(500));
    let actions = r.on_message(at(600), SlotIndex(0), done(1));
    assert!(
        matches!(&actions[0], Action::Record(Record::Done { duration, .. }) if *duration == at(600)),
        "{actions:?}"
    );
}

#[test]
fn a_trial_that_takes_too_long_is_ended_with_a_warning_first() {
    let limit = Limit {
        timeout: Some(Duration::from_secs(10)),
        retries: Some(1),
        max_failures: None,
    };
    let mut r = limited(&[0], limit);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(1), SlotIndex(0), started(1));
    (2..=11).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(12))), "terminate 0");
    assert_eq!(
        short(&r.on_message(at(13), SlotIndex(0), done(1))),
        "",
        "too late"
    );
    (13..=16).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(17))), "kill 0");
    assert_eq!(
        short(&r.on_exit(at(18), SlotIndex(0), Exit::Signal(9), "")),
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
    let mut r = limited(&[0], limit);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(1), SlotIndex(0), started(1));
    r.on_tick(at(2));
    assert_eq!(
        short(&r.on_tick(at(3600))),
        "",
        "it was suspended for an hour, less two seconds"
    );
    (3601..=3607).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(3610))), "terminate 0");
}

fn failed(number: u64) -> FromWorker {
    FromWorker::Failed {
        trial: trial(number).id.to_string(),
        kind: FailureKind::Error,
        message: format!("{number}"),
    }
}

#[test]
fn too_many_failures_stop_the_sweep_and_are_recorded() {
    let limit = Limit {
        retries: Some(0),
        max_failures: Some(1),
        ..Limit::default()
    };
    let mut r = limited(&[0, 0], limit);
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    for slot in [0, 1] {
        r.on_message(at(1), SlotIndex(slot), hello());
        r.on_message(at(1), SlotIndex(slot), started(slot as u64 + 1));
    }
    assert_eq!(
        short(&r.on_message(at(2), SlotIndex(0), failed(1))),
        "record error 1 permanently, send 0:3"
    );
    r.on_message(at(3), SlotIndex(0), started(3));
    assert_eq!(
        short(&r.on_message(at(4), SlotIndex(0), failed(3))),
        "record error 3 permanently, terminate 0, terminate 1"
    );
    assert!(matches!(
        r.fatal(),
        Some(Fatal::TooManyFailures { arm: None, most: 1 })
    ));
    assert_eq!(
        short(&r.on_exit(at(5), SlotIndex(1), Exit::Signal(15), "")),
        "record interrupted 2"
    );
    r.on_exit(at(5), SlotIndex(0), Exit::Signal(15), "");
    assert_eq!(short(&r.on_committed(6)), "stopped");
}

#[test]
fn an_idle_worker_may_be_silent() {
    let mut r = reactor(&[0, 0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    for slot in [0, 1] {
        r.on_message(at(1), SlotIndex(slot), hello());
    }
    r.on_message(at(2), SlotIndex(1), started(2));
    r.on_message(at(3), SlotIndex(1), done(2));
    let mut actions = Vec::new();
    for second in 4..200 {
        r.on_message(at(second), SlotIndex(0), FromWorker::Heartbeat);
        actions.extend(r.on_tick(at(second)));
    }
    assert_eq!(short(&actions), "");
}

#[test]
fn a_suspended_coordinator_does_not_blame_its_workers() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_tick(at(2));
    assert_eq!(short(&r.on_tick(at(3600))), "");
}

#[test]
fn a_short_suspension_does_not_count_either() {
    let limit = Limit {
        timeout: Some(Duration::from_secs(10)),
        ..Limit::default()
    };
    let mut r = limited(&[0], limit);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(1), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_continued(at(5), Duration::from_secs(4))),
        "",
        "too short a time for the ticks to notice"
    );
    (6..=14).for_each(|second| assert_eq!(short(&r.on_tick(at(second))), ""));
    assert_eq!(short(&r.on_tick(at(16))), "terminate 0");
}
