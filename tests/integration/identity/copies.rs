//! Run directories that are copied, moved or restored, or that lack their lock file or identity, and
//! the processes that a killed coordinator left.

use pentagrid::ledger::{Consent, Holder, SessionInfo, SweepRows, ViewColumns, open_for_run};
use pentagrid::plan::Fingerprint;

use super::{copy, go, left_running, lives, named, started, waiting};
use crate::support::{DONE, wait_until};

const IDENTITY: &str = "SELECT identity FROM session ORDER BY id DESC LIMIT 1";

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
    assert_ne!(test.text("runs/toy", IDENTITY), test.text("copy", IDENTITY));
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

#[test]
fn what_a_coordinator_was_about_to_end_when_it_was_killed_the_next_one_ends() {
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
    assert_eq!(test.text("runs/toy", IDENTITY).len(), 16);
}
