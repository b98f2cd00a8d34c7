//! A thread that makes things ready in the order in which they are asked for, so that the event loop waits neither for the file
//! system nor for its disk. It knows nothing of what it makes; `ahead.rs` asks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::grid::TrialId;

/// How one thing is made.
type Make<T> = Box<dyn FnOnce() -> T + Send>;

/// Things that are made ready, or are ready, by the trial that they are for.
pub(super) struct Preparer<T> {
    /// None once this is being dropped.
    orders: Option<Sender<(TrialId, Make<T>)>>,
    made: Receiver<(TrialId, T)>,
    /// Nothing further is to be made.
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    asked: HashSet<TrialId>,
    ready: HashMap<TrialId, T>,
}

impl<T: Send + 'static> Preparer<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system's, if there may be no further thread.
    pub fn new() -> std::io::Result<Self> {
        let (orders, asked) = mpsc::channel::<(TrialId, Make<T>)>();
        let (give, made) = mpsc::channel();
        let closed = Arc::new(AtomicBool::new(false));
        let close = Arc::clone(&closed);
        let work = move || {
            for (trial, make) in asked {
                // Nobody waits for what is made once it is being closed.
                if close.load(Ordering::Relaxed) || give.send((trial, make())).is_err() {
                    break;
                }
            }
        };
        let thread = Some(std::thread::Builder::new().name("preparer".to_owned()).spawn(work)?);
        Ok(Self { orders: Some(orders), made, closed, thread, asked: HashSet::new(), ready: HashMap::new() })
    }

    /// Whether a trial's thing has been asked for and not been taken.
    pub fn has(&self, trial: TrialId) -> bool {
        self.asked.contains(&trial) || self.ready.contains_key(&trial)
    }

    /// Asks for a trial's thing, unless that has been done.
    pub fn ask(&mut self, trial: TrialId, make: impl FnOnce() -> T + Send + 'static) {
        let Some(orders) = self.orders.as_ref().filter(|_| !self.has(trial)) else { return };
        if orders.send((trial, Box::new(make))).is_ok() {
            self.asked.insert(trial);
        }
    }

    /// A trial's thing, waited for if it was asked for and is not ready. None if it was not asked for, or could not be made: the
    /// thread is not at work on it then, nor will be.
    pub fn take(&mut self, trial: TrialId) -> Option<T> {
        while self.asked.contains(&trial) {
            match self.made.recv() {
                Ok(made) => self.receive(made),
                // It panicked, and has said so.
                Err(mpsc::RecvError) => self.asked.clear(),
            }
        }
        self.ready.remove(&trial)
    }

    /// Forgets what is ready and not for one of these trials.
    pub fn keep(&mut self, trials: &HashSet<TrialId>) {
        while let Ok(made) = self.made.try_recv() {
            self.receive(made);
        }
        self.ready.retain(|trial, _| trials.contains(trial));
    }

    fn receive(&mut self, (trial, made): (TrialId, T)) {
        self.asked.remove(&trial);
        self.ready.insert(trial, made);
    }
}

impl<T> Drop for Preparer<T> {
    /// Waits for what is being made just now.
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(seed: u64) -> TrialId {
        TrialId { point: "k7m2p9x4qa".parse().unwrap(), seed }
    }

    #[test]
    fn what_is_not_ready_is_waited_for() {
        let mut preparer = Preparer::new().unwrap();
        let (go, wait) = mpsc::channel();
        preparer.ask(trial(1), move || wait.recv().unwrap());
        preparer.ask(trial(2), || "two");
        preparer.ask(trial(2), || "two again");
        assert_eq!(preparer.take(trial(3)), None, "nobody asked for it");
        assert!(preparer.has(trial(1)) && preparer.has(trial(2)) && !preparer.has(trial(3)));
        go.send("one").unwrap();
        assert_eq!((preparer.take(trial(2)), preparer.take(trial(1))), (Some("two"), Some("one")));
        assert!(!preparer.has(trial(1)) && !preparer.has(trial(2)));
        preparer.ask(trial(1), || "anew");
        assert_eq!(preparer.take(trial(1)), Some("anew"));
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let mut preparer = Preparer::new().unwrap();
        let alive = Arc::new(());
        for seed in 1..=3 {
            let thing = Arc::clone(&alive);
            preparer.ask(trial(seed), move || thing);
        }
        preparer.take(trial(3)).unwrap();
        preparer.keep(&[trial(2)].into());
        assert_eq!(Arc::strong_count(&alive), 2, "the second one's");
        assert!(!preparer.has(trial(1)) && preparer.has(trial(2)));
    }

    #[test]
    fn a_panic_is_not_waited_for() {
        let mut preparer = Preparer::new().unwrap();
        preparer.ask(trial(1), || 1);
        preparer.ask(trial(2), || panic!("as a test asks"));
        preparer.ask(trial(3), || 3);
        assert_eq!((preparer.take(trial(3)), preparer.take(trial(2)), preparer.take(trial(1))), (None, None, Some(1)));
        preparer.ask(trial(4), || 4);
        assert_eq!(preparer.take(trial(4)), None);
    }

    #[test]
    fn nothing_is_made_after_the_end() {
        let mut preparer = Preparer::new().unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let made = Arc::new(AtomicBool::new(false));
        let (one, two) = (Arc::clone(&made), Arc::new(AtomicBool::new(false)));
        let second = Arc::clone(&two);
        preparer.ask(trial(1), move || {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            one.store(true, Ordering::Relaxed);
        });
        preparer.ask(trial(2), move || second.store(true, Ordering::Relaxed));
        has_begun.recv().unwrap();
        let closed = Arc::clone(&preparer.closed);
        let end = std::thread::spawn(move || drop(preparer));
        while !closed.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        go.send(()).unwrap();
        end.join().unwrap();
        assert!(made.load(Ordering::Relaxed), "the one at hand is ended");
        assert!(!two.load(Ordering::Relaxed));
    }
}
