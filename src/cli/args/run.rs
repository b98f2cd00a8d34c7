//! Arguments of `run` and `resume`: where and how trials are run.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::ledger::Consent;
use crate::schedule::devices::DeviceRequest;
use crate::sweep::{LauncherKind, RunOptions};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The sweep file
    pub spec: PathBuf,
    /// Run directory [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How to run.
    #[command(flatten)]
    pub how: HowArgs,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run directory
    pub dir: PathBuf,
    /// How to run.
    #[command(flatten)]
    pub how: HowArgs,
}

/// How workers are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LauncherArg {
    /// As processes of this machine
    Local,
    /// By srun
    Slurm,
    /// Behind the prefix that the sweep file names
    Command,
}

impl LauncherArg {
    /// Returns the same for the library.
    pub fn kind(self) -> LauncherKind {
        match self {
            Self::Local => LauncherKind::Local,
            Self::Slurm => LauncherKind::Slurm,
            Self::Command => LauncherKind::Command,
        }
    }
}

/// How trials are run.
#[derive(Clone, Debug, Args)]
pub struct HowArgs {
    /// Where to run: auto, cpu, cpu:N, cuda, cuda:0,1
    #[arg(long, default_value = "auto", value_name = "DEVICES")]
    pub devices: DeviceRequest,
    /// How workers are started: local, slurm, command [default: as `launcher` in the sweep file
    /// says, or local]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LAUNCHER")]
    pub launcher: Option<LauncherArg>,
    /// Resume although the sweep file, or what is trained, has changed; finished trials keep their
    /// results
    #[arg(long)]
    pub accept_changes: bool,
    /// Resume with the changed sweep file and code, and run again what an earlier version of them
    /// trained
    #[arg(long, conflicts_with = "accept_changes")]
    pub rerun_changed: bool,
    /// Run failed trials again
    #[arg(long)]
    pub retry_failed: bool,
    /// Run the tuning trials in random order, drawn from this seed, so that early results cover the
    /// whole grid; no result depends on the order
    #[arg(long, value_name = "SEED")]
    pub shuffle: Option<u64>,
    /// With `prune: safe`, run every point once and then always the most promising one, which saves
    /// more trials; no result depends on the order
    #[arg(long)]
    pub best_first: bool,
    /// Number of trials to send to a worker at once, for trials of milliseconds or workers that train
    /// several together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub bundle: u16,
    /// Do not share work between trials with a common prefix
    #[arg(long)]
    pub no_sharing: bool,
    /// Maximum number of same-seed trials to train as one network; 1: none (built-in task)
    /// [default: on a GPU as many as fit, on a CPU 1]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub pack: Option<u16>,
    /// Allow TF32 on GPUs: faster, with 10 bits of mantissa (built-in task)
    #[arg(long)]
    pub tf32: bool,
    /// Report directory [default: reports/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl HowArgs {
    /// Returns the same for the library.
    pub fn options(&self) -> RunOptions {
        let consent = if self.rerun_changed {
            Consent::Rerun
        } else if self.accept_changes {
            Consent::Accept
        } else {
            Consent::Refuse
        };
        RunOptions {
            devices: self.devices.clone(),
            launcher: self.launcher.map(LauncherArg::kind),
            consent,
            retry_failed: self.retry_failed,
            shuffle: self.shuffle,
            best_first: self.best_first,
            bundle: self.bundle,
            sharing: !self.no_sharing,
            pack: self.pack,
            tf32: self.tf32,
            report_dir: self.out.clone(),
        }
    }
}
