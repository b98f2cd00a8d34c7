//! What a program that trains one trial reports: JSON lines in a file, or a last line of JSON in its output. Pure: bytes in,
//! epochs and final metrics out. `docs/programs.md` describes it for people.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::protocol::{MAX_LINE, Metrics};

/// Collects the lines of a metrics file as they come.
#[derive(Debug, Default)]
pub struct MetricsFile {
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
    lines: u64,
    epochs: BTreeMap<u32, Metrics>,
    last: Metrics,
}

impl MetricsFile {
    /// Takes what was added to the file; returns the epochs that it speaks of, as they stand now.
    ///
    /// # Errors
    /// What is wrong with a line, and with which.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<BTreeMap<u32, Metrics>, String> {
        let mut changed = BTreeMap::new();
        self.rest.extend_from_slice(bytes);
        // Taken out while its lines are read, and moved once: many short lines must not cost more than their bytes.
        let mut buffer = std::mem::take(&mut self.rest);
        let mut begin = 0;
        while let Some(length) = buffer[begin..].iter().position(|&byte| byte == b'\n') {
            changed.extend(self.line(&buffer[begin..begin + length])?);
            begin += length + 1;
        }
        buffer.drain(..begin);
        self.rest = buffer;
        if self.rest.len() > MAX_LINE {
            return Err(format!("line {} of the metrics file is longer than {MAX_LINE} bytes", self.lines + 1));
        }
        Ok(changed)
    }

    /// The program has ended: a last line may lack its newline.
    ///
    /// # Errors
    /// As `feed`.
    pub fn finish(&mut self) -> Result<BTreeMap<u32, Metrics>, String> {
        let line = std::mem::take(&mut self.rest);
        Ok(self.line(&line)?.into_iter().collect())
    }

    /// The last value of each metric, in whichever line it stood; None if there was no line.
    pub fn last(&self) -> Option<&Metrics> {
        (self.lines > 0).then_some(&self.last)
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<(u32, Metrics)>, String> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        self.lines += 1;
        let wrong = |what: String| {
            let shown: String = String::from_utf8_lossy(line).trim().chars().filter(|c| !c.is_control()).take(80).collect();
            format!("line {} of the metrics file {what}: {shown}", self.lines)
        };
        let text = std::str::from_utf8(line).map_err(|_| wrong("is not UTF-8".into()))?;
        let object = match serde_json::from_str(&spelled_out(text)) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(wrong("is not a JSON object".into())),
            Err(error) => return Err(wrong(format!("is not JSON ({error})"))),
        };
        let mut epoch = None;
        let mut values = Metrics::default();
        for (name, value) in object {
            if name == "epoch" {
                let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                epoch = Some(number.ok_or_else(|| wrong("has an `epoch` that is not a whole number from 0".into()))?);
            } else {
                let number = number(&value)
                    .ok_or_else(|| wrong(format!("has a {name:?} that is not a number, which all but `epoch` must be")))?;
                values.set(name, number);
            }
        }
        for (name, value) in &values.0 {
            self.last.0.insert(name.clone(), *value);
        }
        let Some(epoch) = epoch else { return Ok(None) };
        // Several lines may speak of one epoch: one after training, one after validation.
        let row = self.epochs.entry(epoch).or_default();
        row.0.extend(values.0);
        Ok(Some((epoch, row.clone())))
    }
}

