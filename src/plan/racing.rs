//! Safe racing (`prune: safe`): which points cannot become the best of their arm any more, whatever
//! their remaining seeds give. Fed with results in any order; what it says depends on the results
//! alone.
//!
//! A point whose k results have the sum s and which lacks r seeds ends with a mean of at most (s +
//! r b) / (k + r), where b is the best value that the metric can take. It is out where that is less
//! than the mean of a point that has all its seeds: it can neither win nor tie. Hence every point
//! that selection could choose in the full grid is complete in the end, and the choice, tie rules
//! included, is the same. `racing_tests` holds that against the real selection.

use std::collections::HashMap;
use std::fmt;

use crate::grid::{Grid, PointId, TrialId};
use crate::spec::{Goal, Prune, Spec};

/// Means that differ by less than this share of their terms count as equal: selection rounds to 12
/// digits, and sums in another order round differently, by 1e-16 of their terms for each.
const SLACK: f64 = 1e-9;
/// Beyond this, sums may overflow: nothing is said of such means.
const HUGE: f64 = 1e300;

/// The state of the race.
#[derive(Clone, Debug)]
pub struct Race {
    goal: Goal,
    /// Values are turned so that greater is better; so is this bound.
    bound: f64,
    /// The tuning seeds, sorted.
    seeds: Vec<u64>,
    numbers: HashMap<PointId, usize>,
    points: Vec<Contender>,
    arms: Vec<ArmRace>,
    beyond: Option<Beyond>,
}

/// A result that is better than the metric can be: the declared bound is wrong, and nobody is out.
#[derive(Clone, Debug, PartialEq)]
pub struct Beyond {
    /// The trial; of several the one furthest beyond.
    pub trial: TrialId,
    /// Its value.
    pub value: f64,
    /// The best value that the metric was said to take.
    pub best: f64,
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trial, value, best } = self;
        write!(
            f,
            "trial {trial} reached {value}, which is better than the best value that the metric can take ({best})"
        )
    }
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nobody's fate.
    Nothing,
    /// Points are out that were not before: together they lack so many seeds.
    Out(u64),
    /// The race is off: nobody is out any more.
    Off,
}

/// One point, whatever arms it stands in.
#[derive(Clone, Debug, Default)]
struct Contender {
    /// The arms that it stands in.
    arms: Vec<usize>,
    /// Results by seed, in the order of the seeds, so that sums do not depend on the order of
    /// execution. What is missing, as after a change of the metric, or not finite is NaN: a point
    /// with such a result cannot be selected.
    results: Vec<(u64, f64)>,
    out: bool,
}

#[derive(Clone, Debug, Default)]
struct ArmRace {
    points: Vec<usize>,
    /// The best mean of a complete point, less what rounding may do to it.
    threshold: Option<f64>,
}

impl Race {
    /// A race that has not begun; None where the spec asks for none.
    pub fn new(spec: &Spec, grid: &Grid) -> Option<Self> {
        let Prune::Safe { best } = spec.prune else {
            return None;
        };
        let mut seeds = spec.seeds.tune.clone();
        seeds.sort_unstable();
        let mut race = Self {
            goal: spec.metric.goal,
            bound: turned(spec.metric.goal, best),
            seeds,
            numbers: HashMap::new(),
            points: Vec::new(),
            arms: vec![ArmRace::default(); grid.arms().len()],
            beyond: None,
        };
        for (arm, points) in grid.arms().iter().enumerate() {
            for point in points.points() {
                let number = *race.numbers.entry(point.id).or_insert(race.points.len());
                if number == race.points.len() {
                    race.points.push(Contender::default());
                }
                race.points[number].arms.push(arm);
                race.arms[arm].points.push(number);
            }
        }
        Some(race)
    }

    /// How many seeds complete a point.
    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    /// How many results of tuning seeds a point has.
    pub fn results(&self, point: PointId) -> usize {
        self.numbers
            .get(&point)
            .map_or(0, |number| self.points[*number].results.len())
    }

