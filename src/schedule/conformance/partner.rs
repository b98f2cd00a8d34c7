//! The coordinator's side of one conversation with a worker that is being checked: sends, waits,
//! and holds each message against the protocol.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Subject;
use crate::protocol::{
    FailureKind, FromWorker, Hello, Position, Reported, ToWorker, TrialRequest, encode_line,
};
use crate::schedule::budget::{self, Budget};
use crate::schedule::launch::{self, CommandLine, Incoming, LocalWorker, SpawnPlan};
use crate::schedule::processes::signal_group;

/// Messages that may wait to be checked.
const QUEUE: usize = 64;

/// What a worker answered about one trial.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub history: Vec<(Position, Reported)>,
    pub metrics: Option<Reported>,
    pub failure: Option<(FailureKind, String)>,
    pub same_as: Option<String>,
    pub shared_epochs: u32,
    started: bool,
}

impl Answer {
    fn ended(&self) -> bool {
        self.metrics.is_some() || self.failure.is_some()
    }
}

/// A worker that is being checked.
pub(super) struct Partner {
    pid: u32,
    local: Option<LocalWorker>,
    incoming: mpsc::Receiver<Incoming>,
    exit: Option<String>,
}

impl Partner {
    pub fn start(subject: &Subject) -> std::io::Result<Self> {
        let plan = SpawnPlan {
            line: CommandLine {
                command: subject.command.clone(),
                environment: subject.environment.iter().cloned().collect(),
                ..CommandLine::default()
            },
            log: subject.log.clone(),
            agent: false,
        };
        let (report, incoming) = mpsc::channel(QUEUE);
        let local = launch::spawn(&plan, Budget::new(budget::LIMIT), move |incoming| {
            let report = report.clone();
            async move {
                // If nobody listens any more, the check is over.
                match incoming {
                    Incoming::Messages(messages, _held) => {
                        for message in messages {
                            drop(report.send(Incoming::Message(message)).await);
                        }
                    }
                    other => drop(report.send(other).await),
                }
            }
        })
        .map_err(|refusal| refusal.error)?;
        Ok(Self {
            pid: local.pid,
            local: Some(local),
            incoming,
            exit: None,
        })
    }

    /// The first message, which must be a hello.
    pub async fn hello(&mut self, patience: Duration) -> Result<Hello, String> {
        match self.next(Instant::now() + patience).await? {
            FromWorker::Hello(hello) => Ok(hello),
            other => Err(format!("its first message is `{}`", name(&other))),
        }
    }

    /// Sends trials and waits until each has ended.
    pub async fn run(
        &mut self,
        bundle: &[TrialRequest],
        patience: Duration,
    ) -> Result<Vec<Answer>, String> {
        self.ask(bundle, false, patience).await
    }

    /// The same, of trials that may be computed together.
    pub async fn share(
        &mut self,
        bundle: &[TrialRequest],
        patience: Duration,
    ) -> Result<Vec<Answer>, String> {
        self.ask(bundle, true, patience).await
    }

    async fn ask(
        &mut self,
        bundle: &[TrialRequest],
        share: bool,
        patience: Duration,
    ) -> Result<Vec<Answer>, String> {
        self.send(bundle, share);
        let mut answers = vec![Answer::default(); bundle.len()];
        let until = Instant::now() + patience * bundle.len() as u32;
        while answers.iter().any(|answer| !answer.ended()) {
            let message = self.next(until).await?;
            take(&mut answers, (bundle, share), message)?;
        }
        Ok(answers)
    }

    /// Sends a trial and waits until it has begun.
    pub async fn begin(
        &mut self,
        request: &TrialRequest,
        patience: Duration,
    ) -> Result<(), String> {
        self.send(std::slice::from_ref(request), false);
        match self.next(Instant::now() + patience).await? {
            FromWorker::Started { .. } => Ok(()),
            other => Err(format!("it answered `{}` and not `started`", name(&other))),
        }
    }

    fn send(&self, bundle: &[TrialRequest], share: bool) {
        if let Some(local) = &self.local {
            let line = encode_line(&ToWorker::Run {
                bundle: bundle.to_vec(),
                share,
            });
            // If it has gone, the next message is its exit.
            let _ = local.stdin.as_ref().map(|stdin| stdin.send(line));
        }
    }

    /// Closes its stdin.
    pub fn close(&mut self) {
        self.local = None;
    }

