//! The rules between the parts of a sweep: what the seeds ask of the arms, and how many trials come
//! out of it all (counted, never laid out). What each optimizer of the built-in task needs is
//! `builtin`'s affair.

use super::MAX_TRIALS;
use super::model::{Axis, Seeds};
use super::problem::{Finding, Problems, Span, count, quoted};
use super::shape::{Leaf, Subgrid};

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
    /// Its axes and grids, where these are not the product of its parameters.
    pub shape: Option<(Vec<Axis>, Vec<Subgrid>)>,
}

impl Draft<'_> {
    /// Whether it is the product of its parameters.
    pub fn is_plain(&self) -> bool {
        self.leaves.len() == 1 && self.leaves[0].is_plain()
    }

    /// Whether something about its parameters has been reported.
    pub fn is_broken(&self) -> bool {
        self.leaves.iter().any(|leaf| leaf.broken)
    }

    /// How many points its grid has, as far as that is known.
    fn points(&self) -> Option<u128> {
        match &self.shape {
            Some((_, grids)) => Some(
                grids
                    .iter()
                    .fold(0, |sum: u128, grid| sum.saturating_add(grid.points())),
            ),
            None if self.is_broken() || !self.is_plain() => None,
            None => {
                let values = self.leaves[0]
                    .params
                    .iter()
                    .map(|param| param.values.len() as u128);
                Some(values.fold(1, |points: u128, values| points.saturating_mul(values)))
            }
        }
    }
}

/// A name cannot be both a parameter and a group of parameters.
pub(super) fn groups(grid: &Leaf<'_>, problems: &mut Problems<'_>) {
    let names: std::collections::HashMap<&str, Span> = grid
        .params
        .iter()
        .map(|param| (param.name.as_str(), param.span))
        .collect();
    for param in &grid.params {
        for (at, _) in param.name.match_indices('.') {
            let group = &param.name[..at];
            if let Some(&span) = names.get(group) {
                let message = format!(
                    "{} is a parameter, and also a group with the parameter {}",
                    quoted(group),
                    quoted(&param.name)
                );
                problems.add(
                    Finding::new(param.span, message, "in the group")
                        .also(span, "the parameter")
                        .help("rename one of them"),
                );
            }
        }
    }
}

/// Without tuning seeds there is nothing to choose by, so every arm must be a single point.
pub(super) fn untuned(arms: &[Draft<'_>], tune: Span, problems: &mut Problems<'_>) {
    for arm in arms {
        if let Some(points) = arm.points().filter(|points| *points > 1) {
            let message = format!(
                "without tuning seeds no point can be chosen, and {} has {} points",
                arm.place,
                count(points)
            );
            problems.add(
                Finding::new(tune, message, "no tuning seeds")
                    .also(arm.span, format!("{} points", count(points)))
                    .help("give `tune` at least 1, or every parameter a single value"),
            );
            return;
        }
    }
}

/// Refuses a sweep of an absurd size. `span` is where to point when no single arm is to blame.
pub(super) fn size(arms: &[Draft<'_>], seeds: &Seeds, span: Span, problems: &mut Problems<'_>) {
    let (tune, last) = (seeds.tune.len() as u128, seeds.final_.len() as u128);
    let mut sized: Vec<(u128, &Draft<'_>)> = arms
        .iter()
        .filter_map(|arm| Some((arm.points()?, arm)))
        .collect();
    let total = sized.iter().fold(0_u128, |total, (points, _)| {
        total
            .saturating_add(points.saturating_mul(tune))
            .saturating_add(last)
    });
    if total <= MAX_TRIALS {
        return;
    }
    sized.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    let span = match sized.as_slice() {
        [(_, only)] => only.span,
        [(most, largest), ..] if points_are_to_blame(*most, tune) => largest.span,
        _ => span,
    };
    let mut factors: Vec<String> = sized
        .iter()
        .take(3)
        .map(|(points, arm)| format!("{}: {}", arm.name, product(*points, arm, tune)))
        .collect();
    if sized.len() > 3 {
        factors.push(format!("{} more arms", sized.len() - 3));
    }
    let message = format!(
        "the sweep has {} trials; at most {} are possible",
        count(total),
        count(MAX_TRIALS)
    );
    problems.add(
        Finding::new(span, message, "too many")
            .help(format!("{}; try fewer values", factors.join("; "))),
    );
}

fn points_are_to_blame(points: u128, tune: u128) -> bool {
    points.saturating_mul(tune) > MAX_TRIALS / 2
}

/// "5 lr × 5 beta1 = 25 points × 5 seeds".
fn product(points: u128, arm: &Draft<'_>, tune: u128) -> String {
    let params = if arm.is_plain() {
        arm.leaves[0].params.as_slice()
    } else {
        &[]
    };
    let mut axes: Vec<(usize, &str)> = params
        .iter()
        .map(|param| (param.values.len(), param.name.as_str()))
        .filter(|(values, _)| *values > 1)
        .collect();
    axes.sort_by_key(|(values, _)| std::cmp::Reverse(*values));
    let mut factors: Vec<String> = axes
        .iter()
        .take(6)
        .map(|(values, name)| format!("{values} {name}"))
        .collect();
    if axes.len() > 6 {
        factors.push(format!("{} more", axes.len() - 6));
    }
    if !arm.is_plain() {
        return format!("{} points × {tune} seeds", count(points));
    }
    if factors.is_empty() {
        factors.push("1 point".to_owned());
    }
    format!(
        "{} = {} points × {tune} seeds",
        factors.join(" × "),
        count(points)
    )
}
