//! The best point of each arm: best mean of the metric over the tuning seeds; ties by lower mean validation loss,
//! then by lower deviation of the metric, then by grid order. A point that lacks a seed is not eligible.

use std::cmp::Ordering;

use super::stats::{PointStats, Stat};
use crate::spec::{Goal, Metric};

/// The metric that breaks ties, where trials report it.
const TIE_BREAKER: &str = "val_loss";
/// Means are compared to so many significant digits: equal figures must tie although their sums were rounded
/// differently.
const DIGITS: usize = 12;

/// What selection found for an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSelection {
    /// Number of the arm.
    pub arm: usize,
    /// Number of the selected point; None if no point is complete.
    pub best: Option<u64>,
    /// Other points with the same mean of the metric, which a tie rule put behind.
    pub tied: u64,
    /// Points that lack a seed: not started, running, or failed for good.
    pub incomplete: u64,
}

/// Selects in each arm. `stats` are of the tuning trials; `points` is how many points each arm has, and `seeds`
/// how many tuning seeds. Without tuning seeds every arm has one point, and that is it.
pub fn select(metric: &Metric, points: &[u64], seeds: u32, stats: &[PointStats]) -> Vec<ArmSelection> {
    if seeds == 0 {
        return (0..points.len()).map(|arm| ArmSelection { arm, best: Some(0), tied: 0, incomplete: 0 }).collect();
    }
    // A watched sweep selects several times a second among tens of thousands: names are looked up once for each.
    let mut complete: Vec<Vec<Complete<'_>>> = vec![Vec::new(); points.len()];
    for point in stats.iter().filter(|point| point.n == seeds) {
        if let Some(of_arm) = complete.get_mut(point.arm) {
            let mean = point.stats.get(&metric.name).map(|stat| stat.mean);
            let low = if metric.goal == Goal::Maximize { mean.map(|mean| -mean) } else { mean };
            of_arm.push((low, point));
        }
    }
    let choose = |(arm, (complete, &count)): (usize, (Vec<Complete<'_>>, &u64))| {
        let best = complete.iter().min_by(|a, b| rank(metric, a, b)).copied();
        // Points without a figure do not tie: none of them reached anything.
        let best_low = best.and_then(|(low, _)| low).filter(|low| !low.is_nan());
        let same = |(low, _): &&Complete<'_>| best_low.is_some() && lower(best_low, *low) == Ordering::Equal;
        ArmSelection {
            arm,
            best: best.map(|(_, point)| point.index),
            tied: (complete.iter().filter(same).count() as u64).saturating_sub(1),
            incomplete: count - complete.len() as u64,
        }
    };
    complete.into_iter().zip(points).enumerate().map(choose).collect()
}

/// A point that lacks no seed, behind its mean as a number to minimise.
type Complete<'p> = (Option<f64>, &'p PointStats);

/// Orders points, the better first.
fn rank(metric: &Metric, (low_a, a): &Complete<'_>, (low_b, b): &Complete<'_>) -> Ordering {
    let loss = |point: &PointStats| point.stats.get(TIE_BREAKER).map(|stat| stat.mean);
    let spread = |point: &PointStats| point.stats.get(&metric.name).and_then(|stat: &Stat| stat.std);
    lower(*low_a, *low_b)
        .then_with(|| lower(loss(a), loss(b)))
        .then_with(|| lower(spread(a), spread(b)))
        .then_with(|| a.index.cmp(&b.index))
}

/// Orders numbers to minimise, rounded; missing and NaN come last.
fn lower(a: Option<f64>, b: Option<f64>) -> Ordering {
    if let (Some(a), Some(b)) = (a, b) {
        if a == b {
            return Ordering::Equal;
        }
        // Rounding is slow, and keeps the order of what lies so far apart.
        if (a - b).abs() > 1e-10 * a.abs().max(b.abs()) {
            return a.total_cmp(&b);
        }
    }
    badness(a).total_cmp(&badness(b))
}

/// A number to minimise: missing and NaN are worse than everything.
fn badness(value: Option<f64>) -> f64 {
    match value {
        Some(value) if !value.is_nan() => round(value),
        _ => f64::INFINITY,
    }
}

fn round(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    // Adding zero makes -0.0 equal to 0.0, which `total_cmp` would tell apart.
    format!("{value:.precision$e}", precision = DIGITS - 1).parse().unwrap_or(value) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(index: u64, mean: f64, std: f64, loss: f64) -> PointStats {
        let stats = [("acc", mean, Some(std)), ("val_loss", loss, None)];
        PointStats {
            arm: 0,
            index,
            n: 3,
            diverged: 0,
            stats: stats.into_iter().map(|(name, mean, std)| (name.to_owned(), Stat { mean, std, n: 3 })).collect(),
        }
    }

    fn best(goal: Goal, points: &[PointStats]) -> (Option<u64>, u64, u64) {
        let metric = Metric { name: "acc".into(), goal };
        let selection = &select(&metric, &[8], 3, points)[0];
        (selection.best, selection.tied, selection.incomplete)
    }

    #[test]
    fn ties_go_by_loss_then_spread_then_grid_order() {
        let max = |points: &[PointStats]| best(Goal::Maximize, points);
        assert_eq!(max(&[point(0, 90.0, 1.0, 1.0), point(1, 91.0, 9.0, 9.0)]), (Some(1), 0, 6));
        assert_eq!(max(&[point(0, 90.0, 1.0, 1.0), point(1, 90.0, 9.0, 0.5)]), (Some(1), 1, 6));
        assert_eq!(max(&[point(0, 90.0, 1.0, 1.0), point(1, 90.0, 0.5, 1.0)]), (Some(1), 1, 6));
        assert_eq!(max(&[point(1, 90.0, 1.0, 1.0), point(0, 90.0, 1.0, 1.0)]), (Some(0), 1, 6));
        assert_eq!(best(Goal::Minimize, &[point(0, 90.0, 1.0, 1.0), point(1, 91.0, 1.0, 1.0)]).0, Some(0));
    }

    #[test]
    fn sums_rounded_differently_still_tie() {
        let (a, b) = (0.1 + 0.2, 0.3);
        assert_ne!(a, b);
        assert_eq!(best(Goal::Maximize, &[point(0, b, 1.0, 2.0), point(1, a, 1.0, 1.0)]), (Some(1), 1, 6));
    }

    #[test]
    fn nan_is_worse_than_everything() {
        assert_eq!(best(Goal::Maximize, &[point(0, f64::NAN, 0.0, 0.0), point(1, -5.0, 1.0, f64::NAN)]).0, Some(1));
        assert_eq!(best(Goal::Maximize, &[point(0, 10.0, 0.0, f64::NAN), point(1, 10.0, 0.0, 7.0)]).0, Some(1));
    }

    #[test]
    fn a_point_that_lacks_a_seed_is_not_eligible() {
        let mut better = point(0, 99.0, 0.0, 0.0);
        better.n = 2;
        assert_eq!(best(Goal::Maximize, &[better.clone(), point(1, 10.0, 1.0, 1.0)]), (Some(1), 0, 7));
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
