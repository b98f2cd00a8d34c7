//! Claims about final metrics: one arm beyond others, a ratio of two arms, a bound.

use std::collections::BTreeMap;

use super::judge::Figures;
use super::model::{Bounded, Comparison, Evidence, Judgement, Ratio, Tested, Verdict};
use crate::aggregate::significance::{ALPHA, NoTest, Sample, holm, ratio_interval, welch};
use crate::spec::{Claim, ClaimKind, Way};

/// The comparisons of two arms in all claims, each once: a metric and two arms, the lower number
/// first.
pub struct Family(BTreeMap<(String, usize, usize), Result<Tested, NoTest>>);

impl Family {
    /// Tests each comparison, and adjusts for their number.
    pub fn of(claims: &[Claim], figures: &Figures) -> Self {
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
                let (one, two) = (*arm.min(other), *arm.max(other));
                let samples = (find(figures, one, metric), find(figures, two, metric));
                let test = match samples {
                    (Some(a), Some(b)) => welch(a, b).map(|test| test.p),
                    _ => Err(NoTest::Missing),
                };
                tests.insert((metric.clone(), one, two), test);
            }
        }
        let ps: Vec<f64> = tests.values().filter_map(|test| test.ok()).collect();
        let mut adjusted = holm(&ps).into_iter();
        // In the same order as they were gathered.
        let mut tested = |p| Tested {
            p,
            adjusted: adjusted.next().unwrap_or(1.0),
        };
        Self(
            tests
                .into_iter()
                .map(|(key, test)| (key, test.map(&mut tested)))
                .collect(),
        )
    }

    fn get(&self, metric: &str, arm: usize, other: usize) -> Result<Tested, NoTest> {
        self.0
            .get(&(metric.to_owned(), arm.min(other), arm.max(other)))
            .copied()
            .unwrap_or(Err(NoTest::Missing))
    }
}

fn find(figures: &Figures, arm: usize, metric: &str) -> Option<Sample> {
    figures
        .get(arm)
        .and_then(|figures| figures.get(metric))
        .copied()
}

/// Whether the reason is that a figure is missing or of no use, so that there is nothing to judge.
fn no_data(reason: NoTest) -> bool {
    matches!(
        reason,
        NoTest::Missing | NoTest::NotFinite | NoTest::NotPositive
    )
}

/// Confirmed if the arm is ahead of each of the others with an adjusted p below `ALPHA`;
/// contradicted if it is so behind one of them.
pub fn beyond(
    figures: &Figures,
    family: &Family,
    way: Way,
    metric: &str,
    arm: usize,
    others: &[usize],
) -> Judgement {
    let mine = find(figures, arm, metric);
    let compare = |&other: &usize| {
        let theirs = find(figures, other, metric);
        let difference = mine
            .zip(theirs)
            .map_or(f64::NAN, |(mine, theirs)| mine.mean - theirs.mean);
        let lead = if way == Way::Up {
            difference
        } else {
            -difference
        };
        Comparison {
            arm,
            other,
            mine,
            theirs,
            lead,
            test: family.get(metric, arm, other),
        }
    };
    let comparisons: Vec<Comparison> = others.iter().map(compare).collect();
    let significant =
        |comparison: &Comparison| comparison.test.is_ok_and(|test| test.adjusted < ALPHA);
    let verdict = if comparisons
        .iter()
        .any(|comparison| significant(comparison) && comparison.lead < 0.0)
    {
        Verdict::Contradicted
    } else if comparisons
        .iter()
        .any(|comparison| comparison.test.is_err_and(no_data))
    {
        Verdict::NoData
    } else if comparisons
        .iter()
        .all(|comparison| significant(comparison) && comparison.lead > 0.0)
    {
        Verdict::Confirmed
    } else {
        Verdict::NotSignificant
    };
    Judgement {
        verdict,
        evidence: Evidence::Comparisons(comparisons),
    }
}

/// Confirmed if the measured ratio lies in `is` ± the share `within` and its interval excludes 1
/// (unless `is` is 1); contradicted if the interval lies outside that band.
pub fn ratio(
    figures: &Figures,
    metric: &str,
    (of, to): (usize, usize),
    is: f64,
    within: f64,
) -> Judgement {
    let (of, to) = (find(figures, of, metric), find(figures, to, metric));
    let interval = match (of, to) {
        (Some(of), Some(to)) => ratio_interval(of, to),
        _ => Err(NoTest::Missing),
    };
    let measured = of.zip(to).map_or(f64::NAN, |(of, to)| of.mean / to.mean);
    let (least, most) = (is * (1.0 - within), is * (1.0 + within));
    let verdict = match interval {
        Err(reason) if no_data(reason) => Verdict::NoData,
        Err(_) => Verdict::NotSignificant,
        Ok((low, high)) if high < least || low > most => Verdict::Contradicted,
        Ok((low, high)) => {
            let differs = is == 1.0 || low > 1.0 || high < 1.0;
            if differs && (least..=most).contains(&measured) {
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

/// Confirmed if each arm's interval lies on the claimed side of the value; contradicted if one lies
/// on the other side.
pub fn bound(figures: &Figures, way: Way, metric: &str, arms: &[usize], value: f64) -> Judgement {
    let bounded = |&arm: &usize| {
        let sample = find(figures, arm, metric);
        Bounded {
            arm,
            sample,
            interval: sample.map_or(Err(NoTest::Missing), Sample::interval),
        }
    };
    let arms: Vec<Bounded> = arms.iter().map(bounded).collect();
    let holds = |(low, high): (f64, f64)| {
        if way == Way::Up {
            low >= value
        } else {
            high <= value
        }
    };
    let fails = |(low, high): (f64, f64)| {
        if way == Way::Up {
            high < value
        } else {
            low > value
        }
    };
    let verdict = if arms.iter().any(|arm| arm.interval.is_ok_and(fails)) {
        Verdict::Contradicted
    } else if arms.iter().any(|arm| arm.interval.is_err_and(no_data)) {
        Verdict::NoData
    } else if arms.iter().all(|arm| arm.interval.is_ok_and(holds)) {
        Verdict::Confirmed
    } else {
        Verdict::NotSignificant
    };
    Judgement {
        verdict,
        evidence: Evidence::Bounds(arms),
    }
}
