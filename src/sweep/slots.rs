//! Where a sweep's trials run, and through what: the launcher of the sweep file or of the command
//! line, and the slots that it gives.

use std::path::Path;

use super::environment;
use super::error::SweepError;
use super::observer::Observer;
use super::options::LauncherKind;
use crate::machine::search_path;
use crate::schedule::devices::{
    DeviceRequest, Machine, SlotDevice, gpu_environment, thread_variables,
};
use crate::schedule::ulimits::{self, SlotFiles};
use crate::schedule::{Launcher, Prefix, Slurm, Surroundings, located};
use crate::spec::{CommandSpec, LauncherSpec, Spec, Task};
use crate::text::count;

/// The slots, and how each is filled.
#[derive(Debug)]
pub struct Placement {
    /// Through what workers are started.
    pub launcher: Launcher,
    /// One for each worker.
    pub slots: Vec<SlotDevice>,
}

/// Returns the slots of a sweep. `chosen` goes before what the sweep file says.
///
/// # Errors
/// `SweepError::Refused` or `SweepError::Device` if what is asked for cannot be.
pub fn place(
    spec: &Spec,
    devices: &DeviceRequest,
    chosen: Option<LauncherKind>,
) -> Result<Placement, SweepError> {
    let resources = spec.widest_resources();
    let launcher = match (chosen, &spec.launcher) {
        (Some(LauncherKind::Local), _) => LauncherSpec::Local,
        (Some(LauncherKind::Slurm), LauncherSpec::Slurm(_))
        | (Some(LauncherKind::Command), LauncherSpec::Command(_))
        | (None, _) => spec.launcher.clone(),
        (Some(LauncherKind::Slurm), _) => LauncherSpec::Slurm(Default::default()),
        (Some(LauncherKind::Command), _) => {
            return Err(SweepError::Refused(
                "--launcher command needs to know which: write `launcher: {kind: command, prefix: [ssh, host]}` in the sweep file".into(),
            ));
        }
    };
    match &launcher {
        LauncherSpec::Local => Ok(Placement {
            launcher: Launcher::Local,
            slots: Machine::detect().slots(devices, resources)?,
        }),
        LauncherSpec::Slurm(asked) => {
            if located("srun", Path::new(""), &search_path()).is_none() {
                return Err(SweepError::Refused(
                    "the launcher is slurm, but srun is not in PATH here\nstart pentagrid where Slurm's commands are, such as a login \
                     node, or with --launcher local"
                        .into(),
                ));
            }
            let around = Surroundings::detect(asked.partition.as_deref());
            let slurm = Slurm::new(asked, &around, devices, resources.threads, &own_path()?)
                .map_err(|error| SweepError::Refused(error.to_string()))?;
            let slots = slurm.slots(resources.threads);
            Ok(Placement {
                launcher: Launcher::Slurm(Box::new(slurm)),
                slots,
            })
        }
        LauncherSpec::Command(command) => {
            let programs = matches!(spec.task, Task::Program(_));
            let prefix = Prefix::new(command, &own_path()?, programs);
            Ok(Placement {
                launcher: Launcher::Prefix(prefix),
                slots: behind(command, devices, resources.threads),
            })
        }
    }
}

/// The slots that have room under the limit of open files.
///
/// # Errors
/// `SweepError::TooLittle`, if none has.
pub fn within_limits(
    mut slots: Vec<SlotDevice>,
    spec: &Spec,
    launcher: &Launcher,
    observer: &dyn Observer,
) -> Result<Vec<SlotDevice>, SweepError> {
    let program = matches!(spec.task, Task::Program(_));
    let each = match (program, launcher.has_agent(program)) {
        (false, _) => SlotFiles::Worker,
        (true, false) => SlotFiles::Program,
        (true, true) => SlotFiles::ProgramBehindAgent,
    };
    let room = ulimits::room_for(slots.len(), each)?;
    if room < slots.len() {
        observer.warn(&format!(
            "the limit of open files (`ulimit -n`) has room for {room} of {}: the others are not used",
            count(slots.len(), "slot")
        ));
        slots.truncate(room);
    }
    Ok(slots)
}

/// The slots of workers behind a prefix. The devices there are not known here, so the slots are
/// those that were asked for.
fn behind(command: &CommandSpec, devices: &DeviceRequest, threads: u32) -> Vec<SlotDevice> {
    let asked = match devices {
        DeviceRequest::Cpu(Some(count)) => Some(*count),
        DeviceRequest::Cuda(Some(list)) => Some(list.len()),
        _ => None,
    };
    let count = asked
        .or(command.workers.map(|workers| workers as usize))
        .unwrap_or(1);
    let of_its_own = command.prefix.iter().any(|word| word.contains("${slot}"));
    let slot = |number: usize| {
        let mut environment: Vec<(String, String)> = match devices {
            DeviceRequest::Auto => thread_variables(threads).collect(),
            DeviceRequest::Cpu(_) => [("PENTAGRID_DEVICE", "cpu"), ("CUDA_VISIBLE_DEVICES", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .chain(thread_variables(threads))
                .collect(),
            DeviceRequest::Cuda(_) => gpu_environment(threads),
        };
        let mut own = of_its_own;
        if let DeviceRequest::Cuda(Some(list)) = devices {
            environment.extend(
                list.get(number)
                    .map(|gpu| ("CUDA_VISIBLE_DEVICES".to_owned(), gpu.clone())),
            );
            own = true;
        }
        SlotDevice {
            device: if own { number } else { 0 },
            name: if own {
                format!("command:{number}")
            } else {
                "command".to_owned()
            },
            model: format!(
                "behind {}",
                command.prefix.first().map_or("", String::as_str)
            ),
            environment,
        }
    };
    (0..count).map(slot).collect()
}

/// Where this program is, for agents on other machines that share its file system.
fn own_path() -> Result<String, SweepError> {
    Ok(environment::own_executable()?.display().to_string())
}
