//! Reads sessions and workers.

use super::super::error::LedgerError;
use super::super::rows::{SessionRow, WorkerRow};
use super::Reader;

impl Reader {
    /// The sessions, in order.
    pub fn sessions(&self) -> Result<Vec<SessionRow>, LedgerError> {
        self.rows(
            "SELECT started_at, ended_at, outcome, host, command, version, git_commit, git_dirty,
             devices FROM session ORDER BY id",
            [],
            |row| {
                let commit: Option<String> = row.get(6)?;
                let dirty: Option<bool> = row.get(7)?;
                Ok(SessionRow {
                    started_at: row.get(0)?,
                    ended_at: row.get(1)?,
                    outcome: row.get(2)?,
                    host: row.get(3)?,
                    command: row.get(4)?,
                    version: row.get(5)?,
                    git: commit.map(|commit| (commit, dirty.unwrap_or(false))),
                    devices: row.get(8)?,
                })
            },
        )
    }

    /// What workers wait for in a queue, and how many workers wait for it. Empty for a ledger of an
    /// earlier version.
    pub fn waiting(&self) -> Result<Vec<(String, u64)>, LedgerError> {
        if !self.has_column("worker", "waits")? {
            return Ok(Vec::new());
        }
        self.rows(
            "SELECT waits, count(*) FROM worker WHERE ended_at IS NULL AND waits IS NOT NULL
             GROUP BY waits ORDER BY 2 DESC, 1",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)),
        )
    }

    /// The kinds of worker that finished trials, with the number of their trials.
    pub fn workers(&self) -> Result<Vec<WorkerRow>, LedgerError> {
        let host = if self.has_column("worker", "host")? {
            "coalesce(w.host, s.host)"
        } else {
            "s.host"
        };
        self.rows(
            &format!(
                "SELECT coalesce(w.program, ''), coalesce(w.version, ''),
                        coalesce(w.device_name, w.device), coalesce(w.libraries, ''),
                        coalesce(w.threads, 0), {host}, count(*)
                 FROM attempt a JOIN worker w ON w.id = a.worker JOIN session s ON s.id = w.session
                 WHERE a.outcome = 'done' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
            ),
            [],
            |row| {
                Ok(WorkerRow {
                    program: row.get(0)?,
                    version: row.get(1)?,
                    device: row.get(2)?,
                    libraries: row.get(3)?,
                    threads: row.get(4)?,
                    host: row.get(5)?,
                    trials: row.get::<_, i64>(6)? as u64,
                })
            },
        )
    }
}
