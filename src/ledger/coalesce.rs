//! Finds what a transaction can write once and complete, instead of changing it again and again: a
//! worker that was started and ended, a trial that began and was done, within one group of
//! commands. Pure; `tables` writes.

use std::collections::HashMap;

use super::write::{Stamped, WorkerId, Write};
use crate::grid::TrialId;

/// What becomes of a command of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is put into the tables by itself.
    Alone,
    /// Another one says it too.
    Said,
    /// The start of a worker, with its introduction and its end, by their places among the
    /// commands.
    Worker {
        /// What it said of itself.
        hello: Option<usize>,
        /// How it ended.
        ended: Option<usize>,
    },
    /// The result of a trial, with its beginning.
    Trial {
        /// Where its beginning stands.
        started: usize,
    },
}

/// What becomes of each command. A command is only ever said by a later one of the same trial with
/// nothing of that trial between them, or by an earlier one of the same worker, whose row nobody
/// reads before the transaction ends.
pub(super) fn fates(commands: &[Stamped]) -> Vec<Fate> {
    let mut fates = vec![Fate::Alone; commands.len()];
    let mut workers: HashMap<WorkerId, usize> = HashMap::new();
    let mut begun: HashMap<TrialId, usize> = HashMap::new();
    for (place, command) in commands.iter().enumerate() {
        match &command.write {
            Write::WorkerStarted { worker, .. } => {
                fates[place] = Fate::Worker {
                    hello: None,
                    ended: None,
                };
                workers.insert(*worker, place);
            }
            Write::WorkerHello { worker, .. } => {
                if let Some(Fate::Worker {
                    hello: hello @ None,
                    ..
                }) = workers.get(worker).map(|&start| &mut fates[start])
                {
                    *hello = Some(place);
                    fates[place] = Fate::Said;
                }
            }
            Write::WorkerEnded { worker, .. } => {
                if let Some(Fate::Worker {
                    ended: ended @ None,
                    ..
                }) = workers.get(worker).map(|&start| &mut fates[start])
                {
                    *ended = Some(place);
                    fates[place] = Fate::Said;
                }
            }
            Write::TrialStarted { trial, .. } => {
                begun.insert(*trial, place);
            }
            Write::TrialDone { trial, shared, .. } => {
                // The row that it names must be there by then.
                if let Some(other) = shared.same_as {
                    begun.remove(&other);
                }
                if let Some(started) = begun.remove(trial) {
                    fates[started] = Fate::Said;
                    fates[place] = Fate::Trial { started };
                }
            }
            Write::Epoch { trial, .. }
            | Write::TrialFailed { trial, .. }
            | Write::TrialInterrupted { trial, .. } => {
                begun.remove(trial);
            }
            Write::WorkerPlaced { .. } | Write::Edited { .. } | Write::SessionEnded { .. } => {}
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::super::schema::{FILE_NAME, open_writable};
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

    /// What a dispatcher might say; workers get their numbers from 1, `who` counts back from the
    /// last.
    fn commands(kinds: &[(u8, usize, usize)]) -> Vec<Stamped> {
        let mut workers = 0;
        let said = |(moment, &(kind, who, which)): (usize, &(u8, usize, usize))| {
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
                    let launcher = (kind == 1).then_some("slurm");
                    let (worker, device) = (WorkerId(workers), format!("cpu:{which}"));
                    Write::WorkerStarted {
                        worker,
                        session: 1,
                        slot: which,
                        device,
                        pid: 7,
                        start_ticks: 5,
                        launcher,
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
                    for_good: who == 1,
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
            Stamped {
                at: format!("{moment:03}").into(),
                write,
            }
        };
        kinds.iter().enumerate().map(said).collect()
    }

    /// All that a ledger holds after these groups of commands, rows by their contents: their
    /// numbers may differ.
    fn tables(groups: &[&[Stamped]]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let connection = open_writable(&dir.path().join(FILE_NAME), None).unwrap();
        connection
            .execute_batch(
                "INSERT INTO session (id, started_at, host, pid, boot_id, command, version, devices) VALUES (1, '', '', 1, '', '', '', '')",
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
            "SELECT t.point, a.worker, a.started_at, a.ended_at, a.outcome, a.kind, a.message, a.log, a.log_start, a.log_end, a.duration
             FROM attempt a JOIN trial t ON t.id = a.trial ORDER BY 1, a.id",
        ));
        found.extend(rows(
            &connection,
            "SELECT t.point, e.unit, e.position, e.metrics FROM epoch e JOIN trial t ON t.id = e.trial ORDER BY 1, 2, 3",
        ));
        found.extend(rows(
            &connection,
            "SELECT t.point, n.name, n.value FROM note n JOIN trial t ON t.id = n.trial ORDER BY 1, 2",
        ));
        found
    }

    fn rows(connection: &Connection, query: &str) -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            Ok(format!(
                "{:?}",
                (0..columns)
                    .map(|column| row.get_ref(column))
                    .collect::<Vec<_>>()
            ))
        };
        statement
            .query_map([], text)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn a_trial_of_a_program_is_two_rows() {
        let said = commands(&[(0, 0, 0), (2, 0, 0), (8, 0, 0), (3, 0, 0), (11, 0, 0)]);
        let worker = Fate::Worker {
            hello: Some(1),
            ended: Some(3),
        };
        assert_eq!(
            fates(&said),
            [
                worker,
                Fate::Said,
                Fate::Said,
                Fate::Said,
                Fate::Trial { started: 2 }
            ]
        );
    }

    #[test]
    fn with_a_row_of_history_between_them_beginning_and_end_are_written_by_themselves() {
        let said = commands(&[(0, 0, 0), (8, 0, 0), (5, 0, 0), (11, 0, 0)]);
        assert_eq!(fates(&said)[1..], [Fate::Alone; 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn the_ledger_is_the_same_however_commands_are_grouped(
            kinds in proptest::collection::vec((0..14_u8, 0..2_usize, 0..3_usize), 0..40),
            size in 1..40_usize,
        ) {
            let said = commands(&kinds);
            let each: Vec<_> = said.chunks(1).collect();
            let grouped: Vec<_> = said.chunks(size).collect();
            prop_assert_eq!(tables(&each), tables(&grouped));
        }
    }
}
