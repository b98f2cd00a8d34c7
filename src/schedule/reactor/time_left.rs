//! Workers whose time is limited: none is given a trial that cannot finish. What a trial takes is
//! the longest that one of its arm has taken, and a tenth more; while that is not known, it is
//! given out.

use super::{Action, Duration, EndBy, Fatal, Notice, Reactor, State, Stop, Time};

impl Reactor {
    /// A trial of that arm took so long.
    pub(super) fn learn(&mut self, arm: usize, duration: Duration) {
        if self.longest.len() <= arm {
            self.longest.resize(arm + 1, None);
        }
        self.longest[arm] = self.longest[arm].max(Some(duration));
    }

    fn expected(&self, arm: usize) -> Option<Duration> {
        self.longest
            .get(arm)
            .copied()
            .flatten()
            .map(|longest| longest + longest / 10)
    }

    /// When a slot's worker will be ended by others. None: it will not. One that has had no trial
    /// yet has all the time that one can get: if a trial does not fit into that, it must be tried.
    fn end_of(&self, number: usize) -> Option<Time> {
        let slot = &self.slots[number];
        let own = slot
            .ends
            .filter(|_| !slot.fresh && self.settings.persistent);
        match (own, self.settings.all_end) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        }
    }

    /// Whether the next trial of the queue can finish in a slot.
    pub(super) fn next_fits(&self, now: Time, number: usize) -> bool {
        let Some(end) = self.end_of(number) else {
            return true;
        };
        let next = self.queue.peek(number).or_else(|| self.solitary.first());
        let expected = next.and_then(|job| self.expected(job.trial.arm.0));
        expected.is_none_or(|expected| now + expected <= end)
    }

    /// How many trials like the next one can finish one after the other; at least one.
    pub(super) fn room(&self, now: Time, number: usize) -> usize {
        let expected = self
            .queue
            .peek(number)
            .and_then(|job| self.expected(job.trial.arm.0));
        match (self.end_of(number), expected) {
            (Some(end), Some(expected)) if !expected.is_zero() => {
                let times = end.saturating_sub(now).as_secs_f64() / expected.as_secs_f64();
                (times as usize).max(1)
            }
            _ => usize::MAX,
        }
    }

    /// An idle worker has no time left for any trial: another one will have it. Within an
    /// allocation there is none.
    pub(super) fn renew(&mut self, now: Time, number: usize) {
        if self.settings.all_end.is_none() {
            self.end(now, number, EndBy::Close);
        }
    }

    /// Stops the sweep where nothing runs and nothing that is left can finish in the allocation.
    pub(super) fn notice_end_of_time(&mut self, now: Time) {
        let Some(end) = self.settings.all_end else {
            return;
        };
        let idle = self.in_flight() == 0
            && !self
                .slots
                .iter()
                .any(|slot| matches!(slot.state, State::Starting(_)));
        if !idle
            || self.left() == 0
            || (0..self.slots.len()).any(|number| self.next_fits(now, number))
        {
            return;
        }
        let left = end.saturating_sub(now);
        if self.handed_out {
            self.actions.push(Action::Tell(Notice::OutOfTime { left }));
            self.stop(now, Stop::OutOfTime, EndBy::Close);
        } else {
            let longest = self
                .longest
                .iter()
                .flatten()
                .max()
                .copied()
                .unwrap_or_default();
            let what = format!("trials have taken up to {} s", longest.as_secs());
            self.stop(
                now,
                Stop::Fatal(Fatal::NoTime {
                    left: left.as_secs(),
                    what,
                }),
                EndBy::Close,
            );
        }
    }
}
