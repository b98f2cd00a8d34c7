//! The best point of each arm: best mean of the metric over the tuning seeds; ties by lower mean
//! validation loss, then by lower deviation of the metric, then by grid order. A point is eligible
//! if it has the metric on every tuning seed and the mean is finite.

use std::cmp::Ordering;

use super::stats::{PointStats, Stat};
use crate::spec::{Goal, Metric};

/// The metric that breaks ties, where trials report it.
const TIE_BREAKER: &str = "val_loss";
/// Number of significant digits to which means are compared, so that equal means tie although their
/// sums were rounded differently.
const SIGNIFICANT_DIGITS: usize = 12;
/// Numbers that differ by a larger share have the same order after rounding.
const CERTAIN_DIFFERENCE: f64 = 1e-10;

/// Why a point cannot be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ineligible {
    /// It lacks a tuning seed: not started, running, or failed with no retries left.
    LacksSeed,
    /// A finished trial lacks the metric, for example because it ran before `metric` was changed.
    LacksMetric,
    /// The metric is infinite or NaN on a seed.
    NotFinite,
}

impl Ineligible {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::LacksSeed, Self::LacksMetric, Self::NotFinite];

    /// Returns why a point cannot be selected; None if it can. `stats` are its statistics over the
    /// tuning seeds, if it has any, and `seeds` is the number of tuning seeds.
    pub fn of(stats: Option<&PointStats>, metric: &str, seeds: u32) -> Option<Self> {
        let Some(stats) = stats.filter(|stats| stats.n >= seeds) else {
            return Some(Self::LacksSeed);
        };
        match stats.stats.get(metric) {
            Some(stat) if stat.n < seeds => Some(Self::LacksMetric),
            Some(stat) if !stat.mean.is_finite() => Some(Self::NotFinite),
            Some(_) => None,
            None => Some(Self::LacksMetric),
        }
    }
}

/// The outcome of selection in one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArmSelection {
    /// Number of the arm.
    pub arm: usize,
    /// Number of the selected point; None if no point is eligible.
    pub best: Option<u64>,
    /// Number of other points with the same mean of the metric, which lost by a tie rule.
    pub tied: u64,
    /// Number of points that lack a tuning seed.
    pub lack_seed: u64,
    /// Number of points that have all their seeds, but not the metric on each.
    pub lack_metric: u64,
    /// Number of points whose metric is infinite or NaN on a seed.
    pub not_finite: u64,
}

impl ArmSelection {
    /// Number of points that cannot be selected for a reason.
    pub fn ineligible(&self, why: Ineligible) -> u64 {
        match why {
            Ineligible::LacksSeed => self.lack_seed,
            Ineligible::LacksMetric => self.lack_metric,
            Ineligible::NotFinite => self.not_finite,
        }
    }
}

/// Selects the best point of each arm. `stats` are of the tuning trials; `points` is the number of
/// points of each arm, and `seeds` the number of tuning seeds. Without tuning seeds every arm has
/// one point, which is selected.
pub fn select(
    metric: &Metric,
    points: &[u64],
    seeds: u32,
    stats: &[PointStats],
) -> Vec<ArmSelection> {
    let mut selections: Vec<ArmSelection> = (0..points.len())
        .map(|arm| ArmSelection {
            arm,
            ..Default::default()
        })
        .collect();
    if seeds == 0 {
        selections
            .iter_mut()
            .for_each(|selection| selection.best = Some(0));
        return selections;
    }

    // A watched sweep selects several times a second among tens of thousands of points, so the
    // metric is looked up only once for each.
    let mut eligible: Vec<Vec<Eligible<'_>>> = vec![Vec::new(); points.len()];
    for point in stats {
        let Some(selection) = selections.get_mut(point.arm) else {
            continue;
        };

        let why = Ineligible::of(Some(point), &metric.name, seeds);
        match (why, point.stats.get(&metric.name)) {
            (None, Some(stat)) => eligible[point.arm].push(Eligible::new(metric, stat, point)),
            (Some(Ineligible::LacksMetric), _) => selection.lack_metric += 1,
            (Some(Ineligible::NotFinite), _) => selection.not_finite += 1,
            // Counted below, with those that have no result at all.
            (Some(Ineligible::LacksSeed) | None, _) => {}
        }
    }

    for ((selection, eligible), count) in selections.iter_mut().zip(&eligible).zip(points) {
        selection.lack_seed =
            count - eligible.len() as u64 - selection.lack_metric - selection.not_finite;
        let Some(best) = eligible.iter().min_by(|a, b| a.rank(metric, b)) else {
            continue;
        };

        // The best point ties with itself.
        selection.best = Some(best.point.index);
        let tied = eligible.iter().filter(|other| best.ties_with(other));
        selection.tied = tied.count() as u64 - 1;
    }
    selections
}

