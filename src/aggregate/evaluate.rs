//! A whole sweep in figures: for each arm the selected point, its statistics over tuning and final
//! seeds, and what became of every planned trial. Reads plain rows; `report` turns the result into
//! tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::select::{ArmSelection, Ineligible, select};
use super::stats::{Observation, PointStats, StatsError, point_stats};
use crate::grid::{ArmIndex, Grid, Point, PointId, PointIndex, TrialId};
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{BoundViolation, Phase, PlannedTrial, Race};
use crate::protocol::Metrics;
use crate::spec::{Spec, nearest};

/// What became of planned trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Planned.
    pub planned: u64,
    /// With a result.
    pub done: u64,
    /// Of these, diverged (`Metrics::diverged`).
    pub diverged: u64,
    /// Failed for good.
    pub failed: u64,
    /// With a worker now.
    pub running: u64,
    /// Not to be run: their points are out of the race (`prune: safe`).
    pub pruned: u64,
}

impl Tally {
    /// Planned trials that have not ended.
    pub fn left(&self) -> u64 {
        self.planned - self.done - self.failed - self.pruned
    }

    /// Counts a planned trial; `selecting`: the metric that selects; `out`: its point gets no
    /// further seeds. Says whether the trial will not run for that.
    pub fn count(&mut self, selecting: &str, row: Option<&TrialRow>, out: bool) -> bool {
        self.planned += 1;
        let waits = row.is_none_or(|row| row.state == TrialState::Waiting);
        self.pruned += u64::from(out && waits);
        match row.map(|row| row.state) {
            Some(TrialState::Done) => self.done += 1,
            Some(TrialState::Failed) => self.failed += 1,
            Some(TrialState::Running) => self.running += 1,
            Some(TrialState::Waiting) | None => {}
        }
        let metrics = row
            .filter(|row| row.state == TrialState::Done)
            .and_then(|row| row.metrics.as_ref());
        self.diverged += u64::from(metrics.is_some_and(|metrics| metrics.diverged(selecting)));
        out && waits
    }
}

/// One arm in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmEvaluation {
    /// Number of the arm.
    pub arm: usize,
    /// What selection found.
    pub selection: ArmSelection,
    /// Points that cannot be selected, once the arm's tuning trials have ended: the first few of
    /// each kind.
    pub passed_over: Vec<PassedOver>,
    /// The selected point.
    pub point: Option<Point>,
    /// The selected point's statistics over the tuning seeds.
    pub tuned: Option<PointStats>,
    /// The selected point's statistics over the final seeds.
    pub final_: Option<PointStats>,
    /// The arm's tuning trials.
    pub tune_tally: Tally,
    /// The selected point's final trials.
    pub final_tally: Tally,
    /// Of these, trials that ran as tuning trials of an earlier spec, and so were not timed alone.
    pub untimed: u64,
}

/// A point that selection passes over, and on which seeds it lacks what it would need.
#[derive(Clone, Debug, PartialEq)]
pub struct PassedOver {
    /// Why.
    pub why: Ineligible,
    /// The point.
    pub point: PointId,
    /// The tuning seeds on which it has no result, not the metric, or one that is not finite.
    pub seeds: Vec<u64>,
}

/// A metric that no finished trial reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreported {
    /// Its name.
    pub metric: String,
    /// The metrics that finished trials report.
    pub known: Vec<String>,
}

impl fmt::Display for Unreported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let they_have = match &known[..] {
            [] => "they report no metrics".to_owned(),
            known => format!("they have `{}`", known.join("`, `")),
        };
        write!(
            f,
            "no finished trial has the metric `{}`, which selection needs: {they_have}",
            self.metric
        )?;
        match nearest(&self.metric, &known) {
            Some(near) => write!(f, " (did you mean `{near}`?)"),
            None => Ok(()),
        }
    }
}

/// A sweep in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Arm by arm.
    pub arms: Vec<ArmEvaluation>,
    /// Statistics over the tuning seeds of every point that has a result.
    pub points: Vec<PointStats>,
    /// The points that get no further seeds since they cannot be the best of their arm any more, as
    /// (number of the arm, number of the point): those of `prune: safe` that lack a seed for this
    /// reason.
    pub pruned: BTreeSet<(usize, u64)>,
    /// A result that is better than the metric was said to be, for which `prune: safe` is off.
    pub beyond: Option<BoundViolation>,
}

impl Evaluation {
    /// The selected points.
    pub fn selected(&self) -> Vec<(ArmIndex, PointIndex)> {
        self.arms
            .iter()
            .filter_map(|arm| Some((ArmIndex(arm.arm), PointIndex(arm.selection.best?))))
            .collect()
    }

