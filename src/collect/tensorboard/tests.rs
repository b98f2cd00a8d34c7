//! A file that tensorboardX 2.6.5 wrote, as it is, in pieces and damaged; tensors as TensorFlow
//! writes them.

use proptest::prelude::*;

use super::*;
use crate::collect::log::{Format, LogFile};
use crate::collect::table::Rows;

const RECORDED: &[u8] =
    include_bytes!("../../../tests/fixtures/metrics/events.out.tfevents.1796055000.fixture");

/// The rows and the final values of a file that comes in pieces.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Result<(), Damage>) {
    let mut log = LogFile::new(&Format::TensorBoard, "val/acc");
    let mut rows = Rows::new();
    let mut add = |more: Rows| {
        for (position, values) in more {
            rows.entry(position).or_default().extend(&values);
        }
    };
    let mut end = Ok(());
    for piece in bytes.chunks(piece) {
        match log.feed(piece) {
            Ok(more) => add(more),
            Err(damage) => {
                end = Err(damage);
                break;
            }
        }
    }
    let end = end.and_then(|()| log.finish().map(&mut add));
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(position, values)| format!("{position}: {}", serde_json::to_string(values).unwrap()))
        .collect();
    lines.push(serde_json::to_string(&log.last()).unwrap());
    (lines, end)
}

/// A file with these events.
fn file(events: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for event in events {
        let length = (event.len() as u64).to_le_bytes();
        file.extend(length);
        file.extend(masked_checksum(&length).to_le_bytes());
        file.extend(event);
        file.extend(masked_checksum(event).to_le_bytes());
    }
    file
}

/// A field with a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

/// An event with one value of a tensor.
fn tensor_event(step: u8, tag: &str, tensor: &[u8], plugin: &str) -> Vec<u8> {
    let metadata = field(1, &field(1, plugin.as_bytes()));
    let value = [
        field(1, tag.as_bytes()),
        field(8, tensor),
        field(9, &metadata),
    ]
    .concat();
    [&[0x10, step][..], &field(5, &field(1, &value))].concat()
}

#[test]
fn scalars_of_a_recorded_file_are_read() {
    let (lines, end) = read(RECORDED, 100);
    assert_eq!(end, Ok(()));
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(read(RECORDED, 1).0, lines);
}

#[test]
fn tensors_of_one_number_are_scalars() {
    let float = [&[0x08, 1][..], &field(5, &0.51_f32.to_le_bytes())].concat();
    let content = [&[0x08, 2][..], &field(4, &0.25_f64.to_le_bytes())].concat();
    let int = [0x08, 9, 0x50, 7];
    let two = [&[0x08, 1][..], &field(5, &[0; 8])].concat();
    let text = [&[0x08, 7][..], &field(8, b"hi")].concat();
    let events = [
        tensor_event(1, "a", &float, "scalars"),
        tensor_event(1, "b", &content, "scalars"),
        tensor_event(1, "c", &int, "scalars"),
        tensor_event(1, "d", &two, "scalars"),
        tensor_event(1, "e", &text, "text"),
        tensor_event(1, "f", &float, "pr_curves"),
        // The same tag again, as two writers of one file do.
        tensor_event(1, "a", &int, "scalars"),
    ];
    let (lines, end) = read(&file(&events), 9);
    assert_eq!(end, Ok(()));
    assert_eq!(
        lines,
        [
            r#"step 1: {"a":7.0,"b":0.25,"c":7.0}"#,
            r#"{"a":7.0,"b":0.25,"c":7.0}"#
        ]
    );
}

#[test]
fn records_that_are_too_long_are_skipped() {
    let image = vec![0xff; MAX_RECORD as usize + 1];
    let int = [0x08, 9, 0x50, 7];
    let events = [image, tensor_event(1, "a", &int, "scalars")];
    let (lines, end) = read(&file(&events), 1 << 16);
    assert_eq!((lines.len(), end), (2, Ok(())));
}

#[test]
fn damaged_files_are_refused_with_their_place() {
    let error = |bytes: &[u8]| read(bytes, 100).1.unwrap_err();
    assert_eq!(
        error(b"{\"loss\": 0.5}\n").what,
        Flaw::Foreign("a file of TensorBoard events")
    );
    assert_eq!(error(&RECORDED[..RECORDED.len() - 1]).what, Flaw::CutOff);
    assert_eq!(
        error(&file(&[vec![0x2a, 9, 0]])).to_string(),
        "a record cannot be decoded: it ends within a field at byte 0"
    );
    let huge = u64::MAX.to_le_bytes();
    let endless = [&huge[..], &masked_checksum(&huge).to_le_bytes()].concat();
    assert_eq!(error(&endless), Flaw::CutOff.at(12));
}

proptest! {
    #[test]
    fn damage_is_noticed(at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = RECORDED.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(read(&bytes, 500).1.is_err());
    }

    #[test]
    fn any_events_come_to_an_end(events in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let _ = read(&file(&events), 100);
    }
}
