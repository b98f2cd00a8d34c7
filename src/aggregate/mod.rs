//! From trials to what a paper reports: mean, standard deviation and n of every point (`stats`,
//! with Polars; `moments`), the best point of each arm (`select`), each arm's figures (`evaluate`,
//! and `tracker` for those who watch), learning curves (`curves`), and how much each
//! hyper-parameter matters (`sensitivity`). For the audit: tests (`significance`), means that
//! cannot be (`granularity`), and the verdicts on the spec's claims (`claims`). Pure.

pub mod claims;
mod curves;
mod derived;
mod evaluate;
mod granularity;
mod moments;
mod parquet;
mod select;
mod sensitivity;
mod significance;
mod stats;
mod tracker;

pub use curves::{ArmCurves, EpochStat, curves};
pub use derived::{derived_stats, reported_seeds};
pub use evaluate::{ArmEvaluation, Evaluation, PassedOver, Tally, Unreported, evaluate, race};
pub use granularity::{Impossible, impossible};
pub use moments::moments;
pub use parquet::{Column, ParquetError, ParquetFile, write_parquet};
pub use select::{ArmSelection, Ineligible, select};
pub use sensitivity::{Average, Pair, Sensitivity, pairs, sensitivity};
pub use significance::{ALPHA, NoTest, Sample, Welch, holm, paired, ratio_interval, sample, welch};
pub use stats::{
    Observation, PointStats, Stat, StatsError, limit_threads, point_stats, start_threads,
};
pub use tracker::Tracker;
