//! Evaluates a whole sweep: for each arm the selected point, its statistics over tuning and final
//! seeds, and the state of every planned trial. Reads plain rows; `report` turns the result into
//! tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::select::{ArmSelection, Ineligible, select};
use super::stats::{Observation, PointStats, StatsError, point_stats};
use crate::grid::{ArmGrid, ArmIndex, Grid, Point, PointId, PointIndex, TrialId};
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{BoundViolation, Phase, PlannedTrial, Race};
use crate::protocol::Metrics;
use crate::spec::{Spec, TRAINING_SECONDS, nearest};

/// Counts of planned trials by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Planned.
    pub planned: u64,
    /// With a result.
    pub done: u64,
    /// Of these, diverged (`Metrics::diverged`).
    pub diverged: u64,
    /// Failed, with no retries left.
    pub failed: u64,
    /// With a worker now.
    pub running: u64,
    /// Not to be run, because their points are out of the race (`prune: safe`).
    pub pruned: u64,
}

impl Tally {
    /// Number of planned trials that have not ended.
    pub fn left(&self) -> u64 {
        self.planned - self.done - self.failed - self.pruned
    }

    /// Counts a planned trial. Returns whether it will not run, because its point gets no further
    /// seeds (`out`). `selecting` is the metric that selects.
    pub fn count(&mut self, selecting: &str, row: Option<&TrialRow>, out: bool) -> bool {
        self.planned += 1;
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

        let pruned = out && is_waiting(row);
        self.pruned += u64::from(pruned);
        pruned
    }
}

fn is_waiting(row: Option<&TrialRow>) -> bool {
    row.is_none_or(|row| row.state == TrialState::Waiting)
}

/// The evaluation of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmEvaluation {
    /// Number of the arm.
    pub arm: usize,
    /// The outcome of selection.
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
    /// Number of final trials that ran as tuning trials of an earlier sweep file, and so were not
    /// timed alone.
    pub untimed: u64,
}

impl ArmEvaluation {
    /// The selected point's statistics over the seeds that tables report: the final ones, or the
    /// tuning seeds where there are none.
    pub fn reported(&self, spec: &Spec) -> Option<&PointStats> {
        if spec.seeds.final_.is_empty() {
            self.tuned.as_ref()
        } else {
            self.final_.as_ref()
        }
    }
}

/// A point that cannot be selected, and the seeds for which it lacks a usable result.
#[derive(Clone, Debug, PartialEq)]
pub struct PassedOver {
    /// The reason.
    pub why: Ineligible,
    /// The point.
    pub point: PointId,
    /// The tuning seeds on which the result or the metric is missing, or the metric is not finite.
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

/// The evaluation of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Arm by arm.
    pub arms: Vec<ArmEvaluation>,
    /// Statistics over the tuning seeds of every point that has a result.
    pub points: Vec<PointStats>,
    /// The points that get no further seeds under `prune: safe`, because they can no longer be the
    /// best of their arm, and that lack a seed for this reason: (number of the arm, number of the
    /// point).
    pub pruned: BTreeSet<(usize, u64)>,
    /// A result better than the metric's stated best value, which switches `prune: safe` off.
    pub beyond: Option<BoundViolation>,
}

impl Evaluation {
    /// Whether final trials run one at a time on each device: if the sweep file says so, or else if
    /// there are times to show. Without tuning trials nothing is known of that before.
    pub fn finals_are_timed(&self, spec: &Spec) -> bool {
        let mut tuned = self.arms.iter().filter_map(|arm| arm.tuned.as_ref());
        spec.timed.unwrap_or_else(|| {
            spec.mentions_times()
                || spec.seeds.tune.is_empty()
                || tuned.any(|stats| stats.stats.contains_key(TRAINING_SECONDS))
        })
    }

    /// The selected points, as (number of the arm, number of the point).
    pub fn selected(&self) -> Vec<(ArmIndex, PointIndex)> {
        self.arms
            .iter()
            .filter_map(|arm| Some((ArmIndex(arm.arm), PointIndex(arm.selection.best?))))
            .collect()
    }

    /// Whether every planned trial has ended, with or without a result.
    pub fn is_complete(&self) -> bool {
        self.arms
            .iter()
            .all(|arm| arm.tune_tally.left() == 0 && arm.final_tally.left() == 0)
    }

    /// Whether a planned trial with this row will not run because its point is out of the race.
    pub fn is_pruned(&self, trial: &PlannedTrial, row: Option<&TrialRow>) -> bool {
        trial.phase == Phase::Tune
            && is_waiting(row)
            && self.pruned.contains(&(trial.arm.0, trial.index.0))
    }

