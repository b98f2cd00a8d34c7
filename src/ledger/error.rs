//! What can go wrong with a ledger, with messages that tell the user what to do.

use std::path::{Path, PathBuf};

use super::holder::Holder;
use super::kernel_locks::locked_by;
use super::rows::Retrained;
use crate::grid::PointId;
use crate::shell::shell_path;
use crate::text::{count, form};

/// A ledger that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another coordinator is using the run directory.
    #[error("{dir} is in use by another pentagrid: {holder}\n\
             wait for it to end, or stop it (Ctrl-C in its terminal, or `kill {pid}` on {host})",
            dir = dir.display(), pid = holder.pid, host = holder.host)]
    Held {
        /// The run directory.
        dir: PathBuf,
        /// The other coordinator.
        holder: Holder,
    },
    /// The path cannot be that of a run directory.
    #[error("{} cannot be a run directory: {reason}", dir.display())]
    Path {
        /// The path.
        dir: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Rows that a session has recorded are missing: a file was removed or replaced.
    #[error("{} is damaged: {what}\n{}", path.display(), how_to_restore(path, *all))]
    Lost {
        /// The ledger.
        path: PathBuf,
        /// What is missing, and what shows that.
        what: String,
        /// Whether nothing is left in the ledger.
        all: bool,
    },
    /// The run directory, or the ledger in it, is no longer the one that was opened.
    #[error("{}", what.describe(dir))]
    Gone {
        /// The run directory.
        dir: PathBuf,
        /// What happened to it.
        what: Gone,
    },
    /// Another coordinator has opened the ledger in the meantime.
    #[error(
        "another coordinator has opened {}: {by}\n\
         this one stops: what it reported as done is kept, and what was running starts again there",
        dir.display()
    )]
    Superseded {
        /// The run directory.
        dir: PathBuf,
        /// The other coordinator.
        by: Holder,
    },
    /// The row of the session that writes is not there any more.
    #[error(
        "{}: another program has removed this run from the table `session`, so the run was stopped\n\
         results that were reported are kept, unless that program removed them too; the same \
         command resumes the sweep",
        .0.display()
    )]
    SessionRemoved(PathBuf),
    /// The user stopped waiting before the ledger could be written.
    #[error(
        "{} was locked by {}: {} not written, and will run again\n\
         close that program; everything that was reported as done is kept",
        path.display(),
        locker(by.as_deref()),
        lost_results(*results)
    )]
    Unwritten {
        /// The ledger.
        path: PathBuf,
        /// The program that has it locked, if that is known.
        by: Option<String>,
        /// Number of results that are lost.
        results: usize,
    },
    /// There is no ledger.
    #[error("{} holds no sweep: there is no ledger.sqlite in it\n\
             start one with `pentagrid run SPEC --dir {}`", .0.display(), shell_path(.0))]
    Absent(PathBuf),
    /// A coordinator is still making the ledger.
    #[error(
        "the sweep in {} has just begun: its ledger is still being made\ntry again in a moment",
        .0.display()
    )]
    Beginning(PathBuf),
    /// A coordinator was stopped before it had recorded the sweep file.
    #[error(
        "{} holds no sweep yet: a run was stopped before it had recorded its sweep file\n\
         start it again with `pentagrid run SPEC --dir {}`",
        .0.display(),
        shell_path(.0)
    )]
    NotBegun(PathBuf),
    /// The file is not a ledger.
    #[error("{} is not a pentagrid ledger ({reason})\n\
             move it away, or name another run directory with --dir", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What shows that.
        reason: String,
    },
    /// A later version of the program wrote the file.
    #[error(
        "{} was written by a newer pentagrid (ledger version {found}; this program knows up to \
         {known})\nuse that newer program, or start again in another directory with --dir",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The sweep file, or what is trained, has changed since the last run, and the user has not
    /// accepted that.
    #[error("{}", changed.message(dir))]
    Changed {
        /// The run directory.
        dir: PathBuf,
        /// What has changed.
        changed: Box<Changed>,
    },
    /// Two configurations have the same id: the hash has too few bits for this sweep.
    #[error(
        "two different points hash to the same id {0}: please report this bug; as a workaround, \
         change any parameter value"
    )]
    Collision(PointId),
    /// The ledger holds a row that this program cannot have written.
    #[error("{} is damaged: {what}\n\
             restore it from a copy; nothing has been changed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// SQLite reported an error.
    #[error("{}: {source}{}", path.display(), hint(source, path))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error.
        source: rusqlite::Error,
    },
    /// The operating system reported an error.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done, e.g. "cannot create".
        what: &'static str,
        /// The file or directory that it was done to.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
}

/// How a run differs from the last one in its run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// What the sweep file adds, removes and keeps, one line each; empty if nothing.
    pub spec: Vec<String>,
    /// How what is trained differs from what trained the finished trials.
    pub retrained: Option<Retrained>,
}

impl Changed {
    /// Returns one line for each difference.
    pub fn lines(&self) -> Vec<String> {
        let retrained = self
            .retrained
            .iter()
            .flat_map(|retrained| retrained.difference.lines());
        self.spec.iter().chain(retrained).cloned().collect()
    }

    /// Says what differs, and what the user can do about it.
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
            let ran = count(*trials, "finished trial");
            let again = form(*trials, "that trial", "those trials");
            let lines: Vec<&str> = difference.lines().map(String::as_str).collect();
            out.push_str(&format!(
                "what is trained has changed since {ran} in {shown} ran:\n  {}\n",
                lines.join("\n  ")
            ));
            out.push_str(&format!(
                "run the same command with --rerun-changed to run {again} again, "
            ));
            out.push_str(&format!(
                "with --accept-changes to keep {} beside new ones, ",
                form(*trials, "its result", "their results")
            ));
        } else {
            out.push_str(
                "run the same command with --accept-changes to keep the results of kept points \
                 and resume with the new sweep file, ",
            );
        }

        out.push_str(
            "or start again in another directory: pentagrid run SPEC --dir DIR\n\
             nothing has been changed yet",
        );
        out
    }
}

