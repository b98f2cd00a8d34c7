//! The tables of a ledger, and how those of earlier versions are brought up to date.
//! `docs/ledger.md` describes them for people who write SQL; `views` makes the views with plain
//! names, which depend on the sweep.

use rusqlite::Connection;

/// Name of the ledger in a run directory.
pub const FILE_NAME: &str = "ledger.sqlite";

/// The version of the tables that this program writes, kept in SQLite's `user_version`.
pub const SCHEMA_VERSION: i64 = 5;

/// Marks the file as a ledger ("PGRD"), so that another program's database is not taken for one.
pub(super) const APPLICATION_ID: i64 = 0x5047_5244;

/// The tables. Times are ISO 8601 in UTC; metrics and configurations are JSON objects, in which
/// numbers that are not finite are spelled out ("NaN", "Infinity", "-Infinity").
const TABLES: &str = "
CREATE TABLE spec (
    revision INTEGER PRIMARY KEY,          -- the highest is in force
    text TEXT NOT NULL,                    -- the file, byte for byte
    accepted_at TEXT NOT NULL
) STRICT;
CREATE TABLE arm (                         -- of the sweep file in force
    arm TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    label TEXT NOT NULL
) STRICT;
CREATE TABLE point (                       -- of every sweep file that was ever in force
    point TEXT PRIMARY KEY,
    config TEXT NOT NULL                   -- canonical JSON; the id is its hash
) STRICT, WITHOUT ROWID;
CREATE TABLE arm_point (                   -- of the sweep file in force
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
    outcome TEXT,                          -- done, some_failed, incomplete, failed, interrupted;
                                           -- null: running, or killed
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    command TEXT NOT NULL,
    version TEXT NOT NULL,
    git_commit TEXT,
    git_dirty INTEGER,
    devices TEXT NOT NULL,
    folder TEXT,                           -- where the sweep was started; null: before version 2
    fingerprint INTEGER REFERENCES fingerprint(id), -- of what is trained; null: before version 5
    identity TEXT,                         -- of the run directory; a copy gets a new one;
                                           -- null: before version 5
    place TEXT,                            -- device, inode and time of creation of the run
                                           -- directory and of this file (version 5)
    commits INTEGER NOT NULL DEFAULT 0     -- transactions of this session (version 5)
) STRICT;
CREATE TABLE fingerprint (                 -- versions of what is trained (version 5)
    id INTEGER PRIMARY KEY,
    parts TEXT NOT NULL,                   -- JSON: command, hashes of variables, folder, hashes of
                                           -- files and of the code around them
    first_seen_at TEXT NOT NULL
) STRICT;
CREATE TABLE fingerprint_key (             -- hides values in fingerprints (version 5)
    value BLOB NOT NULL
) STRICT;
CREATE TABLE worker (                      -- a worker, or a program that trains one trial
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session(id),
    slot INTEGER NOT NULL,
    device TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,          -- field 22 of /proc/PID/stat: distinguishes it from a
                                           -- later process with the same pid
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT,
    program TEXT,
    version TEXT,
    device_name TEXT,
    libraries TEXT,
    threads INTEGER,
    launcher TEXT,                         -- slurm, command; null: none (version 4)
    host TEXT,                             -- where it ran, if not on the session's host (version 4)
    job TEXT,                              -- Slurm's job, or job and step: 12, 12.0 (version 4)
    waits TEXT                             -- what it waits for in Slurm's queue (version 4)
) STRICT;
CREATE TABLE trial (                       -- trials that were ever started
    id INTEGER PRIMARY KEY,
    point TEXT NOT NULL REFERENCES point(point),
    seed INTEGER NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('tune', 'final')),
    state TEXT NOT NULL CHECK (state IN ('running', 'waiting', 'done', 'failed')),
    failures INTEGER NOT NULL DEFAULT 0,   -- attempts that failed by the trial's own doing
    metrics TEXT,                          -- final metrics, once done
    same_as INTEGER REFERENCES trial(id),  -- the trial whose result it reuses; null: none
                                           -- (version 3)
    shared_epochs INTEGER NOT NULL DEFAULT 0, -- epochs computed for other trials (version 3)
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
    metrics TEXT                           -- its metrics, if the trial was run again afterwards
                                           -- (version 5)
) STRICT;
CREATE INDEX attempt_by_trial ON attempt(trial);
";

