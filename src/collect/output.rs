//! Metrics in what a program prints, for people, line by line. What a carriage return overwrote is
//! not read, so that progress bars do no harm.

use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::damage::{Damage, Flaw};
use super::log::Entry;
use crate::protocol::{EPOCH_KEY, STEP_KEYS};

/// Maximum length of a line; of a longer one only the end is searched, in bytes.
const MAX_LINE: usize = 64 << 10;
/// What may stand behind a number that belongs to the sentence, not to the number.
const PUNCTUATION: [char; 6] = ['.', ',', ';', ':', '%', ')'];

/// `name: number` and `name=number`.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?xi) (?<name> [a-z_][a-z0-9_./-]* ) \s* [=:] \s*
          (?<value> [+-]? (?: (?: \d+ \.? \d* | \.\d+ ) (?: e [+-]? \d+ )? | nan\b | inf(?:inity)?\b ) )",
    )
    .expect("a valid pattern")
});

/// What is a metric in a line.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The named groups of a regular expression.
    Groups(Arc<Regex>),
    /// Pairs of a name and a number.
    Pairs,
}

/// Reads what a program prints.
#[derive(Debug)]
pub(super) struct Output {
    pattern: Pattern,
    /// The beginning of a line that has not ended.
    rest: Vec<u8>,
    /// The byte of the log that the next piece begins with.
    offset: u64,
}

impl Output {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            rest: Vec::new(),
            offset: 0,
        }
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.offset += piece.len() as u64;
            match piece.strip_suffix(b"\n") {
                Some(piece) => {
                    self.extend(piece);
                    self.end_line(take)?;
                }
                None => self.extend(piece),
            }
        }
        Ok(())
    }

    /// Takes a last line without a newline.
    pub(super) fn finish(
        &mut self,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        self.end_line(take)
    }

    /// Adds to the line, as much of it as is searched.
    fn extend(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        if self.rest.len() > 2 * MAX_LINE {
            let surplus = self.rest.len() - MAX_LINE;
            self.rest.drain(..surplus);
        }
    }

    fn end_line(&mut self, take: &mut dyn FnMut(Entry) -> Result<(), Flaw>) -> Result<(), Damage> {
        let line = std::mem::take(&mut self.rest);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let shown = line.rsplit(|&byte| byte == b'\r').next().unwrap_or(line);
        let shown = &shown[shown.len().saturating_sub(MAX_LINE)..];
        if shown.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(shown);
        let values = self.pattern.values(&console::strip_ansi_codes(&text));
        if values.is_empty() {
            return Ok(());
        }
        take(Entry::Row(values)).map_err(|flaw| flaw.at(self.offset))
    }
}

impl Pattern {
    /// The metrics of a line.
    fn values(&self, line: &str) -> Map<String, Value> {
        let mut values = Map::new();
        match self {
            Self::Groups(regex) => {
                for captures in regex.captures_iter(line) {
                    insert_groups(&mut values, regex, &captures);
                }
            }
            Self::Pairs => {
                for captures in PAIR.captures_iter(line) {
                    let name = row_key(&captures["name"]);
                    values.insert(name, Value::from(&captures["value"]));
                }
            }
        }
        values
    }
}

fn insert_groups(values: &mut Map<String, Value>, regex: &Regex, captures: &Captures<'_>) {
    for name in regex.capture_names().flatten() {
        if let Some(found) = captures.name(name) {
            let text = found.as_str().trim().trim_end_matches(PUNCTUATION);
            values.insert(name.to_owned(), Value::from(text));
        }
    }
}

/// A name of a pair. `Epoch` and `Step` say where the row stands, in any case.
fn row_key(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if lower == EPOCH_KEY || STEP_KEYS.contains(&lower.as_str()) {
        lower
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pattern: &Pattern, text: &[u8], piece: usize) -> Vec<String> {
        let mut output = Output::new(pattern.clone());
        let mut rows = Vec::new();
        let mut take = |entry| {
            let Entry::Row(values) = entry else {
                panic!("{entry:?}")
            };
            rows.push(Value::Object(values).to_string());
            Ok(())
        };
        for piece in text.chunks(piece) {
            output.feed(piece, &mut take).unwrap();
        }
        output.finish(&mut take).unwrap();
        rows
    }

    fn groups(pattern: &str) -> Pattern {
        Pattern::Groups(Arc::new(Regex::new(pattern).unwrap()))
    }

    #[test]
    fn a_line_under_a_progress_bar_is_read() {
        let pattern = groups(
            r"Epoch (?P<epoch>\d+): train loss (?P<loss>[0-9.]+), val acc (?P<val_acc>[0-9.]+)%",
        );
        let printed = "\r  0%|   | 0/9, Epoch 8: train loss 9, val acc 9%\r 50%|#  |\r100%|###| 9/9\u{1b}[A\n\
                       \r100%|###|\u{1b}[32mEpoch 3: train loss 0.51, val acc 91.20%\u{1b}[0m\r\nEpoch 4: train loss nothing\n\
                       Epoch 5: train loss 1., val acc 92.%";
        for piece in [1, 7, 1000] {
            assert_eq!(
                read(&pattern, printed.as_bytes(), piece),
                [
                    r#"{"epoch":"3","loss":"0.51","val_acc":"91.20"}"#,
                    r#"{"epoch":"5","loss":"1","val_acc":"92"}"#,
                ],
                "{piece}"
            );
        }
    }

    #[test]
    fn pairs_are_names_and_numbers() {
        let printed = "12:30:45 INFO:root: Epoch: 3/10 val/acc=.5 loss: -1.5e-3, x = nan time: 3s y: infinite z:12.\nnothing here\nlr 0.1\n";
        assert_eq!(
            read(&Pattern::Pairs, printed.as_bytes(), 5),
            [r#"{"epoch":"3","val/acc":".5","loss":"-1.5e-3","x":"nan","time":"3","z":"12."}"#]
        );
    }

    #[test]
    fn of_a_line_without_end_the_end_is_searched() {
        let pattern = groups(r"acc (?P<acc>[0-9.]+)");
        let printed = [&b"acc 1 "[..], &[b'x'; 3 * MAX_LINE], b"acc 2\nacc 3\n"].concat();
        assert_eq!(
            read(&pattern, &printed, 10_000),
            [r#"{"acc":"2"}"#, r#"{"acc":"3"}"#]
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "(acc [0-9]|[\r\na: ]|\u{1b}\\[1m){0,20}", piece in 1_usize..9) {
            let pattern = groups(r"acc (?P<acc>[0-9.]+)");
            prop_assert_eq!(
                read(&pattern, text.as_bytes(), piece),
                read(&pattern, text.as_bytes(), 1000)
            );
        }
    }
}
