//! Follows a ledger: reads what is new since the last poll, row by row, so that a poll costs as
//! much as has happened, and not as much as there is. Leaves the run directory as it is, and works
//! where it cannot be written.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Row;

use super::connection::{self, ReadMode};
use super::error::LedgerError;
use super::holder::Holder;
use super::lock::Lock;
use super::place::ledger_path;
use super::reader::{Reader, explain, find, trial_id};
use super::rows::{EpochRow, SessionRow, TrialRow, Versions};
use crate::grid::TrialId;
use crate::protocol::FailureKind;

/// A file that was changed less than this before it was examined may change again without a new
/// modification time.
const MTIME_GRANULARITY: Duration = Duration::from_millis(200);

/// Follows the ledger of a run directory. Between two polls it holds nothing open.
#[derive(Clone, Debug)]
pub struct Follower {
    dir: PathBuf,
    path: PathBuf,
    files: Option<FileStates>,
    holder: Option<Holder>,
    position: Option<ReadPosition>,
}

/// The ledger and its log.
type FileStates = [Option<FileState>; 2];

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    size: u64,
    modified: SystemTime,
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            size: file.len(),
            modified: file.modified().ok()?,
        })
    }

    /// Whether a later change will have another modification time.
    fn is_settled(&self) -> bool {
        self.modified
            .elapsed()
            .is_ok_and(|ago| ago > MTIME_GRANULARITY)
    }
}

/// How far the ledger has been read.
#[derive(Clone, Debug, Default)]
struct ReadPosition {
    /// Number of revisions of the sweep file. A new one may change rows that nothing else tells of.
    revisions: i64,
    /// The last session, for the same reason.
    session: i64,
    /// The last attempt.
    attempt: i64,
    /// Attempts that had not ended.
    open: Vec<i64>,
}

/// Which attempts are read.
#[derive(Clone, Copy, Debug)]
enum Attempts {
    All,
    OpenOrFailed,
}

/// What a poll has found.
#[derive(Clone, Debug)]
pub struct Update {
    /// Whether it is the whole state, and not only what is new: at the first poll, and after a new
    /// session or sweep file.
    pub is_whole: bool,
    /// The versions of what is trained, if it is the whole state.
    pub versions: Versions,
    /// The sweep file in force, if it is the whole state.
    pub spec: Option<String>,
    /// The coordinator that holds the run directory.
    pub holder: Option<Holder>,
    /// The last session.
    pub session: Option<SessionRow>,
    /// What workers wait for in a queue, and how many workers wait for it; empty if there is no
    /// coordinator.
    pub waiting: Vec<(String, u64)>,
    /// Trials that are new or may have changed.
    pub trials: Vec<TrialRow>,
    /// Attempts that are new or have changed, in the order in which they began.
    pub attempts: Vec<AttemptUpdate>,
    /// The last row of history of each trial with an attempt that has not ended.
    pub epochs: Vec<EpochRow>,
}

/// An attempt at a trial that is new or has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptUpdate {
    /// Its number.
    pub number: i64,
    /// The trial.
    pub trial: TrialId,
    /// When it began, ISO 8601, UTC.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// running, done, failed or interrupted.
    pub outcome: String,
    /// Kind of failure.
    pub kind: Option<FailureKind>,
    /// What went wrong.
    pub message: Option<String>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
    /// The slot that it ran in, and what its worker called the device.
    pub slot: Option<(u32, String)>,
    /// Number of threads that its worker computed with.
    pub threads: u32,
}

