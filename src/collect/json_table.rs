//! Files of JSON that are rewritten with every change: final values, lists of rows, the state of
//! Hugging Face's `Trainer`.

use serde_json::{Map, Value};

use super::damage::{Damage, Flaw};
use super::literal;
use super::log::Entry;

/// Maximum length of a file that is read as a whole, in bytes.
const MAX_FILE: usize = 32 << 20;
/// The rows in a state of the `Trainer`.
const LOG_HISTORY: &str = "log_history";

/// A file that is read as a whole.
#[derive(Debug, Default)]
struct Whole(Vec<u8>);

impl Whole {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        if self.0.len() + bytes.len() > MAX_FILE {
            return Err(Flaw::TooLarge(MAX_FILE).at(0));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// The text of bytes, without what is around it. Bytes that are not UTF-8 can only be in text,
/// which is a note.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

/// Reads an object of final values, a list of rows, or JSON lines.
#[derive(Debug, Default)]
pub(super) struct JsonFile(Whole);

impl JsonFile {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        self.0.feed(bytes)
    }

    pub(super) fn finish(
        &mut self,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        let bytes = self.0.take();
        let text = text(&bytes);
        if text.is_empty() {
            return Ok(());
        }
        match literal::value(&text) {
            Some(Value::Object(values)) => {
                take(Entry::Finals(flat(values))).map_err(|flaw| flaw.at(0))
            }
            Some(Value::Array(rows)) => take_rows(rows, take),
            Some(_) => Err(Flaw::Lacks("object of metrics").at(0)),
            None => take_lines(&bytes, take),
        }
    }
}

/// Reads `trainer_state.json`, which has the whole history, or the files of final values beside it.
#[derive(Debug, Default)]
pub(super) struct TrainerState(Whole);

impl TrainerState {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        self.0.feed(bytes)
    }

    pub(super) fn finish(
        &mut self,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        let text = text(&self.0.take());
        let mut state = literal::object(&text).map_err(|error| Flaw::NotJson(error).at(0))?;
        match state.remove(LOG_HISTORY) {
            Some(Value::Array(rows)) => take_rows(rows, take),
            Some(_) => Err(Flaw::Lacks("list `log_history`").at(0)),
            None => take(Entry::Finals(flat(state))).map_err(|flaw| flaw.at(0)),
        }
    }
}

fn take_rows(
    rows: Vec<Value>,
    take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
) -> Result<(), Damage> {
    for row in rows {
        let Value::Object(values) = row else {
            return Err(Flaw::Lacks("object of metrics in its list").at(0));
        };
        take(Entry::Row(flat(values))).map_err(|flaw| flaw.at(0))?;
    }
    Ok(())
}

fn take_lines(bytes: &[u8], take: &mut dyn FnMut(Entry) -> Result<(), Flaw>) -> Result<(), Damage> {
    let mut offset = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let text = text(line);
        if !text.is_empty() {
            let values = literal::object(&text).map_err(|error| Flaw::NotJson(error).at(offset))?;
            take(Entry::Row(flat(values))).map_err(|flaw| flaw.at(offset))?;
        }
        offset += line.len() as u64;
    }
    Ok(())
}

/// Values in mappings get names of their own, joined by dots.
fn flat(values: Map<String, Value>) -> Map<String, Value> {
    if !values.values().any(Value::is_object) {
        return values;
    }
    let mut found = Map::new();
    for (name, value) in values {
        insert_flat(&mut found, name, value);
    }
    found
}

fn insert_flat(found: &mut Map<String, Value>, name: String, value: Value) {
    let Value::Object(map) = value else {
        found.insert(name, value);
        return;
    };
    // JSON is read to a limited depth.
    for (part, value) in map {
        insert_flat(found, format!("{name}.{part}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::log::{Format, LogFile};
    use crate::collect::table::Rows;
    use proptest::prelude::*;

    fn read(format: &Format, text: &[u8]) -> Result<(Rows, String), Damage> {
        let mut file = LogFile::new(format, "acc");
        file.feed(text)?;
        let rows = file.finish()?;
        Ok((rows, serde_json::to_string(&file.last()).unwrap()))
    }

    fn rows_of(format: &Format, text: &str) -> Vec<String> {
        let (rows, last) = read(format, text.as_bytes()).unwrap();
        let rows = rows.iter().map(|(position, values)| {
            format!("{position} {}", serde_json::to_string(values).unwrap())
        });
        rows.chain([last]).collect()
    }

    #[test]
    fn an_object_is_final_values() {
        assert_eq!(
            rows_of(
                &Format::Json,
                "{\"eval\": {\"acc\": 0.5}, \"epoch\": 3, \"loss\": NaN}\n"
            ),
            [r#"{"eval.acc":0.5,"loss":"NaN"}"#]
        );
        assert_eq!(rows_of(&Format::Json, " "), ["null"]);
    }

    #[test]
    fn a_list_or_lines_are_rows() {
        let right = [
            r#"epoch 1 {"acc":0.5}"#,
            r#"epoch 2 {"acc":0.7}"#,
            r#"{"acc":0.7}"#,
        ];
        let list = r#"[{"epoch": 1, "acc": 0.5}, {"epoch": 2, "acc": 0.7}]"#;
        assert_eq!(rows_of(&Format::Json, list), right);
        let lines = "{\"epoch\": 1, \"acc\": 0.5}\n\n{\"epoch\": 2, \"acc\": 0.7}\n";
        assert_eq!(rows_of(&Format::Json, lines), right);
    }

    #[test]
    fn a_state_of_the_trainer_has_rows_by_parts_of_epochs() {
        let state = r#"{"best_metric": null, "global_step": 6, "log_history": [
            {"epoch": 0.33, "loss": 0.9, "step": 2}, {"epoch": 1.0, "eval_acc": 0.5, "step": 6},
            {"epoch": 1.0, "step": 6, "total_flos": 12.0, "train_loss": 0.7}]}"#;
        assert_eq!(
            rows_of(&Format::TrainerState, state),
            [
                r#"epoch 0.33 {"loss":0.9,"step":2.0}"#,
                r#"epoch 1 {"eval_acc":0.5,"step":6.0,"total_flos":12.0,"train_loss":0.7}"#,
                r#"{"eval_acc":0.5,"loss":0.9,"total_flos":12.0,"train_loss":0.7}"#,
            ]
        );
        assert_eq!(
            rows_of(&Format::TrainerState, r#"{"epoch": 1.0, "eval_acc": 0.5}"#),
            [r#"{"eval_acc":0.5}"#]
        );
    }

    #[test]
    fn damaged_files_are_refused_with_their_place() {
        let error = |format: &Format, text: &[u8]| read(format, text).unwrap_err().to_string();
        assert_eq!(
            error(&Format::Json, b"{\"epoch\": 1}\n{\"epo"),
            "it is not JSON (EOF while parsing a string at line 1 column 5) at byte 13"
        );
        assert_eq!(
            error(&Format::Json, b"7"),
            "it has no object of metrics at byte 0"
        );
        assert_eq!(
            error(&Format::TrainerState, b"{\"log_history\": 3}"),
            "it has no list `log_history` at byte 0"
        );
        assert_eq!(
            error(&Format::Json, &vec![b' '; MAX_FILE + 1]),
            "a part is larger than 33554432 bytes at byte 0"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
            let _ = (read(&Format::Json, &bytes), read(&Format::TrainerState, &bytes));
        }
    }
}
