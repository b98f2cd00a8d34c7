//! Safe racing in the reactor: by example, and under random results, crashes and orders against the
//! real selection.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::tests::{at, hello, reactor, short};
use super::*;
use crate::aggregate::evaluate;
use crate::grid::{Grid, TrialId};
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{Phase, tuning_trials};
use crate::protocol::Metrics;
use crate::spec::{Spec, read};

fn sweep(points: usize, seeds: usize) -> (Spec, Grid, Vec<PlannedTrial>) {
    let values: Vec<usize> = (0..points).collect();
    let text = format!(
        "name: t\nworker: [w]\nmetric: {{name: m, goal: maximize, best: 1}}\nprune: safe\nseeds: {{tune: {seeds}, final: 0}}\nparameters: {{x: {{values: {values:?}}}}}\n"
    );
    let spec = read(&text, "t.yaml").unwrap();
    let grid = Grid::new(&spec);
    let trials = tuning_trials(&grid, &spec.seeds.tune);
    (spec, grid, trials)
}

/// A reactor that has begun a race.
fn racing(
    slots: &[usize],
    points: usize,
    seeds: usize,
    best_first: bool,
) -> (Reactor, Vec<PlannedTrial>) {
    let (spec, grid, trials) = sweep(points, seeds);
    let mut r = reactor(slots, 1);
    r.race(Race::new(&spec, &grid).unwrap(), best_first);
    r.on_trials(at(0), trials.clone(), Policy::AllSlots);
    for slot in 0..slots.len() {
        r.on_message(at(0), slot, hello());
    }
    (r, trials)
}

/// A slot's worker runs the trial that it has; says what is then done.
fn result(r: &mut Reactor, slot: usize, value: f64) -> String {
    let trial = r.slots[slot].given[0].job.trial.id.to_string();
    r.on_message(
        at(1),
        slot,
        FromWorker::Started {
            trial: trial.clone(),
        },
    );
    let metrics = Metrics::from_iter([("m", value)]);
    short(&r.on_message(at(1), slot, FromWorker::done(trial, metrics)))
}

/// The seed and number of the trial that a slot's worker has.
fn has(r: &Reactor, slot: usize) -> Option<(u64, u64)> {
    r.slots[slot]
        .given
        .first()
        .map(|given| (given.job.trial.id.seed, given.job.trial.index.0))
}

#[test]
fn trials_of_points_that_are_out_are_held_back() {
    let (mut r, _) = racing(&[0], 3, 2, false);
    for (value, next) in [(0.9, (0, 1)), (0.1, (0, 2)), (0.2, (1, 0))] {
        result(&mut r, 0, value);
        assert_eq!(has(&r, 0), Some(next));
    }
    assert_eq!(
        result(&mut r, 0, 0.9),
        "record done 0",
        "0.1 and 1.0 do not make 0.9 in the mean, nor do 0.2 and 1.0"
    );
    assert_eq!((has(&r, 0), r.held.len()), (None, 2));
    assert_eq!(
        short(&r.on_committed(8)),
        "tell done 0, tell done 1, tell done 2, tell done 0, phase done"
    );
}

#[test]
fn on_resume_what_is_out_already_does_not_run() {
    let (spec, grid, trials) = sweep(2, 2);
    let mut race = Race::new(&spec, &grid).unwrap();
    for (trial, value) in [(0, 0.9), (1, 0.1), (2, 0.9)] {
        race.record(trials[trial].id, Some(value));
    }
    let mut r = reactor(&[0], 1);
    r.race(race, false);
    assert_eq!(
        short(&r.on_trials(at(0), vec![trials[3]], Policy::AllSlots)),
        "phase done"
    );
}

