//! The figures behind a verdict in one sentence. `audit` asks for it; the verdicts come from
//! `aggregate::claims`.

use super::figure::{Figure, p_value, same_form};
use crate::aggregate::claims::{
    Bounded, Comparison, Evidence, Judgement, Pairs, Ratio, Saturation, Tested, Verdict,
};
use crate::aggregate::{ALPHA, NoTest, Sample};
use crate::protocol::{Place, Unit};
use crate::spec::{ClaimKind, Spec, Way};

/// What the verdict rests on: one line, no full stop.
///
/// `published`: the figures are published ones, of which no digit may be rounded away.
pub fn numbers(spec: &Spec, kind: &ClaimKind, judgement: &Judgement, published: bool) -> String {
    let words = Words { spec, published };
    match (&judgement.evidence, kind) {
        (Evidence::Comparisons(comparisons), ClaimKind::Beyond { way, .. }) => {
            words.comparisons(comparisons, *way, judgement.verdict)
        }
        (Evidence::Ratio(ratio), _) => words.ratio(ratio),
        (Evidence::Bounds(arms), ClaimKind::Bound { way, value, .. }) => {
            words.bounds(arms, *way, *value)
        }
        (Evidence::Saturation(arms), _) => arms
            .iter()
            .map(|arm| words.saturation(arm))
            .collect::<Vec<_>>()
            .join(", "),
        (Evidence::Pairs(arms), ClaimKind::AlwaysAbove { metric, than, .. }) => {
            words.pairs(arms, metric, than)
        }
        // Evidence is of its claim's kind.
        _ => String::new(),
    }
}

struct Words<'a> {
    spec: &'a Spec,
    published: bool,
}

