//! The thread that writes the ledger. Commands that arrive while a commit waits for the disk go
//! into the next one together (group commit). A command is acknowledged only when it is on the
//! disk, in the run directory that was opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::claim::Claim;
use super::error::{Gone, LedgerError};
use super::kernel_locks::locked_by;
use super::patience::{Patience, Waiting};
use super::tables::Tables;
use super::write::{Stamped, Write};

/// Maximum number of commands in one transaction: bounds how long an acknowledgement can take.
const MAX_BATCH: usize = 4096;
/// Minimum time between the beginnings of two commits. A command that arrives after a quiet time is
/// written at once; many commands share the cost of the disk.
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);
/// How often to check that the run directory is still there while nothing is written.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long closing waits for readers before it leaves the write-ahead log beside the ledger.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of a session may take before a message says what it waits for.
const CLOSE_MESSAGE_DELAY: Duration = Duration::from_secs(5);
/// How long the end of a session waits for other programs. Every result is on the disk by then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The sender of commands to the writing thread. Dropping it waits until what is queued is written.
#[derive(Debug)]
pub struct Writer {
    queue: Option<mpsc::Sender<Stamped>>,
    thread: Option<JoinHandle<()>>,
    claim: Claim,
    /// Whether to stop waiting for other programs.
    abandoned: Arc<AtomicBool>,
}

/// What happened to the commands, in the order in which they were sent.
#[derive(Debug)]
pub enum Committed {
    /// This number of further commands about trials is on the disk.
    Count(usize),
    /// Another program has the ledger locked. What is queued stays in memory until the ledger is
    /// free.
    Waiting(Waiting),
    /// The ledger cannot be written; what was sent after the last count is lost.
    Failed(LedgerError),
}

impl Writer {
    /// Starts the thread. `acknowledge` is called on it after every commit.
    pub fn start(
        connection: Connection,
        claim: Claim,
        acknowledge: impl Fn(Committed) + Send + 'static,
    ) -> Self {
        let (queue, commands) = mpsc::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let claim = claim.clone();
            let abandoned = Arc::clone(&abandoned);
            move || write_all(connection, &claim, &commands, &abandoned, acknowledge)
        });
        Self {
            queue: Some(queue),
            thread: Some(thread),
            claim,
            abandoned,
        }
    }

    /// Stamps a command with the present time and queues it.
    pub fn send(&self, command: Write) {
        if let Some(queue) = &self.queue {
            // After a failure the thread has ended and has reported it: the command is lost, like
            // the one that failed.
            let _ = queue.send(Stamped::now(command));
        }
    }

    /// Gives up what cannot be written because another program has the ledger locked.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Waits until what is queued is written, for a limited time if another program has the ledger
    /// locked. Tells what it waits for, and what was not written.
    pub fn finish(mut self, tell: impl Fn(&str)) {
        self.queue = None;
        let began = Instant::now();
        let mut told = false;
        while self
            .thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
        {
            std::thread::sleep(Duration::from_millis(5));
            if began.elapsed() > CLOSE_MESSAGE_DELAY && !told {
                told = true;
                tell(&format!(
                    "still writing the end of this run into {}{}",
                    self.claim.path.display(),
                    self.locked_by()
                ));
            }
            let is_late = began.elapsed() > CLOSE_TIMEOUT;
            if is_late && !self.abandoned.load(Ordering::Relaxed) && !self.locked_by().is_empty() {
                self.abandon();
                tell(&format!(
                    "{} is still locked{}: the end of this run is not recorded, every result is",
                    self.claim.path.display(),
                    self.locked_by()
                ));
            }
        }
    }

    /// The program that has the ledger locked, as the end of a message; empty if none is known.
    fn locked_by(&self) -> String {
        locked_by(&self.claim.path).map_or_else(String::new, |by| format!(" (locked by {by})"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread itself has reported a panic.
            let _ = thread.join();
        }
    }
}

