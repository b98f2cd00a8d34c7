//! Why the files of a program give no metrics.

use std::io;

use crate::collect::{Damage, Flaw};

/// Maximum number of files of a source.
pub(super) const MAX_FILES: usize = 1000;

/// Why the files of a source give no metrics.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// A file is damaged.
    #[error("`metrics: {key}` cannot read {file}: {damage}{hint}")]
    Damaged {
        key: String,
        file: String,
        damage: Damage,
        hint: &'static str,
    },
    /// A file or folder cannot be read.
    #[error("`metrics: {key}` cannot read {file}: {error}")]
    Unreadable {
        key: String,
        file: String,
        error: io::Error,
    },
    /// There are too many files.
    #[error("`metrics: {key}` finds more than {MAX_FILES} files")]
    TooManyFiles { key: String },
    /// The thread that read them has panicked.
    #[error("the metrics could not be read, because of a bug in pentagrid")]
    Panicked,
}

impl CollectError {
    /// Whether a file ends within a record.
    pub(super) fn is_cut_off(&self) -> bool {
        matches!(self, Self::Damaged { damage, .. } if damage.what == Flaw::CutOff)
    }
}
