//! The rules between the parts of a sweep: what the seeds require of the arms, and how many trials
//! come out of it all (counted, never laid out). What each optimizer of the built-in task needs is
//! checked by `builtin`.

use std::cmp::Reverse;

use super::MAX_TRIALS;
use super::model::Seeds;
use super::problem::{Finding, Problems, Span, count};
use super::shape::{Leaf, ShapedArm, Subgrid};

/// Maximum number of arms to list in the help of a sweep that is too large.
const MAX_LISTED_ARMS: usize = 3;

/// Maximum number of parameters to list for each of those arms.
const MAX_LISTED_PARAMETERS: usize = 6;

/// An arm with all its grids.
pub(super) struct Draft<'d> {
    pub name: String,
    pub label: String,
    /// Where to point for a problem of the whole arm.
    pub span: Span,
    /// "arm `x`", or "the sweep" where there are no arms.
    pub place: String,
    /// Whether it is an arm of the file, and not the whole sweep.
    pub has_key: bool,
    /// The grids whose union it is; one, for most arms.
    pub leaves: Vec<Leaf<'d>>,
    /// Its axes and grids, unless it is the product of its parameters.
    pub shape: Option<ShapedArm>,
}

impl Draft<'_> {
    /// Whether it is the product of its parameters.
    pub(super) fn is_plain(&self) -> bool {
        self.leaves.len() == 1 && self.leaves[0].is_plain()
    }

    /// Whether something about its parameters has been reported.
    pub(super) fn is_broken(&self) -> bool {
        self.leaves.iter().any(|leaf| leaf.broken)
    }

    /// Number of points, as far as that is known; saturates.
    fn points(&self) -> Option<u128> {
        if let Some(shape) = &self.shape {
            let counts = shape.grids.iter().map(Subgrid::points);
            return Some(counts.fold(0, u128::saturating_add));
        }
        if self.is_broken() || !self.is_plain() {
            return None;
        }
        let params = self.leaves[0].params.iter();
        let counts = params.map(|param| param.values.len() as u128);
        Some(counts.fold(1, u128::saturating_mul))
    }
}

/// Without tuning seeds nothing can be selected, so every arm must be a single point.
pub(super) fn untuned(arms: &[Draft<'_>], tune: Span, problems: &mut Problems<'_>) {
    for arm in arms {
        let Some(points) = arm.points().filter(|points| *points > 1) else {
            continue;
        };

        let points = count(points);
        let message = format!(
            "without tuning seeds no point can be chosen, and {} has {points} points",
            arm.place
        );
        problems.add(
            Finding::new(tune, message, "no tuning seeds")
                .also(arm.span, format!("{points} points"))
                .help("give `tune` at least 1, or every parameter a single value"),
        );
        return;
    }
}

/// Refuses a sweep with too many trials. `span` is where to point if no single arm is the cause.
pub(super) fn size(arms: &[Draft<'_>], seeds: &Seeds, span: Span, problems: &mut Problems<'_>) {
    let tune = seeds.tune.len() as u128;
    let finals = seeds.final_.len() as u128;
    let mut sized: Vec<(u128, &Draft<'_>)> = arms
        .iter()
        .filter_map(|arm| Some((arm.points()?, arm)))
        .collect();
    let total = sized
        .iter()
        .map(|(points, _)| points.saturating_mul(tune).saturating_add(finals))
        .fold(0, u128::saturating_add);
    if total <= MAX_TRIALS {
        return;
    }

    // The largest arm is to blame if it alone makes up more than half of the maximum.
    sized.sort_by_key(|(points, _)| Reverse(*points));
    let span = match sized.as_slice() {
        [(_, only)] => only.span,
        [(points, largest), ..] if points.saturating_mul(tune) > MAX_TRIALS / 2 => largest.span,
        _ => span,
    };

    let mut arms: Vec<String> = sized
        .iter()
        .take(MAX_LISTED_ARMS)
        .map(|(points, arm)| format!("{}: {}", arm.name, product(*points, arm, tune)))
        .collect();
    if sized.len() > MAX_LISTED_ARMS {
        arms.push(format!("{} more arms", sized.len() - MAX_LISTED_ARMS));
    }
    problems.report(
        span,
        format!(
            "the sweep has {} trials; at most {} are possible",
            count(total),
            count(MAX_TRIALS)
        ),
        "too many",
        format!("{}; try fewer values", arms.join("; ")),
    );
}

/// "5 lr × 5 beta1 = 25 points × 5 seeds".
fn product(points: u128, arm: &Draft<'_>, tune: u128) -> String {
    let points = count(points);
    if !arm.is_plain() {
        return format!("{points} points × {tune} seeds");
    }

    let mut axes: Vec<(usize, &str)> = arm.leaves[0]
        .params
        .iter()
        .map(|param| (param.values.len(), param.name.as_str()))
        .filter(|(values, _)| *values > 1)
        .collect();
    axes.sort_by_key(|(values, _)| Reverse(*values));

    let mut factors: Vec<String> = axes
        .iter()
        .take(MAX_LISTED_PARAMETERS)
        .map(|(values, name)| format!("{values} {name}"))
        .collect();
    if axes.len() > MAX_LISTED_PARAMETERS {
        factors.push(format!("{} more", axes.len() - MAX_LISTED_PARAMETERS));
    }
    if factors.is_empty() {
        factors.push("1 point".to_owned());
    }
    format!("{} = {points} points × {tune} seeds", factors.join(" × "))
}
