//! What programs and workers report: numbers, which are metrics, and anything else, which is kept
//! as a note. The rule is the same for the metrics file, the last line of output and the worker
//! protocol.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::metrics::{Metrics, Real};

/// Maximum length of a note's name, in bytes.
const MAX_NOTE_NAME: usize = 100;

/// Maximum length of a note's value, in bytes of its JSON text.
const MAX_NOTE_VALUE: usize = 1000;

/// Maximum number of notes of a trial. Further ones are left out.
pub const MAX_NOTES: usize = 50;

/// Name of the note that says that there were more.
pub const MORE_NOTES: &str = "…";

/// A value of a report, read as a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A number: itself, a boolean (1 or 0), or a text that is a number.
    Number(f64),
    /// `null`, which counts as NaN: many loggers write NaN like this.
    Null,
    /// Anything else: other text, a list, a mapping.
    Note(Value),
}

impl Reading {
    /// Reads a value.
    pub fn of(value: Value) -> Self {
        let number = match &value {
            Value::Null => return Self::Null,
            Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
            Value::Number(number) => number.as_f64(),
            // Rust parses `inf`, `-Infinity`, `NaN`, `1e-3` and `.5` as numbers, as Python does.
            Value::String(text) => text.trim().parse().ok(),
            Value::Array(_) | Value::Object(_) => None,
        };
        number.map_or(Self::Note(value), Self::Number)
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Null => Some(f64::NAN),
            Self::Note(_) => None,
        }
    }
}

/// Named values that are not numbers, as JSON. Bounded in number and size; a text that was cut ends
/// with `…`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Notes(BTreeMap<String, Value>);

impl Notes {
    /// Adds or replaces a note. If there are too many, further ones are left out, and a note named
    /// `…` says so.
    pub fn insert(&mut self, name: &str, value: Value) {
        let name = cut(name, MAX_NOTE_NAME);

        // The note about left-out notes does not count itself.
        let kept = self.0.len() - usize::from(self.0.contains_key(MORE_NOTES));
        if kept >= MAX_NOTES && name != MORE_NOTES && !self.0.contains_key(&name) {
            let text =
                format!("more than {MAX_NOTES} notes were reported; the others are not kept");
            self.0.insert(MORE_NOTES.to_owned(), Value::String(text));
            return;
        }
        self.0.insert(name, bounded(value));
    }

    /// The note of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes the notes for which `keep` returns false.
    pub fn retain(&mut self, keep: impl Fn(&str, &Value) -> bool) {
        self.0.retain(|name, value| keep(name, value));
    }

    /// Changes every text in the values.
    pub fn for_each_text(&mut self, mut change: impl FnMut(&mut String)) {
        for value in self.0.values_mut() {
            for_each_text(value, &mut change);
        }
    }

    /// Changes every name. If two notes get one name, the later one stays.
    pub fn for_each_name(&mut self, mut change: impl FnMut(&mut String)) {
        let notes = std::mem::take(&mut self.0).into_iter();
        let renamed = notes.map(|(mut name, value)| {
            change(&mut name);
            (name, value)
        });
        self.0 = renamed.collect();
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Adds the notes of a later report.
    pub fn extend(&mut self, later: &Self) {
        later
            .iter()
            .for_each(|(name, value)| self.insert(name, value.clone()));
    }
}

/// The value of a note as one line of text: text as it is, anything else as JSON.
pub fn note_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn for_each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| for_each_text(item, change)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|item| for_each_text(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(&text, MAX_NOTE_VALUE)),
        other => {
            let text = other.to_string();
            if text.len() <= MAX_NOTE_VALUE {
                other
            } else {
                Value::String(cut(&text, MAX_NOTE_VALUE))
            }
        }
    }
}

/// A text of at most `max_length` bytes, which ends with `…` if it was cut.
fn cut(text: &str, max_length: usize) -> String {
    if text.len() <= max_length {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max_length - '…'.len_utf8());
    format!("{}…", &text[..end])
}

/// A report: an object whose numbers are metrics and whose other values are notes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    /// The metrics.
    pub numbers: Metrics,
    /// Everything else.
    pub notes: Notes,
}

impl Reported {
    /// The metric of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.numbers.get(name)
    }

    /// Adds or replaces a value.
    pub fn insert(&mut self, name: String, value: Reading) {
        match value {
            Reading::Number(number) => self.numbers.set(name, number),
            Reading::Null => self.numbers.set(name, f64::NAN),
            Reading::Note(value) => self.notes.insert(&name, value),
        }
    }

    /// Adds a later report: of two values of one name the later one counts.
    pub fn extend(&mut self, later: &Self) {
        for (name, value) in &later.numbers.0 {
            self.numbers.0.insert(name.clone(), *value);
        }
        self.notes.extend(&later.notes);
    }
}

