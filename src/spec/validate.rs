//! The rules between the parts of a sweep: what each optimizer of the built-in task needs, what the seeds ask of
//! the arms, and how many trials come out of it all (counted, never laid out).

use super::MAX_TRIALS;
use super::model::Seeds;
use super::parameters::{Param, optimizer_list};
use super::problem::{Finding, Problems, Span, count, listed, quoted};
use super::task::{OptimizerKind, PARAMS, ParamDefault, TaskParam};
use super::value::ParamValue;

/// An arm with all its parameters, common ones first.
pub(super) struct Draft<'d> {
    pub name: String,
    pub label: String,
    /// Where to point for a problem of the whole arm.
    pub span: Span,
    /// "arm `x`", or "the sweep" where there are no arms.
    pub place: String,
    /// Whether it is an arm of the file, and not the whole sweep.
    pub has_key: bool,
    pub params: Vec<&'d Param>,
}

impl Draft<'_> {
    /// How many points its grid has, as far as that is known.
    fn points(&self) -> Option<u128> {
        self.params
            .iter()
            .try_fold(1_u128, |points, param| (!param.broken).then(|| points.saturating_mul(param.values.len() as u128)))
    }

    fn get(&self, name: &str) -> Option<&Param> {
        self.params.iter().copied().find(|param| param.name == name)
    }
}

/// An arm's own parameters over the common ones: an own one takes the place of the common one of its name.
pub(super) fn combine<'d>(common: &'d [Param], own: &'d [Param]) -> Vec<&'d Param> {
    let mut params: Vec<&Param> = common.iter().collect();
    let places: std::collections::HashMap<&str, usize> =
        common.iter().enumerate().map(|(index, param)| (param.name.as_str(), index)).collect();
    for param in own {
        match places.get(param.name.as_str()) {
            Some(&index) => params[index] = param,
            None => params.push(param),
        }
    }
    params
}

/// A name cannot be both a parameter and a group of parameters.
pub(super) fn groups(arm: &Draft<'_>, problems: &mut Problems<'_>) {
    let names: std::collections::HashMap<&str, Span> = arm.params.iter().map(|param| (param.name.as_str(), param.span)).collect();
    for param in &arm.params {
        for (at, _) in param.name.match_indices('.') {
            let group = &param.name[..at];
            if let Some(&span) = names.get(group) {
                let message =
                    format!("{} is a parameter, and also a group with the parameter {}", quoted(group), quoted(&param.name));
                problems.add(
                    Finding::new(param.span, message, "in the group").also(span, "the parameter").help("rename one of them"),
                );
            }
        }
    }
}

/// The built-in task: every parameter must mean something to every optimizer of the arm, and none may be missing.
pub(super) fn builtin(arm: &Draft<'_>, problems: &mut Problems<'_>) {
    let Some(optimizer) = arm.get("optimizer") else {
        let names = listed(&OptimizerKind::ALL.map(OptimizerKind::name), "or");
        let finding = Finding::new(arm.span, format!("{} names no `optimizer`", arm.place), "no optimizer");
        problems.add(finding.help(format!("add `optimizer: {{value: sgd}}` to its parameters; it is one of {names}")));
        return;
    };
    let optimizers: Vec<OptimizerKind> = optimizer
        .values
        .iter()
        .filter_map(|(value, _)| match value {
            ParamValue::Text(name) => OptimizerKind::from_name(name),
            _ => None,
        })
        .collect();
    if optimizer.broken || optimizers.is_empty() {
        return;
    }
    for param in &arm.params {
        let Some(known) = param.builtin else { continue };
        let strangers: Vec<OptimizerKind> = optimizers.iter().copied().filter(|kind| !known.applies_to(*kind)).collect();
        if let Some(&stranger) = strangers.first() {
            let place = if arm.has_key { format!("{}: ", arm.place) } else { String::new() };
            let message = format!("{place}`{}` means nothing to {}", param.name, optimizer_list(&strangers));
            let help = format!(
                "`{}` belongs to {}; {} takes {}",
                param.name,
                optimizer_list(known.optimizers),
                stranger.name(),
                listed(&parameters_of(stranger), "and")
            );
            let help = if optimizers.len() > 1 { format!("{help}; give each optimizer an arm of its own") } else { help };
            problems.add(Finding::new(param.span, message, format!("not for {}", stranger.name())).help(help));
        }
    }
    for known in PARAMS.iter().filter(|known| known.default == ParamDefault::Required && known.name != "optimizer") {
        let needs: Vec<OptimizerKind> = optimizers.iter().copied().filter(|kind| known.applies_to(*kind)).collect();
        if !needs.is_empty() && arm.get(known.name).is_none() {
            let message = format!("{} lacks `{}`, needed by {}", arm.place, known.name, optimizer_list(&needs));
            problems.add(
                Finding::new(arm.span, message, format!("no `{}`", known.name))
                    .help(format!("add `{}: {{values: [...]}}` to its parameters: {}", known.name, known.help)),
            );
        }
    }
}

/// The parameters that are an optimizer's own.
fn parameters_of(optimizer: OptimizerKind) -> Vec<&'static str> {
    let own = |param: &&TaskParam| !param.optimizers.is_empty() && param.applies_to(optimizer);
    PARAMS.iter().filter(own).map(|param| param.name).collect()
}

/// Without tuning seeds there is nothing to choose by, so every arm must be a single point.
pub(super) fn untuned(arms: &[Draft<'_>], tune: Span, problems: &mut Problems<'_>) {
    for arm in arms {
        if let Some(points) = arm.points().filter(|points| *points > 1) {
            let message = format!("without tuning seeds no point can be chosen, and {} has {} points", arm.place, count(points));
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
    let mut sized: Vec<(u128, &Draft<'_>)> = arms.iter().filter_map(|arm| Some((arm.points()?, arm))).collect();
    let total =
        sized.iter().fold(0_u128, |total, (points, _)| total.saturating_add(points.saturating_mul(tune)).saturating_add(last));
    if total <= MAX_TRIALS {
        return;
    }
    sized.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    let span = match sized.as_slice() {
        [(_, only)] => only.span,
        [(most, largest), ..] if points_are_to_blame(*most, tune) => largest.span,
        _ => span,
    };
    let mut factors: Vec<String> =
        sized.iter().take(3).map(|(points, arm)| format!("{}: {}", arm.name, product(*points, arm, tune))).collect();
    if sized.len() > 3 {
        factors.push(format!("{} more arms", sized.len() - 3));
    }
    let message = format!("the sweep has {} trials; at most {} are possible", count(total), count(MAX_TRIALS));
    problems.add(Finding::new(span, message, "too many").help(format!("{}; try fewer values", factors.join("; "))));
}

fn points_are_to_blame(points: u128, tune: u128) -> bool {
    points.saturating_mul(tune) > MAX_TRIALS / 2
}

/// "5 lr × 5 beta1 = 25 points × 5 seeds".
fn product(points: u128, arm: &Draft<'_>, tune: u128) -> String {
    let mut axes: Vec<(usize, &str)> =
        arm.params.iter().map(|param| (param.values.len(), param.name.as_str())).filter(|(values, _)| *values > 1).collect();
    axes.sort_by_key(|(values, _)| std::cmp::Reverse(*values));
    let mut factors: Vec<String> = axes.iter().take(6).map(|(values, name)| format!("{values} {name}")).collect();
    if axes.len() > 6 {
        factors.push(format!("{} more", axes.len() - 6));
    }
    if factors.is_empty() {
        factors.push("1 point".to_owned());
    }
    format!("{} = {} points × {tune} seeds", factors.join(" × "), count(points))
}
