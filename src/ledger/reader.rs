//! Reading a ledger: for the plan, the tables, and every command that only looks. Works while a
//! coordinator writes; each call sees one consistent state.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::damage::Traces;
use super::error::LedgerError;
use super::lock::Lock;
use super::patience::{Waiting, locked_by};
use super::place::{check_path, ledger_path};
use super::rows::{AttemptRow, LastAttempt, SessionRow, TrialRow, TrialState, WorkerRow};
use super::schema::{self, FILE_NAME, Manner};
use crate::grid::TrialId;
use crate::plan::{Phase, Shared};
use crate::protocol::{FailureKind, Metrics};

/// A ledger opened for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the ledger of a run directory, also where nothing can be written and nobody runs the
    /// sweep: SQLite makes files beside a ledger that others may write, and is told there that
    /// nobody does.
    ///
    /// # Errors
    /// `LedgerError`: no ledger, not one of ours, a later version.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = find(dir)?;
        let connection = match schema::open_readable(&ledger_path(dir)) {
            Err(error) if error.is_of_a_place_that_cannot_be_written() => {
                match Manner::untouching(&path, Lock::holder(dir).is_some()) {
                    Manner::Shared => Err(error),
                    manner => schema::open_in_manner(&ledger_path(dir), manner),
                }
            }
            opened => opened,
        };
        Ok(Self {
            connection: connection.map_err(|error| explain(dir, error))?,
            path,
        })
    }

    /// From now on every call sees the ledger as it is at this moment, whatever a coordinator
    /// writes meanwhile. Not with a rollback journal, as on network file systems: there a reader
    /// that holds on would stop the writer.
    ///
    /// # Errors
    /// SQLite's.
    pub fn freeze(&self) -> Result<(), LedgerError> {
        let journal: String = self
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(self.sqlite())?;
        if journal == "wal" {
            // A transaction begins to hold with its first read.
            self.connection
                .execute_batch("BEGIN; SELECT count(*) FROM spec;")
                .map_err(self.sqlite())?;
        }
        Ok(())
    }

    /// Waits so long for other programs that have the ledger locked, and then fails.
    ///
    /// # Errors
    /// SQLite's.
    pub fn wait_at_most(&self, time: Duration) -> Result<(), LedgerError> {
        self.connection.busy_timeout(time).map_err(self.sqlite())
    }

    /// What keeps the ledger from being read, to tell the user.
    pub fn locked(&self, time: Duration) -> Waiting {
        Waiting {
            path: self.path.clone(),
            time,
            by: locked_by(&self.path),
        }
    }

    /// On a connection that is open.
    pub(super) fn on(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path }
    }

    /// The connection, for queries that follow the ledger (`follower`).
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn sqlite(&self) -> impl Fn(rusqlite::Error) -> LedgerError + '_ {
        |source| match source {
            // What SQLite reads without complaint, but nobody can have written.
            rusqlite::Error::FromSqlConversionFailure(_, _, what) => LedgerError::Damaged {
                path: self.path.clone(),
                what: what.to_string(),
            },
            rusqlite::Error::InvalidColumnType(_, column, found) => {
                let what = format!("the ledger holds {found} in the column {column}");
                LedgerError::Damaged {
                    path: self.path.clone(),
                    what,
                }
            }
            source => LedgerError::Sqlite {
                path: self.path.clone(),
                source,
            },
        }
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut statement = self.connection.prepare(sql).map_err(self.sqlite())?;
        let rows = statement
            .query_map(parameters, read)
            .map_err(self.sqlite())?;
        rows.collect::<rusqlite::Result<_>>().map_err(self.sqlite())
    }

    /// The text of the spec in force.
    pub fn spec_text(&self) -> Result<String, LedgerError> {
        self.connection
            .query_row(
                "SELECT text FROM spec ORDER BY revision DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .map_err(self.sqlite())
    }

    /// The folder that the sweep was last started from; None if that was not noted, as before
    /// version 2.
    pub fn folder(&self) -> Result<Option<PathBuf>, LedgerError> {
        if !self.has_column("session", "folder")? {
            return Ok(None);
        }
        let folders = self.rows(
            "SELECT folder FROM session ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get::<_, Option<String>>(0),
        )?;
        Ok(folders.into_iter().flatten().next().map(PathBuf::from))
    }

    /// The identity of the run directory; None: it has none yet, as before version 5.
    pub fn identity(&self) -> Result<Option<String>, LedgerError> {
        if !self.has_column("session", "identity")? {
            return Ok(None);
        }
        let found = self.rows(
            "SELECT identity FROM session ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get::<_, Option<String>>(0),
        )?;
        Ok(found.into_iter().flatten().next())
    }

    /// A few numbers that differ whenever something that a report shows has changed: revisions of
    /// the spec, attempts, and those that have ended. Results themselves never change.
    pub fn state(&self) -> Result<[i64; 3], LedgerError> {
        self.connection
            .query_row(
                "SELECT (SELECT count(*) FROM spec), (SELECT coalesce(max(id), 0) FROM attempt), (SELECT count(ended_at) FROM attempt)",
                [],
                |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]),
            )
            .map_err(self.sqlite())
    }

    /// Whether a table has a column, which those of earlier versions may lack.
    pub(super) fn has_column(&self, table: &str, column: &str) -> Result<bool, LedgerError> {
        self.connection
            .query_row(
                "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?",
                [table, column],
                |row| row.get::<_, i64>(0),
            )
            .map(|count| count > 0)
            .map_err(self.sqlite())
    }

    /// Every trial that was ever started.
    pub fn trials(&self) -> Result<Vec<TrialRow>, LedgerError> {
        self.trials_where("", [])
    }

    /// The trials of the table `t` that a clause leaves.
    pub(super) fn trials_where(
        &self,
        clause: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<TrialRow>, LedgerError> {
        let shared = if self.has_column("trial", "same_as")? {
            "t.shared_epochs, o.point, o.seed FROM trial t LEFT JOIN trial o ON o.id = t.same_as"
        } else {
            "0, NULL, NULL FROM trial t"
        };
        self.rows(
            &format!(
                "SELECT t.point, t.seed, t.phase, t.state, t.failures, t.metrics, {shared} {clause}"
            ),
            parameters,
            |row| {
                let other: Option<String> = row.get(7)?;
                let same_as = match other {
                    None => None,
                    Some(point) => {
                        let point = point
                            .parse()
                            .map_err(|_| damaged(7, "a point id that is none"))?;
                        Some(TrialId {
                            point,
                            seed: row.get::<_, i64>(8)? as u64,
                        })
                    }
                };
                Ok(TrialRow {
                    shared: Shared {
                        same_as,
                        epochs: row.get(6)?,
                    },
                    id: trial_id(row)?,
                    phase: if row.get_ref(2)?.as_str()? == "final" {
                        Phase::Final
                    } else {
                        Phase::Tune
                    },
                    state: TrialState::from_name(row.get_ref(3)?.as_str()?)
                        .ok_or_else(|| damaged(3, "an unknown state"))?,
                    failures: row.get(4)?,
                    metrics: row
                        .get::<_, Option<String>>(5)?
                        .map(|text| metrics(5, &text))
                        .transpose()?,
                })
            },
        )
    }

    /// The attempts at a trial, first to last.
    pub fn attempts(&self, id: TrialId) -> Result<Vec<AttemptRow>, LedgerError> {
        let version = if self.has_column("session", "fingerprint")? {
            "s.fingerprint, a.metrics"
        } else {
            "NULL, NULL"
        };
        self.rows(
            &format!(
                "SELECT a.started_at, a.ended_at, a.outcome, a.kind, a.message, a.log, a.log_start, a.log_end, a.duration,
                        w.device_name, w.program || ' ' || w.version, {version}
                 FROM attempt a JOIN trial t ON t.id = a.trial LEFT JOIN worker w ON w.id = a.worker
                 LEFT JOIN session s ON s.id = w.session
                 WHERE t.point = ? AND t.seed = ? ORDER BY a.id"
            ),
            params![id.point.to_string(), id.seed as i64],
            |row| {
                let log: Option<String> = row.get(5)?;
                let (begin, end): (Option<i64>, Option<i64>) = (row.get(6)?, row.get(7)?);
                Ok(AttemptRow {
                    started_at: row.get(0)?,
                    ended_at: row.get(1)?,
                    outcome: row.get(2)?,
                    kind: row.get::<_, Option<String>>(3)?.as_deref().and_then(FailureKind::from_name),
                    message: row.get(4)?,
                    log: log.map(|file| (file, begin.unwrap_or(0) as u64, end.map(|end| end as u64))),
                    duration: row.get(8)?,
                    device: row.get(9)?,
                    program: row.get(10)?,
                    version: row.get(11)?,
                    metrics: row.get_ref(12)?.as_str_or_null()?.map(|text| metrics(12, text)).transpose()?,
                })
            },
        )
    }

    /// The last attempt at every trial that was ever started.
    pub fn last_attempts(&self) -> Result<HashMap<TrialId, LastAttempt>, LedgerError> {
        let rows = self.rows(
            "SELECT t.point, t.seed, a.started_at, a.ended_at, a.duration, a.kind, a.message
             FROM attempt a JOIN trial t ON t.id = a.trial ORDER BY a.id",
            [],
            |row| {
                let last = LastAttempt {
                    started_at: row.get(2)?,
                    ended_at: row.get(3)?,
                    duration: row.get(4)?,
                    kind: row
                        .get::<_, Option<String>>(5)?
                        .as_deref()
                        .and_then(FailureKind::from_name),
                    message: row.get(6)?,
                };
                Ok((trial_id(row)?, last))
            },
        )?;
        // Of several for one trial the last one stays.
        Ok(rows.into_iter().collect())
    }

    /// The last failed attempt's kind and message, for each trial that failed for good.
    pub fn failures(&self) -> Result<HashMap<TrialId, (FailureKind, String)>, LedgerError> {
        let rows = self.rows(
            "SELECT t.point, t.seed, a.kind, a.message FROM trial t JOIN attempt a ON a.trial = t.id
             WHERE t.state = 'failed' AND a.outcome = 'failed' ORDER BY a.id",
            [],
            |row| {
                let kind = FailureKind::from_name(row.get_ref(2)?.as_str()?).unwrap_or(FailureKind::Error);
                Ok((trial_id(row)?, (kind, row.get::<_, Option<String>>(3)?.unwrap_or_default())))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// By arm name: how many attempts have ended well, and the seconds that they took of their
    /// workers: those of a pack, which go together, no more than the time that passed.
    pub fn durations(&self) -> Result<HashMap<String, (u64, f64)>, LedgerError> {
        let packed: HashMap<i64, f64> = self
            .rows(
                "SELECT worker, passed / sum FROM (
                    SELECT worker, sum(duration) AS sum, (julianday(max(ended_at)) - julianday(min(started_at))) * 86400 AS passed
                    FROM attempt WHERE outcome = 'done' AND duration IS NOT NULL AND worker IS NOT NULL
                    GROUP BY worker HAVING count(*) > 1
                 ) WHERE sum > 1.05 * passed + 0.1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .into_iter()
            .collect();
        // Grouping by workers, too, only pays where there are packs.
        let worker = if packed.is_empty() {
            "NULL"
        } else {
            "a.worker"
        };
        let rows = self.rows(
            &format!(
                "SELECT p.arm, {worker}, count(*), sum(a.duration)
                 FROM attempt a JOIN trial t ON t.id = a.trial JOIN arm_point p USING (point)
                 WHERE a.outcome = 'done' AND a.duration IS NOT NULL GROUP BY 1, 2"
            ),
            [],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Option<i64>>(1)?,
                    row.get::<_, i64>(2)? as u64,
                    row.get::<_, f64>(3)?,
                ))
            },
        )?;
        let mut found: HashMap<String, (u64, f64)> = HashMap::new();
        for (arm, worker, count, seconds) in rows {
            let share = worker
                .and_then(|worker| packed.get(&worker))
                .copied()
                .unwrap_or(1.0);
            let own = found.entry(arm).or_default();
            *own = (own.0 + count, own.1 + share * seconds);
        }
        Ok(found)
    }

    /// The runs of coordinators, first to last.
    pub fn sessions(&self) -> Result<Vec<SessionRow>, LedgerError> {
        self.rows(
            "SELECT started_at, ended_at, outcome, host, command, version, git_commit, git_dirty, devices FROM session ORDER BY id",
            [],
            |row| {
                let commit: Option<String> = row.get(6)?;
                let dirty: Option<bool> = row.get(7)?;
                Ok(SessionRow {
                    started_at: row.get(0)?,
                    ended_at: row.get(1)?,
                    outcome: row.get(2)?,
                    host: row.get(3)?,
                    command: row.get(4)?,
                    version: row.get(5)?,
                    git: commit.map(|commit| (commit, dirty.unwrap_or(false))),
                    devices: row.get(8)?,
                })
            },
        )
    }

    /// The longest finished attempt in seconds, by arm name.
    pub fn longest_durations(&self) -> Result<HashMap<String, f64>, LedgerError> {
        let rows = self.rows(
            "SELECT p.arm, max(a.duration) FROM attempt a JOIN trial t ON t.id = a.trial JOIN arm_point p USING (point)
             WHERE a.outcome = 'done' AND a.duration IS NOT NULL GROUP BY p.arm",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// What workers wait for in a queue, and how many for each. Of a ledger of an earlier version:
    /// nothing.
    pub fn waiting(&self) -> Result<Vec<(String, u64)>, LedgerError> {
        if !self.has_column("worker", "waits")? {
            return Ok(Vec::new());
        }
        self.rows(
            "SELECT waits, count(*) FROM worker WHERE ended_at IS NULL AND waits IS NOT NULL GROUP BY waits ORDER BY 2 DESC, 1",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)),
        )
    }

    /// The kinds of worker that finished trials.
    pub fn workers(&self) -> Result<Vec<WorkerRow>, LedgerError> {
        let host = if self.has_column("worker", "host")? {
            "coalesce(w.host, s.host)"
        } else {
            "s.host"
        };
        self.rows(
            &format!(
                "SELECT coalesce(w.program, ''), coalesce(w.version, ''), coalesce(w.device_name, w.device), coalesce(w.libraries, ''),
                        coalesce(w.threads, 0), {host}, count(*)
                 FROM attempt a JOIN worker w ON w.id = a.worker JOIN session s ON s.id = w.session
                 WHERE a.outcome = 'done' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
            ),
            [],
            |row| {
                Ok(WorkerRow {
                    program: row.get(0)?,
                    version: row.get(1)?,
                    device: row.get(2)?,
                    libraries: row.get(3)?,
                    threads: row.get(4)?,
                    host: row.get(5)?,
                    trials: row.get::<_, i64>(6)? as u64,
                })
            },
        )
    }
}

