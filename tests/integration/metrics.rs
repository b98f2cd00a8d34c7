//! What loggers write: numbers in every form, notes, epochs and steps, the last line of output.
//! Real programs, in Python and for the shell.

use serde_json::Value;

use crate::support::Test;

/// Two trials, lr 0.1 and 0.2, of a Python program that has `lr`, `log(line)` for its metrics file,
/// and `json`.
fn python(text: &str) -> Test {
    let test = Test::with_spec(
        "name: toy\nprogram: train.py\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 1, final: 0}\nlimits: {retries: 0}\n\
         parameters: {lr: {values: [0.1, 0.2]}}\n",
    );
    let head = "import json, os, sys, time\nlr = float(sys.argv[1].split('=')[1])\n\
                def log(line):\n    with open(os.environ['PENTAGRID_METRICS'], 'a') as file: file.write(line + '\\n')\n";
    std::fs::write(test.path("train.py"), format!("{head}{text}\n")).unwrap();
    test
}

/// Runs the sweep; what it said on stderr.
#[track_caller]
fn run(test: &Test, code: i32) -> String {
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(code)
        .stderr
}

/// The trials as JSON.
#[track_caller]
fn trials(test: &Test) -> Vec<Value> {
    let lines = test.run(&["trials", "runs/toy", "--json"]).expect(0).stdout;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// `show --json` of the first trial.
#[track_caller]
fn first(test: &Test) -> Value {
    let id = trials(test)[0]["trial"].as_str().unwrap().to_owned();
    serde_json::from_str(
        &test
            .run(&["show", "runs/toy", &id, "--json"])
            .expect(0)
            .stdout,
    )
    .unwrap()
}

#[test]
fn every_line_of_the_cases_is_a_result() {
    for (line, metrics, notes, epoch) in [
        (
            r#"{"epoch": 1.0, "loss": 0.5}"#,
            r#"{"loss":0.5}"#,
            "null",
            "1",
        ),
        (
            r#"{"epoch": 1, "loss": 0.5, "phase": "train"}"#,
            r#"{"loss":0.5}"#,
            r#"{"phase":"train"}"#,
            "1",
        ),
        (
            r#"{"loss": 0.5, "ok": true}"#,
            r#"{"loss":0.5,"ok":1.0}"#,
            "null",
            "",
        ),
        (
            r#"{"epoch": 1, "loss": "0.5"}"#,
            r#"{"loss":0.5}"#,
            "null",
            "1",
        ),
        (
            r#"{"epoch": 0.33, "step": 10, "loss": null}"#,
            r#"{"loss":"NaN"}"#,
            "null",
            "0.33",
        ),
        (
            r#"{"loss": Infinity, "tags": ["a", 1], "val": {"acc": 0.5}}"#,
            r#"{"loss":"Infinity"}"#,
            r#"{"tags":["a",1],"val":{"acc":0.5}}"#,
            "",
        ),
    ] {
        let test = python(&format!("log('''{line}''')"));
        // A loss that is not finite is a result, but no point is selected by it.
        run(
            &test,
            if metrics.contains("\"loss\":0.5") {
                0
            } else {
                3
            },
        );
        let trial = &trials(&test)[0];
        assert_eq!(
            (trial["metrics"].to_string(), trial["notes"].to_string()),
            (metrics.to_owned(), notes.to_owned()),
            "{line}"
        );
        let shown = first(&test);
        let history = shown["history"].as_array().unwrap();
        assert_eq!(
            history
                .first()
                .map_or(String::new(), |row| row["epoch"].to_string()),
            epoch,
            "{line}"
        );
    }
}

#[test]
fn notes_are_shown_and_warned_of_once() {
    let test = python(
        "for epoch in range(1, 4):\n    log(json.dumps({'epoch': epoch, 'loss': lr / epoch, 'phase': 'train', 'lrs': [lr] * 2000}))\n\
         log(json.dumps({f'note {n}': 'x' * 5000 for n in range(200)}))",
    );
    let said = run(&test, 0);
    assert_eq!(said.matches("kept as notes").count(), 1, "{said}");
    assert!(said.contains("phase = train"), "{said}");
    // Nor is it said again when the sweep is resumed.
    test.write_spec(
        &std::fs::read_to_string(test.path("sweep.yaml"))
            .unwrap()
            .replace("[0.1, 0.2]", "[0.1, 0.2, 0.3]"),
    );
    let said = test
        .run(&[
            "run",
            "sweep.yaml",
            "--devices",
            "cpu:1",
            "--accept-changes",
        ])
        .expect(0)
        .stderr;
    assert!(!said.contains("notes"), "{said}");
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM notes WHERE name = 'phase' AND value = '\"train\"'"
        ),
        3
    );

    let all = trials(&test);
    let id = all[0]["trial"].as_str().unwrap();
    let shown = test.run(&["show", "runs/toy", id]).expect(0).stdout;
    assert!(
        shown.contains("\nNotes (reported, but not numbers):\n")
            && shown
                .lines()
                .any(|line| line.split_whitespace().eq(["phase", "train"])),
        "{shown}"
    );
    // Large ones and many of them are cut, with a mark, so that the ledger stays small.
    let notes = all[0]["notes"].as_object().unwrap();
    assert_eq!(notes.len(), 51, "{notes:?}");
    assert!(
        notes["lrs"].as_str().unwrap().ends_with('…')
            && notes["lrs"].as_str().unwrap().len() < 1100
    );
    assert!(
        notes["…"]
            .as_str()
            .unwrap()
            .starts_with("more than 50 notes"),
        "{notes:?}"
    );
    assert_eq!(first(&test)["notes"], all[0]["notes"]);
}

