//! Trials that take too long, fail too often or lack memory, with real processes; and a coordinator
//! that is suspended.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{TOY, Test, filters, wait_until};

/// Three good trials, three bad ones, and a limit.
fn spec(behaviour: &str, limits: &str) -> String {
    format!(
        "
name: toy
worker: [WORKER]
metric: {{name: score, goal: maximize}}
seeds: {{tune: 1, final: 0}}
limits: {limits}
arms:
  good: {{label: Good, parameters: {{x: {{values: [1, 2, 3]}}}}}}
  bad: {{label: Bad, parameters: {{x: {{values: [7, 8, 9]}}, behaviour: {{value: {behaviour}}}}}}}
"
    )
}

const GOOD: &str = "SELECT count(*) FROM trials WHERE arm = 'good' AND state = 'done'";
const ATTEMPTS: &str = "SELECT count(*) FROM attempt WHERE outcome = 'failed' AND kind = ";

#[test]
fn a_trial_that_takes_too_long_is_ended_with_all_that_it_started() {
    let test = Test::with_spec(&spec("hang", "{timeout: 1s, retries: 0}"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(3);
    assert!(
        ran.stderr
            .contains("it took longer than 1 s, which is the limit (`timeout`)"),
        "{}",
        ran.stderr
    );
    assert_eq!(test.count("runs/toy", &format!("{ATTEMPTS}'timeout'")), 3);
    assert_eq!(test.count("runs/toy", GOOD), 3);
}

#[test]
fn a_hard_hang_is_killed_after_the_grace() {
    let test = Test::with_spec(&spec("deaf", "{timeout: 1s, retries: 0, max_failures: 0}"));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(3);
    assert_eq!(test.count("runs/toy", &format!("{ATTEMPTS}'timeout'")), 1);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM worker WHERE outcome = 'Signal(9)'"
        ),
        1
    );
}

#[test]
fn retries_are_as_many_as_asked_for() {
    let test = Test::with_spec(&spec("error", "{retries: 0}"));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(3);
    assert_eq!(test.count("runs/toy", &format!("{ATTEMPTS}'error'")), 3);
}

#[test]
fn too_many_failures_end_the_sweep_and_it_can_go_on() {
    let test = Test::with_spec(&spec("error", "{retries: 0, max_failures: 1}"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(3);
    insta::with_settings!({filters => filters()}, { insta::assert_snapshot!(ran.stderr) });
    assert_eq!(test.count("runs/toy", &format!("{ATTEMPTS}'error'")), 2);
    assert_eq!(test.count("runs/toy", GOOD), 3);
}

#[test]
fn first_trials_that_all_fail_alike_end_the_sweep_with_their_log() {
    let spec = TOY.replace(
        "parameters: {epochs: {value: 3}}",
        "parameters: {behaviour: {value: exit}}\nlimits: {retries: 0}",
    );
    let test = Test::with_spec(&spec);
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1", "-q"])
        .expect(3);
    insta::with_settings!({filters => vec![(r"[0-9a-z]{10}-\d+", "[TRIAL]")]}, { insta::assert_snapshot!(ran.stderr) });
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM trial"),
        5,
        "the rest of the grid is left alone"
    );
    test.write_spec(&spec.replace("exit", "well"));
    let ran = test
        .run(&[
            "run",
            "sweep.yaml",
            "-q",
            "--accept-changes",
            "--retry-failed",
            "--devices",
            "cpu:2",
        ])
        .expect(0);
    assert!(ran.stdout.contains("Near"), "{}", ran.stdout);
}

#[test]
fn a_process_that_lacked_memory_says_so() {
    let test = Test::with_spec(&spec("lack-memory", "{retries: 1}"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(3);
    assert!(
        ran.stderr
            .contains("out of memory: the worker ended with exit code 1: MemoryError"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        test.count("runs/toy", &format!("{ATTEMPTS}'out_of_memory'")),
        6
    );
    assert_eq!(test.count("runs/toy", GOOD), 3);
}

#[test]
fn a_second_result_changes_nothing() {
    let test = Test::with_spec(&spec("done-twice", "{}"));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM trial WHERE state = 'done' AND failures = 0"
        ),
        6
    );
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM attempt"), 6);
}

#[test]
fn a_slow_start_is_no_fault() {
    let test = Test::with_spec(&TOY.replace("[WORKER]", "[WORKER, --slow-start]"));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
}

/// The state of a process as the kernel has it: R, S, T (stopped), Z.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

#[test]
fn ctrl_z_stops_the_workers_too_and_fg_goes_on() {
    let slow = "parameters: {epochs: {value: 3}, epoch_ms: {value: 30}}\nlimits: {timeout: 2s, retries: 0}";
    let test = Test::with_spec(&TOY.replace("parameters: {epochs: {value: 3}}", slow));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM trial WHERE state = 'done'",
        2,
    );
    let worker: u32 = test.count("runs/toy", "SELECT max(pid) FROM worker") as u32;
    let coordinator = Pid::from_raw(child.id() as i32);
    kill(coordinator, Signal::SIGTSTP).unwrap();
    wait_until("both are stopped", || {
        state(child.id()) == Some('T') && state(worker) == Some('T')
    });
    // Longer than the trials may take.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    kill(coordinator, Signal::SIGCONT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome <> 'done'"
        ),
        0
    );
}
