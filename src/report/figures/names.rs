//! What figures call metrics, arms and files.

use std::collections::HashSet;

use crate::report::plot::{clean, shorten};
use crate::spec::task::{GRAD_NORM_CONV1, GRAD_NORM_FC};
use crate::spec::{Arm, Task};

/// The most letters that a label of a user's has in a picture.
const LETTERS: usize = 36;

/// What a metric is called on an axis, with its unit.
pub(super) fn metric_label(task: &Task, metric: &str) -> String {
    let known = match (task, metric) {
        (Task::Worker(_) | Task::Program(_), _) => None,
        (_, GRAD_NORM_CONV1) => Some("Spectral norm of the gradient, conv1"),
        (_, GRAD_NORM_FC) => Some("Spectral norm of the gradient, fc"),
        (_, "train_loss") => Some("Training loss (cross entropy)"),
        (_, "val_loss") => Some("Validation loss (cross entropy)"),
        (_, "test_loss") => Some("Test loss (cross entropy)"),
        (_, "train_accuracy") => Some("Training accuracy (%)"),
        (_, "val_accuracy") => Some("Validation accuracy (%)"),
        (_, "test_accuracy") => Some("Test accuracy (%)"),
        _ => None,
    };
    known.map_or_else(|| shorten(&clean(metric), LETTERS), str::to_owned)
}

/// What an arm is called in a legend.
pub(super) fn arm_label(arm: &Arm) -> String {
    let label = shorten(&clean(&arm.label), LETTERS);
    if label.is_empty() {
        shorten(&clean(&arm.name), LETTERS)
    } else {
        label
    }
}

/// Names of files: no two are the same, nor differ in case only.
#[derive(Default)]
pub(super) struct FileNames(HashSet<String>);

impl FileNames {
    /// A name made of parts, joined by underscores. What a file system or LaTeX may not like
    /// becomes a hyphen.
    pub fn make(&mut self, parts: &[&str]) -> String {
        let plain = |part: &&str| -> String {
            let safe = |letter: char| {
                if letter.is_ascii_alphanumeric() || "-_".contains(letter) {
                    letter
                } else {
                    '-'
                }
            };
            let text: String = part.chars().map(safe).take(40).collect();
            if text.is_empty() {
                "-".to_owned()
            } else {
                text
            }
        };
        let base = parts.iter().map(plain).collect::<Vec<_>>().join("_");
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.to_lowercase()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }
}

/// Whether a file's name is one that a figure may have: only such files are ever removed.
pub fn is_figure_file(file: &str) -> bool {
    let Some((name, "svg" | "png" | "csv")) = file.rsplit_once('.') else {
        return false;
    };
    let number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let safe = name
        .bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter));
    safe && (name == "distribution"
        || name.strip_prefix("figure").is_some_and(number)
        || ["history_", "sensitivity_", "heatmap_"]
            .iter()
            .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_our_own_files_are_ours() {
        for ours in [
            "figure1.svg",
            "figure12.png",
            "distribution.csv",
            "sensitivity_sgd.svg",
            "heatmap_a_lr_beta-1.png",
        ] {
            assert!(is_figure_file(ours), "{ours}");
        }
        for foreign in [
            "figure.svg",
            "figure1b.svg",
            "figure1.pdf",
            "my_figure1.svg",
            "notes.csv",
            "heatmap_.svg",
            "heatmap_a/../b.svg",
        ] {
            assert!(!is_figure_file(foreign), "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn names_are_safe_and_differ(parts in prop::collection::vec(("\\PC{0,50}", "\\PC{0,50}"), 1..6)) {
            let mut names = FileNames::default();
            let mut seen = HashSet::new();
            for (arm, axis) in &parts {
                let name = names.make(&["heatmap", arm, axis]);
                prop_assert!(is_figure_file(&format!("{name}.svg")), "{}", name);
                prop_assert!(seen.insert(name.to_lowercase()));
            }
        }
    }
}
