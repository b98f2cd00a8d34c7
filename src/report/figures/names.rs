//! Names of metrics, arms and files in figures.

use std::collections::HashSet;

use crate::report::plot::{clean, shorten};
use crate::spec::{Arm, Axis, Task};

/// Maximum number of letters of a label from the sweep file in a picture.
const MAX_LABEL_LENGTH: usize = 36;
/// Maximum number of letters of each part of a file's name.
const MAX_NAME_PART_LENGTH: usize = 40;

/// The label of a metric on an axis, with its unit.
pub(super) fn metric_label(task: &Task, metric: &str) -> String {
    let label = task.built_in().and_then(|task| task.label(metric));
    label.map_or_else(|| short_label(metric), |label| label.axis.to_owned())
}

/// The label of an arm in a legend.
pub(super) fn arm_label(arm: &Arm) -> String {
    let label = short_label(&arm.label);
    if label.is_empty() {
        short_label(&arm.name)
    } else {
        label
    }
}

/// The label of a hyper-parameter on an axis.
pub(super) fn parameter_label(parameter: &Axis) -> String {
    short_label(&parameter.name)
}

fn short_label(text: &str) -> String {
    shorten(&clean(text), MAX_LABEL_LENGTH)
}

/// Names of files, all different, even in a file system that ignores case.
#[derive(Default)]
pub(super) struct FileNames(HashSet<String>);

impl FileNames {
    /// Makes a name of parts, joined by underscores. Letters that a file system or LaTeX may not
    /// accept become hyphens.
    pub(crate) fn make(&mut self, parts: &[&str]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| plain_name(part)).collect();
        let base = parts.join("_");

        // Equal names are numbered from 2.
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.to_lowercase()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }
}

fn plain_name(part: &str) -> String {
    let name: String = part
        .chars()
        .map(|letter| match letter {
            '-' | '_' => letter,
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => '-',
        })
        .take(MAX_NAME_PART_LENGTH)
        .collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}

/// Whether a file's name is one that a figure may have. Only such files are ever removed.
pub fn is_figure_file(file: &str) -> bool {
    let Some((name, "svg" | "png" | "csv")) = file.rsplit_once('.') else {
        return false;
    };
    let is_safe = name
        .bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter));
    if !is_safe {
        return false;
    }

    if let Some(number) = name.strip_prefix("figure") {
        return !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    }
    name == "distribution"
        || ["history_", "sensitivity_", "heatmap_"]
            .iter()
            .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_files_of_figures_are_recognised() {
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
