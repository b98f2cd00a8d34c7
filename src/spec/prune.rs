//! Reads `prune`, and the bound of the metric that it needs: known for the built-in task, `best`
//! under `metric` for the user's own programs.

use super::model::{Goal, Metric, Prune};
use super::problem::{Finding, Problems, quoted};
use super::tree::{Entry, Fields, Kind};
use super::{free_text, numbers, similar, task};

const CHOICES: [&str; 2] = ["safe", "none"];

/// Reads `prune`. `metric` is the metric if it could be read, `builtin` whether the built-in task
/// reports it.
pub(super) fn read(
    fields: &Fields<'_>,
    metric: Option<&Metric>,
    builtin: bool,
    problems: &mut Problems<'_>,
) -> Prune {
    let before = problems.len();
    let declared = declared_bound(fields, metric, builtin, problems);

    let Some(entry) = fields.get("prune") else {
        return Prune::None;
    };
    let Some(written) = free_text::line(entry, usize::MAX, false, problems) else {
        return Prune::None;
    };

    match &*written {
        "none" => return Prune::None,
        "safe" => {}
        _ => {
            report_unknown(entry, &written, problems);
            return Prune::None;
        }
    }

    let Some(metric) = metric.filter(|_| problems.len() == before) else {
        return Prune::None;
    };

    let bound = if builtin {
        declared.or_else(|| known_bound(metric))
    } else {
        declared
    };
    match bound {
        Some(best) => Prune::Safe { best },
        None => {
            report_no_bound(entry, fields, metric, builtin, problems);
            Prune::None
        }
    }
}

fn report_unknown(entry: &Entry, written: &str, problems: &mut Problems<'_>) {
    let help = match written {
        "true" | "yes" | "on" => "write `prune: safe`".to_owned(),
        "false" | "no" | "off" => "write `prune: none`, or remove the key".to_owned(),
        _ => match similar::nearest(written, &CHOICES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write `safe`: points that cannot win any more get no further seeds; or `none`"
                .to_owned(),
        },
    };
    let message = format!("unknown way to prune {}", quoted(written));
    problems.report(entry.at(), message, "unknown way", help);
}

fn report_no_bound(
    entry: &Entry,
    fields: &Fields<'_>,
    metric: &Metric,
    builtin: bool,
    problems: &mut Problems<'_>,
) {
    let name = &metric.name;
    let goal = metric.goal.name();
    let example = match metric.goal {
        Goal::Maximize => "1.0",
        Goal::Minimize => "0.0",
    };
    let help = if builtin {
        format!("to {goal} it there is no bound: remove `prune`, or select by another metric")
    } else {
        format!(
            "write it under `metric`, if there is one: `metric: {{name: {name}, goal: {goal}, best: {example}}}`"
        )
    };

    let message = format!(
        "`prune: safe` needs to know the best value that {} can take",
        quoted(name)
    );
    let mut finding = Finding::new(entry.at(), message, "needs a bound");
    if let Some(metric) = fields.get("metric").filter(|_| !builtin) {
        finding = finding.also(metric.key_span, "no `best` here");
    }
    problems.add(finding.help(help));
}

/// Reads `best` under `metric`.
fn declared_bound(
    fields: &Fields<'_>,
    metric: Option<&Metric>,
    builtin: bool,
    problems: &mut Problems<'_>,
) -> Option<f64> {
    let Kind::Map(parts) = &fields.get("metric")?.value.kind else {
        return None;
    };
    let entry: &Entry = parts.iter().find(|part| &*part.key == "best")?;
    if !builtin {
        return numbers::float(entry, problems);
    }

    let bound = match metric.and_then(known_bound) {
        Some(best) => format!("here it is {best}"),
        None => "it has none".to_owned(),
    };
    let message = format!("the bounds of the built-in task's metrics are known: {bound}");
    problems.report(entry.key_span, message, "known already", "remove `best`");
    None
}

/// The best value that a metric of the built-in task can take.
fn known_bound(metric: &Metric) -> Option<f64> {
    let (low, high) = task::bounds_of(&metric.name);
    match metric.goal {
        Goal::Maximize => high,
        Goal::Minimize => low,
    }
}
