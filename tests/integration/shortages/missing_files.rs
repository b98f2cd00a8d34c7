//! A program, interpreter, folder or worker that is missing for a while, or being written.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{NOT_DONE, PROGRAM, REPORT, all_done_at_the_first_attempt, spec};
use crate::support::{DONE, Test, wait_until};

/// Takes a file away while a sweep runs, and brings it back after some starts have been refused.
fn taken_away(command: &str, file: &str) {
    let test = Test::with_spec(&spec(command));
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path(file), test.path("away")).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("is not there any more")
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    std::fs::rename(test.path("away"), test.path(file)).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    let said = test.stderr();
    assert_eq!(said.matches("shortage: ").count(), 1, "told once: {said}");
    assert_eq!(
        said.matches("trials start again, after ").count(),
        1,
        "told once: {said}"
    );
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_program_that_is_away_for_a_while_fails_no_trial() {
    taken_away(PROGRAM, "train.sh");
}

#[test]
fn a_script_behind_its_interpreter_that_is_away_for_a_while_fails_no_trial() {
    taken_away("command: [bash, train.sh, '${args}']", "train.sh");
}

#[test]
fn a_program_whose_interpreter_is_away_for_a_while_fails_no_trial() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script("");
    std::fs::copy("/bin/bash", test.path("shell")).unwrap();
    let text = format!("#!{}\nsleep 0.4\n{REPORT}\n", test.path("shell").display());
    std::fs::write(test.path("train.sh"), text).unwrap();
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path("shell"), test.path("away")).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("shortage: cannot start ./train.sh")
    });
    std::fs::rename(test.path("away"), test.path("shell")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_folder_to_work_in_that_is_away_for_a_while_fails_no_trial() {
    let test = Test::with_spec(&spec(&format!("{PROGRAM}\nworkdir: work")));
    std::fs::create_dir(test.path("work")).unwrap();
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    std::fs::rename(test.path("train.sh"), test.path("work/train.sh")).unwrap();
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path("work"), test.path("away")).unwrap();
    wait_until("it is told", || test.stderr().contains("shortage: "));
    std::fs::rename(test.path("away"), test.path("work")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_program_that_is_being_written_fails_no_trial() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    let busy = std::fs::OpenOptions::new()
        .append(true)
        .open(test.path("train.sh"))
        .unwrap();
    wait_until("it is told", || test.stderr().contains("Text file busy"));
    drop(busy);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_program_that_stays_away_ends_the_sweep_and_fails_no_trial() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    let mut command = test.command(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    command.env("PENTAGRID_SHORTAGE", "2").stdout(Stdio::null());
    let mut child = command
        .stderr(std::fs::File::create(test.path("stderr")).unwrap())
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path("train.sh"), test.path("away")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    let said = test.stderr();
    assert!(
        said.contains("error: no trial could be started for ")
            && said.contains("train.sh is not there any more"),
        "{said}"
    );
    assert!(
        said.contains("results so far are kept in runs/toy: the same command resumes the sweep"),
        "{said}"
    );
    let done = test.count("runs/toy", DONE);
    assert!((4..32).contains(&done) && test.count("runs/toy", NOT_DONE) == 0);
    std::fs::rename(test.path("away"), test.path("train.sh")).unwrap();
    // While it was away it was another version of what is trained, for those attempts that had
    // begun.
    test.run(&["run", "sweep.yaml", "--devices", "cpu:4", "-q"])
        .expect(0);
    all_done_at_the_first_attempt(&test, "runs/toy");
}

/// A worker whose script is away cannot be followed by another one; it is waited for.
#[test]
fn a_worker_that_is_away_for_a_while_fails_no_trial() {
    let test = Test::with_spec(
        &spec("worker: [WORKER]")
            .replace("name: loss, goal: minimize", "name: score, goal: maximize"),
    );
    let worker = test.path("worker");
    std::fs::copy(crate::support::fake_worker(), &worker).unwrap();
    test.write_spec(
        &std::fs::read_to_string(test.path("sweep.yaml"))
            .unwrap()
            .replace(
                &crate::support::fake_worker().display().to_string(),
                "./worker",
            ),
    );
    // Each worker ends after its trials, and another has to be started.
    let text = std::fs::read_to_string(test.path("sweep.yaml")).unwrap();
    std::fs::write(
        test.path("sweep.yaml"),
        text.replace("parameters: {", "parameters: {epoch_ms: {value: 50}, "),
    )
    .unwrap();
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 2);
    std::fs::rename(&worker, test.path("away")).unwrap();
    let pid = test.count("runs/toy", "SELECT max(pid) FROM worker") as i32;
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("worker is not there any more")
    });
    std::fs::rename(test.path("away"), &worker).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(test.count("runs/toy", DONE), 32);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed' AND kind <> 'signal'"
        ),
        0
    );
}
