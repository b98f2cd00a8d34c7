//! The committed examples run, and give tables and curves.

use std::path::Path;

use crate::support::{DONE, Test};

fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))
}

/// A folder with a copy of the examples.
fn with_examples() -> Test {
    let test = Test::new();
    for name in [
        "train.py",
        "train.sh",
        "sweep.yaml",
        "shell.yaml",
        "wandb.yaml",
    ] {
        std::fs::copy(examples().join("programs").join(name), test.path(name)).unwrap();
    }
    test
}

#[test]
fn a_python_program_gives_tables_and_curves() {
    let test = with_examples();
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(
        test.count("runs/line", "SELECT count(*) FROM epoch"),
        (3 * 9 + 2 * 5) * 20
    );
    assert!(
        test.figures("reports/line")
            .iter()
            .any(|name| name.ends_with(".png"))
    );
    let again = test
        .run(&["verify", "runs/line", "-n", "3"])
        .expect(0)
        .stdout;
    assert!(
        again.ends_with("3 of 3 trials gave the same metrics and history, bit for bit\n"),
        "{again}"
    );
}

#[test]
fn a_shell_program_gives_its_last_line() {
    let test = with_examples();
    let ran = test
        .run(&["run", "shell.yaml", "--devices", "cpu:2"])
        .expect(0);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_sweep_file_of_wandb_runs_as_it_is() {
    let test = with_examples();
    let ran = test
        .run(&["run", "wandb.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert!(
        ran.stdout.contains("lr = 0.1  (loss 0.785"),
        "{}",
        ran.stdout
    );
    assert_eq!(test.count("runs/from-wandb", DONE), 14);
}

#[test]
fn a_worker_in_python_needs_no_library() {
    let test = Test::new();
    let worker = examples().join("worker.py").display().to_string();
    let checked = test
        .run(&[
            "worker-check",
            "--metric",
            "loss",
            "--devices",
            "cpu",
            "--",
            "python3",
            &worker,
        ])
        .expect(0)
        .stdout;
    assert!(
        checked.ends_with("9 checks, nothing against the protocol\n"),
        "{checked}"
    );
    test.write_spec(&format!(
        "name: toy\nworker: [python3, {worker}]\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 2, final: 2}}\n\
         parameters: {{lr: {{values: [0.1, 0.3]}}, epochs: {{value: 5}}}}\n"
    ));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM epoch"), 30);
}
