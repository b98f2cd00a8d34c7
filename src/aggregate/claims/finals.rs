//! Claims about final metrics: one arm beyond others, a ratio of two arms, a bound.

use std::collections::BTreeMap;

use super::model::{
    Bounded, Comparison, Evidence, FinalMetrics, Judgement, Ratio, Tested, Verdict,
};
use crate::aggregate::significance::{NoTest, Sample, holm, ratio_interval, welch};
use crate::spec::{Claim, ClaimKind, Way};

/// The comparisons of two arms in all claims, each once. The key is a metric and two arms, the
/// lower number first.
pub(crate) struct ComparisonFamily(BTreeMap<(String, usize, usize), Result<Tested, NoTest>>);

impl ComparisonFamily {
    /// Tests each comparison, and adjusts p for their number.
    pub(crate) fn of(claims: &[Claim], finals: &FinalMetrics) -> Self {
        let mut tests = BTreeMap::new();
        for claim in claims {
            let ClaimKind::Beyond {
                metric,
                arm,
                others,
                ..
            } = &claim.kind
            else {
                continue;
            };

            for other in others {
                // A comparison and its reverse are the same test.
                let first = *arm.min(other);
                let second = *arm.max(other);
                let test = compare(finals, metric, first, second);
                tests.insert((metric.clone(), first, second), test);
            }
        }

        // The map's order does not change, so the adjusted values can be assigned in sequence.
        let ps: Vec<f64> = tests.values().filter_map(|test| test.ok()).collect();
        let mut adjusted = holm(&ps).into_iter();
        let adjusted = tests.into_iter().map(|(key, test)| {
            let test = test.map(|p| Tested {
                p,
                adjusted: adjusted.next().unwrap_or(1.0),
            });
            (key, test)
        });
        Self(adjusted.collect())
    }

    fn get(&self, metric: &str, arm: usize, other: usize) -> Result<Tested, NoTest> {
        self.0
            .get(&(metric.to_owned(), arm.min(other), arm.max(other)))
            .copied()
            .unwrap_or(Err(NoTest::Missing))
    }
}

/// The p of Welch's test of two arms.
fn compare(
    finals: &FinalMetrics,
    metric: &str,
    first: usize,
    second: usize,
) -> Result<f64, NoTest> {
    let first = find(finals, first, metric).ok_or(NoTest::Missing)?;
    let second = find(finals, second, metric).ok_or(NoTest::Missing)?;
    Ok(welch(first, second)?.p)
}

fn find(finals: &FinalMetrics, arm: usize, metric: &str) -> Option<Sample> {
    finals
        .get(arm)
        .and_then(|metrics| metrics.get(metric))
        .copied()
}

/// Whether the reason is a value that is missing or unusable, so that there is nothing to judge.
fn is_no_data(reason: NoTest) -> bool {
    matches!(
        reason,
        NoTest::Missing | NoTest::NotFinite | NoTest::NotPositive
    )
}

/// Judges "the arm is above (or below) each of the others".
///
/// Confirmed if the arm is ahead of each of the others with an adjusted p below `ALPHA`;
/// contradicted if one of the others is ahead of it in the same sense.
pub(crate) fn beyond(
    finals: &FinalMetrics,
    family: &ComparisonFamily,
    way: Way,
    metric: &str,
    arm: usize,
    others: &[usize],
) -> Judgement {
    let mine = find(finals, arm, metric);
    let comparisons: Vec<Comparison> = others
        .iter()
        .map(|&other| {
            let theirs = find(finals, other, metric);
            let difference = mine
                .zip(theirs)
                .map_or(f64::NAN, |(mine, theirs)| mine.mean - theirs.mean);
            Comparison {
                arm,
                other,
                mine,
                theirs,
                lead: match way {
                    Way::Up => difference,
                    Way::Down => -difference,
                },
                test: family.get(metric, arm, other),
            }
        })
        .collect();

    Judgement {
        verdict: verdict_on_comparisons(&comparisons),
        evidence: Evidence::Comparisons(comparisons),
    }
}

fn verdict_on_comparisons(comparisons: &[Comparison]) -> Verdict {
    if comparisons
        .iter()
        .any(|comparison| comparison.is_significant() && comparison.lead < 0.0)
    {
        return Verdict::Contradicted;
    }

    // A missing result matters only if the others do not settle the claim.
    if comparisons
        .iter()
        .any(|comparison| comparison.test.is_err_and(is_no_data))
    {
        return Verdict::NoData;
    }

    if comparisons
        .iter()
        .all(|comparison| comparison.is_significant() && comparison.lead > 0.0)
    {
        return Verdict::Confirmed;
    }
    Verdict::NotSignificant
}

/// Judges "the ratio of two arms' means is `is`, give or take the share `within`".
///
/// Confirmed if the measured ratio lies in that band and its interval excludes 1 (unless `is` is
/// 1); contradicted if the interval lies outside the band.
pub(crate) fn ratio(
    finals: &FinalMetrics,
    metric: &str,
    of: usize,
    to: usize,
    is: f64,
    within: f64,
) -> Judgement {
    let of = find(finals, of, metric);
    let to = find(finals, to, metric);
    let interval = match (of, to) {
        (Some(of), Some(to)) => ratio_interval(of, to),
        _ => Err(NoTest::Missing),
    };

    let measured = of.zip(to).map_or(f64::NAN, |(of, to)| of.mean / to.mean);

    let low = is * (1.0 - within);
    let high = is * (1.0 + within);
    let verdict = match interval {
        Err(reason) if is_no_data(reason) => Verdict::NoData,
        Err(_) => Verdict::NotSignificant,
        Ok(interval) if interval.high < low || interval.low > high => Verdict::Contradicted,
        Ok(interval) => {
            // A ratio of 1 is claimed by equality, which no interval can exclude.
            let differs_from_one = is == 1.0 || interval.low > 1.0 || interval.high < 1.0;
            if differs_from_one && (low..=high).contains(&measured) {
                Verdict::Confirmed
            } else {
                Verdict::NotSignificant
            }
        }
    };

    Judgement {
        verdict,
        evidence: Evidence::Ratio(Ratio { of, to, interval }),
    }
}

/// Judges "each arm is at least (or at most) the value".
///
/// Confirmed if each arm's interval lies on the claimed side of the value; contradicted if one lies
/// on the other side.
pub(crate) fn bound(
    finals: &FinalMetrics,
    way: Way,
    metric: &str,
    arms: &[usize],
    value: f64,
) -> Judgement {
    let arms: Vec<Bounded> = arms
        .iter()
        .map(|&arm| {
            let sample = find(finals, arm, metric);
            Bounded {
                arm,
                sample,
                interval: sample.map_or(Err(NoTest::Missing), Sample::interval),
            }
        })
        .collect();

    Judgement {
        verdict: verdict_on_bounds(&arms, way, value),
        evidence: Evidence::Bounds(arms),
    }
}

fn verdict_on_bounds(arms: &[Bounded], way: Way, value: f64) -> Verdict {
    if arms.iter().any(|arm| arm.fails(way, value)) {
        return Verdict::Contradicted;
    }
    if arms.iter().any(|arm| arm.interval.is_err_and(is_no_data)) {
        return Verdict::NoData;
    }
    if arms.iter().all(|arm| arm.holds(way, value)) {
        return Verdict::Confirmed;
    }
    Verdict::NotSignificant
}
