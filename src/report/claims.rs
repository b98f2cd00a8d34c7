//! The figures behind a verdict in one sentence. `audit` asks for it; the verdicts come from `aggregate::claims`.

use super::figure::{mean_std, p_value, same_form};
use crate::aggregate::claims::{Bounded, Comparison, Evidence, Judgement, Pairs, Ratio, Saturation, Verdict};
use crate::aggregate::{ALPHA, NoTest, Sample, Stat};
use crate::spec::{ClaimKind, Spec, Way};

/// What the verdict rests on: one line, no full stop.
pub fn numbers(spec: &Spec, kind: &ClaimKind, judgement: &Judgement) -> String {
    let words = Words { spec };
    match (&judgement.evidence, kind) {
        (Evidence::Comparisons(comparisons), ClaimKind::Beyond { way, .. }) => {
            words.comparisons(comparisons, *way, judgement.verdict)
        }
        (Evidence::Ratio(ratio), _) => words.ratio(ratio),
        (Evidence::Bounds(arms), ClaimKind::Bound { way, value, .. }) => words.bounds(arms, *way, *value),
        (Evidence::Saturation(arms), _) => arms.iter().map(|arm| words.saturation(arm)).collect::<Vec<_>>().join(", "),
        (Evidence::Pairs(arms), ClaimKind::AlwaysAbove { metric, than, .. }) => words.pairs(arms, metric, than),
        // Evidence is of its claim's kind.
        _ => String::new(),
    }
}

struct Words<'a> {
    spec: &'a Spec,
}

