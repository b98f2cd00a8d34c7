//! What can go wrong with a ledger, said so that its owner knows what to do.

use std::path::{Path, PathBuf};

use super::lock::Holder;
use super::patience::locked_by;
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
    /// The path cannot be one of a run directory.
    #[error("{} cannot be a run directory: {reason}", dir.display())]
    Path {
        /// The path.
        dir: PathBuf,
        /// Why it cannot.
        reason: String,
    },
    /// Rows are missing that a session has recorded: a file was removed or replaced.
    #[error("{} is damaged: {what}\n{}", path.display(), what_to_do(path, *all))]
    Lost {
        /// The ledger.
        path: PathBuf,
        /// What is missing, and how one can tell.
        what: String,
        /// Whether nothing is left in it.
        all: bool,
    },
    /// The run directory, or the ledger in it, is not the one any more that was opened.
    #[error("{}", what.describe(dir))]
    Gone {
        /// The run directory.
        dir: PathBuf,
        /// What has become of it.
        what: Gone,
    },
    /// Another coordinator has opened the ledger since.
    #[error("another coordinator has opened {}: {by}\nthis one stops: what it told as done is kept, and what was running starts again there", dir.display())]
    Superseded {
        /// The run directory.
        dir: PathBuf,
        /// Who.
        by: Holder,
    },
    /// The user did not wait until the ledger could be written.
    #[error("{} was locked by another program{}: {} not written, and will run again\nclose that program; everything that was told as done is kept", path.display(), by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default(), lost_results(*results))]
    Unwritten {
        /// The ledger.
        path: PathBuf,
        /// Who locks it, if that is known.
        by: Option<String>,
        /// How many results are lost.
        results: usize,
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
    /// The sweep file, or what is trained, differs from that of the last run, and the user has not
    /// agreed to that.
    #[error("{}", changed.message(dir))]
    Changed {
        /// The run directory.
        dir: PathBuf,
        /// What differs.
        changed: Box<Changed>,
    },
    /// Two configurations with one id: the hash has too few bits for this sweep.
    #[error(
        "two different points share the id {0}: please report this, and change the sweep a little meanwhile"
    )]
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
    #[error("{}: {source}{}", path.display(), hint(source, path))]
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
        let retrained = self
            .retrained
            .iter()
            .flat_map(|retrained| retrained.difference.lines());
        self.spec.iter().chain(retrained).cloned().collect()
    }

    /// What differs, and what the user can do about it.
    fn message(&self, dir: &Path) -> String {
        let shown = dir.display();
        let mut out = String::new();
        if !self.spec.is_empty() {
            out.push_str(&format!(
                "the sweep file has changed since {shown} was created:\n  {}\n",
                self.spec.join("\n  ")
            ));
        }
        if let Some(Retrained { difference, trials }) = &self.retrained {
            let (them, those) = match trials {
                1 => ("1 finished trial".to_owned(), "that trial"),
                trials => (format!("{trials} finished trials"), "those trials"),
            };
            let lines: Vec<&str> = difference.lines().map(String::as_str).collect();
            out.push_str(&format!(
                "what is trained has changed since {them} in {shown} ran:\n  {}\n",
                lines.join("\n  ")
            ));
            out.push_str(&format!(
                "run the same command with --rerun-changed to run {those} again, "
            ));
            out.push_str("with --accept-changes to keep their results beside new ones, ");
        } else {
            out.push_str("run the same command with --accept-changes to keep the results of kept points and resume with the new sweep file, ");
        }
        out.push_str("or start afresh in another directory: pentagrid run SPEC --dir DIR\nnothing has been changed yet");
        out
    }
}

/// What has become of a run directory, or of its ledger, while a coordinator had it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The directory has another name.
    Moved(PathBuf),
    /// The directory is not on the disk any more.
    Removed,
    /// The ledger has another name.
    LedgerMoved(PathBuf),
    /// The ledger is not on the disk any more.
    LedgerRemoved,
}

