//! What a coordinator writes while it runs, one small command for each thing that happened, and how each is put
//! into the tables. A finished trial can never be changed by a later command.

use rusqlite::{Connection, OptionalExtension, params};

use crate::grid::TrialId;
use crate::plan::{Phase, Shared};
use crate::protocol::{FailureKind, Hello, Metrics};

/// Number of a worker process, unique within a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub i64);

/// A place in a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// The file, relative to the run directory.
    pub file: String,
    /// The offset in bytes.
    pub offset: u64,
}

/// A command together with when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// ISO 8601, UTC.
    pub at: String,
    /// What happened.
    pub write: Write,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A worker process was started.
    WorkerStarted {
        /// Its number.
        worker: WorkerId,
        /// The session that started it.
        session: i64,
        /// Its slot.
        slot: usize,
        /// The device of that slot.
        device: String,
        /// Its process id.
        pid: u32,
        /// When the kernel started it, in clock ticks since boot; 0 where that is unknown.
        start_ticks: u64,
    },
    /// A worker introduced itself.
    WorkerHello {
        /// Its number.
        worker: WorkerId,
        /// What it said.
        hello: Hello,
    },
    /// A worker process ended.
    WorkerEnded {
        /// Its number.
        worker: WorkerId,
        /// How.
        outcome: String,
    },
    /// An attempt at a trial began.
    TrialStarted {
        /// The trial.
        trial: TrialId,
        /// What it is for.
        phase: Phase,
        /// Who runs it.
        worker: WorkerId,
        /// Where its part of the log begins.
        log: LogMark,
    },
    /// An epoch of a running trial ended.
    Epoch {
        /// The trial.
        trial: TrialId,
        /// The epoch's number, from 1.
        epoch: u32,
        /// What was measured.
        values: Metrics,
    },
    /// A trial ended well.
    TrialDone {
        /// The trial.
        trial: TrialId,
        /// Its final metrics.
        metrics: Metrics,
        /// What it took from other trials.
        shared: Shared,
        /// Where its part of the log ends.
        log_end: u64,
        /// How long the attempt took, in seconds.
        duration: f64,
    },
    /// An attempt at a trial failed.
    TrialFailed {
        /// The trial.
        trial: TrialId,
        /// What it is for.
        phase: Phase,
        /// Why.
        kind: FailureKind,
        /// Why, in words.
        message: String,
        /// Whether no further attempt will be made.
        for_good: bool,
        /// Where its part of the log ends.
        log_end: u64,
        /// How long the attempt took, in seconds.
        duration: f64,
    },
    /// A coordinator ends.
    SessionEnded {
        /// Its number.
        session: i64,
        /// How: done, failed or interrupted.
        outcome: &'static str,
    },
    /// An attempt at a trial was cut off by no fault of its own: it will start again and is not held against it.
    TrialInterrupted {
        /// The trial.
        trial: TrialId,
        /// Why, in words.
        message: String,
        /// Where its part of the log ends.
        log_end: u64,
    },
}

impl Write {
    /// Whether it is about a trial. Only such commands are acknowledged: the scheduler waits for no others.
    pub fn of_a_trial(&self) -> bool {
        match self {
            Self::WorkerStarted { .. } | Self::WorkerHello { .. } | Self::WorkerEnded { .. } | Self::SessionEnded { .. } => false,
            Self::TrialStarted { .. }
            | Self::Epoch { .. }
            | Self::TrialDone { .. }
            | Self::TrialFailed { .. }
            | Self::TrialInterrupted { .. } => true,
        }
    }

