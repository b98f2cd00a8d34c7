//! Ends that Slurm brings about: a job of more importance, a time limit, memory that runs out. As
//! everywhere, the tables are those of a local run.

use std::process::{Command, Stdio};

use super::cluster::{Cluster, outside};
use super::slurm::{ALL, INTERRUPTED, RUNNING, SWEEP, finish, local_report, on, open, start};
use super::support::Test;

/// A partition whose jobs push others aside. Those of `main` go into the queue again where they
/// can, those of `cheap` never.
pub(crate) const PARTITIONS: &str = "PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=cheap Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL";

const FAILED: &str = "SELECT count(*) FROM attempt WHERE outcome = 'failed'";

/// A job of more importance than any worker, until the gate is open.
pub(crate) fn push_aside(cluster: &Cluster, test: &Test, cpus: u32) {
    let job = format!(
        "while [ ! -e {} ]; do sleep 0.1; done",
        test.path("gate").display()
    );
    let words = [
        "sbatch",
        "--partition=urgent",
        &format!("--cpus-per-task={cpus}"),
        "--output=/dev/null",
        "--wrap",
        &job,
    ];
    assert!(cluster.ask(&words).status.success());
}

/// Lets a job's time limit pass in so many seconds.
pub(crate) fn end_in(cluster: &Cluster, job: &str, seconds: u64) {
    let asked = cluster.ask(&[
        "scontrol",
        "update",
        &format!("JobId={job}"),
        &format!("EndTime=now+{seconds}seconds"),
    ]);
    assert!(
        asked.status.success(),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
}

/// The jobs of the workers that run, by number.
fn jobs(test: &Test) -> Vec<String> {
    let ledger = test.ledger("runs/toy");
    let mut found = ledger
        .prepare("SELECT job FROM worker WHERE ended_at IS NULL AND job GLOB '*.0'")
        .unwrap();
    let jobs = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
    jobs.map(|job| job.unwrap().trim_end_matches(".0").to_owned())
        .collect()
}

#[test]
fn preempted_workers_cost_only_what_they_were_at() {
    let Some(cluster) = Cluster::start_with(1, 8, 0, &[("EXTRA", PARTITIONS)]) else {
        return;
    };
    for partition in ["main", "cheap"] {
        let spec = format!(
            "{SWEEP}launcher: {{kind: slurm, max_workers: 4, cpus: 2, partition: {partition}}}\n"
        );
        let test = Test::with_spec(&spec);
        let child = start(&cluster, &test, &["run", "sweep.yaml"]);
        test.wait_for("runs/toy", RUNNING, 4);
        push_aside(&cluster, &test, 4);
        let preempted = format!("{INTERRUPTED} AND message LIKE '%DUE TO PREEMPTION%'");
        test.wait_for("runs/toy", &preempted, 2);
        // Others are asked for, and wait for their turn.
        test.wait_for(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE waits IS NOT NULL AND ended_at IS NULL",
            2,
        );
        open(&test);
        finish(&test, child, 0);
        assert_eq!(
            test.count("runs/toy", INTERRUPTED),
            test.count("runs/toy", &preempted),
            "{partition}"
        );
        assert_eq!(test.count("runs/toy", FAILED), 0, "{}", test.stderr());
        assert_eq!(test.report("reports/toy"), local_report(SWEEP));
        cluster.wait_for_quiet();
    }
}

/// What a test of time limits needs: a cluster that tells jobs of their end as later versions of
/// Slurm do, where a job asks for it.
fn with_ends() -> Option<(Cluster, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let prolog = dir.path().join("prolog");
    let script = "#!/bin/sh\n[ -z \"$TEST_END\" ] || echo \"export SLURM_JOB_END_TIME=$(($(date +%s) + TEST_END))\"\n";
    std::fs::write(&prolog, script).unwrap();
    std::fs::set_permissions(&prolog, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let extra = format!("TaskProlog={}", prolog.display());
    Some((Cluster::start_with(1, 8, 0, &[("EXTRA", &extra)])?, dir))
}

#[test]
fn time_limits_pass_and_are_kept_in_mind() {
    let Some((cluster, _prolog)) = with_ends() else {
        return;
    };
    let cluster = &cluster;
    // At the same time: waiting is most of what they do.
    std::thread::scope(|scope| {
        for part in [
            limit_of_a_busy_worker,
            limit_of_a_fresh_worker,
            no_trial_that_cannot_finish,
        ] {
            scope.spawn(move || part(cluster));
        }
    });
    cluster.wait_for_quiet();
}

/// Each worker ends one trial, and meets its limit in the second one.
fn limit_of_a_busy_worker(cluster: &Cluster) {
    let test = Test::with_spec(&format!(
        "{SWEEP}launcher: {{kind: slurm, max_workers: 2, time: 5}}\n"
    ));
    let file = |name: &str| std::fs::File::create(test.path(name)).unwrap();
    let mut command = on(cluster, &test, &["run", "sweep.yaml"]);
    command
        .env("FAKE_WORKER_GATE", test.path("gate"))
        .env("FAKE_WORKER_FREE", "1");
    let child = command
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", ALL, 2);
    test.wait_for("runs/toy", RUNNING, 2);
    for job in jobs(&test) {
        end_in(cluster, &job, 1);
    }
    test.wait_for(
        "runs/toy",
        &format!("{INTERRUPTED} AND message LIKE '%DUE TO TIME LIMIT%'"),
        2,
    );
    test.wait_for("runs/toy", ALL, 4);
    open(&test);
    finish(&test, child, 0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM worker"),
        4,
        "each was followed by one"
    );
    assert_eq!(test.count("runs/toy", FAILED), 0, "{}", test.stderr());
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
}

const SMALL: &str = "
name: toy
worker: [WORKER]
metric: {name: score, goal: maximize}
seeds: {tune: 1, final: 0}
parameters: {x: {values: [1, 2]}}
";

/// A trial that gets all the time that a worker has, and is not done then, never will be.
fn limit_of_a_fresh_worker(cluster: &Cluster) {
    let test = Test::with_spec(&format!(
        "{SMALL}launcher: {{kind: slurm, max_workers: 2, time: 5}}\n"
    ));
    let file = |name: &str| std::fs::File::create(test.path(name)).unwrap();
    let mut command = on(cluster, &test, &["run", "sweep.yaml"]);
    command
        .env("FAKE_WORKER_GATE", test.path("gate"))
        .env("TEST_END", "3");
    let child = command
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", RUNNING, 2);
    for job in jobs(&test) {
        end_in(cluster, &job, 4);
    }
    finish(&test, child, 3);
    let failed = format!(
        "{FAILED} AND kind = 'timeout' AND message LIKE '%DUE TO TIME LIMIT%): ask for more time%'"
    );
    assert_eq!(test.count("runs/toy", &failed), 2, "{}", test.stderr());
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        2,
        "and is not tried again"
    );
}

/// What trials take is known of an earlier run, as its ledger tells: so long that a job of two
/// minutes has room for one.
fn no_trial_that_cannot_finish(cluster: &Cluster) {
    let test = Test::with_spec(SMALL);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(0);
    let took = |seconds: u32| {
        let sql = format!("UPDATE attempt SET duration = {seconds}");
        assert!(test.ledger("runs/toy").execute(&sql, []).unwrap() > 0);
    };
    let more = |seeds: u32, launcher: &str| {
        test.write_spec(&format!(
            "{}launcher: {{kind: slurm{launcher}}}\n",
            SMALL.replace("tune: 1", &format!("tune: {seeds}"))
        ));
    };
    took(115);
    more(3, ", max_workers: 1, time: 2");
    let output = on(cluster, &test, &["run", "sweep.yaml", "--accept-changes"])
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE launcher = 'slurm'"
        ),
        4,
        "one for each trial"
    );
    assert_eq!(
        test.count("runs/toy", "SELECT max(n) FROM (SELECT count(*) AS n FROM attempt WHERE worker > 1 GROUP BY worker)"),
        1
    );
    // And in an allocation of that length nothing is begun that takes longer.
    took(200);
    more(4, "");
    let program = test.command(&[]);
    let mut salloc = Command::new("salloc");
    salloc
        .args(["--time=2", "--quiet"])
        .arg(program.get_program())
        .args(["run", "sweep.yaml", "--accept-changes"]);
    salloc
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    let output = outside(&mut salloc)
        .env("SLURM_CONF", cluster.conf())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("trials have taken up to 200 s: nothing that is left can finish in it"),
        "{said}"
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE launcher = 'slurm'"
        ),
        4
    );
}

