//! Safe racing in the reactor: by example, and under random results, crashes and orders against the
//! real selection.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::aggregate::evaluate;
use crate::grid::Grid;
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{Shared, tuning_trials};
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

/// A reactor that has begun a race, with a worker in each slot.
fn racing(slots: &[usize], points: usize, seeds: usize, best_first: bool) -> Reactor {
    let (spec, grid, trials) = sweep(points, seeds);
    let mut r = reactor(slots, 1);
    r.set_race(Race::new(&spec, &grid).unwrap(), best_first);
    r.on_trials(at(0), trials, Policy::AllSlots);
    for slot in r.slots.indices() {
        r.on_message(at(0), slot, hello());
    }
    r
}

/// Lets a slot's worker start the trial that it has, and returns the trial's id.
fn start(r: &mut Reactor, slot: SlotIndex) -> String {
    let trial = r.slots[slot].assignments()[0].job.trial.id.to_string();
    let message = FromWorker::Started {
        trial: trial.clone(),
    };
    r.on_message(at(1), slot, message);
    trial
}

fn done_with(trial: String, value: f64) -> FromWorker {
    FromWorker::done(trial, Metrics::from_iter([("m", value)]))
}

/// Lets a slot's worker run the trial that it has, and returns the actions in short.
fn result(r: &mut Reactor, slot: usize, value: f64) -> String {
    let slot = SlotIndex(slot);
    let trial = start(r, slot);
    short(&r.on_message(at(1), slot, done_with(trial, value)))
}

/// The seed and number of the trial that a slot's worker has.
fn has(r: &Reactor, slot: usize) -> Option<(u64, u64)> {
    let assignment = r.slots[SlotIndex(slot)].assignments().first()?;
    let trial = assignment.job.trial;
    Some((trial.id.seed, trial.index.0))
}

#[test]
fn trials_of_points_that_are_out_are_held_back() {
    let mut r = racing(&[0], 3, 2, false);
    for (value, next) in [(0.9, (0, 1)), (0.1, (0, 2)), (0.2, (1, 0))] {
        result(&mut r, 0, value);
        assert_eq!(has(&r, 0), Some(next));
    }
    assert_eq!(
        result(&mut r, 0, 0.9),
        "record done 0",
        "neither 0.1 and 1.0 nor 0.2 and 1.0 reach a mean of 0.9"
    );
    assert_eq!(has(&r, 0), None);
    assert_eq!(r.held.len(), 2);
    assert_eq!(
        short(&r.on_committed(8)),
        "tell done 0, tell done 1, tell done 2, tell done 0, phase done"
    );
}

#[test]
fn after_a_restart_trials_of_points_that_are_out_do_not_run() {
    let (spec, grid, trials) = sweep(2, 2);
    let mut race = Race::new(&spec, &grid).unwrap();
    for (trial, value) in [(0, 0.9), (1, 0.1), (2, 0.9)] {
        race.record(trials[trial].id, Some(value));
    }
    let mut r = reactor(&[0], 1);
    r.set_race(race, false);
    assert_eq!(
        short(&r.on_trials(at(0), vec![trials[3]], Policy::AllSlots)),
        "phase done"
    );
}

#[test]
fn a_result_beyond_the_bound_brings_back_what_was_held() {
    let mut r = racing(&[0, 1], 3, 2, false);
    result(&mut r, 0, 0.9);
    result(&mut r, 1, 0.9);
    result(&mut r, 0, 0.1);
    assert_eq!(has(&r, 0), Some((1, 1)));
    assert_eq!(has(&r, 1), Some((1, 0)));
    result(&mut r, 1, 0.9);
    assert_eq!(has(&r, 1), None);
    assert_eq!(r.held.len(), 1, "the third point is out");

    let trial = start(&mut r, SlotIndex(0));
    let actions = r.on_message(at(1), SlotIndex(0), done_with(trial, 1.5));
    let is_off = actions.iter().any(
        |action| matches!(action, Action::Tell(Notice::RaceOff { back, .. }) if back.len() == 1),
    );
    assert!(is_off, "{actions:?}");
    assert_eq!(has(&r, 0), Some((1, 2)));
}