    /// Whether every planned trial has ended, one way or the other.
    pub fn is_complete(&self) -> bool {
        self.arms
            .iter()
            .all(|arm| arm.tune_tally.left() == 0 && arm.final_tally.left() == 0)
    }

    /// Whether a planned trial, whose row this is, will not run since its point is out of the race.
    pub fn is_pruned(&self, trial: &PlannedTrial, row: Option<&TrialRow>) -> bool {
        trial.phase == Phase::Tune
            && row.is_none_or(|row| row.state == TrialState::Waiting)
            && self.pruned.contains(&(trial.arm.0, trial.index.0))
    }

    /// The arms of which no point can be selected, although their tuning trials have ended.
    pub fn without_selection(&self) -> impl Iterator<Item = &ArmEvaluation> {
        self.arms
            .iter()
            .filter(|arm| arm.selection.best.is_none() && arm.tune_tally.left() == 0)
    }

    /// What is said of a metric that no finished trial reports; None: one does, or none has
    /// finished.
    pub fn unreported(&self, metric: &str) -> Option<Unreported> {
        let finals = self.arms.iter().filter_map(|arm| arm.final_.as_ref());
        let mut known: BTreeSet<&String> = BTreeSet::new();
        for stats in self.points.iter().chain(finals) {
            if stats.stats.contains_key(metric) {
                return None;
            }
            known.extend(stats.stats.keys());
        }
        let any = self
            .arms
            .iter()
            .any(|arm| arm.tune_tally.done + arm.final_tally.done > 0);
        any.then(|| Unreported {
            metric: metric.to_owned(),
            known: known.into_iter().cloned().collect(),
        })
    }

    /// How many points of an arm get no further seeds, and so are not complete.
    pub fn pruned_points(&self, arm: usize) -> u64 {
        self.pruned.range((arm, 0)..=(arm, u64::MAX)).count() as u64
    }

    /// Tuning trials that have not ended.
    pub fn tuning_left(&self) -> u64 {
        self.arms.iter().map(|arm| arm.tune_tally.left()).sum()
    }

    /// Trials that failed for good.
    pub fn failed(&self) -> u64 {
        self.arms
            .iter()
            .map(|arm| arm.tune_tally.failed + arm.final_tally.failed)
            .sum()
    }
}

/// Evaluates a sweep from its trials.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn evaluate(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Evaluation, StatsError> {
    let metric = &spec.metric.name;
    let mut tune = Vec::new();
    let race = race(spec, grid, rows);
    let mut pruned = BTreeSet::new();
    let mut tune_tallies = vec![Tally::default(); grid.arms().len()];
    for (arm, points) in grid.arms().iter().enumerate() {
        for (point, index) in points.ids().zip(0..) {
            let out = race.as_ref().is_some_and(|race| race.is_eliminated(point));
            for &seed in &spec.seeds.tune {
                let row = rows.get(&TrialId { point, seed });
                if tune_tallies[arm].count(metric, row, out) {
                    pruned.insert((arm, index));
                }
                tune.extend(observation(metric, (arm, index, seed), row));
            }
        }
    }
    let points = point_stats(&tune)?;
    let sizes: Vec<u64> = grid.arms().iter().map(crate::grid::ArmGrid::len).collect();
    let selections = select(&spec.metric, &sizes, spec.seeds.tune.len() as u32, &points);

    let arms = arms_in_figures(spec, grid, rows, (selections, &points, &tune_tallies))?;
    let beyond = race.and_then(|race| race.bound_violation().cloned());
    let mut evaluation = Evaluation {
        arms,
        points,
        pruned,
        beyond,
    };
    note_passed_over(spec, grid, rows, &mut evaluation);
    Ok(evaluation)
}

/// How many points are named of each kind that selection passes over.
const EXAMPLES: usize = 3;

/// Notes the points that cannot be selected, in arms whose tuning trials have ended.
pub(super) fn note_passed_over(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    evaluation: &mut Evaluation,
) {
    let metric = &spec.metric.name;
    let Evaluation {
        arms,
        points,
        pruned,
        ..
    } = evaluation;
    for arm in arms {
        arm.passed_over.clear();
        let counts = Ineligible::ALL.map(|why| arm.selection.ineligible(why));
        if arm.tune_tally.left() > 0 || counts == [0; 3] {
            continue;
        }
        let begin = points.partition_point(|stats| stats.arm < arm.arm);
        let mut known = points[begin..]
            .iter()
            .take_while(|stats| stats.arm == arm.arm)
            .peekable();
        let mut found: BTreeMap<Ineligible, Vec<u64>> = BTreeMap::new();
        for index in 0..grid.arms()[arm.arm].len() {
            let stats = known.next_if(|stats| stats.index == index);
            let Some(why) = Ineligible::of(stats, metric, spec.seeds.tune.len() as u32) else {
                continue;
            };
            let examples = found.entry(why).or_default();
            if examples.len() < EXAMPLES && !pruned.contains(&(arm.arm, index)) {
                examples.push(index);
            }
        }
        for (why, examples) in found {
            for index in examples {
                let point = grid.arms()[arm.arm].point(PointIndex(index)).id;
                let lacks = |seed: &u64| {
                    let row = rows
                        .get(&TrialId { point, seed: *seed })
                        .filter(|row| row.state == TrialState::Done);
                    let value = row
                        .and_then(|row| row.metrics.as_ref())
                        .and_then(|metrics| metrics.get(metric));
                    match why {
                        Ineligible::LacksSeed => row.is_none(),
                        Ineligible::LacksMetric => row.is_some() && value.is_none(),
                        Ineligible::NotFinite => value.is_some_and(|value| !value.is_finite()),
                    }
                };
                let seeds = spec.seeds.tune.iter().copied().filter(lacks).collect();
                arm.passed_over.push(PassedOver { why, point, seeds });
            }
        }
    }
}

