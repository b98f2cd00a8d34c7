//! Claims about epochs: where a metric stops improving, and which of two metrics is above the
//! other.

use std::collections::BTreeMap;

use super::model::{Evidence, Judgement, Pairs, Saturation, Verdict, Worst};
use crate::aggregate::significance::{ALPHA, Interval, NoTest, Sample, holm, paired, sample};
use crate::protocol::{Metrics, Position, Unit};
use crate::spec::Goal;

/// The trials of each arm's selected point, by number of the arm.
pub type Histories = Vec<Vec<TrialHistory>>;

/// What one trial measured at the end of each epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialHistory {
    /// Its seed.
    pub seed: u64,
    /// Epochs, then steps, each in order.
    pub epochs: Vec<(Position, Metrics)>,
}

impl TrialHistory {
    /// Returns the values that `value` finds at the epochs or, if it finds none there, at the
    /// steps.
    fn series(&self, value: impl Fn(&Metrics) -> Option<f64>) -> Vec<(Position, f64)> {
        let found: Vec<(Position, f64)> = self
            .epochs
            .iter()
            .filter_map(|(position, metrics)| Some((*position, value(metrics)?)))
            .collect();
        let unit = found
            .first()
            .map_or(Unit::Epoch, |(position, _)| position.unit);

        found
            .into_iter()
            .filter(|(position, _)| position.unit == unit)
            .collect()
    }

    fn metric(&self, name: &str) -> Vec<(Position, f64)> {
        self.series(|metrics| metrics.get(name))
    }
}

fn trials_of(histories: &Histories, arm: usize) -> &[TrialHistory] {
    histories.get(arm).map_or(&[], Vec::as_slice)
}

/// Judges "the metric saturates at epoch `at`, give or take `within` epochs, in each of the arms".
///
/// Confirmed if every arm's mean epoch is within that range; contradicted if the interval of one
/// lies outside it. A single trial does neither.
pub(crate) fn saturates(
    histories: &Histories,
    metric: &str,
    goal: Goal,
    arms: &[usize],
    at: f64,
    within: f64,
    tolerance: f64,
) -> Judgement {
    let arms: Vec<Saturation> = arms
        .iter()
        .map(|&arm| {
            let trials = trials_of(histories, arm);
            let epoch = mean_saturation(trials, metric, goal, tolerance);

            // The unit is that of the first trial that reports the metric.
            let unit = trials
                .iter()
                .find_map(|trial| Some(trial.metric(metric).first()?.0.unit));
            Saturation {
                arm,
                unit: unit.unwrap_or(Unit::Epoch),
                epoch,
                interval: epoch.and_then(Sample::interval),
            }
        })
        .collect();

    Judgement {
        verdict: verdict_on_saturation(&arms, at, within),
        evidence: Evidence::Saturation(arms),
    }
}

fn verdict_on_saturation(arms: &[Saturation], at: f64, within: f64) -> Verdict {
    let is_outside = |interval: Interval| interval.high < at - within || interval.low > at + within;
    if arms.iter().any(|arm| arm.interval.is_ok_and(is_outside)) {
        return Verdict::Contradicted;
    }

    if arms.iter().any(|arm| arm.epoch.is_err()) {
        return Verdict::NoData;
    }

    let is_inside = |epoch: Sample| (epoch.mean - at).abs() <= within;
    if arms
        .iter()
        .all(|arm| arm.interval.is_ok() && arm.epoch.is_ok_and(is_inside))
    {
        return Verdict::Confirmed;
    }
    Verdict::NotSignificant
}

fn mean_saturation(
    trials: &[TrialHistory],
    metric: &str,
    goal: Goal,
    tolerance: f64,
) -> Result<Sample, NoTest> {
    let epochs = trials
        .iter()
        .map(|trial| saturation(trial, metric, goal, tolerance))
        .collect::<Result<Vec<f64>, NoTest>>()?;
    if epochs.is_empty() {
        return Err(NoTest::Missing);
    }
    Ok(sample(&epochs))
}