#[test]
fn a_result_beyond_the_bound_brings_back_what_was_held() {
    let (mut r, _) = racing(&[0, 1], 3, 2, false);
    result(&mut r, 0, 0.9);
    result(&mut r, 1, 0.9);
    result(&mut r, 0, 0.1);
    assert_eq!((has(&r, 0), has(&r, 1)), (Some((1, 1)), Some((1, 0))));
    result(&mut r, 1, 0.9);
    assert_eq!(
        (has(&r, 1), r.held.len()),
        (None, 1),
        "the third point is out"
    );
    let actions = {
        let trial = r.slots[0].given[0].job.trial.id.to_string();
        r.on_message(
            at(1),
            0,
            FromWorker::Started {
                trial: trial.clone(),
            },
        );
        r.on_message(
            at(1),
            0,
            FromWorker::done(trial, Metrics::from_iter([("m", 1.5)])),
        )
    };
    let off = |action: &Action| matches!(action, Action::Tell(Notice::RaceOff { back, .. }) if back.len() == 1);
    assert!(actions.iter().any(off), "{actions:?}");
    assert_eq!(has(&r, 0), Some((1, 2)));
}

#[test]
fn what_waits_for_another_attempt_does_not_hold_up_the_phase() {
    let (mut r, _) = racing(&[0], 2, 2, false);
    result(&mut r, 0, 0.9);
    result(&mut r, 0, 0.1);
    result(&mut r, 0, 0.2);
    // The second seed of point 1 fails, and will be tried again; but the point is out with the
    // result that follows.
    let (mut r, _) = racing(&[0, 1], 2, 2, false);
    result(&mut r, 0, 0.9);
    result(&mut r, 1, 0.1);
    assert_eq!((has(&r, 0), has(&r, 1)), (Some((1, 0)), Some((1, 1))));
    let trial = r.slots[1].given[0].job.trial.id.to_string();
    r.on_message(
        at(1),
        1,
        FromWorker::Started {
            trial: trial.clone(),
        },
    );
    r.on_message(
        at(1),
        1,
        FromWorker::Failed {
            trial,
            kind: FailureKind::Signal,
            message: String::new(),
        },
    );
    assert_eq!(r.waiting.len(), 1);
    result(&mut r, 0, 0.9);
    assert_eq!((r.waiting.len(), r.held.len()), (0, 1));
    assert!(short(&r.on_committed(20)).ends_with("phase done"));
}

