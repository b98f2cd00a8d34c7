//! The coordinator's side of a conversation with a worker that is being checked: sends, waits, and
//! compares each message with the protocol.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Subject;
use super::answer::{Answer, Answers, name};
use super::error::WorkerError;
use crate::protocol::{FromWorker, Hello, ToWorker, TrialRequest, encode_line};
use crate::schedule::budget::{self, Budget};
use crate::schedule::launch::{self, CommandLine, Incoming, LocalWorker, SpawnPlan};
use crate::schedule::process_groups::signal_group;

/// How many messages may wait to be checked.
const MAX_QUEUED_MESSAGES: usize = 64;

/// A worker that is being checked.
pub(super) struct Partner {
    pid: u32,
    local: Option<LocalWorker>,
    incoming: mpsc::Receiver<Incoming>,
    exit: Option<String>,
}

impl Partner {
    pub(crate) fn start(subject: &Subject) -> std::io::Result<Self> {
        let plan = SpawnPlan {
            line: CommandLine {
                command: subject.command.clone(),
                environment: subject.environment.iter().cloned().collect(),
                ..CommandLine::default()
            },
            log: subject.log.clone(),
            agent: false,
        };
        let (sender, incoming) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let budget = Budget::new(budget::LIMIT);
        let local = launch::spawn(&plan, budget, move |incoming| {
            forward(incoming, sender.clone())
        })
        .map_err(|refusal| refusal.error)?;
        Ok(Self {
            pid: local.pid,
            local: Some(local),
            incoming,
            exit: None,
        })
    }

    /// Waits for the first message, which must be a hello.
    pub(crate) async fn hello(&mut self, timeout: Duration) -> Result<Hello, WorkerError> {
        match self.next(Instant::now() + timeout).await? {
            FromWorker::Hello(hello) => Ok(hello),
            other => Err(WorkerError::NotHello(name(&other))),
        }
    }

    /// Sends trials and waits until each has ended.
    pub(crate) async fn run(
        &mut self,
        bundle: &[TrialRequest],
        timeout: Duration,
    ) -> Result<Vec<Answer>, WorkerError> {
        self.ask(bundle, false, timeout).await
    }

    /// The same, for trials that may be computed together.
    pub(crate) async fn share(
        &mut self,
        bundle: &[TrialRequest],
        timeout: Duration,
    ) -> Result<Vec<Answer>, WorkerError> {
        self.ask(bundle, true, timeout).await
    }

    async fn ask(
        &mut self,
        bundle: &[TrialRequest],
        share: bool,
        timeout: Duration,
    ) -> Result<Vec<Answer>, WorkerError> {
        self.send(bundle, share);
        let mut answers = Answers::new(bundle, share);
        let until = Instant::now() + timeout * bundle.len() as u32;
        while !answers.are_complete() {
            let message = self.next(until).await?;
            answers.take(message)?;
        }
        Ok(answers.into_inner())
    }

    /// Sends a trial and waits until it has started.
    pub(crate) async fn begin(
        &mut self,
        request: &TrialRequest,
        timeout: Duration,
    ) -> Result<(), WorkerError> {
        self.send(std::slice::from_ref(request), false);
        match self.next(Instant::now() + timeout).await? {
            FromWorker::Started { .. } => Ok(()),
            other => Err(WorkerError::NotStarted(name(&other))),
        }
    }

    fn send(&self, bundle: &[TrialRequest], share: bool) {
        let line = encode_line(&ToWorker::Run {
            bundle: bundle.to_vec(),
            share,
        });
        let stdin = self.local.as_ref().and_then(|local| local.stdin.as_ref());
        if let Some(stdin) = stdin {
            // If the worker has exited, the next message tells.
            let _ = stdin.send(line);
        }
    }

    /// Closes the worker's stdin.
    pub(crate) fn close(&mut self) {
        self.local = None;
    }

    /// Waits for the worker's exit; returns how it exited, if it did so in time.
    pub(crate) async fn wait(&mut self, timeout: Duration) -> Option<String> {
        let until = Instant::now() + timeout;
        while self.exit.is_none() {
            // Its last messages do not matter.
            if self.next(until).await.is_err() && self.exit.is_none() {
                return None;
            }
        }
        self.exit.clone()
    }

    pub(crate) fn kill(&mut self) {
        self.local = None;
        if self.exit.is_none() {
            signal_group(self.pid, Signal::SIGKILL);
        }
    }

    /// Waits for the next message that is not a heartbeat.
    async fn next(&mut self, until: Instant) -> Result<FromWorker, WorkerError> {
        loop {
            let incoming = timeout_at(until, self.incoming.recv())
                .await
                .map_err(|_| WorkerError::Silent)?
                .ok_or(WorkerError::Gone)?;
            match incoming {
                Incoming::Message(FromWorker::Heartbeat) => {}
                Incoming::Message(message) => return Ok(message),
                // `forward` splits them, and there is no agent.
                Incoming::Messages(..) | Incoming::Running { .. } | Incoming::Alive => {}
                Incoming::Garbage(error) => return Err(WorkerError::Garbage(error)),
                Incoming::Misreport(error) => return Err(WorkerError::Unread(error.to_string())),
                Incoming::Unread(why) => return Err(WorkerError::Unread(why)),
                Incoming::Ended(exit, _) | Incoming::Exit(exit, _) => {
                    let how = exit.describe("worker", "".into()).message;
                    self.exit = Some(how.clone());
                    return Err(WorkerError::Exited(how));
                }
            }
        }
    }
}

/// Passes on what comes from the worker, one message at a time.
async fn forward(incoming: Incoming, sender: mpsc::Sender<Incoming>) {
    // Sending fails only after the check is over.
    match incoming {
        Incoming::Messages(messages, _held) => {
            for message in messages {
                drop(sender.send(Incoming::Message(message)).await);
            }
        }
        other => drop(sender.send(other).await),
    }
}
