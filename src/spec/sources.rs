//! Reads `metrics`: where a program's metrics come from.

use regex::Regex;

use super::command::Piece;
use super::free_text;
use super::macros::{self, Place};
use super::model::{Metric, MetricsSource, OutputPattern};
use super::problem::{Finding, Problems, Span, listed, quoted};
use super::task::Task;
use super::tree::{Entry, Fields, Kind, Node, did_you_mean};
use pentagrid_protocol::{EPOCH_KEY, STEP_KEYS};

/// How to write the key, for help.
const EXAMPLE: &str = "metrics: wandb";
/// The names of the sources.
const NAMES: [&str; 6] = [
    "wandb",
    "tensorboard",
    "csv",
    "json",
    "trainer_state",
    "stdout",
];

/// Reads the key. `task` is None if it could not be read; `parameters` are the names of all
/// parameters, which are macros in paths.
pub(super) fn read(
    fields: &Fields<'_>,
    task: Option<&Task>,
    metric: Option<&Metric>,
    parameters: &[String],
    problems: &mut Problems<'_>,
) -> Vec<MetricsSource> {
    let Some(entry) = fields.get("metrics") else {
        return Vec::new();
    };
    if task.is_some_and(|task| !matches!(task, Task::Program(_))) {
        report_no_program(entry, task, problems);
        return Vec::new();
    }

    let before = problems.len();
    let nodes: &[Node] = match &entry.value.kind {
        Kind::List(items) => items,
        _ => std::slice::from_ref(&entry.value),
    };
    if nodes.is_empty() {
        let help = format!("name a source, `{EXAMPLE}`, or remove the key");
        problems.report(entry.at(), "`metrics` is empty", "no source", help);
    }
    let mut sources: Vec<MetricsSource> = Vec::new();
    for node in nodes {
        read_node(node, entry.key_span, parameters, &mut sources, problems);
    }

    if problems.len() == before
        && let (Some(metric), [MetricsSource::Output(OutputPattern::Groups(pattern))]) =
            (metric, sources.as_slice())
    {
        check_metric(entry, metric, pattern, problems);
    }
    sources
}

fn report_no_program(entry: &Entry, task: Option<&Task>, problems: &mut Problems<'_>) {
    let message = "`metrics` is for a program that trains one trial";
    let help = match task {
        Some(Task::Worker(_)) => {
            "remove it: a worker reports its metrics itself; a program that trains one trial goes under `program` or `command`"
        }
        _ => "remove it: the built-in task reports its metrics itself",
    };
    problems.report(entry.key_span, message, "not for this task", help);
}

/// Reads one item: a name, or a mapping of names to files, folders or patterns.
fn read_node(
    node: &Node,
    key: Span,
    parameters: &[String],
    sources: &mut Vec<MetricsSource>,
    problems: &mut Problems<'_>,
) {
    match &node.kind {
        Kind::Scalar(scalar) => {
            sources.extend(named(&scalar.text, node.span.or(key), problems));
        }
        Kind::Map(entries) => {
            for entry in entries.iter() {
                sources.extend(with_value(entry, parameters, problems));
            }
        }
        Kind::List(_) => {
            let message = "a source of metrics must be a name or a mapping, not a list";
            let help = format!("write `{EXAMPLE}`, or `metrics: [wandb, {{csv: metrics.csv}}]`");
            problems.report(node.span.or(key), message, "not a source", help);
        }
    }
}

/// A source that needs nothing beside its name.
fn named(name: &str, span: Span, problems: &mut Problems<'_>) -> Option<MetricsSource> {
    let help = match name {
        "wandb" => return Some(MetricsSource::Wandb),
        "tensorboard" => return Some(MetricsSource::TensorBoard(None)),
        "trainer_state" => return Some(MetricsSource::TrainerState),
        "csv" => "name the file: `metrics: {csv: metrics.csv}`",
        "json" => "name the file: `metrics: {json: results.json}`",
        "stdout" => {
            "give a regular expression with named groups, `metrics: {stdout: \"acc=(?P<acc>[0-9.]+)\"}`, or `{stdout: pairs}`"
        }
        _ => return report_unknown(name, span, problems),
    };
    let message = format!("{} needs a value", quoted(name));
    problems.report(span, message, "needs a value", help);
    None
}

