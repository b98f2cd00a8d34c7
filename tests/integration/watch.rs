//! `pentagrid watch` in a pipe: a line at each change, and how it ends.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DONE, TOY, Test, wait_until};

fn slow() -> Test {
    Test::with_spec(&TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 40}, epoch_ms: {value: 5}",
    ))
}

#[test]
fn it_follows_a_sweep_to_its_end() {
    let test = slow();
    let mut run = test
        .command(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", DONE, 1);
    let watched = test.run(&["watch", "runs/toy"]).expect(0);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let lines: Vec<&str> = watched.stdout.lines().collect();
    assert!(lines.len() >= 3, "{}", watched.stdout);
    assert!(
        lines.windows(2).all(|pair| pair[0] != pair[1]),
        "a line says something new: {}",
        watched.stdout
    );
    assert_eq!(lines[lines.len() - 2], "toy: tuning 14 of 14, final 6 of 6");
    assert_eq!(
        lines[lines.len() - 1],
        "toy: finished; tables: pentagrid report runs/toy"
    );
}

#[test]
fn a_killed_coordinator_and_failed_trials_are_told() {
    let test = slow();
    let mut run = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
    test.wait_for("runs/toy", DONE, 2);
    let once = test.run(&["watch", "runs/toy", "--once"]).expect(0);
    assert!(
        once.stdout.starts_with("toy: tuning ") && once.stdout.lines().count() == 1,
        "{}",
        once.stdout
    );
    run.kill().unwrap();
    run.wait().unwrap();
    let watched = test.run(&["watch", "runs/toy"]).expect(130);
    assert!(
        watched
            .stdout
            .ends_with("toy: the coordinator was killed; resume with: pentagrid resume runs/toy\n"),
        "{}",
        watched.stdout
    );

    let failing = TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 1}, behaviour: {values: [none, error]}",
    ) + "limits: {retries: 0}\n";
    let test = Test::with_spec(&failing);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(3);
    insta::assert_snapshot!(test.run(&["watch", "runs/toy"]).expect(3).stdout, @r"
    toy: tuning 14 of 28, final 6 of 6, 14 failed
    toy: 14 trials failed, no retries left: see `pentagrid trials runs/toy --state failed`; `pentagrid resume runs/toy --retry-failed` runs them again
    toy: finished; tables: pentagrid report runs/toy
    ");
}

#[test]
fn ctrl_c_ends_the_watching_and_not_the_sweep() {
    let test = slow();
    let mut run = test
        .command(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", DONE, 1);
    let mut watch = test.start(&["watch", "runs/toy"]);
    wait_until("it has shown something", || {
        std::fs::metadata(test.path("stdout")).is_ok_and(|file| file.len() > 0)
    });
    kill(Pid::from_raw(watch.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(130));
    assert_eq!(run.wait().unwrap().code(), Some(0));
}
