//! Keeps a sweep up to date on a thread of its own, answers questions about it, and tells what
//! changes. All that reads the ledger happens there: answers are in step with each other, and no
//! lock is needed.

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

/// Time between two looks at the ledger.
const PACE: Duration = Duration::from_millis(300);
/// Looking may take one part in so many of the time: the machine belongs to the trials.
const SHARE: u32 = 5;
/// Updates that a slow page may lag behind before it gets everything anew.
const BACKLOG: usize = 16;

/// Says how a trial is run again: the ledger, the sweep, the trial, the number of its arm.
pub type Rerun = Box<dyn Fn(&Reader, &Sweep, TrialId, usize) -> String + Send>;

type Job = Box<dyn FnOnce(&mut State) + Send>;

/// The thread, for those who ask and listen.
#[derive(Clone)]
pub struct Engine {
    jobs: Sender<Job>,
    updates: broadcast::Sender<Arc<Update>>,
}

/// Sections that have changed.
#[derive(Clone, Debug)]
pub struct Update {
    /// The number of the change.
    pub version: u64,
    /// A JSON object.
    pub json: String,
}

/// What the thread holds.
pub struct State {
    /// The sweep.
    pub sweep: Sweep,
    /// The number of its last change.
    pub version: u64,
    /// The list of trials that was asked for last.
    pub listed: Option<Listed>,
    /// What is shown nowhere.
    pub secrets: Secrets,
    rerun: Rerun,
    sections: Sections,
}

impl State {
    /// Everything, as an update.
    pub fn snapshot(&self) -> Update {
        Update {
            version: self.version,
            json: object(self.version, self.sections.iter()),
        }
    }

    /// The line that runs a trial again.
    pub fn rerun(&self, trial: TrialId, arm: usize) -> String {
        match self.sweep.reader() {
            Ok(reader) => (self.rerun)(&reader, &self.sweep, trial, arm),
            Err(error) => error.to_string(),
        }
    }

    /// Looks at the ledger; what has changed, if anything.
    fn look(&mut self) -> Option<Update> {
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
            // It may be a disk that is away for a while: what is known stays on the page, with a
            // word about it.
            Err(error) => Value::String(error.to_string()),
        };
        let mut fresh = sections(&self.sweep);
        fresh.insert("trouble", trouble);
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
    /// Starts the thread. It ends when nobody can ask any more.
    pub fn start(sweep: Sweep, rerun: Rerun, secrets: Secrets) -> Self {
        let (jobs, queue) = channel::<Job>();
        let (updates, _) = broadcast::channel(BACKLOG);
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

    /// Asks the thread. None: it has ended, which it does only by a bug of ours.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have gone away meanwhile.
        let job: Job = Box::new(move |state| drop(answer.send(question(state))));
        self.jobs.send(job).ok()?;
        answered.await.ok()
    }

    /// Everything, and all updates after it.
    pub async fn follow(&self) -> Option<(Update, broadcast::Receiver<Arc<Update>>)> {
        let updates = self.updates.clone();
        self.ask(move |state| (state.snapshot(), updates.subscribe()))
            .await
    }
}

fn work(mut state: State, queue: &Receiver<Job>, tell: &broadcast::Sender<Arc<Update>>) {
    let mut next = Instant::now() + PACE;
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
        if let Some(update) = state.look() {
            tracing::debug!(version = update.version, bytes = update.json.len(), took = ?now.elapsed(), "update");
            // Nobody may be listening.
            let _ = tell.send(Arc::new(update));
        }
        next = Instant::now() + PACE.max(now.elapsed() * SHARE);
    }
}
