//! The examples of docs/from-optuna.md and docs/from-wandb.md, as their readers run them.

use std::path::Path;

use crate::support::Test;

/// A copy of an example's folder.
fn example(name: &str) -> Test {
    let test = Test::new();
    for file in
        std::fs::read_dir(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).join(name))
            .unwrap()
    {
        let file = file.unwrap();
        std::fs::copy(file.path(), test.path(file.file_name().to_str().unwrap())).unwrap();
    }
    test
}

#[test]
fn from_optuna() {
    let test = example("from-optuna");
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    // What before.py finds; scripts/check-export.sh runs it with Optuna.
    assert!(
        ran.stdout.contains("lr = 0.3, momentum = 0.5"),
        "{}",
        ran.stdout
    );
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn from_wandb() {
    let test = example("from-wandb");
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert!(
        ran.stdout.contains("lr = 0.3, momentum = 0.5"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        test.count(
            "runs/Line-fit",
            "SELECT count(*) FROM trial WHERE state = 'done'"
        ),
        3 * 9 + 5
    );
    assert_eq!(
        test.count("runs/Line-fit", "SELECT count(*) FROM epoch"),
        20 * (3 * 9 + 5)
    );
}