    /// How it ended, if it does so in time.
    pub async fn wait(&mut self, patience: Duration) -> Option<String> {
        let until = Instant::now() + patience;
        while self.exit.is_none() {
            // Whatever it still says does not matter.
            if self.next(until).await.is_err() && self.exit.is_none() {
                return None;
            }
        }
        self.exit.clone()
    }

    pub fn kill(&mut self) {
        self.local = None;
        if self.exit.is_none() {
            signal_group(self.pid, Signal::SIGKILL);
        }
    }

    /// The next message but heartbeats.
    async fn next(&mut self, until: Instant) -> Result<FromWorker, String> {
        loop {
            match timeout_at(until, self.incoming.recv()).await {
                Ok(Some(Incoming::Message(FromWorker::Heartbeat))) => {}
                Ok(Some(Incoming::Message(message))) => return Ok(message),
                // They come one at a time, see `start`.
                Ok(Some(Incoming::Messages(..) | Incoming::Running { .. } | Incoming::Alive)) => {}
                Ok(Some(Incoming::Garbage(error))) => return Err(format!("it printed {error}")),
                Ok(Some(Incoming::Misreport(what) | Incoming::Unread(what))) => return Err(what),
                Ok(Some(Incoming::Ended(exit, _) | Incoming::Exit(exit, _))) => {
                    let (_, how) = exit.describe("worker", "");
                    self.exit = Some(how.clone());
                    return Err(how);
                }
                Ok(None) => return Err("it has ended".to_owned()),
                Err(_) => return Err("it said nothing in time".to_owned()),
            }
        }
    }
}

/// Puts a message where it belongs, or says what is wrong with it.
fn take(
    answers: &mut [Answer],
    (bundle, share): (&[TrialRequest], bool),
    message: FromWorker,
) -> Result<(), String> {
    let what = name(&message);
    let trial = match &message {
        FromWorker::Started { trial }
        | FromWorker::Epoch { trial, .. }
        | FromWorker::Done { trial, .. }
        | FromWorker::Failed { trial, .. } => trial,
        FromWorker::Hello(_) => return Err("it said `hello` a second time".to_owned()),
        FromWorker::Heartbeat => return Ok(()),
    };
    let Some(place) = bundle.iter().position(|request| request.trial == *trial) else {
        return Err(format!(
            "`{what}` is about trial {:?}, which it does not have",
            trial.chars().take(40).collect::<String>()
        ));
    };
    if let FromWorker::Done {
        same_as,
        shared_epochs,
        ..
    } = &message
    {
        if !share && (same_as.is_some() || *shared_epochs > 0) {
            return Err(
                "it shared work although `run` did not say `share`: such a trial may be timed"
                    .to_owned(),
            );
        }
        let known = |other: &String| {
            bundle
                .iter()
                .zip(&*answers)
                .any(|(request, answer)| request.trial == *other && answer.metrics.is_some())
        };
        if let Some(other) = same_as.as_ref().filter(|other| !known(other)) {
            let shown: String = other.chars().take(40).collect();
            return Err(format!(
                "`same_as` names trial {shown:?}, which is not one of the group that it has finished"
            ));
        }
    }
    let answer = &mut answers[place];
    match message {
        FromWorker::Started { .. } if answer.started => {
            return Err("it said `started` twice for one trial".to_owned());
        }
        FromWorker::Started { .. } => answer.started = true,
        _ if !answer.started => return Err(format!("it said `{what}` before `started`")),
        _ if answer.ended() => {
            return Err(format!("it said `{what}` about a trial that had ended"));
        }
        FromWorker::Epoch {
            position, values, ..
        } => answer.history.push((position, values)),
        FromWorker::Done {
            metrics,
            same_as,
            shared_epochs,
            ..
        } => {
            (answer.metrics, answer.same_as, answer.shared_epochs) =
                (Some(metrics), same_as, shared_epochs);
        }
        FromWorker::Failed { kind, message, .. } => answer.failure = Some((kind, message)),
        FromWorker::Hello(_) | FromWorker::Heartbeat => {}
    }
    Ok(())
}

fn name(message: &FromWorker) -> &'static str {
    match message {
        FromWorker::Hello(_) => "hello",
        FromWorker::Started { .. } => "started",
        FromWorker::Epoch { .. } => "epoch",
        FromWorker::Done { .. } => "done",
        FromWorker::Failed { .. } => "failed",
        FromWorker::Heartbeat => "heartbeat",
    }
}
