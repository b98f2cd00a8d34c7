//! Progress as plain lines, for logs, pipes and CI: a line for each phase and each failure, and at
//! most one per second for trials that succeed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::counts::Progress;
use super::lines::{MAX_MESSAGE, line};
use super::names::Names;
use crate::grid::TrialId;
use crate::schedule::{Notice, Observer};

/// Minimum time between two lines about trials that succeed.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// An observer that passes lines to a function.
pub struct Plain<W> {
    names: Names,
    progress: Progress,
    write: W,
    began: Instant,
    /// When the last line about a successful trial was written.
    last_success: Option<Duration>,
    /// The last line about workers in a queue.
    waiting: Option<String>,
    /// The last message of each trial that has failed and will be retried.
    failed: HashMap<TrialId, String>,
}

impl<W: Fn(&str)> Plain<W> {
    /// Makes an observer that passes its lines to `write`.
    pub fn new(names: Names, write: W) -> Self {
        Self {
            names,
            progress: Progress::default(),
            write,
            began: Instant::now(),
            last_success: None,
            waiting: None,
            failed: HashMap::new(),
        }
    }
}

impl<W: Fn(&str)> Observer for Plain<W> {
    fn notice(&mut self, notice: &Notice) {
        let now = self.began.elapsed();
        self.progress.update(now, notice);

        // The last trial of a phase always gets its line.
        if let Notice::TrialDone { .. } = notice {
            let is_last = self.progress.left() == 0;
            let is_soon = self
                .last_success
                .is_some_and(|last| now - last < LINE_INTERVAL);
            if is_soon && !is_last {
                return;
            }
            self.last_success = Some(now);
        }

        // One line for each change, and not for each worker.
        if let Notice::Waits { .. } = notice {
            let waiting = self.progress.waiting_line();
            if waiting == self.waiting {
                return;
            }
            self.waiting = waiting;
        }

        let shortened = shorten_repetition(&mut self.failed, notice);
        let notice = shortened.as_ref().unwrap_or(notice);

        if let Some(line) = line(&self.names, &self.progress, notice) {
            (self.write)(&line);
        }
    }
}

/// Returns a short form of a failure that repeats the last message of its trial. None for all other
/// notices; the messages of failures are remembered in `failed`.
fn shorten_repetition(failed: &mut HashMap<TrialId, String>, notice: &Notice) -> Option<Notice> {
    let Notice::TrialFailed {
        slot,
        trial,
        kind,
        message,
        retry_in,
    } = notice
    else {
        return None;
    };

    let last_message = match retry_in {
        Some(_) => failed.insert(trial.id, message.clone()),
        None => failed.remove(&trial.id),
    };
    let is_long = message.len() > MAX_MESSAGE / 4;
    if !is_long || last_message.as_ref() != Some(message) {
        return None;
    }

    Some(Notice::TrialFailed {
        slot: *slot,
        trial: *trial,
        kind: *kind,
        message: "the same again".to_owned(),
        retry_in: *retry_in,
    })
}
