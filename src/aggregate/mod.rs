//! From trials to what a paper reports: mean, standard deviation and n of every point (`stats`, with Polars), the
//! best point of each arm (`select`), and each arm's figures (`evaluate`). For the audit: tests (`significance`), means
//! that cannot be (`granularity`), and the verdicts on the spec's claims (`claims`). Pure.

pub mod claims;
mod derived;
mod evaluate;
mod granularity;
mod select;
mod significance;
mod stats;

pub use derived::{derived_stats, reported_seeds};
pub use evaluate::{ArmEvaluation, Evaluation, Tally, evaluate};
pub use granularity::{Impossible, impossible};
pub use select::{ArmSelection, select};
pub use significance::{ALPHA, NoTest, Sample, Welch, holm, paired, ratio_interval, sample, welch};
pub use stats::{Observation, PointStats, Stat, StatsError, limit_threads, point_stats};
