//! What workers say: hello, the start of a trial, an epoch, a result or a failure.

use super::outcomes::{Attempt, shortened_id};
use super::slot::SlotState;
use super::{
    Action, AfterCommit, EndBy, FailureKind, Fatal, Notice, PlannedTrial, Reactor, Record,
    SlotIndex, Stop, Time,
};
use crate::grid::TrialId;
use crate::protocol::{FromWorker, Hello, PROTOCOL_VERSION, Position, Reported};
use crate::schedule::action::Failure;
use crate::schedule::out_of_memory;

impl Reactor {
    /// A worker says something.
    pub fn on_message(&mut self, now: Time, slot: SlotIndex, message: FromWorker) -> Vec<Action> {
        if let Some(worker) = self.slots[slot].worker_mut() {
            worker.last_seen = now;
        }
        if self.slots[slot].has_fault() {
            // It broke the protocol, or was given up as lost: nothing that it says is believed.
            return self.advance(now);
        }

        match (&self.slots[slot].state, message) {
            (_, FromWorker::Heartbeat) => return self.conclude(),
            // Its end is already known: the dispatcher reads nothing after it.
            (SlotState::Empty { .. }, _) => {}
            (SlotState::Starting { .. }, FromWorker::Hello(hello)) => {
                self.on_hello(now, slot, hello);
            }
            (SlotState::Starting { .. }, _) => {
                let message = "a message before hello".to_owned();
                self.blame(now, slot, FailureKind::Protocol, message);
            }
            (SlotState::Ending(_), FromWorker::Hello(_)) => return self.conclude(),
            (SlotState::Ready(_), FromWorker::Hello(_)) => {
                let message = "a second hello".to_owned();
                self.blame(now, slot, FailureKind::Protocol, message);
            }
            (_, FromWorker::Started { trial }) => match self.assigned_trial(slot, &trial) {
                Some(id) => return self.on_started(now, slot, id),
                None => self.blame_for_unknown_trial(now, slot, "started", &trial),
            },
            (
                _,
                FromWorker::Epoch {
                    trial,
                    position,
                    values,
                },
            ) => match self.started_trial(slot, &trial) {
                Some(trial) => return self.on_epoch(slot, trial, position, values),
                None => self.blame_for_unknown_trial(now, slot, "epoch", &trial),
            },
            (
                _,
                FromWorker::Done {
                    trial,
                    metrics,
                    same_as,
                    shared_epochs,
                },
            ) => match self.take_attempt(slot, &trial) {
                Some(attempt) => {
                    self.on_done(now, slot, attempt, metrics, same_as, shared_epochs);
                }
                None => self.blame_for_unknown_trial(now, slot, "done", &trial),
            },
            (
                _,
                FromWorker::Failed {
                    trial,
                    kind,
                    message,
                },
            ) => match self.take_attempt(slot, &trial) {
                Some(attempt) => {
                    let kind = out_of_memory::refine(kind, &message);
                    self.fail(now, slot, attempt, Failure { kind, message });
                }
                None => self.blame_for_unknown_trial(now, slot, "failed", &trial),
            },
        }
        self.advance(now)
    }

    /// A worker printed something that is not a message.
    pub fn on_garbage(&mut self, now: Time, slot: SlotIndex, what: String) -> Vec<Action> {
        self.blame(now, slot, FailureKind::Protocol, what);
        self.advance(now)
    }

    fn on_hello(&mut self, now: Time, slot: SlotIndex, hello: Hello) {
        if let Err(fatal) = self.check_hello(&hello) {
            return self.stop(now, Stop::Fatal(fatal), EndBy::Terminate);
        }
        self.slots[slot].become_ready(now, hello.pack as usize);
        self.slots[slot].start_failures = 0;
        self.slots[slot].idle_losses = 0;
        self.start_failures = 0;
        self.free.insert(slot);
        if self.settings.persistent {
            self.note_start(now, slot);
        }
        self.tell(Notice::WorkerReady { slot, hello });
    }

