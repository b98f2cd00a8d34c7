//! How programs are found, named, started and told what to train.

use std::os::unix::fs::PermissionsExt;

use crate::support::{DONE, Test};

const REST: &str = "metric: {name: loss, goal: minimize}\nseeds: {tune: 2, final: 0}\nparameters: {lr: {values: [0.1, 0.2]}}\n";

/// A program that reports its learning rate, if it is told.
const PROGRAM: &str = r#"import os, sys
values = dict(word.lstrip("-").split("=") for word in sys.argv[1:] if "=" in word)
with open(os.environ["PENTAGRID_METRICS"], "a") as metrics:
    metrics.write('{"loss": %s}\n' % values.get("lr", "0.5"))
"#;

fn with(head: &str) -> Test {
    let test = Test::with_spec(&format!("{head}\n{REST}"));
    std::fs::write(test.path("train.py"), PROGRAM).unwrap();
    test
}

#[test]
fn seeds_in_any_order_are_planned_as_they_are() {
    for (tune, shown) in [
        ("[5, 3]", "5 3"),
        ("[0, 5, 2]", "0 5 2"),
        ("[9223372036854775807, 0]", "9223372036854775807 0"),
    ] {
        let test = Test::with_spec(
            &format!("name: t\nprogram: train.py\n{REST}")
                .replace("tune: 2", &format!("tune: {tune}")),
        );
        let plan = test.run(&["plan", "sweep.yaml"]).expect(0).stdout;
        assert!(
            plan.contains(&format!(
                "Seeds: {shown} for tuning, none for the final trials"
            )),
            "{plan}"
        );
    }
}

