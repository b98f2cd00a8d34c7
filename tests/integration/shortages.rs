//! What the machine lacks for a while: space, inodes, open files, processes, the program itself. No
//! trial is to blame for that: what cannot be started is put back, and the same command goes on
//! once the shortage is over.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Test, say_skipped, wait_until};

const DONE: &str = "SELECT count(*) FROM trial WHERE state = 'done'";
const NOT_DONE: &str = "SELECT count(*) FROM attempt WHERE outcome NOT IN ('done', 'interrupted')";

/// A sweep of 32 trials, each run by these words.
fn spec(command: &str) -> String {
    let values = (1..=32)
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "name: toy\n{command}\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\n\
         parameters: {{lr: {{values: [{values}]}}}}\n"
    )
}

const PROGRAM: &str = "command: [./train.sh, '${args}']";
/// Reports in the way that needs neither a further process nor a further thread.
const REPORT: &str = r#"echo '{"loss": 0.5}' >> "$PENTAGRID_METRICS""#;

/// Runs the program under limits of the shell (`ulimit`), as another user where `user` says so.
fn under(test: &Test, limits: &str, arguments: &[&str], user: Option<u32>) -> Output {
    let own = test.command(arguments);
    let program = match user {
        // The program may lie where only root goes.
        Some(_) => copy_of_the_program(test),
        None => PathBuf::from(own.get_program()),
    };
    let mut limited = Command::new("bash");
    limited
        .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args(arguments);
    limited
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    limited
        .env_remove("PENTAGRID_LOG")
        .env("PENTAGRID_SHORTAGE", "2");
    if let Some(user) = user {
        limited.uid(user).gid(user);
    }
    limited.output().unwrap()
}

