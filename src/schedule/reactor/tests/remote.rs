//! Workers that wait in a queue, are taken away, or have little time left.

use super::super::lost::MAX_LOST_WORKERS;
use super::*;

const SLOT: SlotIndex = SlotIndex(0);

fn queued(slots: &[usize]) -> Settings {
    Settings {
        queued: true,
        agent: true,
        ..settings(slots, 1, Limits::default())
    }
}

/// Lets a worker run, which the system ends at the time `ends`.
fn run(r: &mut Reactor, now: u64, slot: SlotIndex, ends: Option<u64>) {
    r.on_running(at(now), slot, ends.map(|ends| at(ends - now)));
    r.on_message(at(now), slot, hello());
}

fn finish(r: &mut Reactor, now: u64, slot: SlotIndex, number: u64) -> String {
    let actions = short(&r.on_message(at(now), slot, done(number)));
    r.on_committed(2);
    actions
}

#[test]
fn only_a_worker_that_runs_can_be_late() {
    let mut r = Reactor::new(queued(&[0]));
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "spawn 0"
    );
    for second in 1..=5000 {
        assert_eq!(short(&r.on_tick(at(second))), "", "{second}");
    }
    assert_eq!(
        r.on_waiting(at(5000), SLOT, "Priority".to_owned()),
        [Action::Tell(Notice::Waits {
            slot: SLOT,
            why: Some("Priority".to_owned())
        })]
    );
    assert_eq!(
        r.on_running(at(5000), SLOT, None),
        [Action::Tell(Notice::Waits {
            slot: SLOT,
            why: None
        })]
    );
    let late = (5001..5200).find(|&second| !r.on_tick(at(second)).is_empty());
    assert_eq!(late, Some(5121), "two minutes for its hello");
}

#[test]
fn a_lost_worker_costs_its_trial_no_attempt() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    for loss in 1..u64::from(MAX_LOST_WORKERS) {
        let now = 100 * loss;
        run(&mut r, now, SLOT, None);
        r.on_message(at(now), SLOT, started(1));
        assert_eq!(
            short(&r.on_exit(at(now + 1), SLOT, Exit::Lost, "preempted")),
            "record interrupted 1, spawn 0",
            "loss {loss}: another worker is asked for at once"
        );
        r.on_committed(2);
    }

    run(&mut r, 5000, SLOT, None);
    r.on_message(at(5000), SLOT, started(1));
    assert_eq!(
        short(&r.on_exit(at(5001), SLOT, Exit::Lost, "gone")),
        "record lost_heartbeat 1",
        "the trial may be what crashes its node"
    );
}

#[test]
fn silence_behind_an_agent_is_a_loss() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    run(&mut r, 1, SLOT, None);
    r.on_message(at(1), SLOT, started(1));
    let actions: Vec<String> = (2..70)
        .map(|second| short(&r.on_tick(at(second))))
        .filter(|actions| !actions.is_empty())
        .collect();
    assert_eq!(actions, ["kill 0"]);
    assert_eq!(
        short(&r.on_exit(at(70), SLOT, Exit::Lost, "srun ended")),
        "record interrupted 1, spawn 0"
    );
}

#[test]
fn after_a_worker_that_did_nothing_the_next_one_is_delayed() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(
            short(&r.on_exit(at(now), SLOT, Exit::Lost, "cancelled")),
            ""
        );
        let lost_at = now;
        while short(&r.on_tick(at(now))) != "spawn 0" {
            now += 1;
        }
        pauses.push(now - lost_at);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64]);
    assert!(r.fatal().is_none());
}

#[test]
fn a_program_starts_its_trial_when_it_runs() {
    let programs = || Settings {
        persistent: false,
        ..queued(&[0])
    };
    let mut r = Reactor::new(programs());
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    assert_eq!(short(&r.on_message(at(0), SLOT, hello())), "send 0:1");
    assert!(
        (1..500).all(|second| r.on_tick(at(second)).is_empty()),
        "it may wait in silence"
    );
    assert_eq!(short(&r.on_running(at(500), SLOT, None)), "record start 1");

    // A program that is lost while it waits has not started its trial.
    let mut r = Reactor::new(programs());
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), SLOT, hello());
    assert_eq!(short(&r.on_exit(at(9), SLOT, Exit::Lost, "cancelled")), "");
    assert_eq!(r.queued(), 1);
}

