//! Safe racing against the real selection: over random tables of results, random orders, failures
//! and workers, the selected points are those of the full grid.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::aggregate::{Evaluation, evaluate};
use crate::grid::{Grid, PointIndex, TrialId};
use crate::ledger::{TrialRow, TrialState};
use crate::protocol::Metrics;
use crate::spec::{Spec, read};

type Rows = HashMap<TrialId, TrialRow>;

/// A sweep whose arms hold these values of `x`.
fn spec(arms: &[Vec<i64>], seeds: u64, goal: &str, best: f64) -> Spec {
    let arms: String = arms
        .iter()
        .enumerate()
        .map(|(number, values)| {
            format!("  a{number}: {{parameters: {{x: {{values: {values:?}}}}}}}\n")
        })
        .collect();
    let text = format!(
        "name: t\nworker: [w]\nmetric: {{name: m, goal: {goal}, best: {best:?}}}\nprune: safe\nseeds: {{tune: {seeds}, final: 1}}\narms:\n{arms}"
    );
    read(&text, "t.yaml").unwrap_or_else(|diagnosis| panic!("{diagnosis}"))
}

/// A value that stands for a missing metric, as after a change of the metric.
const ABSENT: f64 = -7.5;

fn row(id: TrialId, result: Option<(f64, f64)>) -> TrialRow {
    let metrics = result.map(|(value, loss)| match value {
        ABSENT => Metrics::from_iter([("val_loss", loss)]),
        value => Metrics::from_iter([("m", value), ("val_loss", loss)]),
    });
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

/// How a sweep chooses what to run next.
#[derive(Clone, Copy, Debug)]
enum Order {
    SeedMajor,
    Shuffled(u64),
    BestFirst,
}

/// Runs a race: `workers` trials run at a time, and `ends` says which of them ends next.
fn run(
    spec: &Spec,
    grid: &Grid,
    truth: &Rows,
    order: Order,
    workers: usize,
    ends: &[usize],
) -> (Rows, Race) {
    let mut queue = tuning_trials(grid, &spec.seeds.tune);
    if let Order::Shuffled(seed) = order {
        shuffle(&mut queue, seed);
    }
    let mut race = Race::new(spec, grid).expect("a race");
    let mut rows = Rows::new();
    let mut under_way = Vec::new();
    let mut held = Vec::new();
    for step in 0.. {
        let (out, live): (Vec<_>, Vec<_>) = queue
            .into_iter()
            .partition(|trial: &PlannedTrial| race.is_eliminated(trial.id.point));
        queue = live;
        held.extend(out);

        while under_way.len() < workers && !queue.is_empty() {
            let place = match order {
                Order::BestFirst => best_place(&queue, &race),
                Order::SeedMajor | Order::Shuffled(_) => 0,
            };
            under_way.push(queue.remove(place));
        }
        if under_way.is_empty() {
            return (rows, race);
        }
        let trial = under_way.remove(ends[step % ends.len()] % under_way.len());
        let found = &truth[&trial.id];
        rows.insert(trial.id, found.clone());
        if let Some(metrics) = &found.metrics
            && race.record(trial.id, metrics.get("m")) == RaceUpdate::Cancelled
        {
            queue.append(&mut held);
        }
    }
    unreachable!()
}

/// The place of the trial whose point can still reach the best mean; the first of several.
fn best_place(queue: &[PlannedTrial], race: &Race) -> usize {
    (0..queue.len())
        .min_by(|a, b| {
            let a = race.shortfall(queue[*a].id.point);
            let b = race.shortfall(queue[*b].id.point);
            a.total_cmp(&b)
        })
        .unwrap()
}

/// The selected point of each arm, and the number of points that it tied with.
fn chosen(evaluation: &Evaluation) -> Vec<(Option<u64>, u64)> {
    evaluation
        .arms
        .iter()
        .map(|arm| (arm.selection.best, arm.selection.tied))
        .collect()
}

/// A table of results: for each trial a value and a loss, or a permanent failure.
fn truth(spec: &Spec, grid: &Grid, table: &[(usize, usize, bool)], values: &[f64]) -> Rows {
    let losses = [0.25, 0.5, f64::NAN];
    let trials = tuning_trials(grid, &spec.seeds.tune);
    trials
        .iter()
        .zip(table.iter().cycle())
        .map(|(trial, (value, loss, fails))| {
            let result =
                (!fails).then(|| (values[value % values.len()], losses[loss % losses.len()]));
            (trial.id, row(trial.id, result))
        })
        .collect()
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::SeedMajor),
        Just(Order::BestFirst),
        any::<u64>().prop_map(Order::Shuffled)
    ]
}

