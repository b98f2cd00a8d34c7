//! The kinds of claims: the keys of each, and how to write it.

use crate::spec::keys::{self, Key};

/// The keys of a claim of that kind.
pub(in crate::spec) fn kind_keys(kind: &str) -> &'static [Key] {
    match kind {
        "highest" | "lowest" => keys::EXTREME,
        "greater" | "less" => keys::COMPARISON,
        "ratio" => keys::RATIO,
        "at_least" | "at_most" => keys::BOUND,
        "saturates" => keys::SATURATES,
        _ => keys::ALWAYS_ABOVE,
    }
}

/// An example of a claim of that kind.
pub(in crate::spec) fn kind_example(kind: &str) -> &'static str {
    match kind {
        "highest" => "highest: {arm: hybrid, metric: test_accuracy}",
        "lowest" => "lowest: {arm: sgd, metric: val_accuracy}",
        "greater" => "greater: {metric: test_accuracy, arm: adahessian, than: sgd}",
        "less" => "less: {metric: test_loss, arm: adahessian, than: sgd}",
        "ratio" => {
            "ratio: {metric: training_seconds, of: adahessian, to: adam, is: 1.26, within: 0.1}"
        }
        "at_least" => "at_least: {metric: test_accuracy, value: 80}",
        "at_most" => "at_most: {metric: test_loss, value: 0.5}",
        "saturates" => {
            "saturates: {metric: train_loss, arms: [adahessian, hybrid], at: 4, within: 1}"
        }
        _ => "always_above: {metric: train_accuracy, than: val_accuracy}",
    }
}