impl Follower {
    /// Follows the ledger of a run directory from its beginning.
    ///
    /// # Errors
    /// `LedgerError::Absent`.
    pub fn new(dir: &Path) -> Result<Self, LedgerError> {
        if Lock::holder(dir).is_some() {
            // It may have begun a moment ago.
            Reader::open(dir)?;
        }
        let path = find(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            path,
            files: None,
            holder: None,
            position: None,
        })
    }

    /// The run directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns what is new. If nothing is, only three files are examined, and it returns None.
    ///
    /// # Errors
    /// The ledger's. The next poll begins where this one did.
    pub fn poll(&mut self) -> Result<Option<Update>, LedgerError> {
        let holder = Lock::holder(&self.dir);
        let files = self.file_states();
        if self.files == Some(files) && self.holder == holder {
            return Ok(None);
        }

        let (update, position) =
            self.read(self.position.as_ref(), holder.clone(), Attempts::All)?;
        // Files that may change without a new modification time are read again at the next poll.
        let are_settled = files
            .iter()
            .flatten()
            .all(|file: &FileState| file.is_settled());
        self.position = Some(position);
        self.files = are_settled.then_some(files);
        self.holder = holder;
        Ok(Some(update))
    }

    /// Returns the whole state for a caller that will not poll again.
    ///
    /// It has only the attempts that have not ended and those at failed trials: they are few, where
    /// the others are many.
    ///
    /// # Errors
    /// The ledger's.
    pub fn snapshot(&self) -> Result<Update, LedgerError> {
        let holder = Lock::holder(&self.dir);
        let (update, _) = self.read(None, holder, Attempts::OpenOrFailed)?;
        Ok(update)
    }

    /// Opens a reader of the ledger as it is now, for what is read on demand only.
    ///
    /// # Errors
    /// The ledger's.
    pub fn reader(&self) -> Result<Reader, LedgerError> {
        let is_held = Lock::holder(&self.dir).is_some();
        self.open(ReadMode::without_trace(&self.path, is_held))
    }

    fn open(&self, mode: ReadMode) -> Result<Reader, LedgerError> {
        let connection = connection::open_in_mode(&ledger_path(&self.dir), mode)
            .map_err(|error| explain(&self.dir, error))?;
        Ok(Reader::on(connection, self.path.clone()))
    }

    /// The states of the ledger and its log.
    fn file_states(&self) -> FileStates {
        ["", "-wal"].map(|suffix| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            FileState::of(Path::new(&name))
        })
    }

    /// Reads what is new since a position, without a trace in the directory.
    fn read(
        &self,
        since: Option<&ReadPosition>,
        holder: Option<Holder>,
        which: Attempts,
    ) -> Result<(Update, ReadPosition), LedgerError> {
        let mut mode = ReadMode::without_trace(&self.path, holder.is_some());
        loop {
            let reader = self.open(mode)?;
            let found = reader.updates_since(since, holder.clone(), which);

            // A coordinator that has begun since may have written into the file that was taken to
            // be immutable.
            let is_held = Lock::holder(&self.dir).is_some();
            let mode_now = ReadMode::without_trace(&self.path, is_held);
            if mode == ReadMode::Immutable && mode_now != ReadMode::Immutable {
                mode = ReadMode::Shared;
                continue;
            }
            return found;
        }
    }
}

impl Reader {
    /// Reads what is new since a position, or the whole state if there is none or the position is
    /// of an earlier session or sweep file.
    fn updates_since(
        &self,
        since: Option<&ReadPosition>,
        holder: Option<Holder>,
        which: Attempts,
    ) -> Result<(Update, ReadPosition), LedgerError> {
        // One snapshot for all that follows. With a rollback journal the writer has to wait, but
        // not for long.
        self.connection()
            .execute_batch("BEGIN")
            .map_err(self.sqlite())?;
        let mut position = self.end_position()?;
        let since = since.filter(|since| {
            since.revisions == position.revisions
                && since.session == position.session
                && since.attempt <= position.attempt
        });

        let session = self.sessions()?.pop();

        // A killed coordinator's workers wait for nothing.
        let waiting = if holder.is_some() {
            self.waiting()?
        } else {
            Vec::new()
        };
        let attempts = self.attempts_since(since, which)?;
        let trials = match since {
            None => self.trials()?,
            Some(since) => self.trials_since(since)?,
        };

        let mut epochs = Vec::new();
        let history_position = self.position()?;
        for attempt in attempts.iter().filter(|attempt| attempt.ended_at.is_none()) {
            position.open.push(attempt.number);
            epochs.extend(self.last_row_of(attempt.trial, history_position)?);
        }

        let mut update = Update {
            is_whole: since.is_none(),
            versions: Versions::default(),
            spec: None,
            holder,
            session,
            waiting,
            trials,
            attempts,
            epochs,
        };
        if update.is_whole {
            update.spec = Some(self.spec_text()?);
            update.versions = self.versions()?;
        }
        Ok((update, position))
    }

