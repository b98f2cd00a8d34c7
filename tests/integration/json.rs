//! Answers as JSON: every field of every answer is described in `docs/json.md`, and nothing but
//! JSON is on stdout.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{TOY, Test, fake_worker};

/// Here the sweep's own names are keys.
const OPEN: [&str; 4] = ["config", "metrics", "notes", "values"];

/// The paths of an answer's fields: `arms[].tune.done`.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                if !OPEN.contains(&name.as_str()) || !value.is_object() {
                    paths(value, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| paths(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

/// The fields that a section of the page describes.
fn described(section: &str) -> BTreeSet<String> {
    let page = include_str!("../../docs/json.md");
    let begin = page
        .find(&format!("\n## {section}\n"))
        .unwrap_or_else(|| panic!("docs/json.md has no section {section}"));
    let text = &page[begin + 4..];
    let text = &text[..text.find("\n## ").unwrap_or(text.len())];
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.trim_end_matches("[]").to_owned())
        .collect()
}

/// Every field of an answer must be described.
#[track_caller]
fn hold(section: &str, answer: &Value) {
    let (mut found, known) = (BTreeSet::new(), described(section));
    paths(answer, "", &mut found);
    let missing: Vec<&String> = found.iter().filter(|path| !known.contains(*path)).collect();
    assert!(
        missing.is_empty(),
        "docs/json.md does not describe these fields of {section}: {missing:?}"
    );
    assert!(found.len() >= 5, "{answer}");
}

#[track_caller]
fn document(section: &str, text: &str) -> Value {
    let answer: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{section}: {error}\n{text}"));
    assert_eq!(answer["format"], 1);
    hold(section, &answer);
    answer
}

/// A toy sweep with one failed trial, no retries left.
fn finished() -> Test {
    let test = Test::with_spec(&TOY.replace(
        "x: {values: [5, 8]}",
        "x: {values: [5, 8]}, behaviour: {values: [well, error]}",
    ));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(3);
    test
}

#[test]
fn every_field_of_every_answer_is_described() {
    let test = finished();
    let plan = document(
        "plan",
        &test
            .run(&["plan", "sweep.yaml", "--devices", "cpu:2", "--json"])
            .expect(0)
            .stdout,
    );
    assert_eq!(
        (
            &plan["arms"][0]["tune_trials"],
            &plan["arms"][0]["tune_left"],
            &plan["slots"]
        ),
        (&6.into(), &0.into(), &2.into())
    );
    let status = document(
        "status",
        &test.run(&["status", "runs/toy", "--json"]).expect(0).stdout,
    );
    assert!(!status["failed"].as_array().unwrap().is_empty(), "{status}");
    let lines = test.run(&["trials", "runs/toy", "--json"]).expect(0).stdout;
    lines
        .lines()
        .for_each(|line| hold("trials", &serde_json::from_str(line).unwrap()));

    let failed = status["failed"][0]["trial"].as_str().unwrap();
    let shown = document(
        "show",
        &test
            .run(&["show", "runs/toy", failed, "--json"])
            .expect(0)
            .stdout,
    );
    assert_eq!(
        (&shown["state"], &shown["attempts"][0]["kind"]),
        (&"failed".into(), &"error".into())
    );
    let done = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|line| line["state"] == "done")
        .unwrap();
    let done = done["trial"].as_str().unwrap();
    let shown = document(
        "show",
        &test
            .run(&["show", "runs/toy", done, "--json"])
            .expect(0)
            .stdout,
    );
    assert_eq!(shown["history"].as_array().unwrap().len(), 3);

    let verify = |code| {
        test.run(&["verify", "runs/toy", "--trial", done, "--json", "-q"])
            .expect(code)
            .stdout
    };
    assert_eq!(document("verify", &verify(0))["same"], 1);
    let point = done.split_once('-').unwrap().0;
    let tampered = test
        .ledger("runs/toy")
        .execute(
            "UPDATE trial SET metrics = json_set(metrics, '$.score', 1.5)",
            [],
        )
        .unwrap();
    assert!(tampered > 0, "{point}");
    let differ = document("verify", &verify(3));
    assert_eq!(
        (
            &differ["differ"],
            &differ["trials"][0]["differences"][0]["recorded"]
        ),
        (&1.into(), &1.5.into())
    );
}

