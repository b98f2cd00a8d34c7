//! Reads a metrics file as it grows. Large files are read and parsed on a thread, so that they
//! delay nothing else.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::collect::{MetricsError, MetricsFile, Rows};
use crate::files;
use crate::protocol::{FromWorker, Reported};
use crate::schedule::budget::Budget;
use crate::schedule::launch::incoming::Incoming;
use crate::schedule::refusal::{Step, is_shortage};

/// How much of the metrics file is read at once, in bytes.
const CHUNK: u64 = 256 << 10;
/// Up to this length it is read without a thread, in bytes.
const MAX_INLINE_READ: u64 = 16 << 10;

/// Follows a metrics file, and reports the rows that are added to it.
pub(super) struct Follower {
    reader: FileReader,
    /// Whether something was wrong, and has been reported. Nothing more is read then.
    is_broken: bool,
    /// Whether what is wrong is not reported any more.
    is_mute: bool,
    /// The shortage of this machine for which the file could not be read the last time.
    shortage: Option<String>,
    /// Memory for the rows that are read.
    budget: Budget,
}

/// What has been read of the file.
struct FileReader {
    trial: String,
    path: PathBuf,
    /// How much has been read, in bytes.
    read: u64,
    /// The hash of that. It is boxed because it is large, and many programs write no metrics file.
    hash: Option<Box<blake3::Hasher>>,
    file: MetricsFile,
}

/// Why a metrics file gives no rows.
enum ReadError {
    /// It is not as it should be.
    Wrong(MetricsError),
    /// This machine lacks something at present.
    Shortage(String),
}

impl From<MetricsError> for ReadError {
    fn from(error: MetricsError) -> Self {
        Self::Wrong(error)
    }
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        if is_shortage(&error, Step::Prepare) {
            Self::Shortage(error.to_string())
        } else {
            Self::Wrong(MetricsError::Unreadable(error.to_string()))
        }
    }
}

impl Follower {
    /// Follows the metrics file of a trial. `metric` is the one that the sweep selects by.
    pub(super) fn new(trial: &str, path: &Path, metric: &str, budget: Budget) -> Self {
        Self {
            reader: FileReader::new(trial.to_owned(), path.to_owned(), metric),
            is_broken: false,
            is_mute: false,
            shortage: None,
            budget,
        }
    }

    /// The last value of each metric; None if nothing was written.
    pub(super) fn last(&self) -> Option<&Reported> {
        self.reader.file.last()
    }

    /// Whether something was wrong with the file.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Reports nothing more that is wrong.
    pub(super) fn mute(&mut self) {
        self.is_mute = true;
    }

    /// Takes the shortage for which the file could not be read since this was last called.
    pub(super) fn take_shortage(&mut self) -> Option<String> {
        self.shortage.take()
    }

    /// Whether there is something to read, and it can be read.
    pub(super) fn has_more(&self) -> bool {
        !self.is_broken && self.shortage.is_none() && self.reader.has_more()
    }

    /// Reports what has been added, at most a chunk of it, or what is wrong.
    pub(super) async fn follow<R, F>(&mut self, report: &R)
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        let length = self.reader.unread();
        self.read(length, FileReader::read_more, report).await;
    }

    /// Reads a last line without a newline, and checks that what was read has not been overwritten.
    /// To be called after the program has exited well.
    pub(super) async fn finish<R, F>(&mut self, report: &R)
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        if self.shortage.is_some() {
            return;
        }
        let length = self.reader.read;
        self.read(length, FileReader::finish, report).await;
    }

    /// Reads about `length` bytes, on a thread if there are many: for a few the thread would take
    /// longer than the reading.
    async fn read<R, F>(
        &mut self,
        length: u64,
        read: fn(&mut FileReader) -> Result<Rows, ReadError>,
        report: &R,
    ) where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        if self.is_broken {
            return;
        }
        let held = self.budget.take(length.min(CHUNK) as usize).await;
        let rows = if length <= MAX_INLINE_READ {
            read(&mut self.reader)
        } else {
            self.read_on_a_thread(read).await
        };

        match rows {
            Ok(rows) => {
                let messages = self.reader.messages(rows);
                if !messages.is_empty() {
                    report(Incoming::Messages(messages, held)).await;
                }
            }
            Err(ReadError::Shortage(why)) => self.shortage = Some(why),
            Err(ReadError::Wrong(error)) => {
                self.is_broken = true;
                if !self.is_mute {
                    report(Incoming::Misreport(error)).await;
                }
            }
        }
    }

    async fn read_on_a_thread(
        &mut self,
        read: fn(&mut FileReader) -> Result<Rows, ReadError>,
    ) -> Result<Rows, ReadError> {
        let path = self.reader.path.clone();
        let placeholder = FileReader::new(self.reader.trial.clone(), path, "");
        let mut reader = std::mem::replace(&mut self.reader, placeholder);
        let work = move || {
            let rows = read(&mut reader);
            (reader, rows)
        };
        let (reader, rows) = on_a_thread(work)
            .await
            .ok_or(ReadError::Wrong(MetricsError::Panicked))?;
        self.reader = reader;
        rows
    }
}

