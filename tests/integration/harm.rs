//! What a machine does to a run directory: a full disk, a read-only place, a damaged ledger, binary
//! logs, a clock that jumps. Each ends in a defined state, with a message, and with every
//! acknowledged result intact.

use std::collections::BTreeSet;
use std::fs::{OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::support::{DONE, TOY, Test};

/// Attempts at trials that had a result already.
const AGAIN: &str = "SELECT count(*) FROM attempt a JOIN attempt d ON d.trial = a.trial AND d.outcome = 'done' AND a.id > d.id";

/// Ids of trials that the program told to be done: not of all, for it does not print more than one
/// can read.
fn told(stderr: &str) -> BTreeSet<String> {
    let done = stderr
        .lines()
        .filter(|line| line.starts_with('[') && line.contains("score"));
    done.map(|line| {
        line.split("] ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    })
    .collect()
}

fn recorded(test: &Test) -> BTreeSet<String> {
    let ledger = test.ledger("runs/toy");
    let mut statement = ledger
        .prepare("SELECT point || '-' || seed FROM trial WHERE state = 'done'")
        .unwrap();
    statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// A sweep on a disk with so much room, in kibibytes, that it ends with a message; and what it
/// said.
fn on_a_small_disk(room: u32) -> (Test, String) {
    let test = Test::with_spec(&TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 40}, epoch_ms: {value: 5}",
    ));
    let run = test.command(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    // A limit of the size of files is a full disk for everybody who writes: the ledger, the logs.
    let mut limited = Command::new("bash");
    limited
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f ${BLOCKS}; exec \"$0\" \"$@\"",
        ])
        .arg(run.get_program())
        .args(run.get_args());
    limited
        .env("BLOCKS", room.to_string())
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    let output = limited.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(
        stderr.contains("run the same command again; what was recorded is kept"),
        "{stderr}"
    );
    (test, stderr)
}

#[test]
fn a_full_disk_loses_nothing_that_was_told() {
    // How much is written until the first trials are done depends on how many commands share a
    // commit.
    let (test, stderr) = (4..=32)
        .map(|step| 50 * step)
        .map(on_a_small_disk)
        .find(|(test, _)| !recorded(test).is_empty())
        .expect("a disk that fills up in the middle");
    let before = recorded(&test);
    assert!(before.len() < 20);
    assert!(told(&stderr).is_subset(&before));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    assert!(before.is_subset(&recorded(&test)));
    assert_eq!(
        (test.count("runs/toy", DONE), test.count("runs/toy", AGAIN)),
        (20, 0)
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let test = Test::with_spec(TOY);
    let stderr = test
        .run(&["run", "sweep.yaml", "--dir", "/proc/pentagrid"])
        .expect(5)
        .stderr;
    insta::assert_snapshot!(stderr, @"error: cannot create /proc/pentagrid/logs: No such file or directory (os error 2)");
    std::fs::write(test.path("file"), "").unwrap();
    let stderr = test
        .run(&["run", "sweep.yaml", "--dir", "file/runs"])
        .expect(5)
        .stderr;
    insta::assert_snapshot!(stderr, @"error: cannot create file/runs/logs: Not a directory (os error 20)");
}

/// A finished sweep whose ledger is one file.
fn finished() -> Test {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    // Readers leave an empty one behind.
    let rest =
        std::fs::metadata(test.path("runs/toy/ledger.sqlite-wal")).map_or(0, |file| file.len());
    assert_eq!(rest, 0, "a copy of the one file should be the whole ledger");
    test
}

/// Another user's sweep can be read, and nothing is written beside it.
#[test]
fn a_sweep_that_cannot_be_written_can_be_read() {
    let test = finished();
    // Permissions do not bind root: where the tests run as root, another user reads, with a copy of
    // the program outside of root's own folders.
    let root = std::fs::metadata(test.path("")).unwrap().uid() == 0;
    let program = test.path("program");
    let original = env!("CARGO_BIN_EXE_pentagrid");
    std::fs::hard_link(original, &program)
        .or_else(|_| std::fs::copy(original, &program).map(drop))
        .unwrap();
    std::fs::create_dir(test.path("mine")).unwrap();
    for beside in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        drop(std::fs::remove_file(test.path("runs/toy").join(beside)));
    }
    let allow = |path: &str, mode| {
        std::fs::set_permissions(test.path(path), Permissions::from_mode(mode)).unwrap();
    };
    allow("mine", 0o777);
    [".", "runs", "runs/toy", "reports/toy", "reports"]
        .into_iter()
        .for_each(|path| allow(path, 0o555));
    let listed = || {
        let entries = std::fs::read_dir(test.path("runs/toy")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    };
    let before = listed();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .current_dir(test.path(""))
            .env("NO_COLOR", "1");
        if root {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    for arguments in [
        &["status", "runs/toy"][..],
        &["report", "runs/toy", "--out", "mine/report"],
    ] {
        let (code, out, said) = run(arguments);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!out.is_empty(), "{arguments:?}");
    }
    let (code, trials, said) = run(&["trials", "runs/toy"]);
    assert_eq!(
        (code, trials.lines().count(), said.as_str()),
        (Some(0), 20, "")
    );
    let trial = trials.split(' ').next().unwrap();
    let (code, shown, said) = run(&["show", "runs/toy", trial]);
    assert_eq!(
        (code, shown.starts_with(trial), said.as_str()),
        (Some(0), true, "")
    );
    let (code, _, said) = run(&[
        "export",
        "runs/toy",
        "--format",
        "junit",
        "--out",
        "mine/export",
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        test.path("mine/report/table1.txt").exists() && test.path("mine/export/junit.xml").exists()
    );
    // Where a report belongs nothing can be written: what is there stays, and one is told where
    // else to.
    let [report, export] = [
        &["report", "runs/toy"][..],
        &["export", "runs/toy", "--format", "csv"],
    ]
    .map(|arguments| {
        let (code, out, said) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(5), ""), "{arguments:?}");
        said
    });
    insta::assert_snapshot!(report + &export, @"
error: cannot write reports/toy/.run-directory: Permission denied (os error 13)
name a folder that can be written with --out
error: cannot create exports/toy: Permission denied (os error 13)
name a folder that can be written with --out
");
    assert_eq!(listed(), before);
    // The folders are to be removed with the test.
    [".", "runs", "runs/toy", "reports/toy", "reports"]
        .into_iter()
        .for_each(|path| allow(path, 0o755));
}

#[test]
fn a_damaged_ledger_is_refused_and_left_alone() {
    type Damage = fn(&std::fs::File, u64);
    let damages: [(&str, Damage); 4] = [
        ("cut in half", |file, size| file.set_len(size / 2).unwrap()),
        ("zeroed pages", |file, size| {
            for page in 3..size / 4096 {
                file.write_all_at(&[0; 4096], page * 4096).unwrap();
            }
        }),
        ("zeroed header", |file, _| {
            file.write_all_at(&[0; 100], 0).unwrap();
        }),
        ("junk over pages", |file, size| {
            for page in 2..size / 4096 {
                file.write_all_at(&[0xa5; 512], page * 4096).unwrap();
            }
        }),
    ];
    let said = damages.map(|(name, damage)| {
        let test = finished();
        let path = test.path("runs/toy/ledger.sqlite");
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .open(&path)
            .unwrap();
        damage(&file, file.metadata().unwrap().len());
        let before = std::fs::read(&path).unwrap();
        let run = test.run(&["run", "sweep.yaml", "-q"]).expect(5).stderr;
        test.run(&["report", "runs/toy"]).expect(5);
        assert!(
            before == std::fs::read(&path).unwrap(),
            "{name}: the file was changed"
        );
        format!("{name}:\n{run}")
    });
    insta::assert_snapshot!(said.join(""), @r#"
cut in half:
error: runs/toy/ledger.sqlite: database disk image is malformed
the file is damaged: restore it from a copy, or try `sqlite3 ledger.sqlite .recover`
zeroed pages:
error: runs/toy/ledger.sqlite: database disk image is malformed
the file is damaged: restore it from a copy, or try `sqlite3 ledger.sqlite .recover`
zeroed header:
error: runs/toy/ledger.sqlite is not a pentagrid ledger (it is not an SQLite file)
move it away, or name another run directory with --dir
junk over pages:
error: runs/toy/ledger.sqlite: database disk image is malformed
the file is damaged: restore it from a copy, or try `sqlite3 ledger.sqlite .recover`
"#);
}

#[test]
fn a_row_that_pentagrid_cannot_have_written_is_reported() {
    let test = finished();
    test.ledger("runs/toy")
        .execute_batch("UPDATE trial SET metrics = 'not JSON' WHERE id = 3")
        .unwrap();
    insta::assert_snapshot!(test.run(&["report", "runs/toy"]).expect(5).stderr, @r#"
error: runs/toy/ledger.sqlite is damaged: the ledger holds metrics that are not JSON
restore it from a copy; nothing has been changed
"#);
    test.run(&["run", "sweep.yaml", "-q"]).expect(5);
}

#[test]
fn the_unfinished_end_of_a_write_ahead_log_is_dropped() {
    let slow = TOY.replace(
        "parameters: {epochs: {value: 3}}",
        "parameters: {epochs: {value: 3}, epoch_ms: {value: 20}}",
    );
    let test = Test::with_spec(&slow);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 6);
    child.kill().unwrap();
    child.wait().unwrap();
    let wal = test.path("runs/toy/ledger.sqlite-wal");
    // A write that the power cut short: half a frame, and then what was in the sectors before.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&wal)
        .unwrap();
    let mut frame = vec![0; 2000];
    file.seek(SeekFrom::Start(32)).unwrap();
    file.read_exact(&mut frame).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(&frame).unwrap();
    file.write_all(&[0; 6000]).unwrap();
    drop(file);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert!(told(&test.stderr()).is_subset(&recorded(&test)));
    assert_eq!(
        (test.count("runs/toy", DONE), test.count("runs/toy", AGAIN)),
        (20, 0)
    );
}

#[test]
fn a_binary_log_is_shown_without_harm() {
    let test = finished();
    let mut log = OpenOptions::new()
        .append(true)
        .open(test.path("runs/toy/logs/worker-0.log"))
        .unwrap();
    log.write_all(b"\x1b]0;title\x07\x00\xff\xfe\x1b[2J\x08end\n")
        .unwrap();
    let sql = "UPDATE attempt SET log = 'logs/worker-0.log', log_start = 0, log_end = NULL";
    test.ledger("runs/toy").execute_batch(sql).unwrap();
    let list = test
        .run(&["trials", "runs/toy", "--state", "done"])
        .expect(0)
        .stdout;
    let shown = test
        .run(&["show", "runs/toy", &list[..12]])
        .expect(0)
        .stdout;
    let control = |letter: char| letter.is_control() && letter != '\n';
    assert!(
        !shown.contains(control),
        "a terminal obeys control characters: {shown:?}"
    );
    assert!(shown.contains("end\n"), "{shown}");
}

#[test]
fn what_a_clock_says_decides_nothing() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let before = test.report("reports/toy");
    // As if the clock had stood in the next century during the first run, and jumped back since.
    let sql = "UPDATE session SET started_at = '2126' || substr(started_at, 5), ended_at = '2126' || substr(ended_at, 5);
               UPDATE attempt SET started_at = '2126' || substr(started_at, 5), ended_at = '1926' || substr(ended_at, 5);
               UPDATE trial SET state = 'waiting', metrics = NULL WHERE id % 2 = 0;";
    test.ledger("runs/toy").execute_batch(sql).unwrap();
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        30,
        "ten trials ran again"
    );
    assert_eq!(test.report("reports/toy"), before);
    let durations =
        "SELECT count(*) FROM attempt WHERE duration IS NULL OR duration < 0 OR duration > 1000";
    assert_eq!(test.count("runs/toy", durations), 0);
}
