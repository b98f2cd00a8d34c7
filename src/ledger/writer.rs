//! The thread that writes the ledger. Commands queue up while a commit waits for the disk and then go into the
//! next one together (group commit); each is acknowledged only when it is on the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::error::LedgerError;
use super::write::Stamped;

/// The most commands in one transaction: bounds how long an acknowledgement can take.
const BATCH: usize = 512;

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

fn write_all(mut connection: Connection, path: &Path, commands: &mpsc::Receiver<Stamped>, acknowledge: impl Fn(Committed)) {
    while let Ok(first) = commands.recv() {
        let mut batch = vec![first];
        batch.extend(commands.try_iter().take(BATCH - 1));
        match write_batch(&mut connection, &batch) {
            Ok(()) => acknowledge(Committed::Count(batch.iter().filter(|command| command.write.of_a_trial()).count())),
            Err(source) => {
                acknowledge(Committed::Failed(LedgerError::Sqlite { path: path.to_owned(), source }));
                return;
            }
        }
    }
    // Folds the write-ahead log into the file, so that a copy of the one file is the whole ledger.
    if let Err((_, error)) = connection.close() {
        tracing::warn!("closing the ledger: {error}");
    }
}

fn write_batch(connection: &mut Connection, batch: &[Stamped]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for command in batch {
        command.write.apply(&transaction, &command.at)?;
    }
    transaction.commit()
}
