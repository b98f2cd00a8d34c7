//! What is wrong with a sweep file, as plain data: `Diagnosis` and its `Problem`s, and the
//! collector to which the reader's stages add findings. `cli/diagnosis.rs` draws a diagnosis on a
//! terminal.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use super::MAX_BYTES;
use crate::text;

/// Maximum number of problems in a diagnosis; the rest are counted.
const MAX_SHOWN: usize = 20;

/// Maximum number of findings that the collector takes, so that a hostile file cannot make it grow.
const MAX_COLLECTED: usize = 200;

/// Maximum number of characters of a text from the file in a message.
const MAX_BRIEF: usize = 48;

/// Everything that is wrong with a sweep file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The file, as the caller named it.
    pub file: String,
    /// Its text, without a byte order mark; the spans count bytes of this text.
    pub source: String,
    /// What is wrong, in the order of the file; never empty.
    pub problems: Vec<Problem>,
    /// How many more problems were found than `problems` holds; the reader stops looking after 200.
    pub omitted: usize,
}

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The offending bytes of the source; they lie in one line.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// A few words to show under the offending text.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// A second place that explains the first: its bytes and a few words.
    pub also: Option<(Range<usize>, String)>,
}

impl Diagnosis {
    /// Creates the diagnosis of a file that is larger than [`MAX_BYTES`], for callers that check
    /// the size before they read.
    pub fn too_large(file: &str, bytes: u64) -> Self {
        let message = format!(
            "the file has {} bytes; a sweep file may have {}",
            count(bytes.into()),
            count(MAX_BYTES as u128)
        );
        Self::of_whole_file(
            file,
            String::new(),
            0..0,
            message,
            "is this really a sweep file?",
        )
    }

    /// Creates the diagnosis of a file that is not UTF-8.
    pub fn not_utf8(file: &str, bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);

        // The source ends shortly after the place, which is enough to show it.
        let source = String::from_utf8_lossy(&bytes[..bytes.len().min(valid + 80)]).into_owned();
        let span = tidy(&source, Span::new(valid, valid));
        Self::of_whole_file(
            file,
            source,
            span,
            "the file is not UTF-8 text".to_owned(),
            "save it with the encoding UTF-8",
        )
    }

    /// "and 7 more problems", if there are more than `problems` holds.
    pub fn rest(&self) -> Option<String> {
        if self.omitted == 0 {
            return None;
        }
        let least = if self.omitted >= MAX_COLLECTED - MAX_SHOWN {
            "at least "
        } else {
            ""
        };
        let problems = text::count(self.omitted, "more problem");
        Some(format!("and {least}{problems}"))
    }

    fn of_whole_file(
        file: &str,
        source: String,
        span: Range<usize>,
        message: String,
        help: &str,
    ) -> Self {
        let (line, column) = Lines::new(&source).position(&source, span.start);

        let problem = Problem {
            span,
            line,
            column,
            message,
            label: "here".to_owned(),
            help: Some(help.to_owned()),
            also: None,
        };

        Self {
            file: file.to_owned(),
            source,
            problems: vec![problem],
            omitted: 0,
        }
    }
}

/// One line for each problem: `file:line:column: message (help)`.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(
                f,
                "{newline}{}:{}:{}: {}",
                self.file, problem.line, problem.column, problem.message
            )?;
            if let Some(help) = &problem.help {
                write!(f, " ({help})")?;
            }
        }
        match self.rest() {
            Some(rest) => write!(f, "\n{}: {rest}", self.file),
            None => Ok(()),
        }
    }
}

// Not derived: `thiserror` would take the field `source` for the error that caused this one.
impl std::error::Error for Diagnosis {}

/// A place in the source, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(super) fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// This place, or the other if this one is empty: an absent value has no text to underline.
    pub(super) fn or(self, other: Self) -> Self {
        if self.is_empty() { other } else { self }
    }
}

