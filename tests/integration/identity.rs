//! A run directory is what it is, not what it is called: copied, moved, removed or restored while
//! its sweep runs or after a kill, with odd names, without some of its files, and on another host.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use pentagrid::schedule::start_ticks;

use crate::support::{TOY, Test, say_skipped, wait_until};

const DONE: &str = "SELECT count(*) FROM trial WHERE state = 'done'";
const IDENTITY: &str = "SELECT identity FROM session ORDER BY id DESC LIMIT 1";

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

fn text(test: &Test, run: &str, sql: &str) -> String {
    test.ledger(run)
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

fn go(test: &Test, run: &str) {
    std::fs::write(test.path(run).join("go"), "").unwrap();
}

/// Starts the sweep, waits until two programs run, and returns the coordinator and them.
fn started(test: &Test) -> (std::process::Child, Vec<(u32, u64)>) {
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

#[test]
fn a_copy_takes_nothing_that_is_not_its_own() {
    let test = waiting();
    let (mut child, programs) = started(&test);
    copy(&test, "runs/toy", "copy");
    go(&test, "copy");
    let ran = test
        .run(&["run", "sweep.yaml", "--dir", "copy", "--devices", "cpu:2"])
        .expect(0);
    assert!(
        ran.stderr.contains("copy is a copy of a run directory"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("had left running"), "{}", ran.stderr);
    assert!(
        programs.iter().all(|&program| lives(program)),
        "the original's programs run on"
    );
    go(&test, "runs/toy");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    for run in ["runs/toy", "copy"] {
        assert_eq!(
            (
                test.count(run, DONE),
                test.count(run, "SELECT sum(failures) FROM trial")
            ),
            (4, 0)
        );
    }
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        4,
        "nothing was cut off"
    );
    assert_ne!(
        text(&test, "runs/toy", IDENTITY),
        text(&test, "copy", IDENTITY)
    );
    // It is told once: from then on it is a run directory like any other.
    let again = test.run(&["run", "sweep.yaml", "--dir", "copy"]).expect(0);
    assert!(!again.stderr.contains("is a copy"), "{}", again.stderr);
}

#[test]
fn what_a_killed_coordinator_left_is_its_directorys_and_not_a_copys() {
    let test = waiting();
    let programs = left_running(&test);
    copy(&test, "runs/toy", "copy");
    go(&test, "copy");
    test.run(&["run", "sweep.yaml", "--dir", "copy", "-q"])
        .expect(0);
    assert!(programs.iter().all(|&program| lives(program)));
    std::fs::remove_file(test.path("copy/go")).unwrap();
    // Moved, it keeps what is its own, though another one is where it was.
    std::fs::rename(test.path("runs/toy"), test.path("moved")).unwrap();
    std::fs::rename(test.path("copy"), test.path("runs/toy")).unwrap();
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    assert!(programs.iter().all(|&program| lives(program)));
    go(&test, "moved");
    let ran = test.run(&["resume", "moved"]).expect(0);
    assert!(
        ran.stderr
            .contains(" processes that a killed coordinator had left running"),
        "{}",
        ran.stderr
    );
    wait_until("they are gone", || {
        !programs.iter().any(|&program| lives(program))
    });
    assert_eq!(
        (
            test.count("moved", DONE),
            test.count(
                "moved",
                "SELECT count(*) FROM worker WHERE ended_at IS NULL"
            )
        ),
        (4, 0)
    );
}

#[test]
fn one_that_was_restored_leaves_the_programs_of_the_removed_one_alone_and_names_them() {
    let test = waiting();
    let programs = left_running(&test);
    copy(&test, "runs/toy", "copy");
    std::fs::remove_dir_all(test.path("runs/toy")).unwrap();
    std::fs::rename(test.path("copy"), test.path("runs/toy")).unwrap();
    // They wait for `go` in the new directory, too: what they write then is not its attempts'.
    let metrics = "SELECT count(DISTINCT metrics) FROM trial";
    let ran = {
        let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
        wait_until("two more run", || named(&test, "runs/toy").len() == 4);
        assert!(programs.iter().all(|&program| lives(program)));
        go(&test, "runs/toy");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        test.stderr()
    };
    assert!(ran.contains("was restored from one"), "{ran}");
    assert!(
        ran.contains(
            "processes of another run directory, which was in this place before, still use runs/toy"
        ),
        "{ran}"
    );
    assert!(
        programs
            .iter()
            .all(|(pid, _)| ran.contains(&pid.to_string())),
        "{ran}"
    );
    assert_eq!(
        (
            test.count("runs/toy", DONE),
            test.count("runs/toy", metrics)
        ),
        (4, 1)
    );
    wait_until("they have ended by themselves", || {
        !programs.iter().any(|&program| lives(program))
    });
}

#[test]
fn without_its_lock_file_a_second_coordinator_is_turned_away_all_the_same() {
    let test = waiting();
    let (mut child, programs) = started(&test);
    std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
    let second = test.run(&["run", "sweep.yaml"]).expect(4).stderr;
    assert!(
        second.contains(&format!("process {} on ", child.id())),
        "{second}"
    );
    test.run(&["resume", "runs/toy"]).expect(4);
    let json: serde_json::Value =
        serde_json::from_str(&test.run(&["status", "runs/toy", "--json"]).expect(0).stdout)
            .unwrap();
    assert_eq!(json["state"].as_str(), Some("running"));
    assert!(programs.iter().all(|&program| lives(program)));
    go(&test, "runs/toy");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(
        (
            test.count("runs/toy", DONE),
            test.count("runs/toy", "SELECT count(*) FROM attempt")
        ),
        (4, 4)
    );
    let lock = std::fs::read_to_string(test.path("runs/toy/ledger.lock")).unwrap();
    assert!(
        lock.contains(&format!("\"pid\":{}", child.id())),
        "it was put back: {lock}"
    );
}

/// What a sweep says and exits with when `change` is done while it runs.
fn changed_while_it_runs(test: &Test, change: impl FnOnce()) -> String {
    let slow = TOY.replace(
        "parameters: {epochs: {value: 3}}",
        "parameters: {epochs: {value: 3}, epoch_ms: {value: 30}}",
    );
    test.write_spec(&slow);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 3);
    let workers: Vec<(u32, u64)> = {
        let ledger = test.ledger("runs/toy");
        let mut all = ledger
            .prepare("SELECT pid, start_ticks FROM worker")
            .unwrap();
        let rows = all
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    change();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    wait_until("no worker is left", || {
        !workers.iter().any(|&worker| lives(worker))
    });
    test.stderr()
}

#[test]
fn a_directory_that_is_removed_while_it_runs_ends_the_sweep_and_is_not_made_again() {
    let test = Test::new();
    let said = changed_while_it_runs(&test, || {
        std::fs::remove_dir_all(test.path("runs/toy")).unwrap()
    });
    assert!(said.contains("was removed while its sweep ran"), "{said}");
    assert!(
        said.contains("its ledger, with every result so far, is not on the disk any more"),
        "{said}"
    );
    assert!(!test.path("runs/toy").exists(), "it was made again");
}

#[test]
fn a_write_ahead_log_that_is_removed_while_it_runs_loses_nothing() {
    let test = Test::new();
    let said = changed_while_it_runs(&test, || {
        std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap();
    });
    assert!(
        said.contains("ledger.sqlite-wal in runs/toy was removed or replaced while its sweep ran")
            && said.contains("everything that was reported as done is kept"),
        "{said}"
    );
    let done = test.count("runs/toy", DONE);
    let told = said
        .lines()
        .filter(|line| line.starts_with('[') && line.contains("score"));
    assert!(done > 0 && told.count() as i64 <= done, "{said}");

    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let twice = "SELECT count(*) FROM (SELECT trial FROM attempt WHERE outcome = 'done' GROUP BY trial HAVING count(*) > 1)";
    assert_eq!(test.count("runs/toy", twice), 0);
}

#[test]
fn a_directory_that_is_moved_while_it_runs_keeps_all_that_was_told() {
    let test = Test::new();
    let said = changed_while_it_runs(&test, || {
        std::fs::rename(test.path("runs/toy"), test.path("runs/moved")).unwrap();
        // What is made in its place is not touched.
        std::fs::create_dir(test.path("runs/toy")).unwrap();
        std::fs::write(test.path("runs/toy/ledger.sqlite-wal"), "mine").unwrap();
    });
    assert!(
        said.contains("runs/toy was moved to ") && said.contains("pentagrid resume "),
        "{said}"
    );
    let told = said
        .lines()
        .filter(|line| line.starts_with('[') && line.contains("score"));
    let told: Vec<&str> = told
        .map(|line| line.split("] ").nth(1).unwrap().split(' ').next().unwrap())
        .collect();
    assert!(!told.is_empty());
    for trial in told {
        let sql = format!(
            "SELECT count(*) FROM trial WHERE state = 'done' AND point || '-' || seed = '{trial}'"
        );
        assert_eq!(
            test.count("runs/moved", &sql),
            1,
            "{trial} was reported as done"
        );
    }
    assert_eq!(std::fs::read_dir(test.path("runs/toy")).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_to_string(test.path("runs/toy/ledger.sqlite-wal")).unwrap(),
        "mine"
    );
    let again = test.run(&["resume", "runs/moved"]).expect(0);
    assert!(!again.stderr.contains("is a copy"), "{}", again.stderr);
    assert_eq!(test.count("runs/moved", DONE), 20);
}

#[test]
fn a_ledger_that_is_removed_or_replaced_while_it_runs_ends_the_sweep() {
    for replace in [false, true] {
        let test = Test::new();
        let said = changed_while_it_runs(&test, || {
            let ledger = test.path("runs/toy/ledger.sqlite");
            if replace {
                std::fs::copy(&ledger, test.path("copy")).unwrap();
                std::fs::rename(test.path("copy"), &ledger).unwrap();
            } else {
                std::fs::remove_file(&ledger).unwrap();
            }
        });
        assert!(
            said.contains("was removed or replaced while its sweep ran"),
            "{said}"
        );
    }
}

/// A sweep of workers that was killed with some results, none of which is in the file itself.
fn killed() -> Test {
    let test = Test::with_spec(&TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 3}, epoch_ms: {value: 30}",
    ));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    test
}