/// A trial that takes too much memory has failed, and for that reason; its neighbours have not.
fn memory_runs_out(cluster: &Cluster) {
    let spec = "
name: toy
worker: [WORKER]
metric: {name: score, goal: maximize}
seeds: {tune: 1, final: 0}
limits: {retries: 1}
parameters: {x: {values: [1, 2]}, behaviour: {values: [well, devour]}}
launcher: {kind: slurm, max_workers: 1, mem: 200M}
";
    let test = Test::with_spec(spec);
    std::fs::write(test.path("gate"), "").unwrap();
    let child = start(cluster, &test, &["run", "sweep.yaml"]);
    finish(&test, child, 3);
    assert_eq!(test.count("runs/toy", ALL), 2, "{}", test.stderr());
    let lacked = format!("{FAILED} AND kind = 'out_of_memory'");
    assert_eq!(
        test.count("runs/toy", &lacked),
        4,
        "two trials, two tries each: {}",
        test.stderr()
    );
    assert_eq!(test.count("runs/toy", FAILED), 4);
    assert_eq!(test.count("runs/toy", INTERRUPTED), 0);

    // A program that trains one trial: the shell takes twice as much as it has, again and again.
    let program = spec
        .replace(
            "worker: [WORKER]",
            "command: [sh, train.sh, '${args_no_hyphens}']",
        )
        .replace("values: [1, 2]", "value: 1");
    let test = Test::with_spec(&program);
    let script = "
case $* in *behaviour=devour*)
  piece=x; while [ ${#piece} -lt 30000000 ]; do piece=$piece$piece; done
  for i in 1 2 3 4 5 6 7 8 9 10; do all=$all$piece$piece; sleep 0.5; done;;
esac
echo '{\"score\": 1}'
";
    std::fs::write(test.path("train.sh"), script).unwrap();
    let child = start(cluster, &test, &["run", "sweep.yaml"]);
    finish(&test, child, 3);
    assert_eq!(test.count("runs/toy", ALL), 1, "{}", test.stderr());
    assert_eq!(test.count("runs/toy", &lacked), 2, "{}", test.stderr());
    cluster.wait_for_quiet();
}

#[test]
fn what_slurm_ends_for_its_memory_lacked_memory() {
    let extra = "JobAcctGatherFrequency=task=1\nJobAcctGatherParams=OverMemoryKill";
    let settings = [
        ("GATHER", "linux"),
        ("SELECT", "CR_CPU_Memory"),
        ("EXTRA", extra),
    ];
    let Some(cluster) = Cluster::start_with(1, 8, 0, &settings) else {
        return;
    };
    memory_runs_out(&cluster);
}

/// The same with the kernel's control groups, as most clusters have it. That needs root, and
/// version 1 of the memory controller.
#[test]
fn what_the_kernel_ends_for_its_memory_lacked_memory() {
    let group = std::path::PathBuf::from(format!(
        "/sys/fs/cgroup/memory/pentagrid-test-{}",
        std::process::id()
    ));
    if std::fs::create_dir(&group).is_err() || !group.join("memory.limit_in_bytes").is_file() {
        return super::support::say_skipped(
            "a memory controller of control groups, version 1, that this user may use",
        );
    }
    std::fs::remove_dir(&group).unwrap();
    // Groups have the names of jobs: no two clusters may have the same numbers.
    let extra = format!("FirstJobId={}", 1 + std::process::id() % 60_000 * 1000);
    let settings = [
        ("TASK", "cgroup"),
        ("CGROUP", "ConstrainRAMSpace=yes"),
        ("SELECT", "CR_CPU_Memory"),
        ("EXTRA", extra.as_str()),
    ];
    let Some(cluster) = Cluster::start_with(1, 8, 0, &settings) else {
        return;
    };
    memory_runs_out(&cluster);
}
