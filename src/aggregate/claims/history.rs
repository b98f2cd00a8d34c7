//! Claims about epochs: where a metric stops getting better, and which of two metrics is above the
//! other.

use std::collections::BTreeMap;

use super::model::{Evidence, Judgement, Pairs, Saturation, Verdict, Worst};
use crate::aggregate::significance::{ALPHA, NoTest, holm, paired, sample};
use crate::protocol::{Metrics, Position, Unit};
use crate::spec::Goal;

/// The trials of each arm's selected point, by number of the arm.
pub type Histories = Vec<Vec<TrialHistory>>;

/// What one trial measured at the end of each epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialHistory {
    /// Its seed.
    pub seed: u64,
    /// Epochs, then steps, in their order.
    pub epochs: Vec<(Position, Metrics)>,
}

impl TrialHistory {
    /// The values that `value` finds at the epochs; where it finds none, at the steps.
    fn course(&self, value: impl Fn(&Metrics) -> Option<f64>) -> Vec<(Position, f64)> {
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
}

fn of_arm(histories: &Histories, arm: usize) -> &[TrialHistory] {
    histories.get(arm).map_or(&[], Vec::as_slice)
}

/// The first epoch e with |v_e - v_best| <= tolerance |v_1 - v_best|, where v_1 is the first
/// epoch's value and v_best the best one of all epochs: from there on, no more than that share of
/// the whole improvement is left.
fn saturation(
    trial: &TrialHistory,
    metric: &str,
    goal: Goal,
    tolerance: f64,
) -> Result<f64, NoTest> {
    let values = trial.course(|metrics| metrics.get(metric));
    let (_, first) = *values.first().ok_or(NoTest::Missing)?;
    if values.iter().any(|(_, value)| !value.is_finite()) {
        return Err(NoTest::NotFinite);
    }
    let better = |a: f64, b: f64| {
        if goal == Goal::Maximize {
            a.max(b)
        } else {
            a.min(b)
        }
    };
    let best = values.iter().map(|(_, value)| *value).fold(first, better);
    let near = |value: f64| (value - best).abs() <= tolerance * (first - best).abs();
    let found = values
        .iter()
        .find(|(_, value)| near(*value))
        .ok_or(NoTest::Missing)?;
    Ok(found.0.number())
}

/// Confirmed if every arm's mean epoch is within `within` epochs of `at`; contradicted if the
/// interval of one lies outside. A single trial does neither.
pub fn saturates(
    histories: &Histories,
    metric: &str,
    goal: Goal,
    arms: &[usize],
    (at, within): (f64, f64),
    tolerance: f64,
) -> Judgement {
    let measure = |&arm: &usize| {
        let trials = of_arm(histories, arm);
        let epochs: Result<Vec<f64>, NoTest> = trials
            .iter()
            .map(|trial| saturation(trial, metric, goal, tolerance))
            .collect();
        let epoch = match epochs {
            Ok(epochs) if epochs.is_empty() => Err(NoTest::Missing),
            Ok(epochs) => Ok(sample(&epochs)),
            Err(reason) => Err(reason),
        };
        let unit = trials
            .iter()
            .find_map(|trial| Some(trial.course(|metrics| metrics.get(metric)).first()?.0.unit));
        Saturation {
            arm,
            unit: unit.unwrap_or(Unit::Epoch),
            epoch,
            interval: epoch.and_then(|epoch| epoch.interval()),
        }
    };
    let arms: Vec<Saturation> = arms.iter().map(measure).collect();
    let outside = |(low, high): (f64, f64)| high < at - within || low > at + within;
    let inside = |arm: &Saturation| {
        arm.interval.is_ok()
            && arm
                .epoch
                .is_ok_and(|epoch| (epoch.mean - at).abs() <= within)
    };
    let verdict = if arms.iter().any(|arm| arm.interval.is_ok_and(outside)) {
        Verdict::Contradicted
    } else if arms.iter().any(|arm| arm.epoch.is_err()) {
        Verdict::NoData
    } else if arms.iter().all(inside) {
        Verdict::Confirmed
    } else {
        Verdict::NotSignificant
    };
    Judgement {
        verdict,
        evidence: Evidence::Saturation(arms),
    }
}

/// Confirmed if it holds at every epoch of every trial; contradicted if at some epoch of some arm
/// the difference over the trials is significantly negative, by a paired t-test adjusted by Holm
/// over arms and epochs. A single trial of an arm does neither.
pub fn always_above(histories: &Histories, metric: &str, than: &str, arms: &[usize]) -> Judgement {
    let mut counts = Vec::new();
    // Index into `counts`, epoch, mean difference, p.
    let mut tests: Vec<(usize, Position, f64, f64)> = Vec::new();
    for &arm in arms {
        let pairs_of = |trial: &TrialHistory| {
            trial.course(|metrics: &Metrics| Some(metrics.get(metric)? - metrics.get(than)?))
        };
        let trials: Vec<Vec<(Position, f64)>> = of_arm(histories, arm)
            .iter()
            .map(pairs_of)
            .filter(|pairs| !pairs.is_empty())
            .collect();
        let all = || trials.iter().flatten();
        let mut epochs: BTreeMap<Position, Vec<f64>> = BTreeMap::new();
        for (epoch, difference) in all().filter(|(_, difference)| difference.is_finite()) {
            epochs.entry(*epoch).or_default().push(*difference);
        }
        for (epoch, differences) in epochs {
            if let Ok((difference, p)) = paired(&differences) {
                tests.push((counts.len(), epoch, difference, p));
            }
        }
        counts.push(Pairs {
            arm,
            unit: all()
                .next()
                .map_or(Unit::Epoch, |(position, _)| position.unit),
            trials: trials.len(),
            pairs: all().count(),
            above: all()
                .filter(|(_, difference)| difference.is_finite() && *difference > 0.0)
                .count(),
            not_finite: all()
                .filter(|(_, difference)| !difference.is_finite())
                .count(),
            worst: None,
        });
    }
    let adjusted = holm(&tests.iter().map(|(.., p)| *p).collect::<Vec<_>>());
    for ((index, position, difference, _), adjusted) in tests.into_iter().zip(adjusted) {
        let worst = &mut counts[index].worst;
        if difference < 0.0
            && adjusted < ALPHA
            && worst.is_none_or(|worst| adjusted < worst.adjusted)
        {
            *worst = Some(Worst {
                position,
                difference,
                adjusted,
            });
        }
    }
    let verdict = if counts.iter().any(|arm| arm.worst.is_some()) {
        Verdict::Contradicted
    } else if counts.iter().any(|arm| arm.pairs == 0) {
        Verdict::NoData
    } else if counts
        .iter()
        .all(|arm| arm.above == arm.pairs && arm.trials > 1)
    {
        Verdict::Confirmed
    } else {
        Verdict::NotSignificant
    };
    Judgement {
        verdict,
        evidence: Evidence::Pairs(counts),
    }
}
