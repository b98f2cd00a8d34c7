//! The evidence for a verdict in one sentence. `audit` asks for it; the verdicts come from
//! `aggregate::claims`.

use super::cell::{CellValue, p_value, same_form};
use crate::aggregate::claims::{
    Bounded, Comparison, Evidence, Judgement, Pairs, Ratio, Saturation, Tested, Verdict,
};
use crate::aggregate::{Interval, NoTest, Sample};
use crate::protocol::{Place, Unit};
use crate::spec::{ClaimKind, Spec, Way};
use crate::text::count;

/// Returns the evidence for a verdict: one line, no full stop.
///
/// `published`: the values are published ones, of which no digit may be rounded away.
pub(crate) fn numbers(
    spec: &Spec,
    kind: &ClaimKind,
    judgement: &Judgement,
    published: bool,
) -> String {
    let writer = EvidenceWriter { spec, published };
    match (&judgement.evidence, kind) {
        (Evidence::Comparisons(comparisons), ClaimKind::Beyond { way, .. }) => {
            writer.comparisons(comparisons, *way, judgement.verdict)
        }
        (Evidence::Ratio(ratio), _) => writer.ratio(ratio),
        (Evidence::Bounds(arms), ClaimKind::Bound { way, value, .. }) => {
            writer.bounds(arms, *way, *value)
        }
        (Evidence::Saturation(arms), _) => {
            let arms: Vec<String> = arms.iter().map(|arm| writer.saturation(arm)).collect();
            arms.join(", ")
        }
        (Evidence::Pairs(arms), ClaimKind::AlwaysAbove { metric, than, .. }) => {
            writer.pairs(arms, metric, than)
        }
        // The evidence is always of the claim's kind.
        _ => String::new(),
    }
}

struct EvidenceWriter<'a> {
    spec: &'a Spec,
    published: bool,
}

impl EvidenceWriter<'_> {
    fn sample(&self, Sample { mean, std, n }: Sample) -> String {
        CellValue {
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

    /// The arm's own result, then the other arms that decide the verdict.
    fn comparisons(&self, comparisons: &[Comparison], way: Way, verdict: Verdict) -> String {
        let Some(first) = comparisons.first() else {
            return "no result of ".to_owned();
        };
        let Some(mine) = first.mine else {
            return format!("no result of {}", self.label(first.arm));
        };

        let own = match mine.n {
            Some(n) => format!("{} (n = {n})", self.sample(mine)),
            None => self.sample(mine),
        };

        // If the arm beats all others, the nearest one says how clearly.
        if verdict == Verdict::Confirmed && comparisons.len() > 1 {
            let nearest = comparisons
                .iter()
                .min_by(|a, b| a.lead.total_cmp(&b.lead))
                .unwrap_or(first);
            let p = nearest.test.as_ref().map(adjusted_p).unwrap_or_default();
            return format!(
                "{own}, significantly {} all others; the nearest is {}",
                side_word(way, true),
                self.other(nearest, &p)
            );
        }

        // The others that decide the verdict, under one heading for each kind of outcome.
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        let deciding = comparisons
            .iter()
            .filter(|comparison| decides(comparison, verdict));
        for comparison in deciding {
            let heading = outcome(comparison, way);
            let item = self.outcome_item(comparison, verdict);
            match groups.iter_mut().find(|(known, _)| *known == heading) {
                Some((_, items)) => items.push(item),
                None => groups.push((heading, vec![item])),
            }
        }

        let mut parts = vec![own];
        for (heading, items) in groups {
            parts.push(format!("{heading} {}", listed(&items)));
        }
        parts.join("; ")
    }

    /// The other arm of a comparison, with its result and a remark in parentheses.
    fn other(&self, comparison: &Comparison, remark: &str) -> String {
        let theirs = comparison
            .theirs
            .map_or(String::new(), |theirs| self.sample(theirs));
        let details = format!("{theirs}, {remark}");
        format!(
            "{} ({})",
            self.label(comparison.other),
            details.trim_end_matches(", ")
        )
    }

    /// The other arm of a comparison as an item under its `outcome`.
    fn outcome_item(&self, comparison: &Comparison, verdict: Verdict) -> String {
        let name = || self.label(comparison.other).to_owned();
        match &comparison.test {
            Err(NoTest::Missing) => name(),
            Err(reason) => self.other(comparison, reason.reason()),
            // It does not decide the verdict, so its name is enough.
            Ok(_) if comparison.is_significant() && verdict == Verdict::NotSignificant => name(),
            Ok(test) if comparison.is_significant() => self.other(comparison, &adjusted_p(test)),
            Ok(_) if comparison.lead == 0.0 => self.other(comparison, ""),
            Ok(test) => self.other(comparison, &both_p(test)),
        }
    }

    fn ratio(&self, ratio: &Ratio) -> String {
        let (Some(of), Some(to)) = (ratio.of, ratio.to) else {
            return "no result of one of the arms".to_owned();
        };

        let interval = match ratio.interval {
            Ok(Interval { low, high }) => format!("95 % interval {low:.2} to {high:.2}"),
            Err(reason) => format!("no interval: {}", reason.reason()),
        };
        format!(
            "{:.2} ({interval}; {} over {})",
            of.mean / to.mean,
            self.sample(of),
            self.sample(to)
        )
    }

    /// The arm that is nearest to the value, if all arms hold; otherwise those that do not hold for
    /// certain.
    fn bounds(&self, arms: &[Bounded], way: Way, value: f64) -> String {
        // Arms that do not hold for certain decide the verdict.
        let doubtful: Vec<String> = arms
            .iter()
            .filter(|arm| !arm.holds(way, value))
            .map(|arm| self.bounded(arm))
            .collect();
        if !doubtful.is_empty() {
            return doubtful.join(", ");
        }

        let nearest = arms
            .iter()
            .min_by(|a, b| distance(a, way).total_cmp(&distance(b, way)))
            .map(|arm| self.bounded(arm))
            .unwrap_or_default();
        match way {
            _ if arms.len() == 1 => nearest,
            Way::Up => format!("the lowest is {nearest}"),
            Way::Down => format!("the highest is {nearest}"),
        }
    }

    fn bounded(&self, arm: &Bounded) -> String {
        let label = self.label(arm.arm);
        let Some(sample) = arm.sample else {
            return format!("no result of {label}");
        };

        let interval = match arm.interval {
            Ok(interval) => interval_of(sample, interval),
            Err(reason) => format!("no interval: {}", reason.reason()),
        };
        format!("{label} {} ({interval})", self.sample(sample))
    }

    fn saturation(&self, arm: &Saturation) -> String {
        let label = self.label(arm.arm);
        let epoch = match arm.epoch {
            Ok(epoch) => epoch,
            Err(NoTest::Missing) => return format!("no history of {label}"),
            Err(reason) => return format!("{label}: {}", reason.reason()),
        };

        let unit = arm.unit.name();
        let mean = epoch.mean;
        match (arm.interval, epoch.std) {
            (Ok(_), Some(0.0)) => {
                let trials = epoch.n.unwrap_or(0);
                let place = exact_place(mean);
                format!("{label} at {unit} {place} in each of {trials} trials")
            }
            (Ok(Interval { low, high }), Some(std)) => {
                let interval = format!("95 % interval {low:.1} to {high:.1}");
                format!("{label} at {unit} {mean:.1} ± {std:.1} ({interval})")
            }
            _ => format!("{label} at {unit} {mean:.1} (n = 1)"),
        }
    }

    fn pairs(&self, arms: &[Pairs], metric: &str, than: &str) -> String {
        let trials: usize = arms.iter().map(|arm| arm.trials).sum();
        let pairs: usize = arms.iter().map(|arm| arm.pairs).sum();
        let above: usize = arms.iter().map(|arm| arm.above).sum();
        let not_finite: usize = arms.iter().map(|arm| arm.not_finite).sum();

        let mut parts = Vec::new();
        if pairs > 0 {
            let unit = arms
                .iter()
                .find(|arm| arm.pairs > 0)
                .map_or(Unit::Epoch, |arm| arm.unit)
                .name();
            let trials = count(trials, "trial");
            let pairs = count(pairs, unit);
            parts.push(format!("true at {above} of {pairs} of {trials}"));
        }

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

        // Arms without both metrics.
        let missing: Vec<String> = arms
            .iter()
            .filter(|arm| arm.pairs == 0)
            .map(|arm| self.label(arm.arm).to_owned())
            .collect();
        if pairs == 0 {
            parts.push(format!("no {metric} and {than} in the history"));
        } else if !missing.is_empty() {
            let arms = listed(&missing);
            parts.push(format!("no {metric} and {than} in the history of {arms}"));
        }
        parts.join(", ")
    }
}

/// `above` if an arm is ahead of another and ahead means greater, and so on.
fn side_word(way: Way, ahead: bool) -> &'static str {
    if (way == Way::Up) == ahead {
        "above"
    } else {
        "below"
    }
}

