//! Workers by `srun`: as steps of the allocation that the coordinator runs in, or each as a job of
//! its own.

mod surroundings;

use std::collections::BTreeMap;
use std::time::Duration;

use super::command_line::{CommandLine, Hidden, Place, agent_words};
use super::prefix::DEFAULT_SILENCE;
use super::squeue::job_name;
use crate::protocol::{ToAgent, encode_line};
use crate::schedule::devices::{DeviceRequest, SlotDevice, gpu_environment, thread_variables};
use crate::schedule::run_mark::MARK;
use crate::spec::SlurmSpec;

pub use surroundings::Surroundings;

/// Number of workers outside an allocation, unless the sweep file says otherwise.
const DEFAULT_WORKERS: u32 = 8;

/// How much time at the end of an allocation is not used, at most a tenth of it. Batch scripts are
/// warned before the end, and running trials should end in order.
const RESERVED_TIME: Duration = Duration::from_secs(150);

/// The variables of an allocation that tell `srun` how to divide it. They are kept from `srun`,
/// which gets options instead.
const DIVIDING_VARIABLES: &[&str] = &[
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_NNODES",
    "SLURM_JOB_NUM_NODES",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_NTASKS_PER_CORE",
    "SLURM_NTASKS_PER_SOCKET",
    "SLURM_NTASKS_PER_GPU",
    "SLURM_NTASKS_PER_TRES",
    "SLURM_TASKS_PER_NODE",
    "SLURM_CPUS_PER_TASK",
    "SRUN_CPUS_PER_TASK",
    "SLURM_CPUS_PER_GPU",
    "SLURM_GPUS",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK",
    "SLURM_GPUS_PER_SOCKET",
    "SLURM_GPU_BIND",
    "SLURM_GPU_FREQ",
    "SLURM_GRES",
    "SLURM_MEM_PER_NODE",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_GPU",
    "SLURM_MEM_BIND",
    "SLURM_CPU_BIND",
    "SLURM_HINT",
    "SLURM_DISTRIBUTION",
    "SLURM_EXACT",
    "SLURM_OVERLAP",
    "SLURM_WHOLE",
    "SLURM_EXCLUSIVE",
    "SLURM_THREADS_PER_CORE",
    "SLURM_TRES_PER_TASK",
    "SLURM_LABELIO",
];

/// The variables that also hold outside an allocation.
const CLUSTER_VARIABLES: [&str; 2] = ["SLURM_CONF", "SLURM_CLUSTERS"];

/// How `srun` is called.
#[derive(Clone, Debug)]
pub struct Slurm {
    spec: SlurmSpec,
    /// Whether workers are steps of the coordinator's own allocation.
    pub steps: bool,
    gpus: u32,
    cpus: u32,
    workers: u32,
    agent: String,
    /// Variables that are kept from `srun`.
    without: Vec<String>,
    /// As for `Launcher::silence`.
    pub silence: Duration,
    /// How long until the allocation, and all workers with it, should be left.
    pub ends_in: Option<Duration>,
    /// What to tell the user.
    pub remarks: Vec<String>,
}

/// A request that Slurm cannot meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlurmError {
    /// Steps were asked for outside an allocation.
    #[error(
        "the launcher's `steps: true` needs an allocation, and there is none here (SLURM_JOB_ID is not set)\nstart pentagrid within sbatch or salloc, or remove `steps`: each worker is then a job of its own"
    )]
    NoAllocation,
    /// GPUs were named.
    #[error(
        "--devices cannot name GPUs under Slurm, which gives each worker its own\nwrite --devices cuda, and `max_workers` under `launcher`"
    )]
    NamedGpus,
}

impl Slurm {
    /// Decides how `srun` is called for a sweep file and `--devices`. `threads` is the number of
    /// threads of a trial, `agent` the path of this program.
    ///
    /// # Errors
    /// `SlurmError`, if the request cannot be met.
    pub fn new(
        spec: &SlurmSpec,
        around: &Surroundings,
        request: &DeviceRequest,
        threads: u32,
        agent: &str,
    ) -> Result<Self, SlurmError> {
        let steps = spec.steps.unwrap_or(around.job.is_some());
        if steps && around.job.is_none() {
            return Err(SlurmError::NoAllocation);
        }

        let gpus = requested_gpus(request)?
            .or(spec.gpus)
            .unwrap_or_else(|| u32::from(has_gpus(steps, around)));
        let cpus = spec.cpus.unwrap_or(threads);
        let room = match gpus {
            0 => around.cpus / cpus.max(1),
            _ => around.gpus / gpus,
        };
        let default = if steps { room.max(1) } else { DEFAULT_WORKERS };
        let workers = requested_workers(request)
            .or(spec.max_workers)
            .unwrap_or(default);

        let mut remarks = Vec::new();
        if steps && around.in_step {
            remarks.push(
                "this shell is itself a step of the allocation (srun --pty?) and may hold what workers need: \
                 if they stay pending, use salloc or sbatch instead"
                    .to_owned(),
            );
        }
        if steps && room > 0 && workers > room {
            remarks.push(format!(
                "{workers} workers were asked for, but the allocation has room for {room}: the others will wait"
            ));
        }
        Ok(Self {
            steps,
            gpus,
            cpus,
            workers,
            agent: spec.agent.clone().unwrap_or_else(|| agent.to_owned()),
            without: variables_to_remove(steps, around),
            silence: spec.heartbeat.unwrap_or(DEFAULT_SILENCE),
            ends_in: around
                .ends_in
                .filter(|_| steps)
                .map(|ends_in| ends_in - RESERVED_TIME.min(ends_in / 10)),
            remarks,
            spec: spec.clone(),
        })
    }