/// Moves the write-ahead log into the ledger. Returns whether all of it was moved.
fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(CHECKPOINT_TIMEOUT)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        let is_busy: bool = row.get(0)?;
        Ok(!is_busy)
    })
}

/// Writes until the sender is gone, and closes the ledger.
fn write_all(
    connection: Connection,
    claim: &Claim,
    commands: &mpsc::Receiver<Stamped>,
    abandoned: &AtomicBool,
    acknowledge: impl Fn(Committed),
) {
    let patience = Patience {
        path: &claim.path,
        tell: &|waiting| acknowledge(Committed::Waiting(waiting)),
        is_over: &|| abandoned.load(Ordering::Relaxed),
    };
    let written = patience
        .until_free(|| Tables::new(&connection))
        .map_err(LedgerError::sqlite_at(&claim.path))
        .and_then(|mut tables| write_batches(&mut tables, claim, commands, &patience, &acknowledge))
        .and_then(|()| claim.check());

    if let Err(mut error) = written {
        if let LedgerError::Gone {
            what: Gone::LogRemoved { is_saved },
            ..
        } = &mut error
        {
            // The connection still has the removed file open: its content can be saved.
            *is_saved = checkpoint(&connection).unwrap_or(false);
        }
        if matches!(error, LedgerError::Gone { .. }) {
            // Closing removes files by their names, which may belong to another ledger by now. The
            // connection is left as a crash would leave it, which loses nothing.
            std::mem::forget(connection);
        }
        return acknowledge(Committed::Failed(error));
    }

    // Move the write-ahead log into the file, so that a copy of the one file is the whole ledger.
    // Closing does so too, but not while another program reads. A rollback journal has nothing to
    // move.
    let checkpointed = checkpoint(&connection);
    if let Err(error) = checkpointed {
        tracing::warn!("moving the write-ahead log into the ledger: {error}");
    }

    if let Err((_, error)) = connection.close() {
        tracing::warn!("closing the ledger: {error}");
    }
}

