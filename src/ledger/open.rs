//! What a coordinator does to a run directory before the first trial: it takes the lock, brings the
//! tables up to the sweep file, records the session, and recovers what a killed predecessor left
//! behind.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::claim::{Claim, log_of};
use super::connection;
use super::damage::{Traces, check_last_note};
use super::error::{Changed, LedgerError};
use super::filesystem::network_file_system;
use super::identity::{Identity, identify};
use super::lock::Lock;
use super::patience::{Patience, Waiting};
use super::place::{Place, check_path, ledger_path};
use super::recovery::{LeftWorker, Recovered, interrupt_running};
use super::rows::Retrained;
use super::schema::FILE_NAME;
use super::session::SessionInfo;
use super::sweep_rows::{EarlierSweep, SweepRows, put_sweep};
use super::versions;
use super::views::make_views;
use crate::files;
use crate::plan::Fingerprint;
use crate::text::count;

/// The copy of the sweep file in a run directory.
const SPEC_FILE: &str = "spec.yaml";

/// A run directory that is ready for trials.
#[derive(Debug)]
pub struct Opened {
    /// The right to write, with the lock.
    pub claim: Claim,
    /// The connection for the writer.
    pub connection: Connection,
    /// This session's number.
    pub session: i64,
    /// The directory's identity.
    pub identity: Identity,
    /// The first number that a new worker may have.
    pub next_worker: i64,
    /// Workers whose end was not recorded: they may still be there.
    pub left_workers: Vec<LeftWorker>,
    /// How many trials were running when the last coordinator was killed.
    pub cut_off: usize,
    /// What is trained.
    pub fingerprint: Fingerprint,
    /// The key that hides values in fingerprints.
    pub key: [u8; 32],
    /// What to tell the user: accepted changes, a network file system.
    pub remarks: Vec<String>,
}

/// What to do with a run directory whose sweep file, or what it trains, has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// Refuse to run.
    #[default]
    Refuse,
    /// Keep all results and resume with the changes.
    Accept,
    /// Resume as well, and run trials of an earlier version of what is trained again.
    Rerun,
}

/// Opens a run directory for a coordinator, and creates it if it is not there.
///
/// `take_fingerprint` makes the fingerprint of what is trained, with the ledger's key. Waits for
/// other programs that have the ledger locked; `on_wait` is told about a long wait.
///
/// # Errors
/// `LedgerError`: in use by another coordinator, a change that was not accepted, a file that is not
/// a ledger or of a later version, a disk that fails. Nothing has been changed then, except that an
/// empty directory may exist.
pub fn open_for_run(
    dir: &Path,
    sweep: SweepRows<'_>,
    session: &SessionInfo,
    consent: Consent,
    take_fingerprint: impl FnOnce(&[u8; 32]) -> Fingerprint,
    on_wait: &dyn Fn(Waiting),
) -> Result<Opened, LedgerError> {
    check_path(dir)?;
    let path = dir.join(FILE_NAME);
    let patience = Patience {
        path: &path,
        tell: on_wait,
        is_over: &|| false,
    };

    // Look for traces of an earlier sweep before anything is written.
    let traces = Traces::find(dir);
    std::fs::create_dir_all(dir.join("logs")).map_err(|source| LedgerError::Io {
        what: "cannot create",
        path: dir.join("logs"),
        source,
    })?;
    let (lock, last_note) = Lock::take(dir, &session.holder)?;
    traces.check_file(dir)?;

    let network = network_file_system(dir);
    let connection = connect(dir, &traces, &patience, network)?;
    let place = Place::of(dir).map_err(|source| LedgerError::Io {
        what: "cannot read",
        path: path.clone(),
        source,
    })?;
    patience.until_free(|| check_last_note(dir, &connection, &place, &last_note))?;
    let identity = patience
        .until_free(|| identify(&connection, session, &place))
        .map_err(LedgerError::sqlite_at(&path))?;
    let mut remarks = remarks_about_place(dir, network, &identity);

    let earlier_text = patience
        .until_free(|| text_in_force(&connection))
        .map_err(LedgerError::sqlite_at(&path))?;
    let kept_copy = read_spec_copy(dir)?;

    // The new rows have to be in the tables to be compared; if the run is refused, they are rolled
    // back with the connection.
    let transaction = Transaction {
        dir,
        path: &path,
        connection: &connection,
        session,
    };
    patience
        .until_free(|| connection.execute_batch("BEGIN IMMEDIATE"))
        .map_err(LedgerError::sqlite_at(&path))?;
    let text = sweep.text;
    let begun = transaction.begin_session(
        sweep,
        earlier_text.as_deref(),
        consent,
        take_fingerprint,
        &identity,
        &place,
    )?;

    patience
        .until_free(|| connection.execute_batch("COMMIT"))
        .map_err(LedgerError::sqlite_at(&path))?;
    remarks.extend(begun.remarks);

    // Only now is there a session whose rows a later start can miss.
    lock.note_session(begun.session, &place)?;
    if kept_copy.as_deref() != Some(text.as_bytes()) {
        write_spec_copy(dir, text)?;
    }
    let claim = Claim {
        lock,
        place,
        session: begun.session,
        log: log_of(&path),
        path,
    };

    Ok(Opened {
        claim,
        connection,
        session: begun.session,
        identity,
        next_worker: begun.next_worker,
        left_workers: begun.recovered.left_workers,
        cut_off: begun.recovered.cut_off,
        fingerprint: begun.fingerprint,
        key: begun.key,
        remarks,
    })
}

