//! Trials with work in common, in the reactor: which come together, and what their worker may say
//! of them.

use super::*;

fn grouped(number: u64) -> PlannedTrial {
    PlannedTrial {
        group: Some(0),
        ..trial(number)
    }
}

fn same_as(number: u64, other: u64) -> FromWorker {
    match done(number) {
        FromWorker::Done { trial, metrics, .. } => FromWorker::Done {
            trial,
            metrics,
            same_as: Some(super::trial(other).id.to_string()),
            shared_epochs: 2,
        },
        other => other,
    }
}

#[test]
fn same_as_may_name_only_a_trial_of_the_group_that_the_worker_has_finished() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), (0..4).map(grouped).collect(), Policy::AllSlots);
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:0+1 shared"
    );
    r.on_message(at(2), SlotIndex(0), started(0));
    r.on_message(at(3), SlotIndex(0), done(0));
    r.on_message(at(3), SlotIndex(0), started(1));
    let actions = r.on_message(at(4), SlotIndex(0), same_as(1, 0));
    assert_eq!(short(&actions), "record done 1, send 0:2 shared");
    let Some(Action::Record(Record::Done { shared, .. })) = actions.first() else {
        panic!("{actions:?}")
    };
    assert_eq!(shared.same_as, Some(trial(0).id));
    assert_eq!(shared.epochs, 2);
    r.on_message(at(5), SlotIndex(0), started(2));
    // This worker has not finished that trial.
    assert_eq!(
        short(&r.on_message(at(6), SlotIndex(0), same_as(2, 3))),
        "record protocol 2, kill 0"
    );
    assert_eq!(
        short(&r.on_exit(at(6), SlotIndex(0), Exit::Signal(9), "")),
        "spawn 0"
    );
    // The next worker does not have the results of the last one.
    assert_eq!(
        short(&r.on_message(at(6), SlotIndex(0), hello())),
        "send 0:3 shared"
    );
    r.on_message(at(6), SlotIndex(0), started(3));
    assert_eq!(
        short(&r.on_message(at(6), SlotIndex(0), same_as(3, 0))),
        "record protocol 3, kill 0"
    );
}

#[test]
fn timed_trials_share_nothing() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), (0..2).map(grouped).collect(), Policy::OnePerDevice);
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:0"
    );
}
