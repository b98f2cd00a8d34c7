//! How attempts at trials end: with a result, or with a failure that may be tried again.

use super::slot::Job;
use super::{
    AfterCommit, EndBy, Failure, FailureKind, Notice, PlannedTrial, Reactor, Record, SlotIndex,
    Stop, Time,
};
use crate::grid::TrialId;
use crate::plan::{Finals, Shared};
use crate::protocol::{Reported, note_text};
use crate::schedule::failures::recorded;

/// How much of an unknown trial id a message shows, in characters.
const MAX_SHOWN_ID: usize = 40;

/// An attempt at a trial that has just ended.
#[derive(Debug)]
pub(super) struct Attempt {
    pub job: Job,
    pub started: Time,
    /// What its final metrics depend on, if not on its last values.
    pub finals: Option<Finals>,
}

impl Reactor {
    /// A worker has a result. `same_as` and `shared_epochs` say what it took from another trial.
    pub(super) fn on_done(
        &mut self,
        now: Time,
        slot: SlotIndex,
        attempt: Attempt,
        metrics: Reported,
        same_as: Option<String>,
        shared_epochs: u32,
    ) {
        if let Some(message) = self.missing_metric(&metrics) {
            let kind = FailureKind::MissingMetric;
            return self.fail(now, slot, attempt, Failure { kind, message });
        }
        let same_as = match same_as {
            None => None,
            Some(other) => match self.finished_trial(slot, &other) {
                Some(id) => Some(id),
                None => return self.reject_same_as(now, slot, attempt, &other),
            },
        };

        let Attempt {
            job,
            started,
            finals,
        } = attempt;
        let trial = job.trial;
        let duration = now.saturating_sub(started);
        self.failures.done();
        self.note_duration(trial.arm, duration);
        if job.group().is_some() {
            if let Some(worker) = self.slots[slot].worker_mut() {
                worker.finished.insert(trial.id);
            }
            self.queue.on_finished(slot, job.group(), duration);
        }
        self.warn_of_notes(trial, &metrics);

        // The ledger keeps what was reported, and applies the rule when it is read.
        let final_metrics = match finals {
            Some(finals) => finals.finish(&metrics.numbers),
            None => metrics.numbers.clone(),
        };
        self.on_result(&trial, &final_metrics);
        let notice = Notice::TrialDone {
            slot,
            trial,
            metrics: final_metrics,
            duration,
        };
        let record = Record::Done {
            slot,
            trial,
            metrics,
            shared: Shared {
                same_as,
                epochs: shared_epochs,
            },
            duration,
        };
        self.record(record, AfterCommit::Tell(notice));
    }

    /// What is wrong with a result that lacks the metric of the sweep.
    fn missing_metric(&self, metrics: &Reported) -> Option<String> {
        let metric = &self.settings.metric;
        if metric.is_empty() || metrics.get(metric).is_some() {
            return None;
        }
        Some(match metrics.notes.get(metric) {
            Some(value) => format!(
                "the metric {metric:?} that the sweep selects by is not a number in the result: {}",
                note_text(value)
            ),
            None => format!("the result has no metric {metric:?}"),
        })
    }

    /// The trial of that name, if the worker has finished it and it is of the present group.
    fn finished_trial(&self, slot: SlotIndex, trial: &str) -> Option<TrialId> {
        let id = trial.parse().ok()?;
        let worker = self.slots[slot].worker()?;
        worker.finished.contains(&id).then_some(id)
    }

    /// Fails a trial whose result is said to be that of a trial that the worker has not finished.
    fn reject_same_as(&mut self, now: Time, slot: SlotIndex, attempt: Attempt, other: &str) {
        let kind = FailureKind::Protocol;
        let message = format!(
            "`same_as` names trial {:?}, which is not one of the group that this worker has finished",
            shortened_id(other)
        );
        let failure = Failure {
            kind,
            message: message.clone(),
        };
        self.fail(now, slot, attempt, failure);
        self.blame_for_last_ended(now, slot, kind, message);
    }

    /// Tells once in a sweep that values are not numbers: a program that logs text does so on every
    /// line.
    pub(super) fn warn_of_notes(&mut self, trial: PlannedTrial, values: &Reported) {
        if values.notes.is_empty() || self.settings.warned_of_notes {
            return;
        }
        self.settings.warned_of_notes = true;
        self.tell(Notice::Noted {
            trial,
            notes: values.notes.clone(),
        });
    }

    /// Records a failed attempt, and plans the next one if there is to be one.
    pub(super) fn fail(&mut self, now: Time, slot: SlotIndex, attempt: Attempt, failure: Failure) {
        let mut job = attempt.job;
        job.failures += 1;
        let kind = failure.kind;
        let message = recorded(failure.message);
        let device = self.slots[slot].device;
        if kind == FailureKind::OutOfMemory && self.devices[device].len() > 1 {
            job.alone = true;
            job.own_device = Some(device);
        }

        let trial = job.trial;
        let retry_in = self
            .failures
            .failed(slot, trial.arm, job.failures, kind, &message);
        let notice = Notice::TrialFailed {
            slot,
            trial,
            kind,
            message: message.clone(),
            retry_in,
        };
        let record = Record::Failed {
            slot,
            trial,
            kind,
            message,
            permanent: retry_in.is_none(),
            duration: now.saturating_sub(attempt.started),
        };
        self.record(record, AfterCommit::Tell(notice));

        if let Some(pause) = retry_in {
            let due = now + pause;
            let place = self.delayed.partition_point(|(at, _)| *at <= due);
            self.delayed.insert(place, (due, job));
        }
        if self.stop.is_none()
            && let Some(fatal) = self.failures.fatal().cloned()
        {
            self.stop(now, Stop::Fatal(fatal), EndBy::Terminate);
        }
    }

    /// Records an attempt that was cut off and does not count.
    pub(super) fn record_interrupted(
        &mut self,
        slot: SlotIndex,
        trial: PlannedTrial,
        message: String,
    ) {
        let record = Record::Interrupted {
            slot,
            trial,
            message,
        };
        self.record(record, AfterCommit::Nothing);
    }
}

/// The beginning of what should be a trial's id, for a message.
pub(super) fn shortened_id(text: &str) -> String {
    text.chars().take(MAX_SHOWN_ID).collect()
}
