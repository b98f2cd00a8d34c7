//! What a killed coordinator left in the ledger: trials that are marked as running, and workers
//! whose end was not recorded.

use rusqlite::{Connection, Row};

use super::identity::Identity;
use super::session::SessionInfo;

/// A worker whose end was not recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftWorker {
    /// Its number.
    pub number: i64,
    /// Its process, or its launcher's, if that belongs to this boot of this host: id, and start in
    /// clock ticks.
    pub process: Option<(u32, u64)>,
    /// The other host that it was started on, and its process id there, if it was not this one.
    pub elsewhere: Option<(String, u32)>,
    /// The launcher that started it; None: it is a process of its host.
    pub launcher: Option<String>,
    /// Slurm's number of its job, or of job and step.
    pub job: Option<String>,
}

/// What `interrupt_running` found.
pub(super) struct Recovered {
    /// How many trials were running.
    pub cut_off: usize,
    /// Workers that may still be there.
    pub left_workers: Vec<LeftWorker>,
}

/// Marks the attempts that were running when the last coordinator was killed as interrupted.
///
/// The workers that it left stay as they are until they have been ended: if this coordinator is
/// killed before that, the next one still knows of them.
pub(super) fn interrupt_running(
    connection: &Connection,
    session: &SessionInfo,
    identity: &Identity,
) -> rusqlite::Result<Recovered> {
    let at = &session.holder.since;
    let is_copy = identity.copied_from.is_some();
    let reason = if is_copy {
        "the run directory was copied while it ran"
    } else {
        "the coordinator was killed"
    };
    connection.execute(
        "UPDATE attempt SET outcome = 'interrupted', ended_at = ?, message = ?
         WHERE outcome = 'running'",
        [at, reason],
    )?;
    let cut_off = connection.execute(
        "UPDATE trial SET state = 'waiting' WHERE state = 'running'",
        [],
    )?;

    // The workers of the directory that this is a copy of are not this sweep's to end.
    if is_copy {
        connection.execute(
            "UPDATE worker SET ended_at = ?, outcome = 'of the run directory that this is a copy of'
             WHERE ended_at IS NULL",
            [at],
        )?;
    }

    // Nothing waits in a queue for a coordinator that has ended.
    connection.execute(
        "UPDATE worker SET waits = NULL WHERE ended_at IS NULL AND waits IS NOT NULL",
        [],
    )?;

    Ok(Recovered {
        cut_off,
        left_workers: left_workers(connection, session)?,
    })
}

/// Lists the workers whose end was not recorded.
fn left_workers(
    connection: &Connection,
    session: &SessionInfo,
) -> rusqlite::Result<Vec<LeftWorker>> {
    connection
        .prepare(
            "SELECT w.id, w.pid, w.start_ticks, s.boot_id = ? AND s.host = ?
             AND w.start_ticks > 0, s.host, w.launcher, w.job
             FROM worker w JOIN session s ON s.id = w.session WHERE w.ended_at IS NULL",
        )?
        .query_map([&session.boot_id, &session.holder.host], |row| {
            left_worker(row, &session.holder.host)
        })?
        .collect()
}

fn left_worker(row: &Row<'_>, this_host: &str) -> rusqlite::Result<LeftWorker> {
    let pid: u32 = row.get(1)?;
    let start_ticks: i64 = row.get(2)?;
    let is_of_this_boot: bool = row.get(3)?;
    let host: String = row.get(4)?;
    Ok(LeftWorker {
        number: row.get(0)?,
        process: is_of_this_boot.then_some((pid, start_ticks as u64)),
        // Nothing is left of an earlier boot of this host.
        elsewhere: (host != this_host).then_some((host, pid)),
        launcher: row.get(5)?,
        job: row.get(6)?,
    })
}
