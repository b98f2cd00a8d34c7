//! Workers by a real Slurm with fake nodes and fake GPUs: jobs of their own, steps of an
//! allocation, and what goes wrong with both. In every case the tables are those of a local
//! run.

use std::collections::BTreeMap;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::{Cluster, outside};
use super::support::{Test, wait_until};

/// 36 tuning trials that take a moment each, and two final ones for each of two arms.
pub(crate) const SWEEP: &str = "
name: toy
worker: [WORKER]
metric: {name: score, goal: maximize}
seeds: {tune: 3, final: 2}
parameters: {epochs: {value: 3}, epoch_ms: {value: 20}}
arms:
  near: {parameters: {x: {values: [1, 2, 3, 4, 5, 6]}}}
  far: {parameters: {x: {values: [7, 8, 9, 10, 11, 12]}}}
";

pub(crate) const ALL: &str = "SELECT count(*) FROM trial WHERE state = 'done'";
pub(crate) const INTERRUPTED: &str = "SELECT count(*) FROM attempt WHERE outcome = 'interrupted'";
pub(crate) const RUNNING: &str = "SELECT count(*) FROM trial WHERE state = 'running'";

/// The program on a cluster.
pub(crate) fn on(cluster: &Cluster, test: &Test, arguments: &[&str]) -> Command {
    let mut command = test.command(arguments);
    outside(&mut command).env("SLURM_CONF", cluster.conf());
    command
}

/// Starts the program in the background. Its workers' trials wait for `open`.
pub(crate) fn start(cluster: &Cluster, test: &Test, arguments: &[&str]) -> Child {
    let file = |name: &str| std::fs::File::create(test.path(name)).unwrap();
    on(cluster, test, arguments)
        .env("FAKE_WORKER_GATE", test.path("gate"))
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap()
}

/// Lets trials finish.
pub(crate) fn open(test: &Test) {
    std::fs::write(test.path("gate"), "").unwrap();
}

#[track_caller]
pub(crate) fn finish(test: &Test, mut child: Child, code: i32) {
    let status = child.wait().unwrap();
    assert_eq!(
        status.code(),
        Some(code),
        "{}\n{}",
        test.stderr(),
        logs(test)
    );
}

/// What workers and srun wrote, for a failed assertion.
pub(crate) fn logs(test: &Test) -> String {
    let files = std::fs::read_dir(test.path("runs/toy/logs"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .map(|file| std::fs::read_to_string(file.path()).unwrap_or_default())
        .collect()
}

/// The report of an undisturbed local run.
pub(crate) fn local_report(spec: &str) -> BTreeMap<String, String> {
    let test = Test::with_spec(spec);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:4"])
        .expect(0);
    test.report("reports/toy")
}

pub(crate) fn sigkill(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
}

#[test]
fn each_worker_is_a_job_with_a_gpu_of_its_own() {
    let Some(cluster) = Cluster::start(2, 8, 4) else {
        return;
    };
    let test = Test::with_spec(SWEEP);
    let mut child = start(
        &cluster,
        &test,
        &["run", "sweep.yaml", "--launcher", "slurm"],
    );
    test.wait_for("runs/toy", RUNNING, 8);
    assert!(child.try_wait().unwrap().is_none());
    let same =
        "SELECT count(DISTINCT device_name) FROM worker WHERE device_name LIKE 'thin air n_ GPU _'";
    assert_eq!(
        test.count("runs/toy", same),
        8,
        "two nodes with four GPUs each"
    );
    open(&test);
    finish(&test, child, 0);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE launcher = 'slurm' AND job GLOB '[0-9]*.0'"
        ),
        8
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome <> 'done'"
        ),
        0
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
    cluster.wait_for_quiet();
    // Going on in another way is the same sweep.
    test.run(&["resume", "runs/toy", "--launcher", "local"])
        .expect(0);
}

#[test]
fn within_an_allocation_workers_are_steps_that_share_no_gpu() {
    let Some(cluster) = Cluster::start(1, 8, 4) else {
        return;
    };
    let spec = format!("{SWEEP}launcher: {{kind: slurm}}\n");
    let test = Test::with_spec(&spec);
    let program = test.command(&[]);
    let mut salloc = Command::new("salloc");
    salloc
        .args([
            "--nodes=1",
            "--ntasks=4",
            "--gpus=4",
            "--mem=1000",
            "--quiet",
        ])
        .arg(program.get_program());
    salloc
        .args(["run", "sweep.yaml"])
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::null());
    let file = |name: &str| std::fs::File::create(test.path(name)).unwrap();
    let child = outside(&mut salloc)
        .env("SLURM_CONF", cluster.conf())
        .stdout(file("stdout"))
        .stderr(file("stderr"));
    let child = child
        .env("FAKE_WORKER_GATE", test.path("gate"))
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", RUNNING, 4);
    open(&test);
    finish(&test, child, 0);
    let workers =
        "SELECT count(DISTINCT device_name) FROM worker WHERE device_name LIKE 'thin air n1 GPU _'";
    assert_eq!(test.count("runs/toy", workers), 4);
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM worker"), 4);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(DISTINCT substr(job, 1, instr(job, '.'))) FROM worker"
        ),
        1,
        "one job"
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
}

