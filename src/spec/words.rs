//! Texts of the file that are neither numbers nor keys: lines of free text, and goals. For
//! `document` and `claims`.

use super::model::Goal;
use super::problem::{Finding, Problems, quoted};
use super::tree::{Entry, Kind};

/// A text in the file's own spelling: `name: 2024` is the text 2024. At most so many characters,
/// and one line unless `several`.
pub(super) fn line(
    entry: &Entry,
    most: usize,
    several: bool,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) if scalar.is_null() || scalar.text.trim().is_empty() => {
            ("is empty", "no text", "write a text behind it")
        }
        Kind::Scalar(scalar) if scalar.text.chars().count() > most => {
            ("is too long", "too long", "shorten it")
        }
        Kind::Scalar(scalar) if !several && scalar.text.trim().contains(['\n', '\r']) => {
            ("must be one line", "several lines", "write it in one line")
        }
        Kind::Scalar(scalar)
            if scalar
                .text
                .chars()
                .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) =>
        {
            (
                "contains a control character",
                "control character",
                "remove it",
            )
        }
        Kind::Scalar(scalar) => return Some(scalar.text.trim().to_owned()),
        Kind::List(_) => (
            "must be text, not a list",
            "not text",
            "write it without brackets",
        ),
        Kind::Map(_) => (
            "must be text",
            "not text",
            "write it in one line, in quotes if it contains a colon",
        ),
    };
    let (what, label, help) = refusal;
    problems
        .add(Finding::new(entry.at(), format!("{} {what}", quoted(&entry.key)), label).help(help));
    None
}

/// `maximize` or `minimize`.
pub(super) fn goal(entry: &Entry, written: &str, problems: &mut Problems<'_>) -> Option<Goal> {
    match written {
        "maximize" => Some(Goal::Maximize),
        "minimize" => Some(Goal::Minimize),
        _ => {
            let help = match written.to_lowercase() {
                near if near.starts_with("max") || near == "higher" => "did you mean `maximize`?",
                near if near.starts_with("min") || near == "lower" => "did you mean `minimize`?",
                _ => "write `maximize` or `minimize`",
            };
            problems.add(
                Finding::new(
                    entry.at(),
                    format!("unknown goal {}", quoted(written)),
                    "unknown goal",
                )
                .help(help),
            );
            None
        }
    }
}
