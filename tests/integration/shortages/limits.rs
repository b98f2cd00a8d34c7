//! Without inodes, processes or threads, and at a limit of file sizes.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{NOT_DONE, PROGRAM, REPORT, all_done_at_the_first_attempt, spec, stderr, under};
use crate::support::{DONE, Test, say_skipped};

/// A mounted file system with few inodes, below a test's folder. None where the tests may not mount
/// one.
struct FewInodes(PathBuf);

impl FewInodes {
    fn mount(at: &Path, inodes: u32) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("nr_inodes={inodes}"), "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        say_skipped("the right to mount a file system with few inodes");
        None
    }

    fn remount(&self, option: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{option}")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for FewInodes {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// A user who owns no other process on this machine: the limit of processes does not apply to root.
fn another_user(test: &Test) -> Option<u32> {
    if std::fs::metadata(test.path("")).unwrap().uid() != 0 {
        say_skipped("root, to run as a user who owns no other process");
        return None;
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let user = 61_000 + std::process::id() % 1000 * 4 + NEXT.fetch_add(1, Ordering::Relaxed);
    std::fs::set_permissions(test.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(test.path(""), Some(user), Some(user)).unwrap();
    Some(user)
}

#[test]
fn without_inodes_every_trial_is_kept_for_later() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(REPORT);
    let Some(disk) = FewInodes::mount(&test.path("disk"), 24) else {
        return;
    };
    let arguments = [
        "run",
        "sweep.yaml",
        "--devices",
        "cpu:4",
        "--dir",
        "disk/toy",
    ];
    let output = under(&test, "true", &arguments, None);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no trial could be started for "),
        "{}",
        stderr(&output)
    );
    assert_eq!(test.count("disk/toy", NOT_DONE), 0, "{}", stderr(&output));
    let done = test.count("disk/toy", DONE);
    assert!(done < 32);
    disk.remount("nr_inodes=1000");
    test.run(&arguments).expect(0);
    all_done_at_the_first_attempt(&test, "disk/toy");
}

#[test]
fn with_few_processes_what_cannot_be_started_is_put_back() {
    let test = Test::with_spec(&spec(PROGRAM));
    // Without a further process, and long enough that several run at once.
    test.write_script(&format!(
        "for ((i = 0; i < 20000; i++)); do :; done\n{REPORT}"
    ));
    let Some(user) = another_user(&test) else {
        return;
    };
    let output = under(
        &test,
        "ulimit -u 8",
        &["run", "sweep.yaml", "--devices", "cpu:10"],
        Some(user),
    );
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        said.matches("shortage: cannot start ./train.sh").count(),
        1,
        "{said}"
    );
    assert_eq!(
        (
            test.count("runs/toy", DONE),
            test.count("runs/toy", NOT_DONE)
        ),
        (32, 0),
        "{said}"
    );
}

#[test]
fn with_too_few_threads_the_limit_is_named() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(REPORT);
    let Some(user) = another_user(&test) else {
        return;
    };
    for limit in [1, 3] {
        let output = under(
            &test,
            &format!("ulimit -u {limit}"),
            &["run", "sweep.yaml"],
            Some(user),
        );
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).starts_with("error: no more threads can be started ("),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_limit_of_file_sizes_is_an_error_with_everything_kept() {
    let spec = spec(&PROGRAM.replace("]", ", '${dir}']"));
    let test = Test::with_spec(&spec);
    test.write_script(&format!(
        "for ((i = 0; i < 200; i++)); do {}; done",
        REPORT.replace("{\"loss\"", "{\"epoch\": '$i', \"loss\"")
    ));
    // In kibibytes: too little for the ledger, enough for each program.
    let output = under(
        &test,
        "ulimit -f 200",
        &["run", "sweep.yaml", "--devices", "cpu:2"],
        None,
    );
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("(`ulimit -f`)")
            && said.contains("run the same command again; what was recorded is kept"),
        "{said}"
    );
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    all_done_at_the_first_attempt(&test, "runs/toy");
}
