//! How the reactor ends workers: because a limit was exceeded, a worker broke the protocol, or the
//! sweep stops.

use super::slot::{Fault, SlotState};
use super::{Action, Duration, EndBy, Failure, FailureKind, Reactor, SlotIndex, Stop, Time};

impl Reactor {
    /// The time limit that a trial of the slot's worker has exceeded, if one has.
    pub(super) fn exceeded_timeout(&self, now: Time, slot: SlotIndex) -> Option<Duration> {
        self.slots[slot]
            .assignments()
            .iter()
            .find_map(|assignment| {
                let limit = self.failures.timeout(assignment.job.trial.arm)?;
                let started = assignment.started?;
                (now.saturating_sub(started + assignment.unheard) > limit).then_some(limit)
            })
    }

    /// Ends a worker whose trial takes too long, with a warning first, so that it can shut down in
    /// order.
    pub(super) fn time_out(&mut self, now: Time, slot: SlotIndex, limit: Duration) {
        let message = format!(
            "it took longer than {} s, which is the limit (`timeout`)",
            limit.as_secs()
        );
        let failure = Failure {
            kind: FailureKind::Timeout,
            message,
        };
        let fault = Fault {
            failure,
            of_last_ended: false,
        };
        self.end_process(now, slot, EndBy::Terminate, Some(fault));
    }

    /// Kills a worker for a fault of its own, unless it is being ended already.
    pub(super) fn blame(&mut self, now: Time, slot: SlotIndex, kind: FailureKind, message: String) {
        let fault = Fault {
            failure: Failure { kind, message },
            of_last_ended: false,
        };
        self.kill_for(now, slot, fault);
    }

    /// The same for a fault that concerns the trial that the worker ended last: the trials that it
    /// has been given since then are not to blame.
    pub(super) fn blame_for_last_ended(
        &mut self,
        now: Time,
        slot: SlotIndex,
        kind: FailureKind,
        message: String,
    ) {
        let fault = Fault {
            failure: Failure { kind, message },
            of_last_ended: true,
        };
        self.kill_for(now, slot, fault);
    }

    fn kill_for(&mut self, now: Time, slot: SlotIndex, fault: Fault) {
        if matches!(
            self.slots[slot].state,
            SlotState::Starting { .. } | SlotState::Ready(_)
        ) {
            self.end_process(now, slot, EndBy::Kill, Some(fault));
        }
    }

    /// Ends a slot's process, unless it has been told so by the same or more severe means.
    pub(super) fn end(&mut self, now: Time, slot: SlotIndex, how: EndBy) {
        self.end_process(now, slot, how, None);
    }

    fn end_process(&mut self, now: Time, slot: SlotIndex, how: EndBy, fault: Option<Fault>) {
        let kill_at = now + self.settings.grace;
        if self.slots[slot].end(how, kill_at, fault) {
            self.actions.push(Action::End { slot, how });
        }
    }

    pub(super) fn end_all(&mut self, now: Time, how: EndBy) {
        for slot in self.slots.indices() {
            self.end(now, slot, how);
        }
    }

    /// Starts no further trials, and ends all workers.
    pub(super) fn stop(&mut self, now: Time, stop: Stop, how: EndBy) {
        // The first reason to give the sweep up is the one that is reported.
        if !matches!(self.stop, Some(Stop::Fatal(_))) {
            self.stop = Some(stop);
        }
        self.end_all(now, how);
    }
}