/// Arm by arm what was selected, and the figures of the selected points. Takes the selections, the
/// statistics of all points over the tuning seeds, and what became of the tuning trials.
pub(super) fn arms_in_figures(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    (selections, points, tune_tallies): (Vec<ArmSelection>, &[PointStats], &[Tally]),
) -> Result<Vec<ArmEvaluation>, StatsError> {
    let metric = &spec.metric.name;
    let mut untimed_counts = vec![0; selections.len()];
    let mut timeless: HashMap<TrialId, Metrics> = HashMap::new();
    let mut finals = Vec::new();
    let mut final_tallies = vec![Tally::default(); selections.len()];
    let mut chosen: BTreeMap<usize, Point> = BTreeMap::new();
    for selection in &selections {
        let Some(index) = selection.best else {
            continue;
        };
        let point = grid.arms()[selection.arm].point(PointIndex(index));
        for &seed in &spec.seeds.final_ {
            let id = TrialId {
                point: point.id,
                seed,
            };
            let row = rows.get(&id);
            final_tallies[selection.arm].count(metric, row, false);
            let Some(found) = observation(metric, (selection.arm, index, seed), row) else {
                continue;
            };
            // Wall-clock times count only of trials that ran as final ones, alone on their device:
            // a seed that a changed spec has moved here from the tuning seeds keeps its result, but
            // not its time.
            if row.is_some_and(|row| row.phase == Phase::Tune) {
                untimed_counts[selection.arm] += 1;
                timeless.insert(id, found.metrics.without_wall_clock());
            }
            finals.push((id, found));
        }
        chosen.insert(selection.arm, point);
    }
    let observed: Vec<Observation<'_>> = finals
        .into_iter()
        .map(|(id, found)| match timeless.get(&id) {
            Some(metrics) => Observation { metrics, ..found },
            None => found,
        })
        .collect();
    let mut finals: BTreeMap<usize, PointStats> = point_stats(&observed)?
        .into_iter()
        .map(|stats| (stats.arm, stats))
        .collect();
    let tuned = |arm: usize, index: u64| {
        let place = points.binary_search_by_key(&(arm, index), |stats| (stats.arm, stats.index));
        place.ok().map(|place| points[place].clone())
    };
    let arms = selections
        .into_iter()
        .map(|selection| ArmEvaluation {
            arm: selection.arm,
            point: chosen.remove(&selection.arm),
            tuned: selection.best.and_then(|index| tuned(selection.arm, index)),
            final_: finals.remove(&selection.arm),
            tune_tally: tune_tallies[selection.arm],
            final_tally: final_tallies[selection.arm],
            untimed: untimed_counts[selection.arm],
            passed_over: Vec::new(),
            selection,
        })
        .collect();
    Ok(arms)
}

/// How the race of `prune: safe` stands by the results in the ledger; None where the spec asks for
/// none.
pub fn race(spec: &Spec, grid: &Grid, rows: &HashMap<TrialId, TrialRow>) -> Option<Race> {
    let mut race = Race::new(spec, grid)?;
    for row in rows.values().filter(|row| row.state == TrialState::Done) {
        if let Some(metrics) = &row.metrics {
            race.record(row.id, metrics.get(&spec.metric.name));
        }
    }
    Some(race)
}

/// A trial as statistics see it, if it is done: of the arm, point and seed of these numbers.
pub(super) fn observation<'a>(
    selecting: &str,
    (arm, index, seed): (usize, u64, u64),
    row: Option<&'a TrialRow>,
) -> Option<Observation<'a>> {
    let row = row.filter(|row| row.state == TrialState::Done)?;
    let metrics = row.metrics.as_ref()?;
    Some(Observation {
        arm,
        index,
        seed,
        metrics,
        diverged: metrics.diverged(selecting),
    })
}