/// History and notes, as they are since version 5.
const HISTORY_TABLES: &str = "
CREATE TABLE epoch (                       -- history of the last attempt at each trial
    trial INTEGER NOT NULL REFERENCES trial(id),
    unit TEXT NOT NULL CHECK (unit IN ('epoch', 'step')), -- what `position` counts (version 5)
    position REAL NOT NULL,                -- number of the epoch or step; may be fractional
                                           -- (version 5)
    metrics TEXT NOT NULL,
    PRIMARY KEY (trial, unit, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE note (                        -- values that are not numbers (version 5)
    trial INTEGER NOT NULL REFERENCES trial(id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,                   -- JSON; long ones are cut
    PRIMARY KEY (trial, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE column_name (                 -- what has a column of its own in the views (version 5)
    kind TEXT NOT NULL,                    -- parameter, spec_metric, spec_history: of the sweep in
                                           -- force; metric, history: reported by a trial
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
";

/// What else version 5 adds to a ledger of an earlier version.
const VERSION_5: &str = "
CREATE TABLE fingerprint (
    id INTEGER PRIMARY KEY,
    parts TEXT NOT NULL,
    first_seen_at TEXT NOT NULL
) STRICT;
CREATE TABLE fingerprint_key (value BLOB NOT NULL) STRICT;
ALTER TABLE session ADD COLUMN fingerprint INTEGER REFERENCES fingerprint(id);
ALTER TABLE attempt ADD COLUMN metrics TEXT;
ALTER TABLE session ADD COLUMN identity TEXT;
ALTER TABLE session ADD COLUMN place TEXT;
ALTER TABLE session ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
";

/// Gives the names that trials reported under earlier versions a column in the views.
const COLUMN_NAMES: &str = "
INSERT INTO column_name (kind, name, position)
SELECT DISTINCT 'metric', j.key, 0 FROM trial t, json_each(t.metrics) j
WHERE json_valid(t.metrics) LIMIT 400;
INSERT INTO column_name (kind, name, position)
SELECT DISTINCT 'history', j.key, 0 FROM epoch e, json_each(e.metrics) j
WHERE json_valid(e.metrics) LIMIT 400;
";

/// Puts the history of versions 1 to 4, which counted whole epochs, aside. The views refer to the
/// old table; `open` makes them again.
const SET_EPOCHS_ASIDE: &str = "
DROP VIEW IF EXISTS trials; DROP VIEW IF EXISTS history; DROP VIEW IF EXISTS summary;
ALTER TABLE epoch RENAME TO epoch_4;
";
/// Copies the history of versions 1 to 4 into the table of version 5.
const COPY_EPOCHS: &str = "
INSERT INTO epoch SELECT trial, 'epoch', epoch, metrics FROM epoch_4 ORDER BY trial, epoch;
DROP TABLE epoch_4;
";
/// Creates the tables, or brings those of an earlier version up to date: all of it or nothing.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> rusqlite::Result<()> {
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
        transaction.execute_batch(SET_EPOCHS_ASIDE)?;
        transaction.execute_batch(HISTORY_TABLES)?;
        transaction.execute_batch(COPY_EPOCHS)?;
        transaction.execute_batch(COLUMN_NAMES)?;
        transaction.execute_batch(VERSION_5)?;
    }

    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// Whether a ledger has no tables yet.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? == 0)
}

/// The version of the tables in a file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::super::connection::{open_readable, open_writable};
    use super::*;

    #[test]
    fn a_ledger_of_version_1_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let old = open_writable(&path, None).unwrap();
        old.execute_batch(
            "DROP TABLE column_name; ALTER TABLE session DROP COLUMN fingerprint;
             ALTER TABLE attempt DROP COLUMN metrics;
             DROP TABLE fingerprint; DROP TABLE fingerprint_key;
             INSERT INTO point VALUES ('p', '{}');
             INSERT INTO trial (id, point, seed, phase, state, metrics)
             VALUES (1, 'p', 0, 'tune', 'done', '{\"acc\": 1.0, \"lr\": 2}');
             INSERT INTO trial (id, point, seed, phase, state)
             VALUES (2, 'p', 1, 'tune', 'waiting');
             ALTER TABLE session DROP COLUMN folder; ALTER TABLE session DROP COLUMN identity;
             ALTER TABLE session DROP COLUMN place;
             ALTER TABLE session DROP COLUMN commits; ALTER TABLE trial DROP COLUMN shared_epochs;
             ALTER TABLE worker DROP COLUMN launcher; ALTER TABLE worker DROP COLUMN host;
             ALTER TABLE worker DROP COLUMN job; ALTER TABLE worker DROP COLUMN waits;
             ALTER TABLE trial RENAME TO full_trial;
             CREATE TABLE trial (id INTEGER PRIMARY KEY, point, seed, phase, state, failures,
             metrics);
             INSERT INTO trial SELECT id, point, seed, phase, state, failures, metrics
             FROM full_trial;
             DROP TABLE note; DROP TABLE epoch;
             CREATE TABLE epoch (trial INTEGER NOT NULL, epoch INTEGER NOT NULL,
             metrics TEXT NOT NULL, PRIMARY KEY (trial, epoch))
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
            .query_row(
                "SELECT group_concat(kind || ' ' || name, ', ' ORDER BY kind, name)
                 FROM column_name",
                [],
                |row| row.get(0),
            )
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
}
