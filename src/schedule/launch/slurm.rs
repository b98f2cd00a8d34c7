//! Workers by `srun`: as steps of the allocation that the coordinator runs in, or each as a job of
//! its own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::launcher::{CommandLine, Hidden, Place, agent_words};
use super::prefix::SILENCE;
use super::squeue::job_name;
use crate::agent::seconds_left;
use crate::protocol::{ToAgent, encode_line};
use crate::schedule::devices::{DeviceRequest, SlotDevice, gpu_environment, thread_variables};
use crate::schedule::processes::MARK;
use crate::spec::SlurmSpec;

/// Outside an allocation, where nothing else is said.
const WORKERS: u32 = 8;

/// So much of an allocation's end is left alone, at most a tenth of it: batch scripts are warned
/// before the end, and what runs then is to be ended in order.
const RESERVE: Duration = Duration::from_secs(150);

/// What of an allocation's environment tells `srun` how to share it out: we say that ourselves.
const SHARED_OUT: &[&str] = &[
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

/// What was found out about where the coordinator runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The allocation that the coordinator runs in.
    pub job: Option<String>,
    /// Whether the coordinator is itself within a step of it, which holds what further steps would
    /// need.
    pub in_step: bool,
    /// How many GPUs the allocation has.
    pub gpus: u32,
    /// How many CPUs it has.
    pub cpus: u32,
    /// After so long it ends.
    pub ends_in: Option<Duration>,
    /// Whether the cluster has GPUs.
    pub cluster_has_gpus: bool,
    /// Every variable of Slurm's in the environment.
    pub variables: Vec<String>,
}

/// How `srun` is called.
#[derive(Clone, Debug)]
pub struct Slurm {
    spec: SlurmSpec,
    /// Whether workers are steps of our own allocation.
    pub steps: bool,
    gpus: u32,
    cpus: u32,
    workers: u32,
    agent: String,
    /// Variables that are kept from `srun`.
    without: Vec<String>,
    /// As for `Launcher::silence`.
    pub silence: Duration,
    /// After so long, with a reserve, the allocation ends, and all workers with it.
    pub ends_in: Option<Duration>,
    /// What to tell the user.
    pub remarks: Vec<String>,
}

impl Surroundings {
    /// Looks around: the environment, and `sinfo` and `squeue` where that does not say it.
    pub fn look(partition: Option<&str>) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let job = variable("SLURM_JOB_ID").or_else(|| variable("SLURM_JOBID"));
        let ends_in = job
            .as_deref()
            .and_then(|job| seconds_left(job, variable("SLURM_JOB_END_TIME").as_deref()));
        let nodes = variable("SLURM_JOB_NUM_NODES")
            .and_then(|nodes| nodes.parse().ok())
            .unwrap_or(1);
        let cpus = variable("SLURM_JOB_CPUS_PER_NODE").map_or(0, |text| sum_of_nodes(&text));
        let all = variable("SLURM_GPUS").map(|text| count_of(&text));
        let each = ["SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_NODE"]
            .into_iter()
            .find_map(variable)
            .map(|text| count_of(&text) * nodes);
        // An interactive step (salloc) has a number at the end of the range, and holds nothing.
        let step: Option<u64> = variable("SLURM_STEP_ID").and_then(|step| step.parse().ok());
        Self {
            in_step: job.is_some() && step.is_some_and(|step| step < 4_000_000_000),
            gpus: all.or(each).unwrap_or(0),
            cpus,
            ends_in: ends_in.map(Duration::from_secs),
            cluster_has_gpus: job.is_none() && has_gpus(partition),
            variables: std::env::vars_os()
                .filter_map(|(name, _)| name.into_string().ok())
                .filter(|name| is_slurms(name))
                .collect(),
            job,
        }
    }
}