#[test]
fn the_metric_that_the_sweep_selects_by_must_be_a_number() {
    let test = python(
        "log('{\"epoch\": 1, \"acc\": 1}')\nlog('{\"epoch\": 2, \"loss\": \"low\"}')\ntime.sleep(100)",
    );
    run(&test, 3);
    let message = first(&test)["attempts"][0]["message"].to_string();
    assert!(
        message.contains("line 2 of the metrics file")
            && message.contains("loss")
            && message.contains("low"),
        "{message}"
    );
    // In the output a text in its place is no more than a configuration that was printed, unless
    // there is nothing else.
    let test = python("print('{\"loss\": \"mse\"}')");
    run(&test, 3);
    let message = first(&test)["attempts"][0]["message"].to_string();
    assert!(
        message.contains("mse") && message.contains("not a number"),
        "{message}"
    );
}

#[test]
fn the_last_line_is_found_behind_a_progress_bar_and_before_other_text() {
    for text in [
        "sys.stderr.write('\\r 50%|#  |\\r100%|###|'); sys.stderr.flush()\nprint(json.dumps({'loss': lr}))",
        "print(json.dumps({'loss': lr}))\nprint('other text\\n' * 9000)",
        "print(json.dumps({'loss': lr}))\nprint(('y' * 79 + '\\n') * 60000)",
        "print({'loss': lr, 'epoch': 1.0})\nprint({'train_runtime': 1.5, 'epoch': 1.0})",
        "print(json.dumps({'loss': lr}), json.dumps({'loss': lr}))\nprint(json.dumps({'lr': lr, 'model': {'layers': [1, {}]}}))",
    ] {
        let test = python(text);
        run(&test, 0);
        let losses: Vec<String> = trials(&test)
            .iter()
            .map(|trial| trial["metrics"]["loss"].to_string())
            .collect();
        assert_eq!(losses, ["0.1", "0.2"], "{text}");
    }
}

/// As Hugging Face's trainer logs: epochs in parts, steps beside them, and a line at the end.
#[test]
fn fractional_epochs_have_curves_everywhere() {
    let test = python(
        "for step in range(10, 91, 10):\n    log(str({'loss': round(lr * 9 / step, 6), 'grad_norm': '0.5', 'epoch': step / 30, 'step': step}))\n\
         log(str({'train_runtime': time.time(), 'epoch': 3.0}))",
    );
    run(&test, 0);
    let history = first(&test)["history"].as_array().unwrap().clone();
    assert_eq!(history.len(), 9);
    assert_eq!(
        history[2].to_string(),
        r#"{"epoch":1,"step":30,"values":{"grad_norm":0.5,"loss":0.03,"step":30.0,"train_runtime":0}}"#
            .replace(r#","train_runtime":0"#, "")
    );
    assert!(history[0]["epoch"].as_f64().unwrap() < 0.34);
    let id = trials(&test)[0]["trial"].as_str().unwrap().to_owned();
    let shown = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    assert!(shown.contains("\n  0.3333333333333333 "), "{shown}");
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM history WHERE epoch = 1 AND step = 30"
        ),
        2
    );
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT typeof(epoch) = 'integer' FROM history WHERE step = 30"
        ),
        1
    );
    // The runtime differs from run to run, and is no difference.
    test.run(&["verify", "runs/toy", "-n", "2"]).expect(0);

    let curve = std::fs::read_to_string(test.path("reports/toy/figures/history_loss.csv")).unwrap();
    assert!(
        curve.starts_with("arm,metric,epoch,mean,std,n,not_finite\n") && curve.contains(",1,0.03,"),
        "{curve}"
    );
    let svg = std::fs::read_to_string(test.path("reports/toy/figures/history_loss.svg")).unwrap();
    assert!(svg.contains(">Epoch<"), "{svg}");
    assert!(
        !test.path("reports/toy/figures/history_step.csv").exists(),
        "a step is no metric"
    );
    let table = std::fs::read_to_string(test.path("reports/toy/history.csv")).unwrap();
    assert!(
        table.starts_with("trial,arm,seed,epoch,step,grad_norm,loss"),
        "{table}"
    );
    for format in ["csv", "parquet", "tensorboard", "optuna"] {
        test.run(&["export", "runs/toy", "--format", format, "-q"])
            .expect(0);
    }
    let journal = std::fs::read_to_string(test.path("exports/toy/optuna.journal")).unwrap();
    assert!(
        journal.contains(r#""intermediate_values":{"10":0.09,"20":0.045,"30":0.03"#),
        "{journal}"
    );
}