#[test]
fn no_worker_gets_a_trial_that_cannot_finish() {
    let mut r = Reactor::new(queued(&[0]));
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    run(&mut r, 0, SLOT, Some(100));
    // Nothing is known of how long a trial takes.
    r.on_message(at(0), SLOT, started(1));
    assert_eq!(
        finish(&mut r, 40, SLOT, 1),
        "record done 1, send 0:2",
        "44 s are expected, 60 s are left"
    );
    r.on_message(at(40), SLOT, started(2));
    assert_eq!(
        finish(&mut r, 80, SLOT, 2),
        "record done 2, close 0",
        "20 s are left: another worker gets the next trial"
    );

    let actions = short(&r.on_exit(at(81), SLOT, Exit::Code(0), ""));
    assert_eq!(actions, "spawn 0");
    run(&mut r, 90, SLOT, Some(120));
    let given = r.slots[SLOT].assignments();
    assert_eq!(given.len(), 1);
    assert_eq!(
        given[0].job.trial.index.0, 3,
        "a new worker has all the time that a worker can get"
    );
    r.on_message(at(90), SLOT, started(3));
    assert_eq!(
        short(&r.on_exit(at(119), SLOT, Exit::Lost, "time limit")),
        "record timeout 3 permanently, spawn 0",
        "it would never fit"
    );

    // Preempted long before its time limit, however late in the sweep.
    run(&mut r, 5000, SLOT, Some(5100));
    r.on_message(at(5000), SLOT, started(4));
    assert_eq!(
        short(&r.on_exit(at(5050), SLOT, Exit::Lost, "preempted")),
        "record interrupted 4, spawn 0"
    );
}

#[test]
fn durations_of_earlier_runs_count_from_the_first_worker_on() {
    let mut r = Reactor::new(Settings {
        longest: vec![Some(at(50))],
        ..queued(&[0])
    });
    r.on_trials(at(0), (1..=2).map(trial).collect(), Policy::AllSlots);
    run(&mut r, 0, SLOT, Some(60));
    r.on_message(at(0), SLOT, started(1));
    assert_eq!(finish(&mut r, 10, SLOT, 1), "record done 1, close 0");
}

#[test]
fn an_allocation_that_ends_too_soon_stops_the_sweep_and_keeps_everything() {
    let mut r = Reactor::new(Settings {
        all_end: Some(at(100)),
        ..queued(&[0, 1])
    });
    let trials = (1..=9).map(trial).collect();
    assert_eq!(
        short(&r.on_trials(at(0), trials, Policy::AllSlots)),
        "spawn 0, spawn 1"
    );
    let other = SlotIndex(1);
    run(&mut r, 0, SLOT, Some(100));
    run(&mut r, 0, other, Some(100));
    r.on_message(at(0), SLOT, started(1));
    r.on_message(at(0), other, started(2));
    assert_eq!(
        finish(&mut r, 60, SLOT, 1),
        "record done 1",
        "66 s are expected, 40 s are left"
    );
    assert_eq!(
        finish(&mut r, 61, other, 2),
        "record done 2, close 0, close 1"
    );
    r.on_exit(at(62), SLOT, Exit::Code(0), "");
    assert_eq!(
        short(&r.on_exit(at(62), other, Exit::Code(0), "")),
        "stopped"
    );
    assert!(r.is_interrupted() && r.fatal().is_none());
}

#[test]
fn an_allocation_in_which_nothing_fits_is_an_error() {
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
    r.on_running(at(0), SLOT, Some(at(60)));
    // Not a new worker, which could not get more time than it has.
    r.slots[SLOT].process_mut().unwrap().first_trial = Some(trial(0).id);
    assert_eq!(
        short(&r.on_message(at(0), SLOT, hello())),
        "send 0:1+2+3+4+5 shared",
        "eleven seconds each"
    );
}
