//! Puts commands into the tables, within the transaction that is open.
//!
//! The rows of unfinished trials are remembered, so that they need not be searched. What `coalesce`
//! finds to be complete is written at once: a trial that takes no time costs two statements and no
//! search by its id.

mod statements;
mod trials;
mod workers;

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use self::statements::Statements;
use super::coalesce::{Disposition, coalesce};
use super::versions;
use super::views::{self, Kind};
use super::write::{Stamped, Write};
use crate::grid::TrialId;
use crate::plan::Fingerprint;
use crate::protocol::Metrics;

/// The tables, as the writer sees them.
pub(super) struct Tables<'c> {
    connection: &'c Connection,
    statements: Statements<'c>,
    /// The rows of the trials that have started and have not ended since.
    unfinished: HashMap<TrialId, UnfinishedRows>,
    /// Names of final metrics that have a column in the views.
    metric_names: HashSet<String>,
    /// Names of metrics in histories that have a column in the views.
    history_names: HashSet<String>,
    /// Whether names have been added to them since the views were made.
    has_new_names: bool,
}

/// The rows of a trial that has started, and of its present attempt.
#[derive(Clone, Copy)]
struct UnfinishedRows {
    trial: i64,
    attempt: i64,
}

impl<'c> Tables<'c> {
    /// Prepares the statements.
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            statements: Statements::prepare(connection)?,
            unfinished: HashMap::new(),
            metric_names: views::names(connection, &[Kind::Metric])?
                .into_iter()
                .collect(),
            history_names: views::names(connection, &[Kind::History])?
                .into_iter()
                .collect(),
            has_new_names: false,
        })
    }

    /// Opens a transaction.
    pub(crate) fn begin(&mut self) -> rusqlite::Result<()> {
        self.statements.begin.execute([]).map(drop)
    }

    /// Commits the transaction.
    pub(crate) fn commit(&mut self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.has_new_names) {
            views::remake_views(self.connection)?;
        }
        self.statements.commit.execute([]).map(drop)
    }

    /// Returns the number of the last session. If it is later than the writer's own, another
    /// coordinator has opened the ledger.
    pub(crate) fn last_session(&mut self) -> rusqlite::Result<i64> {
        self.statements.last_session.query_row([], |row| row.get(0))
    }

    /// Records how many transactions a session has committed, including this one.
    pub(crate) fn set_commits(&mut self, session: i64, commits: u64) -> rusqlite::Result<()> {
        self.statements
            .set_commits
            .execute(params![session, commits as i64])
            .map(drop)
    }

    /// Puts the commands of a transaction into the tables.
    pub(crate) fn apply_all(&mut self, commands: &[Stamped]) -> rusqlite::Result<()> {
        for (disposition, command) in coalesce(commands).into_iter().zip(commands) {
            match disposition {
                Disposition::Alone => self.apply(command)?,
                Disposition::Subsumed => {}
                Disposition::Worker { hello, ended } => {
                    let hello = hello.map(|index| &commands[index]);
                    let ended = ended.map(|index| &commands[index]);
                    self.start_worker(command, hello, ended)?;
                }
                Disposition::Trial { started } => self.finish_trial(&commands[started], command)?,
            }
        }
        Ok(())
    }

    /// Puts one command into the tables.
    fn apply(&mut self, command: &Stamped) -> rusqlite::Result<()> {
        let at = &*command.at;
        match &command.write {
            Write::WorkerStarted { .. } => self.start_worker(command, None, None),
            Write::WorkerPlaced { .. } | Write::WorkerHello { .. } | Write::WorkerEnded { .. } => {
                self.update_worker(command)
            }
            Write::TrialStarted { .. } => self.start_trial(command),
            Write::Epoch {
                trial,
                position,
                values,
            } => self.add_epoch(*trial, *position, values),
            Write::TrialDone { .. } => self.end_trial(command),
            Write::TrialFailed { .. } => self.fail_trial(command),
            Write::TrialInterrupted {
                trial,
                message,
                log_end,
            } => self.interrupt_trial(*trial, at, message, *log_end),
            Write::Edited {
                session,
                fingerprint,
            } => self.change_version(*session, fingerprint, at),
            Write::SessionEnded { session, outcome } => self
                .statements
                .session_ended
                .execute(params![session, at, outcome])
                .map(drop),
        }
    }

    /// Moves a session to another version of what is trained.
    fn change_version(
        &mut self,
        session: i64,
        fingerprint: &Fingerprint,
        at: &str,
    ) -> rusqlite::Result<()> {
        let version = versions::put(self.connection, fingerprint, at)?;
        self.connection.execute(
            "UPDATE session SET fingerprint = ?2 WHERE id = ?1",
            params![session, version],
        )?;
        Ok(())
    }

    /// Gives the names that a trial reports a column in the views.
    fn add_names(&mut self, kind: Kind, metrics: &Metrics) -> rusqlite::Result<()> {
        let known = if kind == Kind::History {
            &mut self.history_names
        } else {
            &mut self.metric_names
        };
        for name in metrics.0.keys() {
            if known.contains(name) || known.len() >= views::MAX_COLUMNS {
                continue;
            }
            known.insert(name.clone());
            views::put_name(self.connection, kind, name)?;
            self.has_new_names = true;
        }
        Ok(())
    }
}