#[test]
fn what_waits_is_shown_with_its_reason() {
    let Some(cluster) = Cluster::start(1, 8, 2) else {
        return;
    };
    let test = Test::with_spec(&format!(
        "{SWEEP}launcher: {{kind: slurm, max_workers: 3}}\n"
    ));
    let child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM worker WHERE waits = 'Resources' AND job IS NOT NULL",
        1,
    );
    let status = test.run(&["status", "runs/toy"]).expect(0);
    assert!(
        status.stdout.contains("  1 worker is pending: Resources\n"),
        "{}",
        status.all()
    );
    wait_until("the progress says so", || {
        test.stderr().contains("1 worker pending (Resources)\n")
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    finish(&test, child, 130);
    // Also the one that waited has been taken back.
    cluster.wait_for_quiet();
}

#[test]
fn a_lost_node_costs_only_what_ran_there() {
    let Some(cluster) = Cluster::start(2, 8, 2) else {
        return;
    };
    let spec = format!("{SWEEP}launcher: {{kind: slurm, max_workers: 4}}\n");
    let test = Test::with_spec(&spec);
    let child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", RUNNING, 4);
    assert!(
        cluster
            .ask(&[
                "scontrol",
                "update",
                "nodename=n2",
                "state=down",
                "reason=test"
            ])
            .status
            .success()
    );
    test.wait_for("runs/toy", INTERRUPTED, 2);
    open(&test);
    finish(&test, child, 0);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed'"
        ),
        0,
        "{}",
        test.stderr()
    );
    assert_eq!(
        test.count("runs/toy", INTERRUPTED),
        2,
        "one for each of its GPUs"
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
}

#[test]
fn a_cancelled_worker_is_followed_by_another() {
    let Some(cluster) = Cluster::start(1, 8, 4) else {
        return;
    };
    let spec = format!("{SWEEP}launcher: {{kind: slurm, max_workers: 2}}\n");
    let test = Test::with_spec(&spec);
    let child = start(&cluster, &test, &["run", "sweep.yaml"]);
    for cancelled in [1, 2] {
        test.wait_for("runs/toy", RUNNING, 2);
        let job = test.text(
            "runs/toy",
            "SELECT job FROM worker WHERE ended_at IS NULL AND job IS NOT NULL LIMIT 1",
        );
        cluster.ask(&["scancel", job.split('.').next().unwrap()]);
        test.wait_for("runs/toy", INTERRUPTED, cancelled);
    }
    open(&test);
    finish(&test, child, 0);
    assert!(test.count("runs/toy", "SELECT count(*) FROM worker") > 2);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed'"
        ),
        0,
        "{}",
        test.stderr()
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
}

#[test]
fn a_killed_coordinator_leaves_nothing_that_the_next_one_does_not_end() {
    let Some(cluster) = Cluster::start(1, 8, 2) else {
        return;
    };
    // Three workers for two GPUs: one waits.
    let spec = format!("{SWEEP}launcher: {{kind: slurm, max_workers: 3}}\n");
    let test = Test::with_spec(&spec);
    for _ in 0..2 {
        let mut child = start(&cluster, &test, &["run", "sweep.yaml"]);
        test.wait_for("runs/toy", RUNNING, 2);
        test.wait_for(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE waits IS NOT NULL AND ended_at IS NULL",
            1,
        );
        sigkill(&child);
        child.wait().unwrap();
    }
    open(&test);
    let mut child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", ALL, 8);
    sigkill(&child);
    child.wait().unwrap();
    let child = start(&cluster, &test, &["resume", "runs/toy"]);
    finish(&test, child, 0);
    cluster.wait_for_quiet();
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
    assert_eq!(
        test.count("runs/toy", "SELECT max(n) FROM (SELECT count(*) AS n FROM attempt WHERE outcome = 'done' GROUP BY trial)"),
        1
    );
}

