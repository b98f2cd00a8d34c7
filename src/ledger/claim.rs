//! What a session holds on to while it writes: the lock, the place of the run directory, and its
//! number. Every transaction is checked against them.

use std::path::{Path, PathBuf};

use super::error::LedgerError;
use super::lock::{Holder, Lock};
use super::place::Place;
use super::schema;

/// A session's claim on a run directory.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) lock: Lock,
    pub(super) place: Place,
    /// The session's number.
    pub(super) session: i64,
    /// The ledger, as it is named to the user.
    pub(super) path: PathBuf,
}

impl Claim {
    /// Makes sure that the run directory and its ledger are where they were.
    ///
    /// # Errors
    /// `LedgerError::Gone`.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.lock.check(&self.place)
    }

    /// The run directory, as it is named to the user.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The error of a session that is not the last one any more.
    pub(super) fn superseded(&self) -> LedgerError {
        let unknown = || Holder {
            host: "another host".into(),
            pid: 0,
            since: "just now".into(),
        };
        let by = schema::last_holder(&self.path).unwrap_or_else(unknown);
        LedgerError::Superseded {
            dir: self.dir().to_owned(),
            by,
        }
    }
}
