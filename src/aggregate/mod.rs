//! Turns finished trials into the statistics that a paper reports. Pure.
//!
//! * `stats`: mean, standard deviation and n of every point, grouped with Polars; `moments`
//!   computes them.
//! * `select`: the best point of each arm.
//! * `evaluate`: the whole sweep, arm by arm; `tracker` keeps the same up to date while a sweep is
//!   watched.
//! * `curves`: learning curves; `sensitivity`: how much each hyper-parameter matters; `derived`:
//!   statistics of values computed from a trial's metrics.
//! * For the audit: `significance` (tests and intervals), `granularity` (means that are
//!   impossible), `claims` (verdicts on the claims of the sweep file).
//! * `parquet`: columns as a Parquet file, here because Polars writes it.

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
pub use significance::{
    ALPHA, Interval, NoTest, PairedTest, Sample, Welch, holm, paired, ratio_interval, sample, welch,
};
pub use stats::{Observation, PointStats, Stat, StatsError, point_stats, start_threads};
pub use tracker::Tracker;
