//! Why a report or an export could not be written.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::aggregate::StatsError;
use crate::ledger::LedgerError;

/// Why a report or an export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file or folder cannot be written.
    #[error("{what} {}: {source}{}", path.display(), other_folder_hint(source))]
    File {
        /// What was being done, e.g. "cannot write".
        what: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The folder cannot be written.
    #[error("the report cannot be written to {}: {reason}\nname another folder with --out", out.display())]
    Out {
        /// The folder.
        out: PathBuf,
        /// Why it cannot.
        reason: String,
    },
    /// The folder holds the output of another run directory.
    #[error(
        "{} holds what was made of another run directory, {}: it would be overwritten\nname another folder with --out",
        out.display(),
        other.display()
    )]
    OtherRun {
        /// The folder.
        out: PathBuf,
        /// The other run directory.
        other: PathBuf,
    },
    /// Means and deviations could not be computed.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A figure, a page or JSON could not be made.
    #[error("{what} could not be made: {source}")]
    Format {
        /// What could not be made.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ReportError {
    /// Returns a function that wraps the error of making `what`.
    pub(super) fn of<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Format {
            what,
            source: Box::new(source),
        }
    }
}

/// A hint for a place that cannot be written to.
fn other_folder_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "\nname a folder that can be written with --out"
        }
        _ => "",
    }
}