#[test]
fn a_pending_retry_of_a_point_that_is_out_does_not_hold_up_the_phase() {
    let mut r = racing(&[0, 1], 2, 2, false);
    result(&mut r, 0, 0.9);
    result(&mut r, 1, 0.1);
    assert_eq!(has(&r, 0), Some((1, 0)));
    assert_eq!(has(&r, 1), Some((1, 1)));

    // The second seed of point 1 fails and would be tried again, but the next result puts the point
    // out.
    let failed = FromWorker::Failed {
        trial: start(&mut r, SlotIndex(1)),
        kind: FailureKind::Signal,
        message: String::new(),
    };
    r.on_message(at(1), SlotIndex(1), failed);
    assert_eq!(r.delayed.len(), 1);
    result(&mut r, 0, 0.9);
    assert_eq!(r.delayed.len(), 0);
    assert_eq!(r.held.len(), 1);
    assert!(short(&r.on_committed(20)).ends_with("phase done"));
}

#[test]
fn best_first_runs_each_point_once_and_then_the_most_promising_ones() {
    let mut r = racing(&[0], 4, 3, true);
    for (value, next) in [(0.2, (0, 1)), (0.8, (0, 2)), (0.7, (0, 3)), (0.1, (1, 1))] {
        result(&mut r, 0, value);
        assert_eq!(has(&r, 0), Some(next));
    }
    result(&mut r, 0, 0.6);
    assert_eq!(
        has(&r, 0),
        Some((1, 2)),
        "0.7 and twice the best value are more than 0.8, 0.6 and the best value"
    );
    result(&mut r, 0, 0.1);
    assert_eq!(has(&r, 0), Some((2, 1)));
    assert!(
        result(&mut r, 0, 0.8).ends_with("send 0:0"),
        "(0.2 + 2) / 3 equals 0.73"
    );
    assert_eq!(
        r.held.len(),
        3,
        "the last seed of point 2, and two of point 3"
    );
}

/// Workers, and a disk that commits at each step, around a reactor with a race.
struct World {
    reactor: Reactor,
    /// The value of each trial, and whether it fails.
    truth: HashMap<TrialId, (f64, bool)>,
    rows: HashMap<TrialId, TrialRow>,
    unwritten: usize,
    phase_done: bool,
}

impl World {
    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { bundle, share, .. } => {
                    let is_one_group = bundle.iter().all(|trial| trial.group == bundle[0].group);
                    assert!(!share || is_one_group, "two groups in one bundle");
                }
                Action::Tell(Notice::Pruned { trials }) => assert!(!trials.is_empty()),
                Action::Record(record) => self.write(record),
                Action::PhaseDone => self.phase_done = true,
                _ => {}
            }
        }
    }

    fn write(&mut self, record: Record) {
        self.unwritten += 1;
        let row = match record {
            Record::Done { trial, metrics, .. } => row(trial.id, Some(metrics.numbers)),
            Record::Failed {
                trial,
                permanent: true,
                ..
            } => row(trial.id, None),
            _ => return,
        };
        let id = row.id;
        assert!(self.rows.insert(id, row).is_none(), "{id} ended twice");
    }

    /// Commits what was written, lets a second pass, and lets a slot's worker take its next step.
    fn step(&mut self, now: u64, slot: SlotIndex, dies: bool) {
        let count = std::mem::take(&mut self.unwritten);
        let actions = self.reactor.on_committed(count);
        self.obey(actions);
        let actions = self.reactor.on_tick(at(now));
        self.obey(actions);

        let message = match &self.reactor.slots[slot].state {
            SlotState::Starting { .. } => hello(),
            SlotState::Ready(worker) => {
                let Some(assignment) = worker.assignments.first() else {
                    return;
                };
                let id = assignment.job.trial.id;
                let trial = id.to_string();
                if assignment.started.is_none() {
                    FromWorker::Started { trial }
                } else if dies {
                    let actions = self.reactor.on_exit(at(now), slot, Exit::Signal(9), "");
                    return self.obey(actions);
                } else {
                    self.outcome(id, trial)
                }
            }
            _ => return,
        };
        let actions = self.reactor.on_message(at(now), slot, message);
        self.obey(actions);
    }

    fn outcome(&self, id: TrialId, trial: String) -> FromWorker {
        let (value, fails) = self.truth[&id];
        if fails {
            FromWorker::Failed {
                trial,
                kind: FailureKind::BadConfig,
                message: String::new(),
            }
        } else {
            done_with(trial, value)
        }
    }
}

