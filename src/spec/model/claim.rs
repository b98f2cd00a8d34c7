//! Claims: sentences about the arms that results can confirm or contradict.

use crate::spec::goal::Goal;

/// A sentence about the arms, in a form that results can confirm or contradict. Arms are given by
/// their numbers in `Spec::arms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The sentence; one line, not empty.
    pub says: String,
    /// The key of its kind in the file: `highest`, `less`, `ratio`...
    pub key: &'static str,
    /// Its meaning.
    pub kind: ClaimKind,
}

/// The meaning of a claim. In a valid `Spec` all arms exist, and no arm is compared with itself.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimKind {
    /// The arm's mean of a final metric is beyond that of each of the others (`highest`, `lowest`,
    /// `greater`, `less`).
    Beyond {
        /// The direction.
        way: Way,
        /// The final metric.
        metric: String,
        /// The arm.
        arm: usize,
        /// The others; at least one.
        others: Vec<usize>,
    },
    /// The mean of a final metric of one arm is a multiple of that of another (`ratio`).
    Ratio {
        /// The final metric.
        metric: String,
        /// The arm of the numerator.
        of: usize,
        /// The arm of the denominator.
        to: usize,
        /// The ratio; greater than 0.
        is: f64,
        /// Relative tolerance of the measured ratio; greater than 0, less than 1.
        within: f64,
    },
    /// The mean of a final metric of each of the arms is on one side of a value (`at_least`,
    /// `at_most`).
    Bound {
        /// `Up`: at least the value.
        way: Way,
        /// The final metric.
        metric: String,
        /// The arms; at least one.
        arms: Vec<usize>,
        /// The value.
        value: f64,
    },
    /// From about an epoch on, a metric of the history gets hardly any better (`saturates`).
    Saturates {
        /// The metric of the history.
        metric: String,
        /// Which way it gets better.
        goal: Goal,
        /// The arms; at least one.
        arms: Vec<usize>,
        /// The epoch; at least 1.
        at: f64,
        /// Tolerance of the measured epoch; 0 or greater.
        within: f64,
        /// The share of the whole improvement that may still be to come; at least 0, less than 1.
        tolerance: f64,
    },
    /// At every epoch of every trial one metric of the history is greater than another
    /// (`always_above`).
    AlwaysAbove {
        /// The greater one.
        metric: String,
        /// The smaller one.
        than: String,
        /// The arms; at least one.
        arms: Vec<usize>,
    },
}

/// A direction on the axis of a metric, independent of which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Greater values.
    Up,
    /// Smaller values.
    Down,
}