fn arms() -> impl Strategy<Value = Vec<Vec<i64>>> {
    // Values of few kinds, so that arms share points.
    prop::collection::vec(
        prop::collection::hash_set(0_i64..9, 1..8).prop_map(|values| values.into_iter().collect()),
        1..4,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_selected_points_are_those_of_the_full_grid(
        arms in arms(),
        seeds in 1_u64..6,
        table in prop::collection::vec((0_usize..14, 0_usize..3, prop::bool::weighted(0.03)), 1..60),
        odd in prop::bool::ANY,
        maximize in prop::bool::ANY,
        order in order(),
        workers in 1_usize..5,
        ends in prop::collection::vec(0_usize..5, 1..20),
    ) {
        // Ties are common. 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in floating point.
        let sign = if maximize { 1.0 } else { -1.0 };
        let mut values: Vec<f64> = [1.0, 1.0, 0.9, 0.3, 0.2, 0.1, 1.0, 0.9].map(|value: f64| value * sign).into();
        if odd {
            values.extend([f64::NAN, f64::NEG_INFINITY, f64::INFINITY, -1e300 * sign, -1e16 * sign, ABSENT]);
        }
        let goal = if maximize { "maximize" } else { "minimize" };
        let racing = spec(&arms, seeds, goal, sign);
        let full = Spec { prune: Default::default(), ..racing.clone() };
        let grid = Grid::new(&racing);
        let truth = truth(&racing, &grid, &table, &values);
        let (rows, race) = run(&racing, &grid, &truth, order, workers, &ends);
        prop_assert!(race.bound_violation().is_none());
        let with = evaluate(&racing, &grid, &rows).unwrap();
        let without = evaluate(&full, &grid, &truth).unwrap();
        prop_assert_eq!(chosen(&with), chosen(&without));
        prop_assert!(with.arms.iter().all(|arm| arm.tune_tally.left() == 0), "what did not run counts as left");
        for (with, without) in with.arms.iter().zip(&without.arms) {
            // Debug, since NaN differs from itself.
            prop_assert_eq!(format!("{:?}", with.tuned), format!("{:?}", without.tuned));
        }
        // Without the race the same rows are an unfinished sweep, and the missing trials run.
        let off = evaluate(&full, &grid, &rows).unwrap();
        let ids: HashSet<TrialId> = tuning_trials(&grid, &full.seeds.tune).iter().map(|trial| trial.id).collect();
        let left: u64 = off.arms.iter().map(|arm| arm.tune_tally.left()).sum();
        prop_assert_eq!(left > 0, ids.len() > rows.len());
    }

    #[test]
    fn a_value_beyond_the_bound_cancels_the_race(
        arms in arms(),
        seeds in 1_u64..5,
        table in prop::collection::vec((0_usize..4, 0_usize..3, prop::bool::weighted(0.03)), 1..60),
        order in order(),
        ends in prop::collection::vec(0_usize..5, 1..20),
    ) {
        let spec = spec(&arms, seeds, "maximize", 0.5);
        let grid = Grid::new(&spec);
        let truth = truth(&spec, &grid, &table, &[0.4, 0.1, 0.5, 0.75]);
        let (rows, race) = run(&spec, &grid, &truth, order, 3, &ends);
        if race.bound_violation().is_some() {
            prop_assert_eq!(rows.len(), truth.len(), "everything runs");
        }
        let seen = rows.values().any(|row| row.metrics.as_ref().and_then(|metrics| metrics.get("m")) == Some(0.75));
        prop_assert_eq!(race.bound_violation().is_some(), seen);
    }

    #[test]
    fn eliminations_do_not_depend_on_the_order_of_the_results(
        arms in arms(),
        seeds in 1_u64..6,
        table in prop::collection::vec((0_usize..8, 0_usize..3, prop::bool::weighted(0.3)), 1..60),
        seed: u64,
    ) {
        let spec = spec(&arms, seeds, "maximize", 1.0);
        let grid = Grid::new(&spec);
        let truth = truth(&spec, &grid, &table, &[1.0, 0.9, 0.3, 0.2, ABSENT, 0.7, f64::NAN, f64::INFINITY]);
        let mut trials = tuning_trials(&grid, &spec.seeds.tune);
        let says = |trials: &[PlannedTrial]| {
            let mut race = Race::new(&spec, &grid).unwrap();
            for trial in trials {
                if let Some(metrics) = &truth[&trial.id].metrics {
                    race.record(trial.id, metrics.get("m"));
                }
            }
            trials.iter().filter(|trial| race.is_eliminated(trial.id.point)).map(|trial| trial.id).collect::<HashSet<_>>()
        };
        let before = says(&trials);
        shuffle(&mut trials, seed);
        let missing = |id: &TrialId| truth[id].metrics.is_none();
        prop_assert_eq!(
            before.into_iter().filter(missing).collect::<HashSet<_>>(),
            says(&trials).into_iter().filter(missing).collect::<HashSet<_>>()
        );
    }
}

/// A sweep in which one point is best by far: 10 points, 5 seeds.
fn obvious() -> (Spec, Grid, Rows) {
    let spec = spec(&[(0..10).collect()], 5, "maximize", 100.0);
    let grid = Grid::new(&spec);
    let value = |trial: &PlannedTrial| {
        if trial.index == PointIndex(6) {
            95.0
        } else {
            10.0 + trial.index.0 as f64
        }
    };
    let trials = tuning_trials(&grid, &spec.seeds.tune);
    let rows = trials
        .iter()
        .map(|trial| (trial.id, row(trial.id, Some((value(trial), 1.0)))))
        .collect();
    (spec, grid, rows)
}

#[test]
fn a_clear_winner_saves_most_trials() {
    let (spec, grid, truth) = obvious();
    // No point is complete before the last round: once point 6 is, the last three are eliminated.
    let (rows, race) = run(&spec, &grid, &truth, Order::SeedMajor, 1, &[0]);
    assert_eq!(rows.len(), 47);
    let out: Vec<u64> = grid.arms()[0]
        .points()
        .filter(|point| race.is_eliminated(point.id))
        .map(|point| point.index.0)
        .collect();
    assert_eq!(out, [7, 8, 9]);
    // Best first: every point runs once, and the best one five times.
    assert_eq!(
        run(&spec, &grid, &truth, Order::BestFirst, 1, &[0]).0.len(),
        14
    );
    assert!(
        Race::new(
            &Spec {
                prune: Default::default(),
                ..spec
            },
            &grid
        )
        .is_none()
    );
}

#[test]
fn a_point_is_eliminated_only_if_it_cannot_even_tie() {
    let spec = spec(&[vec![0, 1, 2]], 2, "maximize", 1.0);
    let grid = Grid::new(&spec);
    let id = |index: u64, seed: u64| TrialId {
        point: grid.arms()[0].point(PointIndex(index)).id,
        seed,
    };
    let mut race = Race::new(&spec, &grid).unwrap();
    assert_eq!(race.record(id(0, 0), Some(0.75)), RaceUpdate::Unchanged);
    assert_eq!(race.record(id(1, 0), Some(0.5)), RaceUpdate::Unchanged);
    assert_eq!(
        race.record(id(0, 1), Some(0.75)),
        RaceUpdate::Unchanged,
        "0.5 and 1.0 would tie with 0.75"
    );
    assert_eq!(
        race.record(id(2, 0), Some(0.4999999)),
        RaceUpdate::Eliminated(1)
    );
    assert!(
        race.is_eliminated(id(2, 0).point)
            && !race.is_eliminated(id(1, 0).point)
            && !race.is_eliminated(id(0, 0).point)
    );
    // A result of the final phase shows that the bound was wrong.
    assert_eq!(race.record(id(0, 1000), Some(1.5)), RaceUpdate::Cancelled);
    assert!(!race.is_eliminated(id(2, 0).point));
    assert_eq!(
        race.bound_violation(),
        Some(&BoundViolation {
            trial: id(0, 1000),
            value: 1.5,
            best: 1.0
        })
    );
}

#[test]
fn a_point_that_cannot_be_selected_is_eliminated_once_another_can_be() {
    let spec = spec(&[vec![0, 1, 2, 3]], 2, "maximize", 1.0);
    let grid = Grid::new(&spec);
    let id = |index: u64, seed: u64| TrialId {
        point: grid.arms()[0].point(PointIndex(index)).id,
        seed,
    };
    let mut race = Race::new(&spec, &grid).unwrap();
    for (index, value) in [
        (0, Some(f64::INFINITY)),
        (1, None),
        (2, Some(f64::NEG_INFINITY)),
        (3, Some(0.1)),
    ] {
        assert_eq!(
            race.record(id(index, 0), value),
            RaceUpdate::Unchanged,
            "nothing is complete yet, and infinity is no bound that fails"
        );
    }
    assert_eq!(race.record(id(3, 1), Some(0.1)), RaceUpdate::Eliminated(3));
    assert!(
        race.bound_violation().is_none()
            && (0..3).all(|index| race.is_eliminated(id(index, 0).point))
    );
}

#[test]
fn a_point_of_two_arms_stays_while_it_can_win_in_one() {
    let spec = spec(&[vec![0, 1], vec![1, 2]], 2, "minimize", 0.0);
    let grid = Grid::new(&spec);
    let id = |x: u64, seed: u64| TrialId {
        point: grid.arms()[usize::from(x > 1)]
            .point(PointIndex(if x > 1 { 1 } else { x }))
            .id,
        seed,
    };
    let mut race = Race::new(&spec, &grid).unwrap();
    race.record(id(1, 0), Some(8.0));
    race.record(id(0, 0), Some(1.0));
    assert_eq!(
        race.record(id(0, 1), Some(1.0)),
        RaceUpdate::Unchanged,
        "it may be the best of the second arm"
    );
    race.record(id(2, 0), Some(3.0));
    assert_eq!(race.record(id(2, 1), Some(3.0)), RaceUpdate::Eliminated(1));
    assert!(race.is_eliminated(id(1, 0).point));
}
