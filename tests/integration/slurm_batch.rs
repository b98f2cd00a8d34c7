//! The coordinator under Slurm, told to stop: the batch script, which goes into the queue again
//! until the sweep is done; Ctrl-Z; Ctrl-C.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::{Cluster, outside};
use super::launchers::marked;
use super::limits::state;
use super::slurm::{ALL, INTERRUPTED, RUNNING, SWEEP, finish, local_report, open, sigkill, start};
use super::slurm_ends::{PARTITIONS, end_in, push_aside};
use super::support::{Test, wait_until};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/scripts/slurm/pentagrid.sbatch"
);

/// Submits the batch script as a user would, with less memory.
fn submit(cluster: &Cluster, test: &Test) -> String {
    let mut sbatch = Command::new("sbatch");
    sbatch.args([
        "--parsable",
        "--time=60",
        "--mem=1000",
        "--output=job.out",
        SCRIPT,
        "--quiet",
    ]);
    sbatch
        .current_dir(test.path(""))
        .stdin(Stdio::null())
        .env("SWEEP", "sweep.yaml");
    sbatch
        .env("PENTAGRID", env!("CARGO_BIN_EXE_pentagrid"))
        .env("FAKE_WORKER_GATE", test.path("gate"));
    let output = outside(&mut sbatch)
        .env("SLURM_CONF", cluster.conf())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn says(cluster: &Cluster, job: &str, what: &str) -> bool {
    cluster
        .says(&["scontrol", "show", "job", job])
        .contains(what)
}

/// What the job has written.
fn wrote(test: &Test) -> String {
    std::fs::read_to_string(test.path("job.out")).unwrap_or_default()
}

#[test]
fn the_batch_script_goes_on_until_the_sweep_is_done() {
    let Some(cluster) = Cluster::start_with(1, 8, 4, &[("EXTRA", PARTITIONS)]) else {
        return;
    };
    let test = Test::with_spec(SWEEP);
    let job = submit(&cluster, &test);
    let told = "this job goes into the queue again";
    for (times, stop) in (1..).zip(["requeued", "its time is over", "preempted"]) {
        test.wait_for("runs/toy", RUNNING, 4);
        assert_eq!(
            test.count("runs/toy", "SELECT count(*) FROM session"),
            times
        );
        match stop {
            "requeued" => assert!(cluster.ask(&["scontrol", "requeue", &job]).status.success()),
            // Slurm sends the signal that the script asks for two minutes before the end.
            "its time is over" => end_in(&cluster, &job, 60),
            _ => push_aside(&cluster, &test, 8),
        }
        wait_until("it is in the queue again", || {
            says(&cluster, &job, "JobState=PENDING")
        });
        assert_eq!(
            wrote(&test).matches(told).count(),
            usize::from(times > 1),
            "{stop}: {}",
            wrote(&test)
        );
        assert_eq!(
            test.count("runs/toy", INTERRUPTED),
            4 * times,
            "{stop}: {}",
            wrote(&test)
        );
        // Where the node is taken, it waits until the gate is open.
        if stop == "preempted" {
            open(&test);
        }
        wait_until("it runs again", || {
            // Slurm lets two minutes pass, counted from when the last step is gone; but a job that
            // starts in the second in which it was stopped finds its credential revoked. The limit
            // is still the shortened one.
            cluster.ask(&[
                "scontrol",
                "update",
                &format!("JobId={job}"),
                "StartTime=now+2seconds",
                "TimeLimit=60",
            ]);
            std::thread::sleep(std::time::Duration::from_secs(4));
            !says(&cluster, &job, "JobState=PENDING")
                && !says(&cluster, &job, "JobState=COMPLETING")
        });
    }
    wait_until("the job is done", || {
        says(&cluster, &job, "JobState=COMPLETED")
    });
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM session"), 4);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed'"
        ),
        0,
        "{}",
        wrote(&test)
    );
    assert!(
        wrote(&test).contains("Selected hyper-parameters:"),
        "{}",
        wrote(&test)
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));

    // What the user cancels stays away.
    let test = Test::with_spec(SWEEP);
    let job = submit(&cluster, &test);
    test.wait_for("runs/toy", RUNNING, 4);
    assert!(cluster.ask(&["scancel", &job]).status.success());
    cluster.wait_for_quiet();
    assert!(says(&cluster, &job, "JobState=CANCELLED"));
    assert!(!wrote(&test).contains(told), "{}", wrote(&test));
    assert_eq!(test.count("runs/toy", INTERRUPTED), 4);
}

