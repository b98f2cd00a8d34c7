//! Workers whose time is limited: none is given a trial that cannot finish. A trial is expected to
//! take a tenth longer than the longest one of its arm so far. While no trial of the arm has
//! finished, its trials are handed out in any case.

use super::{Duration, EndBy, Fatal, Notice, Reactor, Slot, SlotIndex, Stop, Time};
use crate::grid::ArmIndex;

impl Reactor {
    /// Notes how long a trial of an arm has taken.
    pub(super) fn note_duration(&mut self, arm: ArmIndex, duration: Duration) {
        if self.longest.len() <= arm.0 {
            self.longest.resize(arm.0 + 1, None);
        }
        self.longest[arm.0] = self.longest[arm.0].max(Some(duration));
    }

    fn expected_duration(&self, arm: ArmIndex) -> Option<Duration> {
        let longest = self.longest.get(arm.0).copied().flatten()?;
        Some(longest + longest / 10)
    }

    /// When the system will end a slot's worker, if it will. A worker that has had no trial yet has
    /// all the time that a worker can get: if a trial does not fit into that, it must be tried.
    fn deadline(&self, slot: SlotIndex) -> Option<Time> {
        let process = self.slots[slot].process();
        let own = process
            .filter(|process| self.settings.persistent && process.first_trial.is_some())
            .and_then(|process| process.expiry)
            .map(|expiry| expiry.at);
        match (own, self.settings.all_end) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        }
    }

    /// Whether the next trial of the queue can finish in a slot.
    pub(super) fn next_fits(&self, now: Time, slot: SlotIndex) -> bool {
        let Some(deadline) = self.deadline(slot) else {
            return true;
        };
        let next = self.queue.peek(slot).or_else(|| self.solitary.first());
        let expected = next.and_then(|job| self.expected_duration(job.trial.arm));
        expected.is_none_or(|expected| now + expected <= deadline)
    }

    /// How many trials like the next one can finish one after the other in a slot; at least one.
    pub(super) fn trials_that_fit(&self, now: Time, slot: SlotIndex) -> usize {
        let expected = self
            .queue
            .peek(slot)
            .and_then(|job| self.expected_duration(job.trial.arm));
        match (self.deadline(slot), expected) {
            (Some(deadline), Some(expected)) if !expected.is_zero() => {
                let count = deadline.saturating_sub(now).as_secs_f64() / expected.as_secs_f64();
                (count as usize).max(1)
            }
            _ => usize::MAX,
        }
    }

    /// Ends an idle worker that has no time left for a trial, so that another one takes its place.
    /// Within an allocation there is no other.
    pub(super) fn replace_worker(&mut self, now: Time, slot: SlotIndex) {
        if self.settings.all_end.is_none() {
            self.end(now, slot, EndBy::Close);
        }
    }

    /// Stops the sweep if nothing runs and no trial that is left can finish in the allocation.
    pub(super) fn check_time_left(&mut self, now: Time) {
        let Some(end) = self.settings.all_end else {
            return;
        };
        if self.in_flight() > 0 || self.slots.iter().any(Slot::is_starting) || self.queued() == 0 {
            return;
        }
        if self.slots.indices().any(|slot| self.next_fits(now, slot)) {
            return;
        }

        let left = end.saturating_sub(now);
        if self.handed_out {
            self.tell(Notice::OutOfTime { left });
            self.stop(now, Stop::OutOfTime, EndBy::Close);
        } else {
            let longest = self.longest.iter().flatten().max();
            let longest = longest.copied().unwrap_or_default();
            let fatal = Fatal::NoTime {
                left: left.as_secs(),
                what: format!("trials have taken up to {} s", longest.as_secs()),
            };
            self.stop(now, Stop::Fatal(fatal), EndBy::Close);
        }
    }
}
