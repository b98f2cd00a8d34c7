//! How each command is put into the tables, within the transaction that is open. Statements are
//! prepared once, and the rows of trials that are under way are remembered; what `fold` finds to be
//! complete is written in one go: a trial that takes no time costs two statements and no search by
//! its id.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::coalesce::{Fate, fates};
use super::versions;
use super::views::{self, Kind};
use super::write::{Stamped, Write};
use crate::grid::TrialId;
use crate::plan::{Phase, Shared};
use crate::protocol::{FailureKind, MAX_NOTES, MORE_NOTES, Metrics, Notes};

/// The writer's statements.
pub(super) struct Tables<'c> {
    connection: &'c Connection,
    /// Rows of the trials that have been begun and have not ended since, and of the attempts at
    /// them.
    rows: HashMap<TrialId, (i64, i64)>,
    /// Names of final metrics, and of metrics in histories, that have a column in the views.
    metric_names: HashSet<String>,
    history_names: HashSet<String>,
    /// Whether names have been added to them since the views were made.
    has_new_names: bool,
    begin: Statement<'c>,
    commit: Statement<'c>,
    last_session: Statement<'c>,
    set_commits: Statement<'c>,
    new_worker: Statement<'c>,
    worker_placed: Statement<'c>,
    worker_hello: Statement<'c>,
    worker_ended: Statement<'c>,
    session_ended: Statement<'c>,
    find_trial: Statement<'c>,
    new_trial: Statement<'c>,
    whole_trial: Statement<'c>,
    set_phase: Statement<'c>,
    set_running: Statement<'c>,
    drop_history: Statement<'c>,
    new_attempt: Statement<'c>,
    whole_attempt: Statement<'c>,
    drop_notes: Statement<'c>,
    new_epoch: Statement<'c>,
    new_note: Statement<'c>,
    set_done: Statement<'c>,
    set_shared: Statement<'c>,
    set_failed: Statement<'c>,
    set_waiting: Statement<'c>,
    end_attempt: Statement<'c>,
    failed_attempt: Statement<'c>,
}

