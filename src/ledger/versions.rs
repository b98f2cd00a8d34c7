//! Versions of what is trained: the fingerprints that sessions were started with, and the trials
//! that must be run again if only the present version may count. Every attempt belongs to its
//! worker's session, and so to a version.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::LedgerError;
use super::reader::{Reader, trial_id};
use super::rows::{Retrained, VersionRow, Versions};
use crate::grid::TrialId;
use crate::plan::Fingerprint;

/// The folder of trials' own folders in a run directory.
const TRIALS: &str = "trials";

/// Query for the last finished attempt at each trial, with the version that trained it.
const DONE_BY: &str = "SELECT t.point, t.seed, max(a.id), s.fingerprint AS version
    FROM attempt a JOIN trial t ON t.id = a.trial AND t.state = 'done'
    LEFT JOIN worker w ON w.id = a.worker LEFT JOIN session s ON s.id = w.session
    WHERE a.outcome = 'done' GROUP BY a.trial";

/// Returns the key that hides values in fingerprints; a new ledger gets a random one.
pub(crate) fn key(connection: &Connection) -> rusqlite::Result<[u8; 32]> {
    let known = connection
        .query_row("SELECT value FROM fingerprint_key", [], |row| row.get(0))
        .optional()?;
    match known {
        Some(key) => Ok(key),
        None => {
            connection.execute(
                "INSERT INTO fingerprint_key (value) VALUES (randomblob(32))",
                [],
            )?;
            connection.query_row("SELECT value FROM fingerprint_key", [], |row| row.get(0))
        }
    }
}

/// Returns every version with its number.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<(i64, Fingerprint)>> {
    let mut statement = connection.prepare("SELECT id, parts FROM fingerprint ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        let text: String = row.get(1)?;
        let fingerprint = serde_json::from_str(&text).map_err(|_| {
            let what = format!("a fingerprint that is not one: {text}");
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, what.into())
        })?;
        Ok((row.get(0)?, fingerprint))
    })?;
    rows.collect()
}

