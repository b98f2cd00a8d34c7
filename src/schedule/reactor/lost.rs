//! Workers that come and go: those that wait in a queue, and those that are taken away. A lost
//! worker costs only what it was at.

use super::{
    Action, Duration, Exit, FailureKind, Given, Notice, OnDisk, Reactor, Record, State, Time,
};

/// So often a trial may lose its worker before that is held against it: it may be what brings its
/// node down.
pub(super) const LOSSES: u32 = 10;
/// A worker is asked to end, or told so, a little before the end of its time; lost so near to it,
/// and in the last tenth, it was lost to it.
const NEAR: Duration = Duration::from_secs(120);
/// The longest pause before another worker is asked for in the place of one that was lost before it
/// did anything.
const LONGEST: u32 = 6;

impl Reactor {
    /// What a slot's process waited for is over: it runs, and in `ends_in` from now it will be
    /// ended by others.
    pub fn on_running(
        &mut self,
        now: Time,
        number: usize,
        ends_in: Option<Duration>,
    ) -> Vec<Action> {
        let slot = &mut self.slots[number];
        if slot.queued {
            self.actions.push(Action::Tell(Notice::Waits {
                slot: number,
                why: None,
            }));
        }
        (slot.queued, slot.last_seen) = (false, now);
        slot.ends = ends_in.map(|ends_in| now + ends_in);
        slot.nearly = ends_in.map(|ends_in| now + ends_in - NEAR.min(ends_in / 10));
        if let State::Starting(since) = &mut slot.state {
            *since = now;
        }
        if !self.settings.persistent
            && matches!(slot.state, State::Ready)
            && let Some(given) = slot
                .given
                .first_mut()
                .filter(|given| given.started.is_none())
        {
            // A program says nothing by itself: it has begun its trial by running.
            given.started = Some(now);
            let trial = given.job.trial;
            self.note_start(now, number);
            self.record(
                Record::Started {
                    slot: number,
                    trial,
                },
                OnDisk::Nothing,
            );
            self.actions.push(Action::Tell(Notice::TrialStarted {
                slot: number,
                trial,
            }));
        }
        self.settle(now)
    }

    /// A slot's process waits in a queue, and what for.
    pub fn on_waiting(&mut self, now: Time, number: usize, why: String) -> Vec<Action> {
        if self.slots[number].queued {
            self.actions.push(Action::Tell(Notice::Waits {
                slot: number,
                why: Some(why),
            }));
        }
        self.settle(now)
    }

    /// Whether a process still waits in a queue.
    pub fn is_queued(&self, number: usize) -> bool {
        self.slots[number].queued
    }

    /// Whether a slot's worker has not introduced itself yet.
    pub fn is_starting(&self, number: usize) -> bool {
        matches!(self.slots[number].state, State::Starting(_))
    }

    /// Whether a slot's worker must show that it lives: it has something to do, and somebody who
    /// speaks for it.
    pub(super) fn must_speak(&self, number: usize) -> bool {
        let slot = &self.slots[number];
        (self.settings.persistent || self.settings.agent) && !slot.given.is_empty() && !slot.queued
    }

    /// Whether a process that ended unwanted was taken away. Behind an agent silence means that
    /// too: the worker may be well, and its node gone.
    pub(super) fn was_lost(&self, exit: Exit, fault: Option<&(FailureKind, String)>) -> bool {
        match fault {
            Some((kind, _)) => *kind == FailureKind::LostHeartbeat && self.settings.agent,
            None => exit == Exit::Lost,
        }
    }

    /// A worker was taken away: what it was at begins anew, and another worker is asked for.
    pub(super) fn lost(&mut self, now: Time, number: usize, how: &str) -> Vec<Action> {
        let slot = &mut self.slots[number];
        let (first, nearly) = slot.vacate();
        slot.finished.clear();
        let given = std::mem::take(&mut slot.given);
        // Only a worker that did something is followed by another at once.
        let idle = !slot.greeted || given.iter().all(|given| given.started.is_none());
        slot.losses = if idle { slot.losses + 1 } else { 0 };
        let pause = if slot.losses == 0 {
            Duration::ZERO
        } else {
            Duration::from_secs(1 << slot.losses.min(LONGEST))
        };
        slot.state = State::Empty(now + pause);
        self.actions.push(Action::Tell(Notice::WorkerLost {
            slot: number,
            how: how.to_owned(),
        }));
        for Given {
            mut job, started, ..
        } in given.into_iter().rev()
        {
            let Some(since) = started else {
                self.put_back(job);
                continue;
            };
            job.losses += 1;
            let all_its_time =
                first == Some(job.trial.id) && nearly.is_some_and(|nearly| now >= nearly);
            if all_its_time && self.settings.all_end.is_none() {
                let message = format!(
                    "it takes longer than its worker may run ({how}): ask for more time, or for fewer epochs"
                );
                self.fail(now, number, job, since, FailureKind::Timeout, message);
            } else if job.losses >= LOSSES {
                let message = format!("its worker was lost {LOSSES} times; the last time: {how}");
                self.fail(now, number, job, since, FailureKind::LostHeartbeat, message);
            } else {
                self.record(
                    Record::Interrupted {
                        slot: number,
                        trial: job.trial,
                        message: how.to_owned(),
                    },
                    OnDisk::Nothing,
                );
                self.put_back(job);
            }
        }
        self.settle(now)
    }
}
