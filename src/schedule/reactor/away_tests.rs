//! Workers that wait in a queue, are taken away, or have little time left.

use super::lost::LOSSES;
use super::tests::{at, done, hello, settings, short, started, trial};
use super::*;
use crate::spec::Limits;

fn queued(slots: &[usize]) -> Settings {
    Settings {
        queued: true,
        agent: true,
        ..settings(slots, 1, Limits::default())
    }
}

/// A worker that runs, and has until then.
fn run(r: &mut Reactor, now: u64, slot: usize, ends: Option<u64>) {
    r.on_running(at(now), slot, ends.map(|ends| at(ends - now)));
    r.on_message(at(now), slot, hello());
}

fn finish(r: &mut Reactor, now: u64, slot: usize, number: u64) -> String {
    let said = short(&r.on_message(at(now), slot, done(number)));
    r.on_committed(2);
    said
}

#[test]
fn who_waits_in_a_queue_is_not_late_and_who_runs_is() {
    let mut r = Reactor::new(queued(&[0]));
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "spawn 0"
    );
    for second in 1..=5000 {
        assert_eq!(short(&r.on_tick(at(second))), "", "{second}");
    }
    let told = r.on_waiting(at(5000), 0, "Priority".to_owned());
    assert_eq!(
        told,
        [Action::Tell(Notice::Waits {
            slot: 0,
            why: Some("Priority".to_owned())
        })]
    );
    let told = r.on_running(at(5000), 0, None);
    assert_eq!(told, [Action::Tell(Notice::Waits { slot: 0, why: None })]);
    let late: Vec<u64> = (5001..5200)
        .filter(|&second| !r.on_tick(at(second)).is_empty())
        .collect();
    assert_eq!(late.first(), Some(&5121), "two minutes for its hello");
}

#[test]
fn a_worker_that_is_taken_away_costs_only_what_it_was_at_and_no_try() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    for loss in 1..LOSSES as u64 {
        let now = 100 * loss;
        run(&mut r, now, 0, None);
        r.on_message(at(now), 0, started(1));
        let told = short(&r.on_exit(at(now + 1), 0, Exit::Lost, "preempted"));
        assert_eq!(
            told, "record interrupted 1, spawn 0",
            "loss {loss}: another is asked for at once"
        );
        r.on_committed(2);
    }
    run(&mut r, 5000, 0, None);
    r.on_message(at(5000), 0, started(1));
    let told = short(&r.on_exit(at(5001), 0, Exit::Lost, "gone"));
    assert_eq!(
        told, "record lost_heartbeat 1",
        "it may be what brings its node down"
    );
}

#[test]
fn silence_behind_an_agent_is_a_loss_too() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    run(&mut r, 1, 0, None);
    r.on_message(at(1), 0, started(1));
    let told: Vec<String> = (2..70)
        .map(|second| short(&r.on_tick(at(second))))
        .filter(|told| !told.is_empty())
        .collect();
    assert_eq!(told, ["kill 0"]);
    assert_eq!(
        short(&r.on_exit(at(70), 0, Exit::Lost, "srun ended")),
        "record interrupted 1, spawn 0"
    );
}

#[test]
fn lost_before_it_did_anything_another_is_asked_for_ever_more_slowly() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(short(&r.on_exit(at(now), 0, Exit::Lost, "cancelled")), "");
        let lost = now;
        while short(&r.on_tick(at(now))) != "spawn 0" {
            now += 1;
        }
        pauses.push(now - lost);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64]);
    assert!(r.fatal().is_none());
}

#[test]
fn a_program_begins_its_trial_when_it_runs() {
    let mut r = Reactor::new(Settings {
        persistent: false,
        ..queued(&[0])
    });
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    assert_eq!(short(&r.on_message(at(0), 0, hello())), "send 0:1");
    assert!(
        (1..500).all(|second| r.on_tick(at(second)).is_empty()),
        "it may wait, in silence"
    );
    assert_eq!(short(&r.on_running(at(500), 0, None)), "record start 1");
    // Lost while it waits, it has not begun.
    let mut r = Reactor::new(Settings {
        persistent: false,
        ..queued(&[0])
    });
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), 0, hello());
    assert_eq!(short(&r.on_exit(at(9), 0, Exit::Lost, "cancelled")), "");
    assert_eq!(r.left(), 1);
}

