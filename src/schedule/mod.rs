//! Running trials on worker processes.
//!
//! `reactor` decides and is pure; `dispatcher` executes its decisions with tokio; `launch` starts
//! processes, and `agent` runs beside those on other machines. Of the other files, `devices` says
//! where trials run, `ulimits` how many fit, `budget` how much memory results may take, `retry` and
//! `failures` when to give up, `refusal` and `out_of_memory` what kind of failure it was, and
//! `conformance` checks users' own workers. `examples/simulate_cluster` drives the reactor through
//! a cluster of any size.

mod action;
pub mod agent;
mod budget;
mod command_files;
pub mod conformance;
pub mod devices;
mod dispatcher;
mod failures;
mod last_words;
mod launch;
mod log_end;
mod notice;
mod orphans;
mod out_of_memory;
mod proc_fs;
mod process_groups;
mod reactor;
mod refusal;
mod retry;
mod run_mark;
mod signals;
mod slot_index;
mod start_clock;
pub mod ulimits;
mod worker_command;
mod worker_process;

pub use action::{Action, EndBy, Exit, Fatal, Policy, Record, Settings, TICK, Time};
pub use dispatcher::{ConfigOf, Dispatcher, PhaseEnd, Recorder, Recording, WorkerCommand};
pub use failures::beginning;
pub use launch::{
    Launcher, Prefix, Slurm, Source, Surroundings, explained, is_executable, located, obstacle,
    squeue,
};
pub use log_end::log_end;
pub use notice::{Notice, Observer};
pub use orphans::Orphans;
pub use proc_fs::start_ticks;
pub use reactor::Reactor;
pub use run_mark::{
    IDENTITY, MARK, Mark, VERIFY, end_left, end_left_launchers, scratch_name, strangers,
};
pub use signals::{is_ignored, listen_to, next_signal, reset_child_signal, stop_listening};
pub use slot_index::SlotIndex;
pub use worker_command::{
    ProgramStart, Start, UNBUFFERED, WANDB_CONFIG_FILE, WorkerStart, unbuffered, wandb_variables,
};
