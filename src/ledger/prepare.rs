//! What a coordinator does to a run directory before the first trial: takes the lock, brings the
//! tables up to the spec, notes the session, and puts right what a killed predecessor left behind.
//! Finds out whether the directory is the one that the last session ran in, or a copy.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::claim::Claim;
use super::damage::{Traces, check_last_note};
use super::error::{Changed, LedgerError};
use super::filesystem::network_file_system;
use super::lock::{Holder, Lock};
use super::patience::{Patience, Waiting};
use super::place::{Place, check_path, ledger_path};
use super::schema::{self, FILE_NAME};
use super::versions;
use super::views::make_views;
use crate::files;
use crate::grid::{Grid, PointId};
use crate::plan::{Fingerprint, SpecChanges};
use crate::spec::{self, Spec};

/// The copy of the spec in a run directory.
const SPEC_FILE: &str = "spec.yaml";

/// Who starts a session, and with what.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Host, process id and start time.
    pub holder: Holder,
    /// The kernel's id of this boot of the host.
    pub boot_id: String,
    /// The command line.
    pub command: String,
    /// This program's version.
    pub version: String,
    /// Commit of the directory that the program was started in, and whether it had uncommitted
    /// changes.
    pub git: Option<(String, bool)>,
    /// The slots, as `--devices` would say them.
    pub devices: String,
    /// The folder that the sweep is started from.
    pub folder: String,
}

/// A worker whose end was not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftWorker {
    /// Its number.
    pub number: i64,
    /// Its process, or its launcher's, where that is one of this boot of this host: id, and start
    /// in clock ticks.
    pub process: Option<(u32, u64)>,
    /// The other host that it was started on, and its process id there, if it was not on this one.
    pub elsewhere: Option<(String, u32)>,
    /// Through what it was started; None: it is a process of its host.
    pub launcher: Option<String>,
    /// Its job, or job and step, by Slurm's numbers.
    pub job: Option<String>,
}

/// What a run directory is known by, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A random name, noted with each session.
    pub id: String,
    /// Whether the last session was of a version that noted none: its processes bear the
    /// directory's path only.
    pub of_earlier_version: bool,
    /// The identity of the directory that this one is a copy of, or was restored from.
    pub copied_from: Option<String>,
}

impl Identity {
    /// A new one.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        // Its keys are random, for each process and each call.
        let id = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Self {
            id,
            of_earlier_version: false,
            copied_from: None,
        }
    }
}

/// A run directory that is ready for trials.
#[derive(Debug)]
pub struct Opened {
    /// The right to write, with the lock; whoever holds this may write.
    pub claim: Claim,
    /// The connection for the writer.
    pub connection: Connection,
    /// This session's number.
    pub session: i64,
    /// The directory's identity.
    pub identity: Identity,
    /// The first number that a new worker may have.
    pub next_worker: i64,
    /// Workers whose end was not seen: they may still be there.
    pub left_workers: Vec<LeftWorker>,
    /// Trials that were cut off when the last coordinator was killed.
    pub cut_off: usize,
    /// What is trained.
    pub fingerprint: Fingerprint,
    /// The key that hides values in fingerprints.
    pub key: [u8; 32],
    /// What to tell the user: a changed spec that was accepted, a network file system.
    pub remarks: Vec<String>,
}

/// What is to become of a run directory whose sweep file, or what it trains, has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// The run is refused.
    #[default]
    Refuse,
    /// Results are kept, and the run goes on under the changes.
    Accept,
    /// The same, but trials that another version of what is trained has run are run again.
    Rerun,
}

