//! From trials to what a paper reports: mean, standard deviation and n of every point (`stats`, with Polars), the
//! best point of each arm (`select`), each arm's figures (`evaluate`), learning curves (`curves`), and how much each
//! hyper-parameter matters (`sensitivity`). Pure.

mod curves;
mod evaluate;
mod select;
mod sensitivity;
mod stats;

pub use curves::{ArmCurves, EpochStat, curves};
pub use evaluate::{ArmEvaluation, Evaluation, Tally, evaluate};
pub use select::{ArmSelection, select};
pub use sensitivity::{Average, Pair, Sensitivity, pairs, sensitivity};
pub use stats::{Observation, PointStats, Stat, StatsError, limit_threads, point_stats};
