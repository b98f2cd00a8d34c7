//! What a report says of the points that selection passes over, and of arms of which no point is
//! selected.

use crate::aggregate::{ArmEvaluation, Evaluation, Ineligible, PassedOver};
use crate::spec::Spec;

/// Why no point of an arm is selected; None: one is, or its tuning trials have not ended.
pub fn not_selected(spec: &Spec, evaluation: &Evaluation, arm: &ArmEvaluation) -> Option<String> {
    if arm.selection.best.is_some() || arm.tune_tally.left() > 0 {
        return None;
    }
    Some(format!(
        "no point is selected: {}",
        reasons(spec, evaluation, arm).join("; ")
    ))
}

/// Notes on an arm's selection: that none was possible, or what took no part in it.
pub(super) fn notes_on_selection(
    spec: &Spec,
    evaluation: &Evaluation,
    arm: &ArmEvaluation,
) -> Vec<String> {
    let label = &spec.arms[arm.arm].label;
    if arm.selection.best.is_none() {
        let why = not_selected(spec, evaluation, arm);
        let why = why.unwrap_or_else(|| {
            "no point has a result for every tuning seed yet, so none is selected".to_owned()
        });
        return vec![format!("{label}: {why}.")];
    }
    let note = |reason: String| format!("{label}: {reason} took no part in the selection.");
    reasons(spec, evaluation, arm)
        .into_iter()
        .map(note)
        .collect()
}

/// Why points of an arm cannot be selected: how many, and which.
fn reasons(spec: &Spec, evaluation: &Evaluation, arm: &ArmEvaluation) -> Vec<String> {
    let metric = &spec.metric.name;
    let mut reasons = Vec::new();
    for why in Ineligible::ALL {
        let mut count = arm.selection.ineligible(why);
        if why == Ineligible::LacksSeed {
            // What was pruned is said beside the counts of trials.
            count = count.saturating_sub(evaluation.pruned_points(arm.arm));
        }
        if count == 0 {
            continue;
        }
        let points = if count == 1 {
            "1 point".to_owned()
        } else {
            format!("{count} points")
        };
        let lacks = match why {
            Ineligible::LacksSeed => "without a result for every tuning seed".to_owned(),
            Ineligible::LacksMetric => format!("without {metric} on every tuning seed"),
            Ineligible::NotFinite => format!("whose {metric} is infinite or NaN on a tuning seed"),
        };
        let named: Vec<&PassedOver> = arm
            .passed_over
            .iter()
            .filter(|point| point.why == why)
            .collect();
        let examples = if named.is_empty() {
            String::new()
        } else {
            format!(" ({})", examples(&named, count))
        };
        reasons.push(format!("{points} {lacks}{examples}"));
    }
    reasons
}

/// `k7m2p9x4qa: seed 0; z8dgxart7x: seeds 1, 2; and 4 more`.
fn examples(named: &[&PassedOver], count: u64) -> String {
    let point = |point: &&PassedOver| {
        let seeds: Vec<String> = point.seeds.iter().map(u64::to_string).collect();
        let noun = if seeds.len() == 1 { "seed" } else { "seeds" };
        format!("{}: {noun} {}", point.point, seeds.join(", "))
    };
    let mut parts: Vec<String> = named.iter().map(point).collect();
    let more = count.saturating_sub(named.len() as u64);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}
