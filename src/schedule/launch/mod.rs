//! Starting processes. `local` starts workers, `program` programs that train one trial each, whose
//! reports `collect` and `last_line` read; `launcher` makes of their command lines those that
//! are really started: on this machine, behind a `prefix`, or by `slurm`, which `squeue` asks.
//! `exit_evidence` says how a remote process ended.

mod command_line;
mod exit_evidence;
mod incoming;
mod last_line;
mod launcher;
mod lines;
mod local;
mod obstacle;
mod prefix;
mod program;
mod slurm;
mod slurm_time;
pub mod squeue;

pub(super) use command_line::{CommandLine, Place};
pub(super) use exit_evidence::ExitEvidence;
pub(super) use incoming::Incoming;
pub use launcher::Launcher;
pub(super) use local::{LocalWorker, SpawnPlan, spawn};
pub use obstacle::{explained, is_executable, located, obstacle};
pub use prefix::Prefix;
pub use program::Source;
pub(super) use program::{METRICS_VARIABLE, ProgramPlan, spawn_program};
pub use slurm::{Slurm, Surroundings};
pub(super) use slurm_time::seconds_left;
