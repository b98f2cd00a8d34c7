//! Workers that say more than can be written as fast, or kept: what waits for the disk is bounded
//! by bytes, and the rest waits in the workers' pipes.

use std::io::Write;
use std::time::Duration;

use crate::support::{DONE, PATIENCE, Test, say_skipped};

/// Trials whose epochs have metrics of long names: a line of some 800 kB each.
fn huge(epochs: i64) -> String {
    format!(
        "name: toy\nworker: [WORKER]\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\n\
         parameters: {{behaviour: {{value: huge-epochs}}, epochs: {{value: {epochs}}}, x: {{values: [1, 2]}}}}\n"
    )
}

/// The most memory that a process has had, in MiB. None where the kernel does not say.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? >> 10)
}

/// A locked ledger would keep all of the 300 epochs in memory, which are 240 MB.
#[test]
fn huge_epochs_wait_in_the_pipe_while_the_ledger_is_locked() {
    const EPOCHS: i64 = 150;
    let test = Test::with_spec(&huge(EPOCHS));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for("runs/toy", "SELECT count(*) FROM epoch", 1);
    let other = test.ledger("runs/toy");
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_secs(6));
    let most = peak(child.id());
    other.execute_batch("ROLLBACK").unwrap();

    let before = test.count("runs/toy", "SELECT count(*) FROM epoch");
    test.wait_for("runs/toy", "SELECT count(*) FROM epoch", before + 10);
    // All of them, and a report of such names, would take their time.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome NOT IN ('running', 'done')"
        ),
        0,
        "the same attempts keep running"
    );
    let gaps = "SELECT count(*) FROM (SELECT trial FROM epoch GROUP BY trial HAVING count(*) <> max(position))";
    assert_eq!(test.count("runs/toy", gaps), 0, "none is left out");
    match most {
        Some(most) => assert!(most < 200, "{most} MiB"),
        None => say_skipped("how much memory a process has had (/proc/PID/status)"),
    }
}

#[test]
fn a_failure_with_a_long_message_is_recorded_and_shown_in_part_and_logged_whole() {
    let test = Test::with_spec(
        "name: toy\nworker: [WORKER]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\n\
         parameters: {behaviour: {value: long-error}, x: {values: [1, 2, 3, 4, 5, 6]}}\n",
    );
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(3);
    assert!(ran.stderr.len() < 10_000, "{} bytes", ran.stderr.len());
    assert!(
        ran.stderr.contains("a long story a long story")
            && ran.stderr.contains("`pentagrid show` has more"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("error: the same again; failed, no retries left"),
        "{}",
        ran.stderr
    );
    let longest = test.count("runs/toy", "SELECT max(length(message)) FROM attempt");
    assert!((4000..4300).contains(&longest), "{longest}");
    let noted =
        "SELECT count(*) FROM attempt WHERE message LIKE '%… (the log has 905,904 more bytes)'";
    assert_eq!(
        test.count("runs/toy", noted),
        test.count("runs/toy", "SELECT count(*) FROM attempt")
    );
    let log = std::fs::read_to_string(test.path("runs/toy/logs/worker-0.log")).unwrap();
    assert!(log.contains(&"a long story ".repeat(70_000)));
}

/// A program's rows are as large, and come from a file.
#[test]
fn a_metrics_file_of_long_lines_is_read_whole() {
    let test = Test::with_spec(
        "name: toy\ncommand: [./train.sh]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\n\
         parameters: {x: {values: [1, 2]}}\n",
    );
    let metrics: String = (0..4)
        .map(|number| format!(r#", "{number:050000}": 0.5"#))
        .collect();
    let mut lines = std::fs::File::create(test.path("lines")).unwrap();
    (1..=20)
        .for_each(|epoch| writeln!(lines, r#"{{"epoch": {epoch}, "score": 1{metrics}}}"#).unwrap());
    test.write_script(r#"cat lines >> "$PENTAGRID_METRICS""#);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
    test.wait_for("runs/toy", DONE, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM epoch"), 40);
}
