//! The thread that writes the ledger. Commands queue up while a commit waits for the disk and then go into the
//! next one together (group commit); each is acknowledged only when it is on the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::LedgerError;
use super::tables::Tables;
use super::write::Stamped;

/// The most commands in one transaction: bounds how long an acknowledgement can take.
const BATCH: usize = 4096;
/// Commits begin at most so often. A command that comes after a quiet time is written at once; when many come, they share
/// the cost of the disk, and nobody waits for so short a time.
const PACE: Duration = Duration::from_millis(20);

/// The writing end of a ledger. Dropping it waits for what is queued.
#[derive(Debug)]
pub struct Writer {
    queue: Option<mpsc::Sender<Stamped>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of commands, in the order in which they were given.
#[derive(Debug)]
pub enum Committed {
    /// So many further commands about trials are on the disk.
    Count(usize),
    /// The ledger cannot be written; nothing after the last count is kept.
    Failed(LedgerError),
}

impl Writer {
    /// Starts the thread. `acknowledge` is called on it after every commit.
    pub fn start(connection: Connection, path: PathBuf, acknowledge: impl Fn(Committed) + Send + 'static) -> Self {
        let (queue, commands) = mpsc::channel();
        let thread = std::thread::spawn(move || write_all(connection, &path, &commands, acknowledge));
        Self { queue: Some(queue), thread: Some(thread) }
    }

    /// Queues a command.
    pub fn send(&self, command: Stamped) {
        if let Some(queue) = &self.queue {
            // After a failure the thread has ended and has said so: the command is lost, like the failure's own.
            let _ = queue.send(command);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself; there is nobody to tell a second time.
            let _ = thread.join();
        }
    }
}

fn write_all(connection: Connection, path: &Path, commands: &mpsc::Receiver<Stamped>, acknowledge: impl Fn(Committed)) {
    let failed = |source| acknowledge(Committed::Failed(LedgerError::Sqlite { path: path.to_owned(), source }));
    if let Err(source) = Tables::new(&connection).and_then(|mut tables| write_batches(&mut tables, commands, &acknowledge)) {
        return failed(source);
    }
    // Folds the write-ahead log into the file, so that a copy of the one file is the whole ledger: closing does so unless
    // somebody reads at that moment, and this also then. A rollback journal has nothing to fold.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!("folding the log into the ledger: {error}");
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!("closing the ledger: {error}");
    }
}

/// Writes until there are no more commands. What is in a transaction that fails is lost with the connection.
fn write_batches(
    tables: &mut Tables<'_>,
    commands: &mpsc::Receiver<Stamped>,
    acknowledge: &impl Fn(Committed),
) -> rusqlite::Result<()> {
    let mut began: Option<Instant> = None;
    while let Ok(first) = commands.recv() {
        if let Some(rest) = began.and_then(|began| PACE.checked_sub(began.elapsed())) {
            std::thread::sleep(rest);
        }
        began = Some(Instant::now());
        let batch: Vec<Stamped> = std::iter::once(first).chain(commands.try_iter()).take(BATCH).collect();
        tables.begin()?;
        tables.apply_all(&batch)?;
        tables.commit()?;
        acknowledge(Committed::Count(batch.iter().filter(|command| command.write.of_a_trial()).count()));
    }
    Ok(())
}
