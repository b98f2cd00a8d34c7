//! The thread that writes the ledger. Commands queue up while a commit waits for the disk and then
//! go into the next one together (group commit); each is acknowledged only when it is on the disk,
//! in the run directory that was opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::claim::Claim;
use super::error::LedgerError;
use super::patience::{Patience, Waiting, locked_by};
use super::tables::Tables;
use super::write::Stamped;

/// The most commands in one transaction: bounds how long an acknowledgement can take.
const BATCH: usize = 4096;
/// Commits begin at most so often. A command that comes after a quiet time is written at once; when
/// many come, they share the cost of the disk, and nobody waits for so short a time.
const PACE: Duration = Duration::from_millis(20);
/// How often it is made sure that the run directory is still there while nothing is written.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long closing may wait for readers before the write-ahead log is left beside the ledger.
const FOLD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of a session may take before a message says why.
const SLOW_CLOSE: Duration = Duration::from_secs(5);
/// How long the end of a session waits for other programs: every result is on the disk by then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The writing end of a ledger. Dropping it waits for what is queued.
#[derive(Debug)]
pub struct Writer {
    queue: Option<mpsc::Sender<Stamped>>,
    thread: Option<JoinHandle<()>>,
    claim: Claim,
    /// Nobody waits for other programs any more.
    abandoned: Arc<AtomicBool>,
}

/// What became of commands, in the order in which they were given.
#[derive(Debug)]
pub enum Committed {
    /// So many further commands about trials are on the disk.
    Count(usize),
    /// Another program has the ledger locked. What is queued is kept in memory, and written when it
    /// is free.
    Waiting(Waiting),
    /// The ledger cannot be written; nothing after the last count is kept.
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
        let thread = {
            let (claim, abandoned) = (claim.clone(), Arc::clone(&abandoned));
            std::thread::spawn(move || {
                write_all(connection, &claim, &commands, &abandoned, acknowledge)
            })
        };
        Self {
            queue: Some(queue),
            thread: Some(thread),
            claim,
            abandoned,
        }
    }

    /// Queues a command.
    pub fn send(&self, command: Stamped) {
        if let Some(queue) = &self.queue {
            // After a failure the thread has ended and has said so: the command is lost, like the
            // failure's own.
            let _ = queue.send(command);
        }
    }

    /// Gives up what cannot be written because another program has the ledger locked.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Waits for what is queued, but not for ever for other programs. Says what keeps it waiting,
    /// and what was not written.
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
            let by = || {
                locked_by(&self.claim.path)
                    .map_or_else(String::new, |by| format!(" (locked by {by})"))
            };
            if began.elapsed() > SLOW_CLOSE && !told {
                told = true;
                tell(&format!(
                    "still writing the end of this run into {}{}",
                    self.claim.path.display(),
                    by()
                ));
            }
            if began.elapsed() > CLOSE_TIMEOUT
                && !self.abandoned.load(Ordering::Relaxed)
                && !by().is_empty()
            {
                self.abandon();
                tell(&format!(
                    "{} is still locked{}: the end of this run is not recorded, every result is",
                    self.claim.path.display(),
                    by()
                ));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself; there is nobody to tell a
            // second time.
            let _ = thread.join();
        }
    }
}

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
        .map_err(|source| LedgerError::Sqlite {
            path: claim.path.clone(),
            source,
        })
        .and_then(|mut tables| write_batches(&mut tables, claim, commands, &patience, &acknowledge))
        .and_then(|()| claim.check());
    if let Err(error) = written {
        if matches!(error, LedgerError::Gone { .. }) {
            // Closing it removes files by their names, which may be those of another ledger by now.
            // It is left as a crash would leave it, which loses nothing.
            std::mem::forget(connection);
        }
        return acknowledge(Committed::Failed(error));
    }
    // Folds the write-ahead log into the file, so that a copy of the one file is the whole ledger:
    // closing does so unless somebody reads at that moment, and this also then. A rollback journal
    // has nothing to fold.
    let folded = connection
        .busy_timeout(FOLD_TIMEOUT)
        .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    if let Err(error) = folded {
        tracing::warn!("folding the log into the ledger: {error}");
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!("closing the ledger: {error}");
    }
}

/// Writes until there are no more commands. What is in a transaction that fails is lost with the
/// connection.
fn write_batches(
    tables: &mut Tables<'_>,
    claim: &Claim,
    commands: &mpsc::Receiver<Stamped>,
    patience: &Patience<'_>,
    acknowledge: &impl Fn(Committed),
) -> Result<(), LedgerError> {
    let sqlite = |source| LedgerError::Sqlite {
        path: claim.path.clone(),
        source,
    };
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
        if let Some(rest) = began.and_then(|began| PACE.checked_sub(began.elapsed())) {
            std::thread::sleep(rest);
        }
        began = Some(Instant::now());
        let batch: Vec<Stamped> = std::iter::once(first)
            .chain(commands.try_iter())
            .take(BATCH)
            .collect();

        // No transaction may be open where the directory is found to be another one: its end
        // changes files by their names.
        claim.check()?;
        patience.until_free(|| tables.begin()).map_err(sqlite)?;
        if tables.last_session().map_err(sqlite)? != claim.session {
            return Err(claim.superseded());
        }
        commits += 1;
        tables
            .apply_all(&batch)
            .and_then(|()| tables.set_commits(claim.session, commits))
            .map_err(sqlite)?;
        patience.until_free(|| tables.commit()).map_err(sqlite)?;

        // What was written into a file that is no longer there is not kept.
        claim.check()?;
        claim.lock.note_commits(commits);
        acknowledge(Committed::Count(
            batch
                .iter()
                .filter(|command| command.write.of_a_trial())
                .count(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::lock::{Holder, Lock};
    use crate::ledger::place::Place;
    use crate::ledger::schema::{self, FILE_NAME};
    use crate::ledger::write::Write;
    use std::sync::mpsc::Receiver;

    const SESSION: &str = "INSERT INTO session (started_at, host, pid, boot_id, command, version, devices) VALUES ('', 'there', 9, '', '', '', '')";

    /// A ledger with one session, its writer, and what the writer says.
    fn writing(network: Option<&str>) -> (tempfile::TempDir, Writer, Receiver<Committed>) {
        let dir = tempfile::tempdir().unwrap();
        let holder = Holder {
            host: "here".into(),
            pid: 7,
            since: "now".into(),
        };
        let (lock, _) = Lock::take(dir.path(), &holder).unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut connection = schema::connect(&path).unwrap();
        schema::set_up(&mut connection, &path, network).unwrap();
        connection.execute_batch(SESSION).unwrap();
        let claim = Claim {
            lock,
            place: Place::of(dir.path()).unwrap(),
            session: 1,
            path,
        };
        let (acknowledge, said) = mpsc::channel();
        let writer = Writer::start(connection, claim, move |committed| {
            drop(acknowledge.send(committed))
        });
        (dir, writer, said)
    }

    fn end() -> Stamped {
        Stamped {
            at: "later".into(),
            write: Write::SessionEnded {
                session: 1,
                outcome: "done",
            },
        }
    }

    /// As on a network file system: there a reader that holds on keeps the writer from committing.
    #[test]
    fn a_reader_that_holds_on_is_waited_for_and_what_was_queued_is_written() {
        let (dir, writer, said) = writing(Some("NFS"));
        let reader = schema::open_readable(&dir.path().join(FILE_NAME)).unwrap();
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
    fn what_nobody_waits_for_any_longer_is_given_up() {
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
    fn a_later_session_stops_it_before_it_writes() {
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