    /// Takes note of a result: of a tuning trial, or of a final one, which only tells whether the
    /// bound holds. `value` is the trial's final metric. A second result of a trial is ignored.
    pub fn record(&mut self, trial: TrialId, value: Option<f64>) -> Turn {
        let Some(&number) = self.numbers.get(&trial.point) else {
            return Turn::Nothing;
        };
        let value = value
            .filter(|value| value.is_finite())
            .map_or(f64::NAN, |value| turned(self.goal, value));
        if value > self.bound {
            let first = self.beyond.is_none();
            let found = Beyond {
                trial,
                value: turned(self.goal, value),
                best: turned(self.goal, self.bound),
            };
            let further = |known: &Beyond| {
                let known_value = turned(self.goal, known.value);
                value > known_value || (value == known_value && trial < known.trial)
            };
            if self.beyond.as_ref().is_none_or(further) {
                self.beyond = Some(found);
            }
            if first {
                return Turn::Off;
            }
        }
        if self.seeds.binary_search(&trial.seed).is_err() {
            return Turn::Nothing;
        }
        let results = &mut self.points[number].results;
        let Err(place) = results.binary_search_by_key(&trial.seed, |(seed, _)| *seed) else {
            return Turn::Nothing;
        };
        results.insert(place, (trial.seed, value));
        let complete = results.len() == self.seeds.len();
        let mut out = 0;
        if complete && let Some(threshold) = self.worth(number) {
            for arm in self.points[number].arms.clone() {
                if self.arms[arm]
                    .threshold
                    .is_none_or(|known| threshold > known)
                {
                    self.arms[arm].threshold = Some(threshold);
                    for other in self.arms[arm].points.clone() {
                        out += self.judge(other);
                    }
                }
            }
        }
        out += self.judge(number);
        if out > 0 && self.beyond.is_none() {
            Turn::Out(out)
        } else {
            Turn::Nothing
        }
    }

    /// Whether a point gets no further seeds. Of one that has them all it says nothing.
    pub fn is_out(&self, point: PointId) -> bool {
        self.beyond.is_none()
            && self
                .numbers
                .get(&point)
                .is_some_and(|number| self.points[*number].out)
    }

    /// The result that is better than the metric can be, if there is one.
    pub fn beyond(&self) -> Option<&Beyond> {
        self.beyond.as_ref()
    }

    /// How far the best mean that a point can still reach lies behind the bound.
    pub fn shortfall(&self, point: PointId) -> f64 {
        self.numbers
            .get(&point)
            .map_or(f64::INFINITY, |number| self.behind(*number))
    }

    /// Puts a point out if it is; returns how many seeds it lacks, if it was not before.
    fn judge(&mut self, number: usize) -> u64 {
        let missing = self.seeds.len() - self.points[number].results.len();
        if missing == 0 || self.points[number].out {
            return 0;
        }
        // Where a result is missing or not finite this is infinitely low.
        let reach = self.bound + SLACK * self.bound.abs() - self.behind(number) * (1.0 - SLACK);
        let below = |threshold: f64| reach < threshold;
        let out = self.points[number]
            .arms
            .iter()
            .all(|arm| self.arms[*arm].threshold.is_some_and(below));
        self.points[number].out = out;
        if out { missing as u64 } else { 0 }
    }

    /// The mean of a complete point, less what rounding may do to it; None if it is no number to
    /// race against.
    fn worth(&self, number: usize) -> Option<f64> {
        let worth = self.bound - SLACK * self.bound.abs() - self.behind(number) * (1.0 + SLACK);
        (worth.abs() < HUGE).then_some(worth)
    }

    /// How far a point's results, with the bound for the seeds that it lacks, are behind the bound
    /// in their mean. As a sum of what is not negative it never falls when a result is added, not
    /// even by rounding: who is out stays out.
    fn behind(&self, number: usize) -> f64 {
        let short = |value: f64| {
            if value.is_nan() {
                f64::INFINITY
            } else {
                (self.bound - value).max(0.0)
            }
        };
        let sum: f64 = self.points[number]
            .results
            .iter()
            .map(|(_, value)| short(*value))
            .sum();
        sum / self.seeds.len().max(1) as f64
    }
}

fn turned(goal: Goal, value: f64) -> f64 {
    match goal {
        Goal::Maximize => value,
        Goal::Minimize => -value,
    }
}
