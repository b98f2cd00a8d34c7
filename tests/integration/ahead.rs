//! What is made ready before a program's turn: folder, configuration, log.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Test, wait_until};

const DONE: &str = "SELECT count(*) FROM trial WHERE state = 'done'";

/// What the logs in the trials' folders say, of all attempts, one text for each folder.
fn logs(test: &Test) -> Vec<String> {
    let of = |folder: &std::path::Path| -> String {
        let files = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path());
        let logs =
            files.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
        logs.map(|log| std::fs::read_to_string(log).unwrap_or_default())
            .collect()
    };
    let folders = std::fs::read_dir(test.path("runs/toy/trials"))
        .into_iter()
        .flatten();
    folders.map(|folder| of(&folder.unwrap().path())).collect()
}

/// Programs are made ready before their turn. What was ready and never started harms nobody later,
/// nor does what a first attempt left.
#[test]
fn what_was_ready_before_its_turn_is_as_good_as_new() {
    let spec = "
name: toy
command: [./train.sh, '${args}']
metric: {name: score, goal: maximize}
seeds: {tune: 1, final: 0}
parameters: {x: {values: [1, 2, 3, 4, 5, 6]}}
limits: {retries: 1}
";
    // Says what it found, but for the files of single attempts; fails at its first attempt, having
    // written more than the second will.
    let text = r#"
cd "$PENTAGRID_DIR"
echo "slot $CUDA_VISIBLE_DEVICES, found $(echo $(ls | grep -v -e -[0-9])), $(cat config.json)"
while [ ! -e "$GO" ]; do sleep 0.05; done
echo '{"epoch": 1, "score": 9}' >> "$PENTAGRID_METRICS"
[ -e kept ] || { echo '{"epoch": 2, "score": 9}' >> "$PENTAGRID_METRICS"; touch kept; exit 5; }
echo "{\"score\": ${PENTAGRID_SEED}}"
"#;
    let test = Test::with_spec(spec);
    test.write_script(&text.replace("$GO", &test.path("go").display().to_string()));
    let logs = || logs(&test);
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    wait_until("two run, two are ready", || {
        logs().len() == 4 && logs().iter().filter(|log| log.contains("found")).count() == 2
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(
        logs().len(),
        4,
        "nobody made further ones ready while it ended"
    );
    assert_eq!(
        logs().iter().filter(|log| log.is_empty()).count(),
        2,
        "they have not begun"
    );
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM trial"), 2);

    std::fs::write(test.path("go"), "").unwrap();
    test.run(&["resume", "runs/toy", "-q", "--devices", "cpu:2"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 6);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed'"
        ),
        6
    );
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM epoch"),
        6,
        "of second attempts alone"
    );
    let logs = logs().concat();
    // Each first attempt found its configuration and its log, and each second one what the program
    // itself had kept besides.
    assert_eq!(
        logs.matches("found config.json output.log, {\"x\":")
            .count(),
        6 + 2,
        "{logs}"
    );
    assert_eq!(
        logs.matches("found config.json kept output.log, {\"x\":")
            .count(),
        6,
        "{logs}"
    );
    let id = test
        .run(&["trials", "runs/toy", "--csv"])
        .expect(0)
        .stdout
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let shown = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    assert_eq!(
        shown.matches("found config.json").count(),
        1,
        "only the last attempt's part: {shown}"
    );
}

/// Of short programs many are made ready at a time. Those that fail come back later, and those of
/// points that are out of the race do not come at all, or in another run.
#[test]
fn short_programs_are_made_ready_again_and_in_vain() {
    let spec = "
name: toy
command: [./train.sh, '${args}']
metric: {name: score, goal: maximize, best: 100}
prune: safe
seeds: {tune: 3, final: 0}
parameters: {x: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]}}
limits: {retries: 1}
";
    // Every third value fails at first. Once the first point is complete no other can reach it.
    let text = r#"
cd "$PENTAGRID_DIR"
[ "$(cat config.json)" = "{\"x\":${1#--x=}}" ] || exit 3
echo "found $(echo $(ls | grep -v -e -[0-9]))"
if [ $((${1#--x=} % 3)) = 0 ] && [ ! -e kept ]; then touch kept; exit 5; fi
echo "{\"score\": $((100 - 2 * ${1#--x=}))}"
"#;
    let test = Test::with_spec(spec);
    test.write_script(text);
    let logs = || logs(&test);
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:3"])
        .expect(0);
    let begun = test.count("runs/toy", "SELECT count(DISTINCT trial) FROM attempt");
    assert!(test.count("runs/toy", DONE) < 90);
    assert_eq!(
        logs().iter().filter(|log| !log.is_empty()).count() as i64,
        begun
    );
    assert!(
        logs().iter().any(String::is_empty),
        "some were ready in vain"
    );

    test.write_spec(&spec.replace("prune: safe", "prune: none"));
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:3"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 90);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        90 + 30
    );
    let logs = logs().concat();
    let found = |what: &str| {
        logs.matches(&format!("found config.json {what}output.log\n"))
            .count()
    };
    assert_eq!((found(""), found("kept ")), (90, 30), "{logs}");
}

#[test]
fn a_folder_that_was_ready_and_is_removed_is_made_anew() {
    // Removes the folders that are ready: their logs are there, and empty.
    let text = r#"
echo "found $(cat "$PENTAGRID_CONFIG")"
cd "$PENTAGRID_DIR/.."
for folder in *; do [ ! -e "$folder/output.log" ] || [ -s "$folder/output.log" ] || { rm -r "$folder" && echo "$folder" >> "$PENTAGRID_RUN/removed"; }; done
echo '{"score": 1}'
"#;
    let values = (0..40)
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let test = Test::with_spec(&format!(
        "name: toy\ncommand: [./train.sh]\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\n\
         parameters: {{x: {{values: [{values}]}}}}\n"
    ));
    test.write_script(text);
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(
        (
            test.count("runs/toy", DONE),
            test.count("runs/toy", "SELECT count(*) FROM attempt")
        ),
        (40, 40)
    );
    assert!(test.path("runs/toy/removed").exists(), "some were ready");
    let logs = logs(&test).concat();
    assert_eq!(logs.matches("found {\"x\":").count(), 40, "{logs}");
}