/// Opens a run directory for a coordinator, making it if it is not there. `take` makes the
/// fingerprint of what is trained, with the ledger's key. Waits for other programs that have the
/// ledger locked, and tells `waits` of it.
///
/// # Errors
/// `LedgerError`: held by another coordinator, a changed spec that was not accepted, a file that is
/// not ours or of a later version, a disk that fails. Nothing has been changed then, except that an
/// empty directory may exist.
pub fn open_for_run(
    dir: &Path,
    text: &str,
    spec: &Spec,
    session: &SessionInfo,
    consent: Consent,
    take: impl FnOnce(&[u8; 32]) -> Fingerprint,
    waits: &dyn Fn(Waiting),
) -> Result<Opened, LedgerError> {
    check_path(dir)?;
    let traces = Traces::look(dir);
    std::fs::create_dir_all(dir.join("logs")).map_err(|source| LedgerError::Io {
        what: "cannot create",
        path: dir.join("logs"),
        source,
    })?;
    let (lock, last_note) = Lock::take(dir, &session.holder)?;
    traces.check_file(dir)?;
    let path = dir.join(FILE_NAME);
    let sqlite = |source| LedgerError::Sqlite {
        path: path.clone(),
        source,
    };
    let patience = Patience {
        path: &path,
        tell: waits,
        is_over: &|| false,
    };

    // SQLite gets an absolute path, the user the one that was given.
    let network = network_file_system(dir);
    let mut connection = patience
        .until_free(|| schema::connect(&ledger_path(dir)))
        .map_err(|error| error.of(&path))?;
    traces.check_tables(dir, &connection)?;
    let mut remarks = Vec::new();
    if let Some(name) = network {
        remarks.push(format!(
            "{} is on {name}: the ledger keeps a rollback journal there, which is slower and makes readers wait for a moment",
            dir.display()
        ));
    }
    patience.until_free(|| schema::set_up(&mut connection, &path, network))?;
    let place = Place::of(dir).map_err(|source| LedgerError::Io {
        what: "cannot read",
        path: path.clone(),
        source,
    })?;
    patience.until_free(|| check_last_note(dir, &connection, &place, &last_note))?;
    let identity = patience
        .until_free(|| identify(&connection, session, &place))
        .map_err(sqlite)?;
    if identity.copied_from.is_some() {
        remarks.push(format!(
            "{} is a copy of a run directory, or was restored from one: it goes by itself from here on, and what runs for the other one is \
             left alone",
            dir.display()
        ));
    }

    let in_force: Option<String> = patience
        .until_free(|| {
            connection
                .query_row(
                    "SELECT text FROM spec ORDER BY revision DESC LIMIT 1",
                    [],
                    |row| row.get(0),
                )
                .optional()
        })
        .map_err(sqlite)?;
    let is_new = in_force.as_deref() != Some(text);
    let kept = kept_spec(dir)?;

    // What is compared is rolled back with the rest if the run is refused.
    patience
        .until_free(|| connection.execute_batch("BEGIN IMMEDIATE"))
        .map_err(sqlite)?;
    let lines = in_force
        .as_ref()
        .filter(|_| is_new)
        .map(|old| changes(old, spec));
    if is_new {
        put_spec(&connection, text, spec, &session.holder.since, &path)?;
    }
    let key = versions::key(&connection).map_err(sqlite)?;
    let now = take(&key);
    let retrained = versions::retrained(&connection, &now).map_err(sqlite)?;
    // The command is among what is trained: it need not be said twice.
    let lines = match &retrained {
        Some(_) => lines.map(|lines| {
            lines.map(|lines| {
                lines
                    .into_iter()
                    .filter(|line| !line.starts_with("who trains"))
                    .collect()
            })
        }),
        None => lines,
    };
    match (lines, retrained) {
        (None, None) => {}
        (Some(None), None) => {
            remarks.push("the sweep file's text has changed, but not what it runs".to_owned())
        }
        (lines, retrained) => {
            let changed = Changed {
                spec: lines.flatten().unwrap_or_default(),
                retrained,
            };
            if consent == Consent::Refuse {
                return Err(LedgerError::Changed {
                    dir: dir.to_owned(),
                    changed: Box::new(changed),
                });
            }
            remarks.push(format!(
                "resuming with changes:\n  {}",
                changed.lines().join("\n  ")
            ));
        }
    }
    if consent == Consent::Rerun {
        let rerun = versions::rerun(&connection, dir, &now)?;
        remarks.push(format!(
            "{rerun} finished trials of earlier versions run again (--rerun-changed)"
        ));
    }
    let version = versions::put(&connection, &now, &session.holder.since).map_err(sqlite)?;
    // Those of a ledger of an earlier version lack columns.
    make_views(&connection, spec).map_err(sqlite)?;
    let (cut_off, left_workers) = put_right(&connection, session, &identity).map_err(sqlite)?;
    let number = put_session(&connection, session, version, &identity, &place).map_err(sqlite)?;
    let next_worker = connection
        .query_row("SELECT coalesce(max(id), 0) + 1 FROM worker", [], |row| {
            row.get(0)
        })
        .map_err(sqlite)?;
    patience
        .until_free(|| connection.execute_batch("COMMIT"))
        .map_err(sqlite)?;
    lock.note_session(number, &place)?;
    if kept.as_deref() != Some(text.as_bytes()) {
        let path = dir.join(SPEC_FILE);
        files::replace(&path, text.as_bytes()).map_err(|source| LedgerError::Io {
            what: "cannot write",
            path,
            source,
        })?;
    }
    let claim = Claim {
        lock,
        place,
        session: number,
        path,
    };
    Ok(Opened {
        claim,
        connection,
        session: number,
        identity,
        next_worker,
        left_workers,
        cut_off,
        fingerprint: now,
        key,
        remarks,
    })
}

