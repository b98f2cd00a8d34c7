//! A finished or running sweep in the formats of other tools: tables for pandas and polars
//! (`table`, written by `aggregate::write_parquet`), TensorBoard's event files, Optuna's journal,
//! JUnit's XML. Pure: everything is written to a given writer.

mod junit;
mod optuna;
mod steps;
mod table;
mod tensorboard;
mod trials;

pub use junit::write_junit;
pub use optuna::write_optuna;
pub use steps::WholeSteps;
pub use table::{HistoryShape, history_table, trials_table};
pub use tensorboard::{RunTimes, Scalars, hyper_parameters, write_version};
pub use trials::{Exported, exported};