    /// The position after everything that is in the ledger now, but for the attempts that have not
    /// ended.
    fn end_position(&self) -> Result<ReadPosition, LedgerError> {
        self.connection()
            .query_row(
                "SELECT (SELECT count(*) FROM spec),
                        (SELECT coalesce(max(id), 0) FROM session),
                        (SELECT coalesce(max(id), 0) FROM attempt)",
                [],
                |row| {
                    Ok(ReadPosition {
                        revisions: row.get(0)?,
                        session: row.get(1)?,
                        attempt: row.get(2)?,
                        open: Vec::new(),
                    })
                },
            )
            .map_err(self.sqlite())
    }

    /// The attempts that are new since a position, and those that had not ended then.
    fn attempts_since(
        &self,
        since: Option<&ReadPosition>,
        which: Attempts,
    ) -> Result<Vec<AttemptUpdate>, LedgerError> {
        let condition = match which {
            Attempts::All => "",
            Attempts::OpenOrFailed => OPEN_OR_FAILED,
        };
        let mut attempts = self.rows(
            &format!("{ATTEMPTS} WHERE a.id > ? {condition} ORDER BY a.id"),
            [since.map_or(0, |since| since.attempt)],
            attempt,
        )?;
        for number in since.iter().flat_map(|since| &since.open) {
            let sql = format!("{ATTEMPTS} WHERE a.id = ?");
            attempts.extend(self.rows(&sql, [number], attempt)?);
        }
        attempts.sort_by_key(|attempt| attempt.number);
        Ok(attempts)
    }

    /// The trials of the attempts that are new since a position, or had not ended then.
    fn trials_since(&self, since: &ReadPosition) -> Result<Vec<TrialRow>, LedgerError> {
        let mut trials = self.trials_where(
            "JOIN attempt a ON a.trial = t.id WHERE a.id > ?",
            [since.attempt],
        )?;
        for number in &since.open {
            trials.extend(
                self.trials_where("JOIN attempt a ON a.trial = t.id WHERE a.id = ?", [number])?,
            );
        }
        Ok(trials)
    }
}

/// Query for the columns of `attempt`.
const ATTEMPTS: &str = "SELECT t.point, t.seed, a.id, a.started_at, a.ended_at, a.outcome, a.kind,
     a.message, a.duration, w.slot, coalesce(w.device_name, w.device), coalesce(w.threads, 0)
     FROM attempt a JOIN trial t ON t.id = a.trial LEFT JOIN worker w ON w.id = a.worker";

/// Condition on the attempts of `Follower::snapshot`. The inner query reads only the table of
/// attempts, and leaves few whose trials have to be looked up.
const OPEN_OR_FAILED: &str =
    "AND a.id IN (SELECT id FROM attempt WHERE ended_at IS NULL OR outcome = 'failed')
     AND (a.ended_at IS NULL OR t.state = 'failed')";

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptUpdate> {
    let slot: Option<u32> = row.get(9)?;
    Ok(AttemptUpdate {
        trial: trial_id(row)?,
        number: row.get(2)?,
        started_at: row.get(3)?,
        ended_at: row.get(4)?,
        outcome: row.get(5)?,
        kind: row
            .get::<_, Option<String>>(6)?
            .as_deref()
            .and_then(FailureKind::from_name),
        message: row.get(7)?,
        duration: row.get(8)?,
        slot: slot.zip(row.get(10)?),
        threads: row.get(11)?,
    })
}
