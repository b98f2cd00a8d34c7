//! A run directory that is used from another host.

use std::process::{Command, Stdio};

use super::{go, named};
use crate::support::{Test, say_skipped, wait_until};

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
            return say_skipped("the right to create namespaces (unshare -u -p)");
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
