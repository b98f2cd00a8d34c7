//! Processes that have ended: what becomes of their trials, and of their slots.

use super::outcomes::Attempt;
use super::slot::{Departed, Slot, SlotState};
use super::{
    Action, Duration, EndBy, Exit, Failure, Fatal, MAX_START_FAILURES, Notice, Reactor, Reason,
    SlotIndex, Stop, Time,
};

/// The shortest pause after a worker did not start; it doubles with each further one in a row.
const START_BACKOFF: Duration = Duration::from_millis(250);
/// How often that pause is doubled at most.
const MAX_START_BACKOFF_DOUBLINGS: u32 = 6;

impl Reactor {
    /// A slot's process is gone and its output has been read to the end.
    pub fn on_exit<'a>(
        &mut self,
        now: Time,
        slot: SlotIndex,
        exit: Exit,
        reason: impl Into<Reason<'a>>,
    ) -> Vec<Action> {
        let reason = reason.into();
        self.free.insert(slot);
        let Some(departed) = self.slots[slot].vacate(now) else {
            // Its end is known already: its start was postponed.
            return self.advance(now);
        };
        let expected = departed.was_expected();
        if !expected && self.was_lost(exit, departed.fault.as_ref()) {
            let how = match &departed.fault {
                Some(fault) => fault.failure.message.clone(),
                None => reason.text().to_owned(),
            };
            return self.on_lost(now, slot, departed, &how);
        }

        let was_ready = departed.was_ready;
        let failure = match &departed.fault {
            Some(fault) => fault.failure.clone(),
            None => exit.describe(self.process_name(), reason),
        };
        // All that can be said of a program is said of its trial.
        if !expected && self.settings.persistent {
            self.tell(Notice::WorkerLost {
                slot,
                how: failure.message.clone(),
            });
        }
        self.return_assignments(now, slot, departed, &failure);
        if !expected && !was_ready {
            self.on_start_failed(now, slot, failure.message);
        }
        self.advance(now)
    }

    fn process_name(&self) -> &'static str {
        if self.settings.persistent {
            "worker"
        } else {
            "program"
        }
    }

    /// Puts back the trials of a process that is gone, or counts an attempt against those that may
    /// have brought it down.
    fn return_assignments(
        &mut self,
        now: Time,
        slot: SlotIndex,
        departed: Departed,
        failure: &Failure,
    ) {
        let expected = departed.was_expected();
        let is_innocent = departed
            .fault
            .as_ref()
            .is_some_and(|fault| fault.of_last_ended);
        let none_started = !departed.has_started_a_trial();

        let mut unharmed = Vec::new();
        for (place, assignment) in departed.assignments.into_iter().enumerate() {
            let mut job = assignment.job;
            // If the worker had started none of its bundle, the first trial is the likeliest cause.
            let is_suspect = none_started && place == 0 && !is_innocent;
            match assignment.started {
                Some(_) if expected => {
                    let message = "the sweep was stopped".to_owned();
                    self.record_interrupted(slot, job.trial, message);
                    unharmed.push(job);
                }
                None if expected || !is_suspect => unharmed.push(job),
                started => {
                    job.alone = true;
                    let attempt = Attempt {
                        job,
                        started: started.unwrap_or(now),
                        finals: None,
                    };
                    self.fail(now, slot, attempt, failure.clone());
                }
            }
        }
        for job in unharmed.into_iter().rev() {
            self.put_back(job);
        }
    }

    /// A worker did not start. The slot waits before it tries again, and the sweep is given up if
    /// no slot can start one.
    fn on_start_failed(&mut self, now: Time, slot: SlotIndex, how: String) {
        self.start_failures += 1;
        let failed = &mut self.slots[slot];
        failed.start_failures += 1;
        let doublings = failed.start_failures.min(MAX_START_BACKOFF_DOUBLINGS);
        failed.state = SlotState::Empty {
            until: now + START_BACKOFF * (1 << doublings),
        };

        // One bad device or node among many is no reason to stop those that work, or have not had
        // their chance.
        if self.start_failures >= MAX_START_FAILURES && !self.slots.iter().any(may_start) {
            let fatal = Fatal::NoStart { slot, how };
            self.stop(now, Stop::Fatal(fatal), EndBy::Terminate);
        }
    }
}

/// Whether a slot has a worker, or may soon have one.
fn may_start(slot: &Slot) -> bool {
    match slot.state {
        SlotState::Ready(_) => true,
        SlotState::Starting { .. } => slot.start_failures == 0,
        SlotState::Empty { .. } | SlotState::Ending(_) => false,
    }
}
