//! Finds what a transaction can write at once, instead of changing it again and again: a worker
//! that was started and ended, or a trial that started and was done, within one group of commands.
//! Pure; `tables` writes.

use std::collections::HashMap;

use super::write::{Stamped, WorkerId, Write};
use crate::grid::TrialId;

/// What to do with a command of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Put it into the tables by itself.
    Alone,
    /// Subsumed by another command: nothing is left to do.
    Subsumed,
    /// The start of a worker, to be written with its introduction and its end. The fields are
    /// indices of commands.
    Worker {
        /// The worker's introduction.
        hello: Option<usize>,
        /// The worker's end.
        ended: Option<usize>,
    },
    /// The result of a trial, to be written with its start.
    Trial {
        /// Index of the command that says that it started.
        started: usize,
    },
}

/// Returns what to do with each command.
///
/// The start of a trial is subsumed only by the trial's result, and only if no command of the same
/// trial stands between them. What a worker said and how it ended is subsumed by its start: no
/// reader sees the worker's row before the transaction ends.
pub(super) fn coalesce(commands: &[Stamped]) -> Vec<Disposition> {
    let mut dispositions = vec![Disposition::Alone; commands.len()];
    let mut workers: HashMap<WorkerId, usize> = HashMap::new();
    let mut started_trials: HashMap<TrialId, usize> = HashMap::new();

    for (index, command) in commands.iter().enumerate() {
        match &command.write {
            Write::WorkerStarted { worker, .. } => {
                dispositions[index] = Disposition::Worker {
                    hello: None,
                    ended: None,
                };
                workers.insert(*worker, index);
            }
            Write::WorkerHello { worker, .. } => {
                if let Some(&start) = workers.get(worker)
                    && let Disposition::Worker { hello, .. } = &mut dispositions[start]
                    && hello.is_none()
                {
                    *hello = Some(index);
                    dispositions[index] = Disposition::Subsumed;
                }
            }
            Write::WorkerEnded { worker, .. } => {
                if let Some(&start) = workers.get(worker)
                    && let Disposition::Worker { ended, .. } = &mut dispositions[start]
                    && ended.is_none()
                {
                    *ended = Some(index);
                    dispositions[index] = Disposition::Subsumed;
                }
            }
            Write::TrialStarted { trial, .. } => {
                started_trials.insert(*trial, index);
            }
            Write::TrialDone { trial, shared, .. } => {
                // The row of the trial whose result it shares must have been written before it.
                if let Some(other) = shared.same_as {
                    started_trials.remove(&other);
                }
                if let Some(started) = started_trials.remove(trial) {
                    dispositions[started] = Disposition::Subsumed;
                    dispositions[index] = Disposition::Trial { started };
                }
            }
            Write::Epoch { trial, .. }
            | Write::TrialFailed { trial, .. }
            | Write::TrialInterrupted { trial, .. } => {
                started_trials.remove(trial);
            }
            Write::WorkerPlaced { .. } | Write::Edited { .. } | Write::SessionEnded { .. } => {}
        }
    }
    dispositions
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::super::connection::open_writable;
    use super::super::schema::FILE_NAME;
    use super::super::tables::Tables;
    use super::super::write::LogMark;
    use super::*;
    use crate::grid::PointId;
    use crate::plan::{Phase, Shared};
    use crate::protocol::{FailureKind, Hello, Metrics, Position, Reading, Reported};

    const POINTS: [&str; 3] = ["k7m2p9x4qa", "z8dgxart7x", "5qa1nn2xq4"];

    fn trial(number: usize) -> TrialId {
        TrialId {
            point: PointId::from_str(POINTS[number]).unwrap(),
            seed: number as u64,
        }
    }

    /// Commands as a dispatcher might send them. Workers get their numbers from 1; `who` counts
    /// back from the last one.
    fn commands(kinds: &[(u8, usize, usize)]) -> Vec<Stamped> {
        let mut workers = 0;
        let mut commands = Vec::new();
        for (moment, &(kind, who, which)) in kinds.iter().enumerate() {
            let worker = WorkerId(workers - who as i64);
            let trial = trial(which);
            let mut metrics = Reported::from(Metrics::from_iter([(
                format!("score{who}"),
                moment as f64 / 3.0,
            )]));
            metrics.insert(
                format!("note{who}"),
                Reading::of(format!("at {moment}").into()),
            );
            let write = match kind {
                0 | 1 => {
                    workers += 1;
                    Write::WorkerStarted {
                        worker: WorkerId(workers),
                        session: 1,
                        slot: which,
                        device: format!("cpu:{which}"),
                        pid: 7,
                        start_ticks: 5,
                        launcher: (kind == 1).then_some("slurm"),
                    }
                }
                2 => {
                    let libraries = vec!["a 1".to_owned(), "b 2".to_owned()];
                    Write::WorkerHello {
                        worker,
                        hello: Hello {
                            program: format!("p{moment}"),
                            libraries,
                            ..Hello::default()
                        },
                    }
                }
                3 => Write::WorkerEnded {
                    worker,
                    outcome: format!("Code({moment})"),
                },
                4 => Write::WorkerPlaced {
                    worker,
                    host: Some(format!("node{moment}")),
                    job: None,
                    waits: None,
                },
                5 => Write::Epoch {
                    trial,
                    position: Position::epoch(which as u32),
                    values: metrics,
                },
                6 => Write::TrialFailed {
                    trial,
                    phase: Phase::Tune,
                    kind: FailureKind::Exit,
                    message: "no".to_owned(),
                    permanent: who == 1,
                    log_end: moment as u64,
                    duration: 1.0,
                },
                7 => Write::TrialInterrupted {
                    trial,
                    message: "stopped".to_owned(),
                    log_end: moment as u64,
                },
                8..=10 if workers - who as i64 > 0 => {
                    let phase = if who == 0 { Phase::Tune } else { Phase::Final };
                    Write::TrialStarted {
                        trial,
                        phase,
                        worker,
                        log: LogMark {
                            file: "log".into(),
                            offset: moment as u64,
                        },
                    }
                }
                _ => {
                    let shared = match which {
                        2 => Shared {
                            same_as: Some(self::trial(1)),
                            epochs: 3,
                        },
                        _ => Shared::default(),
                    };
                    Write::TrialDone {
                        trial,
                        metrics,
                        shared,
                        log_end: moment as u64,
                        duration: moment as f64,
                    }
                }
            };
            commands.push(Stamped {
                at: format!("{moment:03}").into(),
                write,
            });
        }
        commands
    }

    /// Everything that a ledger holds after these groups of commands. Rows are compared by their
    /// contents, since their numbers may differ.
    fn tables(groups: &[&[Stamped]]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let connection = open_writable(&dir.path().join(FILE_NAME), None).unwrap();
        connection
            .execute_batch(
                "INSERT INTO session (id, started_at, host, pid, boot_id, command, version, devices)
                 VALUES (1, '', '', 1, '', '', '', '')",
            )
            .unwrap();
        for point in POINTS {
            connection
                .execute("INSERT INTO point VALUES (?, '{}')", [point])
                .unwrap();
        }
        let mut writer = Tables::new(&connection).unwrap();
        for group in groups {
            writer.begin().unwrap();
            writer.apply_all(group).unwrap();
            writer.commit().unwrap();
        }
        drop(writer);
        let mut found = rows(&connection, "SELECT * FROM worker ORDER BY id");
        let of_trials =
            "t.point, t.seed, t.phase, t.state, t.failures, t.metrics, t.shared_epochs, s.point";
        found.extend(rows(
            &connection,
            &format!(
                "SELECT {of_trials} FROM trial t LEFT JOIN trial s ON s.id = t.same_as ORDER BY 1"
            ),
        ));
        found.extend(rows(
            &connection,
            "SELECT t.point, a.worker, a.started_at, a.ended_at, a.outcome, a.kind, a.message,
             a.log, a.log_start, a.log_end, a.duration
             FROM attempt a JOIN trial t ON t.id = a.trial ORDER BY 1, a.id",
        ));
        found.extend(rows(
            &connection,
            "SELECT t.point, e.unit, e.position, e.metrics FROM epoch e
             JOIN trial t ON t.id = e.trial ORDER BY 1, 2, 3",
        ));
        found.extend(rows(
            &connection,
            "SELECT t.point, n.name, n.value FROM note n JOIN trial t ON t.id = n.trial
             ORDER BY 1, 2",
        ));
        found
    }

    fn rows(connection: &Connection, query: &str) -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        statement
            .query_map([], |row| {
                let values: Vec<_> = (0..columns).map(|column| row.get_ref(column)).collect();
                Ok(format!("{values:?}"))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn a_trial_of_a_program_takes_two_rows() {
        let commands = commands(&[(0, 0, 0), (2, 0, 0), (8, 0, 0), (3, 0, 0), (11, 0, 0)]);
        let worker = Disposition::Worker {
            hello: Some(1),
            ended: Some(3),
        };
        assert_eq!(
            coalesce(&commands),
            [
                worker,
                Disposition::Subsumed,
                Disposition::Subsumed,
                Disposition::Subsumed,
                Disposition::Trial { started: 2 }
            ]
        );
    }

    #[test]
    fn start_and_result_are_separate_if_a_row_of_history_is_between_them() {
        let commands = commands(&[(0, 0, 0), (8, 0, 0), (5, 0, 0), (11, 0, 0)]);
        assert_eq!(coalesce(&commands)[1..], [Disposition::Alone; 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn grouping_commands_does_not_change_the_ledger(
            kinds in proptest::collection::vec((0..14_u8, 0..2_usize, 0..3_usize), 0..40),
            size in 1..40_usize,
        ) {
            let commands = commands(&kinds);
            let each: Vec<_> = commands.chunks(1).collect();
            let grouped: Vec<_> = commands.chunks(size).collect();
            prop_assert_eq!(tables(&each), tables(&grouped));
        }
    }
}
