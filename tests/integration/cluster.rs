//! A real Slurm of a test's own: `scripts/slurm/slurm-local.sh` in a folder that goes with it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::support::{PATIENCE, wait_until};

/// A running cluster with fake nodes and fake GPUs.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
}

impl Cluster {
    /// A cluster, if Slurm is here. If it is not, the test is skipped, and says so; but where
    /// `PENTAGRID_SLURM` is `expected`, as `scripts/test.sh` sets it, it fails.
    pub(crate) fn start(nodes: u32, cpus: u32, gpus: u32) -> Option<Self> {
        Self::start_with(nodes, cpus, gpus, &[])
    }

    /// The same, with further settings of `slurm-local.sh`: EXTRA has lines for slurm.conf.
    pub(crate) fn start_with(
        nodes: u32,
        cpus: u32,
        gpus: u32,
        settings: &[(&str, &str)],
    ) -> Option<Self> {
        if !["srun", "slurmctld", "slurmd", "munged"]
            .iter()
            .all(|program| is_here(program))
        {
            super::support::skip(
                "Slurm",
                "PENTAGRID_SLURM",
                "slurmctld slurmd slurm-client munge",
            );
            return None;
        }
        // Sockets have short names: at most 70 characters.
        let dir = tempfile::Builder::new()
            .prefix("pgs-")
            .tempdir_in("/tmp")
            .unwrap();
        let cluster = Self { dir };
        // Another start may have taken a port in between.
        for attempt in 1.. {
            let mut command = cluster.script("start");
            command
                .env("SLURM_LOCAL_NODES", nodes.to_string())
                .env("SLURM_LOCAL_CPUS", cpus.to_string());
            command
                .env("SLURM_LOCAL_GPUS", gpus.to_string())
                .env("SLURM_LOCAL_TIMEOUT", "60");
            command.envs(
                settings
                    .iter()
                    .map(|(name, value)| (format!("SLURM_LOCAL_{name}"), value)),
            );
            let started = command.output().unwrap();
            if started.status.success() {
                break;
            }
            assert!(attempt < 3, "{}", String::from_utf8_lossy(&started.stderr));
        }
        Some(cluster)
    }

    fn script(&self, verb: &str) -> Command {
        let mut command = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/scripts/slurm/slurm-local.sh"
        ));
        command.arg(verb).arg(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// What `SLURM_CONF` has to be.
    pub(crate) fn conf(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    /// One of Slurm's commands, and what it says. Never waits longer than the rest of the test may.
    pub(crate) fn ask(&self, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).args(words);
        outside(&mut command)
            .env("SLURM_CONF", self.conf())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What one of Slurm's commands says on stdout.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        String::from_utf8(self.ask(words).stdout).unwrap()
    }

    /// Waits until no job of this test is left.
    pub(crate) fn wait_for_quiet(&self) {
        let mut said = String::new();
        wait_until("all jobs are gone", || {
            said = self.says(&[
                "squeue",
                "--noheader",
                "--states=PENDING,RUNNING,COMPLETING",
                "--format=%i %j %T",
            ]);
            said.trim().is_empty()
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A panic here would hide that of the test.
        drop(self.script("stop").output());
    }
}

/// Without what an allocation around the tests may have set.
pub(crate) fn outside(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars() {
        if ["SLURM_", "SRUN_", "SBATCH_", "SALLOC_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

fn is_here(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&format!("{path}:/usr/sbin:/sbin"))
        .any(|folder| folder.join(program).is_file())
}
