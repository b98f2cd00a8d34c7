//! Safe racing (`prune: safe`): which points cannot become the best of their arm any more, whatever
//! their remaining seeds give. Results come in any order; the answer depends on the results alone.
//!
//! A point whose k results have the sum s and which lacks r seeds ends with a mean of at most
//! (s + r b) / (k + r), where b is the best value that the metric can take. The point is eliminated
//! where that is less than the mean of a point that has all its seeds: it can neither win nor tie.
//! Hence every point that selection could choose in the full grid is complete in the end, and the
//! choice, tie rules included, is the same. `racing_tests` compares with the real selection.

use std::collections::HashMap;
use std::fmt;

use crate::grid::{ArmIndex, Grid, PointId, TrialId};
use crate::spec::{Goal, Prune, Spec};

/// Means that differ by less than this share of their terms count as equal: selection rounds to 12
/// digits, and sums in another order round differently, by 1e-16 of each term.
const TOLERANCE: f64 = 1e-9;

/// Means above this are not compared, since sums may overflow.
const MAX_COMPARED_MEAN: f64 = 1e300;

/// The state of the race.
#[derive(Clone, Debug)]
pub struct Race {
    goal: Goal,
    /// The best value that the metric can take. Like all values here, it is oriented so that
    /// greater is better.
    bound: f64,
    /// The tuning seeds, sorted.
    seeds: Vec<u64>,
    /// The places of the points in `contenders`.
    numbers: HashMap<PointId, usize>,
    contenders: Vec<Contender>,
    /// By number of the arm.
    arms: Vec<ArmRace>,
    violation: Option<BoundViolation>,
}

/// A result that is better than the metric can be: the declared bound is wrong, and no point is
/// eliminated.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundViolation {
    /// The trial; of several, the one with the best value.
    pub trial: TrialId,
    /// Its value.
    pub value: f64,
    /// The declared best value of the metric.
    pub best: f64,
}

impl fmt::Display for BoundViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trial, value, best } = self;
        write!(
            f,
            "trial {trial} reached {value}, which is better than the best value that the metric can take ({best})"
        )
    }
}

/// The effect of a result on the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceUpdate {
    /// No point was eliminated.
    Unchanged,
    /// Points were eliminated; this many trials of theirs are saved.
    Eliminated(u64),
    /// The race is cancelled: no point is eliminated any more.
    Cancelled,
}

/// One point in all the arms that it stands in.
#[derive(Clone, Debug, Default)]
struct Contender {
    arms: Vec<ArmIndex>,
    /// Results by seed, in the order of the seeds, so that sums do not depend on the order of
    /// execution. A value that is missing (as after a change of the metric) or not finite is NaN: a
    /// point with such a result cannot be selected.
    results: Vec<(u64, f64)>,
    eliminated: bool,
}

#[derive(Clone, Debug, Default)]
struct ArmRace {
    contenders: Vec<usize>,
    /// The best mean of a complete point, reduced by the tolerance.
    threshold: Option<f64>,
}

impl Race {
    /// Creates the race before its first result; None if the spec asks for none.
    pub fn new(spec: &Spec, grid: &Grid) -> Option<Self> {
        let Prune::Safe { best } = spec.prune else {
            return None;
        };

        let mut seeds = spec.seeds.tune.clone();
        seeds.sort_unstable();

        let mut race = Self {
            goal: spec.metric.goal,
            bound: oriented(spec.metric.goal, best),
            seeds,
            numbers: HashMap::new(),
            contenders: Vec::new(),
            arms: vec![ArmRace::default(); grid.arms().len()],
            violation: None,
        };
        for (arm, arm_grid) in grid.numbered_arms() {
            for point in arm_grid.points() {
                race.enter(arm, point.id);
            }
        }
        Some(race)
    }

    fn enter(&mut self, arm: ArmIndex, point: PointId) {
        let number = *self.numbers.entry(point).or_insert(self.contenders.len());
        if number == self.contenders.len() {
            self.contenders.push(Contender::default());
        }
        self.contenders[number].arms.push(arm);
        self.arms[arm.0].contenders.push(number);
    }

    /// How many seeds complete a point.
    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    /// How many results of tuning seeds a point has.
    pub fn results(&self, point: PointId) -> usize {
        self.numbers
            .get(&point)
            .map_or(0, |number| self.contenders[*number].results.len())
    }