#[test]
fn a_module_or_a_path_behind_a_launcher_is_no_file_to_look_for() {
    let test = with("program: pkg.mod\ncommand: ['${interpreter}', -m, '${program}', '${args}']");
    std::fs::create_dir(test.path("pkg")).unwrap();
    std::fs::write(test.path("pkg/mod.py"), PROGRAM).unwrap();
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(test.count("runs/pkg", DONE), 4);

    // A container, whose files are not here.
    let test = with(
        "name: t\nprogram: /work/train.py\ncommand: [./container, python3, '${program}', '${args}']",
    );
    let container = "#!/bin/sh\nshift 2\nexec python3 train.py \"$@\"\n";
    std::fs::write(test.path("container"), container).unwrap();
    std::fs::set_permissions(
        test.path("container"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(test.count("runs/t", DONE), 4);

    // A script of this machine is still looked for.
    for command in [
        "[python3, -u, '${program}', '${args}']",
        "[/usr/bin/env, python3, '${program}', '${args}']",
    ] {
        let test = with(&format!("program: no_such.py\ncommand: {command}"));
        let said = test.run(&["run", "sweep.yaml"]).expect(2).stderr;
        assert!(
            said.contains("the program \"no_such.py\" is not in [DIR]"),
            "{said}"
        );
    }
}

#[test]
fn what_does_not_reach_a_program_is_told_by_plan_and_run() {
    let neither = "neither parameters nor seed reach the program by its command line";
    let cases = [
        ("command: [python3, train.py, -c, base.yaml]", neither),
        (
            "command: [python3, train.py, '${args_json}']",
            "the seed does not reach the program",
        ),
        (
            "command: [python3, train.py, --seed, '${seed}']",
            "the parameters do not reach the program",
        ),
        ("command: [python3, train.py, '${args}']", ""),
        (
            "command: [sh, -c, 'python3 train.py $PENTAGRID_CONFIG $PENTAGRID_SEED']",
            "",
        ),
        ("command: [python3, reads.py]", ""),
    ];
    for (command, expected) in cases {
        let test = with(&format!("name: t\n{command}"));
        std::fs::write(test.path("base.yaml"), "lr: 0.1\n").unwrap();
        std::fs::write(
            test.path("reads.py"),
            format!("# PENTAGRID_CONFIG and PENTAGRID_SEED\n{PROGRAM}"),
        )
        .unwrap();
        for arguments in [["plan", "sweep.yaml", "-q"], ["run", "sweep.yaml", "-q"]] {
            let said = test.run(&arguments).expect(0).stderr;
            match expected {
                "" => assert_eq!(said, "", "{command}"),
                _ => assert!(
                    said.starts_with(&format!("warning: {expected}")),
                    "{command}: {said}"
                ),
            }
        }
    }
}

/// Python keeps what it prints to a file in a buffer, which is lost when it is killed.
#[test]
fn what_python_printed_is_in_the_log_when_it_is_killed() {
    let print = "import os\nprint('line 0')\nprint('line 1')\nos.kill(os.getpid(), 9)\n";
    let run = |more: &str| {
        let test = with(&format!(
            "name: t\nprogram: killed.py\nlimits: {{retries: 0}}\n{more}"
        ));
        std::fs::write(test.path("killed.py"), print).unwrap();
        let mut command = test.command(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"]);
        command.env_remove("PYTHONUNBUFFERED").output().unwrap();
        let folder = std::fs::read_dir(test.path("runs/t/trials"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        std::fs::read_to_string(folder.join("output.log")).unwrap()
    };
    assert_eq!(run(""), "line 0\nline 1\n");
    // What the sweep file says counts.
    assert_eq!(run("env: {PYTHONUNBUFFERED: ''}"), "");
}

#[test]
fn a_worker_of_python_prints_at_once_too() {
    let show =
        "import os, sys\nprint('unbuffered:', os.environ['PYTHONUNBUFFERED'], file=sys.stderr)\n";
    let logs = |more: &str, own: Option<&str>| {
        let test = with(&format!("name: t\nworker: [python3, w.py]\n{more}"));
        std::fs::write(test.path("w.py"), show).unwrap();
        let mut command = test.command(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"]);
        command
            .env_remove("PYTHONUNBUFFERED")
            .envs(own.map(|value| ("PYTHONUNBUFFERED", value)))
            .output()
            .unwrap();
        std::fs::read_to_string(test.path("runs/t/logs/worker-0.log")).unwrap()
    };
    assert!(logs("", None).contains("unbuffered: 1\n"));
    assert!(
        logs("", Some("x")).contains("unbuffered: x\n"),
        "as the user has it"
    );
    assert!(logs("env: {PYTHONUNBUFFERED: '2'}", Some("x")).contains("unbuffered: 2\n"));
}

/// The kernel says only that there is no such file, for a file that is there.
#[test]
fn a_script_without_its_interpreter_is_told_with_its_name() {
    let cases: [(&str, &str); 4] = [
        (
            "#!/bin/sh\r\nexit 0\r\n",
            "its first line, `#!/bin/sh`, ends in CR LF",
        ),
        (
            "#!/usr/bin/env python3\r\n",
            "its first line, `#!/usr/bin/env python3`, ends in CR LF",
        ),
        (
            "#!/no/such/shell\n",
            "its first line names the interpreter /no/such/shell, which is not there",
        ),
        (
            "#!/usr/bin/env no-such-program\n",
            "its first line names the interpreter no-such-program, which is not in PATH",
        ),
    ];
    for (text, expected) in cases {
        let test = with("name: t\ncommand: [./x.sh, '${args}']");
        std::fs::write(test.path("x.sh"), text).unwrap();
        std::fs::set_permissions(test.path("x.sh"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
        let said = test.run(&["run", "sweep.yaml"]).expect(2).stderr;
        assert!(
            said.contains("cannot start the program \"./x.sh\"") && said.contains(expected),
            "{said}"
        );
        assert!(!test.path("runs").exists());
    }
}

#[test]
fn words_that_a_shell_would_have_read_are_told() {
    let cases = [
        ("program: python3 train.py", "one word is one file"),
        (
            "command: ['python3 train.py', '${args}']",
            "one word is one file",
        ),
        ("program: ~/train.py", "there is no shell"),
        (
            "command: [python3, ~/train.py, '${args}']",
            "there is no shell",
        ),
        ("program: train.py\nworkdir: ~/data", "there is no shell"),
    ];
    for (head, expected) in cases {
        let said = with(&format!("name: t\n{head}"))
            .run(&["run", "sweep.yaml"])
            .expect(2)
            .stderr;
        assert!(said.contains(expected), "{head}: {said}");
    }
}

#[test]
fn a_sweep_without_a_name_is_called_as_its_file_and_stays_so() {
    let test = with("command: [python3, train.py, '${args}']");
    std::fs::rename(test.path("sweep.yaml"), test.path("探索 1.yaml")).unwrap();
    test.run(&["run", "探索 1.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(test.count("runs/探索-1", DONE), 4);
    assert!(test.path("reports/探索-1/report.html").exists());
    // The copy in the run directory is called otherwise, and says the same.
    let again = test.run(&["resume", "runs/探索-1", "-q"]).expect(0);
    assert!(!again.stderr.contains("name"), "{}", again.stderr);
    assert!(
        test.run(&["status", "runs/探索-1"])
            .expect(0)
            .stdout
            .contains("探索-1")
    );

    // A changed text is compared by what it says.
    let text = std::fs::read_to_string(test.path("探索 1.yaml")).unwrap();
    std::fs::write(
        test.path("探索 1.yaml"),
        format!("description: changed\n{text}"),
    )
    .unwrap();
    let again = test.run(&["run", "探索 1.yaml", "-q"]).expect(0);
    assert!(!again.stderr.contains("instead of"), "{}", again.stderr);

    // A run directory that is chosen gives its name.
    test.run(&[
        "run",
        "探索 1.yaml",
        "-q",
        "--devices",
        "cpu:1",
        "--dir",
        "elsewhere/mine",
    ])
    .expect(0);
    assert!(test.path("reports/mine/report.html").exists());
    let again = test
        .run(&["run", "探索 1.yaml", "-q", "--dir", "elsewhere/mine"])
        .expect(0);
    assert!(!again.stderr.contains("changed"), "{}", again.stderr);
    assert_eq!(test.count("elsewhere/mine", "SELECT count(*) FROM spec"), 1);
}

#[test]
fn names_may_be_in_any_script() {
    for (name, arm, parameter) in [
        ("學習率搜尋", "動量", "學習率"),
        ("поиск_1", "адам", "скорость"),
        ("größe-é", "naïf", "öffnung"),
        ("ค้นหา", "ก้อน", "ค่า"),
    ] {
        let head = format!(
            "name: {name}\nprogram: train.py\nmetric: {{name: потеря, goal: minimize}}\nseeds: {{tune: 2, final: 1}}\n\
             arms: {{{arm}: {{parameters: {{{parameter}: {{values: [1, 2]}}}}}}}}\n"
        );
        let test = Test::with_spec(&head);
        let program = PROGRAM
            .replace("\"loss\"", "\"потеря\"")
            .replace("\"lr\"", &format!("\"{parameter}\""));
        std::fs::write(test.path("train.py"), program).unwrap();
        let run = format!("runs/{name}");
        let shown = test
            .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
            .expect(0)
            .stdout;
        assert!(shown.contains(&format!("{parameter} = 1")), "{shown}");
        assert_eq!(test.count(&run, DONE), 5);
        assert_eq!(
            test.run(&["trials", &run, "--arm", arm])
                .expect(0)
                .stdout
                .lines()
                .count(),
            5
        );
        assert!(test.run(&["status", &run]).expect(0).stdout.contains(arm));
        let report = test.path(&format!("reports/{name}"));
        for file in ["report.html", "report.md", "table1.txt", "trials.csv"] {
            let text = std::fs::read_to_string(report.join(file)).unwrap();
            assert!(text.contains(arm), "{file}");
        }
        for format in ["csv", "parquet", "tensorboard", "optuna", "junit"] {
            test.run(&[
                "export",
                &run,
                "--format",
                format,
                "--out",
                &format!("out-{format}"),
            ])
            .expect(0);
        }
    }
}

const BUILT_IN: &str = "
name: small
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 1}
parameters: {optimizer: {value: sgd}, lr: {values: [0.01, 0.1]}}
";

#[test]
fn a_missing_trainer_is_named_before_anything_starts() {
    let test = Test::with_spec(BUILT_IN);
    let output = test
        .command(&["run", "sweep.yaml"])
        .env("PENTAGRID_TRAINER", "/no/such/trainer")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    error: the built-in task's program is not at /no/such/trainer
    build it with `scripts/setup.sh && cargo build --workspace`, or name it in PENTAGRID_TRAINER
    ");
    assert!(!test.path("runs").exists());
}

#[test]
fn a_folder_that_cannot_hold_the_report_is_refused_before_anything_runs() {
    use std::os::unix::ffi::OsStrExt;
    let test = with("program: train.py");
    std::fs::write(test.path("file"), "mine").unwrap();
    for (out, reason) in [
        (&b"file"[..], "file is not a folder"),
        (b"file/below", "file is not a folder"),
        (b"r\xff", "the name is not UTF-8"),
    ] {
        let mut command = test.command(&["run", "sweep.yaml", "-q", "--out"]);
        let output = command
            .arg(std::ffi::OsStr::from_bytes(out))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains(reason) && stderr.contains("--out"),
            "{stderr}"
        );
        assert!(!test.path("runs").exists(), "nothing has run");
    }
    // The default folder as well.
    std::fs::write(test.path("reports"), "mine").unwrap();
    let ran = test.run(&["run", "sweep.yaml", "-q"]).expect(2);
    assert!(
        ran.stderr.contains("reports is not a folder"),
        "{}",
        ran.stderr
    );
    test.run(&["run", "sweep.yaml", "-q", "--out", "new/folder"])
        .expect(0);
    assert!(test.path("new/folder/table1.txt").exists());
}

#[test]
fn a_sweep_that_has_just_begun_is_not_taken_for_a_damaged_one() {
    for _ in 0..3 {
        let test = with("program: train.py");
        let mut run = test.start(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"]);
        // From the moment at which the directory is there.
        crate::support::wait_until("the lock is there", || {
            test.path("runs/train/ledger.lock").exists()
        });
        for arguments in [
            &["status", "runs/train"][..],
            &["watch", "runs/train", "--once"],
            &["trials", "runs/train"],
            &["plan", "sweep.yaml"],
            &["status", "runs/train", "--json"],
        ] {
            test.run(arguments).expect(0);
        }
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_worker_without_a_name_gives_its_file_or_directory_as_the_name() {
    let test = Test::with_spec(
        "worker: [WORKER]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\nparameters: {x: {values: [1, 2]}}\n",
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert!(test.path("runs/sweep/ledger.sqlite").exists());
    test.run(&["run", "sweep.yaml", "-q", "--dir", "elsewhere/mine"])
        .expect(0);
    let status = test.run(&["status", "elsewhere/mine"]).expect(0).stdout;
    assert!(status.starts_with("mine: finished"), "{status}");
    test.run(&["resume", "elsewhere/mine", "-q"]).expect(0);
}

#[test]
fn a_shell_that_hands_nothing_on_is_told_of() {
    for (text, said) in [
        (
            "python3 train.py",
            "what follows the text of `sh -c` in `command` reaches no program",
        ),
        ("python3 train.py \\\"$@\\\"", ""),
    ] {
        let test = with(&format!("command: [sh, -c, \"{text}\", x, \"${{args}}\"]"));
        for arguments in [&["plan", "sweep.yaml"][..], &["run", "sweep.yaml"]] {
            let ran = test.run(arguments).expect(0);
            assert!(ran.stderr.contains(said), "{}", ran.stderr);
            assert_eq!(
                ran.stderr.contains("sh -c"),
                !said.is_empty(),
                "{}",
                ran.stderr
            );
        }
    }
}