impl Words<'_> {
    fn label(&self, arm: usize) -> &str {
        self.spec.arms.get(arm).map_or("", |arm| &arm.label)
    }

    fn labels(&self, arms: impl Iterator<Item = usize>) -> String {
        listed(&arms.map(|arm| self.label(arm).to_owned()).collect::<Vec<_>>())
    }

    /// The arm's own figure, then the others by how they compare; those that decide the verdict with their figures.
    fn comparisons(&self, comparisons: &[Comparison], way: Way, verdict: Verdict) -> String {
        let Some(mine) = comparisons.first().and_then(|comparison| comparison.mine) else {
            return format!("no result of {}", self.labels(comparisons.iter().take(1).map(|comparison| comparison.arm)));
        };
        let side = |lead: f64| match way {
            _ if lead == 0.0 => "equal to",
            Way::Up if lead > 0.0 => "above",
            Way::Down if lead < 0.0 => "above",
            _ => "below",
        };
        let figure = |comparison: &Comparison| comparison.theirs.map_or(String::new(), figure);
        let name = |comparison: &Comparison| self.label(comparison.other).to_owned();
        let mut parts = vec![figure_with_n(mine)];
        if verdict == Verdict::Confirmed && comparisons.len() > 1 {
            let nearest = comparisons.iter().min_by(|a, b| a.lead.total_cmp(&b.lead));
            parts.extend(nearest.map(|nearest| {
                let p = nearest.test.map_or(String::new(), |test| format!(", adjusted p {}", p_value(test.adjusted)));
                let word = side(nearest.lead);
                format!("significantly {word} all others; the nearest is {} ({}{p})", name(nearest), figure(nearest))
            }));
            return parts.join(", ");
        }
        let mut settled = Vec::new();
        for comparison in comparisons {
            let (word, name) = (side(comparison.lead), name(comparison));
            parts.push(match comparison.test {
                Err(NoTest::Missing) => format!("no result of {name}"),
                Err(reason) => format!("no test against {name} ({}: {})", figure(comparison), reason.reason()),
                Ok(test) if test.adjusted < ALPHA => {
                    if comparison.lead > 0.0 && verdict != Verdict::Confirmed {
                        settled.push(comparison.other);
                        continue;
                    }
                    format!("significantly {word} {name} ({}, adjusted p {})", figure(comparison), p_value(test.adjusted))
                }
                Ok(test) => {
                    let adjusted = if test.adjusted > test.p {
                        format!(", adjusted {}", bare(&p_value(test.adjusted)))
                    } else {
                        String::new()
                    };
                    format!("not significantly {word} {name} ({}, p {}{adjusted})", figure(comparison), p_value(test.p))
                }
            });
        }
        if !settled.is_empty() {
            let word = if way == Way::Up { "above" } else { "below" };
            parts.push(format!("significantly {word} {}", self.labels(settled.into_iter())));
        }
        parts.join(", ")
    }

    fn ratio(&self, ratio: &Ratio) -> String {
        let (Some(of), Some(to)) = (ratio.of, ratio.to) else { return "no result of one of the arms".to_owned() };
        let interval = match ratio.interval {
            Ok((low, high)) => format!("95 % interval {low:.2} to {high:.2}"),
            Err(reason) => format!("no interval: {}", reason.reason()),
        };
        format!("{:.2} ({interval}; {} over {})", of.mean / to.mean, figure(of), figure(to))
    }

    /// The arm that is nearest to failing, if none fails; otherwise those that are not on the claimed side for certain.
    fn bounds(&self, arms: &[Bounded], way: Way, value: f64) -> String {
        let holds = |arm: &&Bounded| match (arm.interval, way) {
            (Ok((low, _)), Way::Up) => low >= value,
            (Ok((_, high)), Way::Down) => high <= value,
            (Err(_), _) => false,
        };
        let describe = |arm: &Bounded| {
            let Some(sample) = arm.sample else { return format!("no result of {}", self.label(arm.arm)) };
            let interval = match arm.interval {
                Ok(interval) => interval_of(sample, interval),
                Err(reason) => format!("no interval: {}", reason.reason()),
            };
            format!("{} {} ({interval})", self.label(arm.arm), figure(sample))
        };
        let doubtful: Vec<String> = arms.iter().filter(|arm| !holds(arm)).map(describe).collect();
        if !doubtful.is_empty() {
            return doubtful.join(", ");
        }
        let mean = |arm: &&Bounded| arm.sample.map_or(f64::NAN, |sample| if way == Way::Up { sample.mean } else { -sample.mean });
        let nearest = arms.iter().min_by(|a, b| mean(a).total_cmp(&mean(b))).map(describe).unwrap_or_default();
        let word = if way == Way::Up { "lowest" } else { "highest" };
        if arms.len() == 1 { nearest } else { format!("the {word} is {nearest}") }
    }

    fn saturation(&self, arm: &Saturation) -> String {
        let label = self.label(arm.arm);
        let epoch = match arm.epoch {
            Ok(epoch) => epoch,
            Err(NoTest::Missing) => return format!("no history of {label}"),
            Err(reason) => return format!("{label}: {}", reason.reason()),
        };
        match (arm.interval, epoch.std) {
            (Ok(_), Some(0.0)) => format!("{label} at epoch {:.0} in each of {} trials", epoch.mean, epoch.n.unwrap_or(0)),
            (Ok((low, high)), Some(std)) => {
                format!("{label} at epoch {:.1} ± {std:.1} (95 % interval {low:.1} to {high:.1})", epoch.mean)
            }
            _ => format!("{label} at epoch {:.1} (n = 1)", epoch.mean),
        }
    }

    fn pairs(&self, arms: &[Pairs], metric: &str, than: &str) -> String {
        let sum = |count: fn(&Pairs) -> usize| arms.iter().map(count).sum::<usize>();
        let mut parts = Vec::new();
        if sum(|arm| arm.pairs) > 0 {
            let trials = sum(|arm| arm.trials);
            let plural = if trials == 1 { "" } else { "s" };
            parts.push(format!("true at {} of {} epochs of {trials} trial{plural}", sum(|arm| arm.above), sum(|arm| arm.pairs)));
        }
        let not_finite = sum(|arm| arm.not_finite);
        if not_finite > 0 {
            parts.push(format!("{not_finite} with a value that is not finite"));
        }
        let worst =
            arms.iter().filter_map(|arm| Some((arm.arm, arm.worst?))).min_by(|(_, a), (_, b)| a.adjusted.total_cmp(&b.adjusted));
        if let Some((arm, worst)) = worst {
            parts.push(format!(
                "significantly below for {} at epoch {} ({} on average, adjusted p {})",
                self.label(arm),
                worst.epoch,
                same_form(worst.difference, worst.difference, None),
                p_value(worst.adjusted)
            ));
        }
        let missing = self.labels(arms.iter().filter(|arm| arm.pairs == 0).map(|arm| arm.arm));
        if !missing.is_empty() {
            parts.push(format!("no {metric} and {than} in the history of {missing}"));
        }
        parts.join(", ")
    }
}

fn figure(sample: Sample) -> String {
    mean_std(Stat { mean: sample.mean, std: sample.std, n: sample.n.unwrap_or(0) })
}

fn figure_with_n(sample: Sample) -> String {
    sample.n.map_or_else(|| figure(sample), |n| format!("{} (n = {n})", figure(sample)))
}

fn interval_of(sample: Sample, (low, high): (f64, f64)) -> String {
    let write = |value| same_form(value, sample.mean, sample.std);
    format!("95 % interval {} to {}", write(low), write(high))
}

/// A p-value without its equals sign.
fn bare(p: &str) -> String {
    p.trim_start_matches("= ").to_owned()
}

fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
