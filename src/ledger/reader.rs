//! Reads a ledger, also while a coordinator writes it; each call sees one consistent state.
//! `attempts` reads attempts, `sessions` sessions and workers, `history` what trials reported.

mod attempts;
mod sessions;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, params};

use super::connection::{self, ReadMode};
use super::damage::Traces;
use super::error::LedgerError;
use super::finals::{FINALS, has_finals};
use super::kernel_locks::locked_by;
use super::lock::Lock;
use super::patience::Waiting;
use super::place::{check_path, ledger_path};
use super::rows::{TrialRow, TrialState};
use super::schema::FILE_NAME;
use super::views;
use crate::grid::TrialId;
use crate::plan::{Phase, Shared};
use crate::protocol::Metrics;
use crate::spec::{ColumnNames, Spec};

/// How long a coordinator may take to make its ledger before a reader gives up. It takes longer
/// only on a slow file system, or if another program has the ledger locked.
const BEGINNING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait between two tries.
const BEGINNING_INTERVAL: Duration = Duration::from_millis(50);

/// A ledger that is open for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the ledger of a run directory.
    ///
    /// SQLite creates files beside a ledger that others may write. If that is impossible and no
    /// coordinator is there, it is told that the ledger does not change.
    ///
    /// Waits for a coordinator that is still making the ledger.
    ///
    /// # Errors
    /// `LedgerError`: no ledger, not a ledger, a later version, one that is still being made.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let began = Instant::now();
        loop {
            // Asked before: a coordinator that has gone by the time of the error may have finished
            // the ledger.
            let was_held = Lock::holder(dir).is_some();
            let opened = Self::open_at_once(dir).and_then(|reader| reader.check_begun(was_held));
            match opened {
                Err(error) if was_held && error.is_of_a_beginning() => {
                    if began.elapsed() > BEGINNING_TIMEOUT {
                        return Err(LedgerError::Beginning(dir.to_owned()));
                    }
                }
                opened => return opened,
            }
            std::thread::sleep(BEGINNING_INTERVAL);
        }
    }

    /// Refuses a ledger that has no sweep file yet while a coordinator has it.
    fn check_begun(self, is_held: bool) -> Result<Self, LedgerError> {
        if !is_held {
            return Ok(self);
        }
        let has_spec: bool = self
            .connection
            .query_row("SELECT EXISTS (SELECT 1 FROM spec)", [], |row| row.get(0))
            .map_err(self.sqlite())?;
        match (has_spec, self.path.parent()) {
            (false, Some(dir)) => Err(LedgerError::Beginning(dir.to_owned())),
            _ => Ok(self),
        }
    }

    fn open_at_once(dir: &Path) -> Result<Self, LedgerError> {
        let path = find(dir)?;
        let connection = match connection::open_readable(&ledger_path(dir)) {
            Err(error) if error.is_unwritable() => {
                match ReadMode::without_trace(&path, Lock::holder(dir).is_some()) {
                    ReadMode::Shared => Err(error),
                    mode => connection::open_in_mode(&ledger_path(dir), mode),
                }
            }
            opened => opened,
        };

        Ok(Self {
            connection: connection.map_err(|error| explain(dir, error))?,
            path,
        })
    }

    /// Makes every later call see the ledger as it is now, even if a coordinator writes.
    ///
    /// Does nothing with a rollback journal, as on network file systems: there an open reader would
    /// stop the writer.
    ///
    /// # Errors
    /// SQLite's.
    pub fn freeze(&self) -> Result<(), LedgerError> {
        let journal: String = self
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(self.sqlite())?;
        if journal == "wal" {
            // The snapshot is taken at the first read of a transaction.
            self.connection
                .execute_batch("BEGIN; SELECT count(*) FROM spec;")
                .map_err(self.sqlite())?;
        }
        Ok(())
    }

    /// Sets how long calls wait for other programs that have the ledger locked, before they fail.
    ///
    /// # Errors
    /// SQLite's.
    pub fn wait_at_most(&self, time: Duration) -> Result<(), LedgerError> {
        self.connection.busy_timeout(time).map_err(self.sqlite())
    }

    /// Describes what keeps the ledger from being read. `time` is how long that has lasted.
    pub fn locked(&self, time: Duration) -> Waiting {
        Waiting {
            path: self.path.clone(),
            time,
            by: locked_by(&self.path),
        }
    }

    /// Makes a reader of an open connection.
    pub(super) fn on(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path }
    }

    /// The connection, for queries in other files.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns a function that makes an error of SQLite into one of this ledger.
    pub(super) fn sqlite(&self) -> impl Fn(rusqlite::Error) -> LedgerError + '_ {
        |source| match source {
            // Rows that SQLite can read, but that this program cannot have written.
            rusqlite::Error::FromSqlConversionFailure(_, _, what) => LedgerError::Damaged {
                path: self.path.clone(),
                what: what.to_string(),
            },
            rusqlite::Error::InvalidColumnType(_, column, found) => LedgerError::Damaged {
                path: self.path.clone(),
                what: format!("the ledger holds {found} in the column {column}"),
            },
            source => LedgerError::Sqlite {
                path: self.path.clone(),
                source,
            },
        }
    }

    /// Runs a query and reads its rows.
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

    /// The sweep file in force.
    pub fn spec_text(&self) -> Result<String, LedgerError> {
        self.connection
            .query_row(
                "SELECT text FROM spec ORDER BY revision DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .map_err(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => {
                    LedgerError::NotBegun(self.path.parent().unwrap_or(&self.path).to_owned())
                }
                error => self.sqlite()(error),
            })
    }

    /// The folder that the sweep was last started from; None if it was not recorded, as before
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

    /// The identity of the run directory; None if it has none yet, as before version 5.
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

    /// Numbers that differ whenever something that a report shows has changed: revisions of the
    /// sweep file, attempts, and attempts that have ended. Results themselves never change.
    pub fn state(&self) -> Result<[i64; 3], LedgerError> {
        self.connection
            .query_row(
                "SELECT (SELECT count(*) FROM spec),
                        (SELECT coalesce(max(id), 0) FROM attempt),
                        (SELECT count(ended_at) FROM attempt)",
                [],
                |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]),
            )
            .map_err(self.sqlite())
    }

    /// Returns the names of the columns of a sweep's parameters and metrics, as in the views. A
    /// metric that trials report later changes none of them.
    pub fn column_names(&self, spec: &Spec) -> Result<ColumnNames, LedgerError> {
        if !self.has_column("column_name", "name")? {
            return Ok(ColumnNames::of(spec, []));
        }
        let metrics = views::metrics_as_reported(&self.connection).map_err(self.sqlite())?;
        Ok(ColumnNames::of(spec, metrics.iter().map(String::as_str)))
    }

    /// Whether a table has a column; a ledger of an earlier version may lack it.
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

    /// The final metrics of a trial as it reported them, whichever rule holds; None if it is not
    /// done.
    ///
    /// # Errors
    /// The ledger's.
    pub fn reported_metrics(&self, id: TrialId) -> Result<Option<Metrics>, LedgerError> {
        let found = self.rows(
            "SELECT t.metrics FROM trial t WHERE t.point = ? AND t.seed = ?",
            params![id.point.to_string(), id.seed as i64],
            |row| {
                row.get::<_, Option<String>>(0)?
                    .map(|text| metrics(0, &text))
                    .transpose()
            },
        )?;
        Ok(found.into_iter().flatten().next())
    }

    /// The trials that a clause selects from the table `t`.
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
        // Final metrics, by the rule of the sweep in force.
        let metrics = if has_finals(&self.connection).map_err(self.sqlite())? {
            format!("(SELECT f.metrics FROM {FINALS} f WHERE f.trial = t.id)")
        } else {
            "t.metrics".to_owned()
        };
        self.rows(
            &format!(
                "SELECT t.point, t.seed, t.phase, t.state, t.failures, {metrics}, {shared} {clause}"
            ),
            parameters,
            trial_row,
        )
    }
}

