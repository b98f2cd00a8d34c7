//! Opening SQLite connections to a ledger: for writing, or for reading without a trace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::LedgerError;
use super::holder::Holder;
use super::schema::{APPLICATION_ID, SCHEMA_VERSION, bring_up_to_date, version};
use crate::files;

/// The reason that is given for refusing a ledger without tables.
pub(crate) const EMPTY: &str = "it is empty";

/// How long SQLite waits for another connection's lock before it tells a coordinator.
const WRITER_BUSY_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a reader waits for another connection's lock.
const READER_BUSY_TIMEOUT: Duration = Duration::from_secs(15);
/// Endings of the files that SQLite opens: the ledger, and those beside it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Opens a ledger for writing and brings it to this program's version; creates it if there is none.
/// `network` is the name of the network file system that it lies on, if any.
#[cfg(test)]
pub(super) fn open_writable(path: &Path, network: Option<&str>) -> Result<Connection, LedgerError> {
    let mut connection = connect(path)?;
    set_up(&mut connection, path, network)?;
    Ok(connection)
}

/// Opens a ledger for writing; creates an empty file if there is none. Refuses what is not a
/// ledger. SQLite waits only briefly for the locks of other programs: the caller tries again.
pub(crate) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let sqlite = LedgerError::sqlite_at(path);
    refuse_other_files(path)?;

    // Without SQLITE_OPEN_URI, so that a name that looks like a URI is taken for a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&sqlite)?;
    connection
        .busy_timeout(WRITER_BUSY_TIMEOUT)
        .map_err(&sqlite)?;
    check_identity(&connection, path)?;
    Ok(connection)
}

/// Sets up a connection for writing, and brings the ledger to this program's version. May be called
/// again after it failed.
pub(crate) fn set_up(
    connection: &mut Connection,
    path: &Path,
    network: Option<&str>,
) -> Result<(), LedgerError> {
    let sqlite = LedgerError::sqlite_at(path);

    // Write-ahead logging needs shared memory, which network file systems do not provide
    // (sqlite.org/wal.html).
    let journal = if network.is_some() { "DELETE" } else { "WAL" };
    connection
        .pragma_update_and_check(None, "journal_mode", journal, |_| Ok(()))
        .map_err(&sqlite)?;
    // A result counts once it is committed, so a commit must survive a power cut.
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(&sqlite)?;
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(&sqlite)?;

    // Trials come in the order of the grid, but their rows are in the order of hashes. With the
    // default of 2 MB the writer would read pages again and again, and move the log into the file
    // every few commits.
    connection
        .pragma_update(None, "cache_size", -32_000)
        .map_err(&sqlite)?;
    connection
        .pragma_update(None, "wal_autocheckpoint", 4000)
        .map_err(&sqlite)?;

    bring_up_to_date(connection).map_err(&sqlite)
}

/// The coordinator of the last session of a ledger, if that can be read at once.
pub(crate) fn last_holder(path: &Path) -> Option<Holder> {
    let connection = open_readable(path).ok()?;
    connection.busy_timeout(WRITER_BUSY_TIMEOUT).ok()?;
    connection
        .query_row(
            "SELECT host, pid, started_at FROM session ORDER BY id DESC LIMIT 1",
            [],
            |row| {
                Ok(Holder {
                    host: row.get(0)?,
                    pid: row.get(1)?,
                    since: row.get(2)?,
                })
            },
        )
        .ok()
}

/// The identity that the last session of a ledger recorded, if there is one that can be read at
/// once.
pub(crate) fn last_identity(path: &Path) -> Option<String> {
    let connection = open_readable(path).ok()?;
    connection.busy_timeout(WRITER_BUSY_TIMEOUT).ok()?;
    connection
        .query_row(
            "SELECT identity FROM session ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .ok()?
}

/// Refuses to open a pipe, a folder or a device as an SQLite file. Opening a pipe would wait for
/// its other end.
fn refuse_other_files(path: &Path) -> Result<(), LedgerError> {
    for suffix in SUFFIXES {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        if let Err(reason) = files::refuse_other(&path) {
            return Err(foreign(&path, &reason.to_string()));
        }
    }
    Ok(())
}

/// How a ledger is opened for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// Beside other readers and a writer.
    Shared,
    /// As a file that does not change, without the files beside it.
    Immutable,
    /// As a file that does not change, with the write-ahead log that a killed coordinator left.
    LeftLog,
}