/// The fake workers of a test.
fn workers(test: &Test) -> Vec<u32> {
    let run = test
        .path("runs/toy")
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    marked(&run)
        .iter()
        .map(|path| path.trim_start_matches("/proc/").parse().unwrap())
        .collect()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn ctrl_z_stops_workers_through_their_agents_and_fg_goes_on() {
    let Some(cluster) = Cluster::start(1, 8, 0) else {
        return;
    };
    let test = Test::with_spec(&format!(
        "{SWEEP}launcher: {{kind: slurm, max_workers: 2, heartbeat: 3s}}\n"
    ));
    let child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", RUNNING, 2);
    signal(&child, Signal::SIGTSTP);
    let stopped = || {
        workers(&test)
            .into_iter()
            .filter(|&worker| state(worker) == Some('T'))
            .count()
    };
    wait_until("all are stopped", || {
        state(child.id()) == Some('T') && stopped() == 2
    });
    // Longer than workers would bear without a word: they know why there is none.
    std::thread::sleep(std::time::Duration::from_secs(8));
    assert_eq!(stopped(), 2);
    signal(&child, Signal::SIGCONT);
    wait_until("workers run again", || stopped() == 0);
    open(&test);
    finish(&test, child, 0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM worker"),
        2,
        "{}",
        test.stderr()
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome <> 'done'"
        ),
        0
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));

    // Killed while it is stopped, it leaves no worker stopped for ever.
    let test = Test::with_spec(&format!(
        "{SWEEP}launcher: {{kind: slurm, max_workers: 2}}\n"
    ));
    let mut child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", RUNNING, 2);
    signal(&child, Signal::SIGTSTP);
    wait_until("it is stopped", || state(child.id()) == Some('T'));
    sigkill(&child);
    child.wait().unwrap();
    cluster.wait_for_quiet();
    wait_until("all are gone", || workers(&test).is_empty());
}

/// Stopped without a word (SIGSTOP, a closed laptop) for longer than workers bear: they end
/// themselves, and that is no fault of theirs.
#[test]
fn workers_that_gave_up_waiting_are_followed_by_others() {
    let Some(cluster) = Cluster::start(1, 8, 0) else {
        return;
    };
    let test = Test::with_spec(&format!(
        "{SWEEP}launcher: {{kind: slurm, max_workers: 2, heartbeat: 3s}}\n"
    ));
    let child = start(&cluster, &test, &["run", "sweep.yaml"]);
    test.wait_for("runs/toy", RUNNING, 2);
    signal(&child, Signal::SIGSTOP);
    cluster.wait_for_quiet();
    signal(&child, Signal::SIGCONT);
    test.wait_for(
        "runs/toy",
        &format!("{INTERRUPTED} AND message LIKE '%nothing was heard of the coordinator%'"),
        2,
    );
    open(&test);
    finish(&test, child, 0);
    assert_eq!(test.count("runs/toy", INTERRUPTED), 2, "{}", test.stderr());
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed'"
        ),
        0
    );
    assert_eq!(test.report("reports/toy"), local_report(SWEEP));
}

/// The second Ctrl-C does not wait, and nothing is left, not even of workers that hear nothing.
#[test]
fn ctrl_c_twice_ends_workers_that_do_not_listen() {
    let Some(cluster) = Cluster::start(1, 8, 0) else {
        return;
    };
    let deaf = SWEEP.replace("epoch_ms: {value: 20}", "behaviour: {value: deaf}");
    for times in [1, 2] {
        let test = Test::with_spec(&format!(
            "{deaf}launcher: {{kind: slurm, max_workers: 2}}\n"
        ));
        let child = start(&cluster, &test, &["run", "sweep.yaml"]);
        test.wait_for("runs/toy", RUNNING, 2);
        wait_until("they are deaf", || {
            super::slurm::logs(&test)
                .matches("SIGTERM ignored: true")
                .count()
                == 2
        });
        for _ in 0..times {
            signal(&child, Signal::SIGINT);
            wait_until("it has heard that", || test.stderr().contains("stopping: "));
        }
        finish(&test, child, 130);
        cluster.wait_for_quiet();
        wait_until("all are gone", || workers(&test).is_empty());
        assert_eq!(test.count("runs/toy", INTERRUPTED), 2);
        assert_eq!(test.count("runs/toy", ALL), 0);
    }
}