/// A point that can be selected.
#[derive(Clone, Copy)]
struct Eligible<'p> {
    /// Its mean, as a number to minimise.
    cost: f64,
    point: &'p PointStats,
}

impl<'p> Eligible<'p> {
    fn new(metric: &Metric, stat: &Stat, point: &'p PointStats) -> Self {
        let cost = match metric.goal {
            Goal::Maximize => -stat.mean,
            Goal::Minimize => stat.mean,
        };
        Self { cost, point }
    }

    /// Orders points, the better first.
    fn rank(&self, metric: &Metric, other: &Self) -> Ordering {
        compare_costs(Some(self.cost), Some(other.cost))
            .then_with(|| compare_costs(self.loss(), other.loss()))
            .then_with(|| compare_costs(self.deviation(metric), other.deviation(metric)))
            .then_with(|| self.point.index.cmp(&other.point.index))
    }

    fn ties_with(&self, other: &Self) -> bool {
        compare_costs(Some(self.cost), Some(other.cost)) == Ordering::Equal
    }

    fn loss(&self) -> Option<f64> {
        self.point.stats.get(TIE_BREAKER).map(|stat| stat.mean)
    }

    fn deviation(&self, metric: &Metric) -> Option<f64> {
        self.point
            .stats
            .get(&metric.name)
            .and_then(|stat: &Stat| stat.std)
    }
}

/// Orders numbers to minimise, rounded. Numbers that are missing or not finite come last and are
/// equal to each other.
fn compare_costs(a: Option<f64>, b: Option<f64>) -> Ordering {
    if let (Some(a), Some(b)) = (a, b)
        && a.is_finite()
        && b.is_finite()
    {
        if a == b {
            return Ordering::Equal;
        }
        // Rounding is slow, so it is skipped where it cannot change the order.
        if (a - b).abs() > CERTAIN_DIFFERENCE * a.abs().max(b.abs()) {
            return a.total_cmp(&b);
        }
    }
    rounded_cost(a).total_cmp(&rounded_cost(b))
}

/// A number to minimise, rounded; infinity where it is missing, NaN or infinite, even if it is
/// negative.
fn rounded_cost(cost: Option<f64>) -> f64 {
    cost.filter(|cost| cost.is_finite())
        .map_or(f64::INFINITY, round)
}

