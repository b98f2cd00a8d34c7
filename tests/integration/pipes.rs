//! Pipes, folders, sockets and links where a file should be: nothing waits for their other end,
//! nothing is written through a link, and what is wrong is said.

use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Ran, TOY, Test};

fn pipe(path: &Path) {
    drop(std::fs::remove_file(path));
    mkfifo(path, Mode::S_IRWXU).unwrap();
}

/// A sweep of one trial by a program with one more try.
fn program(text: &str) -> Test {
    let test = Test::with_spec(
        "name: toy\ncommand: [./train.sh]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\n\
         parameters: {x: {values: [1]}}\nlimits: {retries: 1}\n",
    );
    test.write_script(text);
    test
}

fn run(test: &Test) -> Ran {
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1"])
}

fn messages(test: &Test) -> Vec<String> {
    let ledger = test.ledger("runs/toy");
    let mut rows = ledger
        .prepare("SELECT coalesce(message, outcome) FROM attempt ORDER BY id")
        .unwrap();
    rows.query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn a_program_that_replaces_its_files_by_pipes_fails_and_hangs_nothing() {
    let text = r#"cd "$PENTAGRID_DIR"; rm -f output.log config.json; mkfifo output.log config.json; ln -s output.log "$PENTAGRID_METRICS"; exit 3"#;
    let test = program(text);
    run(&test).expect(3);
    // Either may be seen first: the end, or what has become of the metrics file.
    let reasons = [
        "the program ended with exit code 3",
        "the metrics file is not a plain file any more",
    ];
    let said = messages(&test);
    assert_eq!(said.len(), 2);
    assert!(
        said.iter()
            .all(|message| reasons.contains(&message.as_str())),
        "{said:?}"
    );
    run(&test).expect(3);
    test.run(&["resume", "runs/toy", "--retry-failed", "-q"])
        .expect(3);
    assert_eq!(messages(&test).len(), 4);
    let trial = test
        .run(&["trials", "runs/toy"])
        .expect(0)
        .stdout
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    test.run(&["show", "runs/toy", &trial]).expect(0);
    test.run(&["report", "runs/toy"]).expect(0);
    // Every command that reads a log reports one that has become a pipe.
    test.ledger("runs/toy")
        .execute_batch(&format!(
            "UPDATE attempt SET log = 'trials/{trial}/output.log'"
        ))
        .unwrap();
    let shown = test.run(&["show", "runs/toy", &trial]).expect(0).stdout;
    assert!(
        shown.contains("it is a named pipe (FIFO), not a plain file"),
        "{shown}"
    );
    // The next attempt has files of its own, and its configuration again.
    test.write_script(r#"cat "$PENTAGRID_CONFIG"; echo '{"score": 2}'"#);
    test.run(&[
        "run",
        "sweep.yaml",
        "--retry-failed",
        "-q",
        "--accept-changes",
    ])
    .expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT CAST(score AS INTEGER) FROM trials"),
        2
    );
}

#[test]
fn a_folder_where_the_configuration_should_be_fails_the_trial() {
    let test = program(r#"cd "$PENTAGRID_DIR"; rm -f config.json; mkdir config.json; exit 3"#);
    run(&test).expect(3);
    let said = messages(&test);
    assert_eq!(
        (said.len(), said[0].as_str()),
        (2, "the program ended with exit code 3")
    );
    assert!(
        said[1].contains("cannot start ./train.sh") && said[1].contains("directory"),
        "{said:?}"
    );
}

#[test]
fn nothing_is_written_through_a_link() {
    let text = r#"cd "$PENTAGRID_DIR"; ln -sf "$PENTAGRID_RUN/victim" config.json; ln -sf "$PENTAGRID_RUN/victim" output.log; exit 3"#;
    let test = program(text);
    std::fs::create_dir_all(test.path("runs/toy")).unwrap();
    let victim = test.path("runs/toy/victim");
    std::fs::write(&victim, "mine").unwrap();
    // Names that could be known beforehand.
    for name in [
        "ledger.lock",
        "spec.yaml",
        "spec.yaml.partial",
        "report.json",
    ] {
        symlink(&victim, test.path("runs/toy").join(name)).unwrap();
    }
    let refused = run(&test).expect(5).stderr;
    assert!(
        refused.contains("ledger.lock: it is a symbolic link, not a plain file"),
        "{refused}"
    );
    std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
    run(&test).expect(3);
    test.run(&["resume", "runs/toy", "--retry-failed", "-q"])
        .expect(3);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn a_worker_whose_log_is_a_pipe_is_told_to_be_so() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1", "-q"])
        .expect(0);
    pipe(&test.path("runs/toy/logs/worker-0.log"));
    test.write_spec(&TOY.replace("tune: 2", "tune: 3"));
    let said = test.run(&[
        "run",
        "sweep.yaml",
        "--devices",
        "cpu:1",
        "--accept-changes",
    ]);
    assert_ne!(said.code, Some(0));
    assert!(
        said.stderr
            .contains("worker-0.log: it is a named pipe (FIFO), not a plain file"),
        "{}",
        said.stderr
    );
}

#[test]
fn what_is_no_plain_file_in_a_run_directory_is_refused_by_name() {
    for name in [
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-journal",
        "ledger.lock",
        "spec.yaml",
    ] {
        let test = Test::with_spec(TOY);
        test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
            .expect(0);
        let path = test.path("runs/toy").join(name);
        pipe(&path);
        let said = test.run(&["run", "sweep.yaml"]).expect(5).stderr;
        assert!(
            said.contains(name) && said.contains("it is a named pipe (FIFO), not a plain file"),
            "{name}: {said}"
        );
        for verb in ["status", "trials", "report"] {
            let code = if name.starts_with("ledger.sqlite") {
                5
            } else {
                0
            };
            test.run(&[verb, "runs/toy"]).expect(code);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        test.run(&["run", "sweep.yaml"]).expect(5);
    }
}

/// What is no file of a run directory may be a pipe: `pentagrid run <(make-sweep)`.
#[test]
fn a_sweep_file_may_come_through_a_pipe() {
    let test = Test::with_spec(TOY);
    let script = "exec \"$0\" run <(cat sweep.yaml) --dir runs/toy --devices cpu:2 -q";
    let status = std::process::Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_pentagrid")])
        .current_dir(test.path(""))
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_metrics_file_that_is_a_pipe_from_the_start_is_told() {
    let test = program(r#"mkfifo "$PENTAGRID_METRICS""#);
    run(&test).expect(3);
    let kinds = test.text(
        "runs/toy",
        "SELECT group_concat(DISTINCT kind || ': ' || message) FROM attempt",
    );
    assert_eq!(
        kinds,
        "protocol: the metrics file is a named pipe (FIFO), not a plain file"
    );
}

#[test]
fn a_folder_of_a_trial_that_is_a_link_is_refused() {
    let test = program(
        r#"d=$PENTAGRID_DIR; mv "$d" "$d.old"; mkdir -p "$PENTAGRID_RUN/other"; ln -s "$PENTAGRID_RUN/other" "$d"; exit 3"#,
    );
    run(&test).expect(3);
    let said = messages(&test);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[1].contains("is a symbolic link, not a folder"),
        "{said:?}"
    );
    let written = std::fs::read_dir(test.path("runs/toy/other")).unwrap();
    assert_eq!(written.count(), 0, "nothing was written through it");
}