impl<'c> Tables<'c> {
    /// Prepares the statements.
    pub fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql: &str| connection.prepare(sql);
        Ok(Self {
            connection,
            rows: HashMap::new(),
            metric_names: views::names(connection, &[Kind::Metric])?.into_iter().collect(),
            history_names: views::names(connection, &[Kind::History])?.into_iter().collect(),
            has_new_names: false,
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            last_session: prepare("SELECT coalesce(max(id), 0) FROM session")?,
            set_commits: prepare("UPDATE session SET commits = ?2 WHERE id = ?1")?,
            new_worker: prepare(
                "INSERT INTO worker (id, session, slot, device, pid, start_ticks, started_at, launcher, program, version, device_name,
                                     libraries, threads, ended_at, outcome)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            worker_placed: prepare(
                "UPDATE worker SET host = coalesce(?2, host), job = coalesce(?3, job), waits = ?4 WHERE id = ?1",
            )?,
            worker_hello: prepare(
                "UPDATE worker SET program = ?2, version = ?3, device_name = ?4, libraries = ?5, threads = ?6 WHERE id = ?1",
            )?,
            worker_ended: prepare("UPDATE worker SET ended_at = ?2, outcome = ?3 WHERE id = ?1")?,
            session_ended: prepare("UPDATE session SET ended_at = ?2, outcome = ?3 WHERE id = ?1")?,
            find_trial: prepare("SELECT id FROM trial WHERE point = ?1 AND seed = ?2")?,
            new_trial: prepare("INSERT INTO trial (point, seed, phase, state) VALUES (?1, ?2, ?3, ?4)")?,
            whole_trial: prepare(
                "INSERT INTO trial (point, seed, phase, state, metrics) VALUES (?, ?, ?, 'done', ?)
                 ON CONFLICT (point, seed) DO NOTHING",
            )?,
            set_phase: prepare("UPDATE trial SET phase = ?2 WHERE id = ?1 AND phase <> ?2")?,
            set_running: prepare("UPDATE trial SET state = 'running' WHERE id = ? AND state <> 'done'")?,
            drop_history: prepare("DELETE FROM epoch WHERE trial = ?")?,
            drop_notes: prepare("DELETE FROM note WHERE trial = ?")?,
            new_attempt: prepare(
                "INSERT INTO attempt (trial, worker, started_at, outcome, log, log_start) VALUES (?, ?, ?, 'running', ?, ?)",
            )?,
            whole_attempt: prepare(
                "INSERT INTO attempt (trial, worker, started_at, ended_at, outcome, log, log_start, log_end, duration)
                 VALUES (?, ?, ?, ?, 'done', ?, ?, ?, ?)",
            )?,
            new_epoch: prepare(
                "INSERT INTO epoch (trial, unit, position, metrics)
                 SELECT id, ?2, ?3, ?4 FROM trial WHERE id = ?1 AND state = 'running'
                 ON CONFLICT (trial, unit, position) DO UPDATE SET metrics = json_patch(metrics, excluded.metrics)",
            )?,
            // A worker may report others with every row: the table is bounded here, once for all.
            new_note: prepare(&format!(
                "INSERT INTO note (trial, name, value)
                 SELECT ?1, ?2, ?3 WHERE ?2 = '{MORE_NOTES}' OR (SELECT count(*) FROM note WHERE trial = ?1 AND name <> '{MORE_NOTES}') < {MAX_NOTES}
                                         OR EXISTS (SELECT 1 FROM note WHERE trial = ?1 AND name = ?2)
                 ON CONFLICT (trial, name) DO UPDATE SET value = excluded.value"
            ))?,
            set_done: prepare("UPDATE trial SET state = 'done', metrics = ?2 WHERE id = ?1 AND state = 'running'")?,
            set_shared: prepare(
                "UPDATE trial SET shared_epochs = ?2, same_as = (SELECT id FROM trial WHERE point = ?3 AND seed = ?4) WHERE id = ?1",
            )?,
            set_failed: prepare("UPDATE trial SET state = ?2, failures = failures + 1 WHERE id = ?1 AND state <> 'done'")?,
            set_waiting: prepare("UPDATE trial SET state = 'waiting' WHERE id = ? AND state = 'running'")?,
            end_attempt: prepare(
                "UPDATE attempt SET ended_at = ?2, outcome = ?3, kind = ?4, message = ?5, log_end = ?6, duration = ?7
                 WHERE id = ?1 AND outcome = 'running'",
            )?,
            failed_attempt: prepare(
                "INSERT INTO attempt (trial, started_at, ended_at, outcome, kind, message) VALUES (?1, ?2, ?2, 'failed', ?3, ?4)",
            )?,
        })
    }

    /// Opens a transaction.
    pub fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([]).map(drop)
    }

    /// Puts it on the disk.
    pub fn commit(&mut self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.has_new_names) {
            views::remake_views(self.connection)?;
        }
        self.commit.execute([]).map(drop)
    }

    /// The number of the last session: a later one than ours is another coordinator's.
    pub fn last_session(&mut self) -> rusqlite::Result<i64> {
        self.last_session.query_row([], |row| row.get(0))
    }

    /// Notes how many transactions a session has committed, this one among them.
    pub fn set_commits(&mut self, session: i64, commits: u64) -> rusqlite::Result<()> {
        self.set_commits
            .execute(params![session, commits as i64])
            .map(drop)
    }

    /// Puts the commands of a transaction into the tables.
    pub fn apply_all(&mut self, commands: &[Stamped]) -> rusqlite::Result<()> {
        for (fate, command) in fates(commands).into_iter().zip(commands) {
            match fate {
                Fate::Alone => self.apply(command)?,
                Fate::Said => {}
                Fate::Worker { hello, ended } => {
                    self.start_worker(
                        command,
                        hello.map(|place| &commands[place]),
                        ended.map(|place| &commands[place]),
                    )?;
                }
                Fate::Trial { started } => self.finish_trial(&commands[started], command)?,
            }
        }
        Ok(())
    }

    /// A worker that was started, and what is known of it by now.
    fn start_worker(
        &mut self,
        started: &Stamped,
        hello: Option<&Stamped>,
        ended: Option<&Stamped>,
    ) -> rusqlite::Result<()> {
        let Write::WorkerStarted {
            worker,
            session,
            slot,
            device,
            pid,
            start_ticks,
            launcher,
        } = &started.write
        else {
            return self.apply(started);
        };
        let hello = match hello.map(|hello| &hello.write) {
            Some(Write::WorkerHello { hello, .. }) => Some(hello),
            _ => None,
        };
        let end = ended.and_then(|ended| match &ended.write {
            Write::WorkerEnded { outcome, .. } => Some((&*ended.at, outcome)),
            _ => None,
        });
        self.new_worker.execute(params![
            worker.0,
            session,
            *slot as i64,
            device,
            pid,
            *start_ticks as i64,
            &*started.at,
            launcher,
            hello.map(|hello| &hello.program),
            hello.map(|hello| &hello.version),
            hello.map(|hello| &hello.device),
            hello.map(|hello| hello.libraries.join(", ")),
            hello.map(|hello| hello.threads),
            end.map(|(at, _)| at),
            end.map(|(_, outcome)| outcome),
        ])?;
        Ok(())
    }

    /// A trial that began and was done within this transaction: its row complete, and that of the
    /// attempt.
    fn finish_trial(&mut self, started: &Stamped, done: &Stamped) -> rusqlite::Result<()> {
        let (
            Write::TrialStarted {
                trial,
                phase,
                worker,
                log,
            },
            Write::TrialDone {
                metrics,
                shared,
                log_end,
                duration,
                ..
            },
        ) = (&started.write, &done.write)
        else {
            self.apply(started)?;
            return self.apply(done);
        };
        let point = trial.point.to_string();
        if self.whole_trial.execute(params![
            point,
            trial.seed as i64,
            phase.name(),
            json(&metrics.numbers)
        ])? == 0
        {
            // It has been begun before.
            self.apply(started)?;
            return self.apply(done);
        }
        // Before anything else is inserted.
        let id = self.connection.last_insert_rowid();
        self.note_names(Kind::Metric, &metrics.numbers)?;
        let (begin, end) = (log.offset as i64, *log_end as i64);
        self.whole_attempt.execute(params![
            id,
            worker.0,
            &*started.at,
            &*done.at,
            &*log.file,
            begin,
            end,
            duration
        ])?;
        self.note(id, &metrics.notes)?;
        self.share(id, shared)
    }

    /// Puts a command into the tables.
    fn apply(&mut self, command: &Stamped) -> rusqlite::Result<()> {
        let at = &*command.at;
        match &command.write {
            Write::WorkerStarted { .. } => self.start_worker(command, None, None)?,
            Write::WorkerPlaced {
                worker,
                host,
                job,
                waits,
            } => {
                self.worker_placed
                    .execute(params![worker.0, host, job, waits])?;
            }
            Write::WorkerHello { worker, hello } => {
                let libraries = hello.libraries.join(", ");
                self.worker_hello.execute(params![
                    worker.0,
                    hello.program,
                    hello.version,
                    hello.device,
                    libraries,
                    hello.threads
                ])?;
            }
            Write::WorkerEnded { worker, outcome } => {
                self.worker_ended.execute(params![worker.0, at, outcome])?;
            }
            Write::TrialStarted {
                trial,
                phase,
                worker,
                log,
            } => {
                let id = match self.row(*trial)? {
                    Some(id) => {
                        self.set_phase.execute(params![id, phase.name()])?;
                        self.set_running.execute([id])?;
                        self.drop_history.execute([id])?;
                        self.drop_notes.execute([id])?;
                        id
                    }
                    None => self.make_row(*trial, *phase, "running")?,
                };
                self.new_attempt.execute(params![
                    id,
                    worker.0,
                    at,
                    &*log.file,
                    log.offset as i64
                ])?;
                self.rows
                    .insert(*trial, (id, self.connection.last_insert_rowid()));
            }
            Write::Epoch {
                trial,
                position,
                values,
            } => {
                if let Some(id) = self.row(*trial)? {
                    let row = params![
                        id,
                        position.unit.name(),
                        position.number(),
                        json(&values.numbers)
                    ];
                    if self.new_epoch.execute(row)? > 0 {
                        self.note(id, &values.notes)?;
                    }
                    self.note_names(Kind::History, &values.numbers)?;
                }
            }
            Write::TrialDone {
                trial,
                metrics,
                shared,
                log_end,
                duration,
            } => {
                if let Some(id) = self.row(*trial)?
                    && self.set_done.execute(params![id, json(&metrics.numbers)])? == 1
                {
                    self.end_attempt(*trial, at, "done", None, *log_end, Some(*duration))?;
                    self.note(id, &metrics.notes)?;
                    self.share(id, shared)?;
                    self.note_names(Kind::Metric, &metrics.numbers)?;
                }
                self.rows.remove(trial);
            }
            Write::TrialFailed {
                trial,
                phase,
                kind,
                message,
                for_good,
                log_end,
                duration,
            } => {
                let id = match self.row(*trial)? {
                    Some(id) => {
                        // A seed that moved from one phase to the other in a changed spec takes its
                        // new part.
                        self.set_phase.execute(params![id, phase.name()])?;
                        id
                    }
                    None => self.make_row(*trial, *phase, "waiting")?,
                };
                let state = if *for_good { "failed" } else { "waiting" };
                if self.set_failed.execute(params![id, state])? == 1
                    && !self.end_attempt(
                        *trial,
                        at,
                        "failed",
                        Some((Some(*kind), message)),
                        *log_end,
                        Some(*duration),
                    )?
                {
                    // The worker died before it said that it had begun: the attempt has no
                    // beginning of its own.
                    self.failed_attempt
                        .execute(params![id, at, kind.name(), message])?;
                }
                self.rows.remove(trial);
            }
            Write::Edited {
                session,
                fingerprint,
            } => {
                let version = versions::put(self.connection, fingerprint, at)?;
                self.connection.execute(
                    "UPDATE session SET fingerprint = ?2 WHERE id = ?1",
                    params![session, version],
                )?;
            }
            Write::SessionEnded { session, outcome } => {
                self.session_ended.execute(params![session, at, outcome])?;
            }
            Write::TrialInterrupted {
                trial,
                message,
                log_end,
            } => {
                if let Some(id) = self.row(*trial)?
                    && self.set_waiting.execute([id])? == 1
                {
                    self.end_attempt(
                        *trial,
                        at,
                        "interrupted",
                        Some((None, message)),
                        *log_end,
                        None,
                    )?;
                }
                self.rows.remove(trial);
            }
        }
        Ok(())
    }

    /// Notes names that a trial reports, so that they get a column in the views.
    fn note_names(&mut self, kind: Kind, metrics: &Metrics) -> rusqlite::Result<()> {
        let known = if kind == Kind::History {
            &mut self.history_names
        } else {
            &mut self.metric_names
        };
        for name in metrics.0.keys() {
            if known.contains(name) || known.len() >= views::MAX_COLUMNS {
                continue;
            }
            known.insert(name.clone());
            views::put_name(self.connection, kind, name)?;
            self.has_new_names = true;
        }
        Ok(())
    }

    /// What a trial's result took from others.
    fn share(&mut self, id: i64, shared: &Shared) -> rusqlite::Result<()> {
        if *shared != Shared::default() {
            let (point, seed) = shared
                .same_as
                .map(|id| (id.point.to_string(), id.seed as i64))
                .unzip();
            self.set_shared
                .execute(params![id, shared.epochs, point, seed])?;
        }
        Ok(())
    }

    /// Keeps what a trial reported that is no number.
    fn note(&mut self, id: i64, notes: &Notes) -> rusqlite::Result<()> {
        for (name, value) in notes.iter() {
            if self
                .new_note
                .execute(params![id, name, value.to_string()])?
                == 0
            {
                let more = format!(
                    "\"more than {MAX_NOTES} notes were reported; the others are not kept\""
                );
                self.new_note.execute(params![id, MORE_NOTES, more])?;
            }
        }
        Ok(())
    }

    /// The row of a trial, if there is one.
    fn row(&mut self, trial: TrialId) -> rusqlite::Result<Option<i64>> {
        if let Some((id, _)) = self.rows.get(&trial) {
            return Ok(Some(*id));
        }
        self.find_trial
            .query_row(params![trial.point.to_string(), trial.seed as i64], |row| {
                row.get(0)
            })
            .optional()
    }

    fn make_row(&mut self, trial: TrialId, phase: Phase, state: &str) -> rusqlite::Result<i64> {
        self.new_trial.execute(params![
            trial.point.to_string(),
            trial.seed as i64,
            phase.name(),
            state
        ])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Ends the running attempt at a trial. Says whether there was one: attempts of earlier
    /// sessions were put right when this one began.
    fn end_attempt(
        &mut self,
        trial: TrialId,
        at: &str,
        outcome: &str,
        why: Option<(Option<FailureKind>, &str)>,
        log_end: u64,
        duration: Option<f64>,
    ) -> rusqlite::Result<bool> {
        let Some((_, attempt)) = self.rows.get(&trial) else {
            return Ok(false);
        };
        let (kind, message) = why.unzip();
        let kind = kind.flatten().map(FailureKind::name);
        Ok(self.end_attempt.execute(params![
            attempt,
            at,
            outcome,
            kind,
            message,
            log_end as i64,
            duration
        ])? > 0)
    }
}

/// Metrics as the ledger keeps them.
fn json(metrics: &Metrics) -> String {
    serde_json::to_string(metrics).expect("metrics are a map from text to numbers")
}
