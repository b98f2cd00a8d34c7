//! Reads attempts: those at one trial, the last ones, failures and durations.

use std::collections::HashMap;

use rusqlite::{Row, params};

use super::super::error::LedgerError;
use super::super::rows::{AttemptRow, LastAttempt};
use super::{Reader, metrics, trial_id};
use crate::grid::TrialId;
use crate::protocol::FailureKind;

impl Reader {
    /// The attempts at a trial, in order.
    pub fn attempts(&self, id: TrialId) -> Result<Vec<AttemptRow>, LedgerError> {
        let version = if self.has_column("session", "fingerprint")? {
            "s.fingerprint, a.metrics"
        } else {
            "NULL, NULL"
        };
        self.rows(
            &format!(
                "SELECT a.started_at, a.ended_at, a.outcome, a.kind, a.message, a.log, a.log_start,
                 a.log_end, a.duration,
                        w.device_name, w.program || ' ' || w.version, {version}
                 FROM attempt a JOIN trial t ON t.id = a.trial LEFT JOIN worker w ON w.id = a.worker
                 LEFT JOIN session s ON s.id = w.session
                 WHERE t.point = ? AND t.seed = ? ORDER BY a.id"
            ),
            params![id.point.to_string(), id.seed as i64],
            attempt_row,
        )
    }

    /// The last attempt at every trial that was ever started.
    pub fn last_attempts(&self) -> Result<HashMap<TrialId, LastAttempt>, LedgerError> {
        let rows = self.rows(
            "SELECT t.point, t.seed, a.started_at, a.ended_at, a.duration, a.kind, a.message
             FROM attempt a JOIN trial t ON t.id = a.trial ORDER BY a.id",
            [],
            |row| {
                let last = LastAttempt {
                    started_at: row.get(2)?,
                    ended_at: row.get(3)?,
                    duration: row.get(4)?,
                    kind: row
                        .get::<_, Option<String>>(5)?
                        .as_deref()
                        .and_then(FailureKind::from_name),
                    message: row.get(6)?,
                };
                Ok((trial_id(row)?, last))
            },
        )?;

        // If a trial has several, the last one stays.
        Ok(rows.into_iter().collect())
    }

    /// Kind and message of the last failed attempt, for each trial that failed and is not tried
    /// again.
    pub fn failures(&self) -> Result<HashMap<TrialId, (FailureKind, String)>, LedgerError> {
        let rows = self.rows(
            "SELECT t.point, t.seed, a.kind, a.message FROM trial t
             JOIN attempt a ON a.trial = t.id
             WHERE t.state = 'failed' AND a.outcome = 'failed' ORDER BY a.id",
            [],
            |row| {
                let kind = FailureKind::from_name(row.get_ref(2)?.as_str()?);
                let message: Option<String> = row.get(3)?;
                let failure = (
                    kind.unwrap_or(FailureKind::Error),
                    message.unwrap_or_default(),
                );
                Ok((trial_id(row)?, failure))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// By arm name: the number of attempts that succeeded, and the seconds of their workers' time
    /// that they took. Trials of a pack run together: they count only the time that passed.
    pub fn durations(&self) -> Result<HashMap<String, (u64, f64)>, LedgerError> {
        // Each trial of a pack has the duration of the whole pack.
        let packed = self.pack_shares()?;

        // Grouping by workers is needed only if there are packs.
        let worker = if packed.is_empty() {
            "NULL"
        } else {
            "a.worker"
        };
        let rows = self.rows(
            &format!(
                "SELECT p.arm, {worker}, count(*), sum(a.duration)
                 FROM attempt a JOIN trial t ON t.id = a.trial JOIN arm_point p USING (point)
                 WHERE a.outcome = 'done' AND a.duration IS NOT NULL GROUP BY 1, 2"
            ),
            [],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Option<i64>>(1)?,
                    row.get::<_, i64>(2)? as u64,
                    row.get::<_, f64>(3)?,
                ))
            },
        )?;

        let mut found: HashMap<String, (u64, f64)> = HashMap::new();
        for (arm, worker, count, seconds) in rows {
            let share = worker
                .and_then(|worker| packed.get(&worker))
                .copied()
                .unwrap_or(1.0);
            let of_arm = found.entry(arm).or_default();
            of_arm.0 += count;
            of_arm.1 += share * seconds;
        }
        Ok(found)
    }

    /// By worker that ran a pack: the part of its attempts' durations that passed as time. Attempts
    /// of a worker that overlap are those of a pack.
    fn pack_shares(&self) -> Result<HashMap<i64, f64>, LedgerError> {
        let rows = self.rows(
            "SELECT worker, passed / sum FROM (
                    SELECT worker, sum(duration) AS sum,
                    (julianday(max(ended_at)) - julianday(min(started_at))) * 86400 AS passed
                    FROM attempt WHERE outcome = 'done' AND duration IS NOT NULL
                    AND worker IS NOT NULL
                    GROUP BY worker HAVING count(*) > 1
                 ) WHERE sum > 1.05 * passed + 0.1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// The longest finished attempt in seconds, by arm name.
    pub fn longest_durations(&self) -> Result<HashMap<String, f64>, LedgerError> {
        let rows = self.rows(
            "SELECT p.arm, max(a.duration) FROM attempt a JOIN trial t ON t.id = a.trial
             JOIN arm_point p USING (point)
             WHERE a.outcome = 'done' AND a.duration IS NOT NULL GROUP BY p.arm",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }
}

fn attempt_row(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    let kind: Option<String> = row.get(3)?;
    let log: Option<String> = row.get(5)?;
    let log_start: Option<i64> = row.get(6)?;
    let log_end: Option<i64> = row.get(7)?;
    let metrics = row
        .get_ref(12)?
        .as_str_or_null()?
        .map(|text| metrics(12, text))
        .transpose()?;

    Ok(AttemptRow {
        started_at: row.get(0)?,
        ended_at: row.get(1)?,
        outcome: row.get(2)?,
        kind: kind.as_deref().and_then(FailureKind::from_name),
        message: row.get(4)?,
        log: log.map(|file| {
            (
                file,
                log_start.unwrap_or(0) as u64,
                log_end.map(|end| end as u64),
            )
        }),
        duration: row.get(8)?,
        device: row.get(9)?,
        program: row.get(10)?,
        version: row.get(11)?,
        metrics,
    })
}
