//! Starting processes. `local` starts workers, `program` programs that train one trial each, whose
//! reports `metrics_file` and `last_line` read; `launcher` makes of their command lines those that
//! are really started: on this machine, behind a `prefix`, or by `slurm`, which `squeue` asks.
//! `proof` judges ends.

mod last_line;
mod launcher;
mod literal;
mod local;
mod metrics_file;
mod obstacle;
mod prefix;
mod program;
mod proof;
mod slurm;
pub mod squeue;

pub use launcher::{CommandLine, Launcher, Place, signal_process};
pub use local::{Incoming, LocalWorker, SpawnPlan, spawn};
pub(super) use metrics_file::quoted;
pub use obstacle::{explained, is_executable, located, obstacle};
pub use prefix::Prefix;
pub use program::{ProgramPlan, spawn_program};
pub use proof::Proof;
pub use slurm::{Slurm, Surroundings};
