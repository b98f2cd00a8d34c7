//! Limits the memory of results between a worker's pipe and the ledger's disk. Readers of pipes
//! wait for room first. So a slow disk, or a ledger that another program has locked, makes workers
//! wait instead of filling the memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum memory of all unwritten results, in bytes.
pub(crate) const LIMIT: usize = 64 << 20;
/// How many bytes of memory a byte of a message may take: a metric of a few letters has an
/// allocation for its name, and a place in a tree.
const EXPANSION: usize = 16;

/// Memory for results that are not on the disk yet.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    limit: usize,
    waits: Arc<Mutex<Waits>>,
}

/// How long readers have waited for room.
#[derive(Debug, Default)]
struct Waits {
    /// How many wait now.
    waiting: usize,
    /// Since when at least one waits.
    since: Option<Instant>,
    /// Earlier waiting time that has not been taken yet.
    waited: Duration,
}

/// Memory that is taken until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

/// A reader that waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Mutex<Waits>>);

impl Budget {
    /// A budget of `limit` bytes, all of which are free.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(limit)),
            limit,
            waits: Arc::default(),
        }
    }

    /// Takes memory for a line of this length, if there is enough at once.
    pub(crate) fn try_take(&self, length: usize) -> Option<Held> {
        Arc::clone(&self.room)
            .try_acquire_many_owned(self.weight(length))
            .ok()
            .map(|permit| Held(Some(permit)))
    }

    /// Takes memory for a line of this length, as soon as there is enough. The caller must not hold
    /// memory that only it can give back.
    pub(crate) async fn take(&self, length: usize) -> Held {
        if let Some(held) = self.try_take(length) {
            return held;
        }
        let _waiting = self.waiting();
        // The semaphore is never closed.
        Held(
            Arc::clone(&self.room)
                .acquire_many_owned(self.weight(length))
                .await
                .ok(),
        )
    }

    /// Begins to wait for something else that keeps workers from being heard.
    pub(crate) fn waiting(&self) -> Waiting {
        let mut waits = lock(&self.waits);
        waits.waiting += 1;
        waits.since.get_or_insert_with(Instant::now);
        Waiting(Arc::clone(&self.waits))
    }

    /// How long readers have waited since this was last called.
    pub(crate) fn take_waited(&self) -> Duration {
        let mut waits = lock(&self.waits);
        let now = Instant::now();
        let running = waits
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if waits.since.is_some() {
            waits.since = Some(now);
        }
        std::mem::take(&mut waits.waited) + running
    }

    /// The memory that a line takes, at most the whole budget.
    fn weight(&self, length: usize) -> u32 {
        u32::try_from((length * EXPANSION).min(self.limit)).unwrap_or(u32::MAX)
    }
}

impl Held {
    /// Adds the memory of another one.
    pub(crate) fn merge(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some(own), Some(other)) => own.merge(other),
            (own @ None, other) => *own = other,
            (Some(_), None) => {}
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = lock(&self.0);
        waits.waiting -= 1;
        if waits.waiting == 0
            && let Some(since) = waits.since.take()
        {
            waits.waited += since.elapsed();
        }
    }
}

/// Locks the waiting times. Nothing that may panic is done while they are locked.
fn lock(waits: &Mutex<Waits>) -> MutexGuard<'_, Waits> {
    waits.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_waits_until_memory_is_given_back() {
        let budget = Budget::new(EXPANSION * 100);
        let mut held = budget.take(60).await;
        held.merge(budget.take(40).await);
        assert!(budget.try_take(1).is_none());
        assert_eq!(budget.take_waited(), Duration::ZERO);
        let other = budget.clone();
        let waits = tokio::spawn(async move { other.take(10).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waits.is_finished());
        assert!(
            budget.take_waited() > Duration::ZERO,
            "also while it still waits"
        );
        drop(held);
        drop(waits.await.unwrap());
        assert!(budget.take_waited() < Duration::from_secs(60));
        assert_eq!(budget.take_waited(), Duration::ZERO, "taken once");
    }

    #[tokio::test]
    async fn a_line_longer_than_the_budget_takes_all_of_it() {
        let budget = Budget::new(EXPANSION * 100);
        drop(budget.take(1_000_000).await);
        assert!(budget.try_take(100).is_some());
    }

    /// The longest message with the shortest metrics takes no more memory than the budget assumes.
    #[test]
    fn the_memory_of_a_short_metric_is_covered() {
        let per_metric = size_of::<(String, f64)>() * 2 + 32;
        assert!(r#""ab":1,"#.len() * EXPANSION >= per_metric, "{per_metric}");
    }
}
