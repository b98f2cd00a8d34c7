//! The course of a sweep by example: phases, commits, stops.

use super::*;

#[test]
fn a_trial_counts_only_when_its_result_is_on_the_disk() {
    let mut r = reactor(&[0], 1);
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "spawn 0"
    );
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:1"
    );
    assert_eq!(
        short(&r.on_message(at(2), SlotIndex(0), started(1))),
        "record start 1"
    );
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(0), done(1))),
        "record done 1",
        "neither told nor finished"
    );
    assert_eq!(short(&r.on_committed(1)), "", "that was the start");
    assert_eq!(short(&r.on_committed(1)), "tell done 1, phase done");
    assert_eq!(short(&r.on_close(at(5))), "close 0");
    assert_eq!(
        short(&r.on_exit(at(6), SlotIndex(0), Exit::Code(0), "")),
        "stopped"
    );
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
fn the_first_ctrl_c_asks_and_the_second_kills() {
    let mut r = reactor(&[0, 0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2), trial(3)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(1), SlotIndex(1), hello());
    r.on_message(at(2), SlotIndex(0), started(1));
    r.on_message(at(2), SlotIndex(1), started(2));
    assert_eq!(short(&r.on_interrupt(at(3))), "terminate 0, terminate 1");
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(0), done(1))),
        "record done 1",
        "a result that is already sent still counts"
    );
    assert_eq!(
        short(&r.on_exit(at(4), SlotIndex(0), Exit::Signal(15), "")),
        ""
    );
    assert_eq!(short(&r.on_interrupt(at(4))), "kill 1");
    assert_eq!(
        short(&r.on_exit(at(5), SlotIndex(1), Exit::Signal(9), "")),
        "record interrupted 2"
    );
    assert_eq!(short(&r.on_committed(4)), "tell done 1, stopped");
    assert!(r.is_interrupted());
}

#[test]
fn a_worker_that_ignores_the_request_is_killed_after_the_grace_period() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_interrupt(at(2));
    assert_eq!(short(&r.on_tick(at(5))), "");
    assert_eq!(short(&r.on_tick(at(7))), "kill 0");
}

#[test]
fn a_ledger_that_fails_stops_everything_and_nothing_more_is_recorded() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(2), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_ledger_failure(at(3), "disk full".into())),
        "terminate 0"
    );
    assert_eq!(short(&r.on_message(at(3), SlotIndex(0), done(1))), "");
    assert_eq!(
        short(&r.on_exit(at(4), SlotIndex(0), Exit::Signal(15), "")),
        "stopped"
    );
    assert_eq!(r.fatal(), Some(&Fatal::Ledger("disk full".into())));
}

#[test]
fn a_worker_of_another_protocol_or_without_the_metric_is_refused() {
    fn refuse(hello: Hello) -> String {
        let mut r = reactor(&[0], 1);
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        assert_eq!(
            short(&r.on_message(at(1), SlotIndex(0), FromWorker::Hello(hello))),
            "terminate 0"
        );
        assert_eq!(
            short(&r.on_exit(at(2), SlotIndex(0), Exit::Code(0), "")),
            "stopped"
        );
        r.fatal().unwrap().to_string()
    }
    let base = Hello {
        protocol: 1,
        program: "w".into(),
        version: "2".into(),
        ..Hello::default()
    };
    insta::assert_snapshot!(refuse(Hello { protocol: 9, ..base.clone() }), @"the worker w 2 speaks version 9 of the worker protocol, this program version 1");
    insta::assert_snapshot!(refuse(Hello { metrics: vec!["a".into(), "b".into()], ..base }), @r#"the worker w 2 does not report the metric "m" (it reports a, b)"#);
}
