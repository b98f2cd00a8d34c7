//! What Slurm's environment says of the place where the coordinator runs.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::schedule::launch::slurm_time::seconds_left;

/// Interactive steps (salloc) have numbers from here on. They hold no resources.
const FIRST_SPECIAL_STEP: u64 = 4_000_000_000;
/// How the names of Slurm's variables begin.
const SLURM_PREFIXES: [&str; 5] = ["SLURM_", "SRUN_", "SBATCH_", "SALLOC_", "SLURMD_"];

/// What was found out about the place where the coordinator runs.
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
    /// How long until it ends.
    pub ends_in: Option<Duration>,
    /// Whether the cluster has GPUs.
    pub cluster_has_gpus: bool,
    /// All of Slurm's variables in the environment.
    pub variables: Vec<String>,
}

impl Surroundings {
    /// Reads the environment, and asks `sinfo` and `squeue` what it does not say.
    pub fn detect(partition: Option<&str>) -> Self {
        let job = variable("SLURM_JOB_ID").or_else(|| variable("SLURM_JOBID"));
        let ends_in = job
            .as_deref()
            .and_then(|job| seconds_left(job, variable("SLURM_JOB_END_TIME").as_deref()));
        let step: Option<u64> = variable("SLURM_STEP_ID").and_then(|step| step.parse().ok());
        Self {
            in_step: job.is_some() && step.is_some_and(|step| step < FIRST_SPECIAL_STEP),
            gpus: gpus(),
            cpus: variable("SLURM_JOB_CPUS_PER_NODE").map_or(0, |text| sum_of_nodes(&text)),
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

/// The value of an environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How many GPUs the allocation has.
fn gpus() -> u32 {
    if let Some(all) = variable("SLURM_GPUS") {
        return count_of(&all);
    }
    let nodes = variable("SLURM_JOB_NUM_NODES")
        .and_then(|nodes| nodes.parse().ok())
        .unwrap_or(1);
    variable("SLURM_GPUS_ON_NODE")
        .or_else(|| variable("SLURM_GPUS_PER_NODE"))
        .map_or(0, |text| count_of(&text) * nodes)
}

fn is_slurms(name: &str) -> bool {
    SLURM_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Parses a count such as `4`, `a100:4`, `gpu:a100:4` or `gpu:2,gpu:4`.
fn count_of(text: &str) -> u32 {
    text.split(',')
        .filter_map(|part| part.rsplit(':').next()?.parse::<u32>().ok())
        .sum()
}

/// Parses a count for each node, such as `8(x2),4`, and returns their sum.
fn sum_of_nodes(text: &str) -> u32 {
    text.split(',').filter_map(count_of_nodes).sum()
}

/// Parses a count for some nodes, such as `8(x2)` or `4`.
fn count_of_nodes(part: &str) -> Option<u32> {
    let Some((each, nodes)) = part.split_once("(x") else {
        return part.parse().ok();
    };
    let nodes = nodes.trim_end_matches(')').parse().ok()?;
    each.parse::<u32>().ok()?.checked_mul(nodes)
}

/// Whether a partition, or any partition, has GPUs.
fn has_gpus(partition: Option<&str>) -> bool {
    let output = Command::new("sinfo")
        .args(["--noheader", "--format=%G"])
        .args(partition.map(|name| format!("--partition={name}")))
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| line.contains("gpu"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_counts_are_parsed() {
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
