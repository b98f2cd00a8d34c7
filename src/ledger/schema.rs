//! The tables, their version, and how a connection is set up. `docs/ledger.md` describes them for
//! people who write SQL; `views` makes the views with plain names, which depend on the spec.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::LedgerError;
use super::lock::Holder;
use crate::files;

/// Name of the ledger in a run directory.
pub const FILE_NAME: &str = "ledger.sqlite";

/// The version of the tables that this program writes, kept in SQLite's `user_version`.
pub const SCHEMA_VERSION: i64 = 5;

/// Marks the file as ours ("PGRD"), so that another program's database is not taken for a ledger.
const APPLICATION_ID: i64 = 0x5047_5244;

/// What is wrong with a ledger without tables.
pub const EMPTY: &str = "it is empty";

/// The tables. Times are ISO 8601 in UTC; metrics and configurations are JSON objects, in which
/// numbers that are not finite are spelled out ("NaN", "Infinity", "-Infinity").
const TABLES: &str = "
CREATE TABLE spec (
    revision INTEGER PRIMARY KEY,          -- the highest is in force
    text TEXT NOT NULL,                    -- the file, byte for byte
    accepted_at TEXT NOT NULL
) STRICT;
CREATE TABLE arm (                         -- of the spec in force
    arm TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    label TEXT NOT NULL
) STRICT;
CREATE TABLE point (                       -- of every spec that was ever in force
    point TEXT PRIMARY KEY,
    config TEXT NOT NULL                   -- canonical JSON; the id is its hash
) STRICT, WITHOUT ROWID;
CREATE TABLE arm_point (                   -- of the spec in force
    arm TEXT NOT NULL REFERENCES arm(arm),
    position INTEGER NOT NULL,             -- grid order within the arm
    point TEXT NOT NULL REFERENCES point(point),
    PRIMARY KEY (arm, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX arm_point_by_point ON arm_point(point);
CREATE TABLE session (                     -- one run of the coordinator
    id INTEGER PRIMARY KEY,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT,                          -- done, some_failed, incomplete, failed, interrupted; null: running, or killed
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    command TEXT NOT NULL,
    version TEXT NOT NULL,
    git_commit TEXT,
    git_dirty INTEGER,
    devices TEXT NOT NULL,
    folder TEXT,                           -- where the sweep was started; null: before version 2
    fingerprint INTEGER REFERENCES fingerprint(id), -- of what its trials were trained by; null: before version 5
    identity TEXT,                         -- of the run directory; a copy gets one of its own; null: before version 5
    place TEXT,                            -- device, inode and time of birth of the run directory and of this file (version 5)
    commits INTEGER NOT NULL DEFAULT 0     -- transactions of this session (version 5)
) STRICT;
CREATE TABLE fingerprint (                 -- versions of what is trained (version 5)
    id INTEGER PRIMARY KEY,
    parts TEXT NOT NULL,                   -- JSON: command, hashes of variables, folder, hashes of files and of the code around them
    first_seen_at TEXT NOT NULL
) STRICT;
CREATE TABLE fingerprint_key (             -- hides the values of variables in fingerprints (version 5)
    value BLOB NOT NULL
) STRICT;
CREATE TABLE worker (                      -- one process of a worker, or of a program that trains one trial
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session(id),
    slot INTEGER NOT NULL,
    device TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,          -- field 22 of /proc/PID/stat: tells a process from a later one of that pid
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT,
    program TEXT,
    version TEXT,
    device_name TEXT,
    libraries TEXT,
    threads INTEGER,
    launcher TEXT,                         -- slurm, command; null: a process of this host (version 4)
    host TEXT,                             -- where it ran, if not on the session's host (version 4)
    job TEXT,                              -- Slurm's job, or job and step: 12, 12.0 (version 4)
    waits TEXT                             -- what it waits for in Slurm's queue; null: nothing (version 4)
) STRICT;
CREATE TABLE trial (                       -- trials that were ever started
    id INTEGER PRIMARY KEY,
    point TEXT NOT NULL REFERENCES point(point),
    seed INTEGER NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('tune', 'final')),
    state TEXT NOT NULL CHECK (state IN ('running', 'waiting', 'done', 'failed')),
    failures INTEGER NOT NULL DEFAULT 0,   -- attempts that failed by the trial's own doing
    metrics TEXT,                          -- final metrics, once done
    same_as INTEGER REFERENCES trial(id),  -- the trial whose result this one shares, not computed again; null: none (version 3)
    shared_epochs INTEGER NOT NULL DEFAULT 0, -- epochs of its history that were computed for other trials (version 3)
    UNIQUE (point, seed)
) STRICT;
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trial(id),
    worker INTEGER REFERENCES worker(id),
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT NOT NULL CHECK (outcome IN ('running', 'done', 'failed', 'interrupted')),
    kind TEXT,                             -- of the failure
    message TEXT,
    log TEXT,                              -- file, relative to the run directory
    log_start INTEGER,
    log_end INTEGER,
    duration REAL,                         -- seconds, by a clock that does not jump
    metrics TEXT                           -- what it gave, where the trial was run again afterwards (version 5)
) STRICT;
CREATE INDEX attempt_by_trial ON attempt(trial);
";

