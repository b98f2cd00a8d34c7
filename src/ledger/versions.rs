//! Versions of what is trained: each differing fingerprint that a session was started with, and the
//! trials that must be run again if only the present one may count. Every attempt belongs to its
//! worker's session, and so to a version.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::LedgerError;
use super::reader::{Reader, trial_id};
use super::rows::{VersionRow, Versions};
use crate::grid::TrialId;
use crate::plan::{Difference, Fingerprint};

/// The folder of trials' own folders in a run directory.
const TRIALS: &str = "trials";

/// A trial's last finished attempt, with the version that it was trained by.
const DONE_BY: &str = "SELECT t.point, t.seed, max(a.id), s.fingerprint AS version
    FROM attempt a JOIN trial t ON t.id = a.trial AND t.state = 'done'
    LEFT JOIN worker w ON w.id = a.worker LEFT JOIN session s ON s.id = w.session
    WHERE a.outcome = 'done' GROUP BY a.trial";

/// How what is trained differs from what a run directory's results were trained by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retrained {
    /// What differs.
    pub difference: Difference,
    /// Finished trials of the sweep that another version trained.
    pub trials: u64,
}

/// The key by which fingerprints hide values; made with the ledger.
pub fn key(connection: &Connection) -> rusqlite::Result<[u8; 32]> {
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

/// Every version, by its number.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<(i64, Fingerprint)>> {
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

/// The number of the version that a fingerprint describes; it is noted if it is new.
pub fn put(connection: &Connection, fingerprint: &Fingerprint, at: &str) -> rusqlite::Result<i64> {
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

/// How a fingerprint differs from that of the last session; None if it does not, or if no finished
/// trial of the spec in force was trained by another version.
pub fn retrained(
    connection: &Connection,
    now: &Fingerprint,
) -> rusqlite::Result<Option<Retrained>> {
    let last: Option<i64> = connection
        .query_row("SELECT fingerprint FROM session WHERE fingerprint IS NOT NULL ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
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
             WHERE d.version IN (SELECT value FROM json_each(?)) AND d.point IN (SELECT point FROM arm_point)"
        ),
        [&others],
        |row| row.get(0),
    )?;
    Ok((trials > 0).then(|| Retrained {
        difference: now.since(before),
        trials: trials as u64,
    }))
}

/// The numbers of all versions but that of a fingerprint, as a JSON list.
fn others(versions: &[(i64, Fingerprint)], now: &Fingerprint) -> String {
    let others: Vec<i64> = versions
        .iter()
        .filter(|(_, known)| !known.is_same(now))
        .map(|(number, _)| *number)
        .collect();
    serde_json::to_string(&others).expect("numbers")
}

/// Puts every trial of the spec in force back that another version has begun or finished, so that
/// it runs again. What those attempts gave stays in their rows, and their folders beside the new
/// ones: a program must not go on from a checkpoint of the earlier code. Returns how many finished
/// trials that were.
pub fn rerun(connection: &Connection, dir: &Path, now: &Fingerprint) -> Result<usize, LedgerError> {
    let path = dir.join(super::schema::FILE_NAME);
    let sqlite = |source| LedgerError::Sqlite {
        path: path.clone(),
        source,
    };
    let others = others(&all(connection).map_err(sqlite)?, now);
    let mut find = connection
        .prepare(
            "SELECT t.id, t.point, t.seed, t.state = 'done', max(a.id) FROM trial t
             JOIN attempt a ON a.trial = t.id JOIN worker w ON w.id = a.worker JOIN session s ON s.id = w.session
             WHERE t.point IN (SELECT point FROM arm_point)
             GROUP BY t.id HAVING s.fingerprint IS NULL OR s.fingerprint IN (SELECT value FROM json_each(?))",
        )
        .map_err(sqlite)?;
    let found: Vec<(i64, String, i64, bool, i64)> = find
        .query_map([&others], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .and_then(Iterator::collect)
        .map_err(sqlite)?;
    for (trial, point, seed, _, attempt) in &found {
        let (old, kept) = (
            format!("{TRIALS}/{point}-{seed}"),
            format!("{TRIALS}/{point}-{seed}.attempt-{attempt}"),
        );
        set_aside(&dir.join(&old), &dir.join(&kept))?;
        let put_back = || -> rusqlite::Result<()> {
            connection
                .prepare_cached("UPDATE attempt SET metrics = (SELECT metrics FROM trial WHERE id = ?1) WHERE id = ?2")?
                .execute(params![trial, attempt])?;
            connection
                .prepare_cached(
                    "UPDATE attempt SET log = replace(log, ?2 || '/', ?3 || '/') WHERE trial = ?1 AND log LIKE ?2 || '/%'",
                )?
                .execute(params![trial, old, kept])?;
            connection
                .prepare_cached(
                    "UPDATE trial SET state = 'waiting', failures = 0, metrics = NULL, same_as = NULL, shared_epochs = 0 WHERE id = ?",
                )?
                .execute([trial])?;
            Ok(())
        };
        put_back().map_err(sqlite)?;
    }
    Ok(found.iter().filter(|(_, _, _, done, _)| *done).count())
}

/// Renames a trial's folder, where there is one.
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
    /// The versions of what is trained, and which of them trained each finished trial.
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
        let list = all(self.connection())
            .map_err(&sqlite)?
            .into_iter()
            .zip(first_seen);
        let list: Vec<VersionRow> = list
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
            // The common case, at no cost: the attempts need not be looked at.
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

    /// How a fingerprint differs from that of the last run, as a new run would find it. `take`
    /// makes it with the ledger's key.
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
    /// Returns whether one version trained all.
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

    /// How many of these finished trials each version trained, in the order of versions; None: it
    /// was not recorded.
    pub fn count(&self, trials: impl Iterator<Item = TrialId>) -> Vec<(Option<i64>, u64)> {
        let mut counts = std::collections::BTreeMap::new();
        for trial in trials {
            *counts.entry(self.of(trial)).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }
}
