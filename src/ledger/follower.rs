//! Following a ledger: what is new in it since the last look, read row by row, so that a look costs
//! as much as has happened and not as much as there is. Leaves the run directory as it is, also
//! where it cannot be written.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Row;

use super::error::LedgerError;
use super::lock::{Holder, Lock};
use super::place::ledger_path;
use super::reader::{Reader, explain, find, trial_id};
use super::rows::{EpochRow, SessionRow, TrialRow, Versions};
use super::schema::{self, Manner};
use crate::grid::TrialId;
use crate::protocol::FailureKind;

/// A file that was changed so shortly before it was looked at may change again without its time
/// telling.
const UNSETTLED: Duration = Duration::from_millis(200);

/// Follows the ledger of a run directory. Between two looks it holds nothing open.
#[derive(Clone, Debug)]
pub struct Follower {
    dir: PathBuf,
    path: PathBuf,
    files: Option<[Option<(u64, SystemTime)>; 2]>,
    holder: Option<Holder>,
    seen: Option<Seen>,
}

/// How far the ledger has been read.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Revisions of the spec, and sessions: with a new one rows may change that nothing else tells
    /// of.
    frame: (i64, i64),
    /// The last attempt.
    attempt: i64,
    /// Attempts that had not ended.
    open: Vec<i64>,
}

/// How much of the attempts is read.
#[derive(Clone, Copy, Debug)]
enum Depth {
    All,
    Glance,
}

/// What a look has found.
#[derive(Clone, Debug)]
pub struct News {
    /// Whether it is all there is, and not only what is new: at the first look, and after a new
    /// session or spec.
    pub whole: bool,
    /// The versions of what is trained, with `whole`.
    pub versions: Versions,
    /// The text of the spec in force, with `whole`.
    pub spec: Option<String>,
    /// Who holds the run directory.
    pub holder: Option<Holder>,
    /// The last run of a coordinator.
    pub session: Option<SessionRow>,
    /// What workers that do not run yet wait for, and how many wait for it; of a coordinator that
    /// is there.
    pub waiting: Vec<(String, u64)>,
    /// Trials that are new or may have changed.
    pub trials: Vec<TrialRow>,
    /// Attempts that are new or have changed, in the order in which they began.
    pub attempts: Vec<AttemptNews>,
    /// The last row of history of each trial with an attempt that has not ended.
    pub epochs: Vec<EpochRow>,
}

/// An attempt at a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptNews {
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
    /// Threads that its worker computed with.
    pub threads: u32,
}