#[test]
fn a_worker_whose_coordinator_cannot_be_heard_ends_itself() {
    let Some(cluster) = Cluster::start(1, 8, 2) else {
        return;
    };
    let spec = format!("{SWEEP}launcher: {{kind: slurm, max_workers: 2, heartbeat: 3s}}\n");
    let test = Test::with_spec(&spec);
    let mut child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", RUNNING, 2);
    // Stopped, it says nothing more, but all its pipes stay open.
    kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
    cluster.wait_for_quiet();
    sigkill(&child);
    child.wait().unwrap();
}

#[test]
fn what_slurm_refuses_is_told_in_its_own_words() {
    let Some(cluster) = Cluster::start(1, 8, 0) else {
        return;
    };
    let test = Test::with_spec(&format!(
        "{SWEEP}launcher: {{kind: slurm, partition: nowhere}}\n"
    ));
    let output = on(&cluster, &test, &["run", "sweep.yaml"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("could not be started 3 times in a row: srun ended with exit code 1"),
        "{said}"
    );
    assert!(said.contains("invalid partition"), "{said}");
}

/// A program for each trial: its own job, its output in its log, its metrics over the shared file
/// system.
#[test]
fn programs_run_through_slurm_with_their_logs() {
    let Some(cluster) = Cluster::start(2, 8, 0) else {
        return;
    };
    let spec = "
name: toy
command: [sh, train.sh, '${args}']
metric: {name: loss, goal: minimize}
seeds: {tune: 2, final: 1}
parameters: {lr: {values: [1, 2, 3]}}
env: {WORD: a word}
";
    let script = "
echo \"$WORD on $SLURMD_NODENAME in $(pwd) for $*\"
echo '{\"epoch\": 1, \"loss\": 5}' >> \"$PENTAGRID_METRICS\"
echo oops >&2
lr=${1#--lr=}
[ \"$lr\" = 2 ] && [ \"$PENTAGRID_SEED\" = 1 ] && exit 3
echo \"{\\\"loss\\\": $lr.5}\" >> \"$PENTAGRID_METRICS\"
";
    let run = |cluster: Option<&Cluster>| {
        let test = Test::with_spec(spec);
        std::fs::write(test.path("train.sh"), script).unwrap();
        let arguments = [
            "run",
            "sweep.yaml",
            "--launcher",
            if cluster.is_some() { "slurm" } else { "local" },
        ];
        let child = match cluster {
            Some(cluster) => start(cluster, &test, &arguments),
            None => test.start(&arguments),
        };
        finish(&test, child, 3);
        test
    };
    let test = run(Some(&cluster));
    assert_eq!(test.report("reports/toy"), run(None).report("reports/toy"));
    let ledger = test.ledger("runs/toy");
    let mut failed = ledger
        .prepare(
            "SELECT concat_ws(': ', outcome, kind, message) FROM attempt WHERE outcome <> 'done'",
        )
        .unwrap();
    let failed: Vec<String> = failed
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        failed.len() == 3
            && failed
                .iter()
                .all(|attempt| attempt.ends_with("exit code 3")),
        "{failed:#?}"
    );
    let done = test
        .run(&["trials", "runs/toy", "--state", "done", "--csv"])
        .expect(0)
        .stdout;
    let id = done
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let shown = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    assert!(
        shown.contains("a word on n") && shown.contains("in [DIR] for") && shown.contains("oops"),
        "{shown}"
    );
    cluster.wait_for_quiet();
}

/// Both are ended through their agents: the gentle way first, and nothing is left.
#[test]
fn ctrl_c_ends_programs_on_their_nodes() {
    let Some(cluster) = Cluster::start(1, 8, 0) else {
        return;
    };
    let spec = "
name: toy
command: [sh, -c, 'trap \"echo tidied; exit 0\" TERM; echo begun; while :; do sleep 0.1; done', '${args}']
metric: {name: loss, goal: minimize}
seeds: {tune: 1, final: 1}
parameters: {lr: {values: [1, 2, 3]}}
launcher: {kind: slurm, max_workers: 2}
";
    let test = Test::with_spec(spec);
    let child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", RUNNING, 2);
    let outputs = || -> String {
        let folders = std::fs::read_dir(test.path("runs/toy/trials"))
            .into_iter()
            .flatten()
            .flatten();
        folders
            .map(|folder| {
                std::fs::read_to_string(folder.path().join("output.log")).unwrap_or_default()
            })
            .collect()
    };
    wait_until("both have begun", || {
        outputs().matches("begun").count() == 2
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    finish(&test, child, 130);
    assert_eq!(outputs().matches("tidied").count(), 2, "{}", outputs());
    assert_eq!(test.count("runs/toy", INTERRUPTED), 2);
    cluster.wait_for_quiet();
}