impl FileReader {
    fn new(trial: String, path: PathBuf, metric: &str) -> Self {
        Self {
            trial,
            path,
            read: 0,
            hash: None,
            file: MetricsFile::new(metric),
        }
    }

    fn has_more(&self) -> bool {
        // What is wrong with the file is for `follow` to report.
        self.size().map_or(true, |size| size > self.read)
    }

    /// How much of the file has not been read, in bytes.
    fn unread(&self) -> u64 {
        self.size().map_or(0, |size| size - self.read)
    }

    /// The length of the file. One that has been removed has nothing new.
    fn size(&self) -> Result<u64, MetricsError> {
        match std::fs::metadata(&self.path) {
            // To open a pipe would be to wait for its other end.
            Ok(metadata) if !metadata.is_file() => Err(MetricsError::NotAFile(files::kind_name(
                metadata.file_type(),
            ))),
            Ok(metadata) if metadata.len() < self.read => Err(MetricsError::Shortened {
                read: self.read,
                size: metadata.len(),
            }),
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(self.read),
            Err(error) => Err(MetricsError::Unreadable(error.to_string())),
        }
    }

    /// Reads what has been added, at most a chunk of it.
    fn read_more(&mut self) -> Result<Rows, ReadError> {
        let size = self.size()?;
        if size == self.read {
            return Ok(Rows::new());
        }
        let mut file = files::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take((size - self.read).min(CHUNK))
            .read_to_end(&mut bytes)?;

        self.read += bytes.len() as u64;
        self.hash.get_or_insert_default().update(&bytes);
        Ok(self.file.feed(&bytes)?)
    }

    fn finish(&mut self) -> Result<Rows, ReadError> {
        let is_unchanged = self.is_unchanged()?;
        let rows = self.file.finish()?;
        if is_unchanged {
            Ok(rows)
        } else {
            Err(ReadError::Wrong(MetricsError::Overwritten))
        }
    }

    /// Whether the file still begins with what was read of it. A file that was removed after all of
    /// it was read counts as unchanged.
    fn is_unchanged(&self) -> std::io::Result<bool> {
        let Some(hash) = self.hash.as_deref().filter(|_| self.path.exists()) else {
            return Ok(true);
        };
        let mut now = blake3::Hasher::new();
        std::io::copy(&mut files::open(&self.path)?.take(self.read), &mut now)?;
        Ok(now.finalize() == hash.finalize())
    }

    fn messages(&self, rows: Rows) -> Vec<FromWorker> {
        rows.into_iter()
            .map(|(position, values)| FromWorker::Epoch {
                trial: self.trial.clone(),
                position,
                values,
            })
            .collect()
    }
}

/// Runs `work` on a thread, or here if no thread can be started. Returns `None` if it panicked.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = tokio::sync::oneshot::channel();
    let work = Arc::new(Mutex::new(Some(work)));
    let threads_work = Arc::clone(&work);
    let thread = std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            if let Some(work) = take(&threads_work) {
                // The receiver may have been dropped together with the whole sweep.
                drop(sender.send(work()));
            }
        });
    match thread {
        Ok(_) => result.await.ok(),
        Err(_) => take(&work).map(|work| work()),
    }
}

fn take<T>(shared: &Mutex<Option<T>>) -> Option<T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).take()
}