/// Writes until the sender is gone. A transaction that fails is lost with the connection.
fn write_batches(
    tables: &mut Tables<'_>,
    claim: &Claim,
    commands: &mpsc::Receiver<Stamped>,
    patience: &Patience<'_>,
    acknowledge: &impl Fn(Committed),
) -> Result<(), LedgerError> {
    let sqlite = LedgerError::sqlite_at(&claim.path);
    let mut began: Option<Instant> = None;
    let mut commits = 0;
    loop {
        let first = match commands.recv_timeout(CHECK_INTERVAL) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                claim.check()?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };

        // Let further commands arrive, so that they share the commit.
        if let Some(rest) = began.and_then(|began| COMMIT_INTERVAL.checked_sub(began.elapsed())) {
            std::thread::sleep(rest);
        }
        began = Some(Instant::now());
        let batch: Vec<Stamped> = std::iter::once(first)
            .chain(commands.try_iter())
            .take(MAX_BATCH)
            .collect();

        // No transaction may be open when the directory turns out to be another one: ending it
        // changes files by their names.
        claim.check()?;
        patience.until_free(|| tables.begin()).map_err(&sqlite)?;
        match tables.last_session().map_err(&sqlite)?.cmp(&claim.session) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => return Err(claim.superseded()),
            std::cmp::Ordering::Less => {
                return Err(LedgerError::SessionRemoved(claim.path.clone()));
            }
        }
        commits += 1;
        tables
            .apply_all(&batch)
            .and_then(|()| tables.set_commits(claim.session, commits))
            .map_err(&sqlite)?;
        patience.until_free(|| tables.commit()).map_err(&sqlite)?;

        // What was written into a file that has since been removed must not be acknowledged.
        claim.check()?;
        claim.lock.note_commits(commits);
        let about_trials = batch
            .iter()
            .filter(|command| command.write.is_about_trial())
            .count();
        acknowledge(Committed::Count(about_trials));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::connection;
    use crate::ledger::holder::Holder;
    use crate::ledger::lock::Lock;
    use crate::ledger::place::Place;
    use crate::ledger::schema::FILE_NAME;
    use std::sync::mpsc::Receiver;

    const SESSION: &str = "INSERT INTO session (started_at, host, pid, boot_id, command, version,
         devices) VALUES ('', 'there', 9, '', '', '', '')";

    /// A ledger with one session, its writer, and what the writer acknowledges.
    fn writing(network: Option<&str>) -> (tempfile::TempDir, Writer, Receiver<Committed>) {
        let dir = tempfile::tempdir().unwrap();
        let holder = Holder {
            host: "here".into(),
            pid: 7,
            since: "now".into(),
        };
        let (lock, _) = Lock::take(dir.path(), &holder).unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut connection = connection::connect(&path).unwrap();
        connection::set_up(&mut connection, &path, network).unwrap();
        connection.execute_batch(SESSION).unwrap();
        let claim = Claim {
            lock,
            place: Place::of(dir.path()).unwrap(),
            session: 1,
            log: None,
            path,
        };
        let (acknowledge, said) = mpsc::channel();
        let writer = Writer::start(connection, claim, move |committed| {
            drop(acknowledge.send(committed));
        });
        (dir, writer, said)
    }

    fn end() -> Write {
        Write::SessionEnded {
            session: 1,
            outcome: "done",
        }
    }

    /// On a network file system a reader with an open transaction keeps the writer from committing.
    #[test]
    fn the_writer_waits_for_an_open_reader_and_then_writes_what_is_queued() {
        let (dir, writer, said) = writing(Some("NFS"));
        let reader = connection::open_readable(&dir.path().join(FILE_NAME)).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM session")
            .unwrap();
        writer.send(end());
        let Ok(Committed::Waiting(waiting)) = said.recv() else {
            panic!("it does not say that it waits")
        };
        assert!(
            waiting.to_string().contains("has been locked by"),
            "{waiting}"
        );
        let outcome = |connection: &Connection| -> Option<String> {
            connection
                .query_row("SELECT outcome FROM session", [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(outcome(&reader), None);
        reader.execute_batch("COMMIT").unwrap();
        assert!(matches!(said.recv(), Ok(Committed::Count(0))));
        assert_eq!(outcome(&reader).as_deref(), Some("done"));
        drop(writer);
        assert!(said.recv().is_err(), "nothing further was said");
    }

    #[test]
    fn an_abandoned_writer_gives_up() {
        let (dir, writer, said) = writing(None);
        let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        writer.send(end());
        assert!(matches!(said.recv(), Ok(Committed::Waiting(_))));
        writer.abandon();
        let Ok(Committed::Failed(error)) = said.recv() else {
            panic!("it still waits")
        };
        assert!(error.is_busy(), "{error}");
    }

    #[test]
    fn a_session_whose_row_was_removed_is_not_taken_for_another_coordinators() {
        let (dir, writer, said) = writing(None);
        let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        other.execute_batch("DELETE FROM session").unwrap();
        writer.send(end());
        let Ok(Committed::Failed(error)) = said.recv() else {
            panic!("it has written")
        };
        let told = error.to_string();
        assert!(
            told.contains("another program has removed this run from the table `session`"),
            "{told}"
        );
    }

    #[test]
    fn a_later_session_stops_the_writer_before_it_writes() {
        let (dir, writer, said) = writing(None);
        let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        other.execute_batch(SESSION).unwrap();
        writer.send(end());
        let Ok(Committed::Failed(error)) = said.recv() else {
            panic!("it has written")
        };
        assert!(
            matches!(&error, LedgerError::Superseded { by, .. } if by.host == "there"),
            "{error}"
        );
        let ended: i64 = other
            .query_row("SELECT count(outcome) FROM session", [], |row| row.get(0))
            .unwrap();
        assert_eq!(ended, 0);
    }
}
