//! What a coordinator does to a run directory before the first trial: takes the lock, brings the tables up to the
//! spec, notes the session, and puts right what a killed predecessor left behind.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Changed, LedgerError};
use super::filesystem::network_file_system;
use super::lock::{Holder, Lock};
use super::schema::{self, FILE_NAME};
use super::versions;
use super::views::make_views;
use crate::grid::{Grid, PointId};
use crate::plan::{Fingerprint, SpecChanges};
use crate::spec::{self, Spec};

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
    /// Commit of the directory that the program was started in, and whether it had uncommitted changes.
    pub git: Option<(String, bool)>,
    /// The slots, as `--devices` would say them.
    pub devices: String,
    /// The folder that the sweep is started from.
    pub folder: String,
}

/// A worker whose end was not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftWorker {
    /// Its process, or its launcher's, where that is one of this boot of this host: id, and start in clock ticks.
    pub process: Option<(u32, u64)>,
    /// Through what it was started; None: it is a process of its host.
    pub launcher: Option<String>,
    /// Its job, or job and step, by Slurm's numbers.
    pub job: Option<String>,
}

/// A run directory that is ready for trials.
#[derive(Debug)]
pub struct Opened {
    /// The lock; whoever holds this may write.
    pub lock: Lock,
    /// The connection for the writer.
    pub connection: Connection,
    /// The ledger's path.
    pub path: PathBuf,
    /// This session's number.
    pub session: i64,
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

/// Opens a run directory for a coordinator, making it if it is not there. `take` makes the fingerprint of what is trained, with
/// the ledger's key.
///
/// # Errors
/// `LedgerError`: held by another coordinator, a changed spec that was not accepted, a file that is not ours or
/// of a later version, a disk that fails. Nothing has been changed then, except that an empty directory may exist.
pub fn open_for_run(
    dir: &Path,
    text: &str,
    spec: &Spec,
    session: &SessionInfo,
    consent: Consent,
    take: impl FnOnce(&[u8; 32]) -> Fingerprint,
) -> Result<Opened, LedgerError> {
    std::fs::create_dir_all(dir.join("logs")).map_err(|source| LedgerError::Io {
        what: "cannot create",
        path: dir.join("logs"),
        source,
    })?;
    let lock = Lock::take(dir, &session.holder)?;
    let path = dir.join(FILE_NAME);
    // An empty file where there was a sweep is damage, not a new sweep: what was recorded may be in a copy.
    if std::fs::metadata(&path).is_ok_and(|file| file.len() == 0) && dir.join("spec.yaml").exists() {
        let reason = "it is empty, although a sweep was run here".to_owned();
        return Err(LedgerError::Foreign { path, reason });
    }
    let network = network_file_system(dir);
    let mut connection = schema::open_writable(&path, network)?;
    let mut remarks = Vec::new();
    if let Some(name) = network {
        remarks.push(format!(
            "{} is on {name}: the ledger keeps a rollback journal there, which is slower and makes readers wait for a moment",
            dir.display()
        ));
    }
    let sqlite = |source| LedgerError::Sqlite { path: path.clone(), source };
    let in_force: Option<String> = connection
        .query_row("SELECT text FROM spec ORDER BY revision DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(sqlite)?;
    let is_new = in_force.as_deref() != Some(text);
    // What is compared is rolled back with the rest if the run is refused.
    let transaction = connection.transaction().map_err(sqlite)?;
    let lines = in_force.as_ref().filter(|_| is_new).map(|old| changes(old, spec));
    if is_new {
        put_spec(&transaction, text, spec, &session.holder.since, &path)?;
    }
    let key = versions::key(&transaction).map_err(sqlite)?;
    let now = take(&key);
    let retrained = versions::retrained(&transaction, &now).map_err(sqlite)?;
    // The command is among what is trained: it need not be said twice.
    let lines = match &retrained {
        Some(_) => {
            lines.map(|lines| lines.map(|lines| lines.into_iter().filter(|line| !line.starts_with("who trains")).collect()))
        }
        None => lines,
    };
    match (lines, retrained) {
        (None, None) => {}
        (Some(None), None) => remarks.push("the sweep file's text has changed, but not what it runs".to_owned()),
        (lines, retrained) => {
            let changed = Changed { spec: lines.flatten().unwrap_or_default(), retrained };
            if consent == Consent::Refuse {
                return Err(LedgerError::Changed { dir: dir.to_owned(), changed: Box::new(changed) });
            }
            remarks.push(format!("resuming with changes:\n  {}", changed.lines().join("\n  ")));
        }
    }
    if consent == Consent::Rerun {
        let rerun = versions::rerun(&transaction, dir, &now)?;
        remarks.push(format!("{rerun} finished trials of earlier versions run again (--rerun-changed)"));
    }
    let version = versions::put(&transaction, &now, &session.holder.since).map_err(sqlite)?;
    // Those of a ledger of an earlier version lack columns.
    make_views(&transaction, spec).map_err(sqlite)?;
    let (cut_off, left_workers) = put_right(&transaction, session).map_err(sqlite)?;
    let number = put_session(&transaction, session, version).map_err(sqlite)?;
    let next_worker =
        transaction.query_row("SELECT coalesce(max(id), 0) + 1 FROM worker", [], |row| row.get(0)).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    keep_spec_file(dir, text)?;
    Ok(Opened { lock, connection, path, session: number, next_worker, left_workers, cut_off, fingerprint: now, key, remarks })
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
fn put_spec(connection: &Connection, text: &str, spec: &Spec, at: &str, path: &Path) -> Result<(), LedgerError> {
    let sqlite = |source| LedgerError::Sqlite { path: path.to_owned(), source };
    let put = || -> rusqlite::Result<Option<String>> {
        connection.execute("INSERT INTO spec (text, accepted_at) VALUES (?, ?)", params![text, at])?;
        connection.execute_batch("DELETE FROM arm_point; DELETE FROM arm;")?;
        let mut put_arm = connection.prepare("INSERT INTO arm (arm, position, label) VALUES (?, ?, ?)")?;
        let mut put_point = connection.prepare("INSERT OR IGNORE INTO point (point, config) VALUES (?, ?)")?;
        let mut find_point = connection.prepare("SELECT config FROM point WHERE point = ?")?;
        let mut put_place = connection.prepare("INSERT INTO arm_point (arm, position, point) VALUES (?, ?, ?)")?;
        for (position, arm) in Grid::new(spec).arms().iter().enumerate() {
            let name = &arm.arm().name;
            put_arm.execute(params![name, position as i64, arm.arm().label])?;
            for (index, (id, config)) in arm.canonicals(|text| (PointId::of_canonical(text), text.to_owned())).enumerate() {
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

/// Marks what was running when the last coordinator was killed as interrupted. Returns how many trials that were,
/// and the workers that never were seen to end.
fn put_right(connection: &Connection, session: &SessionInfo) -> rusqlite::Result<(usize, Vec<LeftWorker>)> {
    let at = &session.holder.since;
    connection.execute(
        "UPDATE attempt SET outcome = 'interrupted', ended_at = ?, message = 'the coordinator was killed' WHERE outcome = 'running'",
        [at],
    )?;
    let cut_off = connection.execute("UPDATE trial SET state = 'waiting' WHERE state = 'running'", [])?;
    let left = connection
        .prepare(
            "SELECT w.pid, w.start_ticks, s.boot_id = ? AND s.host = ? AND w.start_ticks > 0, w.launcher, w.job
             FROM worker w JOIN session s ON s.id = w.session WHERE w.ended_at IS NULL",
        )?
        .query_map([&session.boot_id, &session.holder.host], |row| {
            let (pid, ticks, here): (u32, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(LeftWorker { process: here.then_some((pid, ticks as u64)), launcher: row.get(3)?, job: row.get(4)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .execute("UPDATE worker SET ended_at = ?, outcome = 'left by a killed coordinator' WHERE ended_at IS NULL", [at])?;
    Ok((cut_off, left))
}

fn put_session(connection: &Connection, session: &SessionInfo, version: i64) -> rusqlite::Result<i64> {
    let (commit, dirty) = session.git.clone().unzip();
    connection.execute(
        "INSERT INTO session (started_at, host, pid, boot_id, command, version, git_commit, git_dirty, devices, folder, fingerprint)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            version
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Keeps the spec's text beside the ledger, whole or not at all.
fn keep_spec_file(dir: &Path, text: &str) -> Result<(), LedgerError> {
    let path = dir.join("spec.yaml");
    if std::fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    let partial = dir.join("spec.yaml.partial");
    std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, &path)).map_err(|source| LedgerError::Io {
        what: "cannot write",
        path,
        source,
    })
}