fn copy_of_the_program(test: &Test) -> PathBuf {
    let (program, original) = (test.path("program"), env!("CARGO_BIN_EXE_pentagrid"));
    // One that is there may be the original itself, and is not to be written over.
    if !program.exists() {
        std::fs::hard_link(original, &program)
            .or_else(|_| std::fs::copy(original, &program).map(drop))
            .unwrap();
    }
    program
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn all_done_at_the_first_attempt(test: &Test, run: &str) {
    assert_eq!((test.count(run, DONE), test.count(run, NOT_DONE)), (32, 0));
}

/// Takes a file away while a sweep runs, and brings it back after some starts have been refused.
fn taken_away(command: &str, file: &str) {
    let test = Test::with_spec(&spec(command));
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path(file), test.path("away")).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("is not there any more")
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    std::fs::rename(test.path("away"), test.path(file)).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    let said = test.stderr();
    assert_eq!(said.matches("shortage: ").count(), 1, "told once: {said}");
    assert_eq!(
        said.matches("trials start again, after ").count(),
        1,
        "told once: {said}"
    );
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_program_that_is_away_for_a_while_fails_no_trial() {
    taken_away(PROGRAM, "train.sh");
}

#[test]
fn a_script_behind_its_interpreter_that_is_away_for_a_while_fails_no_trial() {
    taken_away("command: [bash, train.sh, '${args}']", "train.sh");
}

#[test]
fn a_program_whose_interpreter_is_away_for_a_while_fails_no_trial() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script("");
    std::fs::copy("/bin/bash", test.path("shell")).unwrap();
    let text = format!("#!{}\nsleep 0.4\n{REPORT}\n", test.path("shell").display());
    std::fs::write(test.path("train.sh"), text).unwrap();
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path("shell"), test.path("away")).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("shortage: cannot start ./train.sh")
    });
    std::fs::rename(test.path("away"), test.path("shell")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_folder_to_work_in_that_is_away_for_a_while_fails_no_trial() {
    let test = Test::with_spec(&spec(&format!("{PROGRAM}\nworkdir: work")));
    std::fs::create_dir(test.path("work")).unwrap();
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    std::fs::rename(test.path("train.sh"), test.path("work/train.sh")).unwrap();
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path("work"), test.path("away")).unwrap();
    wait_until("it is told", || test.stderr().contains("shortage: "));
    std::fs::rename(test.path("away"), test.path("work")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_program_that_is_being_written_fails_no_trial() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    test.wait_for("runs/toy", DONE, 4);
    let busy = std::fs::OpenOptions::new()
        .append(true)
        .open(test.path("train.sh"))
        .unwrap();
    wait_until("it is told", || test.stderr().contains("Text file busy"));
    drop(busy);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    all_done_at_the_first_attempt(&test, "runs/toy");
}

#[test]
fn a_program_that_stays_away_ends_the_sweep_and_fails_no_trial() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(&format!("sleep 0.4\n{REPORT}"));
    let mut command = test.command(&["run", "sweep.yaml", "--devices", "cpu:4"]);
    command.env("PENTAGRID_SHORTAGE", "2").stdout(Stdio::null());
    let mut child = command
        .stderr(std::fs::File::create(test.path("stderr")).unwrap())
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", DONE, 4);
    std::fs::rename(test.path("train.sh"), test.path("away")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", test.stderr());
    let said = test.stderr();
    assert!(
        said.contains("error: no trial could be started for ")
            && said.contains("train.sh is not there any more"),
        "{said}"
    );
    assert!(
        said.contains("results so far are kept in runs/toy: the same command resumes the sweep"),
        "{said}"
    );
    let done = test.count("runs/toy", DONE);
    assert!((4..32).contains(&done) && test.count("runs/toy", NOT_DONE) == 0);
    std::fs::rename(test.path("away"), test.path("train.sh")).unwrap();
    // While it was away it was another version of what is trained, for those attempts that had
    // begun.
    test.run(&["run", "sweep.yaml", "--devices", "cpu:4", "-q"])
        .expect(0);
    all_done_at_the_first_attempt(&test, "runs/toy");
}

/// A worker whose script is away cannot be followed by another one; it is waited for.
#[test]
fn a_worker_that_is_away_for_a_while_fails_no_trial() {
    let test = Test::with_spec(
        &spec("worker: [WORKER]")
            .replace("name: loss, goal: minimize", "name: score, goal: maximize"),
    );
    let worker = test.path("worker");
    std::fs::copy(crate::support::fake_worker(), &worker).unwrap();
    test.write_spec(
        &std::fs::read_to_string(test.path("sweep.yaml"))
            .unwrap()
            .replace(
                &crate::support::fake_worker().display().to_string(),
                "./worker",
            ),
    );
    // Each worker ends after its trials, and another has to be started.
    let text = std::fs::read_to_string(test.path("sweep.yaml")).unwrap();
    std::fs::write(
        test.path("sweep.yaml"),
        text.replace("parameters: {", "parameters: {epoch_ms: {value: 50}, "),
    )
    .unwrap();
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", DONE, 2);
    std::fs::rename(&worker, test.path("away")).unwrap();
    let pid = test.count("runs/toy", "SELECT max(pid) FROM worker") as i32;
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("it is told", || {
        test.stderr().contains("worker is not there any more")
    });
    std::fs::rename(test.path("away"), &worker).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(test.count("runs/toy", DONE), 32);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed' AND kind <> 'signal'"
        ),
        0
    );
}

/// A file system with so few inodes, below a test's folder. None where this machine lets nobody
/// mount one.
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
fn with_few_open_files_fewer_slots_are_used_and_no_trial_fails() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(REPORT);
    for limit in [24, 30, 40, 100] {
        let dir = format!("runs/{limit}");
        let arguments = ["run", "sweep.yaml", "--devices", "cpu:16", "--dir", &dir];
        let output = under(&test, &format!("ulimit -n {limit}"), &arguments, None);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{limit}: {}",
            stderr(&output)
        );
        let warned = stderr(&output)
            .contains("warning: the limit of open files (`ulimit -n`) has room for ");
        assert_eq!(warned, limit < 100, "{limit}: {}", stderr(&output));
        all_done_at_the_first_attempt(&test, &dir);
    }
}

#[test]
fn with_few_open_files_fewer_workers_are_used_and_no_trial_fails() {
    let test = Test::with_spec(
        &spec("worker: [WORKER]")
            .replace("name: loss, goal: minimize", "name: score, goal: maximize"),
    );
    for limit in [28, 40, 64] {
        let dir = format!("runs/{limit}");
        let arguments = ["run", "sweep.yaml", "--devices", "cpu:16", "--dir", &dir];
        let output = under(&test, &format!("ulimit -n {limit}"), &arguments, None);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{limit}: {}",
            stderr(&output)
        );
        all_done_at_the_first_attempt(&test, &dir);
    }
}