#[test]
fn best_first_runs_every_point_once_and_then_goes_by_what_can_be_reached() {
    let (mut r, _) = racing(&[0], 4, 3, true);
    for (value, next) in [(0.2, (0, 1)), (0.8, (0, 2)), (0.7, (0, 3)), (0.1, (1, 1))] {
        result(&mut r, 0, value);
        assert_eq!(has(&r, 0), Some(next));
    }
    result(&mut r, 0, 0.6);
    assert_eq!(
        has(&r, 0),
        Some((1, 2)),
        "0.7 and two best ones are more than 0.8, 0.6 and a best one"
    );
    result(&mut r, 0, 0.1);
    assert_eq!(has(&r, 0), Some((2, 1)));
    assert!(
        result(&mut r, 0, 0.8).ends_with("send 0:0"),
        "(0.2 + 2) / 3 is as much as 0.73"
    );
    assert_eq!(
        r.held.len(),
        3,
        "the last seed of point 2, and two of point 3"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Workers that now and then fail or die; in the end the selection is that of a sweep without a
    /// race.
    #[test]
    fn whatever_happens_the_selection_is_that_of_the_full_grid(
        (points, seeds, slots, bundle) in (1_usize..7, 1_usize..5, 1_usize..4, 1_usize..4),
        best_first: bool,
        grouped in 0_u64..4,
        table in prop::collection::vec((0_usize..8, prop::bool::weighted(0.05)), 1..30),
        steps in prop::collection::vec((0_usize..4, 0_u8..20), 1..60),
    ) {
        let values = [1.0, 0.9, 0.5, 0.5, 0.2, 0.1, 0.0, f64::NAN];
        let (spec, grid, mut trials) = sweep(points, seeds);
        // Points with work in common.
        trials.iter_mut().for_each(|trial| trial.group = trial.index.0.checked_div(grouped).map(|group| group as u32));
        let truth: HashMap<TrialId, (f64, bool)> =
            trials.iter().zip(table.iter().cycle()).map(|(trial, (value, fails))| (trial.id, (values[*value], *fails))).collect();
        let mut r = reactor(&(0..slots).collect::<Vec<_>>(), bundle);
        r.race(Race::new(&spec, &grid).unwrap(), best_first);
        let (mut rows, mut alive, mut phase_done, mut now) = (HashMap::new(), vec![false; slots], false, 0);
        let mut obey = |actions: Vec<Action>, alive: &mut Vec<bool>, phase_done: &mut bool| {
            let mut unwritten = 0;
            for action in actions {
                match action {
                    Action::Spawn { slot } => alive[slot] = true,
                    Action::Send { bundle, share, .. } => {
                        assert!(bundle.iter().all(|trial| !share || trial.group == bundle[0].group), "two groups in one bundle");
                    }
                    Action::Tell(Notice::Pruned { trials }) => assert!(!trials.is_empty()),
                    Action::Record(record) => {
                        unwritten += 1;
                        let (trial, state, metrics) = match record {
                            Record::Done { trial, metrics, .. } => (trial, TrialState::Done, Some(metrics.numbers)),
                            Record::Failed { trial, for_good: true, .. } => (trial, TrialState::Failed, None),
                            _ => continue,
                        };
                        let row = TrialRow { id: trial.id, phase: Phase::Tune, state, failures: 0, metrics, shared: Shared::default() };
                        assert!(rows.insert(trial.id, row).is_none(), "{} ended twice", trial.id);
                    }
                    Action::PhaseDone => *phase_done = true,
                    _ => {}
                }
            }
            unwritten
        };
        let mut unwritten = obey(r.on_trials(at(0), trials.clone(), Policy::AllSlots), &mut alive, &mut phase_done);
        for turn in 0..2000 {
            if phase_done {
                break;
            }
            now += 1;
            let (slot, kind) = steps[turn % steps.len()];
            let slot = (slot + turn) % slots;
            let mut all = r.on_committed(std::mem::take(&mut unwritten));
            all.extend(r.on_tick(at(now)));
            unwritten += obey(all, &mut alive, &mut phase_done);
            let actions = match r.slots[slot].state {
                State::Starting(_) => r.on_message(at(now), slot, hello()),
                State::Ready => {
                    let Some(given) = r.slots[slot].given.first() else { continue };
                    let (trial, begun) = (given.job.trial.id, given.started.is_some());
                    let name = trial.to_string();
                    let (value, fails) = truth[&trial];
                    match (begun, kind) {
                        (false, _) => r.on_message(at(now), slot, FromWorker::Started { trial: name }),
                        // Now and then a worker dies, early on only, so that trials come to their
                        // end.
                        (true, 0) if turn < 30 => r.on_exit(at(now), slot, Exit::Signal(9), ""),
                        (true, _) if fails => {
                            let message = String::new();
                            r.on_message(at(now), slot, FromWorker::Failed { trial: name, kind: FailureKind::BadConfig, message })
                        }
                        _ => {
                            let metrics = Metrics::from_iter([("m", value)]);
                            r.on_message(at(now), slot, FromWorker::done(name, metrics))
                        }
                    }
                }
                _ => continue,
            };
            unwritten += obey(actions, &mut alive, &mut phase_done);
        }
        // Trials that all fail in the same way end a sweep, which is not what is tested here.
        prop_assume!(r.fatal().is_none());
        prop_assert!(phase_done);
        let died: BTreeMap<TrialId, ()> = rows
            .values()
            .filter(|row| row.state == TrialState::Failed && !truth[&row.id].1)
            .map(|row| (row.id, ()))
            .collect();
        prop_assume!(died.is_empty());
        let full = Spec { prune: Default::default(), ..spec.clone() };
        let all: HashMap<TrialId, TrialRow> = trials
            .iter()
            .map(|trial| {
                let (value, fails) = truth[&trial.id];
                let (state, metrics) = match fails {
                    true => (TrialState::Failed, None),
                    false => (TrialState::Done, Some(Metrics::from_iter([("m", value)]))),
                };
                (trial.id, TrialRow { id: trial.id, phase: Phase::Tune, state, failures: 0, metrics, shared: Shared::default() })
            })
            .collect();
        let (with, without) = (evaluate(&spec, &grid, &rows).unwrap(), evaluate(&full, &grid, &all).unwrap());
        prop_assert_eq!(with.selected(), without.selected());
        prop_assert_eq!(with.tuning_left(), 0);
    }
}
