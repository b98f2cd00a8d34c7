//! The prepared statements of the writer.

use rusqlite::{Connection, Statement};

use crate::protocol::{MAX_NOTES, MORE_NOTES};

/// The statements of the writer, each prepared once.
pub(super) struct Statements<'c> {
    pub begin: Statement<'c>,
    pub commit: Statement<'c>,
    pub last_session: Statement<'c>,
    pub set_commits: Statement<'c>,
    pub new_worker: Statement<'c>,
    pub worker_placed: Statement<'c>,
    pub worker_hello: Statement<'c>,
    pub worker_ended: Statement<'c>,
    pub session_ended: Statement<'c>,
    pub find_trial: Statement<'c>,
    pub new_trial: Statement<'c>,
    pub whole_trial: Statement<'c>,
    pub set_phase: Statement<'c>,
    pub set_running: Statement<'c>,
    pub drop_history: Statement<'c>,
    pub new_attempt: Statement<'c>,
    pub whole_attempt: Statement<'c>,
    pub drop_notes: Statement<'c>,
    pub new_epoch: Statement<'c>,
    pub new_note: Statement<'c>,
    pub set_done: Statement<'c>,
    pub set_shared: Statement<'c>,
    pub set_failed: Statement<'c>,
    pub set_waiting: Statement<'c>,
    pub end_attempt: Statement<'c>,
    pub failed_attempt: Statement<'c>,
}

impl<'c> Statements<'c> {
    /// Prepares the statements.
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            last_session: connection.prepare("SELECT coalesce(max(id), 0) FROM session")?,
            set_commits: connection.prepare("UPDATE session SET commits = ?2 WHERE id = ?1")?,
            new_worker: connection.prepare(
                "INSERT INTO worker (id, session, slot, device, pid, start_ticks, started_at,
                 launcher, program, version, device_name,
                                     libraries, threads, ended_at, outcome)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            worker_placed: connection.prepare(
                "UPDATE worker SET host = coalesce(?2, host), job = coalesce(?3, job), waits = ?4
                 WHERE id = ?1",
            )?,
            worker_hello: connection.prepare(
                "UPDATE worker SET program = ?2, version = ?3, device_name = ?4, libraries = ?5,
                 threads = ?6 WHERE id = ?1",
            )?,
            worker_ended: connection.prepare(
                "UPDATE worker SET ended_at = ?2, outcome = ?3
                 WHERE id = ?1",
            )?,
            session_ended: connection.prepare(
                "UPDATE session SET ended_at = ?2, outcome = ?3
                 WHERE id = ?1",
            )?,
            find_trial: connection
                .prepare("SELECT id FROM trial WHERE point = ?1 AND seed = ?2")?,
            new_trial: connection.prepare(
                "INSERT INTO trial (point, seed, phase, state)
                 VALUES (?1, ?2, ?3, ?4)",
            )?,
            // Inserts nothing if there was an attempt before. Then start and result are applied one
            // by one.
            whole_trial: connection.prepare(
                "INSERT INTO trial (point, seed, phase, state, metrics) VALUES (?, ?, ?, 'done', ?)
                 ON CONFLICT (point, seed) DO NOTHING",
            )?,
            set_phase: connection.prepare(
                "UPDATE trial SET phase = ?2 WHERE id = ?1
                 AND phase <> ?2",
            )?,
            // A trial that is done stays done: a late message must not start it again.
            set_running: connection.prepare(
                "UPDATE trial SET state = 'running' WHERE id = ?
                 AND state <> 'done'",
            )?,
            drop_history: connection.prepare("DELETE FROM epoch WHERE trial = ?")?,
            drop_notes: connection.prepare("DELETE FROM note WHERE trial = ?")?,
            new_attempt: connection.prepare(
                "INSERT INTO attempt (trial, worker, started_at, outcome, log, log_start)
                 VALUES (?, ?, ?, 'running', ?, ?)",
            )?,
            whole_attempt: connection.prepare(
                "INSERT INTO attempt (trial, worker, started_at, ended_at, outcome, log, log_start,
                 log_end, duration)
                 VALUES (?, ?, ?, ?, 'done', ?, ?, ?, ?)",
            )?,
            // A worker may report the metrics of one epoch in several messages.
            new_epoch: connection.prepare(
                "INSERT INTO epoch (trial, unit, position, metrics)
                 SELECT id, ?2, ?3, ?4 FROM trial WHERE id = ?1 AND state = 'running'
                 ON CONFLICT (trial, unit, position) DO UPDATE
                 SET metrics = json_patch(metrics, excluded.metrics)",
            )?,
            // A worker may report new notes with every row, so the number of notes is limited here.
            new_note: connection.prepare(&format!(
                "INSERT INTO note (trial, name, value)
                 SELECT ?1, ?2, ?3 WHERE ?2 = '{MORE_NOTES}'
                 OR (SELECT count(*) FROM note WHERE trial = ?1 AND name <> '{MORE_NOTES}')
                    < {MAX_NOTES}
                 OR EXISTS (SELECT 1 FROM note WHERE trial = ?1 AND name = ?2)
                 ON CONFLICT (trial, name) DO UPDATE SET value = excluded.value"
            ))?,
            // Only a running trial can be done, so that a second result changes nothing.
            set_done: connection.prepare(
                "UPDATE trial SET state = 'done', metrics = ?2
                 WHERE id = ?1 AND state = 'running'",
            )?,
            set_shared: connection.prepare(
                "UPDATE trial SET shared_epochs = ?2,
                 same_as = (SELECT id FROM trial WHERE point = ?3 AND seed = ?4) WHERE id = ?1",
            )?,
            set_failed: connection.prepare(
                "UPDATE trial SET state = ?2, failures = failures + 1
                 WHERE id = ?1 AND state <> 'done'",
            )?,
            set_waiting: connection.prepare(
                "UPDATE trial SET state = 'waiting' WHERE id = ?
                 AND state = 'running'",
            )?,
            // An attempt ends once: what ended it first stays in its row.
            end_attempt: connection.prepare(
                "UPDATE attempt SET ended_at = ?2, outcome = ?3, kind = ?4, message = ?5,
                 log_end = ?6, duration = ?7
                 WHERE id = ?1 AND outcome = 'running'",
            )?,
            // For a worker that died before it said that the trial had started.
            failed_attempt: connection.prepare(
                "INSERT INTO attempt (trial, started_at, ended_at, outcome, kind, message)
                 VALUES (?1, ?2, ?2, 'failed', ?3, ?4)",
            )?,
        })
    }
}
