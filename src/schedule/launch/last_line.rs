//! Finds the last line of a program's output that has its metric, for programs that write no
//! metrics file. stdout and stderr share one log: the line may follow a progress bar that ended
//! without a newline, and any amount of other text may follow it. The search goes backwards, in
//! bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::collect::{Line, object, quoted};
use crate::protocol::{Reported, note_text};

/// How far back the search goes, in bytes.
const MAX_SEARCHED: u64 = 64 << 20;
/// How much is read at once, in bytes.
const CHUNK: u64 = 64 << 10;
/// Of a longer line only the end is searched, in bytes.
const MAX_OUTPUT_LINE: usize = 1 << 20;
/// How many braces of a line are tried as the beginning of an object.
const MAX_BEGINNINGS: usize = 16;

/// What the search found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Printed {
    /// The values of the last line that has the metric.
    pub values: Option<Reported>,
    /// Without such a line: what the last line with the metric's name has instead of a number.
    pub not_a_number: Option<String>,
    /// Without such a line: the last line with other metrics.
    pub others: Option<Reported>,
}

/// Searches the part of a log from `begin` on.
///
/// # Errors
/// The operating system's, if the log cannot be read.
pub(super) fn last_line(log: &File, begin: u64, metric: &str) -> io::Result<Printed> {
    let end = log.metadata()?.len();
    let limit = begin.max(end.saturating_sub(MAX_SEARCHED));
    let mut printed = Printed::default();
    let mut from = end;
    // The end of a line of which the beginning has not been read yet.
    let mut rest: Vec<u8> = Vec::new();
    // Whether the line is too long, and its beginning is skipped.
    let mut within_long = false;
    while from > limit {
        let next = limit.max(from.saturating_sub(CHUNK));
        let mut bytes = read_at(log, next, (from - next) as usize)?;
        from = next;
        if within_long {
            let Some(place) = bytes.iter().rposition(|&byte| is_break(byte)) else {
                continue;
            };
            bytes.truncate(place + 1);
            within_long = false;
        }
        let first_break = bytes.iter().position(|&byte| is_break(byte));
        bytes.append(&mut rest);
        let whole = match first_break {
            // At the limit there is nothing before the first line.
            _ if from == limit => 0,
            Some(place) => place + 1,
            None if bytes.len() < MAX_OUTPUT_LINE => bytes.len(),
            None => {
                within_long = true;
                0
            }
        };
        for line in bytes[whole..].rsplit(|&byte| is_break(byte)) {
            if printed.take(line, metric) {
                return Ok(printed);
            }
        }
        bytes.truncate(whole);
        rest = bytes;
    }
    Ok(printed)
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn read_at(log: &File, from: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match log.read_at(&mut bytes[filled..], from + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

impl Printed {
    /// Searches a line. Returns whether it ends with an object that has the metric.
    fn take(&mut self, line: &[u8], metric: &str) -> bool {
        // Most lines have no braces.
        let Some(first) = line
            .iter()
            .position(|&byte| byte == b'{')
            .filter(|_| line.contains(&b'}'))
        else {
            return false;
        };
        let text = String::from_utf8_lossy(&line[first..]);
        let text = console::strip_ansi_codes(&text);
        let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter.is_control());
        if !text.ends_with('}') {
            return false;
        }
        let mut beginnings = text
            .match_indices('{')
            .take(MAX_BEGINNINGS)
            .map(|(place, _)| &text[place..]);
        // The first brace that begins a complete object is the outermost one.
        let Some(object) = beginnings.find_map(|text| object(text).ok()) else {
            return false;
        };
        let line = Line::of(object, metric);
        if line.values.get(metric).is_some() {
            self.values = Some(line.values);
            return true;
        }
        if let Some(value) = line
            .values
            .notes
            .get(metric)
            .filter(|_| self.not_a_number.is_none())
        {
            self.not_a_number = Some(format!(
                "{:?} in the line {}",
                quoted(&note_text(value)),
                quoted(text)
            ));
        }
        if self.others.is_none() && !line.values.numbers.0.is_empty() {
            self.others = Some(line.values);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn search(output: &[u8]) -> Printed {
        let mut log = tempfile::tempfile().unwrap();
        // The output of an earlier attempt is not searched.
        log.write_all(b"{\"loss\": 99}\n").unwrap();
        let begin = log.metadata().unwrap().len();
        log.write_all(output).unwrap();
        last_line(&log, begin, "loss").unwrap()
    }

    #[track_caller]
    fn found(output: impl AsRef<[u8]>) -> Option<f64> {
        search(output.as_ref()).values?.get("loss")
    }

    #[test]
    fn a_line_behind_a_progress_bar_is_found() {
        assert_eq!(found("\r 50%|#  |\r100%|###|{\"loss\": 0.5}\n"), Some(0.5));
        assert_eq!(
            found("\r100%|###| 9/9 [00:01<00:00]\n{\"loss\": 0.5}"),
            Some(0.5)
        );
        assert_eq!(
            found("{\"loss\": 0.5}\r100%|###|\n"),
            Some(0.5),
            "a bar in unbuffered output"
        );
        assert_eq!(
            found(
                "\u{1b}[32mINFO\u{1b}[0m result: {\"loss\": 0.5, \"a\": {\"b\": [{}]}}\u{1b}[K\r\n"
            ),
            Some(0.5)
        );
        assert_eq!(found("{broken {\"loss\": 0.5}\n"), Some(0.5));
    }

    #[test]
    fn a_line_before_any_amount_of_other_text_is_found() {
        for size in [90_000_usize, 5_000_000] {
            let lines = "other text of a library {x} that goes on\n".repeat(size / 40);
            assert_eq!(
                found(format!("{{\"loss\": 0.5}}\n{lines}")),
                Some(0.5),
                "lines of {size} bytes"
            );
            assert_eq!(
                found(format!("{{\"loss\": 0.5}}\n{}", "x".repeat(size))),
                Some(0.5),
                "one line of {size} bytes"
            );
            assert_eq!(
                found(format!("{}{{\"loss\": 0.5}}", "x".repeat(size))),
                Some(0.5),
                "behind {size} bytes"
            );
        }
        // For any position of the chunks' borders.
        let line = "{\"loss\": 0.5, \"name\": \"ä\"}";
        for after in CHUNK as usize - line.len() - 3..CHUNK as usize + 3 {
            assert_eq!(
                found(format!("before\n{line}\n{}", "y".repeat(after))),
                Some(0.5),
                "{after}"
            );
        }
    }

    #[test]
    fn the_last_line_with_the_metric_counts() {
        let output = "loading {\n{\"loss\": 1}\n{\"loss\": 0.5, \"model\": \"resnet\", \"ok\": true, \"acc\": NaN, \"epoch\": 3}\ndone\n{not json}\n{}\n\
                      {\"lr\": 0.1, \"nested\": {\"loss\": 7}}\n";
        let values = search(output.as_bytes()).values.unwrap();
        assert_eq!(
            serde_json::to_string(&values).unwrap(),
            r#"{"acc":"NaN","loss":0.5,"ok":1.0,"model":"resnet"}"#
        );
        let others = search(b"{\"acc\": 1}\nnothing {}\n");
        assert_eq!(
            (others.values, others.others.unwrap().get("acc")),
            (None, Some(1.0))
        );
        assert_eq!(search(b""), Printed::default());
        // The output of Hugging Face's trainer.
        assert_eq!(
            found("{'loss': '0.5', 'epoch': '1.0'}\n{'train_runtime': 2.5, 'epoch': 1.0}\n"),
            Some(0.5)
        );
    }

    #[test]
    fn text_in_place_of_the_metric_is_reported_unless_there_is_a_number() {
        let config = "{\"loss\": \"cross_entropy\", \"lr\": 0.1}\n";
        assert_eq!(
            found(format!("{{\"loss\": 0.5}}\n{config}")),
            Some(0.5),
            "a configuration that names its loss"
        );
        let printed = search(config.as_bytes());
        assert_eq!(
            printed.not_a_number.unwrap(),
            "\"cross_entropy\" in the line {\"loss\": \"cross_entropy\", \"lr\": 0.1}"
        );
    }
}