    /// The slots. Each is a device of its own, which only Slurm knows.
    pub fn slots(&self, threads: u32) -> Vec<SlotDevice> {
        (0..self.workers)
            .map(|number| SlotDevice {
                device: number as usize,
                name: format!("slurm:{number}"),
                model: match self.gpus {
                    0 => "CPU of Slurm's".to_owned(),
                    gpus => format!("{gpus} GPU of Slurm's"),
                },
                environment: match self.gpus {
                    0 => cpu_environment(threads),
                    _ => gpu_environment(threads),
                },
            })
            .collect()
    }

    /// Returns `srun`, its options, the agent, and behind it the command line.
    ///
    /// Variables are in the environment of `srun`; words that may be secrets go over its stdin.
    pub fn wrap(&self, mut line: CommandLine, place: Place<'_>) -> CommandLine {
        let secret_words = line.take_secret_words();
        let has_secrets = !secret_words.is_empty();
        let mut words = self.srun(place);
        words.extend(agent_words(&self.agent, self.silence, place, has_secrets));
        if let Some(folder) = &line.workdir {
            words.extend(["--workdir".to_owned(), folder.display().to_string()]);
        }
        words.push("--".to_owned());
        words.extend(line.command);

        // Only the agent bears the mark. By it srun would be found and killed together with its
        // child, and the worker would live on.
        let mut environment = line.environment;
        environment.remove(MARK);
        let mut without = self.without.clone();
        without.push(MARK.to_owned());
        let first_lines = if has_secrets {
            encode_line(&ToAgent::Secrets {
                environment: BTreeMap::new(),
                words: secret_words,
            })
        } else {
            String::new()
        };
        CommandLine {
            command: words,
            environment,
            without,
            first_lines: Hidden(first_lines),
            ..CommandLine::default()
        }
    }

    /// `srun` with its options.
    fn srun(&self, place: Place<'_>) -> Vec<String> {
        let mut words = vec![
            "srun".to_owned(),
            format!("--job-name={}", job_name(&place.mark.id, place.worker)),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            "--export=ALL".to_owned(),
            // The agent enters the folder: where it is missing, srun would continue in /tmp.
            "--chdir=/".to_owned(),
            format!("--cpus-per-task={}", self.cpus),
        ];
        if self.steps {
            // Without these, steps wait for each other, or share a GPU.
            let memory = self.spec.mem.as_deref().unwrap_or("0");
            words.extend(["--exact".to_owned(), format!("--mem={memory}")]);
        } else {
            words.extend(self.job_options());
        }
        match self.gpus {
            0 if self.steps => words.push("--gres=none".to_owned()),
            0 => {}
            gpus => words.push(format!("--gpus={gpus}")),
        }
        words.extend(self.spec.args.iter().cloned());
        words
    }

    /// The options of a worker that is a job of its own.
    fn job_options(&self) -> Vec<String> {
        let options = [
            ("partition", &self.spec.partition),
            ("account", &self.spec.account),
            ("qos", &self.spec.qos),
            ("time", &self.spec.time),
            ("mem", &self.spec.mem),
        ];
        options
            .into_iter()
            .filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)))
            .collect()
    }
}

/// The number of GPUs of a worker that `--devices` asks for, if it does.
fn requested_gpus(request: &DeviceRequest) -> Result<Option<u32>, SlurmError> {
    match request {
        DeviceRequest::Auto => Ok(None),
        DeviceRequest::Cpu(_) => Ok(Some(0)),
        DeviceRequest::Cuda(None) => Ok(Some(1)),
        DeviceRequest::Cuda(Some(_)) => Err(SlurmError::NamedGpus),
    }
}

/// The number of workers that `--devices` asks for, if it does.
fn requested_workers(request: &DeviceRequest) -> Option<u32> {
    match request {
        DeviceRequest::Cpu(Some(count)) => u32::try_from(*count).ok(),
        _ => None,
    }
}

/// Whether workers can have GPUs.
fn has_gpus(steps: bool, around: &Surroundings) -> bool {
    if steps {
        around.gpus > 0
    } else {
        around.cluster_has_gpus || (around.job.is_some() && around.gpus > 0)
    }
}

/// The variables to keep from `srun`. A job of its own has nothing to do with the allocation that
/// the coordinator runs in.
fn variables_to_remove(steps: bool, around: &Surroundings) -> Vec<String> {
    if steps {
        return DIVIDING_VARIABLES
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
    }
    around
        .variables
        .iter()
        .filter(|name| !CLUSTER_VARIABLES.contains(&name.as_str()))
        .cloned()
        .collect()
}

fn cpu_environment(threads: u32) -> Vec<(String, String)> {
    let own = [("PENTAGRID_DEVICE", "cpu"), ("CUDA_VISIBLE_DEVICES", "")];
    own.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(thread_variables(threads))
        .collect()
}

#[cfg(test)]
mod tests;