#[test]
fn a_history_by_steps_has_curves_too() {
    let test = python(
        "for step in range(0, 3000, 100):\n    log(json.dumps({'_step': step, '_timestamp': time.time(), 'loss': lr + 1 / (1 + step)}))\n\
         log(json.dumps({'epoch': 1, 'acc': 0.5}))",
    );
    run(&test, 0);
    let history = first(&test)["history"].as_array().unwrap().clone();
    assert_eq!(
        (history.len(), &history[0]["epoch"], &history[0]["step"]),
        (31, &1.into(), &Value::Null)
    );
    assert_eq!(
        (&history[2]["epoch"], &history[2]["step"]),
        (&Value::Null, &100.into())
    );
    let curve = std::fs::read_to_string(test.path("reports/toy/figures/history_loss.csv")).unwrap();
    assert!(
        curve.starts_with("arm,metric,step,mean,std,n,not_finite\n") && curve.contains(",2900,"),
        "{curve}"
    );
    let svg = std::fs::read_to_string(test.path("reports/toy/figures/history_loss.svg")).unwrap();
    assert!(svg.contains(">Step<"), "{svg}");
    let captions = std::fs::read_to_string(test.path("reports/toy/figures/index.json")).unwrap();
    assert!(captions.contains("selected point by step"), "{captions}");
    let id = trials(&test)[0]["trial"].as_str().unwrap().to_owned();
    let shown = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    assert!(
        shown.contains("\nHistory:\n  epoch ") && shown.contains("\nHistory:\n   step "),
        "{shown}"
    );
    test.run(&["verify", "runs/toy", "-n", "2"]).expect(0);
}

/// Rows of one epoch that come far apart, and epochs that go back, are one row each: in the ledger,
/// and when they are run again.
#[test]
fn rows_of_one_epoch_are_one_row_however_far_apart_they_come() {
    let test = python(
        "for part in ['train', 'val']:\n    for epoch in range(3):\n        log(json.dumps({'epoch': epoch, part + '_loss': lr + epoch, 'loss': lr}))\n\
         \u{20}       time.sleep(0.15)",
    );
    run(&test, 0);
    let history = first(&test)["history"].as_array().unwrap().clone();
    let values: Vec<String> = history.iter().map(ToString::to_string).collect();
    assert_eq!(
        values,
        [
            r#"{"epoch":0,"values":{"loss":0.1,"train_loss":0.1,"val_loss":0.1}}"#,
            r#"{"epoch":1,"values":{"loss":0.1,"train_loss":1.1,"val_loss":1.1}}"#,
            r#"{"epoch":2,"values":{"loss":0.1,"train_loss":2.1,"val_loss":2.1}}"#,
        ]
    );
    test.run(&["verify", "runs/toy", "-n", "2"]).expect(0);
}

