//! One message per line. Lines are bounded, so that a worker that prints without end cannot fill
//! the memory.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Maximum length of a line in bytes, including its newline.
pub const MAX_LINE: usize = 1 << 20;

/// Maximum length of a line that an error message quotes, in bytes.
const MAX_QUOTE: usize = 120;

/// Why a line is not a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is longer than `MAX_LINE`.
    #[error("a line of more than {MAX_LINE} bytes, which begins with {0:?}")]
    TooLong(String),
    /// It is not UTF-8.
    #[error("a line that is not UTF-8, which begins with {0:?}")]
    NotText(String),
    /// It is not a message of the protocol.
    #[error("not a message of the protocol ({source}): {line:?}")]
    NotAMessage {
        /// The beginning of the line.
        line: String,
        /// The reason of the JSON parser.
        source: serde_json::Error,
    },
}

/// The message as one line, newline included.
///
/// # Panics
/// Never: every message is made of maps with text keys, numbers and text.
pub fn encode_line<T: Serialize>(message: &T) -> String {
    let mut line =
        serde_json::to_string(message).expect("messages hold nothing that JSON cannot write");
    line.push('\n');
    line
}

/// Reads a message from a line, with or without its newline.
///
/// # Errors
/// `FrameError` if the line is too long, is not UTF-8, or is not a message.
pub fn decode_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, FrameError> {
    if line.len() > MAX_LINE {
        return Err(FrameError::TooLong(beginning(line)));
    }
    // Not replaced by placeholders: a trial's id or a note must not change without notice.
    let text = std::str::from_utf8(line).map_err(|_| FrameError::NotText(beginning(line)))?;
    serde_json::from_str(text.trim_end()).map_err(|source| FrameError::NotAMessage {
        line: beginning(line),
        source,
    })
}

/// The beginning of a bad line, to recognise it by.
fn beginning(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_QUOTE)])
        .trim_end()
        .to_owned();
    if line.len() > MAX_QUOTE {
        text + "…"
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamValue;
    use crate::{
        FailureKind, FromWorker, Hello, Metrics, Position, Reading, Reported, ToWorker,
        TrialRequest, Unit,
    };
    use proptest::prelude::*;

    #[test]
    fn messages_are_written_as_documented() {
        let bundle = vec![TrialRequest {
            trial: "k7m2p9x4qa-3".into(),
            seed: 3,
            config: [
                ("lr".to_owned(), ParamValue::Float(1e-4)),
                ("epochs".to_owned(), ParamValue::Int(15)),
            ]
            .into_iter()
            .collect(),
        }];
        let run = |share| ToWorker::Run {
            bundle: bundle.clone(),
            share,
        };
        insta::assert_snapshot!(encode_line(&run(true)), @r#"{"type":"run","bundle":[{"trial":"k7m2p9x4qa-3","seed":3,"config":{"epochs":15,"lr":0.0001}}],"share":true}"#);
        insta::assert_snapshot!(encode_line(&run(false)), @r#"{"type":"run","bundle":[{"trial":"k7m2p9x4qa-3","seed":3,"config":{"epochs":15,"lr":0.0001}}]}"#);
        let hello = FromWorker::Hello(Hello {
            protocol: 1,
            program: "p".into(),
            version: "0.1.0".into(),
            device: "cpu".into(),
            threads: 1,
            pack: 0,
            ..Hello::default()
        });
        insta::assert_snapshot!(encode_line(&hello), @r#"{"type":"hello","protocol":1,"program":"p","version":"0.1.0","device":"cpu","threads":1}"#);
        let failed = FromWorker::Failed {
            trial: "t".into(),
            kind: FailureKind::OutOfMemory,
            message: "no memory".into(),
        };
        insta::assert_snapshot!(encode_line(&failed), @r#"{"type":"failed","trial":"t","kind":"out_of_memory","message":"no memory"}"#);
        let metrics: Metrics = [("loss", 0.5)].into_iter().collect();
        insta::assert_snapshot!(encode_line(&FromWorker::done("t", metrics.clone())), @r#"{"type":"done","trial":"t","metrics":{"loss":0.5}}"#);
        let shared = FromWorker::Done {
            trial: "t".into(),
            metrics: metrics.into(),
            same_as: Some("u".into()),
            shared_epochs: 15,
        };
        insta::assert_snapshot!(encode_line(&shared), @r#"{"type":"done","trial":"t","metrics":{"loss":0.5},"same_as":"u","shared_epochs":15}"#);
    }

    #[test]
    fn a_bad_line_is_quoted_in_part() {
        let line = "x".repeat(500);
        let error = decode_line::<FromWorker>(line.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("not a message of the protocol (") && error.len() < 300,
            "{error}"
        );
        let error = decode_line::<FromWorker>(&vec![b'y'; MAX_LINE + 1])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("a line of more than 1048576 bytes"),
            "{error}"
        );
        let error = decode_line::<FromWorker>(b"\xff\xfe")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a line that is not UTF-8"), "{error}");
    }

    fn any_message() -> impl Strategy<Value = FromWorker> {
        // Notes: any text, including numbers, and lists and mappings of it.
        let note = prop_oneof![
            ".{0,20}".prop_map(serde_json::Value::from),
            prop::collection::vec(".{0,5}", 0..3).prop_map(serde_json::Value::from),
            (".{0,5}", any::<i64>()).prop_map(|(name, value)| serde_json::json!({ name: value })),
            Just(serde_json::Value::Null),
        ];
        let value = prop_oneof![
            any::<u64>().prop_map(|bits| Reading::Number(f64::from_bits(bits))),
            note.prop_map(Reading::of)
        ];
        let metrics = prop::collection::btree_map("[a-z_]{1,12}", value, 0..6).prop_map(|map| {
            let mut reported = Reported::default();
            map.into_iter()
                .for_each(|(name, value)| reported.insert(name, value));
            reported
        });
        let position =
            (prop::bool::ANY, any::<u64>(), any::<i32>()).prop_map(|(epoch, bits, whole)| {
                let unit = if epoch { Unit::Epoch } else { Unit::Step };
                Position::new(unit, f64::from_bits(bits))
                    .or_else(|| Position::new(unit, f64::from(whole)))
                    .unwrap()
            });
        prop_oneof![
            Just(FromWorker::Heartbeat),
            ".*".prop_map(|trial| FromWorker::Started { trial }),
            (".*", position, metrics.clone()).prop_map(|(trial, position, values)| {
                FromWorker::Epoch {
                    trial,
                    position,
                    values,
                }
            }),
            (".*", metrics, prop::option::of(".*"), 0_u32..3).prop_map(
                |(trial, metrics, same_as, shared_epochs)| FromWorker::Done {
                    trial,
                    metrics,
                    same_as,
                    shared_epochs
                }
            ),
            (".*", prop::sample::select(FailureKind::ALL.to_vec()), ".*").prop_map(
                |(trial, kind, message)| FromWorker::Failed {
                    trial,
                    kind,
                    message
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn every_message_survives_the_trip_on_one_line(message in any_message()) {
            let line = encode_line(&message);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(decode_line::<FromWorker>(line.as_bytes()).unwrap(), message);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_line::<FromWorker>(&bytes);
        }
    }
}
