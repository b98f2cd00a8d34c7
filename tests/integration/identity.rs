//! A run directory is what it is, not what it is called.

mod changed; // removed, moved or replaced while its sweep runs
mod copies; // copied, restored or without its lock file, and whose the processes are
mod hosts; // used from another host
mod losses; // a ledger that has lost all, or its last transactions
mod names; // odd names, and paths that cannot be used

use std::process::{Child, Command};

use pentagrid::schedule::start_ticks;

use crate::support::{Test, wait_until};

/// A sweep of four trials whose programs name their process and wait until there is a file `go` in
/// the run directory.
fn waiting() -> Test {
    let test = Test::with_spec(
        "name: toy\ncommand: [./train.sh, '${args}']\nmetric: {name: score, goal: maximize}\nseeds: {tune: 2, final: 0}\n\
         parameters: {x: {values: [1, 2]}}\n",
    );
    test.write_script(
        "echo $$ >> \"$PENTAGRID_RUN/pids\"; while [ ! -e \"$PENTAGRID_RUN/go\" ]; do sleep 0.05; done\n\
         echo '{\"score\": 1}' >> \"$PENTAGRID_METRICS\"",
    );
    test
}

/// Processes that the programs of a run directory have named, with their start times.
fn named(test: &Test, run: &str) -> Vec<(u32, u64)> {
    let text = std::fs::read_to_string(test.path(run).join("pids")).unwrap_or_default();
    let pids = text.lines().filter_map(|line| line.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, start_ticks(pid)?)))
        .collect()
}

fn lives((pid, ticks): (u32, u64)) -> bool {
    start_ticks(pid) == Some(ticks)
}

fn copy(test: &Test, from: &str, to: &str) {
    let status = Command::new("cp")
        .arg("-r")
        .arg(test.path(from))
        .arg(test.path(to))
        .status()
        .unwrap();
    assert!(status.success());
}

fn go(test: &Test, run: &str) {
    std::fs::write(test.path(run).join("go"), "").unwrap();
}

/// Starts the sweep, waits until two programs run, and returns the coordinator and them.
fn started(test: &Test) -> (Child, Vec<(u32, u64)>) {
    let child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    wait_until("two programs run", || named(test, "runs/toy").len() == 2);
    test.wait_for("runs/toy", "SELECT count(*) FROM attempt", 2);
    (child, named(test, "runs/toy"))
}

/// The same, and the coordinator is killed.
fn left_running(test: &Test) -> Vec<(u32, u64)> {
    let (mut child, programs) = started(test);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        programs.iter().all(|&program| lives(program)),
        "the test needs programs that outlive their coordinator"
    );
    programs
}
