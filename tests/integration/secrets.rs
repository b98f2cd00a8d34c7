//! Values of `${envvar:NAME}`: handed over by ways that are not printed, and shown nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Ran, Test};

const SECRET: &str = "hunter2-hunter2-hunter2";

fn run(test: &Test, arguments: &[&str]) -> Ran {
    let output = test
        .command(arguments)
        .env("SECRET", SECRET)
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The files below a folder that hold the secret.
fn holding(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if std::fs::read(&path)
            .unwrap()
            .windows(8)
            .any(|bytes| bytes == &SECRET.as_bytes()[..8])
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Asserts that the secret stands in no output of these commands, and in no file.
#[track_caller]
fn shown_nowhere(test: &Test, dir: &str, ran: &[Ran]) {
    for ran in ran {
        assert!(!ran.all().contains(&SECRET[..8]), "{}", ran.all());
    }
    for arguments in [
        &["status", dir][..],
        &["trials", dir],
        &["trials", dir, "--json"],
        &["report", dir],
        &["status", dir, "--json"],
    ] {
        let ran = run(test, arguments);
        assert!(
            !ran.all().contains(&SECRET[..8]),
            "{arguments:?}: {}",
            ran.all()
        );
    }
    assert_eq!(holding(&test.path("")), Vec::<String>::new());
}

const WORKER: &str = "name: w\nworker: [WORKER]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\n\
                      parameters: {x: {values: [1, 2]}}\nenv: {AA: \"${envvar:SECRET}\", BB: \"plain\"}\n";
const PROGRAM: &str = "name: p\ncommand: [./train.sh, \"--key=${envvar:SECRET}\", \"${args}\"]\nmetric: {name: loss, goal: minimize}\n\
                       seeds: {tune: 1, final: 0}\nparameters: {lr: {values: [0.1, 0.2]}}\nenv: {AA: \"x${envvar:SECRET}y\"}\n";

#[test]
fn a_prefix_that_prints_its_words_prints_no_secret() {
    for (spec, dir) in [(WORKER, "runs/w"), (PROGRAM, "runs/p")] {
        let test = Test::with_spec(&format!(
            "{spec}launcher: {{kind: command, prefix: [echo]}}\n"
        ));
        test.write_script("true");
        let ran = run(&test, &["run", "sweep.yaml", "-vv"]);
        assert_ne!(ran.code, Some(0), "{}", ran.all());
        shown_nowhere(&test, dir, &[ran]);
    }
}

#[test]
fn secrets_reach_workers_and_programs_through_a_prefix() {
    let check = format!(
        "[ \"$1\" = --key={SECRET} ] && [ \"$AA\" = x{SECRET}y ] && echo '{{\"loss\": 1}}' >> $PENTAGRID_METRICS"
    );
    // The script itself must not hold it.
    let check = check.replace(SECRET, "$(echo hun_ter2-hun_ter2-hun_ter2 | tr -d _)");
    for launcher in [
        "",
        "launcher: {kind: command, prefix: [env]}\n",
        "launcher: {kind: command, prefix: [setsid, -w], quote: false}\n",
    ] {
        let test = Test::with_spec(&format!("{PROGRAM}{launcher}"));
        test.write_script(&check);
        let ran = run(&test, &["run", "sweep.yaml"]);
        assert_eq!(ran.code, Some(0), "{launcher}: {}", ran.all());
        shown_nowhere(&test, "runs/p", &[ran]);

        let test = Test::with_spec(&format!(
            "{}{launcher}",
            WORKER.replace("[WORKER]", "[sh, -c, 'test \"$AA\" = $(echo hun_ter2-hun_ter2-hun_ter2 | tr -d _) && exec WORKER']")
        ));
        let ran = run(&test, &["run", "sweep.yaml"]);
        assert_eq!(ran.code, Some(0), "{launcher}: {}", ran.all());
        shown_nowhere(&test, "runs/w", &[ran]);
    }
}

/// ssh joins its words into one line, which a shell reads.
#[test]
fn secrets_reach_the_other_side_of_what_joins_its_words() {
    let test = Test::with_spec(&format!(
        "{PROGRAM}launcher: {{kind: command, prefix: [./ssh, host]}}\n"
    ));
    test.write_script(
        "[ \"${#1}\" = 29 ] && [ \"${#AA}\" = 25 ] && echo '{\"loss\": 1}' >> $PENTAGRID_METRICS",
    );
    std::fs::write(test.path("ssh"), "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
    std::fs::set_permissions(test.path("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run(&test, &["run", "sweep.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    shown_nowhere(&test, "runs/p", &[ran]);
}

#[test]
fn what_a_worker_says_of_a_secret_is_not_recorded() {
    let test = Test::with_spec(&WORKER.replace("[WORKER]", "[./train.sh]"));
    test.write_script(
        "echo \"{\\\"type\\\":\\\"hello\\\",\\\"protocol\\\":1,\\\"program\\\":\\\"p $AA\\\",\\\"version\\\":\\\"1\\\",\\\"device\\\":\\\"d $AA\\\",\\\"threads\\\":1}\"\n\
         while read -r line; do\n\
         id=$(echo \"$line\" | sed 's/.*\"trial\":\"\\([^\"]*\\)\".*/\\1/')\n\
         echo \"{\\\"type\\\":\\\"started\\\",\\\"trial\\\":\\\"$id\\\"}\"\n\
         echo \"{\\\"type\\\":\\\"failed\\\",\\\"trial\\\":\\\"$id\\\",\\\"kind\\\":\\\"bad_config\\\",\\\"message\\\":\\\"401 for key $AA\\\"}\"\n\
         done",
    );
    let ran = run(&test, &["run", "sweep.yaml"]);
    assert!(
        ran.stderr.contains("401 for key ${envvar:SECRET}"),
        "{}",
        ran.all()
    );
    shown_nowhere(&test, "runs/w", &[ran]);
    // What a program writes itself is in its own log, and hidden where the log is shown.
    let test = Test::with_spec(PROGRAM);
    test.write_script("echo \"the key is $AA\"; exit 3");
    let ran = run(&test, &["run", "sweep.yaml"]);
    assert!(!ran.all().contains(SECRET), "{}", ran.all());
    let id = std::fs::read_dir(test.path("runs/p/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    let shown = run(&test, &["show", "runs/p", id.to_str().unwrap()]);
    assert!(
        shown.stdout.contains("the key is x${envvar:SECRET}y") && !shown.all().contains(SECRET),
        "{}",
        shown.all()
    );
    assert!(
        holding(&test.path(""))
            .iter()
            .all(|file| file.contains("/output") && file.ends_with(".log"))
    );
}

#[test]
fn a_secret_in_the_name_of_a_metric_is_not_shown() {
    let test = Test::with_spec(PROGRAM);
    test.write_script(
        "k=${1#--key=}\necho \"{\\\"epoch\\\": 1, \\\"loss\\\": 1, \\\"h/$k\\\": 2}\" >> $PENTAGRID_METRICS\n\
         echo \"{\\\"loss\\\": 1, \\\"m/$k\\\": 3, \\\"n/$k\\\": \\\"text\\\"}\" >> $PENTAGRID_METRICS",
    );
    let ran = run(&test, &["run", "sweep.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    // What the program itself wrote is its own.
    std::fs::remove_dir_all(test.path("runs/p/trials")).unwrap();
    shown_nowhere(&test, "runs/p", &[ran]);
    assert_eq!(
        test.count(
            "runs/p",
            "SELECT CAST(sum(\"m/${envvar:SECRET}\") AS INTEGER) FROM trials"
        ),
        6
    );
    run(&test, &["export", "runs/p", "--format", "csv"]);
    assert_eq!(holding(&test.path("")), Vec::<String>::new());
}