fn trial_row(row: &Row<'_>) -> rusqlite::Result<TrialRow> {
    let same_as = match row.get::<_, Option<String>>(7)? {
        None => None,
        Some(point) => Some(TrialId {
            point: point
                .parse()
                .map_err(|_| damaged(7, "a point id that is none"))?,
            seed: row.get::<_, i64>(8)? as u64,
        }),
    };

    let phase = match row.get_ref(2)?.as_str()? {
        "final" => Phase::Final,
        _ => Phase::Tune,
    };
    let state = TrialState::from_name(row.get_ref(3)?.as_str()?)
        .ok_or_else(|| damaged(3, "an unknown state"))?;
    let metrics = row
        .get::<_, Option<String>>(5)?
        .map(|text| metrics(5, &text))
        .transpose()?;

    Ok(TrialRow {
        id: trial_id(row)?,
        phase,
        state,
        failures: row.get(4)?,
        metrics,
        shared: Shared {
            same_as,
            epochs: row.get(6)?,
        },
    })
}

/// The identity that the ledger of a run directory records, if there is one that can be read at
/// once.
pub fn identity_of(dir: &Path) -> Option<String> {
    connection::last_identity(&ledger_path(dir))
}

/// Finds the ledger of a run directory. Returns its path as the user knows it.
pub(super) fn find(dir: &Path) -> Result<PathBuf, LedgerError> {
    check_path(dir)?;
    let path = dir.join(FILE_NAME);
    if path.exists() {
        Ok(path)
    } else {
        Err(lost(dir).unwrap_or_else(|| LedgerError::Absent(dir.to_owned())))
    }
}

/// Returns an error of opening a ledger with the message for the user.
pub(super) fn explain(dir: &Path, error: LedgerError) -> LedgerError {
    let error = match error {
        // Not the file of another program, but a ledger that has lost everything.
        LedgerError::Foreign { ref reason, .. } if reason == connection::EMPTY => {
            lost(dir).unwrap_or(error)
        }
        error => error,
    };
    error.named(&dir.join(FILE_NAME))
}

/// Returns the error about a ledger that is missing or empty although a sweep was run.
fn lost(dir: &Path) -> Option<LedgerError> {
    Traces::find(dir).loss(dir)
}

/// The error about a row that this program cannot have written.
pub(super) fn damaged(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Text,
        format!("the ledger holds {what}").into(),
    )
}

/// Reads a trial's id from the first two columns.
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

/// Reads metrics from a column.
pub(super) fn metrics(column: usize, text: &str) -> rusqlite::Result<Metrics> {
    serde_json::from_str(text).map_err(|_| damaged(column, "metrics that are not JSON"))
}

#[cfg(test)]
mod tests;
