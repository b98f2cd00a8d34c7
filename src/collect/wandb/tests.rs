//! A file that W&B 0.31.0 wrote, as it is, in pieces and damaged.

use proptest::prelude::*;

use super::framing::tests::file;
use crate::collect::damage::{Damage, Flaw};
use crate::collect::log::{Format, LogFile};
use crate::collect::table::Rows;

const RECORDED: &[u8] = include_bytes!("../../../tests/fixtures/metrics/run-fixture.wandb");

/// The rows and the final values of a file that comes in pieces.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Result<(), Damage>) {
    let mut log = LogFile::new(&Format::Wandb, "val/loss");
    let mut rows = Rows::new();
    let mut end = Ok(());
    for piece in bytes.chunks(piece) {
        match log.feed(piece) {
            Ok(more) => more
                .into_iter()
                .for_each(|(position, values)| rows.entry(position).or_default().extend(&values)),
            Err(damage) => {
                end = Err(damage);
                break;
            }
        }
    }
    let end = end.and_then(|()| log.finish().map(drop));
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(position, values)| format!("{position}: {}", serde_json::to_string(values).unwrap()))
        .collect();
    lines.push(serde_json::to_string(&log.last()).unwrap());
    (lines, end)
}

#[test]
fn rows_and_summary_of_a_recorded_run_are_read() {
    let (lines, end) = read(RECORDED, 100);
    assert_eq!(end, Ok(()));
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(read(RECORDED, 1).0, lines);
}

#[test]
fn a_run_that_is_cut_off_is_refused() {
    let (_, end) = read(&RECORDED[..RECORDED.len() - 3], 100);
    let damage = end.unwrap_err();
    assert_eq!(damage.what, Flaw::CutOff);
    assert!(damage.offset > 3000, "{damage}");
}

#[test]
fn records_that_are_no_messages_are_refused() {
    let (_, end) = read(&file(&[vec![0x12, 5, 1]]), 100);
    assert_eq!(
        end.unwrap_err().to_string(),
        "a record cannot be decoded: it ends within a field at byte 7"
    );
}

#[test]
fn values_of_any_kind_are_read() {
    let item = |key: &str, json: &str| {
        let mut item = vec![0x0a, key.len() as u8];
        item.extend(key.as_bytes());
        item.extend([0x82, 0x01, json.len() as u8]);
        item.extend(json.as_bytes());
        let mut field = vec![0x0a, item.len() as u8];
        field.extend(item);
        field
    };
    let items = [
        item(
            "a",
            "{\"b\": {\"c\": 1}, \"d\": {\"_type\": \"image-file\", \"size\": 3}}",
        ),
        item("data_type", "2"),
        item("inf", "-Infinity"),
        item("no", "null"),
        item("odd", "{"),
        item("list", "[1, 2]"),
        item("_runtime", "7"),
    ]
    .concat();
    // A length of more than 127 takes two bytes.
    let length = [items.len() as u8 | 0x80, (items.len() >> 7) as u8];
    let record = [&[0x1a][..], &length, &items].concat();
    let (lines, end) = read(&file(&[record]), 100);
    assert_eq!(end, Ok(()));
    assert_eq!(
        lines,
        [r#"{"a.b.c":1.0,"data_type":2.0,"inf":"-Infinity","no":"NaN","list":[1,2],"odd":"{"}"#]
    );
}

proptest! {
    #[test]
    fn a_damaged_run_never_gives_other_rows(at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = RECORDED.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let (lines, end) = read(&bytes, 500);
        prop_assert!(end.is_err(), "{lines:?}");
        let whole = read(RECORDED, 500).0;
        // All but the last line, which has the final values.
        prop_assert!(lines.len() <= whole.len());
    }

    #[test]
    fn any_records_come_to_an_end(records in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let _ = read(&file(&records), 100);
    }
}
