//! The `published` block: figures from a publication, by arm and metric, that the report shows
//! beside its own.

use std::collections::{BTreeMap, HashSet};

use super::model::PublishedFigure;
use super::problem::{Finding, Problems, quoted};
use super::task::{AS_RUN_METRICS, BUILTIN, METRICS, SWITCH_METRIC};
use super::tree::{Entry, Kind, did_you_mean, entries, fields};
use super::{keys, scalar, seeds};

const EXAMPLE_FIGURE: &str = "{mean: 87.45, std: 1.42, n: 10}";

/// The figures. `arms` are the names of the file's arms, those included that could not be read.
pub(super) fn read(
    entry: &Entry,
    arms: &[&str],
    builtin: bool,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, BTreeMap<String, PublishedFigure>> {
    const EXAMPLE: &str = "published: {sgd: {test_accuracy: {mean: 87.45, std: 1.42, n: 10}}}";
    let mut published = BTreeMap::new();
    // Names that fit into a help line.
    let shown: Vec<&str> = arms
        .iter()
        .copied()
        .filter(|name| name.len() <= 32)
        .take(20)
        .collect();
    let known: HashSet<&str> = arms.iter().copied().collect();
    for arm in entries(entry, EXAMPLE, problems).unwrap_or_default() {
        if problems.is_full() {
            break;
        }
        if !known.contains(&*arm.key) {
            let finding = Finding::new(
                arm.key_span,
                format!("there is no arm {}", quoted(&arm.key)),
                "unknown arm",
            );
            problems.add(finding.help(did_you_mean(&arm.key, &shown, "arms")));
        }
        let mut figures = BTreeMap::new();
        for metric in entries(arm, "{test_accuracy: {mean: 87.45}}", problems).unwrap_or_default() {
            if problems.is_full() {
                break;
            }
            if builtin
                && &*metric.key != SWITCH_METRIC
                && !METRICS
                    .iter()
                    .chain(AS_RUN_METRICS)
                    .any(|known| **known == *metric.key)
            {
                let finding = Finding::new(
                    metric.key_span,
                    format!("{BUILTIN} reports no metric {}", quoted(&metric.key)),
                    "unknown metric",
                );
                problems.add(finding.help(did_you_mean(&metric.key, METRICS, "its metrics")));
            }
            if let Some(figure) = figure(metric, problems) {
                figures.insert(metric.key.to_string(), figure);
            }
        }
        published.insert(arm.key.to_string(), figures);
    }
    published
}

fn figure(entry: &Entry, problems: &mut Problems<'_>) -> Option<PublishedFigure> {
    let parts = fields(
        entry,
        "a published figure",
        keys::FIGURE,
        EXAMPLE_FIGURE,
        problems,
    )?;
    let mut number = |key: &str| {
        let part = parts.get(key)?;
        let refusal = match &part.value.kind {
            Kind::Scalar(scalar) => match scalar::number(scalar) {
                Ok(number) => return Some((part, number)),
                Err(refusal) => refusal,
            },
            _ => scalar::not_a_number(part.value.describe()),
        };
        let message = format!("`{key}`: {}", refusal.message);
        problems.add(Finding::new(part.at(), message, refusal.label).help_opt(refusal.help));
        None
    };
    let (mean, std) = (number("mean"), number("std"));
    if parts.lacks("mean") {
        let finding = Finding::new(
            entry.key_span,
            format!("{} lacks `mean`", quoted(&entry.key)),
            "no `mean`",
        );
        problems.add(finding.help(format!("write for example `{EXAMPLE_FIGURE}`")));
    }
    if let Some((part, std)) = std.filter(|(_, std)| *std < 0.0) {
        let finding = Finding::new(
            part.at(),
            format!("`std` must be 0 or greater, not {std}"),
            "negative",
        );
        problems.add(finding.help("a standard deviation is never negative"));
    }
    let n = parts
        .get("n")
        .and_then(|part| count(part, "runs", "10", problems));
    let images = parts
        .get("images")
        .and_then(|part| count(part, "images", "200", problems));
    if let Some(part) = parts.get("images") {
        if parts.lacks("n") {
            let finding = Finding::new(
                part.key_span,
                "`images` needs `n`: how many runs on so many images",
                "no `n`",
            );
            problems.add(finding.help(format!(
                "write for example `{EXAMPLE_FIGURE}`, and `images` in it"
            )));
        }
        if let Some((mean_part, mean)) = mean.filter(|(_, mean)| !(0.0..=100.0).contains(mean)) {
            let finding = Finding::new(
                mean_part.at(),
                format!("{mean} is no percentage of images"),
                "not in 0 to 100",
            );
            problems.add(
                finding
                    .also(part.key_span, "asks for a percentage")
                    .help("remove `images`, or write the mean in percent"),
            );
        }
    }
    Some(PublishedFigure {
        mean: mean?.1,
        std: std.map(|(_, std)| std),
        n,
        images,
    })
}

/// A whole number from 1.
fn count(part: &Entry, what: &str, example: &str, problems: &mut Problems<'_>) -> Option<u32> {
    let key = &part.key;
    let Kind::Scalar(scalar) = &part.value.kind else {
        let message = format!(
            "`{key}` must be a whole number, not {}",
            part.value.describe()
        );
        problems.add(
            Finding::new(part.at(), message, "not a number")
                .help(format!("write the number of {what}: {example}")),
        );
        return None;
    };
    let number = seeds::whole(scalar, part.at(), &format!("`{key}`"), problems)?;
    let fits = u32::try_from(number).ok().filter(|number| *number > 0);
    if fits.is_none() {
        let finding = Finding::new(
            part.at(),
            format!("`{key}` must be from 1 to {}, not {number}", u32::MAX),
            "out of range",
        );
        problems.add(finding.help(format!("write the number of {what}: {example}")));
    }
    fits
}
