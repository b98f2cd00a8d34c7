//! The queue by example.

use super::super::tests::trial;
use super::*;

/// Trials of a group with these numbers.
fn of(group: Option<u32>, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Job> {
    numbers.map(move |number| {
        let mut trial = trial(number);
        trial.group = group;
        Job::new(trial)
    })
}

fn numbers(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.trial.index.0).collect()
}

fn seconds(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

#[test]
fn each_group_goes_to_one_slot_and_to_no_bundle_with_others() {
    let mut queue = Queue::default();
    queue.extend(
        of(None, 0..3)
            .chain(of(Some(0), 3..6))
            .chain(of(Some(1), 6..9))
            .chain(of(None, 9..11)),
    );
    assert_eq!(numbers(&queue.take(SlotIndex(0), 2, 2, true)), [0, 1]);
    assert_eq!(
        numbers(&queue.take(SlotIndex(1), 2, 2, true)),
        [2],
        "not with those of the group"
    );
    assert_eq!(
        numbers(&queue.take(SlotIndex(0), 2, 2, true)),
        [3, 4, 5],
        "groups enough for all"
    );
    assert_eq!(
        numbers(&queue.take(SlotIndex(1), 2, 2, true)),
        [6, 7],
        "towards the end only a half"
    );
    assert_eq!(
        numbers(&queue.take(SlotIndex(0), 2, 2, true)),
        [9, 10],
        "the rest of a group is for the slot that has begun it"
    );
    assert_eq!(numbers(&queue.take(SlotIndex(1), 2, 2, true)), [8]);
    assert_eq!(queue.len(), 0);
    assert!(queue.peek(SlotIndex(0)).is_none() && queue.take(SlotIndex(0), 2, 2, true).is_empty());
}

#[test]
fn a_long_group_comes_in_several_bundles() {
    let mut queue = Queue::default();
    queue.extend(
        of(Some(0), 0..150)
            .chain(of(Some(1), 150..152))
            .chain(of(Some(2), 152..154)),
    );
    assert_eq!(queue.take(SlotIndex(0), 2, 1, true).len(), MAX_GROUP_BUNDLE);
    assert_eq!(numbers(&queue.take(SlotIndex(1), 2, 1, true)), [150]);
    assert_eq!(
        queue.take(SlotIndex(0), 2, 1, true).len(),
        (150 - MAX_GROUP_BUNDLE).div_ceil(2),
        "its own group before others"
    );
    assert_eq!(numbers(&queue.take(SlotIndex(1), 2, 1, true)), [151]);
    assert_eq!(
        queue.take(SlotIndex(0), 2, 100, true).len(),
        (150 - MAX_GROUP_BUNDLE) / 2 / 2 + 1
    );
}

/// A second slot would have to compute again what the trials have in common.
#[test]
fn another_slot_helps_only_if_that_is_faster() {
    let mut queue = Queue::default();
    queue.extend(of(Some(0), 0..20));
    let group = Some((0, 0));
    assert_eq!(queue.take(SlotIndex(0), 2, 1, true).len(), 10);
    assert!(queue.peek(SlotIndex(1)).is_none(), "nothing is known yet");
    queue.on_finished(SlotIndex(0), group, seconds(10));
    assert!(queue.peek(SlotIndex(1)).is_none());
    queue.on_finished(SlotIndex(0), group, seconds(1));
    assert!(
        queue.peek(SlotIndex(1)).is_none(),
        "ten more seconds are not worth it"
    );
    queue.on_finished(SlotIndex(0), group, seconds(9));
    assert_eq!(
        numbers(&queue.take(SlotIndex(1), 2, 1, true)),
        [15, 16, 17, 18, 19],
        "half of 50 s is more than 10"
    );
    queue.on_finished(SlotIndex(0), group, seconds(1));
    assert!(queue.peek(SlotIndex(1)).is_none(), "half of 18 s is less");
    assert_eq!(numbers(&queue.take(SlotIndex(0), 2, 1, true)), [10, 11, 12]);
}

#[test]
fn timed_trials_and_those_that_crashed_a_worker_come_alone() {
    let mut queue = Queue::default();
    queue.extend(of(Some(0), 0..3));
    assert_eq!(numbers(&queue.take(SlotIndex(0), 1, 1, false)), [0]);
    let mut crashed = of(Some(0), 7..8).next().unwrap();
    crashed.alone = true;
    queue.put_back(crashed);
    of(Some(0), 8..10).for_each(|job| queue.put_back(job));
    assert_eq!(numbers(&queue.take(SlotIndex(0), 1, 1, true)), [9, 8]);
    assert_eq!(numbers(&queue.take(SlotIndex(0), 1, 8, true)), [7]);
    assert_eq!(numbers(&queue.take(SlotIndex(0), 1, 1, true)), [1]);
}