/// Returns the number of the version that a fingerprint describes; a new version is added.
pub(crate) fn put(
    connection: &Connection,
    fingerprint: &Fingerprint,
    at: &str,
) -> rusqlite::Result<i64> {
    // Going back to earlier code goes back to its version.
    if let Some((number, _)) = all(connection)?
        .into_iter()
        .find(|(_, known)| known.is_same(fingerprint))
    {
        return Ok(number);
    }
    let text = serde_json::to_string(fingerprint).expect("a fingerprint is made of texts");
    connection.execute(
        "INSERT INTO fingerprint (parts, first_seen_at) VALUES (?, ?)",
        params![text, at],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Returns how a fingerprint differs from that of the last session; None if it does not, or if no
/// other version trained a finished trial of the sweep in force.
pub(crate) fn retrained(
    connection: &Connection,
    now: &Fingerprint,
) -> rusqlite::Result<Option<Retrained>> {
    let last: Option<i64> = connection
        .query_row(
            "SELECT fingerprint FROM session WHERE fingerprint IS NOT NULL ORDER BY id DESC
             LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;

    let versions = all(connection)?;
    let Some((_, before)) = versions.iter().find(|(number, _)| Some(*number) == last) else {
        return Ok(None);
    };
    if before.is_same(now) {
        return Ok(None);
    }

    let others = others(&versions, now);
    let trials: i64 = connection.query_row(
        &format!(
            "SELECT count(*) FROM ({DONE_BY}) d
             WHERE d.version IN (SELECT value FROM json_each(?))
             AND d.point IN (SELECT point FROM arm_point)"
        ),
        [&others],
        |row| row.get(0),
    )?;

    Ok((trials > 0).then(|| Retrained {
        difference: now.since(before),
        trials: trials as u64,
    }))
}

/// Returns the numbers of all versions but that of a fingerprint, as a JSON list.
fn others(versions: &[(i64, Fingerprint)], now: &Fingerprint) -> String {
    let others: Vec<i64> = versions
        .iter()
        .filter(|(_, known)| !known.is_same(now))
        .map(|(number, _)| *number)
        .collect();
    serde_json::to_string(&others).expect("numbers")
}

/// A trial that an earlier version began or finished.
struct Outdated {
    trial: i64,
    point: String,
    seed: i64,
    is_done: bool,
    last_attempt: i64,
}

/// Resets every trial of the sweep in force that another version began or finished, so that it runs
/// again. Returns how many finished trials that were.
///
/// The results of those attempts stay in their rows, and the trials' folders are kept beside the
/// new ones: a program must not resume from a checkpoint of the earlier code.
pub(crate) fn rerun(
    connection: &Connection,
    dir: &Path,
    now: &Fingerprint,
) -> Result<usize, LedgerError> {
    let path = dir.join(super::schema::FILE_NAME);
    let sqlite = LedgerError::sqlite_at(&path);
    let found = outdated(connection, now).map_err(&sqlite)?;
    for trial in &found {
        let folder = format!("{TRIALS}/{}-{}", trial.point, trial.seed);
        let kept = format!("{folder}.attempt-{}", trial.last_attempt);
        set_aside(&dir.join(&folder), &dir.join(&kept))?;
        reset(connection, trial, &folder, &kept).map_err(&sqlite)?;
    }
    Ok(found.iter().filter(|trial| trial.is_done).count())
}

/// Lists the trials of the sweep in force whose last attempt was of another version.
fn outdated(connection: &Connection, now: &Fingerprint) -> rusqlite::Result<Vec<Outdated>> {
    let others = others(&all(connection)?, now);
    connection
        .prepare(
            "SELECT t.id, t.point, t.seed, t.state = 'done', max(a.id) FROM trial t
             JOIN attempt a ON a.trial = t.id JOIN worker w ON w.id = a.worker
             JOIN session s ON s.id = w.session
             WHERE t.point IN (SELECT point FROM arm_point)
             GROUP BY t.id HAVING s.fingerprint IS NULL OR s.fingerprint IN (SELECT value
             FROM json_each(?))",
        )?
        .query_map([&others], |row| {
            Ok(Outdated {
                trial: row.get(0)?,
                point: row.get(1)?,
                seed: row.get(2)?,
                is_done: row.get(3)?,
                last_attempt: row.get(4)?,
            })
        })?
        .collect()
}

/// Makes a trial wait again. Its metrics move to its last attempt, and its logs are found in the
/// folder's new name.
fn reset(
    connection: &Connection,
    outdated: &Outdated,
    folder: &str,
    kept: &str,
) -> rusqlite::Result<()> {
    let trial = outdated.trial;
    connection
        .prepare_cached(
            "UPDATE attempt SET metrics = (SELECT metrics FROM trial WHERE id = ?1) WHERE id = ?2",
        )?
        .execute(params![trial, outdated.last_attempt])?;
    connection
        .prepare_cached(
            "UPDATE attempt SET log = replace(log, ?2 || '/', ?3 || '/') WHERE trial = ?1
             AND log LIKE ?2 || '/%'",
        )?
        .execute(params![trial, folder, kept])?;
    connection
        .prepare_cached(
            "UPDATE trial SET state = 'waiting', failures = 0, metrics = NULL, same_as = NULL,
             shared_epochs = 0 WHERE id = ?",
        )?
        .execute([trial])?;
    Ok(())
}

/// Renames a trial's folder, if there is one.
fn set_aside(folder: &Path, kept: &Path) -> Result<(), LedgerError> {
    match std::fs::rename(folder, kept) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(LedgerError::Io {
            what: "cannot rename",
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

impl Reader {
    /// Returns the versions of what is trained, and which of them trained each finished trial.
    ///
    /// # Errors
    /// SQLite's.
    pub fn versions(&self) -> Result<Versions, LedgerError> {
        if !self.has_column("session", "fingerprint")? {
            return Ok(Versions::default());
        }

        let sqlite = self.sqlite();
        let first_seen = self.rows(
            "SELECT first_seen_at FROM fingerprint ORDER BY id",
            [],
            |row| row.get(0),
        )?;
        let list: Vec<VersionRow> = all(self.connection())
            .map_err(&sqlite)?
            .into_iter()
            .zip(first_seen)
            .map(|((number, fingerprint), first_seen_at)| VersionRow {
                number,
                fingerprint,
                first_seen_at,
            })
            .collect();

        let by_session = self.rows("SELECT DISTINCT fingerprint FROM session", [], |row| {
            row.get::<_, Option<i64>>(0)
        })?;
        if let [only] = by_session.as_slice() {
            // The common case: the attempts need not be read.
            return Ok(Versions {
                list,
                only: *only,
                of: HashMap::new(),
                last: *only,
            });
        }

        let of: Vec<(TrialId, Option<i64>)> =
            self.rows(DONE_BY, [], |row| Ok((trial_id(row)?, row.get(3)?)))?;
        let last = self.rows(
            "SELECT fingerprint FROM session ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )?;

        Ok(Versions {
            list,
            only: None,
            of: of.into_iter().collect(),
            last: last.into_iter().next().flatten(),
        })
    }

    /// Returns how a fingerprint differs from that of the last run, as a new run would find it.
    /// `take` makes the fingerprint with the ledger's key.
    ///
    /// # Errors
    /// SQLite's.
    pub fn retrained(
        &self,
        take: impl FnOnce(&[u8; 32]) -> Fingerprint,
    ) -> Result<Option<Retrained>, LedgerError> {
        if !self.has_column("session", "fingerprint")? {
            return Ok(None);
        }
        let key = self
            .connection()
            .query_row("SELECT value FROM fingerprint_key", [], |row| row.get(0))
            .optional();
        match key.map_err(self.sqlite())? {
            Some(key) => retrained(self.connection(), &take(&key)).map_err(self.sqlite()),
            None => Ok(None),
        }
    }
}

impl Versions {
    /// Whether one version trained all trials.
    pub fn is_one(&self) -> bool {
        self.only.is_some() || (self.list.is_empty() && self.of.is_empty())
    }

    /// The version that trained all trials, if one did and it is known.
    pub fn only(&self) -> Option<i64> {
        self.only
    }

    /// The version that trained a finished trial, if that is known.
    pub fn of(&self, trial: TrialId) -> Option<i64> {
        self.only
            .or_else(|| self.of.get(&trial).copied().unwrap_or(self.last))
    }

    /// Counts how many of these finished trials each version trained, in the order of versions;
    /// None: the version was not recorded.
    pub fn count(&self, trials: impl Iterator<Item = TrialId>) -> Vec<(Option<i64>, u64)> {
        let mut counts = std::collections::BTreeMap::new();
        for trial in trials {
            *counts.entry(self.of(trial)).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }
}
