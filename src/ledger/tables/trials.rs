//! Commands about trials.

use rusqlite::{OptionalExtension, params};

use super::super::views::Kind;
use super::super::write::{Stamped, Write};
use super::{Tables, UnfinishedRows};
use crate::grid::TrialId;
use crate::plan::{Phase, Shared};
use crate::protocol::{FailureKind, MAX_NOTES, MORE_NOTES, Metrics, Notes, Position, Reported};

/// How an attempt ended.
struct AttemptEnd<'a> {
    at: &'a str,
    outcome: &'static str,
    kind: Option<FailureKind>,
    message: Option<&'a str>,
    log_end: u64,
    duration: Option<f64>,
}

impl Tables<'_> {
    /// Begins an attempt at a trial. What an earlier attempt reported is dropped.
    pub(super) fn start_trial(&mut self, command: &Stamped) -> rusqlite::Result<()> {
        let Write::TrialStarted {
            trial,
            phase,
            worker,
            log,
        } = &command.write
        else {
            return self.apply(command);
        };

        let id = match self.row_in_phase(*trial, *phase)? {
            Some(id) => {
                self.statements.set_running.execute([id])?;
                self.statements.drop_history.execute([id])?;
                self.statements.drop_notes.execute([id])?;
                id
            }
            None => self.insert_trial(*trial, *phase, "running")?,
        };

        self.statements.new_attempt.execute(params![
            id,
            worker.0,
            &*command.at,
            &*log.file,
            log.offset as i64
        ])?;
        let rows = UnfinishedRows {
            trial: id,
            attempt: self.connection.last_insert_rowid(),
        };
        self.unfinished.insert(*trial, rows);
        Ok(())
    }

    /// Inserts a trial that started and was done within this transaction, and its attempt.
    pub(super) fn finish_trial(
        &mut self,
        started: &Stamped,
        done: &Stamped,
    ) -> rusqlite::Result<()> {
        let Write::TrialStarted {
            trial,
            phase,
            worker,
            log,
        } = &started.write
        else {
            return self.apply_both(started, done);
        };

        let Write::TrialDone {
            metrics,
            shared,
            log_end,
            duration,
            ..
        } = &done.write
        else {
            return self.apply_both(started, done);
        };

        let inserted = self.statements.whole_trial.execute(params![
            trial.point.to_string(),
            trial.seed as i64,
            phase.name(),
            json(&metrics.numbers)
        ])?;
        if inserted == 0 {
            // There was an attempt at it before.
            return self.apply_both(started, done);
        }

        // Must be read before anything else is inserted.
        let id = self.connection.last_insert_rowid();
        self.add_names(Kind::Metric, &metrics.numbers)?;
        self.statements.whole_attempt.execute(params![
            id,
            worker.0,
            &*started.at,
            &*done.at,
            &*log.file,
            log.offset as i64,
            *log_end as i64,
            duration
        ])?;

        self.add_notes(id, &metrics.notes)?;
        self.set_shared(id, shared)
    }

    fn apply_both(&mut self, started: &Stamped, done: &Stamped) -> rusqlite::Result<()> {
        self.apply(started)?;
        self.apply(done)
    }

    /// Adds a row to the history of a trial.
    pub(super) fn add_epoch(
        &mut self,
        trial: TrialId,
        position: Position,
        values: &Reported,
    ) -> rusqlite::Result<()> {
        let Some(id) = self.row(trial)? else {
            return Ok(());
        };

        let row = params![
            id,
            position.unit.name(),
            position.number(),
            json(&values.numbers)
        ];
        if self.statements.new_epoch.execute(row)? > 0 {
            self.add_notes(id, &values.notes)?;
        }
        self.add_names(Kind::History, &values.numbers)
    }

    /// Records the result of a trial.
    pub(super) fn end_trial(&mut self, command: &Stamped) -> rusqlite::Result<()> {
        let Write::TrialDone {
            trial,
            metrics,
            shared,
            log_end,
            duration,
        } = &command.write
        else {
            return self.apply(command);
        };

        if let Some(id) = self.row(*trial)?
            && self
                .statements
                .set_done
                .execute(params![id, json(&metrics.numbers)])?
                == 1
        {
            let end = AttemptEnd {
                at: &command.at,
                outcome: "done",
                kind: None,
                message: None,
                log_end: *log_end,
                duration: Some(*duration),
            };
            self.end_attempt(*trial, &end)?;
            self.add_notes(id, &metrics.notes)?;
            self.set_shared(id, shared)?;
            self.add_names(Kind::Metric, &metrics.numbers)?;
        }

        self.unfinished.remove(trial);
        Ok(())
    }

    /// Records the failure of an attempt at a trial.
    pub(super) fn fail_trial(&mut self, command: &Stamped) -> rusqlite::Result<()> {
        let Write::TrialFailed {
            trial,
            phase,
            kind,
            message,
            permanent,
            log_end,
            duration,
        } = &command.write
        else {
            return self.apply(command);
        };

        let id = match self.row_in_phase(*trial, *phase)? {
            Some(id) => id,
            None => self.insert_trial(*trial, *phase, "waiting")?,
        };

        let state = if *permanent { "failed" } else { "waiting" };
        if self.statements.set_failed.execute(params![id, state])? == 1 {
            let end = AttemptEnd {
                at: &command.at,
                outcome: "failed",
                kind: Some(*kind),
                message: Some(message),
                log_end: *log_end,
                duration: Some(*duration),
            };
            if !self.end_attempt(*trial, &end)? {
                // The worker died before it said that the trial had started.
                self.statements.failed_attempt.execute(params![
                    id,
                    &*command.at,
                    kind.name(),
                    message
                ])?;
            }
        }

        self.unfinished.remove(trial);
        Ok(())
    }

    /// Records that an attempt was cut off.
    pub(super) fn interrupt_trial(
        &mut self,
        trial: TrialId,
        at: &str,
        message: &str,
        log_end: u64,
    ) -> rusqlite::Result<()> {
        if let Some(id) = self.row(trial)?
            && self.statements.set_waiting.execute([id])? == 1
        {
            let end = AttemptEnd {
                at,
                outcome: "interrupted",
                kind: None,
                message: Some(message),
                log_end,
                duration: None,
            };
            self.end_attempt(trial, &end)?;
        }

        self.unfinished.remove(&trial);
        Ok(())
    }

    /// Ends the running attempt at a trial. Returns whether there was one: attempts of earlier
    /// sessions were ended when this one began.
    fn end_attempt(&mut self, trial: TrialId, end: &AttemptEnd<'_>) -> rusqlite::Result<bool> {
        let Some(rows) = self.unfinished.get(&trial) else {
            return Ok(false);
        };

        let changed = self.statements.end_attempt.execute(params![
            rows.attempt,
            end.at,
            end.outcome,
            end.kind.map(FailureKind::name),
            end.message,
            end.log_end as i64,
            end.duration
        ])?;
        Ok(changed > 0)
    }

    /// Records what a trial's result took from others.
    fn set_shared(&mut self, id: i64, shared: &Shared) -> rusqlite::Result<()> {
        if *shared == Shared::default() {
            return Ok(());
        }
        let (point, seed) = shared
            .same_as
            .map(|id| (id.point.to_string(), id.seed as i64))
            .unzip();
        self.statements
            .set_shared
            .execute(params![id, shared.epochs, point, seed])?;
        Ok(())
    }

    /// Stores what a trial reported that is not a number.
    fn add_notes(&mut self, id: i64, notes: &Notes) -> rusqlite::Result<()> {
        for (name, value) in notes.iter() {
            let note = params![id, name, value.to_string()];
            if self.statements.new_note.execute(note)? == 0 {
                let more = format!(
                    "\"more than {MAX_NOTES} notes were reported; the others are not kept\""
                );
                self.statements
                    .new_note
                    .execute(params![id, MORE_NOTES, more])?;
            }
        }
        Ok(())
    }

    /// Returns the row of a trial, if there is one.
    fn row(&mut self, trial: TrialId) -> rusqlite::Result<Option<i64>> {
        if let Some(rows) = self.unfinished.get(&trial) {
            return Ok(Some(rows.trial));
        }
        self.statements
            .find_trial
            .query_row(params![trial.point.to_string(), trial.seed as i64], |row| {
                row.get(0)
            })
            .optional()
    }

    /// Returns the row of a trial, if there is one, and sets its phase: in a changed sweep file a
    /// seed may have moved to the other one.
    fn row_in_phase(&mut self, trial: TrialId, phase: Phase) -> rusqlite::Result<Option<i64>> {
        let Some(id) = self.row(trial)? else {
            return Ok(None);
        };
        self.statements
            .set_phase
            .execute(params![id, phase.name()])?;
        Ok(Some(id))
    }

    /// Inserts the row of a trial.
    fn insert_trial(&mut self, trial: TrialId, phase: Phase, state: &str) -> rusqlite::Result<i64> {
        self.statements.new_trial.execute(params![
            trial.point.to_string(),
            trial.seed as i64,
            phase.name(),
            state
        ])?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// Metrics as the ledger stores them.
fn json(metrics: &Metrics) -> String {
    serde_json::to_string(metrics).expect("metrics are a map from text to numbers")
}