impl Slurm {
    /// What a sweep file and `--devices` ask for, here. `threads` is what a trial is told to use,
    /// `agent` where this program is.
    ///
    /// # Errors
    /// What cannot be, in words.
    pub fn new(
        spec: &SlurmSpec,
        around: &Surroundings,
        request: &DeviceRequest,
        threads: u32,
        agent: &str,
    ) -> Result<Self, String> {
        let steps = spec.steps.unwrap_or(around.job.is_some());
        if steps && around.job.is_none() {
            return Err("the launcher's `steps: true` needs an allocation, and there is none here (SLURM_JOB_ID is not set)\n\
                        start pentagrid within sbatch or salloc, or remove `steps`: each worker is then a job of its own"
                .to_owned());
        }
        let wished = match request {
            DeviceRequest::Auto => None,
            DeviceRequest::Cpu(_) => Some(0),
            DeviceRequest::Cuda(None) => Some(1),
            DeviceRequest::Cuda(Some(_)) => {
                return Err(
                    "--devices cannot name GPUs under Slurm, which gives each worker its own\n\
                            write --devices cuda, and `max_workers` under `launcher`"
                        .to_owned(),
                );
            }
        };
        let there = if steps {
            around.gpus > 0
        } else {
            around.cluster_has_gpus || (around.job.is_some() && around.gpus > 0)
        };
        let gpus = wished.or(spec.gpus).unwrap_or(u32::from(there));
        let cpus = spec.cpus.unwrap_or(threads);
        let room = match gpus {
            0 => around.cpus / cpus.max(1),
            _ => around.gpus / gpus,
        };
        let asked = match request {
            DeviceRequest::Cpu(Some(count)) => u32::try_from(*count).ok(),
            _ => None,
        };
        let workers =
            asked
                .or(spec.max_workers)
                .unwrap_or(if steps { room.max(1) } else { WORKERS });
        let mut remarks = Vec::new();
        if steps && around.in_step {
            remarks.push(
                "this shell is itself a step of the allocation (srun --pty?) and may hold what workers need: \
                 if they stay pending, use salloc or sbatch instead"
                    .to_owned(),
            );
        }
        if steps && room > 0 && workers > room {
            remarks
                .push(format!("{workers} workers are wished for, but the allocation has room for {room}: the others will wait"));
        }
        let without = match steps {
            true => SHARED_OUT.iter().map(|name| (*name).to_owned()).collect(),
            // A job of its own has nothing to do with the one that we run in.
            false => around
                .variables
                .iter()
                .filter(|name| *name != "SLURM_CONF" && *name != "SLURM_CLUSTERS")
                .cloned()
                .collect(),
        };
        Ok(Self {
            steps,
            gpus,
            cpus,
            workers,
            agent: spec.agent.clone().unwrap_or_else(|| agent.to_owned()),
            without,
            silence: spec.heartbeat.unwrap_or(SILENCE),
            ends_in: around
                .ends_in
                .filter(|_| steps)
                .map(|ends_in| ends_in - RESERVE.min(ends_in / 10)),
            remarks,
            spec: spec.clone(),
        })
    }