/// Finds out which run directory this is.
fn identify(
    connection: &Connection,
    session: &SessionInfo,
    place: &Place,
) -> rusqlite::Result<Identity> {
    type Last = (Option<String>, Option<String>, bool);
    let last: Option<Last> = connection
        .query_row(
            "SELECT identity, place, host = ? AND boot_id = ? FROM session ORDER BY id DESC LIMIT 1",
            [&session.holder.host, &session.boot_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let (id, noted, same_devices) = match last {
        Some((Some(id), noted, same_devices)) => (id, noted, same_devices),
        Some((None, ..)) => {
            return Ok(Identity {
                of_earlier_version: true,
                ..Identity::random()
            });
        }
        None => return Ok(Identity::random()),
    };
    let noted = noted.and_then(|noted| noted.parse::<Place>().ok());
    Ok(match noted {
        Some(then) if !place.is_still(&then, same_devices) => Identity {
            copied_from: Some(id),
            ..Identity::random()
        },
        _ => Identity {
            id,
            of_earlier_version: false,
            copied_from: None,
        },
    })
}

/// What a changed spec changes, a line each; None if nothing that runs or is selected.
fn changes(old: &str, new: &Spec) -> Option<Vec<String>> {
    // A sweep without a name has kept the one that it is called by.
    match spec::read_named(old, "spec.yaml", Some(&new.name)) {
        Ok(old) => {
            let changes = SpecChanges::between(&old, new);
            (!changes.is_cosmetic()).then(|| changes.lines())
        }
        Err(_) => {
            Some(vec!["the old spec cannot be read by this version of pentagrid, so what is kept cannot be listed".to_owned()])
        }
    }
}

/// Puts a spec in force: its text, arms and points, and the views that depend on them.
fn put_spec(
    connection: &Connection,
    text: &str,
    spec: &Spec,
    at: &str,
    path: &Path,
) -> Result<(), LedgerError> {
    let sqlite = |source| LedgerError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let put = || -> rusqlite::Result<Option<String>> {
        connection.execute(
            "INSERT INTO spec (text, accepted_at) VALUES (?, ?)",
            params![text, at],
        )?;
        connection.execute_batch("DELETE FROM arm_point; DELETE FROM arm;")?;
        let mut put_arm =
            connection.prepare("INSERT INTO arm (arm, position, label) VALUES (?, ?, ?)")?;
        let mut put_point =
            connection.prepare("INSERT OR IGNORE INTO point (point, config) VALUES (?, ?)")?;
        let mut find_point = connection.prepare("SELECT config FROM point WHERE point = ?")?;
        let mut put_place =
            connection.prepare("INSERT INTO arm_point (arm, position, point) VALUES (?, ?, ?)")?;
        for (position, arm) in Grid::new(spec).arms().iter().enumerate() {
            let name = &arm.arm().name;
            put_arm.execute(params![name, position as i64, arm.arm().label])?;
            for (index, (id, config)) in arm
                .canonicals(|text| (PointId::of_canonical(text), text.to_owned()))
                .enumerate()
            {
                let id = id.to_string();
                if put_point.execute(params![id, config])? == 0 {
                    let known: String = find_point.query_row([&id], |row| row.get(0))?;
                    if known != config {
                        return Ok(Some(id));
                    }
                }
                put_place.execute(params![name, index as i64, id])?;
            }
        }
        Ok(None)
    };
    match put().map_err(sqlite)? {
        Some(id) => Err(LedgerError::Collision(id)),
        None => Ok(()),
    }
}

/// Marks what was running when the last coordinator was killed as interrupted. Returns how many
/// trials that were, and the workers that never were seen to end. Those stay as they are until they
/// have been ended: if this coordinator is killed, the next one still knows of them.
fn put_right(
    connection: &Connection,
    session: &SessionInfo,
    identity: &Identity,
) -> rusqlite::Result<(usize, Vec<LeftWorker>)> {
    let at = &session.holder.since;
    let why = match identity.copied_from {
        Some(_) => "the run directory was copied while it ran",
        None => "the coordinator was killed",
    };
    connection
        .execute("UPDATE attempt SET outcome = 'interrupted', ended_at = ?, message = ? WHERE outcome = 'running'", [at, why])?;
    let cut_off = connection.execute(
        "UPDATE trial SET state = 'waiting' WHERE state = 'running'",
        [],
    )?;
    if identity.copied_from.is_some() {
        connection.execute(
            "UPDATE worker SET ended_at = ?, outcome = 'of the run directory that this is a copy of' WHERE ended_at IS NULL",
            [at],
        )?;
    }
    connection.execute(
        "UPDATE worker SET waits = NULL WHERE ended_at IS NULL AND waits IS NOT NULL",
        [],
    )?;
    let left = connection
        .prepare(
            "SELECT w.id, w.pid, w.start_ticks, s.boot_id = ? AND s.host = ? AND w.start_ticks > 0, s.host, w.launcher, w.job
             FROM worker w JOIN session s ON s.id = w.session WHERE w.ended_at IS NULL",
        )?
        .query_map([&session.boot_id, &session.holder.host], |row| {
            let (pid, ticks, here): (u32, i64, bool) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let host: String = row.get(4)?;
            Ok(LeftWorker {
                number: row.get(0)?,
                process: here.then_some((pid, ticks as u64)),
                // Of an earlier boot of this host nothing is left.
                elsewhere: (host != session.holder.host).then_some((host, pid)),
                launcher: row.get(5)?,
                job: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok((cut_off, left))
}

fn put_session(
    connection: &Connection,
    session: &SessionInfo,
    version: i64,
    identity: &Identity,
    place: &Place,
) -> rusqlite::Result<i64> {
    let (commit, dirty) = session.git.clone().unzip();
    connection.execute(
        "INSERT INTO session (started_at, host, pid, boot_id, command, version, git_commit, git_dirty, devices, folder, fingerprint,
                              identity, place)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            session.holder.since,
            session.holder.host,
            session.holder.pid,
            session.boot_id,
            session.command,
            session.version,
            commit,
            dirty,
            session.devices,
            session.folder,
            version,
            identity.id,
            place.to_string()
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// The copy of the spec beside the ledger, if it is there.
fn kept_spec(dir: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    let path = dir.join(SPEC_FILE);
    match files::read(&path) {
        Ok(kept) => Ok(Some(kept)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LedgerError::Io {
            what: "cannot read",
            path,
            source,
        }),
    }
}
