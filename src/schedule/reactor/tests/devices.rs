//! Which trials a device gets at the same time, by example.

use super::*;

#[test]
fn a_worker_gets_as_many_trials_as_it_prefers_unless_they_are_timed() {
    let preferring_three = || {
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
        assert_eq!(
            short(&r.on_message(at(1), SlotIndex(0), preferring_three())),
            expected
        );
    }
    let mut r = reactor(&[0], 2);
    r.on_trials(at(0), (1..=4).map(trial).collect(), Policy::AllSlots);
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:1+2"
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
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:1"
    );
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(2), hello())),
        "send 2:2"
    );
    r.on_message(at(2), SlotIndex(2), started(2));
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(2), done(2))),
        "record done 2, send 2:3"
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
    assert_eq!(
        short(&r.on_message(at(1), SlotIndex(0), hello())),
        "send 0:1"
    );
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
fn a_trial_that_ran_out_of_memory_gets_its_device_to_itself() {
    let mut r = reactor(&[0, 0, 1], 1);
    r.on_trials(at(0), (1..=6).map(trial).collect(), Policy::AllSlots);
    for slot in 0..3 {
        r.on_message(at(1), SlotIndex(slot), hello());
        r.on_message(at(1), SlotIndex(slot), started(slot as u64 + 1));
    }
    assert_eq!(
        short(&r.on_message(at(2), SlotIndex(0), out_of_memory(1))),
        "record out_of_memory 1, send 0:4",
        "after a pause"
    );
    r.on_message(at(2), SlotIndex(0), started(4));
    assert_eq!(short(&r.on_tick(at(4))), "", "the device is busy");
    assert_eq!(
        short(&r.on_message(at(5), SlotIndex(0), done(4))),
        "record done 4",
        "nothing new beside it"
    );
    assert_eq!(
        short(&r.on_message(at(5), SlotIndex(2), done(3))),
        "record done 3, send 2:5",
        "other devices continue"
    );
    assert_eq!(
        short(&r.on_message(at(6), SlotIndex(1), done(2))),
        "record done 2, close 1",
        "an idle worker may still hold memory"
    );
    assert_eq!(
        short(&r.on_exit(at(7), SlotIndex(1), Exit::Code(0), "")),
        "send 0:1"
    );
    r.on_message(at(7), SlotIndex(0), started(1));
    r.on_message(at(8), SlotIndex(2), started(5));
    assert_eq!(
        short(&r.on_message(at(9), SlotIndex(2), done(5))),
        "record done 5, send 2:6"
    );
    assert_eq!(
        short(&r.on_tick(at(10))),
        "",
        "no second worker is started beside it"
    );
    assert_eq!(
        short(&r.on_message(at(11), SlotIndex(0), done(1))),
        "record done 1"
    );
}

#[test]
fn trials_share_a_gpu_only_as_far_as_their_arms_allow() {
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
        r.on_message(at(1), SlotIndex(slot), hello());
    }
    for (slot, number) in [(0, 1), (1, 2)] {
        assert_eq!(
            short(&r.on_message(at(2), SlotIndex(slot), started(number))),
            format!("record start {number}")
        );
    }
    assert_eq!(
        short(&r.on_message(at(3), SlotIndex(0), done(1))),
        "record done 1",
        "the next one needs the whole device"
    );
    assert_eq!(
        short(&r.on_message(at(4), SlotIndex(1), done(2))),
        "record done 2, send 0:3"
    );
    r.on_message(at(5), SlotIndex(0), started(3));
    assert_eq!(short(&r.on_tick(at(5))), "", "nothing beside it");
    assert_eq!(
        short(&r.on_message(at(6), SlotIndex(0), done(3))),
        "record done 3, send 0:4"
    );
}

#[test]
fn lack_of_memory_is_distinguished_from_a_crash() {
    let mut r = reactor(&[0], 1);
    r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
    r.on_message(at(1), SlotIndex(0), hello());
    r.on_message(at(2), SlotIndex(0), started(1));
    let actions = r.on_exit(
        at(3),
        SlotIndex(0),
        Exit::Signal(9),
        "the kernel killed it because memory ran out",
    );
    assert_eq!(short(&actions), "record out_of_memory 1");
    assert_eq!(
        short(&r.on_tick(at(4))),
        "spawn 0",
        "it is alone on its device in any case"
    );
}