/// A problem before its line and column are known.
#[derive(Debug)]
pub(super) struct Finding {
    span: Span,
    message: String,
    label: String,
    help: Option<String>,
    also: Option<(Span, String)>,
}

impl Finding {
    pub(super) fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            label: label.into(),
            help: None,
            also: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn help_opt(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(super) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    fn into_problem(self, source: &str, lines: &Lines) -> Problem {
        let span = tidy(source, self.span);
        let (line, column) = lines.position(source, span.start);
        let also = self.also.map(|(place, label)| (tidy(source, place), label));
        Problem {
            span,
            line,
            column,
            message: self.message,
            label: self.label,
            help: self.help,
            also,
        }
    }
}

/// Collects findings while a file is read.
#[derive(Debug)]
pub(super) struct Problems<'s> {
    source: &'s str,
    lines: Lines,
    found: Vec<Finding>,
    /// A text may be read more than once, through an alias or through several arms.
    seen: HashSet<(Span, String)>,
}

impl<'s> Problems<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            source,
            lines: Lines::new(source),
            found: Vec::new(),
            seen: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if !self.is_full() && self.seen.insert((finding.span, finding.message.clone())) {
            self.found.push(finding);
        }
    }

    /// Adds a finding with help and no second place.
    pub(super) fn report(
        &mut self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Finding::new(span, message, label).help(help));
    }

    /// Whether no more findings are taken. Loops over long lists of the file stop then.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_COLLECTED
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many problems there are so far.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn source(&self) -> &'s str {
        self.source
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, span: Span) -> usize {
        self.lines.position(self.source, span.start).0
    }

    pub(super) fn into_diagnosis(mut self, file: &str) -> Diagnosis {
        // The sort is stable: findings of one place stay in the order in which they were made.
        self.found.sort_by_key(|finding| finding.span);

        let omitted = self.found.len().saturating_sub(MAX_SHOWN);
        let problems = self
            .found
            .into_iter()
            .take(MAX_SHOWN)
            .map(|finding| finding.into_problem(self.source, &self.lines))
            .collect();
        Diagnosis {
            file: file.to_owned(),
            source: self.source.to_owned(),
            problems,
            omitted,
        }
    }
}

/// Fits a span for display: inside the source, on character boundaries, in one line, and not empty
/// unless it is at the end of the line.
fn tidy(source: &str, span: Span) -> Range<usize> {
    let mut start = span.start.min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }

    let mut end = span.end.clamp(start, source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }

    let line_end = source[start..]
        .find(['\n', '\r'])
        .map_or(source.len(), |length| start + length);
    end = end.min(line_end);
    end = start + source[start..end].trim_end().len();
    if end == start && start < line_end {
        end = start + source[start..].chars().next().map_or(0, char::len_utf8);
    }
    start..end
}

/// Where the lines of a text begin.
#[derive(Debug)]
struct Lines(Vec<usize>);

impl Lines {
    fn new(source: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(source.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// Line and column of a byte, both from 1, the column in characters.
    fn position(&self, source: &str, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at).max(1);
        let start = self.0[line - 1];
        let before = source.get(start..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// Prepares a text from the file for a message: short, without control characters.
pub(super) fn brief(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(MAX_BRIEF) {
        if is_invisible(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    if text.chars().nth(MAX_BRIEF).is_some() {
        shown.push('…');
    }
    shown
}

/// Like `brief`, in backticks.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", brief(text))
}

/// Whether a character must be escaped on a terminal, since it is invisible or changes how other
/// text is shown.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// "a", "a and b", "a, b and c".
pub(super) fn listed<S: AsRef<str>>(items: &[S], last: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [rest @ .., end] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", rest.join(", "), end.as_ref())
        }
    }
}

/// A whole number with thousands separators: `1,234,567`. A saturated one is "more than 10^18".
pub(super) fn count(number: u128) -> String {
    if number >= 1_000_000_000_000_000_000 {
        return format!("more than 10^{}", number.ilog10());
    }
    text::thousands(number)
}
