//! The dispatcher's part for a ledger that another program has locked: trials continue, their
//! results wait in memory, and the user is told. A stop does not wait for the ledger without limit.

use super::super::action::{Action, Time};
use super::super::notice::Notice;
use super::super::signals::StopRequest;
use super::Dispatcher;
use crate::ledger::{LedgerError, Waiting};

/// How long a stop waits for the ledger before it gives up what is not written.
const STOP_TIMEOUT: Time = Time::from_secs(30);

/// What the dispatcher knows of the ledger's lock.
#[derive(Debug, Default)]
pub(super) struct LedgerLock {
    /// Which program has locked the ledger; None: it can be written.
    by: Option<Waiting>,
    /// When the user first asked to stop.
    stop_requested: Option<Time>,
    /// Whether the user has asked again.
    is_urgent: bool,
}

impl LedgerLock {
    /// Whether what is not written is to be given up.
    fn is_given_up(&self, now: Time) -> bool {
        let has_waited = self
            .stop_requested
            .is_some_and(|requested| now.saturating_sub(requested) > STOP_TIMEOUT);
        has_waited || self.is_urgent
    }
}

impl Dispatcher {
    /// The writer waits for another program.
    pub(super) fn on_ledger_locked(&mut self, waiting: Waiting) -> Vec<Action> {
        let results = self.reactor.unwritten_results();
        self.observer.notice(&Notice::LedgerLocked {
            what: waiting.to_string(),
            results,
        });
        self.ledger_lock.by = Some(waiting);
        self.give_up_unwritten()
    }

    /// Something was written.
    pub(super) fn on_ledger_free(&mut self) {
        if self.ledger_lock.by.take().is_some() {
            self.observer.notice(&Notice::LedgerFree);
        }
    }

    /// The user asks to stop.
    pub(super) fn on_stop(&mut self) -> Vec<Action> {
        let now = self.now();
        self.ledger_lock.is_urgent = self.ledger_lock.stop_requested.is_some();
        self.ledger_lock.stop_requested.get_or_insert(now);
        let mut actions = self.reactor.on_interrupt(now);
        actions.extend(self.give_up_unwritten());
        actions
    }

    /// Gives up what cannot be written, if the user wants to stop and has waited long enough, or
    /// does not want to wait.
    pub(super) fn give_up_unwritten(&mut self) -> Vec<Action> {
        let now = self.now();
        if !self.ledger_lock.is_given_up(now) || self.ledger_error.is_some() {
            return Vec::new();
        }
        let Some(waiting) = self.ledger_lock.by.clone() else {
            return Vec::new();
        };
        let error = LedgerError::Unwritten {
            path: waiting.path,
            by: waiting.by,
            results: self.reactor.unwritten_results(),
        };
        let actions = self.reactor.on_ledger_failure(now, error.to_string());
        self.ledger_error = Some(error);
        actions
    }

    /// Waits for a request to stop, at most this long; returns whether one came.
    pub async fn is_stopped_within(&mut self, time: Time) -> bool {
        matches!(
            tokio::time::timeout(time, self.signals.recv()).await,
            Ok(StopRequest::Stop)
        )
    }
}
