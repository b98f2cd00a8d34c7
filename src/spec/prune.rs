//! Reads `prune`, and the bound of the metric that it needs: known for the built-in task, `best`
//! under `metric` for programs of the user's own.

use super::keys;
use super::model::{Goal, Metric, Prune};
use super::problem::{Finding, Problems, quoted};
use super::scalar;
use super::task;
use super::tree::{Entry, Fields, Kind};
use super::words;

const CHOICES: [&str; 2] = ["safe", "none"];

/// What `prune` says. `metric` is what could be read of the metric, `builtin` whether the built-in
/// task reports it.
pub(super) fn read(
    fields: &Fields<'_>,
    metric: Option<&Metric>,
    builtin: bool,
    problems: &mut Problems<'_>,
) -> Prune {
    let before = problems.len();
    let bound = declared(fields, metric, builtin, problems);
    let Some(entry) = fields.get("prune") else {
        return Prune::None;
    };
    let Some(written) = words::line(entry, usize::MAX, false, problems) else {
        return Prune::None;
    };
    match &*written {
        "none" => return Prune::None,
        "safe" => {}
        _ => {
            let help = match (keys::nearest(&written, &CHOICES), &*written) {
                (_, "true" | "yes" | "on") => "write `prune: safe`".to_owned(),
                (_, "false" | "no" | "off") => "write `prune: none`, or remove the key".to_owned(),
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, _) => {
                    "write `safe`: points that cannot win any more get no further seeds; or `none`"
                        .to_owned()
                }
            };
            let message = format!("unknown way to prune {}", quoted(&written));
            problems.add(Finding::new(entry.at(), message, "unknown way").help(help));
            return Prune::None;
        }
    }
    let (Some(metric), true) = (metric, problems.len() == before) else {
        return Prune::None;
    };
    if let Some(best) = bound.or_else(|| builtin.then(|| known(metric)).flatten()) {
        return Prune::Safe { best };
    }
    let (name, goal) = (&metric.name, metric.goal.name());
    let message = format!(
        "`prune: safe` needs to know the best value that {} can take",
        quoted(name)
    );
    let help = match (builtin, metric.goal) {
        (true, _) => {
            format!("to {goal} it there is no bound: remove `prune`, or select by another metric")
        }
        (false, Goal::Maximize) => {
            format!(
                "write it under `metric`, if there is one: `metric: {{name: {name}, goal: {goal}, best: 1.0}}`"
            )
        }
        (false, Goal::Minimize) => {
            format!(
                "write it under `metric`, if there is one: `metric: {{name: {name}, goal: {goal}, best: 0.0}}`"
            )
        }
    };
    let mut finding = Finding::new(entry.at(), message, "needs a bound");
    if let Some(metric) = fields.get("metric").filter(|_| !builtin) {
        finding = finding.also(metric.key_span, "no `best` here");
    }
    problems.add(finding.help(help));
    Prune::None
}

/// `best` under `metric`.
fn declared(
    fields: &Fields<'_>,
    metric: Option<&Metric>,
    builtin: bool,
    problems: &mut Problems<'_>,
) -> Option<f64> {
    let Kind::Map(parts) = &fields.get("metric")?.value.kind else {
        return None;
    };
    let entry: &Entry = parts.iter().find(|part| &*part.key == "best")?;
    if builtin {
        let bound = metric
            .and_then(known)
            .map_or("it has none".to_owned(), |best| {
                format!("here it is {best}")
            });
        let message = format!("the bounds of the built-in task's metrics are known: {bound}");
        problems.add(Finding::new(entry.key_span, message, "known already").help("remove `best`"));
        return None;
    }
    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) => match scalar::number(scalar) {
            Ok(best) => return Some(best),
            Err(refusal) => refusal,
        },
        _ => scalar::not_a_number(entry.value.describe()),
    };
    problems.add(
        Finding::new(
            entry.at(),
            format!("`best`: {}", refusal.message),
            refusal.label,
        )
        .help_opt(refusal.help),
    );
    None
}

/// The best value that a metric of the built-in task can take.
fn known(metric: &Metric) -> Option<f64> {
    let (low, high) = task::bounds_of(&metric.name);
    match metric.goal {
        Goal::Maximize => high,
        Goal::Minimize => low,
    }
}
