//! Keeps a sweep up to date on its own thread, answers questions about it, and publishes updates.
//! Everything that reads the ledger happens there, so that answers are consistent with each other
//! and no lock is needed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{broadcast, oneshot};

use super::list::Listed;
use super::overview::{Sections, object, sections};
use crate::grid::TrialId;
use crate::ledger::Reader;
use crate::monitor::Sweep;
use crate::secrets::Secrets;

/// Minimum time between two polls of the ledger.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How many times longer the pause after a poll is than the poll itself: the machine belongs to the
/// trials.
const PAUSE_FACTOR: u32 = 5;
/// Number of updates that a slow page may lag behind before it gets a whole snapshot.
const MAX_LAG: usize = 16;

/// Returns the command line that runs a trial again, from the ledger, the sweep, the trial and the
/// index of its arm.
pub type Rerun = Box<dyn Fn(&Reader, &Sweep, TrialId, usize) -> String + Send>;

type Job = Box<dyn FnOnce(&mut State) + Send>;

/// A handle of the thread, to ask and to listen.
#[derive(Clone)]
pub struct Engine {
    jobs: Sender<Job>,
    updates: broadcast::Sender<Arc<Update>>,
}

/// Sections that have changed.
#[derive(Clone, Debug)]
pub struct Update {
    /// The version of the sweep after the change.
    pub version: u64,
    /// A JSON object.
    pub json: String,
}

/// The state of the thread.
pub struct State {
    /// The sweep.
    pub sweep: Sweep,
    /// The number of its last change.
    pub version: u64,
    /// The list of trials that was requested last.
    pub listed: Option<Listed>,
    /// Values that are never shown.
    pub secrets: Secrets,
    rerun: Rerun,
    sections: Sections,
}

impl State {
    /// Returns all sections as an update.
    pub fn snapshot(&self) -> Update {
        Update {
            version: self.version,
            json: object(self.version, self.sections.iter()),
        }
    }

    /// Returns the command line that runs a trial again.
    pub fn rerun(&self, trial: TrialId, arm: usize) -> String {
        match self.sweep.reader() {
            Ok(reader) => (self.rerun)(&reader, &self.sweep, trial, arm),
            Err(error) => error.to_string(),
        }
    }

    /// Polls the ledger. Returns what has changed, if anything.
    fn poll(&mut self) -> Option<Update> {
        let trouble = match self.sweep.refresh() {
            Ok(changed) => {
                let recovered = self
                    .sections
                    .get("trouble")
                    .is_some_and(|trouble| !trouble.is_null());
                if !changed && !recovered {
                    return None;
                }
                Value::Null
            }
            // The disk may be unavailable for a while: the page keeps what it shows, with a
            // warning.
            Err(error) => Value::String(error.to_string()),
        };

        let mut fresh = sections(&self.sweep);
        fresh.insert("trouble", trouble);

        // A page gets only the sections that differ from those it has.
        let changed: Vec<_> = fresh
            .iter()
            .filter(|(name, json)| self.sections.get(*name) != Some(*json))
            .collect();
        if changed.is_empty() {
            return None;
        }

        self.version += 1;
        let update = Update {
            version: self.version,
            json: object(self.version, changed.into_iter()),
        };
        self.sections = fresh;
        Some(update)
    }
}

impl Engine {
    /// Starts the thread. It ends when the last handle is dropped.
    pub fn start(sweep: Sweep, rerun: Rerun, secrets: Secrets) -> Self {
        let (jobs, queue) = channel::<Job>();
        let (updates, _) = broadcast::channel(MAX_LAG);
        let mut sections = sections(&sweep);
        sections.insert("trouble", Value::Null);
        let state = State {
            sweep,
            version: 1,
            listed: None,
            secrets,
            rerun,
            sections,
        };

        let tell = updates.clone();
        std::thread::spawn(move || work(state, &queue, &tell));
        Self { jobs, updates }
    }

    /// Asks the thread. Returns None if it has ended, which only a bug can cause.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();

        // The connection that asked may have been closed in the meantime.
        let job: Job = Box::new(move |state| drop(answer.send(question(state))));
        self.jobs.send(job).ok()?;
        answered.await.ok()
    }

    /// Returns a snapshot, and all updates after it.
    pub async fn follow(&self) -> Option<(Update, broadcast::Receiver<Arc<Update>>)> {
        let updates = self.updates.clone();
        self.ask(move |state| (state.snapshot(), updates.subscribe()))
            .await
    }
}

/// The loop of the thread: answers questions, and polls the ledger in between.
fn work(mut state: State, queue: &Receiver<Job>, tell: &broadcast::Sender<Arc<Update>>) {
    let mut next = Instant::now() + POLL_INTERVAL;
    loop {
        match queue.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(job) => job(&mut state),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }

        let now = Instant::now();
        if now < next {
            continue;
        }
        if let Some(update) = state.poll() {
            tracing::debug!(
                version = update.version,
                bytes = update.json.len(),
                took = ?now.elapsed(),
                "update"
            );

            // There may be no listener.
            let _ = tell.send(Arc::new(update));
        }
        next = Instant::now() + POLL_INTERVAL.max(now.elapsed() * PAUSE_FACTOR);
    }
}