    /// Records the result of a tuning trial, or of a final trial, which only tells whether the
    /// bound holds. `value` is the trial's final metric. A second result of a trial is ignored.
    pub fn record(&mut self, trial: TrialId, value: Option<f64>) -> RaceUpdate {
        let Some(&number) = self.numbers.get(&trial.point) else {
            return RaceUpdate::Unchanged;
        };
        let value = value
            .filter(|value| value.is_finite())
            .map_or(f64::NAN, |value| oriented(self.goal, value));

        if value > self.bound {
            let is_first = self.violation.is_none();
            self.record_violation(trial, value);
            if is_first {
                return RaceUpdate::Cancelled;
            }
        }

        if self.seeds.binary_search(&trial.seed).is_err() {
            return RaceUpdate::Unchanged;
        }
        let results = &mut self.contenders[number].results;
        let Err(place) = results.binary_search_by_key(&trial.seed, |(seed, _)| *seed) else {
            return RaceUpdate::Unchanged;
        };
        results.insert(place, (trial.seed, value));

        let saved = self.raise_thresholds(number) + self.try_eliminate(number);
        if saved > 0 && self.violation.is_none() {
            RaceUpdate::Eliminated(saved)
        } else {
            RaceUpdate::Unchanged
        }
    }

    /// Keeps the violation with the best value; of equal values, that of the lowest trial id, so
    /// that the order of the results does not matter.
    fn record_violation(&mut self, trial: TrialId, value: f64) {
        let is_further = match &self.violation {
            Some(known) => {
                let known_value = oriented(self.goal, known.value);
                value > known_value || (value == known_value && trial < known.trial)
            }
            None => true,
        };
        if is_further {
            self.violation = Some(BoundViolation {
                trial,
                value: oriented(self.goal, value),
                best: oriented(self.goal, self.bound),
            });
        }
    }

    /// If a point is complete, raises the thresholds of its arms to its mean, and eliminates what
    /// falls below them. Returns how many trials that saves.
    fn raise_thresholds(&mut self, number: usize) -> u64 {
        if self.contenders[number].results.len() < self.seeds.len() {
            return 0;
        }
        let Some(threshold) = self.lowest_mean(number) else {
            return 0;
        };

        let mut saved = 0;
        for arm in self.contenders[number].arms.clone() {
            let arm = &mut self.arms[arm.0];
            if arm.threshold.is_some_and(|known| threshold <= known) {
                continue;
            }
            arm.threshold = Some(threshold);
            for other in arm.contenders.clone() {
                saved += self.try_eliminate(other);
            }
        }
        saved
    }

    /// Whether a point gets no further seeds. Meaningless for a point that has all of them.
    pub fn is_eliminated(&self, point: PointId) -> bool {
        self.violation.is_none()
            && self
                .numbers
                .get(&point)
                .is_some_and(|number| self.contenders[*number].eliminated)
    }

    /// The result that is better than the metric can be, if there is one.
    pub fn bound_violation(&self) -> Option<&BoundViolation> {
        self.violation.as_ref()
    }

    /// How far the best mean that a point can still reach is below the bound.
    pub fn shortfall(&self, point: PointId) -> f64 {
        self.numbers
            .get(&point)
            .map_or(f64::INFINITY, |number| self.shortfall_of(*number))
    }

    /// Eliminates a point if it can neither win nor tie in any of its arms. Returns how many trials
    /// that saves: 0 if it was eliminated before.
    fn try_eliminate(&mut self, number: usize) -> u64 {
        let contender = &self.contenders[number];
        let missing = self.seeds.len() - contender.results.len();
        if missing == 0 || contender.eliminated {
            return 0;
        }

        // Infinitely low where a result is missing or not finite.
        let reach = self.bound + TOLERANCE * self.bound.abs()
            - self.shortfall_of(number) * (1.0 - TOLERANCE);
        let is_hopeless = contender.arms.iter().all(|arm| {
            let threshold = self.arms[arm.0].threshold;
            threshold.is_some_and(|threshold| reach < threshold)
        });

        self.contenders[number].eliminated = is_hopeless;
        if is_hopeless { missing as u64 } else { 0 }
    }

    /// The mean of a complete point, reduced by the tolerance; None if it cannot be compared.
    fn lowest_mean(&self, number: usize) -> Option<f64> {
        let mean = self.bound
            - TOLERANCE * self.bound.abs()
            - self.shortfall_of(number) * (1.0 + TOLERANCE);
        (mean.abs() < MAX_COMPARED_MEAN).then_some(mean)
    }

    /// How far the mean of a point's results, with the bound for the seeds that it lacks, is below
    /// the bound. A sum of non-negative terms, so it never decreases as results arrive, even with
    /// rounding: an eliminated point stays eliminated.
    fn shortfall_of(&self, number: usize) -> f64 {
        let sum: f64 = self.contenders[number]
            .results
            .iter()
            .map(|(_, value)| {
                if value.is_nan() {
                    f64::INFINITY
                } else {
                    (self.bound - value).max(0.0)
                }
            })
            .sum();
        sum / self.seeds.len().max(1) as f64
    }
}

/// Turns values so that greater is better. Applied twice, it gives the value back.
fn oriented(goal: Goal, value: f64) -> f64 {
    match goal {
        Goal::Maximize => value,
        Goal::Minimize => -value,
    }
}