/// History and notes, as they are since version 5.
const HISTORY_TABLES: &str = "
CREATE TABLE epoch (                       -- history of the last attempt at each trial
    trial INTEGER NOT NULL REFERENCES trial(id),
    unit TEXT NOT NULL CHECK (unit IN ('epoch', 'step')), -- what `position` counts (version 5)
    position REAL NOT NULL,                -- number of the epoch or step; an epoch may be fractional (version 5)
    metrics TEXT NOT NULL,
    PRIMARY KEY (trial, unit, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE note (                        -- what the last attempt reported that is no number (version 5)
    trial INTEGER NOT NULL REFERENCES trial(id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,                   -- JSON; long ones are cut
    PRIMARY KEY (trial, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE column_name (                 -- what has a column of its own in the views (version 5)
    kind TEXT NOT NULL,                    -- parameter, spec_metric, spec_history: of the spec in force; metric, history: reported by a trial
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
";

/// What else version 5 adds.
const VERSION_5: &str = "
CREATE TABLE fingerprint (id INTEGER PRIMARY KEY, parts TEXT NOT NULL, first_seen_at TEXT NOT NULL) STRICT;
CREATE TABLE fingerprint_key (value BLOB NOT NULL) STRICT;
ALTER TABLE session ADD COLUMN fingerprint INTEGER REFERENCES fingerprint(id);
ALTER TABLE attempt ADD COLUMN metrics TEXT;
ALTER TABLE session ADD COLUMN identity TEXT;
ALTER TABLE session ADD COLUMN place TEXT;
ALTER TABLE session ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
";

/// Columns of the views for what earlier versions recorded.
const COLUMN_NAMES: &str = "
INSERT INTO column_name (kind, name, position)
SELECT DISTINCT 'metric', j.key, 0 FROM trial t, json_each(t.metrics) j WHERE json_valid(t.metrics) LIMIT 400;
INSERT INTO column_name (kind, name, position)
SELECT DISTINCT 'history', j.key, 0 FROM epoch e, json_each(e.metrics) j WHERE json_valid(e.metrics) LIMIT 400;
";

/// Makes the whole-number epochs of versions 1 to 4 into positions. The views stand on the old
/// table and are made again by `prepare`.
const EPOCHS_TO_POSITIONS: &str = "
DROP VIEW IF EXISTS trials; DROP VIEW IF EXISTS history; DROP VIEW IF EXISTS summary;
ALTER TABLE epoch RENAME TO epoch_4;
";
const COPY_EPOCHS: &str = "
INSERT INTO epoch SELECT trial, 'epoch', epoch, metrics FROM epoch_4 ORDER BY trial, epoch;
DROP TABLE epoch_4;
";
/// How long SQLite itself waits for another connection's lock before a coordinator is told of it.
const WRITER_BUSY_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a reader waits for another connection's lock.
const READER_BUSY_TIMEOUT: Duration = Duration::from_secs(15);
/// The files that SQLite opens: the ledger, and those beside it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Opens a ledger for writing and brings it to this program's version, making it if there is none.
/// `network` names the network file system that it lies on, if it does.
#[cfg(test)]
pub fn open_writable(path: &Path, network: Option<&str>) -> Result<Connection, LedgerError> {
    let mut connection = connect(path)?;
    set_up(&mut connection, path, network)?;
    Ok(connection)
}

/// Opens a ledger for writing, making an empty file if there is none. Refuses what is not a ledger.
/// SQLite waits for the locks of others for a moment only: whoever calls it tries again.
pub fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let sqlite = |source| LedgerError::Sqlite {
        path: path.to_owned(),
        source,
    };
    refuse_other_files(path)?;
    // Not as a URI, whatever the name looks like.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection
        .busy_timeout(WRITER_BUSY_TIMEOUT)
        .map_err(sqlite)?;
    check_identity(&connection, path)?;
    Ok(connection)
}

/// Sets a connection up for writing, and brings the ledger to this program's version. May be called
/// again after it failed.
pub fn set_up(
    connection: &mut Connection,
    path: &Path,
    network: Option<&str>,
) -> Result<(), LedgerError> {
    let sqlite = |source| LedgerError::Sqlite {
        path: path.to_owned(),
        source,
    };
    // Write-ahead logging needs shared memory, which network file systems do not give
    // (sqlite.org/wal.html).
    let journal = if network.is_some() { "DELETE" } else { "WAL" };
    connection
        .pragma_update_and_check(None, "journal_mode", journal, |_| Ok(()))
        .map_err(sqlite)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(sqlite)?;
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(sqlite)?;
    // Trials come in the order of the grid, their rows in the order of hashes: with the default of
    // 2 MB the writer would read pages again and again, and fold the log into the file every few
    // commits.
    connection
        .pragma_update(None, "cache_size", -32_000)
        .map_err(sqlite)?;
    connection
        .pragma_update(None, "wal_autocheckpoint", 4000)
        .map_err(sqlite)?;
    bring_up_to_date(connection).map_err(sqlite)
}

/// Whether a ledger has no tables yet.
pub fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? == 0)
}

/// Whom the last session of a ledger names, if that can be read at once.
pub fn last_holder(path: &Path) -> Option<Holder> {
    let connection = open_readable(path).ok()?;
    connection.busy_timeout(WRITER_BUSY_TIMEOUT).ok()?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Holder {
            host: row.get(0)?,
            pid: row.get(1)?,
            since: row.get(2)?,
        })
    };
    connection
        .query_row(
            "SELECT host, pid, started_at FROM session ORDER BY id DESC LIMIT 1",
            [],
            read,
        )
        .ok()
}

/// The identity that the last session of a ledger notes, if there is one that can be read at once.
pub fn last_identity(path: &Path) -> Option<String> {
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

/// Refuses to open a pipe, a folder or a device as an SQLite file: opening a pipe would be to wait
/// for its other end.
fn refuse_other_files(path: &Path) -> Result<(), LedgerError> {
    for suffix in SUFFIXES {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        if let Err(reason) = files::refuse_other(&path) {
            return Err(LedgerError::Foreign {
                path,
                reason: reason.to_string(),
            });
        }
    }
    Ok(())
}

/// Makes the tables, or those of an earlier version into today's: all of it or nothing.
fn bring_up_to_date(connection: &mut Connection) -> rusqlite::Result<()> {
    let found = version(connection)?;
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(HISTORY_TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    if found == 1 {
        transaction.execute_batch("ALTER TABLE session ADD COLUMN folder TEXT")?;
    }
    if (1..4).contains(&found) {
        transaction.execute_batch(
            "ALTER TABLE worker ADD COLUMN launcher TEXT; ALTER TABLE worker ADD COLUMN host TEXT;
             ALTER TABLE worker ADD COLUMN job TEXT;
             ALTER TABLE worker ADD COLUMN waits TEXT;",
        )?;
    }
    if found == 1 || found == 2 {
        transaction.execute_batch(
            "ALTER TABLE trial ADD COLUMN same_as INTEGER REFERENCES trial(id);
             ALTER TABLE trial ADD COLUMN shared_epochs INTEGER NOT NULL DEFAULT 0;",
        )?;
    }
    if (1..5).contains(&found) {
        transaction.execute_batch(EPOCHS_TO_POSITIONS)?;
        transaction.execute_batch(HISTORY_TABLES)?;
        transaction.execute_batch(COPY_EPOCHS)?;
        transaction.execute_batch(COLUMN_NAMES)?;
        transaction.execute_batch(VERSION_5)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// How a ledger is opened for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As one reader among others, while somebody may write.
    Shared,
    /// As a file that nobody changes, without any file beside it.
    Still,
    /// The same, with the write-ahead log that a killed coordinator left.
    Left,
}

impl Manner {
    /// The one that leaves the directory as it is: SQLite makes files beside a ledger only where it
    /// expects a writer.
    pub fn untouching(path: &Path, held: bool) -> Self {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).ok().map(|file| file.len())
        };
        // A journal that was to be rolled back makes the file alone no whole ledger.
        let journal = beside("-journal").is_some_and(|length| length > 0);
        match (beside("-wal").unwrap_or(0), beside("-shm")) {
            _ if held || journal => Self::Shared,
            (0, _) => Self::Still,
            (_, Some(_)) => Self::Left,
            (_, None) => Self::Shared,
        }
    }
}

/// Opens a ledger for reading. Works while a coordinator writes it.
pub fn open_readable(path: &Path) -> Result<Connection, LedgerError> {
    open_in_manner(path, Manner::Shared)
}

/// Opens a ledger for reading in a manner.
pub fn open_in_manner(path: &Path, manner: Manner) -> Result<Connection, LedgerError> {
    let sqlite = |source| LedgerError::Sqlite {
        path: path.to_owned(),
        source,
    };
    refuse_other_files(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match manner {
        Manner::Shared => Connection::open_with_flags(path, flags),
        Manner::Still => Connection::open_with_flags(
            uri(path, "immutable=1"),
            flags | OpenFlags::SQLITE_OPEN_URI,
        ),
        Manner::Left => Connection::open_with_flags(
            uri(path, "readonly_shm=1"),
            flags | OpenFlags::SQLITE_OPEN_URI,
        ),
    };
    let connection = connection.map_err(sqlite)?;
    connection
        .busy_timeout(READER_BUSY_TIMEOUT)
        .map_err(sqlite)?;
    check_identity(&connection, path)?;
    if version(&connection).map_err(sqlite)? == 0 {
        return Err(LedgerError::Foreign {
            path: path.to_owned(),
            reason: EMPTY.into(),
        });
    }
    Ok(connection)
}

/// A path as SQLite's URI (sqlite.org/uri.html), whatever bytes are in it.
fn uri(path: &Path, query: &str) -> String {
    // With an empty authority, or a path that begins with two slashes would be taken for one.
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    format!("{uri}?{query}")
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses what is not a ledger, and ledgers of a later version.
fn check_identity(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let foreign = |reason: String| LedgerError::Foreign {
        path: path.to_owned(),
        reason,
    };
    let sqlite = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => foreign("it is not an SQLite file".into()),
        _ => LedgerError::Sqlite {
            path: path.to_owned(),
            source,
        },
    };
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(sqlite)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        return Err(foreign("it is another program's SQLite database".into()));
    }
    let found = version(connection).map_err(sqlite)?;
    if found > SCHEMA_VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA_VERSION,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_ledger_of_version_1_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let old = open_writable(&path, None).unwrap();
        old.execute_batch(
            "DROP TABLE column_name; ALTER TABLE session DROP COLUMN fingerprint; ALTER TABLE attempt DROP COLUMN metrics;
             DROP TABLE fingerprint; DROP TABLE fingerprint_key;
             INSERT INTO point VALUES ('p', '{}');
             INSERT INTO trial (id, point, seed, phase, state, metrics) VALUES (1, 'p', 0, 'tune', 'done', '{\"acc\": 1.0, \"lr\": 2}');
             INSERT INTO trial (id, point, seed, phase, state) VALUES (2, 'p', 1, 'tune', 'waiting');
             ALTER TABLE session DROP COLUMN folder; ALTER TABLE session DROP COLUMN identity; ALTER TABLE session DROP COLUMN place;
             ALTER TABLE session DROP COLUMN commits; ALTER TABLE trial DROP COLUMN shared_epochs;
             ALTER TABLE worker DROP COLUMN launcher; ALTER TABLE worker DROP COLUMN host; ALTER TABLE worker DROP COLUMN job; ALTER TABLE worker DROP COLUMN waits;
             ALTER TABLE trial RENAME TO full_trial;
             CREATE TABLE trial (id INTEGER PRIMARY KEY, point, seed, phase, state, failures, metrics);
             INSERT INTO trial SELECT id, point, seed, phase, state, failures, metrics FROM full_trial;
             DROP TABLE note; DROP TABLE epoch;
             CREATE TABLE epoch (trial INTEGER NOT NULL, epoch INTEGER NOT NULL, metrics TEXT NOT NULL, PRIMARY KEY (trial, epoch))
             STRICT, WITHOUT ROWID;
             INSERT INTO epoch VALUES (1, 2, '{\"loss\":0.5}'), (1, 1, '{}');
             CREATE VIEW history AS SELECT epoch FROM epoch;
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);
        assert_eq!(
            version(&open_readable(&path).unwrap()).unwrap(),
            1,
            "readers change nothing"
        );
        let new = open_writable(&path, None).unwrap();
        assert_eq!(version(&new).unwrap(), SCHEMA_VERSION);
        new.prepare("SELECT folder, fingerprint, identity, place, commits FROM session")
            .unwrap();
        new.prepare("SELECT metrics FROM attempt").unwrap();
        new.prepare("SELECT parts, first_seen_at FROM fingerprint")
            .unwrap();
        new.prepare("SELECT same_as, shared_epochs FROM trial")
            .unwrap();
        new.prepare("SELECT launcher, host, job, waits FROM worker")
            .unwrap();
        let names: String = new
            .query_row("SELECT group_concat(kind || ' ' || name, ', ' ORDER BY kind, name) FROM column_name", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(
            names, "history loss, metric acc, metric lr",
            "what earlier trials have reported has a column"
        );
        new.prepare("SELECT name, value FROM note").unwrap();
        let history = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let mut select = new
            .prepare("SELECT unit, position, metrics FROM epoch")
            .unwrap();
        let rows: Vec<(String, f64, String)> = select
            .query_map([], history)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected = [("epoch", 1.0, "{}"), ("epoch", 2.0, "{\"loss\":0.5}")];
        assert_eq!(
            rows,
            expected.map(|(unit, position, metrics)| (
                unit.to_owned(),
                position,
                metrics.to_owned()
            ))
        );
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
