//! Texts of the file that are neither numbers nor keys: lines of free text, and goals.

use super::model::Goal;
use super::problem::{Problems, quoted};
use super::tree::{Entry, Kind};

/// Reads a text in the file's own spelling: `name: 2024` is the text 2024. It has at most
/// `max_chars` characters, and is one line unless `multiline`.
pub(super) fn line(
    entry: &Entry,
    max_chars: usize,
    multiline: bool,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let (rule, label, help) = match &entry.value.kind {
        Kind::Scalar(scalar) => {
            let text = scalar.text.trim();
            if scalar.is_null() || text.is_empty() {
                ("is empty", "no text", "write a text behind it")
            } else if scalar.text.chars().count() > max_chars {
                ("is too long", "too long", "shorten it")
            } else if !multiline && text.contains(['\n', '\r']) {
                ("must be one line", "several lines", "write it in one line")
            } else if scalar.text.chars().any(is_refused_control) {
                (
                    "contains a control character",
                    "control character",
                    "remove it",
                )
            } else {
                return Some(text.to_owned());
            }
        }
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

    let message = format!("{} {rule}", quoted(&entry.key));
    problems.report(entry.at(), message, label, help);
    None
}

fn is_refused_control(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')
}

/// Reads `maximize` or `minimize`.
pub(super) fn goal(entry: &Entry, written: &str, problems: &mut Problems<'_>) -> Option<Goal> {
    match written {
        "maximize" => return Some(Goal::Maximize),
        "minimize" => return Some(Goal::Minimize),
        _ => {}
    }

    let lower = written.to_lowercase();
    let help = if lower.starts_with("max") || lower == "higher" {
        "did you mean `maximize`?"
    } else if lower.starts_with("min") || lower == "lower" {
        "did you mean `minimize`?"
    } else {
        "write `maximize` or `minimize`"
    };
    let message = format!("unknown goal {}", quoted(written));
    problems.report(entry.at(), message, "unknown goal", help);
    None
}
