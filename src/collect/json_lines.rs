//! Parses pentagrid's own dialect, JSON lines: numbers are metrics, anything else is a note, and a
//! line with an epoch or a step is a row of history. `docs/programs.md` describes it for users.

use super::literal::{ObjectError, object};
use super::table::{Line, Rows, Table};
use crate::protocol::{MAX_LINE, Reported, note_text};

/// Maximum length of a line of a metrics file, in bytes. It allows for a list of a million numbers
/// beside the metrics.
const MAX_METRICS_LINE: usize = 16 << 20;
/// How much of a line is quoted in a message, in characters.
const MAX_QUOTED: usize = 80;

/// What is wrong with a metrics file.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A line is too long.
    #[error("line {line} of the metrics file is longer than {limit} bytes")]
    LineTooLong {
        /// The number of the line.
        line: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A line is not an object.
    #[error("line {line} of the metrics file {error}: {text}")]
    NotAnObject {
        /// The number of the line.
        line: u64,
        /// What it is instead.
        error: ObjectError,
        /// The beginning of the line.
        text: String,
    },
    /// The metric of the sweep is not a number.
    #[error(
        "line {line} of the metrics file has {metric:?}, which the sweep selects by, as {value:?}, which is not a number: {text}"
    )]
    NotANumber {
        /// The number of the line.
        line: u64,
        /// The metric.
        metric: String,
        /// What the line has instead of a number.
        value: String,
        /// The beginning of the line.
        text: String,
    },
    /// It is a folder, a pipe or the like.
    #[error("the metrics file is {0}, not a plain file")]
    NotAFile(&'static str),
    /// It has become shorter.
    #[error("the metrics file got shorter ({read} bytes, then {size}): open it to append")]
    Shortened {
        /// How much of it was read, in bytes.
        read: u64,
        /// Its length, in bytes.
        size: u64,
    },
    /// What was read has been overwritten.
    #[error("the metrics file was overwritten: open it to append")]
    Overwritten,
    /// It cannot be read.
    #[error("cannot read the metrics file: {0}")]
    Unreadable(String),
    /// It has not arrived from the machine where the program ran.
    #[error(
        "the metrics file is {here} bytes long here, and {there} where the program ran: the run directory must be on a file system that both share"
    )]
    NotShared {
        /// Its length here, in bytes.
        here: u64,
        /// Its length where the program ran, in bytes.
        there: u64,
    },
    /// The thread that read it has panicked.
    #[error("the metrics file could not be read, because of a bug in pentagrid")]
    Panicked,
}

/// Collects the lines of a metrics file as they come.
#[derive(Debug)]
pub struct MetricsFile {
    /// The metric that the sweep selects by.
    metric: String,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
    lines: u64,
    table: Table,
}

impl MetricsFile {
    /// A file of which nothing has been read. `metric` is the one that the sweep selects by.
    pub fn new(metric: &str) -> Self {
        Self {
            metric: metric.to_owned(),
            rest: Vec::new(),
            lines: 0,
            table: Table::default(),
        }
    }

    /// Takes what was added to the file, and returns the rows that it adds to the history. A row
    /// that was returned before has only its new values.
    ///
    /// # Errors
    /// `MetricsError`, if a line is not as it should be.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Rows, MetricsError> {
        let mut rows = Rows::new();
        self.rest.extend_from_slice(bytes);
        // The lines are drained once and not one by one, which would copy the rest for each line.
        let mut buffer = std::mem::take(&mut self.rest);
        let mut begin = 0;
        while let Some(length) = buffer[begin..].iter().position(|&byte| byte == b'\n') {
            self.line(&buffer[begin..begin + length], &mut rows)?;
            begin += length + 1;
        }
        buffer.drain(..begin);
        self.rest = buffer;

        // A line that does not begin as an object will not become one.
        let may_be_an_object = self
            .rest
            .trim_ascii_start()
            .first()
            .is_none_or(|first| matches!(first, b'{' | 0xef));
        let limit = if may_be_an_object {
            MAX_METRICS_LINE
        } else {
            MAX_LINE
        };
        if self.rest.len() > limit {
            return Err(MetricsError::LineTooLong {
                line: self.lines + 1,
                limit,
            });
        }
        Ok(rows)
    }

    /// Takes a last line without a newline, after the program has ended.
    ///
    /// # Errors
    /// As `feed`.
    pub fn finish(&mut self) -> Result<Rows, MetricsError> {
        let line = std::mem::take(&mut self.rest);
        let mut rows = Rows::new();
        self.line(&line, &mut rows)?;
        Ok(rows)
    }

    /// The last value of each name, over all lines; None if there was no line.
    pub fn last(&self) -> Option<&Reported> {
        (self.lines > 0).then_some(self.table.last())
    }

    fn line(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), MetricsError> {
        // Bytes that are not UTF-8 can only be in text, which is a note. Some editors and shells
        // begin a file with a byte order mark.
        let text = String::from_utf8_lossy(line);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(());
        }
        self.lines += 1;
        let object = object(text).map_err(|error| MetricsError::NotAnObject {
            line: self.lines,
            error,
            text: quoted(text),
        })?;
        let line = Line::of(object, &self.metric);
        if let Some(value) = line.values.notes.get(&self.metric) {
            return Err(MetricsError::NotANumber {
                line: self.lines,
                metric: self.metric.clone(),
                value: quoted(&note_text(value)),
                text: quoted(text),
            });
        }
        self.table.take(line, rows);
        Ok(())
    }
}

/// The beginning of a text on one line, for a message.
pub fn quoted(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_QUOTED)
        .collect()
}

#[cfg(test)]
mod tests;