/// Returns the first epoch e with |v_e - v_best| <= tolerance |v_1 - v_best|, where v_1 is the
/// first epoch's value and v_best the best value of all epochs: from e on, at most that share of
/// the whole improvement is left.
fn saturation(
    trial: &TrialHistory,
    metric: &str,
    goal: Goal,
    tolerance: f64,
) -> Result<f64, NoTest> {
    let values = trial.metric(metric);
    let first = values.first().ok_or(NoTest::Missing)?.1;
    if values.iter().any(|(_, value)| !value.is_finite()) {
        return Err(NoTest::NotFinite);
    }

    let best = values
        .iter()
        .map(|(_, value)| *value)
        .fold(first, |best, value| match goal {
            Goal::Maximize => best.max(value),
            Goal::Minimize => best.min(value),
        });

    let (position, _) = values
        .iter()
        .find(|(_, value)| (value - best).abs() <= tolerance * (first - best).abs())
        .ok_or(NoTest::Missing)?;
    Ok(position.number())
}

/// A test of the difference of two metrics at one epoch of one arm.
struct EpochTest {
    /// Index into the counts of the arms.
    arm: usize,
    position: Position,
    difference: f64,
    p: f64,
}

/// Judges "`metric` is always above `than` in each of the arms".
///
/// Confirmed if that holds at every epoch of every trial; contradicted if at some epoch of some arm
/// the difference over the trials is significantly negative, by a paired t-test adjusted by Holm
/// over arms and epochs. A single trial of an arm does neither.
pub(crate) fn always_above(
    histories: &Histories,
    metric: &str,
    than: &str,
    arms: &[usize],
) -> Judgement {
    let mut counts = Vec::new();
    let mut tests = Vec::new();
    for &arm in arms {
        let trials: Vec<Vec<(Position, f64)>> = trials_of(histories, arm)
            .iter()
            .map(|trial| trial.series(|metrics| Some(metrics.get(metric)? - metrics.get(than)?)))
            .filter(|differences| !differences.is_empty())
            .collect();
        tests.extend(test_epochs(counts.len(), &trials));
        counts.push(count_pairs(arm, &trials));
    }

    // Of the epochs that are significantly below, keep the most significant one of each arm.
    let ps: Vec<f64> = tests.iter().map(|test| test.p).collect();
    for (test, adjusted) in tests.into_iter().zip(holm(&ps)) {
        let worst = &mut counts[test.arm].worst;
        let is_worse = worst.is_none_or(|worst: Worst| adjusted < worst.adjusted);
        if test.difference < 0.0 && adjusted < ALPHA && is_worse {
            *worst = Some(Worst {
                position: test.position,
                difference: test.difference,
                adjusted,
            });
        }
    }

    Judgement {
        verdict: verdict_on_pairs(&counts),
        evidence: Evidence::Pairs(counts),
    }
}

fn verdict_on_pairs(counts: &[Pairs]) -> Verdict {
    if counts.iter().any(|arm| arm.worst.is_some()) {
        return Verdict::Contradicted;
    }

    if counts.iter().any(|arm| arm.pairs == 0) {
        return Verdict::NoData;
    }
    if counts
        .iter()
        .all(|arm| arm.above == arm.pairs && arm.trials > 1)
    {
        return Verdict::Confirmed;
    }
    Verdict::NotSignificant
}

/// Tests an arm's differences epoch by epoch, over the trials; differences that are not finite are
/// left out.
fn test_epochs(arm: usize, trials: &[Vec<(Position, f64)>]) -> Vec<EpochTest> {
    let mut epochs: BTreeMap<Position, Vec<f64>> = BTreeMap::new();
    for (position, difference) in trials.iter().flatten() {
        if difference.is_finite() {
            epochs.entry(*position).or_default().push(*difference);
        }
    }

    epochs
        .into_iter()
        .filter_map(|(position, differences)| {
            let test = paired(&differences).ok()?;
            Some(EpochTest {
                arm,
                position,
                difference: test.difference,
                p: test.p,
            })
        })
        .collect()
}

fn count_pairs(arm: usize, trials: &[Vec<(Position, f64)>]) -> Pairs {
    let mut counts = Pairs {
        arm,
        unit: trials
            .iter()
            .flatten()
            .next()
            .map_or(Unit::Epoch, |(position, _)| position.unit),
        trials: trials.len(),
        pairs: 0,
        above: 0,
        not_finite: 0,
        worst: None,
    };

    // A difference that is not finite counts as a pair that is not above.
    for (_, difference) in trials.iter().flatten() {
        counts.pairs += 1;
        if !difference.is_finite() {
            counts.not_finite += 1;
        } else if *difference > 0.0 {
            counts.above += 1;
        }
    }
    counts
}
