//! What claims can be about.

use crate::spec::model::Metric;

/// What claims can be about.
pub(in crate::spec) struct Scope<'a> {
    /// The names of the file's arms, including those that could not be read.
    pub arms: &'a [&'a str],
    /// Whether the built-in task trains.
    pub builtin: bool,
    /// The metric that selects points, if it could be read.
    pub metric: Option<&'a Metric>,
}