    /// The arms without a selected point although their tuning trials have ended.
    pub fn without_selection(&self) -> impl Iterator<Item = &ArmEvaluation> {
        self.arms
            .iter()
            .filter(|arm| arm.selection.best.is_none() && arm.tune_tally.left() == 0)
    }

    /// Returns the error for a metric that no finished trial reports; None if one does, or if none
    /// has finished.
    pub fn unreported(&self, metric: &str) -> Option<Unreported> {
        let finals = self.arms.iter().filter_map(|arm| arm.final_.as_ref());
        let mut known: BTreeSet<&String> = BTreeSet::new();
        for stats in self.points.iter().chain(finals) {
            if stats.stats.contains_key(metric) {
                return None;
            }
            known.extend(stats.stats.keys());
        }

        let any_done = self
            .arms
            .iter()
            .any(|arm| arm.tune_tally.done + arm.final_tally.done > 0);
        any_done.then(|| Unreported {
            metric: metric.to_owned(),
            known: known.into_iter().cloned().collect(),
        })
    }

    /// How many points of an arm get no further seeds, and so are not complete.
    pub fn pruned_points(&self, arm: usize) -> u64 {
        self.pruned.range((arm, 0)..=(arm, u64::MAX)).count() as u64
    }

    /// Number of tuning trials that have not ended.
    pub fn tuning_left(&self) -> u64 {
        self.sum(|arm| arm.tune_tally.left())
    }

    /// Number of trials that failed, with no retries left.
    pub fn failed(&self) -> u64 {
        self.sum(|arm| arm.tune_tally.failed + arm.final_tally.failed)
    }

    /// Returns the sum of a count over all arms.
    pub fn sum(&self, count: impl Fn(&ArmEvaluation) -> u64) -> u64 {
        self.arms.iter().map(count).sum()
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
    let race = race(spec, grid, rows);
    let mut observations = Vec::new();
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
                observations.extend(observation(metric, arm, index, seed, row));
            }
        }
    }

    let points = point_stats(&observations)?;

    // Selection needs all points of an arm, also those without a result.
    let sizes: Vec<u64> = grid.arms().iter().map(ArmGrid::len).collect();
    let selections = select(&spec.metric, &sizes, spec.seeds.tune.len() as u32, &points);
    let arms = evaluate_arms(spec, grid, rows, selections, &points, &tune_tallies)?;

    let beyond = race.and_then(|race| race.bound_violation().cloned());
    let mut evaluation = Evaluation {
        arms,
        points,
        pruned,
        beyond,
    };
    record_passed_over(spec, grid, rows, &mut evaluation);
    Ok(evaluation)
}

/// How many points are named of each kind that cannot be selected.
const MAX_EXAMPLES: usize = 3;

/// Records the points that cannot be selected, in arms whose tuning trials have ended.
pub(super) fn record_passed_over(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    evaluation: &mut Evaluation,
) {
    for number in 0..evaluation.arms.len() {
        let passed_over = passed_over(spec, grid, rows, evaluation, number);
        evaluation.arms[number].passed_over = passed_over;
    }
}

fn passed_over(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    evaluation: &Evaluation,
    number: usize,
) -> Vec<PassedOver> {
    let arm = &evaluation.arms[number];
    let any_ineligible = Ineligible::ALL
        .iter()
        .any(|why| arm.selection.ineligible(*why) > 0);
    if arm.tune_tally.left() > 0 || !any_ineligible {
        return Vec::new();
    }

    let points = &grid.arms()[arm.arm];
    let mut passed_over = Vec::new();
    for (why, examples) in ineligible_points(spec, points.len(), evaluation, arm.arm) {
        for index in examples {
            let point = points.point(PointIndex(index)).id;

            let seeds = spec.seeds.tune.iter().copied();
            let seeds = seeds.filter(|&seed| {
                let row = rows.get(&TrialId { point, seed });
                lacks(why, &spec.metric.name, row)
            });
            passed_over.push(PassedOver {
                why,
                point,
                seeds: seeds.collect(),
            });
        }
    }
    passed_over
}

