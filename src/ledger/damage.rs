//! Detects a ledger that lacks what was recorded in it: a file that was removed, or a write-ahead
//! log that was lost after a crash, must not look like a new sweep.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::error::LedgerError;
use super::lock::LastNote;
use super::place::{Place, ledger_path};
use super::schema::{self, FILE_NAME};
use crate::grid::TrialId;
use crate::text::{count, thousands};

/// Folder of the folders of trials' programs, relative to the run directory.
const TRIALS: &str = "trials";
/// Folder of workers' logs, relative to the run directory.
const LOGS: &str = "logs";

/// Evidence in a run directory, besides its ledger, that a session was recorded there.
#[derive(Debug)]
pub(super) struct Traces {
    /// A description of the first piece of evidence.
    found: Option<String>,
}

impl Traces {
    /// Looks for evidence. Must be called before anything is written into the directory.
    pub(crate) fn find(dir: &Path) -> Self {
        let last = LastNote::read(dir);
        let found = if last.had_session() {
            Some("ledger.lock names a session".to_owned())
        } else if let Some(name) = find_entry(&dir.join(TRIALS), is_trial_folder) {
            Some(format!("{TRIALS}/{name} is there"))
        } else if let Some(name) = find_entry(&dir.join(LOGS), is_worker_log) {
            Some(format!("{LOGS}/{name} is there"))
        } else if last.was_held && last.noted.is_none() && dir.join("spec.yaml").exists() {
            // Earlier versions noted no sessions in the lock file; they wrote spec.yaml after the
            // first session had begun.
            Some("spec.yaml is there".to_owned())
        } else {
            None
        };
        Self { found }
    }

    /// Refuses a ledger that is missing or has no bytes, although there was one.
    ///
    /// # Errors
    /// `LedgerError::Lost`.
    pub(crate) fn check_file(&self, dir: &Path) -> Result<(), LedgerError> {
        match std::fs::metadata(ledger_path(dir)) {
            // SQLite itself refuses to open what is not a plain file.
            Ok(file) if file.len() > 0 || !file.is_file() => Ok(()),
            _ => self.loss(dir).map_or(Ok(()), Err),
        }
    }

    /// Returns the error about a ledger without a session; None if there never was a session.
    pub(crate) fn loss(&self, dir: &Path) -> Option<LedgerError> {
        let found = self.found.as_ref()?;
        let state = match std::fs::metadata(ledger_path(dir)) {
            Ok(file) if !file.is_file() => return None,
            Ok(file) if file.len() > 0 => "it holds nothing",
            Ok(_) => "it is empty",
            Err(_) => "it is missing",
        };
        let cause = if state == "it holds nothing" {
            missing_log(dir)
        } else {
            String::new()
        };

        Some(LedgerError::Lost {
            path: dir.join(FILE_NAME),
            what: format!("{state}, although a sweep was run here ({found}){cause}"),
            all: true,
        })
    }

    /// Refuses a ledger without tables although there was a session.
    ///
    /// # Errors
    /// `LedgerError::Lost`, or SQLite's.
    pub(crate) fn check_tables(
        &self,
        dir: &Path,
        connection: &Connection,
    ) -> Result<(), LedgerError> {
        let path = dir.join(FILE_NAME);
        if schema::is_empty(connection).map_err(LedgerError::sqlite_at(&path))? {
            self.loss(dir).map_or(Ok(()), Err)
        } else {
            Ok(())
        }
    }
}

/// The first entry of a folder whose name fits.
fn find_entry(folder: &Path, fits: fn(&str) -> bool) -> Option<String> {
    std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| fits(name))
}

fn is_trial_folder(name: &str) -> bool {
    name.parse::<TrialId>().is_ok()
}

fn is_worker_log(name: &str) -> bool {
    name.starts_with("worker-")
}

/// Refuses a ledger that lacks what its last session has noted in the lock file.
///
/// A copy is not checked, since its files were not copied at one moment, nor is a ledger that was
/// restored.
///
/// # Errors
/// `LedgerError::Lost`, or SQLite's.
pub(super) fn check_last_note(
    dir: &Path,
    connection: &Connection,
    place: &Place,
    last: &LastNote,
) -> Result<(), LedgerError> {
    let Some(noted) = last.noted.as_ref().filter(|noted| noted.session > 0) else {
        return Ok(());
    };

    let is_same_directory = noted
        .place
        .parse::<Place>()
        .is_ok_and(|then| place.is_still(&then, true));
    if !is_same_directory {
        return Ok(());
    }

    let path = dir.join(FILE_NAME);
    let found: Option<(i64, String)> = connection
        .query_row(
            "SELECT commits, started_at FROM session WHERE id = ?",
            [noted.session],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(LedgerError::sqlite_at(&path))?;

    let what = match found {
        Some((commits, since)) => {
            let commits = u64::try_from(commits).unwrap_or(0);
            if commits >= noted.commits {
                return Ok(());
            }
            format!(
                "it lacks the last {} of {} of the run that began at {since}",
                thousands(noted.commits - commits),
                count(noted.commits, "transaction")
            )
        }
        None => format!(
            "it lacks the whole of its last run (session {})",
            noted.session
        ),
    };

    Err(LedgerError::Lost {
        path,
        what: what + &missing_log(dir),
        all: false,
    })
}

/// The likeliest cause, as the end of a message: a write-ahead log that was not copied along.
fn missing_log(dir: &Path) -> String {
    let log = ledger_path(dir).with_file_name(format!("{FILE_NAME}-wal"));
    match std::fs::metadata(log) {
        Ok(file) if file.len() > 0 => String::new(),
        _ => ": its write-ahead log, ledger.sqlite-wal, is missing or empty".to_owned(),
    }
}