    /// The slots: each is a device of its own, which only Slurm knows.
    pub fn slots(&self, threads: u32) -> Vec<SlotDevice> {
        let slot = |number: u32| SlotDevice {
            device: number as usize,
            name: format!("slurm:{number}"),
            model: if self.gpus > 0 {
                format!("{} GPU of Slurm's", self.gpus)
            } else {
                "CPU of Slurm's".to_owned()
            },
            environment: match self.gpus {
                0 => [("PENTAGRID_DEVICE", "cpu"), ("CUDA_VISIBLE_DEVICES", "")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into_iter()
                    .chain(thread_variables(threads))
                    .collect(),
                _ => gpu_environment(threads),
            },
        };
        (0..self.workers).map(slot).collect()
    }

    /// `srun`, its options, the agent, and behind it the command line.
    ///
    /// Variables are in the environment of `srun`; words that may be secrets go over its stdin.
    pub fn wrap(&self, mut line: CommandLine, place: Place<'_>) -> CommandLine {
        let secret_words = line.take_secret_words();
        let secrets = !secret_words.is_empty();
        let mut words: Vec<String> = vec![
            "srun".into(),
            format!("--job-name={}", job_name(&place.mark.id, place.worker)),
        ];
        // The folder is the agent's to enter: srun would go on in /tmp where it is missing.
        words.extend(["--nodes=1", "--ntasks=1", "--export=ALL", "--chdir=/"].map(str::to_owned));
        words.push(format!("--cpus-per-task={}", self.cpus));
        if self.steps {
            // Without these, steps wait for each other, or share a GPU.
            words.extend([
                "--exact".to_owned(),
                format!("--mem={}", self.spec.mem.as_deref().unwrap_or("0")),
            ]);
        } else {
            let options = [
                ("partition", &self.spec.partition),
                ("account", &self.spec.account),
                ("qos", &self.spec.qos),
                ("time", &self.spec.time),
                ("mem", &self.spec.mem),
            ];
            words.extend(
                options
                    .into_iter()
                    .filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))),
            );
        }
        match self.gpus {
            0 if self.steps => words.push("--gres=none".to_owned()),
            0 => {}
            gpus => words.push(format!("--gpus={gpus}")),
        }
        words.extend(self.spec.args.iter().cloned());
        words.extend(agent_words(&self.agent, self.silence, place, secrets));
        if let Some(folder) = &line.workdir {
            words.extend(["--workdir".to_owned(), folder.display().to_string()]);
        }
        words.push("--".to_owned());
        words.extend(line.command);
        let mut environment = line.environment;
        // By its mark srun would be found and killed with its child, and the worker would live on:
        // the agent bears it.
        environment.remove(MARK);
        CommandLine {
            command: words,
            environment,
            without: self
                .without
                .iter()
                .cloned()
                .chain([MARK.to_owned()])
                .collect(),
            first_lines: Hidden(match secrets {
                true => encode_line(&ToAgent::Secrets {
                    environment: BTreeMap::new(),
                    words: secret_words,
                }),
                false => String::new(),
            }),
            ..CommandLine::default()
        }
    }
}

