//! Crashes, failed starts and protocol errors of workers, by example.

use super::*;

#[test]
fn a_device_on_which_nothing_starts_does_not_stop_the_others() {
    let mut r = reactor(&[0, 1], 1);
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    let mut now = 0;
    let mut fail = |r: &mut Reactor, slot| {
        now += 20;
        r.on_exit(at(now), SlotIndex(slot), Exit::Code(1), "");
        short(&r.on_tick(at(now + 19)))
    };
    // The other one is still in its first start.
    (0..4).for_each(|_| assert_eq!(fail(&mut r, 1), "spawn 1"));
    assert_eq!(r.fatal(), None);
    r.on_message(at(100), SlotIndex(0), hello());
    (0..4).for_each(|_| assert_eq!(fail(&mut r, 1), "spawn 1"));
    assert_eq!(r.fatal(), None);
    // Now that it is gone too, and does not come back, no slot has a worker.
    r.on_exit(at(200), SlotIndex(0), Exit::Code(1), "");
    (0..2).for_each(|_| drop(fail(&mut r, 1)));
    assert!(
        r.fatal().is_none(),
        "its first start after that may succeed"
    );
    r.on_exit(at(300), SlotIndex(0), Exit::Code(1), "");
    assert!(
        matches!(
            r.fatal(),
            Some(Fatal::NoStart {
                slot: SlotIndex(0),
                ..
            })
        ),
        "{:?}",
        r.fatal()
    );
}

#[test]
fn a_crash_costs_only_the_started_trial_an_attempt() {
    let mut r = reactor(&[0], 3);
    r.on_trials(at(0), vec![trial(1), trial(2), trial(3)], Policy::AllSlots);
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:1+2+3"
    );
    r.on_message(at(2), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_exit(at(3), SlotIndex(0), Exit::Signal(11), "")),
        "record signal 1, spawn 0"
    );
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(0), hello())),
        "send 0:2+3",
        "after a pause the poison trial runs alone"
    );
    r.on_message(at(5), SlotIndex(0), started(2));
    r.on_message(at(6), SlotIndex(0), done(2));
    r.on_message(at(6), SlotIndex(0), started(3));
    assert_eq!(
        short(&r.on_message(at(7), SlotIndex(0), done(3))),
        "record done 3, send 0:1"
    );
    r.on_message(at(8), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_exit(at(9), SlotIndex(0), Exit::Signal(11), "")),
        "record signal 1"
    );
    assert_eq!(short(&r.on_tick(at(12))), "spawn 0");
    r.on_message(at(13), SlotIndex(0), hello());
    r.on_message(at(14), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_exit(at(15), SlotIndex(0), Exit::Signal(11), "")),
        "record signal 1 permanently"
    );
}

#[test]
fn a_worker_that_dies_on_receiving_a_bundle_blames_its_first_trial() {
    let mut r = reactor(&[0], 2);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    assert_eq!(
        short(&r.on_exit(at(2), SlotIndex(0), Exit::Code(1), "")),
        "record exit 1, spawn 0"
    );
    assert_eq!(
        short(&r.on_message(at(2), SlotIndex(0), hello())),
        "send 0:2"
    );
}

#[test]
fn workers_that_never_start_end_the_sweep() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_exit(at(1), SlotIndex(0), Exit::Code(127), "");
    assert_eq!(short(&r.on_tick(at(2))), "spawn 0");
    r.on_exit(at(3), SlotIndex(0), Exit::Code(127), "");
    assert_eq!(short(&r.on_tick(at(5))), "spawn 0");
    assert_eq!(
        short(&r.on_exit(at(6), SlotIndex(0), Exit::Code(127), "")),
        "stopped"
    );
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
        assert_eq!(
            short(&r.on_garbage(at(second), SlotIndex(0), "junk".into())),
            "kill 0"
        );
        assert_eq!(
            short(&r.on_exit(at(second), SlotIndex(0), Exit::Signal(9), "")),
            then,
            "not started again at once"
        );
        assert_eq!(short(&r.on_tick(at(second + 5))), "spawn 0");
    }
    assert_eq!(
        short(&r.on_garbage(at(20), SlotIndex(0), "junk".into())),
        "kill 0"
    );
    assert_eq!(
        short(&r.on_exit(at(20), SlotIndex(0), Exit::Signal(9), "")),
        "stopped"
    );
    assert_eq!(
        r.fatal().unwrap().to_string(),
        "the worker in slot 0 could not be started 3 times in a row: junk"
    );
}

#[test]
fn silence_and_protocol_errors_end_a_worker() {
    type Misbehaviour = fn(&mut Reactor) -> Vec<Action>;
    let cases: [(&str, Misbehaviour); 5] = [
        ("lost_heartbeat", |r| r.on_tick_after_seconds(61)),
        ("protocol", |r| {
            r.on_message(at(3), SlotIndex(0), started(7))
        }),
        ("protocol", |r| {
            r.on_message(at(3), SlotIndex(0), started(1))
        }),
        ("protocol", |r| r.on_message(at(3), SlotIndex(0), hello())),
        ("protocol", |r| {
            r.on_garbage(at(3), SlotIndex(0), "junk".into())
        }),
    ];
    for (kind, misbehave) in cases {
        let mut r = reactor(&[0], 1);
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        r.on_message(at(1), SlotIndex(0), hello());
        r.on_message(at(2), SlotIndex(0), started(1));
        assert_eq!(short(&misbehave(&mut r)), "kill 0");
        let after = short(&r.on_exit(at(70), SlotIndex(0), Exit::Signal(9), ""));
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
fn a_result_without_the_metric_is_a_failure() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(2), SlotIndex(0), started(1));
    let other = FromWorker::done(
        trial(1).id.to_string(),
        Metrics::from_iter([("other", 1.0)]),
    );
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(0), other)),
        "record missing_metric 1 permanently"
    );
}

#[test]
fn a_second_result_does_not_count_and_is_not_the_next_trials_fault() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(2), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(0), done(1))),
        "record done 1, send 0:2"
    );
    assert_eq!(short(&r.on_message(at(3), SlotIndex(0), done(1))), "kill 0");
    assert_eq!(
        short(&r.on_exit(at(4), SlotIndex(0), Exit::Signal(9), "")),
        "spawn 0",
        "no attempt of trial 2 is counted"
    );
    assert_eq!(
        short(&r.on_message(at(5), SlotIndex(0), hello())),
        "send 0:2"
    );
}