/// What happened to a run directory, or to its ledger, while a coordinator had it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The directory was renamed.
    Moved(PathBuf),
    /// The directory is not on the disk any more.
    Removed,
    /// The ledger was renamed.
    LedgerMoved(PathBuf),
    /// The ledger is not on the disk any more.
    LedgerRemoved,
    /// The write-ahead log is not on the disk any more, or is another file.
    LogRemoved {
        /// Whether its content was moved into the ledger before.
        is_saved: bool,
    },
}

impl Gone {
    fn describe(&self, dir: &Path) -> String {
        let shown = dir.display();
        match self {
            Self::Moved(to) => format!(
                "{shown} was moved to {to} while its sweep ran, so the sweep was stopped\n\
                 everything that was reported as done is kept in {to}; what was running starts \
                 again\n\
                 resume with: pentagrid resume {quoted}",
                to = to.display(),
                quoted = shell_path(to)
            ),
            Self::Removed => format!(
                "{shown} was removed while its sweep ran, so the sweep was stopped\n\
                 its ledger, with every result so far, is not on the disk any more\n\
                 restore the directory from a copy, or run the same command again to start from \
                 the beginning"
            ),
            Self::LedgerMoved(to) => format!(
                "the ledger of {shown} was moved to {to} while its sweep ran, \
                 so the sweep was stopped\n\
                 everything that was reported as done is kept in that file, \
                 and in ledger.sqlite-wal if that is there\n\
                 move it back to {shown}/ledger.sqlite, and run the same command again",
                to = to.display()
            ),
            Self::LedgerRemoved => format!(
                "the ledger of {shown} was removed or replaced while its sweep ran, \
                 so the sweep was stopped\n\
                 the file with the results so far is not on the disk any more; \
                 logs and the trials' folders are\n\
                 restore it from a copy (and remove ledger.sqlite-wal, unless the copy has one), \
                 or start again in another directory with \
                 --dir"
            ),
            Self::LogRemoved { is_saved: true } => format!(
                "ledger.sqlite-wal in {shown} was removed or replaced while its sweep ran, so the \
                 sweep was stopped\n\
                 everything that was reported as done is kept: it was moved into ledger.sqlite\n\
                 run the same command again"
            ),
            Self::LogRemoved { is_saved: false } => format!(
                "ledger.sqlite-wal in {shown} was removed or replaced while its sweep ran, so the \
                 sweep was stopped\n\
                 the last results, which were only in that file, are not on the disk any more\n\
                 restore the run directory from a copy, or start again in another one with --dir"
            ),
        }
    }
}

/// The program that has a ledger locked.
fn locker(by: Option<&str>) -> String {
    match by {
        Some(by) => format!("another program ({by})"),
        None => "another program".to_owned(),
    }
}

/// The beginning of a clause about results that are lost.
fn lost_results(results: usize) -> String {
    match results {
        0 => "some records were".to_owned(),
        results => format!(
            "{} {}",
            count(results, "result"),
            form(results, "was", "were")
        ),
    }
}

/// What to do about a ledger that has lost rows.
fn how_to_restore(path: &Path, all: bool) -> String {
    let dir = path.parent().unwrap_or(path);
    let shown = dir.display();
    let restore =
        "restore the file from a copy (ledger.sqlite and ledger.sqlite-wal belong together)";
    if all {
        format!(
            "{restore}, or, to start from the beginning, move {shown} away or name another \
             directory with --dir"
        )
    } else {
        format!(
            "{restore}, or, to resume with what is left and run the rest again: rm {}",
            shell_path(&dir.join("ledger.lock"))
        )
    }
}

impl LedgerError {
    /// Returns a function that makes an error of SQLite into one of the ledger at `path`.
    pub(super) fn sqlite_at(path: &Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        |source| Self::Sqlite {
            path: path.to_owned(),
            source,
        }
    }

    /// Returns the same error with the path `ledger` as the user knows it, instead of the absolute
    /// one that SQLite was given.
    pub(super) fn named(mut self, ledger: &Path) -> Self {
        if let Self::Foreign { path, .. } | Self::Newer { path, .. } | Self::Sqlite { path, .. } =
            &mut self
        {
            // It may be a file beside the ledger.
            *path = match path.file_name() {
                Some(name) => ledger.with_file_name(name),
                None => ledger.to_owned(),
            };
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

    /// Whether it may be that a coordinator, which has the lock, is still making the ledger.
    pub(super) fn is_of_a_beginning(&self) -> bool {
        use rusqlite::ErrorCode::{FileLockingProtocolFailed, NotADatabase, Unknown};
        match self {
            Self::Absent(_) | Self::Lost { .. } | Self::Foreign { .. } | Self::Beginning(_) => true,
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(FileLockingProtocolFailed | NotADatabase | Unknown)
            ),
            _ => false,
        }
    }

    /// Whether SQLite could not write or create the files that it needs beside the ledger.
    pub(super) fn is_unwritable(&self) -> bool {
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
        // SQLite reports both a full quota and a broken disk as an I/O error.
        return format!(
            "\nfiles may have at most {limit} bytes (`ulimit -f`), unless it is the disk that \
             reports an error: raise that limit, and \
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
            "the disk reports an error: check it, and run the same command again; what was \
             recorded is kept"
        }
        _ => return String::new(),
    };
    format!("\n{hint}")
}

fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}