fn round(value: f64) -> f64 {
    let rounded: f64 = format!("{value:.precision$e}", precision = SIGNIFICANT_DIGITS - 1)
        .parse()
        .unwrap_or(value);
    // Adding zero turns -0.0 into 0.0, which `total_cmp` would tell apart.
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::At;
    use proptest::prelude::*;

    fn point(index: u64, mean: f64, std: f64, loss: f64) -> PointStats {
        let stats = [("acc", mean, Some(std)), ("val_loss", loss, None)];
        PointStats {
            arm: 0,
            index,
            n: 3,
            diverged: 0,
            stats: stats
                .into_iter()
                .map(|(name, mean, std)| (name.to_owned(), Stat { mean, std, n: 3 }))
                .collect(),
        }
    }

    fn selected(goal: Goal, points: &[PointStats]) -> ArmSelection {
        let metric = Metric {
            name: "acc".into(),
            goal,
            at: At::Last,
        };
        select(&metric, &[8], 3, points)[0]
    }

    fn best(goal: Goal, points: &[PointStats]) -> (Option<u64>, u64, u64) {
        let selection = selected(goal, points);
        (selection.best, selection.tied, selection.lack_seed)
    }

    #[test]
    fn ties_are_broken_by_loss_then_deviation_then_grid_order() {
        let max = |points: &[PointStats]| best(Goal::Maximize, points);
        assert_eq!(
            max(&[point(0, 90.0, 1.0, 1.0), point(1, 91.0, 9.0, 9.0)]),
            (Some(1), 0, 6)
        );
        assert_eq!(
            max(&[point(0, 90.0, 1.0, 1.0), point(1, 90.0, 9.0, 0.5)]),
            (Some(1), 1, 6)
        );
        assert_eq!(
            max(&[point(0, 90.0, 1.0, 1.0), point(1, 90.0, 0.5, 1.0)]),
            (Some(1), 1, 6)
        );
        assert_eq!(
            max(&[point(1, 90.0, 1.0, 1.0), point(0, 90.0, 1.0, 1.0)]),
            (Some(0), 1, 6)
        );
        assert_eq!(
            best(
                Goal::Minimize,
                &[point(0, 90.0, 1.0, 1.0), point(1, 91.0, 1.0, 1.0)]
            )
            .0,
            Some(0)
        );
    }

    #[test]
    fn sums_rounded_differently_still_tie() {
        let (a, b) = (0.1 + 0.2, 0.3);
        assert_ne!(a, b);
        assert_eq!(
            best(
                Goal::Maximize,
                &[point(0, b, 1.0, 2.0), point(1, a, 1.0, 1.0)]
            ),
            (Some(1), 1, 6)
        );
    }

    #[test]
    fn a_mean_that_is_not_finite_never_wins() {
        for goal in [Goal::Maximize, Goal::Minimize] {
            for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let found = selected(
                    goal,
                    &[point(0, odd, f64::NAN, 0.0), point(1, -5.0, 1.0, f64::NAN)],
                );
                assert_eq!(
                    (found.best, found.not_finite, found.lack_seed),
                    (Some(1), 1, 6),
                    "{goal:?} {odd}"
                );
                let alone = selected(goal, &[point(0, odd, f64::NAN, 0.0)]);
                assert_eq!(
                    (alone.best, alone.tied, alone.not_finite),
                    (None, 0, 1),
                    "{goal:?} {odd}"
                );
                // Among equal means an infinite loss is no low one.
                assert_eq!(
                    best(goal, &[point(0, 10.0, 0.0, odd), point(1, 10.0, 0.0, 7.0)]),
                    (Some(1), 1, 6),
                    "{odd}"
                );
                assert_eq!(
                    best(goal, &[point(0, 10.0, 2.0, odd), point(1, 10.0, 1.0, odd)]),
                    (Some(1), 1, 6),
                    "{odd}"
                );
            }
        }
    }

    #[test]
    fn a_point_that_lacks_the_metric_on_a_seed_is_not_eligible() {
        let mut partly = point(0, 99.0, 0.0, 0.0);
        partly.stats.insert(
            "acc".to_owned(),
            Stat {
                mean: 99.0,
                std: Some(0.0),
                n: 2,
            },
        );
        let mut without = point(2, 0.0, 0.0, 0.0);
        without.stats = [(
            "val_loss".to_owned(),
            Stat {
                mean: 0.0,
                std: None,
                n: 3,
            },
        )]
        .into_iter()
        .collect();
        let found = selected(
            Goal::Maximize,
            &[partly.clone(), point(1, 10.0, 1.0, 1.0), without.clone()],
        );
        assert_eq!(
            (found.best, found.lack_metric, found.lack_seed),
            (Some(1), 2, 5)
        );
        let none = selected(Goal::Maximize, &[partly, without]);
        assert_eq!(
            (none.best, none.tied, none.lack_metric, none.lack_seed),
            (None, 0, 2, 6)
        );
    }

    #[test]
    fn a_point_that_lacks_a_seed_is_not_eligible() {
        let mut better = point(0, 99.0, 0.0, 0.0);
        better.n = 2;
        assert_eq!(
            best(Goal::Maximize, &[better.clone(), point(1, 10.0, 1.0, 1.0)]),
            (Some(1), 0, 7)
        );
        assert_eq!(best(Goal::Maximize, &[better]), (None, 0, 8));
    }

    proptest! {
        #[test]
        fn the_choice_is_the_best_and_does_not_depend_on_the_order(
            figures in prop::collection::vec((0_i32..4, 0_i32..3, 0_i32..3), 1..8),
            turn in 0_usize..8,
        ) {
            let mut points: Vec<_> = figures
                .iter()
                .enumerate()
                .map(|(index, (mean, std, loss))| point(index as u64, f64::from(*mean), f64::from(*std), f64::from(*loss)))
                .collect();
            let chosen = best(Goal::Maximize, &points).0.unwrap();
            let expected = (0..figures.len()).min_by_key(|&i| (-figures[i].0, figures[i].2, figures[i].1, i)).unwrap();
            prop_assert_eq!(chosen, expected as u64);
            let middle = turn % points.len();
            points.rotate_left(middle);
            prop_assert_eq!(best(Goal::Maximize, &points).0.unwrap(), chosen);
        }
    }
}
