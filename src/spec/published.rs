//! The `published` block: figures from a publication, by arm and metric, that the report shows
//! beside its own.

use std::collections::{BTreeMap, HashSet};

use super::model::PublishedFigure;
use super::problem::{Finding, Problems, quoted};
use super::task::{AS_RUN_METRICS, BUILTIN, METRICS, SWITCH_METRIC};
use super::tree::{Entry, Fields, Kind, did_you_mean, entries, fields};
use super::{keys, numbers};

const EXAMPLE: &str = "published: {sgd: {test_accuracy: {mean: 87.45, std: 1.42, n: 10}}}";
const EXAMPLE_FIGURE: &str = "{mean: 87.45, std: 1.42, n: 10}";

/// Longest name, and maximum number of names, of arms in a line of help.
const MAX_LISTED_NAME: usize = 32;
const MAX_LISTED_ARMS: usize = 20;

/// Reads the figures. `arms` are the names of the file's arms, including those that could not be
/// read.
pub(super) fn read(
    entry: &Entry,
    arms: &[&str],
    builtin: bool,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, BTreeMap<String, PublishedFigure>> {
    let known: HashSet<&str> = arms.iter().copied().collect();
    let shown: Vec<&str> = arms
        .iter()
        .copied()
        .filter(|name| name.len() <= MAX_LISTED_NAME)
        .take(MAX_LISTED_ARMS)
        .collect();

    let mut published = BTreeMap::new();
    for arm in entries(entry, EXAMPLE, problems).unwrap_or_default() {
        if problems.is_full() {
            break;
        }
        if !known.contains(&*arm.key) {
            let message = format!("there is no arm {}", quoted(&arm.key));
            let help = did_you_mean(&arm.key, &shown, "arms");
            problems.report(arm.key_span, message, "unknown arm", help);
        }
        published.insert(arm.key.to_string(), arm_figures(arm, builtin, problems));
    }
    published
}

fn arm_figures(
    arm: &Entry,
    builtin: bool,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, PublishedFigure> {
    let mut figures = BTreeMap::new();
    for metric in entries(arm, "{test_accuracy: {mean: 87.45}}", problems).unwrap_or_default() {
        if problems.is_full() {
            break;
        }

        if builtin && !is_builtin_metric(&metric.key) {
            let message = format!("{BUILTIN} reports no metric {}", quoted(&metric.key));
            let help = did_you_mean(&metric.key, METRICS, "its metrics");
            problems.report(metric.key_span, message, "unknown metric", help);
        }

        if let Some(figure) = figure(metric, problems) {
            figures.insert(metric.key.to_string(), figure);
        }
    }
    figures
}

fn is_builtin_metric(name: &str) -> bool {
    name == SWITCH_METRIC || METRICS.contains(&name) || AS_RUN_METRICS.contains(&name)
}

fn figure(entry: &Entry, problems: &mut Problems<'_>) -> Option<PublishedFigure> {
    let parts = fields(
        entry,
        "a published figure",
        keys::FIGURE,
        EXAMPLE_FIGURE,
        problems,
    )?;

    let mean = number(&parts, "mean", problems);
    let std = number(&parts, "std", problems);
    if parts.lacks("mean") {
        problems.report(
            entry.key_span,
            format!("{} lacks `mean`", quoted(&entry.key)),
            "no `mean`",
            format!("write for example `{EXAMPLE_FIGURE}`"),
        );
    }
    if let Some(part) = parts.get("std")
        && let Some(std) = std.filter(|std| *std < 0.0)
    {
        problems.report(
            part.at(),
            format!("`std` must be 0 or greater, not {std}"),
            "negative",
            "a standard deviation is never negative",
        );
    }

    let n = count(&parts, "n", "write the number of runs: 10", problems);
    let images = count(
        &parts,
        "images",
        "write the number of images: 200",
        problems,
    );
    if let Some(part) = parts.get("images") {
        check_images(part, &parts, mean, problems);
    }

    Some(PublishedFigure {
        mean: mean?,
        std,
        n,
        images,
    })
}

/// Checks that a figure with `images` has a number of runs, and a percentage as its mean.
fn check_images(
    images: &Entry,
    parts: &Fields<'_>,
    mean: Option<f64>,
    problems: &mut Problems<'_>,
) {
    if parts.lacks("n") {
        problems.report(
            images.key_span,
            "`images` needs `n`: how many runs on that many images",
            "no `n`",
            format!("write for example `{EXAMPLE_FIGURE}`, and `images` in it"),
        );
    }

    // The report checks whether a percentage of that many images is possible at all.
    if let Some(part) = parts.get("mean")
        && let Some(mean) = mean.filter(|mean| !(0.0..=100.0).contains(mean))
    {
        let message = format!("{mean} is no percentage of images");
        problems.add(
            Finding::new(part.at(), message, "not in 0 to 100")
                .also(images.key_span, "asks for a percentage")
                .help("remove `images`, or write the mean in percent"),
        );
    }
}

fn number(parts: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Option<f64> {
    numbers::float(parts.get(key)?, problems)
}

/// Reads a whole number, 1 or greater.
fn count(parts: &Fields<'_>, key: &str, help: &str, problems: &mut Problems<'_>) -> Option<u32> {
    let part = parts.get(key)?;
    let label = match part.value.kind {
        Kind::Scalar(_) => "out of range",
        _ => "not a number",
    };
    let range = 1..=u64::from(u32::MAX);
    numbers::in_range(part, range, label, help.to_owned(), problems)
}
