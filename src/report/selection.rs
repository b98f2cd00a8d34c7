//! The selection as text: the selected point of each arm and why, the points that could not be
//! selected, and arms without a selected point.

use super::cell::mean_std;
use crate::aggregate::{ArmEvaluation, Evaluation, Ineligible, PassedOver};
use crate::grid::{ArmGrid, Grid};
use crate::spec::{Axis, Spec};
use crate::text::count;

/// The selected point of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// Number of the arm.
    pub arm: usize,
    /// The arm's label.
    pub label: String,
    /// The values of the parameters that were searched; if none was, of those that the arms do not
    /// share; if there are none of these either, of all: `lr = 0.01, momentum = 0.9`.
    pub values: String,
    /// The point's id.
    pub point: String,
    /// Why it was selected.
    pub why: String,
}

/// Returns the selected points, arm by arm; arms without one are left out.
pub fn selected(spec: &Spec, grid: &Grid, evaluation: &Evaluation) -> Vec<Selected> {
    evaluation
        .arms
        .iter()
        .filter_map(|arm| {
            let points = &grid.arms()[arm.arm];
            let point = arm.point.as_ref()?;
            let values: Vec<String> = shown_parameters(grid, points)
                .into_iter()
                .filter_map(|name| Some(format!("{name} = {}", point.config.get(name)?)))
                .collect();

            Some(Selected {
                arm: arm.arm,
                label: spec.arms[arm.arm].label.clone(),
                values: values.join(", "),
                point: point.id.to_string(),
                why: why(spec, points.len(), evaluation.pruned_points(arm.arm), arm),
            })
        })
        .collect()
}

/// The parameters whose values tell a selected point apart, see `Selected::values`.
fn shown_parameters<'a>(grid: &Grid, points: &'a ArmGrid) -> Vec<&'a str> {
    let mut shown: Vec<&str> = points.searched().collect();

    // Without a search, points are told apart by what their arms do not share.
    if shown.is_empty() {
        shown = own_parameters(grid, points);
    }
    let all = points.arm().axes.iter().map(|axis| axis.name.as_str());
    all.filter(|name| shown.is_empty() || shown.contains(name))
        .collect()
}

/// The parameters that an arm does not share, value for value, with every other arm.
fn own_parameters<'a>(grid: &Grid, points: &'a ArmGrid) -> Vec<&'a str> {
    points
        .arm()
        .axes
        .iter()
        .filter(|axis| !is_shared(grid, axis))
        .map(|axis| axis.name.as_str())
        .collect()
}

fn is_shared(grid: &Grid, axis: &Axis) -> bool {
    grid.arms()
        .iter()
        .all(|other| other.arm().axes.contains(axis))
}

fn why(spec: &Spec, points: u64, pruned: u64, arm: &ArmEvaluation) -> String {
    let metric = &spec.metric.name;
    let stat = arm.tuned.as_ref().and_then(|stats| stats.stats.get(metric));
    let Some(stat) = stat else {
        return "the only point".to_owned();
    };

    let mut why = format!(
        "{metric} {} over {}, best of {}",
        mean_std(*stat),
        count(stat.n, "tuning seed"),
        count(points, "point")
    );
    if pruned > 0 {
        why.push_str(&format!(", {pruned} of them pruned"));
    }
    if arm.selection.tied > 0 {
        let tied = count(arm.selection.tied, "other point");
        why.push_str(&format!("; tied with {tied}; the tie rule decided"));
    }
    why
}

/// Returns why no point of an arm is selected; None if one is, or if its tuning trials have not
/// ended.
pub fn not_selected(spec: &Spec, evaluation: &Evaluation, arm: &ArmEvaluation) -> Option<String> {
    if arm.selection.best.is_some() || arm.tune_tally.left() > 0 {
        return None;
    }
    Some(format!(
        "no point is selected: {}",
        reasons(spec, evaluation, arm).join("; ")
    ))
}

/// Notes on an arm's selection: that no point is selected, or which points could not be.
pub(super) fn notes_on_selection(
    spec: &Spec,
    evaluation: &Evaluation,
    arm: &ArmEvaluation,
) -> Vec<String> {
    let label = &spec.arms[arm.arm].label;
    if arm.selection.best.is_none() {
        let why = not_selected(spec, evaluation, arm).unwrap_or_else(|| {
            "no point has a result for every tuning seed yet, so none is selected".to_owned()
        });
        return vec![format!("{label}: {why}.")];
    }

    reasons(spec, evaluation, arm)
        .into_iter()
        .map(|reason| format!("{label}: {reason} could not be selected."))
        .collect()
}

/// Why points of an arm cannot be selected: how many, and which.
fn reasons(spec: &Spec, evaluation: &Evaluation, arm: &ArmEvaluation) -> Vec<String> {
    let metric = &spec.metric.name;
    let mut reasons = Vec::new();
    for why in Ineligible::ALL {
        let mut points = arm.selection.ineligible(why);
        if why == Ineligible::LacksSeed {
            // Pruned points are reported with the counts of trials.
            points = points.saturating_sub(evaluation.pruned_points(arm.arm));
        }
        if points == 0 {
            continue;
        }

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
            format!(" ({})", examples(&named, points))
        };
        reasons.push(format!("{} {lacks}{examples}", count(points, "point")));
    }
    reasons
}

/// `k7m2p9x4qa: seed 0; z8dgxart7x: seeds 1, 2; and 4 more`.
fn examples(named: &[&PassedOver], points: u64) -> String {
    let mut parts: Vec<String> = named
        .iter()
        .map(|point| {
            let seeds: Vec<String> = point.seeds.iter().map(u64::to_string).collect();
            let noun = if seeds.len() == 1 { "seed" } else { "seeds" };
            format!("{}: {noun} {}", point.point, seeds.join(", "))
        })
        .collect();
    let more = points.saturating_sub(named.len() as u64);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}