/// The metrics in the last line of an output that is a JSON object with numbers in it. What is not a number is left out:
/// such a line may have been made for other readers too.
pub fn last_json_line(output: &str) -> Option<Metrics> {
    output.lines().rev().find_map(|line| {
        let line = line.trim();
        if !line.starts_with('{') {
            return None;
        }
        let Ok(Value::Object(object)) = serde_json::from_str(&spelled_out(line)) else { return None };
        let values: Metrics = object.iter().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect();
        (!values.0.is_empty()).then_some(values)
    })
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// JSON in which `NaN`, `Infinity` and `-Infinity`, which Python's `json` writes bare, are text.
fn spelled_out(text: &str) -> Cow<'_, str> {
    const BARE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !BARE[1..].iter().any(|name| text.contains(name)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let (mut rest, mut inside) = (text, false);
    while let Some(letter) = rest.chars().next() {
        if let Some(name) = BARE.iter().find(|name| !inside && rest.starts_with(**name)) {
            out.extend(["\"", name, "\""]);
            rest = &rest[name.len()..];
            continue;
        }
        let mut length = letter.len_utf8();
        if letter == '"' {
            inside = !inside;
        } else if letter == '\\' && inside {
            length += rest[length..].chars().next().map_or(0, char::len_utf8);
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metrics(pairs: &[(&str, f64)]) -> Metrics {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn rows_of_one_epoch_are_one_and_the_last_values_are_final() {
        let mut file = MetricsFile::default();
        assert_eq!(file.last(), None);
        let rows = file.feed(b"{\"epoch\": 1, \"train_loss\": 2.5}\n\n{\"epoch\": 1, \"val_loss\": 3}\n{\"epo").unwrap();
        assert_eq!(rows, BTreeMap::from([(1, metrics(&[("train_loss", 2.5), ("val_loss", 3.0)]))]));
        let rows = file.feed(b"ch\": 2, \"val_loss\": NaN, \"x\": -Infinity}\n{\"test\": 0.5}").unwrap();
        assert_eq!(rows, BTreeMap::from([(2, metrics(&[("val_loss", f64::NAN), ("x", f64::NEG_INFINITY)]))]));
        assert_eq!(file.finish().unwrap(), BTreeMap::new());
        let last = metrics(&[("train_loss", 2.5), ("val_loss", f64::NAN), ("x", f64::NEG_INFINITY), ("test", 0.5)]);
        assert_eq!(file.last(), Some(&last));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let complaint = |text: &[u8]| {
            let mut file = MetricsFile::default();
            file.feed(b"{\"epoch\": 1}\n").unwrap();
            file.feed(text).and_then(|_| file.finish()).unwrap_err()
        };
        let said: Vec<String> = [
            b"epoch 2: loss 3\n" as &[u8],
            b"[1, 2]\n",
            b"{\"epoch\": -1}\n",
            b"{\"epoch\": 1.5}\n",
            b"{\"loss\": \"low\"}\n",
            b"{\"loss\": null}\n",
            b"{\"loss\": 1",
            b"\xff\x00\n",
            &vec![b'x'; MAX_LINE + 1],
        ]
        .into_iter()
        .map(complaint)
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
line 2 of the metrics file is not JSON (expected value at line 1 column 1): epoch 2: loss 3
line 2 of the metrics file is not a JSON object: [1, 2]
line 2 of the metrics file has an `epoch` that is not a whole number from 0: {"epoch": -1}
line 2 of the metrics file has an `epoch` that is not a whole number from 0: {"epoch": 1.5}
line 2 of the metrics file has a "loss" that is not a number, which all but `epoch` must be: {"loss": "low"}
line 2 of the metrics file has a "loss" that is not a number, which all but `epoch` must be: {"loss": null}
line 2 of the metrics file is not JSON (EOF while parsing an object at line 1 column 10): {"loss": 1
line 2 of the metrics file is not UTF-8: �
line 2 of the metrics file is longer than 1048576 bytes
"#);
    }

    #[test]
    fn the_last_line_of_json_counts() {
        let output =
            "loading {\n{\"a\": 1}\nepoch 3\n  {\"acc\": 0.5, \"model\": \"resnet\", \"loss\": NaN}\ndone\n{not json}\n{}\n";
        assert_eq!(last_json_line(output), Some(metrics(&[("acc", 0.5), ("loss", f64::NAN)])));
        assert_eq!(last_json_line("nothing\n"), None);
    }

    #[test]
    fn bare_words_are_replaced_outside_of_text_only() {
        assert_eq!(spelled_out(r#"{"NaN": NaN, "a\"NaN": [-Infinity]}"#), r#"{"NaN": "NaN", "a\"NaN": ["-Infinity"]}"#);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(cuts in prop::collection::vec(0_usize..90, 0..6)) {
            let text = b"{\"epoch\": 1, \"a\": 1}\n{\"epoch\": 2, \"a\": \"NaN\", \"\xc3\xa4\": 2}\n{\"b\": Infinity}\n";
            let mut whole = MetricsFile::default();
            whole.feed(text).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut parts = MetricsFile::default();
            let mut begin = 0;
            for end in cuts.into_iter().chain([text.len()]) {
                parts.feed(&text[begin..end]).unwrap();
                begin = end;
            }
            prop_assert_eq!(parts.last(), whole.last());
            prop_assert_eq!(&parts.epochs, &whole.epochs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = MetricsFile::default();
            let _ = file.feed(&bytes).and_then(|_| file.finish());
            let _ = last_json_line(&String::from_utf8_lossy(&bytes));
        }
    }
}
