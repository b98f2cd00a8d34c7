//! Runs a collector beside the program: on a thread, since it searches folders and reads files.

use std::time::Duration;

use tokio::time::Instant;

use super::POLL_INTERVAL;
use super::collect_error::CollectError;
use super::collector::{CHUNK, Collector, Pass};
use super::follower::on_a_thread;
use crate::protocol::Reported;
use crate::schedule::budget::Budget;
use crate::schedule::launch::incoming::Incoming;

/// How often the sources are searched for what is new.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long a file that another process completes may be cut off after the program has exited.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(3);

/// A pass of a collector.
type Read = fn(&mut Collector) -> Result<Pass, CollectError>;

/// Follows the sources of a trial's metrics.
pub(super) struct Watch {
    /// None after a thread has panicked, or where there is nothing to follow.
    collector: Option<Collector>,
    has_sources: bool,
    next: Instant,
    budget: Budget,
}

impl Watch {
    pub(super) fn new(collector: Collector, budget: Budget) -> Self {
        Self {
            has_sources: !collector.is_idle(),
            collector: Some(collector),
            next: Instant::now(),
            budget,
        }
    }

    /// Reports what was added, if it is time to search again. What is wrong is reported at the end.
    pub(super) async fn follow<R, F>(&mut self, report: &R)
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        if !self.has_sources || Instant::now() < self.next {
            return;
        }
        let has_more = self.pass(Collector::follow, report).await.unwrap_or(false);
        let pause = if has_more {
            POLL_INTERVAL
        } else {
            SEARCH_INTERVAL
        };
        self.next = Instant::now() + pause;
    }

    /// Reports the rest after the program has exited, and returns the last value of each name. What
    /// a program that was killed has left cut off stays so.
    ///
    /// # Errors
    /// If a file is damaged or cannot be read.
    pub(super) async fn finish<R, F>(
        &mut self,
        is_well: bool,
        report: &R,
    ) -> Result<Option<Reported>, CollectError>
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        if !self.has_sources {
            return Ok(None);
        }
        let began = Instant::now();
        loop {
            while self.pass(Collector::follow, report).await? {}
            // W&B's own process may still write when the program has exited.
            match self.pass(Collector::finish, report).await {
                Err(error)
                    if is_well && error.is_cut_off() && began.elapsed() < COMPLETION_TIMEOUT =>
                {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                result => {
                    result?;
                    break;
                }
            }
        }
        Ok(self.collector.as_ref().and_then(Collector::last))
    }

    /// Says for each source which files it has found.
    pub(super) fn describe(&self) -> Vec<String> {
        self.collector
            .as_ref()
            .map(Collector::describe)
            .unwrap_or_default()
    }

    /// Lets the collector read, and reports the rows. Returns whether there is more to read.
    async fn pass<R, F>(&mut self, read: Read, report: &R) -> Result<bool, CollectError>
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        let mut collector = self.collector.take().ok_or(CollectError::Panicked)?;
        let held = self.budget.take(CHUNK as usize).await;
        let work = move || {
            let pass = read(&mut collector);
            (collector, pass)
        };
        let (collector, pass) = on_a_thread(work).await.ok_or(CollectError::Panicked)?;
        let collector = self.collector.insert(collector);

        let Pass { rows, has_more } = pass?;
        let messages = collector.messages(rows);
        if !messages.is_empty() {
            report(Incoming::Messages(messages, held)).await;
        }
        Ok(has_more)
    }
}
