//! How a sweep is run: the options of `run` and `resume` beside the sweep file.

use std::path::PathBuf;

use crate::ledger::Consent;
use crate::schedule::devices::DeviceRequest;

/// How workers are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LauncherKind {
    /// As processes of this machine.
    Local,
    /// By Slurm's `srun`.
    Slurm,
    /// Behind the prefix that the sweep file names.
    Command,
}

/// How a sweep is to be run. The default is what `pentagrid run` does without options.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where to run.
    pub devices: DeviceRequest,
    /// How workers are started; None: as the sweep file says.
    pub launcher: Option<LauncherKind>,
    /// What to do if the sweep file, or what is trained, has changed since the last run.
    pub consent: Consent,
    /// Whether to run failed trials again.
    pub retry_failed: bool,
    /// Seed of a random order of the tuning trials; None: the order of the grid.
    pub shuffle: Option<u64>,
    /// With `prune: safe`: whether the most promising points run first.
    pub best_first: bool,
    /// Number of trials that a worker is given at once, at least 1.
    pub bundle: u16,
    /// Whether trials share the work that they have in common.
    pub sharing: bool,
    /// Maximum number of trials that the built-in task trains as one network; None: it decides.
    pub pack: Option<u16>,
    /// Whether a GPU may multiply in TF32.
    pub tf32: bool,
    /// Folder of the report; None: `reports/NAME`.
    pub report_dir: Option<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            devices: DeviceRequest::Auto,
            launcher: None,
            consent: Consent::Refuse,
            retry_failed: false,
            shuffle: None,
            best_first: false,
            bundle: 1,
            sharing: true,
            pack: None,
            tf32: false,
            report_dir: None,
        }
    }
}