impl Gone {
    fn describe(&self, dir: &Path) -> String {
        let shown = dir.display();
        match self {
            Self::Moved(to) => format!(
                "{shown} was moved to {to} while its sweep ran, so the sweep was stopped\n\
                 everything that was told as done is kept in {to}; what was running starts again\n\
                 go on with: pentagrid resume {quoted}",
                to = to.display(),
                quoted = shell_path(to)
            ),
            Self::Removed => format!(
                "{shown} was removed while its sweep ran, so the sweep was stopped\n\
                 its ledger, with every result so far, is not on the disk any more\n\
                 restore the directory from a copy, or run the same command again to start from nothing"
            ),
            Self::LedgerMoved(to) => format!(
                "the ledger of {shown} was moved to {to} while its sweep ran, so the sweep was stopped\n\
                 everything that was told as done is kept in that file, and in ledger.sqlite-wal if that is there\n\
                 move it back to {shown}/ledger.sqlite, and run the same command again",
                to = to.display()
            ),
            Self::LedgerRemoved => format!(
                "the ledger of {shown} was removed or replaced while its sweep ran, so the sweep was stopped\n\
                 the file with the results so far is not on the disk any more; logs and the trials' folders are\n\
                 restore it from a copy (and remove ledger.sqlite-wal, unless the copy has one), or start again in another directory with \
                 --dir"
            ),
        }
    }
}

fn lost_results(results: usize) -> String {
    match results {
        0 => "some records were".to_owned(),
        1 => "1 result was".to_owned(),
        results => format!("{results} results were"),
    }
}

/// How to go on with a ledger that has lost rows.
fn what_to_do(path: &Path, all: bool) -> String {
    let dir = path.parent().unwrap_or(path);
    let shown = dir.display();
    let restore =
        "restore the file from a copy (ledger.sqlite and ledger.sqlite-wal belong together)";
    match all {
        true => format!(
            "{restore}, or, to start from nothing, move {shown} away or name another directory with --dir"
        ),
        false => format!(
            "{restore}, or, to go on with what is left and run the rest again: rm {}",
            shell_path(&dir.join("ledger.lock"))
        ),
    }
}

impl LedgerError {
    /// The same error, of a ledger as it is named to the user.
    pub(super) fn of(mut self, named: &Path) -> Self {
        let of = |found: &Path| {
            found
                .file_name()
                .map_or_else(|| named.to_owned(), |name| named.with_file_name(name))
        };
        match &mut self {
            Self::Foreign { path, .. } | Self::Newer { path, .. } | Self::Sqlite { path, .. } => {
                *path = of(path)
            }
            _ => {}
        }
        self
    }

    /// Whether another program has the ledger locked.
    pub fn is_busy(&self) -> bool {
        let Self::Sqlite { source, .. } = self else {
            return false;
        };
        is_busy(source)
    }

    /// Whether SQLite could not write, or make, what it needs beside the file.
    pub(super) fn is_of_a_place_that_cannot_be_written(&self) -> bool {
        let Self::Sqlite { source, .. } = self else {
            return false;
        };
        matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen)
        )
    }
}

/// Whether SQLite could not do something because another connection has the file locked.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked)
    )
}

/// What to do about the SQLite errors that users meet.
fn hint(error: &rusqlite::Error, path: &Path) -> String {
    use rusqlite::ErrorCode::{
        DatabaseBusy, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure,
    };
    if let (Some(SystemIoFailure), Some(limit)) = (error.sqlite_error_code(), file_size_limit()) {
        return format!(
            "\nfiles may have {limit} bytes at the most (`ulimit -f`), if it is not the disk that reports an error: raise that limit, and \
             run the same command again; what was recorded is kept"
        );
    }
    let hint = match error.sqlite_error_code() {
        Some(DiskFull) => {
            "the disk is full: make room and run the same command again; what was recorded is kept"
        }
        Some(ReadOnly) => "the directory or the file cannot be written: check its permissions",
        Some(DatabaseBusy) => {
            let by = locked_by(path).unwrap_or_else(|| "another program".to_owned());
            return format!(
                "\n{by} keeps the file locked: close it, or wait until it is done, and try again"
            );
        }
        Some(DatabaseCorrupt | NotADatabase) => {
            "the file is damaged: restore it from a copy, or try `sqlite3 ledger.sqlite .recover`"
        }
        Some(SystemIoFailure) => {
            "the disk reports an error: check it, and run the same command again; what was recorded is kept"
        }
        _ => return String::new(),
    };
    format!("\n{hint}")
}

fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}