impl ReadMode {
    /// Returns the mode that leaves the directory as it is: SQLite creates files beside a ledger
    /// unless it is told that there is no writer. `is_held` says whether a coordinator is there.
    pub(crate) fn without_trace(path: &Path, is_held: bool) -> Self {
        // With a journal that is still to be rolled back, the file alone is not the whole ledger.
        let has_journal = size_beside(path, "-journal").is_some_and(|size| size > 0);
        if is_held || has_journal {
            return Self::Shared;
        }

        let log_size = size_beside(path, "-wal").unwrap_or(0);
        if log_size == 0 {
            Self::Immutable
        } else if size_beside(path, "-shm").is_some() {
            Self::LeftLog
        } else {
            Self::Shared
        }
    }
}

/// Size of a file beside the ledger; None if it is not there.
fn size_beside(path: &Path, suffix: &str) -> Option<u64> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::metadata(name).ok().map(|file| file.len())
}

/// Opens a ledger for reading, also while a coordinator writes it.
pub(crate) fn open_readable(path: &Path) -> Result<Connection, LedgerError> {
    open_in_mode(path, ReadMode::Shared)
}

/// Opens a ledger for reading in a mode.
pub(crate) fn open_in_mode(path: &Path, mode: ReadMode) -> Result<Connection, LedgerError> {
    let sqlite = LedgerError::sqlite_at(path);
    refuse_other_files(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match mode {
        ReadMode::Shared => Connection::open_with_flags(path, flags),
        ReadMode::Immutable => Connection::open_with_flags(
            uri(path, "immutable=1"),
            flags | OpenFlags::SQLITE_OPEN_URI,
        ),
        ReadMode::LeftLog => Connection::open_with_flags(
            uri(path, "readonly_shm=1"),
            flags | OpenFlags::SQLITE_OPEN_URI,
        ),
    };

    let connection = connection.map_err(&sqlite)?;
    connection
        .busy_timeout(READER_BUSY_TIMEOUT)
        .map_err(&sqlite)?;
    check_identity(&connection, path)?;
    if version(&connection).map_err(&sqlite)? == 0 {
        return Err(foreign(path, EMPTY));
    }

    Ok(connection)
}

/// Returns a path as a URI for SQLite (sqlite.org/uri.html); it may hold any bytes.
fn uri(path: &Path, query: &str) -> String {
    // The empty authority keeps a path that begins with two slashes from being taken for one.
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    format!("{uri}?{query}")
}

/// Refuses what is not a ledger, and ledgers of a later version.
fn check_identity(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|error| not_sqlite_or(path, error))?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| not_sqlite_or(path, error))?;

    // An empty file becomes a ledger.
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        return Err(foreign(path, "it is another program's SQLite database"));
    }

    let found = version(connection).map_err(|error| not_sqlite_or(path, error))?;
    if found > SCHEMA_VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA_VERSION,
        });
    }

    Ok(())
}

/// Returns the error about a file that SQLite does not take for a database, or else SQLite's error.
fn not_sqlite_or(path: &Path, error: rusqlite::Error) -> LedgerError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => foreign(path, "it is not an SQLite file"),
        _ => LedgerError::sqlite_at(path)(error),
    }
}

fn foreign(path: &Path, reason: &str) -> LedgerError {
    LedgerError::Foreign {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::schema::FILE_NAME;

    #[test]
    fn a_new_ledger_has_the_documented_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let connection = open_writable(&path, None).unwrap();
        let text = |name| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        assert_eq!(text("journal_mode"), "wal".to_owned().into());
        assert_eq!(text("synchronous"), 2.into(), "2 is FULL");
        assert_eq!(text("user_version"), SCHEMA_VERSION.into());
        open_readable(&path).unwrap();
        drop(connection);
        let network = open_writable(&path, Some("NFS")).unwrap();
        let journal: String = network
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(journal, "delete");
    }

    #[test]
    fn newer_foreign_and_broken_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let newer = dir.path().join("newer.sqlite");
        open_writable(&newer, None)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let error = open_writable(&newer, None).unwrap_err();
        assert!(
            matches!(
                error,
                LedgerError::Newer {
                    found: 99,
                    known: SCHEMA_VERSION,
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(
            open_readable(&newer),
            Err(LedgerError::Newer { .. })
        ));

        let foreign = dir.path().join("foreign.sqlite");
        Connection::open(&foreign)
            .unwrap()
            .execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
            .unwrap();
        assert!(matches!(
            open_writable(&foreign, None),
            Err(LedgerError::Foreign { .. })
        ));

        let junk = dir.path().join("junk.sqlite");
        let bytes = vec![b'x'; 5000];
        std::fs::write(&junk, &bytes).unwrap();
        assert!(matches!(
            open_writable(&junk, None),
            Err(LedgerError::Foreign { .. })
        ));
        assert_eq!(std::fs::read(&junk).unwrap(), bytes);
    }
}