impl Words<'_> {
    fn figure(&self, Sample { mean, std, n }: Sample) -> String {
        Figure {
            mean,
            std,
            n,
            planned: None,
            as_published: self.published,
        }
        .plain()
    }

    fn label(&self, arm: usize) -> &str {
        self.spec.arms.get(arm).map_or("", |arm| &arm.label)
    }

    fn labels(&self, arms: impl Iterator<Item = usize>) -> String {
        listed(
            &arms
                .map(|arm| self.label(arm).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    /// The arm's own figure, then those others that decide the verdict.
    fn comparisons(&self, comparisons: &[Comparison], way: Way, verdict: Verdict) -> String {
        let Some(mine) = comparisons.first().and_then(|comparison| comparison.mine) else {
            return format!(
                "no result of {}",
                self.labels(comparisons.iter().take(1).map(|comparison| comparison.arm))
            );
        };
        let (ahead, behind) = if way == Way::Up {
            ("above", "below")
        } else {
            ("below", "above")
        };
        let own = match mine.n {
            Some(n) => format!("{} (n = {n})", self.figure(mine)),
            None => self.figure(mine),
        };
        let describe = |comparison: &Comparison, what: String| {
            let theirs = comparison
                .theirs
                .map_or(String::new(), |theirs| self.figure(theirs));
            format!(
                "{} ({})",
                self.label(comparison.other),
                [theirs, what].join(", ").trim_end_matches(", ")
            )
        };
        let adjusted = |test: &Tested| format!("adjusted p {}", p_value(test.adjusted));
        let both = |test: &Tested| match test.adjusted > test.p {
            true => format!(
                "p {}, adjusted {}",
                p_value(test.p),
                p_value(test.adjusted).trim_start_matches("= ")
            ),
            false => format!("p {}", p_value(test.p)),
        };
        if verdict == Verdict::Confirmed && comparisons.len() > 1 {
            let nearest = comparisons.iter().min_by(|a, b| a.lead.total_cmp(&b.lead));
            let nearest = nearest.map(|nearest| {
                describe(
                    nearest,
                    nearest.test.as_ref().map(adjusted).unwrap_or_default(),
                )
            });
            return format!(
                "{own}, significantly {ahead} all others; the nearest is {}",
                nearest.unwrap_or_default()
            );
        }
        let significant =
            |comparison: &Comparison| comparison.test.is_ok_and(|test| test.adjusted < ALPHA);
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for comparison in comparisons {
            let (lead, significant) = (comparison.lead, significant(comparison));
            let decides = match verdict {
                Verdict::Contradicted => significant && lead < 0.0,
                Verdict::NoData => comparison.test.is_err(),
                Verdict::Confirmed | Verdict::NotSignificant => true,
            };
            if !decides {
                continue;
            }
            let (heading, item) = match &comparison.test {
                Err(NoTest::Missing) => (
                    "no result of".to_owned(),
                    self.label(comparison.other).to_owned(),
                ),
                Err(reason) => (
                    "no test against".to_owned(),
                    describe(comparison, reason.reason().to_owned()),
                ),
                Ok(test) => {
                    let side = if lead > 0.0 { ahead } else { behind };
                    match significant {
                        // Settled, so its name is enough.
                        true if verdict == Verdict::NotSignificant => (
                            format!("significantly {side}"),
                            self.label(comparison.other).to_owned(),
                        ),
                        true => (
                            format!("significantly {side}"),
                            describe(comparison, adjusted(test)),
                        ),
                        false if lead == 0.0 => {
                            ("equal to".to_owned(), describe(comparison, String::new()))
                        }
                        false => (
                            format!("not significantly {side}"),
                            describe(comparison, both(test)),
                        ),
                    }
                }
            };
            match groups.iter_mut().find(|(known, _)| *known == heading) {
                Some((_, items)) => items.push(item),
                None => groups.push((heading, vec![item])),
            }
        }
        let groups = groups
            .iter()
            .map(|(heading, items)| format!("{heading} {}", listed(items)));
        std::iter::once(own)
            .chain(groups)
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn ratio(&self, ratio: &Ratio) -> String {
        let (Some(of), Some(to)) = (ratio.of, ratio.to) else {
            return "no result of one of the arms".to_owned();
        };
        let interval = match ratio.interval {
            Ok((low, high)) => format!("95 % interval {low:.2} to {high:.2}"),
            Err(reason) => format!("no interval: {}", reason.reason()),
        };
        format!(
            "{:.2} ({interval}; {} over {})",
            of.mean / to.mean,
            self.figure(of),
            self.figure(to)
        )
    }

    /// The arm that is nearest to the value, if all hold; otherwise those that are not on the
    /// claimed side for certain.
    fn bounds(&self, arms: &[Bounded], way: Way, value: f64) -> String {
        let holds = |arm: &&Bounded| match (arm.interval, way) {
            (Ok((low, _)), Way::Up) => low >= value,
            (Ok((_, high)), Way::Down) => high <= value,
            (Err(_), _) => false,
        };
        let describe = |arm: &Bounded| {
            let Some(sample) = arm.sample else {
                return format!("no result of {}", self.label(arm.arm));
            };
            let interval = match arm.interval {
                Ok(interval) => interval_of(sample, interval),
                Err(reason) => format!("no interval: {}", reason.reason()),
            };
            format!(
                "{} {} ({interval})",
                self.label(arm.arm),
                self.figure(sample)
            )
        };
        let doubtful: Vec<String> = arms
            .iter()
            .filter(|arm| !holds(arm))
            .map(describe)
            .collect();
        if !doubtful.is_empty() {
            return doubtful.join(", ");
        }
        let mean = |arm: &&Bounded| {
            arm.sample.map_or(f64::NAN, |sample| {
                if way == Way::Up {
                    sample.mean
                } else {
                    -sample.mean
                }
            })
        };
        let nearest = arms
            .iter()
            .min_by(|a, b| mean(a).total_cmp(&mean(b)))
            .map(describe)
            .unwrap_or_default();
        let word = if way == Way::Up { "lowest" } else { "highest" };
        if arms.len() == 1 {
            nearest
        } else {
            format!("the {word} is {nearest}")
        }
    }

    fn saturation(&self, arm: &Saturation) -> String {
        let label = self.label(arm.arm);
        let epoch = match arm.epoch {
            Ok(epoch) => epoch,
            Err(NoTest::Missing) => return format!("no history of {label}"),
            Err(reason) => return format!("{label}: {}", reason.reason()),
        };
        let unit = arm.unit.name();
        match (arm.interval, epoch.std) {
            (Ok(_), Some(0.0)) => {
                format!(
                    "{label} at {unit} {} in each of {} trials",
                    exact_place(epoch.mean),
                    epoch.n.unwrap_or(0)
                )
            }
            (Ok((low, high)), Some(std)) => {
                format!(
                    "{label} at {unit} {:.1} ± {std:.1} (95 % interval {low:.1} to {high:.1})",
                    epoch.mean
                )
            }
            _ => format!("{label} at {unit} {:.1} (n = 1)", epoch.mean),
        }
    }

    fn pairs(&self, arms: &[Pairs], metric: &str, than: &str) -> String {
        let sum = |count: fn(&Pairs) -> usize| arms.iter().map(count).sum::<usize>();
        let mut parts = Vec::new();
        if sum(|arm| arm.pairs) > 0 {
            let trials = sum(|arm| arm.trials);
            let plural = if trials == 1 { "" } else { "s" };
            let unit = arms
                .iter()
                .find(|arm| arm.pairs > 0)
                .map_or(Unit::Epoch, |arm| arm.unit)
                .name();
            parts.push(format!(
                "true at {} of {} {unit}s of {trials} trial{plural}",
                sum(|arm| arm.above),
                sum(|arm| arm.pairs)
            ));
        }
        let not_finite = sum(|arm| arm.not_finite);
        if not_finite > 0 {
            parts.push(format!("{not_finite} with a value that is not finite"));
        }
        let worst = arms
            .iter()
            .filter_map(|arm| Some((arm.arm, arm.worst?)))
            .min_by(|(_, a), (_, b)| a.adjusted.total_cmp(&b.adjusted));
        if let Some((arm, worst)) = worst {
            parts.push(format!(
                "significantly below for {} at {} ({} on average, adjusted p {})",
                self.label(arm),
                worst.position,
                same_form(worst.difference, worst.difference, None),
                p_value(worst.adjusted)
            ));
        }
        let missing = arms.iter().filter(|arm| arm.pairs == 0).map(|arm| arm.arm);
        if sum(|arm| arm.pairs) == 0 {
            parts.push(format!("no {metric} and {than} in the history"));
        } else if missing.clone().next().is_some() {
            parts.push(format!(
                "no {metric} and {than} in the history of {}",
                self.labels(missing)
            ));
        }
        parts.join(", ")
    }
}

/// A mean of equal epochs or steps, as it is.
fn exact_place(mean: f64) -> String {
    Place::new(mean).map_or_else(String::new, |place| place.to_string())
}

fn interval_of(sample: Sample, (low, high): (f64, f64)) -> String {
    let write = |value| same_form(value, sample.mean, sample.std);
    format!("95 % interval {} to {}", write(low), write(high))
}

fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