#[test]
fn no_worker_gets_a_trial_that_cannot_finish() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    run(&mut r, 0, 0, Some(100));
    // Nothing is known of how long a trial takes.
    r.on_message(at(0), 0, started(1));
    assert_eq!(
        finish(&mut r, 40, 0, 1),
        "record done 1, send 0:2",
        "44 s are expected, 60 s are left"
    );
    r.on_message(at(40), 0, started(2));
    // 20 s are left: another worker is to have it.
    assert_eq!(finish(&mut r, 80, 0, 2), "record done 2, close 0");
    assert_eq!(short(&r.on_exit(at(81), 0, Exit::Code(0), "")), "spawn 0");
    run(&mut r, 90, 0, Some(120));
    let given: Vec<_> = r.slots[0]
        .given
        .iter()
        .map(|given| given.job.trial.index.0)
        .collect();
    assert_eq!(
        given,
        [3],
        "a fresh one has all the time that there is to get"
    );
    r.on_message(at(90), 0, started(3));
    let told = short(&r.on_exit(at(119), 0, Exit::Lost, "time limit"));
    assert_eq!(
        told, "record timeout 3 for good, spawn 0",
        "it would never fit"
    );
    // Preempted long before its end, however late in the sweep.
    run(&mut r, 5000, 0, Some(5100));
    r.on_message(at(5000), 0, started(4));
    assert_eq!(
        short(&r.on_exit(at(5050), 0, Exit::Lost, "preempted")),
        "record interrupted 4, spawn 0"
    );
}

#[test]
fn what_a_ledger_knows_counts_from_the_first_worker_on() {
    let mut r = Reactor::new(Settings {
        longest: vec![Some(at(50))],
        ..queued(&[0])
    });
    r.on_trials(at(0), (1..=2).map(trial).collect(), Policy::AllSlots);
    run(&mut r, 0, 0, Some(60));
    r.on_message(at(0), 0, started(1));
    assert_eq!(finish(&mut r, 10, 0, 1), "record done 1, close 0");
}

#[test]
fn an_allocation_that_ends_too_soon_stops_the_sweep_and_keeps_everything() {
    let mut r = Reactor::new(Settings {
        all_end: Some(at(100)),
        ..queued(&[0, 1])
    });
    assert_eq!(
        short(&r.on_trials(at(0), (1..=9).map(trial).collect(), Policy::AllSlots)),
        "spawn 0, spawn 1"
    );
    run(&mut r, 0, 0, Some(100));
    run(&mut r, 0, 1, Some(100));
    r.on_message(at(0), 0, started(1));
    r.on_message(at(0), 1, started(2));
    assert_eq!(
        finish(&mut r, 60, 0, 1),
        "record done 1",
        "66 s are expected, 40 s are left"
    );
    assert_eq!(finish(&mut r, 61, 1, 2), "record done 2, close 0, close 1");
    r.on_exit(at(62), 0, Exit::Code(0), "");
    assert_eq!(short(&r.on_exit(at(62), 1, Exit::Code(0), "")), "stopped");
    assert!(r.is_interrupted() && r.fatal().is_none());
}

#[test]
fn an_allocation_in_which_nothing_fits_is_no_success() {
    let mut r = Reactor::new(Settings {
        all_end: Some(at(100)),
        longest: vec![Some(at(99))],
        ..queued(&[0])
    });
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "stopped"
    );
    assert!(matches!(r.fatal(), Some(Fatal::NoTime { left: 100, .. })));
}

#[test]
fn trials_with_work_in_common_come_in_bundles_that_can_finish() {
    let grouped = |number: u64| PlannedTrial {
        group: Some(1),
        ..trial(number)
    };
    let mut r = Reactor::new(Settings {
        longest: vec![Some(at(10))],
        ..queued(&[0])
    });
    r.on_trials(at(0), (1..=40).map(grouped).collect(), Policy::AllSlots);
    r.on_running(at(0), 0, Some(at(1000)));
    r.slots[0].fresh = false;
    r.slots[0].ends = Some(at(60));
    assert_eq!(
        short(&r.on_message(at(0), 0, hello())),
        "send 0:1+2+3+4+5 shared",
        "eleven seconds each"
    );
}
