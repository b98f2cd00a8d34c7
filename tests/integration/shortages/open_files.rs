//! Few open files (`ulimit -n`): fewer slots, or a message before anything starts.

use nix::sys::signal::Signal;

use super::{PROGRAM, REPORT, all_done_at_the_first_attempt, spec, stderr, under};
use crate::support::{DONE, Test};

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
        let own = [Signal::SIGXFSZ, Signal::SIGPIPE]
            .map(|signal| 1 << (signal as u64 - 1))
            .iter()
            .sum::<u64>();
        assert_eq!(
            ignored.filter(|mask| mask & own == 0).count(),
            32,
            "{name}: a program inherits no ignored signal: {logs}"
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