#[test]
fn with_too_few_open_files_the_limit_is_named() {
    let test = Test::with_spec(&spec(PROGRAM));
    test.write_script(REPORT);
    for limit in [6, 9, 12, 16, 20] {
        let output = under(
            &test,
            &format!("ulimit -n {limit}"),
            &["run", "sweep.yaml", "--devices", "cpu:4"],
            None,
        );
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{limit}: {said}");
        assert!(
            said.starts_with(&format!(
                "error: the limit of open files is {limit} (`ulimit -n`), and "
            )),
            "{limit}: {said}"
        );
        assert!(
            said.contains("raise it, e.g. with `ulimit -n 1024`"),
            "{limit}: {said}"
        );
    }
    assert!(!test.path("runs").exists(), "nothing has been begun");
}

/// The soft limit is raised for the coordinator alone: a program that uses select(2) must not get a
/// larger one than it had.
#[test]
fn the_soft_limit_of_open_files_is_raised_and_programs_have_the_one_that_was() {
    let report = r#"sleep 0.4
echo "soft $(ulimit -Sn), mine $(grep 'Max open files' /proc/$PPID/limits | tr -s ' ' | cut -d' ' -f4)"
grep SigIgn /proc/self/status
"#;
    // In the folder of the coordinator, in another, and by a worker: each is started in a way of
    // its own.
    for (name, extra, slots) in [
        ("direct", "", "cpu:4"),
        ("folder", "\nworkdir: work", "cpu:4"),
        ("many", "", "cpu:40"),
    ] {
        let test = Test::with_spec(&spec(&format!("{PROGRAM}{extra}")));
        std::fs::create_dir(test.path("work")).unwrap();
        test.write_script(&format!("{report}{REPORT}"));
        std::fs::copy(test.path("train.sh"), test.path("work/train.sh")).unwrap();
        let limits = "ulimit -Sn 100; ulimit -Hn 400";
        let output = under(
            &test,
            limits,
            &["run", "sweep.yaml", "--devices", slots, "-q"],
            None,
        );
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let logs = logs(&test);
        assert_eq!(logs.matches("soft 100, ").count(), 32, "{name}: {logs}");
        // While a program is being started directly the coordinator's own is lowered for a moment.
        assert!(logs.contains("mine 400\n"), "{name}: {logs}");
        let ignored = logs
            .lines()
            .filter_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:\t")?, 16).ok());
        let of_ours = [Signal::SIGXFSZ, Signal::SIGPIPE]
            .map(|signal| 1 << (signal as u64 - 1))
            .iter()
            .sum::<u64>();
        assert_eq!(
            ignored.filter(|mask| mask & of_ours == 0).count(),
            32,
            "{name}: nothing of ours is handed on: {logs}"
        );
    }
}

/// All that programs have printed.
fn logs(test: &Test) -> String {
    let folders = std::fs::read_dir(test.path("runs/toy/trials")).unwrap();
    folders
        .map(|folder| std::fs::read_to_string(folder.unwrap().path().join("output.log")).unwrap())
        .collect()
}

/// A user of whom nothing else runs on this machine; the limit of processes binds no root.
fn another_user(test: &Test) -> Option<u32> {
    if std::fs::metadata(test.path("")).unwrap().uid() != 0 {
        say_skipped("root, to run as a user of whom nothing else runs");
        return None;
    }
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let user = 61_000
        + std::process::id() % 1000 * 4
        + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    std::fs::set_permissions(test.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(test.path(""), Some(user), Some(user)).unwrap();
    Some(user)
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

#[test]
fn four_hundred_workers_under_the_usual_limit_of_open_files_end_in_a_report() {
    let test = Test::new();
    let values: Vec<String> = (1..=400).map(|value| value.to_string()).collect();
    test.write_spec(&format!(
        "name: toy\nworker: [WORKER]\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\n\
         parameters: {{epochs: {{value: 1}}, x: {{values: [{}]}}}}\n",
        values.join(", ")
    ));
    let run = ["run", "sweep.yaml", "--devices", "cpu:400", "-q"];
    let output = under(&test, "ulimit -Hn 20000; ulimit -Sn 1024", &run, None);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(test.count("runs/toy", DONE), 400);
    assert!(test.path("reports/toy/report.html").exists(), "{said}");

    // Where the hard limit is low as well, fewer of them are used.
    let run = [
        "run",
        "sweep.yaml",
        "--devices",
        "cpu:400",
        "--dir",
        "runs/low",
    ];
    let output = under(&test, "ulimit -n 300", &run, None);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("has room for"), "{said}");
    assert_eq!(test.count("runs/low", DONE), 400);
}