fn decides(comparison: &Comparison, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Contradicted => comparison.is_significant() && comparison.lead < 0.0,
        Verdict::NoData => comparison.test.is_err(),
        Verdict::Confirmed | Verdict::NotSignificant => true,
    }
}

/// The outcome of a comparison, to be followed by the other arm.
fn outcome(comparison: &Comparison, way: Way) -> String {
    let side = side_word(way, comparison.lead > 0.0);
    match &comparison.test {
        Err(NoTest::Missing) => "no result of".to_owned(),
        Err(_) => "no test against".to_owned(),
        Ok(_) if comparison.is_significant() => format!("significantly {side}"),
        Ok(_) if comparison.lead == 0.0 => "equal to".to_owned(),
        Ok(_) => format!("not significantly {side}"),
    }
}

fn adjusted_p(test: &Tested) -> String {
    format!("adjusted p {}", p_value(test.adjusted))
}

fn both_p(test: &Tested) -> String {
    let p = p_value(test.p);
    if test.adjusted > test.p {
        let adjusted = p_value(test.adjusted);
        format!("p {p}, adjusted {}", adjusted.trim_start_matches("= "))
    } else {
        format!("p {p}")
    }
}

/// A measure that is smallest for the arm nearest to the bound.
fn distance(arm: &Bounded, way: Way) -> f64 {
    let mean = arm.sample.map_or(f64::NAN, |sample| sample.mean);
    match way {
        Way::Up => mean,
        Way::Down => -mean,
    }
}

/// A mean of equal epochs or steps, without rounding.
fn exact_place(mean: f64) -> String {
    Place::new(mean).map_or_else(String::new, |place| place.to_string())
}

fn interval_of(sample: Sample, interval: Interval) -> String {
    let low = same_form(interval.low, sample.mean, sample.std);
    let high = same_form(interval.high, sample.mean, sample.std);
    format!("95 % interval {low} to {high}")
}

/// `a, b and c`
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
