//! Metrics files by example, and in random pieces.

use super::*;
use crate::protocol::{Metrics, Position};
use proptest::prelude::*;
use serde_json::json;

fn metrics(pairs: &[(&str, f64)]) -> Metrics {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

/// The rows and the final values of a file with these lines.
fn read(text: &str) -> (Rows, Reported) {
    let mut file = MetricsFile::new("loss");
    let mut rows = file.feed(text.as_bytes()).unwrap();
    for (position, values) in file.finish().unwrap() {
        rows.entry(position).or_default().extend(&values);
    }
    (rows, file.last().cloned().unwrap_or_default())
}

/// The position of one line, its metrics, and its notes as JSON.
fn one(line: &str) -> (Option<String>, Metrics, String) {
    let (rows, last) = read(line);
    (
        rows.keys().next().map(ToString::to_string),
        last.numbers,
        serde_json::to_string(&last.notes).unwrap(),
    )
}

#[test]
fn numbers_are_metrics_and_anything_else_is_a_note() {
    let half = metrics(&[("loss", 0.5)]);
    let at = |position: &str| Some(position.to_owned());
    assert_eq!(
        one(r#"{"epoch": 1.0, "loss": 0.5}"#),
        (at("epoch 1"), half.clone(), "{}".into())
    );
    assert_eq!(
        one(r#"{"epoch": 1, "loss": 0.5, "phase": "train"}"#),
        (at("epoch 1"), half.clone(), r#"{"phase":"train"}"#.into())
    );
    assert_eq!(
        one(r#"{"loss": 0.5, "ok": true}"#),
        (None, metrics(&[("loss", 0.5), ("ok", 1.0)]), "{}".into())
    );
    assert_eq!(
        one(r#"{"epoch": 1, "loss": "0.5"}"#),
        (at("epoch 1"), half.clone(), "{}".into())
    );
    assert_eq!(
        one(r#"{"epoch": 0.33, "loss": 0.5}"#),
        (at("epoch 0.33"), half.clone(), "{}".into())
    );
    assert_eq!(
        one(r#"{"epoch": "3", "loss": 0.5, "off": false}"#).1,
        metrics(&[("loss", 0.5), ("off", 0.0)])
    );
    assert_eq!(
        one(r#"{"loss": null, "a": "nan", "b": "-inf"}"#).1.get("b"),
        Some(f64::NEG_INFINITY)
    );
    assert!(one(r#"{"loss": null}"#).1.get("loss").unwrap().is_nan());
    let nested = one(r#"{"loss": 0.5, "val": {"acc": 0.5}, "lrs": [0.1, 0.2], "run": "a"}"#);
    assert_eq!(
        nested,
        (
            None,
            half.clone(),
            r#"{"lrs":[0.1,0.2],"run":"a","val":{"acc":0.5}}"#.into()
        )
    );
    assert_eq!(one(r#"{"loss": 1, "loss": 0.5}"#).1, half);
    assert_eq!(one("{'loss': '0.5', 'epoch': 0.33}").0, at("epoch 0.33"));
}

#[test]
fn a_row_has_an_epoch_or_else_a_step() {
    let at = |line: &str| one(line).0.unwrap_or_default();
    assert_eq!(at(r#"{"step": 500, "loss": 1}"#), "step 500");
    assert_eq!(at(r#"{"_step": 12, "loss": 1}"#), "step 12");
    assert_eq!(at(r#"{"global_step": 9, "_step": 3, "loss": 1}"#), "step 9");
    assert_eq!(at(r#"{"epoch": null, "step": 500, "loss": 1}"#), "step 500");
    assert_eq!(at(r#"{"epoch": "last", "loss": 1}"#), "");
    assert_eq!(at(r#"{"epoch": Infinity, "loss": 1}"#), "");
    assert_eq!(at(r#"{"epoch": -1, "loss": 1}"#), "epoch -1");
    assert_eq!(at(r#"{"epoch": 1e300, "loss": 1}"#), "epoch 1e300");
    // The step of an epoch's row is kept in the row, and is no metric of the trial.
    let (rows, last) = read(r#"{"loss": 0.5, "epoch": 0.33, "step": 7}"#);
    assert_eq!(
        rows.values().next().unwrap().numbers,
        metrics(&[("loss", 0.5), ("step", 7.0)])
    );
    assert_eq!(last.numbers, metrics(&[("loss", 0.5)]));
    // The metric that the sweep selects by may have any name.
    let mut file = MetricsFile::new("step");
    assert_eq!(file.feed(b"{\"step\": 7}\n").unwrap(), Rows::new());
    assert_eq!(file.last().unwrap().numbers, metrics(&[("step", 7.0)]));
}

#[test]
fn lines_of_one_epoch_make_one_row_and_the_last_values_are_final() {
    let mut file = MetricsFile::new("loss");
    assert_eq!(file.last(), None);
    let row = |epoch, values: &[(&str, f64)]| {
        Rows::from([(Position::epoch(epoch), metrics(values).into())])
    };
    let rows = file
        .feed(b"{\"epoch\": 1, \"train_loss\": 2.5}\n\n{\"epoch\": 1, \"val_loss\": 3}\n{\"epo")
        .unwrap();
    assert_eq!(rows, row(1, &[("train_loss", 2.5), ("val_loss", 3.0)]));
    let rows = file
        .feed(b"ch\": 2, \"val_loss\": NaN, \"x\": -Infinity}\n{\"test\": 0.5}")
        .unwrap();
    assert_eq!(
        rows,
        row(2, &[("val_loss", f64::NAN), ("x", f64::NEG_INFINITY)])
    );
    assert_eq!(file.finish().unwrap(), Rows::new());
    let last = metrics(&[
        ("train_loss", 2.5),
        ("val_loss", f64::NAN),
        ("x", f64::NEG_INFINITY),
        ("test", 0.5),
    ]);
    assert_eq!(file.last(), Some(&last.into()));
    // Epochs may go back: the row is added to.
    assert_eq!(
        file.feed(b"{\"epoch\": 1, \"val_loss\": 4}\n").unwrap(),
        row(1, &[("val_loss", 4.0)])
    );
}

#[test]
fn a_note_that_stays_the_same_is_reported_once() {
    let mut file = MetricsFile::new("loss");
    let mut notes = |line: &[u8]| -> usize {
        file.feed(line)
            .unwrap()
            .values()
            .map(|row| row.notes.iter().count())
            .sum()
    };
    assert_eq!(
        notes(b"{\"epoch\": 1, \"phase\": \"train\", \"tags\": [1]}\n"),
        2
    );
    assert_eq!(
        notes(b"{\"epoch\": 2, \"phase\": \"train\", \"tags\": [1]}\n"),
        0
    );
    assert_eq!(
        notes(b"{\"epoch\": 3, \"phase\": \"val\", \"tags\": [1]}\n"),
        1
    );
    assert_eq!(
        serde_json::to_string(&file.last().unwrap().notes).unwrap(),
        r#"{"phase":"val","tags":[1]}"#
    );
}

/// Lightning's CSV as JSON: a row after training, a row after validation, and nulls where the
/// other one has the number.
#[test]
fn a_null_beside_a_number_of_the_same_epoch_is_ignored() {
    let (rows, last) = read(
        "{\"epoch\": 1, \"step\": 9, \"loss\": 0.5, \"val\": null}\n{\"epoch\": 1, \"step\": 9, \"loss\": null, \"val\": 0.7}\n",
    );
    assert_eq!(
        rows[&Position::epoch(1)].numbers,
        metrics(&[("loss", 0.5), ("step", 9.0), ("val", 0.7)])
    );
    assert_eq!(last.numbers, metrics(&[("loss", 0.5), ("val", 0.7)]));
    // Of another epoch it is NaN: that is how JavaScript and others write it.
    assert!(
        read("{\"epoch\": 1, \"loss\": 0.5}\n{\"epoch\": 2, \"loss\": null}\n")
            .1
            .get("loss")
            .unwrap()
            .is_nan()
    );
}

#[test]
fn files_of_other_systems_are_read() {
    let (_, last) = read("\u{feff}{\"loss\": 0.5}\r\n\r\n  \n{\"acc\": 1}\r\n");
    assert_eq!(last.numbers, metrics(&[("loss", 0.5), ("acc", 1.0)]));
    let mut file = MetricsFile::new("loss");
    file.feed(b"{\"loss\": 0.5, \"name\": \"caf\xe9\"}\n")
        .unwrap();
    assert_eq!(
        file.last().unwrap().notes.get("name"),
        Some(&json!("caf\u{fffd}"))
    );
    let long = format!(
        "{{\"loss\": 0.5, \"histogram\": [{}1]}}\n",
        "1, ".repeat(1 << 20)
    );
    assert_eq!(read(&long).1.get("loss"), Some(0.5));
}

#[test]
fn a_bad_line_is_named_by_its_number() {
    let complaint = |text: &[u8]| {
        let mut file = MetricsFile::new("loss");
        file.feed(b"{\"epoch\": 1}\n").unwrap();
        file.feed(text)
            .and_then(|_| file.finish())
            .unwrap_err()
            .to_string()
    };
    let said: Vec<String> = [
        b"epoch 2: loss 3\n" as &[u8],
        b"[1, 2]\n",
        b"{\"loss\": \"low\"}\n",
        b"{\"epoch\": 2, \"loss\": [0.5]}\n",
        b"{\"loss\": 1",
        b"\xff\x00\n",
        &vec![b'x'; MAX_LINE + 1],
        &vec![b'{'; MAX_METRICS_LINE + 1],
    ]
    .into_iter()
    .map(complaint)
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
line 2 of the metrics file is not JSON (expected value at line 1 column 1): epoch 2: loss 3
line 2 of the metrics file is not a JSON object: [1, 2]
line 2 of the metrics file has "loss", which the sweep selects by, as "low", which is not a number: {"loss": "low"}
line 2 of the metrics file has "loss", which the sweep selects by, as "[0.5]", which is not a number: {"epoch": 2, "loss": [0.5]}
line 2 of the metrics file is not JSON (EOF while parsing an object at line 1 column 10): {"loss": 1
line 2 of the metrics file is not JSON (expected value at line 1 column 1): �
line 2 of the metrics file is longer than 1048576 bytes
line 2 of the metrics file is longer than 16777216 bytes
"#);
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_how_the_bytes_arrive(cuts in prop::collection::vec(0_usize..120, 0..6)) {
        let text = "{\"epoch\": 1, \"a\": 1}\n{\"epoch\": 1, \"a\": null, \"p\": \"x\"}\n{\"step\": 2, \"a\": \"NaN\", \"ä\": 2}\n{\"b\": Infinity}\n";
        let (rows, last) = read(text);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let mut parts = MetricsFile::new("loss");
        let mut begin = 0;
        let mut found = Rows::new();
        for end in cuts.into_iter().chain([text.len()]) {
            for (position, values) in parts.feed(&text.as_bytes()[begin..end]).unwrap() {
                found.entry(position).or_default().extend(&values);
            }
            begin = end;
        }
        prop_assert_eq!(parts.last(), Some(&last));
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = MetricsFile::new("loss");
        let _ = file.feed(&bytes).and_then(|_| file.finish());
    }
}