fn is_slurms(name: &str) -> bool {
    ["SLURM_", "SRUN_", "SBATCH_", "SALLOC_", "SLURMD_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// `4`, `a100:4`, `gpu:a100:4`, `gpu:2,gpu:4`: how many.
fn count_of(text: &str) -> u32 {
    text.split(',')
        .map(|part| {
            part.rsplit(':')
                .next()
                .and_then(|last| last.parse::<u32>().ok())
                .unwrap_or(0)
        })
        .sum()
}

/// `8(x2),4`: over all nodes.
fn sum_of_nodes(text: &str) -> u32 {
    let node = |part: &str| -> Option<u32> {
        match part.split_once("(x") {
            Some((each, times)) => each
                .parse::<u32>()
                .ok()?
                .checked_mul(times.trim_end_matches(')').parse().ok()?),
            None => part.parse().ok(),
        }
    };
    text.split(',').filter_map(node).sum()
}

/// Whether a partition, or any, has GPUs.
fn has_gpus(partition: Option<&str>) -> bool {
    let mut command = std::process::Command::new("sinfo");
    command
        .args(["--noheader", "--format=%G"])
        .args(partition.map(|name| format!("--partition={name}")));
    let output = command.stdin(std::process::Stdio::null()).output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| line.contains("gpu"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::processes::Mark;

    fn line() -> CommandLine {
        CommandLine {
            command: ["train", "it"].map(str::to_owned).into(),
            environment: [
                ("A".to_owned(), "1".to_owned()),
                (MARK.to_owned(), "/r".to_owned()),
            ]
            .into(),
            workdir: Some("/data".into()),
            ..CommandLine::default()
        }
    }

    fn words(spec: &SlurmSpec, around: &Surroundings, request: &DeviceRequest) -> String {
        let slurm = Slurm::new(spec, around, request, 2, "/bin/pentagrid").unwrap();
        let mark = Mark {
            dir: "/r".to_owned(),
            id: "f00d".to_owned(),
            legacy: false,
        };
        let made = slurm.wrap(
            line(),
            Place {
                slot: 0,
                worker: 5,
                mark: &mark,
                metrics: None,
            },
        );
        assert_eq!(made.environment, [("A".to_owned(), "1".to_owned())].into());
        assert!(made.without.contains(&MARK.to_owned()));
        format!(
            "{} workers: {}",
            slurm.slots(2).len(),
            made.command.join(" ")
        )
    }

    fn inside() -> Surroundings {
        Surroundings {
            job: Some("7".to_owned()),
            gpus: 4,
            cpus: 16,
            variables: ["SLURM_JOB_ID", "SLURM_CONF"].map(str::to_owned).into(),
            ..Surroundings::default()
        }
    }

    #[test]
    fn srun_is_called_as_each_place_needs_it() {
        let outside = Surroundings {
            cluster_has_gpus: true,
            ..Surroundings::default()
        };
        let spec = SlurmSpec {
            max_workers: Some(20),
            partition: Some("gpu".to_owned()),
            time: Some("90".to_owned()),
            mem: Some("8G".to_owned()),
            args: vec!["--constraint=a100".to_owned()],
            ..SlurmSpec::default()
        };
        let auto = DeviceRequest::Auto;
        let all = [
            words(&SlurmSpec::default(), &outside, &auto),
            words(&spec, &outside, &auto),
            words(
                &SlurmSpec::default(),
                &outside,
                &DeviceRequest::Cpu(Some(3)),
            ),
            words(&SlurmSpec::default(), &inside(), &auto),
            words(&SlurmSpec::default(), &inside(), &DeviceRequest::Cpu(None)),
            words(
                &SlurmSpec {
                    steps: Some(false),
                    ..SlurmSpec::default()
                },
                &inside(),
                &auto,
            ),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
8 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --gpus=1 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
20 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --partition=gpu --time=90 --mem=8G --gpus=1 --constraint=a100 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
3 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
4 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --exact --mem=0 --gpus=1 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
8 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --exact --mem=0 --gres=none /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
8 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --gpus=1 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
"#);
    }

    #[test]
    fn what_an_allocation_says_to_srun_is_kept_from_it() {
        let slurm = |steps| {
            let spec = SlurmSpec {
                steps,
                ..SlurmSpec::default()
            };
            let mark = Mark {
                dir: "/r".to_owned(),
                id: "f00d".to_owned(),
                legacy: false,
            };
            let place = Place {
                slot: 0,
                worker: 5,
                mark: &mark,
                metrics: None,
            };
            Slurm::new(&spec, &inside(), &DeviceRequest::Auto, 1, "p")
                .unwrap()
                .wrap(line(), place)
                .without
        };
        let has = |steps, name: &str| slurm(steps).iter().any(|other| other == name);
        assert!(
            has(None, "SLURM_MEM_PER_CPU") && !has(None, "SLURM_JOB_ID"),
            "steps belong to the job"
        );
        assert!(
            has(Some(false), "SLURM_JOB_ID") && !has(Some(false), "SLURM_CONF"),
            "jobs of their own do not"
        );
    }

    #[test]
    fn what_cannot_be_is_told() {
        let no = |spec: &SlurmSpec, request: &DeviceRequest| {
            Slurm::new(spec, &Surroundings::default(), request, 1, "p")
                .map(|_| ())
                .unwrap_err()
        };
        let steps = SlurmSpec {
            steps: Some(true),
            ..SlurmSpec::default()
        };
        assert!(
            no(&steps, &DeviceRequest::Auto)
                .starts_with("the launcher's `steps: true` needs an allocation")
        );
        let named = DeviceRequest::Cuda(Some(vec!["0".to_owned()]));
        assert!(
            no(&SlurmSpec::default(), &named).starts_with("--devices cannot name GPUs under Slurm")
        );
    }

    #[test]
    fn slurms_own_counts_are_read() {
        assert_eq!(
            ["4", "a100:4", "gpu:a100:4", "gpu:2,gpu:4", "", "x"].map(count_of),
            [4, 4, 4, 6, 0, 0]
        );
        assert_eq!(
            ["8", "8(x2)", "8(x2),4", "", "x(x"].map(sum_of_nodes),
            [8, 16, 20, 0, 0]
        );
    }
}
