//! The right of a session to write: the lock, the place of the run directory, and the number of
//! the session. Every transaction is checked against them.

use std::path::{Path, PathBuf};

use super::connection;
use super::error::{Gone, LedgerError};
use super::holder::Holder;
use super::lock::Lock;
use super::place::{FileId, Place};
use super::schema::FILE_NAME;

/// A session's claim on a run directory.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) lock: Lock,
    pub(super) place: Place,
    /// The session's number.
    pub(super) session: i64,
    /// The ledger, as the user knows it.
    pub(super) path: PathBuf,
    /// The write-ahead log, which stays one file while the ledger is open; None if there is none.
    pub(super) log: Option<FileId>,
}

/// Returns the id of a ledger's write-ahead log, if it has one.
pub(super) fn log_of(path: &Path) -> Option<FileId> {
    FileId::of(&log_path(path)).ok()
}

fn log_path(path: &Path) -> PathBuf {
    path.with_file_name(format!("{FILE_NAME}-wal"))
}

impl Claim {
    /// Checks that the run directory and its ledger are where they were.
    ///
    /// # Errors
    /// `LedgerError::Gone`.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.lock.check(&self.place)?;
        match &self.log {
            Some(log) if !log.is_at(&log_path(&self.path)) => Err(LedgerError::Gone {
                dir: self.dir().to_owned(),
                what: Gone::LogRemoved { is_saved: false },
            }),
            _ => Ok(()),
        }
    }

    /// The run directory, as the user knows it.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Returns the error of a session that another one has followed.
    pub(super) fn superseded(&self) -> LedgerError {
        let by = connection::last_holder(&self.path).unwrap_or_else(|| Holder {
            host: "another host".into(),
            pid: 0,
            since: "just now".into(),
        });
        LedgerError::Superseded {
            dir: self.dir().to_owned(),
            by,
        }
    }
}
