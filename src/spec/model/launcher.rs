//! How workers and programs are started, as the `launcher` block says.

use std::time::Duration;

/// How workers and programs are started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LauncherSpec {
    /// As processes of this machine.
    #[default]
    Local,
    /// With `srun`.
    Slurm(SlurmSpec),
    /// With another program that forwards stdin and stdout: `ssh`, `kubectl exec`, `docker run`.
    Command(CommandSpec),
}

/// What to ask Slurm for. What is None is left to Slurm, or determined when the sweep starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmSpec {
    /// Maximum number of workers at a time.
    pub max_workers: Option<u32>,
    /// Whether workers are steps of the allocation that pentagrid runs in, instead of jobs of their
    /// own.
    pub steps: Option<bool>,
    /// The partition.
    pub partition: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The time limit of each worker, in Slurm's notation.
    pub time: Option<String>,
    /// How many GPUs each worker gets.
    pub gpus: Option<u32>,
    /// How many CPUs each worker gets.
    pub cpus: Option<u32>,
    /// How much memory each worker gets, in Slurm's notation.
    pub mem: Option<String>,
    /// More options for `srun`.
    pub args: Vec<String>,
    /// The path of pentagrid on the nodes.
    pub agent: Option<String>,
    /// A worker that hears nothing from its coordinator for this long exits.
    pub heartbeat: Option<Duration>,
}

/// How another program starts workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program and its arguments, which come before the worker's command line.
    pub prefix: Vec<String>,
    /// Number of workers.
    pub workers: Option<u32>,
    /// Whether a shell on the other side reads the command line again, so that every word must be
    /// quoted.
    pub quote: Option<bool>,
    /// The path of pentagrid on the other side.
    pub agent: Option<String>,
    /// How long a worker may take to send its first message.
    pub start: Option<Duration>,
    /// Like `SlurmSpec::heartbeat`.
    pub heartbeat: Option<Duration>,
}
