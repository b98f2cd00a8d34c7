//! pentagrid runs hyper-parameter grid searches the way a paper reports them: every value of every
//! hyper-parameter, several seeds each, mean ± std, the best point of each arm re-evaluated on
//! fresh seeds, tables ready to print.
//!
//! The map, along the way of the data (`docs/architecture.md` follows one trial through it):
//!
//! ```text
//! spec -> grid -> plan -> schedule -> worker -> trainer
//!                   ^         |
//!                   +- ledger <--- results        ledger -> aggregate -> select -> (final seeds) -> report
//! ```
//!
//! * [`tasks`]: the built-in tasks, a descriptor each.
//! * [`spec`]: the YAML file, read and checked.
//! * [`grid`]: its points, lazily, and their ids.
//! * [`plan`]: the trials in order, what a changed spec changes, how long it may take.
//! * [`schedule`]: a pure reactor that decides, a dispatcher that acts, worker processes.
//! * [`protocol`]: what coordinator and workers say to each other; a crate of its own
//!   (`crates/protocol`), shared with the trainer.
//! * [`collect`]: metrics out of the files that scripts write anyway.
//! * [`ledger`]: the SQLite file that holds all that happened.
//! * [`aggregate`]: means, deviations, the best points.
//! * [`report`]: tables, figures, data files, provenance.
//! * [`export`]: the same for other tools: Parquet, TensorBoard, Optuna, JUnit.
//! * [`printable`]: texts from outside as a terminal may show them; [`secrets`]: values that are
//!   never shown.
//! * [`progress`]: bars and lines of a running sweep; [`monitor`]: a sweep as its ledger tells it.
//! * [`serve`]: the monitor as a web page.
//! * [`sweep`]: a sweep as a whole: opens and runs it, from the sweep file to the report.
//! * [`text`]: counts and numbers for people.
//! * [`cli`]: the commands.
//! * [`machine`]: the host's name and the search path; [`shell`]: quotes words for a shell.
//! * [`files`]: opens files without waiting, and writes none through a link.
//!
//! `crates/trainer` is the built-in task, a program of its own (`pentagrid-trainer`): the only code
//! that names `tch`, so that this library and the coordinator are built and started without libtorch.
#![warn(missing_docs)]

pub use pentagrid_protocol as protocol;

pub mod aggregate;
pub mod cli;
pub mod collect;
pub mod export;
pub mod files;
pub mod grid;
pub mod ledger;
pub mod machine;
pub mod monitor;
pub mod plan;
pub mod printable;
pub mod progress;
pub mod report;
pub mod schedule;
pub mod secrets;
pub mod serve;
pub mod shell;
pub mod spec;
pub mod sweep;
pub mod tasks;
pub mod text;
