//! Starts that this machine refuses for now: no space, no more processes, a program that is missing
//! for a while. The trials go back to the queue without counting as an attempt, and are tried again
//! after a backoff. A shortage is reported once when it begins and once when it is over, and ends
//! the sweep if it lasts and nothing runs.

use std::collections::BTreeSet;

use super::slot::SlotState;
use super::{Action, Duration, EndBy, Fatal, Notice, Reactor, SlotIndex, Stop, Time};

/// The longest pause before a slot is tried again, as a power of two in seconds.
const MAX_BACKOFF: u32 = 3;

/// A shortage that has begun and is not over.
#[derive(Debug)]
pub(super) struct Shortage {
    began: Time,
    /// Since when nothing has run.
    stalled: Time,
    /// What was refused last, and why.
    why: String,
    /// The slots whose last start was refused. The shortage is over when all of them have started
    /// something since.
    slots: BTreeSet<SlotIndex>,
}

impl Reactor {
    /// Nothing could be started in a slot, or what was started there could not begin its work, for
    /// a shortage of this machine.
    pub fn on_start_postponed(&mut self, now: Time, slot: SlotIndex, why: &str) -> Vec<Action> {
        self.free.insert(slot);
        let departed = self.slots[slot].vacate(now);

        let was_ending = departed
            .as_ref()
            .is_some_and(|departed| departed.was_ending);
        if !was_ending && self.stop.is_none() {
            let refused = &mut self.slots[slot];
            let backoff = Duration::from_secs(1 << refused.postponed_starts.min(MAX_BACKOFF));
            refused.postponed_starts += 1;
            refused.state = SlotState::Empty {
                until: now + backoff,
            };
            self.note_shortage(now, slot, why);
        }

        let assignments = departed.map_or_else(Vec::new, |departed| departed.assignments);
        for assignment in assignments.into_iter().rev() {
            if assignment.started.is_some() {
                let message = format!("it is to start again: {why}");
                self.record_interrupted(slot, assignment.job.trial, message);
            }
            self.put_back(assignment.job);
        }
        self.advance(now)
    }

    fn note_shortage(&mut self, now: Time, slot: SlotIndex, why: &str) {
        let why = why.to_owned();
        if let Some(shortage) = &mut self.shortage {
            shortage.slots.insert(slot);
            shortage.why = why;
            return;
        }
        self.tell(Notice::Shortage { why: why.clone() });
        self.shortage = Some(Shortage {
            began: now,
            stalled: now,
            why,
            slots: [slot].into(),
        });
    }

    /// Something has started in a slot.
    pub(super) fn note_start(&mut self, now: Time, slot: SlotIndex) {
        self.slots[slot].postponed_starts = 0;
        let Some(shortage) = &mut self.shortage else {
            return;
        };
        shortage.slots.remove(&slot);
        if shortage.slots.is_empty() {
            let lasted = now.saturating_sub(shortage.began);
            self.shortage = None;
            self.tell(Notice::ShortageOver { lasted });
        }
    }

    /// Nothing is left to start, so that the shortage does not matter any more.
    pub(super) fn forget_shortage(&mut self) {
        self.shortage = None;
        for slot in self.slots.iter_mut() {
            slot.postponed_starts = 0;
        }
    }

    /// Gives the sweep up if a shortage has lasted for too long with nothing running. As long as
    /// trials run, their ends may free what is missing.
    pub(super) fn check_shortage(&mut self, now: Time) {
        let is_idle = self.slots.iter().all(super::slot::Slot::is_available);
        let Some(shortage) = self.shortage.as_mut().filter(|_| self.stop.is_none()) else {
            return;
        };
        if !is_idle {
            shortage.stalled = now;
            return;
        }
        let lasted = now.saturating_sub(shortage.stalled);
        if lasted > self.settings.shortage {
            let fatal = Fatal::Shortage {
                seconds: lasted.as_secs(),
                why: shortage.why.clone(),
            };
            self.stop(now, Stop::Fatal(fatal), EndBy::Close);
        }
    }

    /// Does not count a time in which the program was suspended.
    pub(super) fn skip_shortage(&mut self, gap: Duration) {
        if let Some(shortage) = &mut self.shortage {
            shortage.stalled += gap;
        }
    }
}
