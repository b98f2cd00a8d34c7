//! How much memory results may take between a worker's pipe and the ledger's disk. Who reads a pipe
//! waits for room first, so that a disk that falls behind, or a ledger that somebody else has
//! locked, makes workers wait instead of filling the memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that unwritten results may take in all.
pub const LIMIT: usize = 64 << 20;
/// Bytes that a byte of a message's line may take once it is read: a metric of a few letters has an
/// allocation for its name, and a place in a tree.
const EXPANSION: usize = 16;

/// Room for results that are not on the disk yet.
#[derive(Clone, Debug)]
pub struct Budget {
    room: Arc<Semaphore>,
    limit: usize,
    waits: Arc<Mutex<Waits>>,
}

/// How long somebody has waited for room.
#[derive(Debug, Default)]
struct Waits {
    waiting: usize,
    since: Option<Instant>,
    /// What is over of that, and has not been asked for.
    waited: Duration,
}

/// Room that is taken until this is dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// Somebody waits for as long as this lives.
#[derive(Debug)]
pub struct Waiting(Arc<Mutex<Waits>>);

impl Budget {
    /// All of that many bytes are free.
    pub fn new(limit: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(limit)),
            limit,
            waits: Arc::default(),
        }
    }

    /// Takes room for a line of that length, if there is some at once.
    pub fn try_take(&self, length: usize) -> Option<Held> {
        Arc::clone(&self.room)
            .try_acquire_many_owned(self.weight(length))
            .ok()
            .map(|permit| Held(Some(permit)))
    }

    /// Takes room for a line of that length, as soon as there is some. Who waits must hold none
    /// that only they can give back.
    pub async fn take(&self, length: usize) -> Held {
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

    /// Somebody begins to wait for something else that keeps workers from being heard.
    pub fn waiting(&self) -> Waiting {
        let mut waits = lock(&self.waits);
        waits.waiting += 1;
        waits.since.get_or_insert_with(Instant::now);
        Waiting(Arc::clone(&self.waits))
    }

    /// For how long somebody has waited since this was last asked.
    pub fn take_waited(&self) -> Duration {
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

    /// No line takes more than there is.
    fn weight(&self, length: usize) -> u32 {
        u32::try_from((length * EXPANSION).min(self.limit)).unwrap_or(u32::MAX)
    }
}

impl Held {
    /// Adds what another one holds.
    pub fn merge(&mut self, other: Self) {
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

/// Nothing that may panic is done while it is held.
fn lock(waits: &Mutex<Waits>) -> MutexGuard<'_, Waits> {
    waits.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_waits_until_some_is_given_back() {
        let budget = Budget::new(EXPANSION * 100);
        let mut held = budget.take(60).await;
        held.merge(budget.take(40).await);
        assert!(budget.try_take(1).is_none());
        assert_eq!(budget.take_waited(), Duration::ZERO);
        let other = budget.clone();
        let waits = tokio::spawn(async move { other.take(10).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waits.is_finished());
        assert!(budget.take_waited() > Duration::ZERO, "also while it lasts");
        drop(held);
        drop(waits.await.unwrap());
        assert!(budget.take_waited() < Duration::from_secs(60));
        assert_eq!(budget.take_waited(), Duration::ZERO, "asked for once");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_for_all_of_it_takes_all_of_it() {
        let budget = Budget::new(EXPANSION * 100);
        drop(budget.take(1_000_000).await);
        assert!(budget.try_take(100).is_some());
    }

    /// A message of the longest line, of the shortest metrics, takes no more memory than is taken
    /// for it.
    #[test]
    fn a_metric_of_one_letter_is_paid_for() {
        let per_metric = size_of::<(String, f64)>() * 2 + 32;
        assert!(r#""ab":1,"#.len() * EXPANSION >= per_metric, "{per_metric}");
    }
}
