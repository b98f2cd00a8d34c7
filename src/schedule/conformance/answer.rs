//! What a worker that is being checked answers about its trials.

use super::error::WorkerError;
use crate::protocol::{FailureKind, FromWorker, Position, Reported, TrialRequest};

/// How much of an unknown trial id a message shows, in characters.
const MAX_SHOWN_ID: usize = 40;

/// What a worker answered about one trial.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub history: Vec<(Position, Reported)>,
    pub metrics: Option<Reported>,
    pub failure: Option<(FailureKind, String)>,
    pub same_as: Option<String>,
    pub shared_epochs: u32,
    has_started: bool,
}

impl Answer {
    fn has_ended(&self) -> bool {
        self.metrics.is_some() || self.failure.is_some()
    }
}

/// The answers about the trials of a bundle.
pub(super) struct Answers<'a> {
    bundle: &'a [TrialRequest],
    /// Whether the trials may be computed together.
    share: bool,
    answers: Vec<Answer>,
}

impl<'a> Answers<'a> {
    /// There is no answer yet.
    pub(crate) fn new(bundle: &'a [TrialRequest], share: bool) -> Self {
        Self {
            bundle,
            share,
            answers: vec![Answer::default(); bundle.len()],
        }
    }

    /// Whether each trial has ended.
    pub(crate) fn are_complete(&self) -> bool {
        self.answers.iter().all(Answer::has_ended)
    }

    /// The answers in the order of the bundle.
    pub(crate) fn into_inner(self) -> Vec<Answer> {
        self.answers
    }

    /// Takes a message into the answer that it belongs to.
    ///
    /// # Errors
    /// `WorkerError`, if the message does not follow the protocol.
    pub(crate) fn take(&mut self, message: FromWorker) -> Result<(), WorkerError> {
        let what = name(&message);
        let trial = match &message {
            FromWorker::Started { trial }
            | FromWorker::Epoch { trial, .. }
            | FromWorker::Done { trial, .. }
            | FromWorker::Failed { trial, .. } => trial,
            FromWorker::Hello(_) => return Err(WorkerError::SecondHello),
            FromWorker::Heartbeat => return Ok(()),
        };
        let place = self
            .bundle
            .iter()
            .position(|request| request.trial == *trial)
            .ok_or_else(|| WorkerError::UnknownTrial {
                message: what,
                trial: shortened(trial),
            })?;
        self.check_sharing(&message)?;

        let answer = &mut self.answers[place];
        if let FromWorker::Started { .. } = message {
            if answer.has_started {
                return Err(WorkerError::StartedTwice);
            }
            answer.has_started = true;
            return Ok(());
        }
        if !answer.has_started {
            return Err(WorkerError::BeforeStarted(what));
        }
        if answer.has_ended() {
            return Err(WorkerError::AfterEnd(what));
        }
        match message {
            FromWorker::Epoch {
                position, values, ..
            } => answer.history.push((position, values)),
            FromWorker::Done {
                metrics,
                same_as,
                shared_epochs,
                ..
            } => {
                answer.metrics = Some(metrics);
                answer.same_as = same_as;
                answer.shared_epochs = shared_epochs;
            }
            FromWorker::Failed { kind, message, .. } => answer.failure = Some((kind, message)),
            FromWorker::Hello(_) | FromWorker::Started { .. } | FromWorker::Heartbeat => {}
        }
        Ok(())
    }

    /// Checks that a result was shared only if that was allowed, and with a finished trial.
    fn check_sharing(&self, message: &FromWorker) -> Result<(), WorkerError> {
        let FromWorker::Done {
            same_as,
            shared_epochs,
            ..
        } = message
        else {
            return Ok(());
        };
        if !self.share && (same_as.is_some() || *shared_epochs > 0) {
            return Err(WorkerError::UnwantedSharing);
        }
        match same_as {
            Some(other) if !self.has_finished(other) => {
                Err(WorkerError::UnknownSameAs(shortened(other)))
            }
            _ => Ok(()),
        }
    }

    fn has_finished(&self, trial: &str) -> bool {
        self.bundle
            .iter()
            .zip(&self.answers)
            .any(|(request, answer)| request.trial == trial && answer.metrics.is_some())
    }
}

/// The beginning of what should be a trial's id, for a message.
fn shortened(trial: &str) -> String {
    trial.chars().take(MAX_SHOWN_ID).collect()
}

/// The name of a message in the protocol.
pub(super) fn name(message: &FromWorker) -> &'static str {
    match message {
        FromWorker::Hello(_) => "hello",
        FromWorker::Started { .. } => "started",
        FromWorker::Epoch { .. } => "epoch",
        FromWorker::Done { .. } => "done",
        FromWorker::Failed { .. } => "failed",
        FromWorker::Heartbeat => "heartbeat",
    }
}