/// The first few points of an arm that cannot be selected, by reason. Pruned points are left out.
fn ineligible_points(
    spec: &Spec,
    size: u64,
    evaluation: &Evaluation,
    arm: usize,
) -> BTreeMap<Ineligible, Vec<u64>> {
    let points = &evaluation.points;
    let begin = points.partition_point(|stats| stats.arm < arm);
    let mut known = points[begin..]
        .iter()
        .take_while(|stats| stats.arm == arm)
        .peekable();

    let seeds = spec.seeds.tune.len() as u32;
    let mut found: BTreeMap<Ineligible, Vec<u64>> = BTreeMap::new();
    for index in 0..size {
        let stats = known.next_if(|stats| stats.index == index);
        let Some(why) = Ineligible::of(stats, &spec.metric.name, seeds) else {
            continue;
        };

        let examples = found.entry(why).or_default();
        if examples.len() < MAX_EXAMPLES && !evaluation.pruned.contains(&(arm, index)) {
            examples.push(index);
        }
    }
    found
}

/// Whether a trial is one of those for which its point is ineligible.
fn lacks(why: Ineligible, metric: &str, row: Option<&TrialRow>) -> bool {
    let row = row.filter(|row| row.state == TrialState::Done);
    let value = row
        .and_then(|row| row.metrics.as_ref())
        .and_then(|metrics| metrics.get(metric));
    match why {
        Ineligible::LacksSeed => row.is_none(),
        Ineligible::LacksMetric => row.is_some() && value.is_none(),
        Ineligible::NotFinite => value.is_some_and(|value| !value.is_finite()),
    }
}

/// Evaluates the arms. Takes the selections, the statistics of all points over the tuning seeds,
/// and the counts of the tuning trials.
pub(super) fn evaluate_arms(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    selections: Vec<ArmSelection>,
    points: &[PointStats],
    tune_tallies: &[Tally],
) -> Result<Vec<ArmEvaluation>, StatsError> {
    let metric = &spec.metric.name;
    let mut untimed_counts = vec![0; selections.len()];
    let mut untimed_metrics: HashMap<TrialId, Metrics> = HashMap::new();
    let mut observations = Vec::new();
    let mut final_tallies = vec![Tally::default(); selections.len()];
    let mut selected: BTreeMap<usize, Point> = BTreeMap::new();
    for selection in &selections {
        let Some(index) = selection.best else {
            continue;
        };
        let arm = selection.arm;
        let point = grid.arms()[arm].point(PointIndex(index));
        for &seed in &spec.seeds.final_ {
            let id = TrialId {
                point: point.id,
                seed,
            };

            let row = rows.get(&id);
            final_tallies[arm].count(metric, row, false);
            let Some(found) = observation(metric, arm, index, seed, row) else {
                continue;
            };

            // Wall-clock times count only for trials that ran as final ones, alone on their device:
            // a seed that a changed sweep file has moved here from the tuning seeds keeps its
            // result, but not its time.
            if row.is_some_and(|row| row.phase == Phase::Tune) {
                untimed_counts[arm] += 1;
                untimed_metrics.insert(id, found.metrics.without_wall_clock());
            }
            observations.push((id, found));
        }
        selected.insert(arm, point);
    }

    let observations: Vec<Observation<'_>> = observations
        .into_iter()
        .map(|(id, found)| match untimed_metrics.get(&id) {
            Some(metrics) => Observation { metrics, ..found },
            None => found,
        })
        .collect();

    // Each arm has at most one selected point, so its number is the key.
    let mut finals: BTreeMap<usize, PointStats> = point_stats(&observations)?
        .into_iter()
        .map(|stats| (stats.arm, stats))
        .collect();

    let arms = selections
        .into_iter()
        .map(|selection| ArmEvaluation {
            arm: selection.arm,
            point: selected.remove(&selection.arm),
            tuned: selection
                .best
                .and_then(|index| find_stats(points, selection.arm, index).cloned()),
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

fn find_stats(points: &[PointStats], arm: usize, index: u64) -> Option<&PointStats> {
    points
        .binary_search_by_key(&(arm, index), |stats| (stats.arm, stats.index))
        .ok()
        .map(|place| &points[place])
}

/// Returns the state of the race of `prune: safe` by the results in the ledger; None where the
/// sweep file does not ask for one.
pub fn race(spec: &Spec, grid: &Grid, rows: &HashMap<TrialId, TrialRow>) -> Option<Race> {
    let mut race = Race::new(spec, grid)?;
    for row in rows.values().filter(|row| row.state == TrialState::Done) {
        if let Some(metrics) = &row.metrics {
            race.record(row.id, metrics.get(&spec.metric.name));
        }
    }
    Some(race)
}

/// Returns a trial of the given arm, point and seed as an observation, if it is done.
pub(super) fn observation<'a>(
    selecting: &str,
    arm: usize,
    index: u64,
    seed: u64,
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