/// The identity that the ledger of a run directory notes, if there is one that can be read at once.
pub fn identity_of(dir: &Path) -> Option<String> {
    schema::last_identity(&ledger_path(dir))
}

/// The ledger of a run directory, as it is named to the user.
pub(super) fn find(dir: &Path) -> Result<PathBuf, LedgerError> {
    check_path(dir)?;
    let path = dir.join(FILE_NAME);
    match path.exists() {
        true => Ok(path),
        false => Err(lost(dir).unwrap_or_else(|| LedgerError::Absent(dir.to_owned()))),
    }
}

/// An error of opening a ledger, as the user is told it.
pub(super) fn explain(dir: &Path, error: LedgerError) -> LedgerError {
    let error = match error {
        // Not a ledger that somebody else made, but one that has lost everything.
        LedgerError::Foreign { ref reason, .. } if reason == schema::EMPTY => {
            lost(dir).unwrap_or(error)
        }
        error => error,
    };
    error.of(&dir.join(FILE_NAME))
}

/// The error of a ledger that is missing or empty although a sweep was run.
fn lost(dir: &Path) -> Option<LedgerError> {
    Traces::look(dir).of_a_loss(dir)
}

pub(super) fn damaged(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Text,
        format!("the ledger holds {what}").into(),
    )
}

pub(super) fn trial_id(row: &Row<'_>) -> rusqlite::Result<TrialId> {
    let point = row
        .get_ref(0)?
        .as_str()?
        .parse()
        .map_err(|_| damaged(0, "a point id that is none"))?;
    Ok(TrialId {
        point,
        seed: row.get::<_, i64>(1)? as u64,
    })
}

pub(super) fn metrics(column: usize, text: &str) -> rusqlite::Result<Metrics> {
    serde_json::from_str(text).map_err(|_| damaged(column, "metrics that are not JSON"))
}

#[cfg(test)]
mod tests;
