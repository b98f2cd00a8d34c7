//! A sweep as a whole, which is what this program is for. [`OpenSweep`] opens a run directory;
//! [`run()`] starts or resumes a sweep and drives it through its phases to the report, telling an
//! [`Observer`] of its progress. Knows nothing of command lines, printers or exit codes: `cli` is one
//! user of it, `examples/embed.rs` another.
//!
//! ```text
//! run -> file, slots, environment, fingerprint -> the ledger -> leftovers
//!     -> phases (tuning, selection, final) -> ending -> report::write
//! ```

mod counted_files;
mod dispatch;
mod ending;
mod environment;
mod error;
mod file;
mod find_program;
mod fingerprint;
mod git;
mod ledger_rows;
mod leftovers;
mod observer;
mod open;
mod options;
mod phases;
mod redact;
mod rerun;
mod run;
mod slots;
mod sources;
mod watched;

pub use dispatch::{dispatcher, runtime, settings};
pub use ending::{Outcome, outcome as outcome_of, warnings as warnings_of};
pub use environment::{Computing, folder, folder_of, secrets, start, working_folder};
pub use error::SweepError;
pub use file::{SweepFile, default_run_dir, read};
pub use find_program::handover_warning;
pub use fingerprint::{Subject, take as take_fingerprint};
pub use ledger_rows::sweep_rows;
pub use observer::{Observer, Unobserved};
pub use open::{FoundTrial, OpenSweep};
pub use options::{LauncherKind, RunOptions};
pub use rerun::rerun_command;
pub use run::{Finished, Request, run};
pub use slots::{Placement, place, within_limits};