#[test]
fn a_plan_lists_its_trials_as_lines_and_its_errors_elsewhere() {
    let test = Test::with_spec(TOY);
    let plan = document(
        "plan",
        &test
            .run(&["plan", "sweep.yaml", "--devices", "cpu:1", "--json"])
            .expect(0)
            .stdout,
    );
    assert_eq!(
        (&plan["started"], &plan["tune_seconds"]),
        (&false.into(), &Value::Null)
    );
    let lines = test
        .run(&["plan", "sweep.yaml", "--trials", "--json"])
        .expect(0)
        .stdout;
    assert_eq!(lines.lines().count(), 14);
    lines
        .lines()
        .for_each(|line| hold("plan --trials", &serde_json::from_str(line).unwrap()));
}

#[test]
fn what_was_written_is_listed() {
    let test = Test::with_spec(&format!(
        "{TOY}claims:\n  - {{says: Near is the best, highest: {{arm: near, metric: score}}}}\n"
    ));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let strings = |list: &Value| -> BTreeSet<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let report = document(
        "report",
        &test
            .run(&["report", "runs/toy", "--json", "--out", "r"])
            .expect(0)
            .stdout,
    );
    let files = strings(&report["files"]);
    assert!(
        ["report.html", "points.csv", "provenance.json"]
            .iter()
            .all(|name| files.contains(*name)),
        "{files:?}"
    );
    // The list is complete but for the figures' own list, and the name of the run directory.
    let mut found = BTreeSet::new();
    for folder in ["", "figures/"] {
        for entry in std::fs::read_dir(test.path("r").join(folder))
            .unwrap()
            .map(Result::unwrap)
        {
            if entry.file_type().unwrap().is_file() {
                found.insert(format!("{folder}{}", entry.file_name().display()));
            }
        }
    }
    found.remove("figures/index.json");
    found.remove(".run-directory");
    assert_eq!(files, found);
    assert_eq!(
        (&report["complete"], &report["folder"]),
        (&true.into(), &"r".into())
    );
    assert_eq!(report["claims"][0]["claim"], "Near is the best");
    for (format, file) in [("csv", "history.csv"), ("tensorboard", "tensorboard")] {
        let export = test
            .run(&["export", "runs/toy", "--format", format, "--json"])
            .expect(0);
        assert_eq!(export.stderr, "");
        let export = document("export", &export.stdout);
        assert_eq!(
            (&export["export"], &export["folder"]),
            (&format.into(), &"exports/toy".into())
        );
        assert!(strings(&export["files"]).contains(file), "{export}");
    }
}

/// Where JSON was asked for, what goes wrong is a line of it on stderr, and stdout stays empty.
#[test]
fn errors_are_json_too() {
    let test = Test::with_spec(&TOY.replace("metric:", "metrik:"));
    let kinds = [
        (&["plan", "sweep.yaml", "--json"][..], "spec"),
        (&["status", "nowhere", "--json"], "no_ledger"),
        (&["report", "nowhere", "--json"], "no_ledger"),
        (&["trials", "nowhere", "--json", "--novel"], "usage"),
        (&["plan", "sweep.yml", "--json"], "usage"),
    ];
    for (arguments, kind) in kinds {
        let ran = test.run(arguments);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        let error = document("errors", ran.stderr.lines().last().unwrap());
        assert_eq!(
            (&error["error"]["kind"], &error["error"]["exit_code"]),
            (&kind.into(), &ran.code.unwrap().into()),
            "{error}"
        );
        assert_eq!(
            error["error"]["problems"].as_array().unwrap().is_empty(),
            kind != "spec",
            "{error}"
        );
    }
    // What stands behind `--` are the worker's words.
    let ran = test
        .run(&["worker-check", "--novel", "--", "worker", "--json"])
        .expect(2);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn a_worker_is_checked_for_programs_too() {
    let worker = fake_worker().display().to_string();
    let test = Test::new();
    let good = test
        .run(&[
            "worker-check",
            "--json",
            "--config",
            r#"{"epoch_ms": 30}"#,
            "--",
            &worker,
        ])
        .expect(0)
        .stdout;
    assert_eq!(document("worker-check", &good)["passed"], true);
    let bad = document(
        "worker-check",
        &test
            .run(&["worker-check", "--json", "--", &worker, "--no-start"])
            .expect(3)
            .stdout,
    );
    assert_eq!(
        (&bad["passed"], &bad["checks"][0]["verdict"]),
        (&false.into(), &"bad".into())
    );
}

/// The test above is of use only if it can fail.
#[test]
#[should_panic(expected = "does not describe these fields of trials: [\"novel\", \"novel.deep\"]")]
fn a_field_that_is_not_described_is_found() {
    hold(
        "trials",
        &serde_json::json!({"trial": 1, "arm": 1, "point": 1, "seed": 1, "phase": 1, "novel": {"deep": 1}}),
    );
}
