//! Whether a ledger lacks what was recorded: a file that was removed, or a write-ahead log that was
//! lost after a crash, must not look like a new sweep.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::error::LedgerError;
use super::lock::LastNote;
use super::place::{Place, ledger_path};
use super::schema::{self, FILE_NAME};
use crate::grid::TrialId;

/// Folders of trials' programs, and of workers' logs, relative to the run directory.
const TRIALS: &str = "trials";
const LOGS: &str = "logs";

/// What shows that a session was recorded in a run directory, besides its ledger. Looked for before
/// anything is written there.
#[derive(Debug)]
pub(super) struct Traces {
    found: Option<String>,
}

impl Traces {
    /// Looks for them.
    pub fn look(dir: &Path) -> Self {
        let last = LastNote::read(dir);
        let first = |folder: &str, fits: fn(&str) -> bool| {
            let entries = std::fs::read_dir(dir.join(folder))
                .into_iter()
                .flatten()
                .flatten();
            entries
                .filter_map(|entry| entry.file_name().into_string().ok())
                .find(|name| fits(name))
        };
        let found = if last.had_session() {
            Some("ledger.lock names a session".to_owned())
        } else if let Some(name) = first(TRIALS, |name| name.parse::<TrialId>().is_ok()) {
            Some(format!("{TRIALS}/{name} is there"))
        } else if let Some(name) = first(LOGS, |name| name.starts_with("worker-")) {
            Some(format!("{LOGS}/{name} is there"))
        } else if last.was_held && last.noted.is_none() && dir.join("spec.yaml").exists() {
            // Of an earlier version, which noted no sessions; spec.yaml was written after the
            // first.
            Some("spec.yaml is there".to_owned())
        } else {
            None
        };
        Self { found }
    }

    /// Refuses a ledger that is not there, or has no bytes, although there was one.
    ///
    /// # Errors
    /// `LedgerError::Lost`.
    pub fn check_file(&self, dir: &Path) -> Result<(), LedgerError> {
        match std::fs::metadata(ledger_path(dir)) {
            // What is no file at all is refused by SQLite's opening.
            Ok(file) if file.len() > 0 || !file.is_file() => Ok(()),
            _ => self.of_a_loss(dir).map_or(Ok(()), Err),
        }
    }

    /// The error of a ledger without a session; None if there was none.
    pub fn of_a_loss(&self, dir: &Path) -> Option<LedgerError> {
        let found = self.found.as_ref()?;
        let what = match std::fs::metadata(ledger_path(dir)) {
            Ok(file) if !file.is_file() => return None,
            Ok(file) if file.len() > 0 => "it holds nothing",
            Ok(_) => "it is empty",
            Err(_) => "it is missing",
        };
        let log = if what == "it holds nothing" {
            missing_log(dir)
        } else {
            String::new()
        };
        let what = format!("{what}, although a sweep was run here ({found}){log}");
        Some(LedgerError::Lost {
            path: dir.join(FILE_NAME),
            what,
            all: true,
        })
    }

    /// Refuses a ledger without tables although there was a session.
    ///
    /// # Errors
    /// `LedgerError::Lost`, or SQLite's.
    pub fn check_tables(&self, dir: &Path, connection: &Connection) -> Result<(), LedgerError> {
        let sqlite = |source| LedgerError::Sqlite {
            path: dir.join(FILE_NAME),
            source,
        };
        match schema::is_empty(connection).map_err(sqlite)? {
            true => self.of_a_loss(dir).map_or(Ok(()), Err),
            false => Ok(()),
        }
    }
}

/// Refuses a ledger that lacks what its last session has noted in the lock file. Nothing is said of
/// a copy, whose files were not copied at one moment, nor of one that was restored.
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
    if !noted
        .place
        .parse::<Place>()
        .is_ok_and(|then| place.is_still(&then, true))
    {
        return Ok(());
    }
    let path = || dir.join(FILE_NAME);
    let found: Option<(i64, String)> = connection
        .query_row(
            "SELECT commits, started_at FROM session WHERE id = ?",
            [noted.session],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(|source| LedgerError::Sqlite {
            path: path(),
            source,
        })?;
    let what = match found {
        Some((commits, _))
            if u64::try_from(commits).is_ok_and(|commits| commits >= noted.commits) =>
        {
            return Ok(());
        }
        Some((commits, since)) => {
            let lost = noted
                .commits
                .saturating_sub(u64::try_from(commits).unwrap_or(0));
            format!(
                "it lacks the last {lost} of {} transactions of the run that began at {since}",
                noted.commits
            )
        }
        None => format!(
            "it lacks the whole of its last run, the {}. one",
            noted.session
        ),
    };
    Err(LedgerError::Lost {
        path: path(),
        what: what + &missing_log(dir),
        all: false,
    })
}

/// The likeliest cause.
fn missing_log(dir: &Path) -> String {
    let log = ledger_path(dir).with_file_name(format!("{FILE_NAME}-wal"));
    match std::fs::metadata(log) {
        Ok(file) if file.len() > 0 => String::new(),
        _ => ": its write-ahead log, ledger.sqlite-wal, is missing or empty".to_owned(),
    }
}