impl Follower {
    /// Follows the ledger of a run directory from its beginning.
    ///
    /// # Errors
    /// `LedgerError::Absent`.
    pub fn new(dir: &Path) -> Result<Self, LedgerError> {
        let path = find(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            path,
            files: None,
            holder: None,
            seen: None,
        })
    }

    /// The run directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is new; None if nothing is, which costs a glance at three files.
    ///
    /// # Errors
    /// The ledger's. The next look begins where this one did.
    pub fn look(&mut self) -> Result<Option<News>, LedgerError> {
        let holder = Lock::holder(&self.dir);
        let files = self.files();
        let settled = |file: &Option<(u64, SystemTime)>| {
            file.is_none_or(|(_, changed)| changed.elapsed().is_ok_and(|ago| ago > UNSETTLED))
        };
        if self.files == Some(files) && self.holder == holder {
            return Ok(None);
        }
        let (news, seen) = self.read(holder.clone(), Depth::All)?;
        self.seen = Some(seen);
        self.files = files.iter().all(settled).then_some(files);
        self.holder = holder;
        Ok(Some(news))
    }

    /// The ledger as it is now, for somebody who will not look again: of the attempts only those
    /// that have not ended and those at trials that failed for good, which are few where the others
    /// are many.
    ///
    /// # Errors
    /// The ledger's.
    pub fn glance(&self) -> Result<News, LedgerError> {
        let afresh = Self {
            seen: None,
            ..self.clone()
        };
        Ok(afresh.read(Lock::holder(&self.dir), Depth::Glance)?.0)
    }

    /// A reader of the ledger as it is now, for what only somebody who asks wants to know.
    ///
    /// # Errors
    /// The ledger's.
    pub fn reader(&self) -> Result<Reader, LedgerError> {
        let manner = Manner::untouching(&self.path, Lock::holder(&self.dir).is_some());
        self.open(manner)
    }

    fn open(&self, manner: Manner) -> Result<Reader, LedgerError> {
        let connection = schema::open_in_manner(&ledger_path(&self.dir), manner)
            .map_err(|error| explain(&self.dir, error))?;
        Ok(Reader::on(connection, self.path.clone()))
    }

    /// Sizes and times of the ledger and its log.
    fn files(&self) -> [Option<(u64, SystemTime)>; 2] {
        ["", "-wal"].map(|suffix| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            let file = std::fs::metadata(name).ok()?;
            Some((file.len(), file.modified().ok()?))
        })
    }

    fn read(&self, holder: Option<Holder>, depth: Depth) -> Result<(News, Seen), LedgerError> {
        let mut manner = Manner::untouching(&self.path, holder.is_some());
        loop {
            let reader = self.open(manner)?;
            let found = self.news(&reader, holder.clone(), depth);
            // A coordinator that began meanwhile may have written into what was taken for a file at
            // rest.
            let now = Manner::untouching(&self.path, Lock::holder(&self.dir).is_some());
            if manner == Manner::Still && now != Manner::Still {
                manner = Manner::Shared;
                continue;
            }
            return found;
        }
    }

    fn news(
        &self,
        reader: &Reader,
        holder: Option<Holder>,
        depth: Depth,
    ) -> Result<(News, Seen), LedgerError> {
        // One moment for all that follows; with a rollback journal it makes the writer wait, but
        // not for long.
        reader
            .connection()
            .execute_batch("BEGIN")
            .map_err(reader.sqlite())?;
        let (frame, last) = reader
            .connection()
            .query_row(
                "SELECT (SELECT count(*) FROM spec), (SELECT coalesce(max(id), 0) FROM session), (SELECT coalesce(max(id), 0) FROM attempt)",
                [],
                |row| Ok(((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?)),
            )
            .map_err(reader.sqlite())?;
        let seen = self
            .seen
            .clone()
            .filter(|seen| seen.frame == frame && seen.attempt <= last);
        let session = reader.sessions()?.pop();
        // Of a killed coordinator's workers nobody knows.
        let waiting = if holder.is_some() {
            reader.waiting()?
        } else {
            Vec::new()
        };
        let (whole, seen) = (seen.is_none(), seen.unwrap_or_default());
        let which = match depth {
            Depth::All => "",
            Depth::Glance => OPEN_OR_FAILED,
        };
        let mut attempts = reader.rows(
            &format!("{ATTEMPTS} WHERE a.id > ? {which} ORDER BY a.id"),
            [seen.attempt],
            attempt,
        )?;
        let mut trials = Vec::new();
        if whole {
            trials = reader.trials()?;
        } else {
            for number in &seen.open {
                attempts.extend(reader.rows(
                    &format!("{ATTEMPTS} WHERE a.id = ?"),
                    [number],
                    attempt,
                )?);
            }
            attempts.sort_by_key(|attempt| attempt.number);
            trials.extend(reader.trials_where(
                "JOIN attempt a ON a.trial = t.id WHERE a.id > ?",
                [seen.attempt],
            )?);
            for number in &seen.open {
                trials.extend(
                    reader.trials_where(
                        "JOIN attempt a ON a.trial = t.id WHERE a.id = ?",
                        [number],
                    )?,
                );
            }
        }
        let open: Vec<&AttemptNews> = attempts
            .iter()
            .filter(|attempt| attempt.ended_at.is_none())
            .collect();
        let mut epochs = Vec::new();
        let position = reader.position()?;
        for attempt in &open {
            epochs.extend(reader.last_row_of(attempt.trial, position)?);
        }
        let seen = Seen {
            frame,
            attempt: last,
            open: open.iter().map(|attempt| attempt.number).collect(),
        };
        let spec = if whole {
            Some(reader.spec_text()?)
        } else {
            None
        };
        let versions = if whole {
            reader.versions()?
        } else {
            Versions::default()
        };
        Ok((
            News {
                whole,
                versions,
                spec,
                holder,
                session,
                waiting,
                trials,
                attempts,
                epochs,
            },
            seen,
        ))
    }
}

const ATTEMPTS: &str = "SELECT t.point, t.seed, a.id, a.started_at, a.ended_at, a.outcome, a.kind, a.message, a.duration, w.slot, coalesce(w.device_name, w.device), coalesce(w.threads, 0)
     FROM attempt a JOIN trial t ON t.id = a.trial LEFT JOIN worker w ON w.id = a.worker";

/// Of all attempts those of `Follower::glance`. The inner query reads the attempts alone, and
/// leaves few to look up the trials of.
const OPEN_OR_FAILED: &str =
    "AND a.id IN (SELECT id FROM attempt WHERE ended_at IS NULL OR outcome = 'failed')
     AND (a.ended_at IS NULL OR t.state = 'failed')";

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptNews> {
    let slot: Option<u32> = row.get(9)?;
    Ok(AttemptNews {
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
