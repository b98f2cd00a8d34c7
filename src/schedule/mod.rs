//! Running trials on worker processes. `reactor` decides and is pure; `dispatcher` acts on its
//! decisions with tokio; `launch` starts processes; `devices` says where, `ulimits` how many;
//! `budget` how much memory results may take; `retry` how often; `failures` when to give up;
//! `shortage` tells what passes from what fails; `memory` whether it ran out; `conformance` checks
//! other people's workers. `examples/simulate_cluster` drives the reactor through a cluster of any
//! size.

mod action;
mod budget;
mod command_files;
pub mod conformance;
pub mod devices;
mod dispatcher;
mod failures;
mod launch;
mod log_end;
mod memory;
mod notice;
mod orphans;
mod process;
mod processes;
mod reactor;
mod retry;
mod shortage;
mod start;
mod stops;
pub mod ulimits;

pub use action::{Action, EndBy, Exit, Fatal, Policy, Record, Settings, TICK, Time};
pub use dispatcher::{ConfigOf, Dispatcher, PhaseEnd, Recorder, WorkerCommand};
pub use failures::beginning;
pub use launch::{
    Launcher, Prefix, Slurm, Surroundings, explained, is_executable, located, obstacle, squeue,
};
pub use log_end::log_end;
pub use notice::{Notice, Observer};
pub use orphans::Orphans;
pub use processes::{
    IDENTITY, MARK, Mark, VERIFY, end_left, end_left_launchers, scratch_name, start_ticks,
    strangers,
};
pub use reactor::Reactor;
pub use start::{ProgramStart, Start, UNBUFFERED, WorkerStart, unbuffered};
pub use stops::{hear_of_children, is_ignored, listen_to, next as next_signal, stop_listening};
