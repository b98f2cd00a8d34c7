//! The event loop and the dispatcher of a sweep, with the settings that its sweep file and launcher
//! ask for. `run` and `verify` use them.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::environment;
use super::error::SweepError;
use crate::plan::Finals;
use crate::schedule::devices::SlotDevice;
use crate::schedule::{
    ConfigOf, Dispatcher, Launcher, Observer, Recording, Settings, WorkerCommand,
};
use crate::spec::{Spec, Task};

/// How long a worker may be silent before it counts as lost.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between SIGTERM and SIGKILL.
const KILL_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Returns a runtime for a dispatcher: one thread is enough for the messages of hundreds of workers.
///
/// # Errors
/// `SweepError::System`, if the event loop cannot be started.
pub fn runtime() -> Result<Runtime, SweepError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SweepError::system("cannot start the event loop"))
}

/// Returns a dispatcher on a runtime.
///
/// # Errors
/// `SweepError::System`, if signals cannot be listened to.
pub fn dispatcher(
    runtime: &Runtime,
    workers: WorkerCommand,
    settings: Settings,
    config_of: ConfigOf,
    recording: Recording,
    observer: Box<dyn Observer>,
) -> Result<Dispatcher, SweepError> {
    let _within = runtime.enter();
    Dispatcher::new(workers, settings, config_of, recording, observer)
        .map_err(SweepError::system("cannot listen to signals"))
}

/// Returns the scheduler's settings for a sweep: `bundle` trials are given to a worker at once, and
/// `longest` is the longest time that a trial of each arm has taken.
pub fn settings(
    spec: &Spec,
    slots: &[SlotDevice],
    bundle: usize,
    launcher: &Launcher,
    longest: Vec<Option<Duration>>,
) -> Settings {
    let runs_programs = matches!(spec.task, Task::Program(_));
    let all_end = match launcher {
        Launcher::Slurm(slurm) => slurm.ends_in,
        Launcher::Local | Launcher::Prefix(_) => None,
    };
    // Only GPUs are shared out so: cores are slots of their own.
    let per_gpu = match slots.first() {
        Some(slot) if slot.name.starts_with("cuda") => (0..spec.arms.len())
            .map(|arm| spec.resources_of(arm).per_gpu)
            .collect(),
        _ => Vec::new(),
    };

    Settings {
        queued: launcher.has_queue(),
        agent: launcher.has_agent(runs_programs),
        all_end,
        longest,
        slots: slots.iter().map(|slot| slot.device).collect(),
        persistent: !runs_programs,
        // A program trains one trial.
        bundle: if runs_programs { 1 } else { bundle },
        metric: spec.metric.name.clone(),
        finals: Finals::new(&spec.metric),
        heartbeat: HEARTBEAT_TIMEOUT,
        start: launcher.start(),
        grace: KILL_GRACE_PERIOD,
        shortage: environment::shortage_limit(),
        limits: spec.limits.clone(),
        per_gpu,
        arms: spec.arms.iter().map(|arm| arm.label.clone()).collect(),
        warned_of_notes: false,
    }
}
