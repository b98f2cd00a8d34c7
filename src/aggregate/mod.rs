//! From trials to what a paper reports: mean, standard deviation and n of every point (`stats`, with Polars), the
//! best point of each arm (`select`), and each arm's figures (`evaluate`). Pure.

mod derived;
mod evaluate;
mod select;
mod stats;

pub use derived::{derived_stats, reported_seeds};
pub use evaluate::{ArmEvaluation, Evaluation, Tally, evaluate};
pub use select::{ArmSelection, select};
pub use stats::{Observation, PointStats, Stat, StatsError, limit_threads, point_stats};