fn report_unknown<T>(name: &str, span: Span, problems: &mut Problems<'_>) -> Option<T> {
    let help = did_you_mean(name, &NAMES, "sources");
    let message = format!("unknown source of metrics {}", quoted(name));
    problems.report(span, message, "unknown source", help);
    None
}

/// A source with a file, a folder or a pattern.
fn with_value(
    entry: &Entry,
    parameters: &[String],
    problems: &mut Problems<'_>,
) -> Option<MetricsSource> {
    match &*entry.key {
        "tensorboard" => Some(MetricsSource::TensorBoard(Some(path(
            entry, parameters, problems,
        )?))),
        "csv" => Some(MetricsSource::Csv(path(entry, parameters, problems)?)),
        "json" => Some(MetricsSource::Json(path(entry, parameters, problems)?)),
        "stdout" => output(entry, problems).map(MetricsSource::Output),
        name @ ("wandb" | "trainer_state") => {
            let message = format!("{} takes no value", quoted(name));
            let help = format!("write `metrics: {name}`; all of the trial's folder is searched");
            problems.report(entry.at(), message, "no value here", help);
            None
        }
        name => report_unknown(name, entry.key_span, problems),
    }
}

/// The path of a file or folder, which may have macros.
fn path(entry: &Entry, parameters: &[String], problems: &mut Problems<'_>) -> Option<Vec<Piece>> {
    let text = free_text::line(entry, usize::MAX, false, problems)?;
    let place = Place {
        span: entry.at(),
        program: None,
        of_shell: false,
        example: "metrics: {csv: \"${dir}/metrics.csv\"}",
        parameters,
    };
    let pieces = macros::pieces(&text, place, problems)?;
    if pieces == [Piece::Dir] || text.split('/').any(|part| part == "..") {
        let message = format!(
            "{} must name what lies in the trial's folder, or be absolute",
            quoted(&entry.key)
        );
        let help = "a relative path begins in the trial's folder, which is `${dir}`";
        problems.report(entry.at(), message, "not in the folder", help);
        return None;
    }
    Some(pieces)
}

fn output(entry: &Entry, problems: &mut Problems<'_>) -> Option<OutputPattern> {
    let text = free_text::line(entry, usize::MAX, false, problems)?;
    if text == "pairs" {
        return Some(OutputPattern::Pairs);
    }

    let regex = match Regex::new(&text) {
        Ok(regex) => regex,
        Err(error) => {
            let error = error.to_string();
            // The last line says what is wrong, the others draw the pattern.
            let reason = error.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let message = format!("`stdout` is not a regular expression: {reason}");
            let help = "look-around and backreferences are not supported; write a backslash once in single quotes, twice in double quotes";
            problems.report(entry.at(), message, "not a pattern", help);
            return None;
        }
    };
    let has_metric = regex.capture_names().flatten().any(is_metric);
    if !has_metric {
        let message = "`stdout` has no named group: it would read no metric";
        let help = "name what is a metric, `loss=(?P<loss>[0-9.eE+-]+)`; groups named `epoch` or `step` make the row; or write `stdout: pairs`";
        problems.report(entry.at(), message, "no named group", help);
        return None;
    }
    Some(OutputPattern::Groups(text))
}

/// Whether a group of that name is a metric, and not the place of a row.
fn is_metric(name: &str) -> bool {
    name != EPOCH_KEY && !STEP_KEYS.contains(&name)
}

/// Reports a pattern that is the only source and has no group for the metric that selects.
fn check_metric(entry: &Entry, metric: &Metric, pattern: &str, problems: &mut Problems<'_>) {
    let Ok(regex) = Regex::new(pattern) else {
        return;
    };
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    if names.contains(&metric.name.as_str()) {
        return;
    }
    let shown: Vec<String> = names
        .iter()
        .filter(|name| is_metric(name))
        .map(|name| quoted(name))
        .collect();
    let message = format!(
        "`stdout` reads {}, and not {}, which `metric` selects by",
        listed(&shown, "and"),
        quoted(&metric.name)
    );
    let help = format!(
        "name a group after it, or another metric: `metric: {{name: {}, goal: {}}}`",
        names.iter().find(|name| is_metric(name)).unwrap_or(&"loss"),
        metric.goal.name()
    );
    problems.add(Finding::new(entry.key_span, message, "lacks the metric").help(help));
}