    /// Checks that a worker speaks this version of the protocol and reports the metric of the
    /// sweep.
    fn check_hello(&self, hello: &Hello) -> Result<(), Fatal> {
        let program = format!("{} {}", hello.program, hello.version);
        if hello.protocol != PROTOCOL_VERSION {
            return Err(Fatal::WrongProtocol {
                program,
                found: hello.protocol,
            });
        }
        let metric = &self.settings.metric;
        let needs_metric = !hello.metrics.is_empty() && !metric.is_empty();
        if needs_metric && !hello.metrics.contains(metric) {
            return Err(Fatal::NoMetric {
                program,
                metric: metric.clone(),
                known: hello.metrics.join(", "),
            });
        }
        Ok(())
    }

    /// A worker has started a trial that it was given.
    pub fn on_started(&mut self, now: Time, slot: SlotIndex, trial: TrialId) -> Vec<Action> {
        let Some(assignment) = self.slots[slot].assignment_mut(trial) else {
            return self.advance(now);
        };
        if assignment.started.is_some() {
            let message = format!("`started` twice for trial {trial}");
            self.blame(now, slot, FailureKind::Protocol, message);
            return self.advance(now);
        }

        self.mark_started(now, slot, trial);
        self.conclude()
    }

    /// Notes and records that a worker has started a trial that it has.
    pub(super) fn mark_started(&mut self, now: Time, slot: SlotIndex, trial: TrialId) {
        let Some(assignment) = self.slots[slot].assignment_mut(trial) else {
            return;
        };
        assignment.started = Some(now);
        assignment.finals.clone_from(&self.settings.finals);
        let trial = assignment.job.trial;
        self.note_start(now, slot);
        self.record(Record::Started { slot, trial }, AfterCommit::Nothing);
        self.tell(Notice::TrialStarted { slot, trial });
    }

    fn on_epoch(
        &mut self,
        slot: SlotIndex,
        trial: PlannedTrial,
        position: Position,
        values: Reported,
    ) -> Vec<Action> {
        self.warn_of_notes(trial, &values);
        if let Some(finals) = self.slots[slot]
            .assignment_mut(trial.id)
            .and_then(|assignment| assignment.finals.as_mut())
        {
            finals.record(position, &values.numbers);
        }
        let notice = Notice::Epoch {
            slot,
            trial,
            position,
            values: values.numbers.clone(),
        };
        let record = Record::Epoch {
            slot,
            trial,
            position,
            values,
        };
        self.record(record, AfterCommit::Nothing);
        self.tell(notice);
        self.conclude()
    }

    /// The trial of that name, if the worker has it. Each id has one spelling, so that it is enough
    /// to compare ids.
    fn assigned_trial(&mut self, slot: SlotIndex, trial: &str) -> Option<TrialId> {
        let id: TrialId = trial.parse().ok()?;
        self.slots[slot].assignment_mut(id).map(|_| id)
    }

    /// The trial of that name, if the worker has started it.
    fn started_trial(&mut self, slot: SlotIndex, trial: &str) -> Option<PlannedTrial> {
        let assignment = self.slots[slot].assignment_mut(trial.parse().ok()?)?;
        assignment.started.map(|_| assignment.job.trial)
    }

    /// Takes a trial that has been started off its worker.
    fn take_attempt(&mut self, slot: SlotIndex, trial: &str) -> Option<Attempt> {
        let id: TrialId = trial.parse().ok()?;
        let worker = self.slots[slot].worker_mut()?;
        let place = worker
            .assignments
            .iter()
            .position(|assignment| assignment.job.trial.id == id && assignment.started.is_some())?;
        let assignment = worker.assignments.remove(place);
        worker.last_ended = Some(id);
        self.free.insert(slot);
        Some(Attempt {
            job: assignment.job,
            started: assignment.started?,
            finals: assignment.finals,
        })
    }

    /// Ends a worker that spoke of a trial that it does not have, or had not started.
    fn blame_for_unknown_trial(&mut self, now: Time, slot: SlotIndex, what: &str, trial: &str) {
        let last_ended = self.slots[slot]
            .worker()
            .and_then(|worker| worker.last_ended);
        if last_ended.is_some_and(|ended| ended.to_string() == trial) {
            // The first result stands, and the trial that the worker has been given since is not to
            // blame.
            let message = format!("`{what}` for trial {trial}, which had ended already");
            self.blame_for_last_ended(now, slot, FailureKind::Protocol, message);
            return;
        }
        let shown = shortened_id(trial);
        let message = format!("`{what}` for trial {shown:?}, which this worker has not begun");
        self.blame(now, slot, FailureKind::Protocol, message);
    }
}