/// The row of a trial that is done, or has failed if there are no metrics.
fn row(id: TrialId, metrics: Option<Metrics>) -> TrialRow {
    let state = if metrics.is_some() {
        TrialState::Done
    } else {
        TrialState::Failed
    };
    TrialRow {
        id,
        phase: Phase::Tune,
        state,
        failures: 0,
        metrics,
        shared: Shared::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Workers now and then fail or die; in the end the selection is that of a sweep without a
    /// race.
    #[test]
    fn the_selection_is_always_that_of_the_full_grid(
        (points, seeds, slots, bundle) in (1_usize..7, 1_usize..5, 1_usize..4, 1_usize..4),
        best_first: bool,
        grouped in 0_u64..4,
        table in prop::collection::vec((0_usize..8, prop::bool::weighted(0.05)), 1..30),
        steps in prop::collection::vec((0_usize..4, 0_u8..20), 1..60),
    ) {
        const VALUES: [f64; 8] = [1.0, 0.9, 0.5, 0.5, 0.2, 0.1, 0.0, f64::NAN];
        let (spec, grid, mut trials) = sweep(points, seeds);
        // Points with work in common.
        for trial in &mut trials {
            trial.group = trial.index.0.checked_div(grouped).map(|group| group as u32);
        }
        let truth: HashMap<TrialId, (f64, bool)> = trials
            .iter()
            .zip(table.iter().cycle())
            .map(|(trial, (value, fails))| (trial.id, (VALUES[*value], *fails)))
            .collect();

        let mut world = World {
            reactor: reactor(&(0..slots).collect::<Vec<_>>(), bundle),
            truth,
            rows: HashMap::new(),
            unwritten: 0,
            phase_done: false,
        };
        world.reactor.set_race(Race::new(&spec, &grid).unwrap(), best_first);
        let actions = world.reactor.on_trials(at(0), trials.clone(), Policy::AllSlots);
        world.obey(actions);
        for turn in 0..2000 {
            if world.phase_done {
                break;
            }
            let (slot, kind) = steps[turn % steps.len()];
            let slot = SlotIndex((slot + turn) % slots);
            // Workers die early on only, so that trials come to their end.
            let dies = kind == 0 && turn < 30;
            world.step(turn as u64 + 1, slot, dies);
        }

        // Trials that all fail in the same way end a sweep, which is not what is tested here.
        prop_assume!(world.reactor.fatal().is_none());
        prop_assert!(world.phase_done);
        let died = world
            .rows
            .values()
            .any(|row| row.state == TrialState::Failed && !world.truth[&row.id].1);
        prop_assume!(!died);

        let full = Spec { prune: Default::default(), ..spec.clone() };
        let all: HashMap<TrialId, TrialRow> = world
            .truth
            .iter()
            .map(|(&id, &(value, fails))| {
                let metrics = (!fails).then(|| Metrics::from_iter([("m", value)]));
                (id, row(id, metrics))
            })
            .collect();
        let with = evaluate(&spec, &grid, &world.rows).unwrap();
        let without = evaluate(&full, &grid, &all).unwrap();
        prop_assert_eq!(with.selected(), without.selected());
        prop_assert_eq!(with.tuning_left(), 0);
    }
}