/// A worker that counts in fractions of epochs and reports values that are not numbers.
#[test]
fn workers_are_held_to_the_same_rule() {
    let worker = r#"import json, sys
def say(**message): print(json.dumps(message), flush=True)
say(type="hello", protocol=1, program="w", version="1", device="cpu", threads=1)
for line in sys.stdin:
    for one in json.loads(line).get("bundle", []):
        trial, x = one["trial"], one["config"].get("x", 0) + one["seed"]
        say(type="started", trial=trial)
        say(type="epoch", trial=trial, epoch=0.5, values={"loss": "0.75", "phase": "train"})
        say(type="epoch", trial=trial, epoch=1.0, values={"loss": None})
        say(type="epoch", trial=trial, step=20, values={"lr": 0.1})
        say(type="done", trial=trial, metrics={"loss": x, "ok": True, "tags": ["a"]})
"#;
    let test = Test::with_spec(
        "name: toy\nworker: [python3, worker.py]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 2, final: 0}\n\
         parameters: {x: {values: [1, 2]}}\n",
    );
    std::fs::write(test.path("worker.py"), worker).unwrap();
    let said = run(&test, 0);
    assert_eq!(said.matches("kept as notes").count(), 1, "{said}");
    let trial = &trials(&test)[0];
    assert_eq!(trial["metrics"].to_string(), r#"{"loss":1.0,"ok":1.0}"#);
    assert_eq!(
        trial["notes"].to_string(),
        r#"{"phase":"train","tags":["a"]}"#
    );
    let history: Vec<String> = first(&test)["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        r#"{"epoch":0.5,"values":{"loss":0.75}}"#,
        r#"{"epoch":1,"values":{"loss":"NaN"}}"#,
        r#"{"epoch":null,"step":20,"values":{"lr":0.1}}"#,
    ];
    assert_eq!(history, expected);
    let checked = test
        .run(&[
            "worker-check",
            "--metric",
            "loss",
            "--devices",
            "cpu",
            "--",
            "python3",
            "worker.py",
        ])
        .expect(0)
        .stdout;
    assert!(
        checked.contains(
            "reports numbers: not numbers, and kept as notes: phase = train, tags = [\"a\"]\n"
        ),
        "{checked}"
    );
    assert!(checked.contains("numbers its epochs"), "{checked}");
    let bad = worker.replace("\"loss\": x", "\"loss\": \"low\"");
    std::fs::write(test.path("worker.py"), bad).unwrap();
    let checked = test
        .run(&[
            "worker-check",
            "--metric",
            "loss",
            "--devices",
            "cpu",
            "--",
            "python3",
            "worker.py",
        ])
        .expect(3)
        .stdout;
    assert!(
        checked.contains("loss of `done` is \"low\", which is not a number"),
        "{checked}"
    );
}

/// A ledger of version 4, with whole epochs in a table of their own, is read as it is and brought
/// up to date by the next run.
#[test]
fn a_ledger_of_version_4_is_read_and_goes_on() {
    let test = python("for epoch in [1, 2]: log(json.dumps({'epoch': epoch, 'loss': lr / epoch}))");
    run(&test, 0);
    let history = first(&test)["history"].clone();
    test.ledger("runs/toy")
        .execute_batch(
            "DROP VIEW trials; DROP VIEW history; DROP VIEW summary; DROP VIEW notes; DROP TABLE note;
             DROP TABLE column_name; ALTER TABLE session DROP COLUMN fingerprint; ALTER TABLE attempt DROP COLUMN metrics;
             DROP TABLE fingerprint; DROP TABLE fingerprint_key;
             ALTER TABLE session DROP COLUMN identity; ALTER TABLE session DROP COLUMN place; ALTER TABLE session DROP COLUMN commits;
             ALTER TABLE epoch RENAME TO epoch_5;
             CREATE TABLE epoch (trial INTEGER NOT NULL REFERENCES trial(id), epoch INTEGER NOT NULL, metrics TEXT NOT NULL,
                                 PRIMARY KEY (trial, epoch)) STRICT, WITHOUT ROWID;
             INSERT INTO epoch SELECT trial, CAST(position AS INTEGER), metrics FROM epoch_5;
             DROP TABLE epoch_5;
             CREATE VIEW history AS SELECT e.epoch FROM epoch e JOIN trial t ON t.id = e.trial;
             PRAGMA user_version = 4;",
        )
        .unwrap();
    // That version's lock notes no commits.
    std::fs::remove_file(test.path("runs/toy/ledger.lock")).unwrap();
    assert_eq!(first(&test)["history"], history);
    test.run(&["report", "runs/toy", "--out", "r"]).expect(0);
    test.run(&["export", "runs/toy", "--format", "parquet"])
        .expect(0);
    run(&test, 0);
    assert_eq!(first(&test)["history"], history);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM history WHERE epoch = 2"),
        2
    );
    assert!(test.count("runs/toy", "PRAGMA user_version") >= 5);
}