    /// Puts it into the tables, within the transaction that is open.
    pub fn apply(&self, connection: &Connection, at: &str) -> rusqlite::Result<()> {
        match self {
            Self::WorkerStarted { worker, session, slot, device, pid, start_ticks } => {
                connection
                    .prepare_cached(
                        "INSERT INTO worker (id, session, slot, device, pid, start_ticks, started_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute(params![worker.0, session, *slot as i64, device, pid, *start_ticks as i64, at])?;
            }
            Self::WorkerHello { worker, hello } => {
                connection
                    .prepare_cached(
                        "UPDATE worker SET program = ?2, version = ?3, device_name = ?4, libraries = ?5, threads = ?6 WHERE id = ?1",
                    )?
                    .execute(params![
                        worker.0,
                        hello.program,
                        hello.version,
                        hello.device,
                        hello.libraries.join(", "),
                        hello.threads
                    ])?;
            }
            Self::WorkerEnded { worker, outcome } => {
                connection
                    .prepare_cached("UPDATE worker SET ended_at = ?2, outcome = ?3 WHERE id = ?1")?
                    .execute(params![worker.0, at, outcome])?;
            }
            Self::TrialStarted { trial, phase, worker, log } => {
                let id = trial_row(connection, *trial, *phase)?;
                connection
                    .prepare_cached("UPDATE trial SET state = 'running' WHERE id = ? AND state <> 'done'")?
                    .execute([id])?;
                connection.prepare_cached("DELETE FROM epoch WHERE trial = ?")?.execute([id])?;
                connection
                    .prepare_cached(
                        "INSERT INTO attempt (trial, worker, started_at, outcome, log, log_start) VALUES (?, ?, ?, 'running', ?, ?)",
                    )?
                    .execute(params![id, worker.0, at, log.file, log.offset as i64])?;
            }
            Self::Epoch { trial, epoch, values } => {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO epoch (trial, epoch, metrics)
                         SELECT id, ?3, ?4 FROM trial WHERE point = ?1 AND seed = ?2 AND state = 'running'",
                    )?
                    .execute(params![trial.point.to_string(), trial.seed as i64, epoch, json(values)])?;
            }
            Self::TrialDone { trial, metrics, shared, log_end, duration } => {
                let changed = connection
                    .prepare_cached(
                        "UPDATE trial SET state = 'done', metrics = ?3 WHERE point = ?1 AND seed = ?2 AND state = 'running'",
                    )?
                    .execute(params![trial.point.to_string(), trial.seed as i64, json(metrics)])?;
                if changed == 1 {
                    end_attempt(connection, *trial, at, "done", None, *log_end, Some(*duration))?;
                }
                if changed == 1 && *shared != Shared::default() {
                    let (point, seed) = shared.same_as.map(|id| (id.point.to_string(), id.seed as i64)).unzip();
                    connection
                        .prepare_cached(
                            "UPDATE trial SET shared_epochs = ?3, same_as = (SELECT id FROM trial WHERE point = ?4 AND seed = ?5)
                             WHERE point = ?1 AND seed = ?2",
                        )?
                        .execute(params![trial.point.to_string(), trial.seed as i64, shared.epochs, point, seed])?;
                }
            }
            Self::TrialFailed { trial, phase, kind, message, for_good, log_end, duration } => {
                let id = trial_row(connection, *trial, *phase)?;
                let state = if *for_good { "failed" } else { "waiting" };
                let changed = connection
                    .prepare_cached("UPDATE trial SET state = ?2, failures = failures + 1 WHERE id = ?1 AND state <> 'done'")?
                    .execute(params![id, state])?;
                if changed == 1
                    && !end_attempt(connection, *trial, at, "failed", Some((Some(*kind), message)), *log_end, Some(*duration))?
                {
                    // The worker died before it said that it had begun: the attempt has no beginning of its own.
                    connection
                        .prepare_cached(
                            "INSERT INTO attempt (trial, started_at, ended_at, outcome, kind, message) VALUES (?1, ?2, ?2, 'failed', ?3, ?4)",
                        )?
                        .execute(params![id, at, kind.name(), message])?;
                }
            }
            Self::SessionEnded { session, outcome } => {
                connection
                    .prepare_cached("UPDATE session SET ended_at = ?2, outcome = ?3 WHERE id = ?1")?
                    .execute(params![session, at, outcome])?;
            }
            Self::TrialInterrupted { trial, message, log_end } => {
                let changed = connection
                    .prepare_cached("UPDATE trial SET state = 'waiting' WHERE point = ?1 AND seed = ?2 AND state = 'running'")?
                    .execute(params![trial.point.to_string(), trial.seed as i64])?;
                if changed == 1 {
                    end_attempt(connection, *trial, at, "interrupted", Some((None, message)), *log_end, None)?;
                }
            }
        }
        Ok(())
    }
}

/// Metrics as the ledger keeps them.
fn json(metrics: &Metrics) -> String {
    serde_json::to_string(metrics).expect("metrics are a map from text to numbers")
}

/// The row of a trial, made if it is not there.
fn trial_row(connection: &Connection, trial: TrialId, phase: Phase) -> rusqlite::Result<i64> {
    let key = params![trial.point.to_string(), trial.seed as i64, phase.name()];
    let found = connection
        .prepare_cached("SELECT id FROM trial WHERE point = ?1 AND seed = ?2")?
        .query_row(&key[..2], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        // A seed that moved from one phase to the other in a changed spec takes its new part.
        connection
            .prepare_cached("UPDATE trial SET phase = ?2 WHERE id = ?1 AND phase <> ?2")?
            .execute(params![id, phase.name()])?;
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO trial (point, seed, phase, state) VALUES (?1, ?2, ?3, 'waiting')")?.execute(key)?;
    Ok(connection.last_insert_rowid())
}

/// Ends the running attempt at a trial. Says whether there was one.
fn end_attempt(
    connection: &Connection,
    trial: TrialId,
    at: &str,
    outcome: &str,
    why: Option<(Option<FailureKind>, &str)>,
    log_end: u64,
    duration: Option<f64>,
) -> rusqlite::Result<bool> {
    let (kind, message) = why.unzip();
    let changed = connection
        .prepare_cached(
            "UPDATE attempt SET ended_at = ?3, outcome = ?4, kind = ?5, message = ?6, log_end = ?7, duration = ?8
             WHERE outcome = 'running' AND trial = (SELECT id FROM trial WHERE point = ?1 AND seed = ?2)",
        )?
        .execute(params![
            trial.point.to_string(),
            trial.seed as i64,
            at,
            outcome,
            kind.flatten().map(FailureKind::name),
            message,
            log_end as i64,
            duration
        ])?;
    Ok(changed > 0)
}
