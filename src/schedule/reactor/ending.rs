//! How the reactor ends workers: for a limit that was passed, for a lie, for a stop.

use super::{Action, Duration, EndBy, FailureKind, Reactor, State, Stop, Time};

impl Reactor {
    /// The time limit that a trial of that slot's worker has passed.
    pub(super) fn overdue(&self, now: Time, number: usize) -> Option<Duration> {
        self.slots[number].given.iter().find_map(|given| {
            let limit = self.failures.timeout(given.job.trial.arm.0)?;
            (now.saturating_sub(given.started? + given.unheard) > limit).then_some(limit)
        })
    }

    /// Ends a worker whose trial takes too long: with a warning first, so that it may put its
    /// things in order.
    pub(super) fn time_out(&mut self, now: Time, number: usize) {
        if let Some(limit) = self.overdue(now, number) {
            let message = format!(
                "it took longer than {} s, which is the limit (`timeout`)",
                limit.as_secs()
            );
            self.slots[number].fault = Some((FailureKind::Timeout, message));
            self.end(now, number, EndBy::Terminate);
        }
    }

    /// A worker spoke of a trial that it does not have, or had not begun.
    pub(super) fn blame_stranger(&mut self, now: Time, number: usize, what: &str, trial: &str) {
        let slot = &mut self.slots[number];
        if slot.ended.is_some_and(|ended| ended.to_string() == trial) {
            // The trial that it has been given since is not to blame, and the first result stands.
            slot.fault_of_ended = true;
            return self.blame(
                now,
                number,
                FailureKind::Protocol,
                format!("`{what}` for trial {trial}, which had ended already"),
            );
        }
        let shown: String = trial.chars().take(40).collect();
        self.blame(
            now,
            number,
            FailureKind::Protocol,
            format!("`{what}` for trial {shown:?}, which this worker has not begun"),
        );
    }

    /// Ends a worker at once by its own fault, unless it is being ended anyhow.
    pub(super) fn blame(&mut self, now: Time, number: usize, kind: FailureKind, message: String) {
        if matches!(self.slots[number].state, State::Starting(_) | State::Ready) {
            self.slots[number].fault = Some((kind, message));
            self.end(now, number, EndBy::Kill);
        }
    }

    pub(super) fn end(&mut self, now: Time, number: usize, how: EndBy) {
        let slot = &mut self.slots[number];
        match slot.state {
            State::Empty(_) => return,
            State::Ending(already, _) if already >= how => return,
            State::Starting(_) | State::Ready | State::Ending(..) => {}
        }
        slot.state = State::Ending(how, now + self.settings.grace);
        self.actions.push(Action::End { slot: number, how });
    }

    pub(super) fn end_all(&mut self, now: Time, how: EndBy) {
        for number in 0..self.slots.len() {
            self.end(now, number, how);
        }
    }

    pub(super) fn stop(&mut self, now: Time, stop: Stop, how: EndBy) {
        if !matches!(self.stop, Some(Stop::Fatal(_))) {
            self.stop = Some(stop);
        }
        self.end_all(now, how);
    }
}
