//! A thread that makes things ready in the order in which they are asked for, so that the event
//! loop waits neither for the file system nor for its disk. It knows nothing of what it makes;
//! `ahead.rs` asks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::grid::TrialId;

/// How one thing is made.
pub(super) type Make<T> = Box<dyn FnOnce() -> T + Send>;

/// Things that are made ready, or are ready, by the trial that they are for.
pub(super) struct Preparer<T> {
    shared: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
    /// What has been asked for, and neither taken nor forgotten.
    asked: HashSet<TrialId>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// There are orders, or there will be none any more.
    ordered: Condvar,
    /// What was waited for is made, or never will be.
    made: Condvar,
}

struct State<T> {
    orders: VecDeque<(TrialId, Make<T>)>,
    /// What the thread is at work on.
    at_hand: Option<TrialId>,
    ready: HashMap<TrialId, T>,
    /// Whether somebody waits for what is at hand.
    awaited: bool,
    /// Nothing further is to be made.
    closed: bool,
}

impl<T: Send + 'static> Preparer<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system's, if there may be no further thread.
    pub fn new() -> std::io::Result<Self> {
        let state = State {
            orders: VecDeque::new(),
            at_hand: None,
            ready: HashMap::new(),
            awaited: false,
            closed: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            ordered: Condvar::new(),
            made: Condvar::new(),
        });
        let worker = Worker(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("preparer".to_owned())
            .spawn(move || worker.work())?;
        Ok(Self {
            shared,
            thread: Some(thread),
            asked: HashSet::new(),
        })
    }

    /// Whether a trial's thing has been asked for, and neither taken nor forgotten.
    pub fn has(&self, trial: TrialId) -> bool {
        self.asked.contains(&trial)
    }

    /// Asks for things that it does not have.
    pub fn ask(&mut self, orders: Vec<(TrialId, Make<T>)>) {
        self.asked.extend(orders.iter().map(|(trial, _)| *trial));
        self.shared.lock().orders.extend(orders);
        self.shared.ordered.notify_one();
    }

    /// A trial's thing, if it is ready or being made. If not, the thread is not at work on it, nor
    /// will be.
    pub fn take(&mut self, trial: TrialId) -> Option<T> {
        if !self.asked.remove(&trial) {
            return None;
        }
        let mut state = self.shared.lock();
        while state.at_hand == Some(trial) {
            state.awaited = true;
            state = self
                .shared
                .made
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let made = state.ready.remove(&trial);
        if made.is_none() {
            state.orders.retain(|(ordered, _)| *ordered != trial);
        }
        made
    }

    /// Forgets what is not for one of these trials.
    pub fn keep(&mut self, trials: &HashSet<TrialId>) {
        let mut state = self.shared.lock();
        let at_hand = state.at_hand;
        self.asked
            .retain(|trial| trials.contains(trial) || at_hand == Some(*trial));
        state.orders.retain(|(trial, _)| trials.contains(trial));
        state.ready.retain(|trial, _| trials.contains(trial));
    }
}

