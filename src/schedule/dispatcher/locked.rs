//! The dispatcher's part for a ledger that another program has locked: trials go on, their results
//! wait in memory, and the user is told. Only who asks to stop does not wait for ever.

use super::super::action::{Action, Time};
use super::super::notice::Notice;
use super::Dispatcher;
use crate::ledger::{LedgerError, Waiting};

/// How long a stop waits for the ledger before it gives up what is not written.
const STOP_TIMEOUT: Time = Time::from_secs(30);

/// What the dispatcher knows of the ledger's lock.
#[derive(Debug, Default)]
pub(super) struct Locked {
    /// Who has the ledger locked, as last told; None: it can be written.
    by: Option<Waiting>,
    /// When the user first asked to stop.
    stop_asked: Option<Time>,
    /// Whether the user has asked again.
    hurry: bool,
}

impl Dispatcher {
    /// The writer waits for another program.
    pub(super) fn on_ledger_locked(&mut self, waiting: Waiting) -> Vec<Action> {
        let results = self.reactor.unwritten_results();
        self.observer.notice(&Notice::LedgerLocked {
            what: waiting.to_string(),
            results,
        });
        self.locked.by = Some(waiting);
        self.give_up_where_due()
    }

    /// Something was written.
    pub(super) fn on_ledger_free(&mut self) {
        if self.locked.by.take().is_some() {
            self.observer.notice(&Notice::LedgerFree);
        }
    }

    /// The user asks to stop.
    pub(super) fn on_stop(&mut self) -> Vec<Action> {
        let now = self.now();
        self.locked.hurry = self.locked.stop_asked.is_some();
        self.locked.stop_asked.get_or_insert(now);
        let mut actions = self.reactor.on_interrupt(now);
        actions.extend(self.give_up_where_due());
        actions
    }

    /// Gives up what cannot be written, if the user wants to stop and has waited long enough, or
    /// does not want to wait.
    pub(super) fn give_up_where_due(&mut self) -> Vec<Action> {
        let now = self.now();
        let waited = self
            .locked
            .stop_asked
            .is_some_and(|asked| now.saturating_sub(asked) > STOP_TIMEOUT);
        let Some(waiting) = self
            .locked
            .by
            .clone()
            .filter(|_| (waited || self.locked.hurry) && self.ledger_error.is_none())
        else {
            return Vec::new();
        };
        let results = self.reactor.unwritten_results();
        let error = LedgerError::Unwritten {
            path: waiting.path,
            by: waiting.by,
            results,
        };
        let actions = self.reactor.on_ledger_failure(now, error.to_string());
        self.ledger_error = Some(error);
        actions
    }

    /// Whether the user asks to stop within so long.
    pub async fn is_stopped_within(&mut self, time: Time) -> bool {
        matches!(
            tokio::time::timeout(time, self.stops.asked()).await,
            Ok(super::Asked::Stop)
        )
    }
}