impl From<Metrics> for Reported {
    fn from(numbers: Metrics) -> Self {
        Self {
            numbers,
            notes: Notes::default(),
        }
    }
}

impl Serialize for Reported {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// A value of either kind.
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Number(&'a Real),
            Note(&'a Value),
        }

        // If a name is both a number and a note, the number counts.
        let numbers = self
            .numbers
            .0
            .iter()
            .map(|(name, value)| (name, Either::Number(value)));
        let notes = self
            .notes
            .iter()
            .filter(|(name, _)| !self.numbers.0.contains_key(name.as_str()))
            .map(|(name, value)| (name, Either::Note(value)));
        serializer.collect_map(numbers.chain(notes))
    }
}

impl<'de> Deserialize<'de> for Reported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReportedVisitor;
        impl<'de> Visitor<'de> for ReportedVisitor {
            type Value = Reported;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of metrics")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reported, A::Error> {
                let mut reported = Reported::default();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    reported.insert(name, Reading::of(value));
                }
                // A name that came as a number and as a note is a number.
                let numbers = &reported.numbers.0;
                reported.notes.retain(|name, _| !numbers.contains_key(name));
                Ok(reported)
            }
        }
        deserializer.deserialize_map(ReportedVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_metrics_in_every_notation() {
        let number = |value: Value| Reading::of(value).number().map(Real);
        for (value, read) in [
            (json!(true), 1.0),
            (json!(false), 0.0),
            (json!(null), f64::NAN),
            (json!("0.5"), 0.5),
            (json!(" 1e-3 "), 1e-3),
            (json!("NaN"), f64::NAN),
            (json!("nan"), f64::NAN),
            (json!("Infinity"), f64::INFINITY),
            (json!("inf"), f64::INFINITY),
            (json!("-inf"), f64::NEG_INFINITY),
            (json!("1e999"), f64::INFINITY),
            (json!(".5"), 0.5),
            (json!(-0.0), -0.0),
            (
                json!(18_446_744_073_709_551_615_u64),
                18_446_744_073_709_551_615.0,
            ),
        ] {
            assert_eq!(number(value.clone()), Some(Real(read)), "{value}");
        }
        for value in [
            json!("train"),
            json!(""),
            json!("0x10"),
            json!("1,5"),
            json!("50 %"),
            json!("true"),
            json!([1]),
            json!({}),
        ] {
            assert_eq!(Reading::of(value.clone()), Reading::Note(value));
        }
    }

    #[test]
    fn a_name_is_a_number_or_a_note() {
        let reported: Reported = serde_json::from_str(r#"{"a": "x", "a": 1, "b": "y"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&reported).unwrap(),
            r#"{"a":1.0,"b":"y"}"#
        );
        assert!(reported.notes.get("a").is_none() && reported.get("a") == Some(1.0));
    }

    #[test]
    fn every_text_of_a_note_can_be_changed() {
        let mut notes = Notes::default();
        notes.insert("a", json!("key"));
        notes.insert("b", json!([1, {"c": "key"}, null]));
        notes.for_each_text(|text| *text = text.replace("key", "***"));
        assert_eq!(
            serde_json::to_string(&notes).unwrap(),
            r#"{"a":"***","b":[1,{"c":"***"},null]}"#
        );
    }

    #[test]
    fn notes_are_bounded_and_say_so() {
        let mut notes = Notes::default();
        notes.insert("text", json!("ä".repeat(10_000)));
        notes.insert("list", json!(vec![1; 10_000]));
        notes.insert(&"n".repeat(10_000), json!("x"));
        let sizes: Vec<usize> = notes
            .iter()
            .map(|(name, value)| name.len().max(note_text(value).len()))
            .collect();
        assert!(
            sizes.iter().all(|size| *size <= MAX_NOTE_VALUE),
            "{sizes:?}"
        );
        assert!(
            notes
                .iter()
                .all(|(name, value)| name.ends_with('…') || note_text(value).ends_with('…')),
            "{notes:?}"
        );
        (0..1000).for_each(|number| notes.insert(&format!("note{number}"), json!("x")));
        assert_eq!(notes.iter().count(), MAX_NOTES + 1);
        assert!(note_text(notes.get(MORE_NOTES).unwrap()).starts_with("more than 50 notes"));
        notes.insert("note0", json!("y"));
        assert_eq!(
            notes.get("note0"),
            Some(&json!("y")),
            "one that is there is replaced"
        );
    }
}
