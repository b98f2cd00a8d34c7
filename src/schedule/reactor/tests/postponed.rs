//! Starts that are postponed, by example.

use super::*;

fn programs(slots: &[usize]) -> Settings {
    Settings {
        persistent: false,
        ..settings(slots, 1, Limits::default())
    }
}

/// The notices about a shortage among the actions.
fn told(actions: &[Action]) -> Vec<&Notice> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Tell(notice @ (Notice::Shortage { .. } | Notice::ShortageOver { .. })) => {
                Some(notice)
            }
            _ => None,
        })
        .collect()
}

/// Lets time pass until an action follows, and returns the actions in short.
fn next(r: &mut Reactor, now: &mut u64) -> String {
    for _ in 0..100 {
        *now += 1;
        let actions = short(&r.on_tick(at(*now)));
        if !actions.is_empty() {
            return actions;
        }
    }
    "nothing".to_owned()
}

#[test]
fn a_postponed_program_is_tried_again_after_a_backoff_and_costs_no_attempt() {
    let mut r = Reactor::new(programs(&[0]));
    assert_eq!(
        short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
        "spawn 0"
    );
    let mut now = 0;
    let mut pauses = Vec::new();
    for round in 0..6 {
        assert_eq!(
            short(&r.on_message(at(now), SlotIndex(0), hello())),
            "send 0:1"
        );
        let actions = r.on_start_postponed(at(now), SlotIndex(0), "no space");
        assert_eq!(short(&actions), "");
        assert_eq!(told(&actions).len(), usize::from(round == 0), "told once");
        let before = now;
        assert_eq!(next(&mut r, &mut now), "spawn 0");
        pauses.push(now - before);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 8, 8]);
    assert_eq!(
        short(&r.on_message(at(now), SlotIndex(0), hello())),
        "send 0:1"
    );
    let actions = r.on_message(at(now), SlotIndex(0), started(1));
    assert_eq!(told(&actions), [&Notice::ShortageOver { lasted: at(now) }]);
    assert_eq!(
        short(&r.on_message(at(now), SlotIndex(0), done(1))),
        "record done 1"
    );
    assert_eq!(short(&r.on_committed(2)), "tell done 1, phase done");
}

#[test]
fn a_shortage_that_lasts_ends_the_sweep_and_fails_no_trial() {
    let mut r = Reactor::new(Settings {
        shortage: at(60),
        ..programs(&[0, 1])
    });
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    let mut stopped = None;
    for now in 0..200 {
        for slot in [0, 1] {
            if r.is_starting(SlotIndex(slot)) {
                r.on_message(at(now), SlotIndex(slot), hello());
                r.on_start_postponed(at(now), SlotIndex(slot), "no more processes");
            }
        }
        if short(&r.on_tick(at(now))) == "stopped" {
            stopped = Some(now);
            break;
        }
    }
    assert_eq!(stopped, Some(61));
    assert_eq!(
        r.fatal(),
        Some(&Fatal::Shortage {
            seconds: 61,
            why: "no more processes".to_owned()
        })
    );
    assert_eq!(r.queued(), 2);
    assert_eq!(r.delayed.len(), 0, "none has failed");
}

#[test]
fn a_shortage_may_last_while_something_runs() {
    let mut r = Reactor::new(Settings {
        shortage: at(60),
        ..programs(&[0, 1])
    });
    r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
    assert_eq!(
        short(&r.on_message(at(0), SlotIndex(0), hello())),
        "send 0:1"
    );
    r.on_message(at(0), SlotIndex(0), started(1));
    let mut tried = 0;
    for now in 0..1000 {
        r.on_tick(at(now));
        if r.is_starting(SlotIndex(1)) {
            r.on_message(at(now), SlotIndex(1), hello());
            r.on_start_postponed(at(now), SlotIndex(1), "no more processes");
            tried += 1;
        }
    }
    assert!(r.fatal().is_none() && tried > 100, "{tried}");
    r.on_message(at(1000), SlotIndex(0), done(1));
    let late = (1000..1100).find(|&now| short(&r.on_tick(at(now))) == "stopped");
    assert_eq!(late, None, "the other slot takes the trial");
}

#[test]
fn a_postponed_worker_is_not_a_failure_to_start() {
    let mut r = Reactor::new(settings(&[0], 1, Limits::default()));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    let mut now = 0;
    for _ in 0..10 {
        r.on_start_postponed(at(now), SlotIndex(0), "it is missing");
        assert_eq!(next(&mut r, &mut now), "spawn 0");
    }
    assert!(r.fatal().is_none());
    assert_eq!(
        told(&r.on_message(at(now), SlotIndex(0), hello())).len(),
        1,
        "the hello ends it"
    );
}

#[test]
fn a_trial_that_had_started_is_interrupted_and_starts_again() {
    let mut r = Reactor::new(programs(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), SlotIndex(0), hello());
    r.on_message(at(0), SlotIndex(0), started(1));
    assert_eq!(
        short(&r.on_start_postponed(at(1), SlotIndex(0), "its program is missing")),
        "record interrupted 1"
    );
    r.on_committed(2);
    assert_eq!(r.queued(), 1);
}

#[test]
fn a_refused_start_does_not_delay_a_stop() {
    let mut r = Reactor::new(programs(&[0]));
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(0), SlotIndex(0), hello());
    assert_eq!(short(&r.on_interrupt(at(0))), "terminate 0");
    assert_eq!(
        short(&r.on_start_postponed(at(0), SlotIndex(0), "no space")),
        "stopped"
    );
    assert!(r.is_interrupted());
}
