//! How programs and their children are ended: at a time limit, on Ctrl-C, and after a coordinator
//! that was killed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pentagrid::schedule::start_ticks;

use super::{run, script};
use crate::support::{DONE, Test, wait_until};

/// A script that says its process id and waits, with a grandchild that ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; (trap '' TERM; while true; do sleep 1; done) & echo \"pids $$ $!\"; while true; do sleep 1; done";

/// Processes that the scripts have named.
fn named(test: &Test) -> Vec<u32> {
    let folders = std::fs::read_dir(test.path("runs/toy/trials"))
        .into_iter()
        .flatten();
    let logs = folders.filter_map(|folder| {
        std::fs::read_to_string(folder.unwrap().path().join("output.log")).ok()
    });
    let lines: Vec<String> = logs
        .flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("pids "))
        .flat_map(|pids| pids.split(' ').map(|pid| pid.parse().unwrap()))
        .collect()
}

fn all_gone(test: &Test) {
    let pids = named(test);
    assert!(pids.len() >= 2);
    wait_until("all processes are gone", || {
        pids.iter().all(|&pid| start_ticks(pid).is_none())
    });
}

#[test]
fn a_timeout_ends_the_grandchildren_too() {
    let test = script(STUBBORN, "limits: {timeout: 1s, retries: 0}");
    run(&test).expect(3);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE kind = 'timeout'"
        ),
        2
    );
    all_gone(&test);
}

#[test]
fn ctrl_c_ends_programs_and_the_second_does_not_wait() {
    let test = script(STUBBORN, "");
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    wait_until("both run", || named(&test).len() == 4);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    wait_until("it is stopping", || test.stderr().contains("stopping"));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    all_gone(&test);
    test.write_script("echo '{\"score\": 1}'");
    test.run(&["resume", "runs/toy", "-q"]).expect(0);
}

#[test]
fn children_of_a_program_get_the_grace_period_too() {
    let child =
        "trap 'sleep 0.5; touch saved; exit 0' TERM; touch ready; while true; do sleep 0.05; done";
    let test = script("bash ./child.sh; true", "");
    std::fs::write(test.path("child.sh"), child).unwrap();
    let mut coordinator = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    wait_until("the child is there", || test.path("ready").exists());
    kill(Pid::from_raw(coordinator.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(coordinator.wait().unwrap().code(), Some(130));
    assert!(
        test.path("saved").exists(),
        "the child was killed before it had put its things in order"
    );
}

#[test]
fn a_child_that_left_the_group_is_ended_with_the_sweep() {
    let test = script(
        "setsid sleep 600 & echo \"pids $! $!\"; echo '{\"score\": 1}'",
        "",
    );
    run(&test).expect(0);
    all_gone(&test);
}

#[test]
fn a_program_that_ends_well_when_told_to_end_has_no_result() {
    let text = "trap 'exit 0' TERM; echo '{\"epoch\": 1, \"score\": 1}' >> $PENTAGRID_METRICS; while true; do sleep 0.05; done";
    let test = script(text, "limits: {timeout: 1s, retries: 0}");
    run(&test).expect(3);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE kind = 'timeout'"
        ),
        2
    );
    let test = script(text, "");
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for("runs/toy", "SELECT count(*) FROM epoch", 1);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(test.count("runs/toy", DONE), 0);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'interrupted'"
        ),
        1
    );
}

#[test]
fn what_a_killed_coordinator_left_running_is_ended_grandchildren_and_all() {
    let test = script(STUBBORN, "");
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    wait_until("both run", || named(&test).len() == 4);
    child.kill().unwrap();
    child.wait().unwrap();
    let pids = named(&test);
    // One leader is gone, too: only the mark in its child's environment tells whose it is.
    kill(Pid::from_raw(pids[0] as i32), Signal::SIGKILL).unwrap();
    assert!(
        pids[1..].iter().all(|&pid| start_ticks(pid).is_some()),
        "the test needs processes that outlive their coordinator"
    );
    test.write_script("echo '{\"score\": 1}'");
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    assert!(
        ran.stderr
            .contains("that a killed coordinator had left running"),
        "{}",
        ran.stderr
    );
    wait_until("all processes are gone", || {
        pids.iter().all(|&pid| start_ticks(pid).is_none())
    });
    assert_eq!(test.count("runs/toy", "SELECT sum(failures) FROM trial"), 0);
}