#[test]
fn a_ledger_that_lost_everything_is_no_new_sweep() {
    type Loss = fn(&Test);
    let losses: [(Loss, &str); 4] = [
        (
            |test| std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap(),
            "it holds nothing, although a sweep was run",
        ),
        (
            |test| std::fs::remove_file(test.path("runs/toy/ledger.sqlite")).unwrap(),
            "it is missing, although a sweep was run",
        ),
        (
            |test| {
                std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap();
                std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
            },
            "logs/worker-",
        ),
        (
            |test| drop(std::fs::File::create(test.path("runs/toy/ledger.sqlite")).unwrap()),
            "it is empty, although a sweep was run",
        ),
    ];
    for (lose, what) in losses {
        let test = killed();
        lose(&test);
        for arguments in [
            &["run", "sweep.yaml"][..],
            &["status", "runs/toy"],
            &["run", "sweep.yaml"],
            &["report", "runs/toy"],
        ] {
            let said = test.run(arguments).expect(5).stderr;
            assert!(
                said.contains(what) && said.contains("restore the file from a copy"),
                "{arguments:?}: {said}"
            );
        }
    }
}

#[test]
fn a_ledger_that_lost_its_last_transactions_is_refused_until_the_user_agrees() {
    let test = killed();
    // A run that ended in order is in the file itself; that of one after it which was killed is in
    // the log.
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    let first = test.count("runs/toy", "SELECT count(*) FROM session");
    let longer = std::fs::read_to_string(test.path("sweep.yaml"))
        .unwrap()
        .replace("tune: 2", "tune: 4");
    std::fs::write(test.path("sweep.yaml"), longer).unwrap();
    let mut child = test.start(&[
        "run",
        "sweep.yaml",
        "--devices",
        "cpu:2",
        "--accept-changes",
    ]);
    test.wait_for("runs/toy", DONE, 23);
    child.kill().unwrap();
    child.wait().unwrap();
    let whole = Test::new();
    let status = Command::new("cp")
        .arg("-r")
        .arg(test.path("runs"))
        .arg(whole.path(""))
        .status()
        .unwrap();
    assert!(status.success());

    std::fs::remove_file(test.path("runs/toy/ledger.sqlite-wal")).unwrap();
    for _ in 0..2 {
        let said = test
            .run(&["run", "sweep.yaml", "--accept-changes"])
            .expect(5)
            .stderr;
        assert!(
            said.contains("it lacks the whole of its last run"),
            "{said}"
        );
        assert!(
            said.contains("ledger.sqlite-wal, is missing")
                && said.contains("rm runs/toy/ledger.lock"),
            "{said}"
        );
    }
    std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
    test.run(&["run", "sweep.yaml", "-q", "--accept-changes"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 2 * 14 + 6);
    assert!(test.count("runs/toy", "SELECT count(*) FROM session") > first);

    // Only some of them.
    let test = killed();
    test.ledger("runs/toy")
        .execute_batch("UPDATE session SET commits = commits - 5")
        .unwrap();
    let said = test.run(&["run", "sweep.yaml"]).expect(5).stderr;
    assert!(said.contains("it lacks the last "), "{said}");
    // A file that was put back is not the one that the note speaks of.
    std::fs::copy(test.path("runs/toy/ledger.sqlite"), test.path("backup")).unwrap();
    std::fs::rename(test.path("backup"), test.path("runs/toy/ledger.sqlite")).unwrap();
    let ran = test.run(&["run", "sweep.yaml"]).expect(0);
    assert!(
        ran.stderr.contains("was restored from one"),
        "{}",
        ran.stderr
    );
}

#[test]
fn any_name_is_a_folder_of_that_name() {
    let test = waiting();
    std::fs::write(test.path("train.sh"), "#!/bin/sh\necho '{\"score\": 1}'\n").unwrap();
    let twice = format!("/{}/twice", test.path("").display());
    for name in [
        "file:x",
        ":memory:",
        "file:y?mode=memory&cache=shared",
        "a?b#c",
        "100%25",
        "a b'\"",
        "-",
        twice.as_str(),
    ] {
        let argument = format!("--dir={name}");
        let ran = test.run(&["run", "sweep.yaml", "-q", &argument]).expect(0);
        assert_eq!(ran.stderr, "", "{name}");
        let folder = if name.starts_with('/') {
            name.into()
        } else {
            test.path(name)
        };
        assert!(folder.join("ledger.sqlite").is_file(), "{name}");
        assert!(folder.join("trials").is_dir(), "{name}");
        for verb in ["status", "report", "trials"] {
            test.run(&[verb, "--", name]).expect(0);
        }
        test.run(&["resume", "-q", "--", name]).expect(0);
    }
    let mut listed: Vec<String> = std::fs::read_dir(test.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    listed.sort();
    let mut expected = [
        "file:x",
        ":memory:",
        "file:y?mode=memory&cache=shared",
        "a?b#c",
        "100%25",
        "a b'\"",
        "-",
        "twice",
    ]
    .to_vec();
    expected.extend(["reports", "sweep.yaml", "train.sh"]);
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn a_path_that_cannot_be_is_told_before_anything_starts() {
    let test = waiting();
    let long = format!("{0}/{0}/{0}", "x".repeat(200));
    let odd = OsStr::from_bytes(b"odd\xff");
    let run = |words: &[&OsStr]| {
        let output = test.command(&[]).args(words).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (path, what) in [
        (OsStr::new(&long), "SQLite opens paths of up to 504 bytes"),
        (odd, "its path is not UTF-8"),
    ] {
        let of = |verb: &str| run(&[verb.as_ref(), path]);
        let calls = [
            run(&[
                "run".as_ref(),
                "sweep.yaml".as_ref(),
                "--dir".as_ref(),
                path,
            ]),
            of("resume"),
            of("status"),
            of("trials"),
            of("report"),
            of("verify"),
        ];
        for (code, said) in calls {
            assert_eq!(code, Some(2), "{said}");
            assert!(
                said.contains("cannot be a run directory") && said.contains(what),
                "{said}"
            );
        }
    }
    let left = std::fs::read_dir(test.path("")).unwrap().count();
    assert_eq!(left, 2, "nothing was made");
}

/// A command under another host's name, which sees no process of this one's. None where the system
/// does not allow that.
fn on_another_host(test: &Test, arguments: &[&str]) -> Option<Command> {
    let ways = [
        &["-u", "-p", "--fork", "--mount-proc"][..],
        &["-r", "-u", "-p", "--fork", "--mount-proc"],
    ];
    let works = |way: &&&[&str]| {
        let probe = Command::new("unshare")
            .args(**way)
            .args(["sh", "-c", RENAMED, "true"])
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    };
    let way = ways.iter().find(works)?;
    let run = test.command(arguments);
    let mut command = Command::new("unshare");
    command
        .args(*way)
        .args(["sh", "-c", RENAMED])
        .arg(run.get_program())
        .args(run.get_args());
    command
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    Some(command)
}

/// Takes another host's name, and starts its words.
const RENAMED: &str = "echo elsewhere > /proc/sys/kernel/hostname && exec \"$0\" \"$@\"";

/// The first attempt's program writes only while the second one's waits for that.
const TWO_WRITERS: &str = r#"
cd "$PENTAGRID_RUN"
if [ ! -e one ]; then
    echo $$ > pids; touch one
    while [ ! -e go ]; do sleep 0.05; done
    echo '{"epoch": 1, "score": 666}' >> "$PENTAGRID_METRICS"
    echo '{"score": 666}'
    touch wrote
    exit
fi
touch go
while [ ! -e wrote ]; do sleep 0.05; done
"#;

#[test]
fn on_another_host_an_attempt_never_reads_what_the_one_before_it_writes() {
    for report in [
        r#"echo '{"score": 1}' >> "$PENTAGRID_METRICS""#,
        r#"echo '{"score": 1}'"#,
    ] {
        let test = Test::with_spec(
            "name: toy\ncommand: [./train.sh]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\nparameters: {x: {values: [1]}}\n",
        );
        test.write_script(&format!("{TWO_WRITERS}\n{report}"));
        let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
        wait_until("it runs", || named(&test, "runs/toy").len() == 1);
        test.wait_for("runs/toy", "SELECT count(*) FROM attempt", 1);
        child.kill().unwrap();
        child.wait().unwrap();
        let Some(mut elsewhere) =
            on_another_host(&test, &["run", "sweep.yaml", "--devices", "cpu:1"])
        else {
            go(&test, "runs/toy");
            return say_skipped("namespaces of one's own (unshare -u -p)");
        };
        let output = elsewhere.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.contains("this sweep has run on ")
                && said.contains("1 program started there may still run"),
            "{said}"
        );
        assert_eq!(
            test.count("runs/toy", "SELECT CAST(score AS INTEGER) FROM trials"),
            1
        );
        assert_eq!(
            test.count("runs/toy", "SELECT count(*) FROM epoch"),
            0,
            "the 666 came with an epoch"
        );
        // Where it was started its end can be seen.
        test.run(&["run", "sweep.yaml", "-q"]).expect(0);
        assert_eq!(
            test.count(
                "runs/toy",
                "SELECT count(*) FROM worker WHERE ended_at IS NULL"
            ),
            0
        );
    }
}

#[test]
fn what_a_coordinator_was_about_to_end_when_it_was_killed_the_next_one_ends() {
    use pentagrid::ledger::{Consent, Holder, SessionInfo, SweepRows, ViewColumns, open_for_run};
    use pentagrid::plan::Fingerprint;
    let test = waiting();
    // Only its number tells whose it is.
    std::fs::write(
        test.path("train.sh"),
        "#!/bin/sh\necho $$ >> \"$PENTAGRID_RUN/pids\"; exec env -i sleep 1000\n",
    )
    .unwrap();
    let programs = left_running(&test);
    let text = std::fs::read_to_string(test.path("sweep.yaml")).unwrap();
    let read = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    let session = SessionInfo {
        holder: Holder {
            host: read("/proc/sys/kernel/hostname"),
            pid: 1,
            since: "2026-01-01T00:00:00.000Z".into(),
        },
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        command: "pentagrid run".into(),
        version: "0".into(),
        git: None,
        devices: "cpu".into(),
        folder: "/".into(),
    };
    // The same sweep file as before, so that its arms are not asked for.
    let sweep = SweepRows {
        text: &text,
        arms: Vec::new(),
        columns: ViewColumns::default(),
        changes: Box::new(|_| None),
    };
    let opened = open_for_run(
        &test.path("runs/toy"),
        sweep,
        &session,
        Consent::Accept,
        |_| Fingerprint::default(),
        &|_| (),
    )
    .unwrap();
    assert_eq!(opened.left_workers.len(), 2);
    drop(opened);
    assert!(programs.iter().all(|&program| lives(program)));
    std::fs::write(test.path("train.sh"), "#!/bin/sh\necho '{\"score\": 1}'\n").unwrap();
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    assert!(
        ran.stderr
            .contains("ended 2 processes that a killed coordinator had left running"),
        "{}",
        ran.stderr
    );
    wait_until("they are gone", || {
        !programs.iter().any(|&program| lives(program))
    });
}

/// A stop of the whole sweep still finds what has left its group.
#[test]
fn a_directory_that_was_removed_still_tells_whose_a_stray_process_is() {
    let test = waiting();
    test.write_script(
        "setsid sh -c 'echo $$ >> \"$0/pids\"; sleep 1000' \"$PENTAGRID_RUN\" & echo $$ >> \"$PENTAGRID_RUN/pids\"; sleep 1000",
    );
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    wait_until("both run", || named(&test, "runs/toy").len() == 2);
    let programs = named(&test, "runs/toy");
    std::fs::remove_dir_all(test.path("runs/toy")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    wait_until("nothing is left", || {
        !programs.iter().any(|&program| lives(program))
    });
    assert!(!Path::new(&test.path("runs/toy")).exists());
}

#[test]
fn a_ledger_without_an_identity_gets_one_and_keeps_its_processes() {
    let test = waiting();
    // As an earlier version started them.
    let script = std::fs::read_to_string(test.path("train.sh")).unwrap();
    let unmarked =
        "#!/bin/bash\n[ -z \"$PENTAGRID_RUN_ID\" ] || exec env -u PENTAGRID_RUN_ID \"$0\" \"$@\"\n";
    std::fs::write(
        test.path("train.sh"),
        script.replacen("#!/bin/bash\n", unmarked, 1),
    )
    .unwrap();
    let programs = left_running(&test);
    test.ledger("runs/toy")
        .execute_batch("UPDATE session SET identity = NULL, place = NULL")
        .unwrap();
    std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
    test.run(&["status", "runs/toy"]).expect(0);
    std::fs::write(test.path("other.sh"), "#!/bin/sh\necho '{\"score\": 1}'\n").unwrap();
    std::fs::set_permissions(
        test.path("other.sh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    std::fs::rename(test.path("other.sh"), test.path("train.sh")).unwrap();
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    assert!(!ran.stderr.contains("is a copy"), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains(" processes that a killed coordinator had left running"),
        "{}",
        ran.stderr
    );
    wait_until("they are gone", || {
        !programs.iter().any(|&program| lives(program))
    });
    assert_eq!(text(&test, "runs/toy", IDENTITY).len(), 16);
}