/// Opens the ledger's file and brings its tables to this program's version.
fn connect(
    dir: &Path,
    traces: &Traces,
    patience: &Patience<'_>,
    network: Option<&str>,
) -> Result<Connection, LedgerError> {
    // SQLite gets an absolute path, messages the one that the user has given.
    let mut connection = patience
        .until_free(|| connection::connect(&ledger_path(dir)))
        .map_err(|error| error.named(patience.path))?;
    traces.check_tables(dir, &connection)?;
    patience.until_free(|| connection::set_up(&mut connection, patience.path, network))?;
    Ok(connection)
}

/// What the user should know about where the run directory lies.
fn remarks_about_place(dir: &Path, network: Option<&str>, identity: &Identity) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(name) = network {
        remarks.push(format!(
            "{} is on {name}: the ledger keeps a rollback journal there, which is slower and \
             makes readers wait for a moment",
            dir.display()
        ));
    }
    if identity.copied_from.is_some() {
        remarks.push(format!(
            "{} is a copy of a run directory, or was restored from one: from now on it is a sweep \
             of its own, and processes of the \
             original are left alone",
            dir.display()
        ));
    }
    remarks
}

/// The sweep file that is in force; None in a new ledger.
fn text_in_force(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection
        .query_row(
            "SELECT text FROM spec ORDER BY revision DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
}

/// The transaction that records the sweep and the beginning of a session.
struct Transaction<'a> {
    dir: &'a Path,
    path: &'a Path,
    connection: &'a Connection,
    session: &'a SessionInfo,
}

/// A session whose beginning has been recorded.
struct Begun {
    session: i64,
    next_worker: i64,
    recovered: Recovered,
    fingerprint: Fingerprint,
    key: [u8; 32],
    remarks: Vec<String>,
}

impl Transaction<'_> {
    /// Records the sweep and the session, unless something has changed that the user has not
    /// agreed to.
    fn begin_session(
        &self,
        sweep: SweepRows<'_>,
        earlier_text: Option<&str>,
        consent: Consent,
        take_fingerprint: impl FnOnce(&[u8; 32]) -> Fingerprint,
        identity: &Identity,
        place: &Place,
    ) -> Result<Begun, LedgerError> {
        let connection = self.connection;
        let since = &self.session.holder.since;
        let sqlite = LedgerError::sqlite_at(self.path);

        let is_new = earlier_text != Some(sweep.text);
        if is_new {
            put_sweep(connection, sweep.text, sweep.arms, since, self.path)?;
        }
        let key = versions::key(connection).map_err(&sqlite)?;
        let fingerprint = take_fingerprint(&key);
        let retrained = versions::retrained(connection, &fingerprint).map_err(&sqlite)?;

        let earlier = earlier_text.filter(|_| is_new).map(|text| EarlierSweep {
            text,
            // The command is part of the fingerprint.
            program_is_listed: retrained.is_some(),
        });
        let lines = earlier.map(|earlier| (sweep.changes)(earlier));
        let mut remarks = Vec::new();
        remarks.extend(self.accept_changes(lines, retrained, consent)?);
        if consent == Consent::Rerun {
            let rerun = versions::rerun(connection, self.dir, &fingerprint)?;
            remarks.push(format!(
                "{} of earlier versions will run again (--rerun-changed)",
                count(rerun, "finished trial")
            ));
        }
        let version = versions::put(connection, &fingerprint, since).map_err(&sqlite)?;

        // Views of a ledger of an earlier version lack columns, so they are always made again.
        make_views(connection, &sweep.columns).map_err(&sqlite)?;
        let recovered = interrupt_running(connection, self.session, identity).map_err(&sqlite)?;
        let session = self
            .insert_session(version, identity, place)
            .map_err(&sqlite)?;
        let next_worker = connection
            .query_row("SELECT coalesce(max(id), 0) + 1 FROM worker", [], |row| {
                row.get(0)
            })
            .map_err(&sqlite)?;

        Ok(Begun {
            session,
            next_worker,
            recovered,
            fingerprint,
            key,
            remarks,
        })
    }

    /// Refuses changes that the user has not agreed to. Returns a remark about those that are
    /// accepted. `lines` is None if the text is the same, and holds None if only the text differs.
    fn accept_changes(
        &self,
        lines: Option<Option<Vec<String>>>,
        retrained: Option<Retrained>,
        consent: Consent,
    ) -> Result<Option<String>, LedgerError> {
        if retrained.is_none() {
            match lines {
                None => return Ok(None),
                Some(None) => {
                    return Ok(Some(
                        "the sweep file's text has changed, but not what it runs".to_owned(),
                    ));
                }
                Some(Some(_)) => {}
            }
        }

        let changed = Changed {
            spec: lines.flatten().unwrap_or_default(),
            retrained,
        };

        if consent == Consent::Refuse {
            return Err(LedgerError::Changed {
                dir: self.dir.to_owned(),
                changed: Box::new(changed),
            });
        }

        Ok(Some(format!(
            "resuming with changes:\n  {}",
            changed.lines().join("\n  ")
        )))
    }

    /// Inserts the row of this session and returns its number.
    fn insert_session(
        &self,
        version: i64,
        identity: &Identity,
        place: &Place,
    ) -> rusqlite::Result<i64> {
        let session = self.session;
        let (commit, dirty) = session.git.clone().unzip();
        self.connection.execute(
            "INSERT INTO session (started_at, host, pid, boot_id, command, version, git_commit,
             git_dirty, devices, folder, fingerprint,
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
        Ok(self.connection.last_insert_rowid())
    }
}

/// The copy of the sweep file beside the ledger, if it is there.
fn read_spec_copy(dir: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
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

fn write_spec_copy(dir: &Path, text: &str) -> Result<(), LedgerError> {
    let path = dir.join(SPEC_FILE);
    files::replace(&path, text.as_bytes()).map_err(|source| LedgerError::Io {
        what: "cannot write",
        path,
        source,
    })
}