impl<T> Drop for Preparer<T> {
    /// Waits for what is being made just now.
    fn drop(&mut self) {
        self.shared.lock().close();
        self.shared.ordered.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

impl<T> Shared<T> {
    /// The state, whole even if somebody panicked: nothing that may panic is done while it is held.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn close(&mut self) {
        self.closed = true;
        self.orders.clear();
    }
}

/// The thread's part. However it ends, nobody waits for it any more.
struct Worker<T>(Arc<Shared<T>>);

impl<T> Worker<T> {
    fn work(self) {
        let mut state = self.0.lock();
        while !state.closed {
            let Some((trial, make)) = state.orders.pop_front() else {
                state = self
                    .0
                    .ordered
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.at_hand = Some(trial);
            drop(state);
            let made = make();
            state = self.0.lock();
            state.at_hand = None;
            state.ready.insert(trial, made);
            if std::mem::take(&mut state.awaited) {
                self.0.made.notify_one();
            }
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.at_hand = None;
        state.close();
        self.0.made.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn trial(seed: u64) -> TrialId {
        TrialId {
            point: "k7m2p9x4qa".parse().unwrap(),
            seed,
        }
    }

    fn make<T>(make: impl FnOnce() -> T + Send + 'static) -> Make<T> {
        Box::new(make)
    }

    /// What takes until `go` to be made, and what says that it has been begun.
    fn slow() -> (
        mpsc::Receiver<()>,
        mpsc::Sender<&'static str>,
        Make<&'static str>,
    ) {
        let ((begun, has_begun), (go, wait)) = (mpsc::channel(), mpsc::channel());
        (
            has_begun,
            go,
            make(move || {
                begun.send(()).unwrap();
                wait.recv().unwrap()
            }),
        )
    }

    /// Waits until everything that was ordered is made.
    fn settle<T>(preparer: &Preparer<T>) {
        let busy = || {
            let state = preparer.shared.lock();
            !state.orders.is_empty() || state.at_hand.is_some()
        };
        while busy() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_ready_or_at_hand_is_taken_and_the_rest_is_not_waited_for() {
        let mut preparer = Preparer::new().unwrap();
        let (begun, go, one) = slow();
        preparer.ask(vec![
            (trial(1), one),
            (trial(2), make(|| "two")),
            (trial(3), make(|| "three")),
        ]);
        begun.recv().unwrap();
        assert_eq!(preparer.take(trial(4)), None, "nobody asked for it");
        assert_eq!(
            preparer.take(trial(2)),
            None,
            "its turn has not come, nor will it"
        );
        assert_eq!(
            [1, 2, 3].map(|seed| preparer.has(trial(seed))),
            [true, false, true]
        );
        go.send("one").unwrap();
        assert_eq!(preparer.take(trial(1)), Some("one"));
        settle(&preparer);
        assert_eq!(preparer.shared.lock().ready.len(), 1);
        assert_eq!(
            (preparer.take(trial(3)), preparer.take(trial(3))),
            (Some("three"), None)
        );
        preparer.ask(vec![(trial(1), make(|| "anew"))]);
        settle(&preparer);
        assert_eq!(preparer.take(trial(1)), Some("anew"));
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten_and_not_made() {
        let mut preparer = Preparer::new().unwrap();
        preparer.ask(vec![(trial(1), make(|| "one")), (trial(2), make(|| "two"))]);
        settle(&preparer);
        let (begun, go, three) = slow();
        preparer.ask(vec![
            (trial(3), three),
            (trial(4), make(|| "four")),
            (trial(5), make(|| "five")),
        ]);
        begun.recv().unwrap();
        preparer.keep(&[trial(2), trial(5)].into());
        // What is at hand is made, but not for long.
        assert_eq!(
            [1, 2, 3, 4, 5].map(|seed| preparer.has(trial(seed))),
            [false, true, true, false, true]
        );
        go.send("three").unwrap();
        settle(&preparer);
        preparer.keep(&[trial(2), trial(5)].into());
        let mut ready: Vec<&str> = preparer.shared.lock().ready.values().copied().collect();
        ready.sort_unstable();
        assert_eq!(
            (ready, preparer.has(trial(3))),
            (vec!["five", "two"], false)
        );
    }

    #[test]
    fn a_panic_is_not_waited_for() {
        let mut preparer = Preparer::new().unwrap();
        let (begun, go, one) = slow();
        preparer.ask(vec![(trial(1), one), (trial(2), make(|| "two"))]);
        begun.recv().unwrap();
        drop(go);
        assert_eq!(
            (preparer.take(trial(1)), preparer.take(trial(2))),
            (None, None)
        );
        preparer.ask(vec![(trial(3), make(|| "three"))]);
        assert_eq!(preparer.take(trial(3)), None);
    }

    #[test]
    fn nothing_is_made_after_the_end() {
        let mut preparer = Preparer::new().unwrap();
        let (begun, go, one) = slow();
        let made = Arc::new(Mutex::new(Vec::new()));
        let (first, second) = (Arc::clone(&made), Arc::clone(&made));
        let one = make(move || first.lock().unwrap().push(one()));
        preparer.ask(vec![
            (trial(1), one),
            (trial(2), make(move || second.lock().unwrap().push("two"))),
        ]);
        begun.recv().unwrap();
        let shared = Arc::clone(&preparer.shared);
        let end = std::thread::spawn(move || drop(preparer));
        while !shared.lock().closed {
            std::thread::yield_now();
        }
        go.send("one").unwrap();
        end.join().unwrap();
        assert_eq!(
            *made.lock().unwrap(),
            ["one"],
            "what was at hand is made to its end"
        );
    }
}
