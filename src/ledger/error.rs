//! What can go wrong with a ledger, said so that its owner knows what to do.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::lock::Holder;
use super::versions::Retrained;
use crate::spec::command::shell_path;

/// A ledger that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another coordinator holds the run directory.
    #[error("{dir} is held by another coordinator: {holder}\nwait for it to end, or stop it (Ctrl-C in its terminal, or `kill {pid}` on {host})",
            dir = dir.display(), pid = holder.pid, host = holder.host)]
    Held {
        /// The run directory.
        dir: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// There is no ledger.
    #[error("{} holds no sweep: there is no ledger.sqlite in it\nstart one with `pentagrid run SPEC --dir {}`", .0.display(), shell_path(.0))]
    Absent(PathBuf),
    /// The file is not one of ours.
    #[error("{} is not a pentagrid ledger ({reason})\nmove it away, or name another run directory with --dir", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How one can tell.
        reason: String,
    },
    /// A later version of the program wrote it.
    #[error("{} was written by a newer pentagrid (ledger version {found}; this program knows up to {known})\nuse that newer program, or start afresh in another directory with --dir", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The sweep file, or what is trained, differs from that of the last run, and the user has not agreed to that.
    #[error("{}", changed.message(dir))]
    Changed {
        /// The run directory.
        dir: PathBuf,
        /// What differs.
        changed: Box<Changed>,
    },
    /// Two configurations with one id: the hash has too few bits for this sweep.
    #[error("two different points share the id {0}: please report this, and change the sweep a little meanwhile")]
    Collision(String),
    /// A row that cannot be what this program wrote.
    #[error("{} is damaged: {what}\nrestore it from a copy; nothing has been changed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// SQLite reports an error.
    #[error("{}: {source}{}", path.display(), hint(source))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The operating system reports an error.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done, e.g. "cannot create".
        what: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// How a run differs from the last one in the same run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// What the sweep file adds, removes and keeps, a line each; empty: nothing.
    pub spec: Vec<String>,
    /// How what is trained differs from what finished trials were trained by.
    pub retrained: Option<Retrained>,
}

impl Changed {
    /// One line for each difference.
    pub fn lines(&self) -> Vec<String> {
        let retrained = self.retrained.iter().flat_map(|retrained| retrained.difference.lines());
        self.spec.iter().chain(retrained).cloned().collect()
    }

    /// What differs, and what the user can do about it.
    fn message(&self, dir: &Path) -> String {
        let shown = dir.display();
        let mut out = String::new();
        if !self.spec.is_empty() {
            out.push_str(&format!("the sweep file has changed since {shown} was created:\n  {}\n", self.spec.join("\n  ")));
        }
        if let Some(Retrained { difference, trials }) = &self.retrained {
            let (them, those) = match trials {
                1 => ("1 finished trial".to_owned(), "that trial"),
                trials => (format!("{trials} finished trials"), "those trials"),
            };
            let lines: Vec<&str> = difference.lines().map(String::as_str).collect();
            out.push_str(&format!("what is trained has changed since {them} in {shown} ran:\n  {}\n", lines.join("\n  ")));
            out.push_str(&format!("run the same command with --rerun-changed to run {those} again, "));
            out.push_str("with --accept-changes to keep their results beside new ones, ");
        } else {
            out.push_str("run the same command with --accept-changes to keep the results of kept points and resume with the new sweep file, ");
        }
        out.push_str("or with --dir for a fresh run directory\nnothing has been changed yet");
        out
    }
}

impl LedgerError {
    /// Whether SQLite could not write, or make, what it needs beside the file.
    pub(super) fn is_of_a_place_that_cannot_be_written(&self) -> bool {
        let Self::Sqlite { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen))
    }
}

/// What to do about the SQLite errors that users meet.
fn hint(error: &rusqlite::Error) -> Cow<'static, str> {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure};
    if let (Some(SystemIoFailure), Some(limit)) = (error.sqlite_error_code(), file_size_limit()) {
        return Cow::Owned(format!(
            "\nfiles may have {limit} bytes at the most (`ulimit -f`), if it is not the disk that reports an error: raise that limit, and \
             run the same command again; what was recorded is kept"
        ));
    }
    Cow::Borrowed(match error.sqlite_error_code() {
        Some(DiskFull) => "\nthe disk is full: make room and run the same command again; what was recorded is kept",
        Some(ReadOnly) => "\nthe directory or the file cannot be written: check its permissions",
        Some(DatabaseBusy) => "\nanother program keeps the file locked: close it and try again",
        Some(DatabaseCorrupt | NotADatabase) => {
            "\nthe file is damaged: restore it from a copy, or try `sqlite3 ledger.sqlite .recover`"
        }
        Some(SystemIoFailure) => {
            "\nthe disk reports an error: check it, and run the same command again; what was recorded is kept"
        }
        _ => "",
    })
}

fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}
