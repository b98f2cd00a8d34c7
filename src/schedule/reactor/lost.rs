//! Workers that wait in a queue, and workers that are taken away. A lost worker costs only the
//! trials that it was working on.

use super::outcomes::Attempt;
use super::slot::{Assignment, Departed, Expiry, Fault, SlotState};
use super::{Action, Duration, Exit, Failure, FailureKind, Notice, Reactor, SlotIndex, Time};

/// How often a trial may lose its worker before the attempt fails. A trial that crashes its node
/// looks exactly like one whose node was preempted, so it must not be tried again without a limit.
pub(super) const MAX_LOST_WORKERS: u32 = 10;

/// A worker lost within this margin of its time limit, or in the last tenth of its time, is taken
/// to have reached it: Slurm warns and ends jobs a little early.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);
/// The longest pause before another worker is asked for, as a power of two in seconds.
const MAX_LOSS_BACKOFF: u32 = 6;

impl Reactor {
    /// A slot's process does not wait in a queue any more: it runs, and the system will end it in
    /// `ends_in` from now.
    pub fn on_running(
        &mut self,
        now: Time,
        slot: SlotIndex,
        ends_in: Option<Duration>,
    ) -> Vec<Action> {
        if self.is_queued(slot) {
            self.tell(Notice::Waits { slot, why: None });
        }
        if let Some(process) = self.slots[slot].process_mut() {
            process.queued = false;
            process.expiry = ends_in.map(|ends_in| Expiry {
                at: now + ends_in,
                window_start: now + ends_in - EXPIRY_MARGIN.min(ends_in / 10),
            });
        }

        match &mut self.slots[slot].state {
            SlotState::Starting { since, .. } => *since = now,
            SlotState::Ready(worker) => {
                worker.last_seen = now;
                // A program does not speak: it has started its trial by running.
                if !self.settings.persistent
                    && let Some(first) = worker.assignments.first()
                    && first.started.is_none()
                {
                    let trial = first.job.trial.id;
                    self.mark_started(now, slot, trial);
                }
            }
            SlotState::Empty { .. } | SlotState::Ending(_) => {}
        }
        self.advance(now)
    }

    /// A slot's process waits in a queue, for the reason `why`.
    pub fn on_waiting(&mut self, now: Time, slot: SlotIndex, why: String) -> Vec<Action> {
        if self.is_queued(slot) {
            self.tell(Notice::Waits {
                slot,
                why: Some(why),
            });
        }
        self.advance(now)
    }

    /// Whether a slot's process still waits in a queue.
    pub fn is_queued(&self, slot: SlotIndex) -> bool {
        self.slots[slot].is_queued()
    }

    /// Whether a slot's worker has not said hello yet.
    pub fn is_starting(&self, slot: SlotIndex) -> bool {
        self.slots[slot].is_starting()
    }

    /// Whether a slot's worker must show that it is alive: it has trials, runs, and sends
    /// heartbeats itself or through an agent.
    pub(super) fn must_speak(&self, slot: SlotIndex) -> bool {
        let slot = &self.slots[slot];
        (self.settings.persistent || self.settings.agent)
            && !slot.assignments().is_empty()
            && !slot.is_queued()
    }

    /// Whether a process that ended unexpectedly was taken away. Behind an agent silence means that
    /// too: the worker may be well, and its node gone.
    pub(super) fn was_lost(&self, exit: Exit, fault: Option<&Fault>) -> bool {
        match fault {
            Some(fault) => fault.failure.kind == FailureKind::LostHeartbeat && self.settings.agent,
            None => exit == Exit::Lost,
        }
    }

    /// Handles a worker that was taken away (preempted, node down, connection lost).
    ///
    /// Its trials go back to the queue, and another worker is asked for, after a backoff if this
    /// one was lost before it started a trial.
    pub(super) fn on_lost(
        &mut self,
        now: Time,
        slot: SlotIndex,
        departed: Departed,
        how: &str,
    ) -> Vec<Action> {
        let lost = &mut self.slots[slot];
        if departed.was_ready && departed.has_started_a_trial() {
            lost.idle_losses = 0;
        } else {
            lost.idle_losses += 1;
            let backoff = Duration::from_secs(1 << lost.idle_losses.min(MAX_LOSS_BACKOFF));
            lost.state = SlotState::Empty {
                until: now + backoff,
            };
        }
        self.tell(Notice::WorkerLost {
            slot,
            how: how.to_owned(),
        });

        // The trial that the worker was given first has had all of the worker's time.
        let timed_out = departed
            .process
            .expiry
            .filter(|expiry| now >= expiry.window_start && self.settings.all_end.is_none())
            .and(departed.process.first_trial);
        for assignment in departed.assignments.into_iter().rev() {
            let has_timed_out = timed_out == Some(assignment.job.trial.id);
            self.requeue_or_fail(now, slot, assignment, has_timed_out, how);
        }
        self.advance(now)
    }

    /// Queues a trial again whose worker was lost, or counts that as a failed attempt.
    fn requeue_or_fail(
        &mut self,
        now: Time,
        slot: SlotIndex,
        assignment: Assignment,
        has_timed_out: bool,
        how: &str,
    ) {
        let mut job = assignment.job;
        let Some(started) = assignment.started else {
            self.put_back(job);
            return;
        };
        job.losses += 1;

        let failure = if has_timed_out {
            Failure {
                kind: FailureKind::Timeout,
                message: format!(
                    "it takes longer than its worker may run ({how}): ask for more time, or for fewer epochs"
                ),
            }
        } else if job.losses >= MAX_LOST_WORKERS {
            Failure {
                kind: FailureKind::LostHeartbeat,
                message: format!(
                    "its worker was lost {MAX_LOST_WORKERS} times; the last time: {how}"
                ),
            }
        } else {
            self.record_interrupted(slot, job.trial, how.to_owned());
            self.put_back(job);
            return;
        };
        let attempt = Attempt {
            job,
            started,
            finals: None,
        };
        self.fail(now, slot, attempt, failure);
    }
}
