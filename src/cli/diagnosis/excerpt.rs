//! The lines around a problem, for miette. Long lines are cut: a file of one line of a megabyte must
//! not fill the terminal.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::spec::{Diagnosis, Problem, is_invisible};

/// The lines around a problem.
#[derive(Debug)]
pub(super) struct Excerpt<'d> {
    file: &'d str,
    /// Its place is what the header names.
    problem: &'d Problem,
    /// Where that place is in the excerpt.
    primary: usize,
    chunks: Vec<Chunk>,
}

/// Neighbouring lines.
#[derive(Debug)]
struct Chunk {
    text: String,
    /// Its first line, from 0.
    line: usize,
    /// Its first byte in the excerpt.
    base: usize,
    lines: Vec<Line>,
}

/// One line of a chunk: which bytes of the source it shows, and where each shown character went.
#[derive(Debug)]
struct Line {
    /// In the source, of the whole line.
    source: Range<usize>,
    /// Source offset and excerpt offset of each shown character, and of the end.
    shown: Vec<(usize, usize)>,
}

impl<'d> Excerpt<'d> {
    pub(super) fn new(
        diagnosis: &'d Diagnosis,
        problem: &'d Problem,
        starts: &[usize],
        places: &[&Range<usize>],
        width: usize,
    ) -> Self {
        let source = &diagnosis.source;
        let mut base = 0;
        let mut chunks = Vec::new();
        for lines in lines_to_show(source, starts, places) {
            let mut chunk = Chunk {
                text: String::new(),
                line: lines.start,
                base,
                lines: Vec::new(),
            };
            for line in lines {
                let end = starts.get(line + 1).map_or(source.len(), |next| next - 1);
                chunk.add(source, starts[line]..end, places, width);
            }
            base += chunk.text.len() + 1;
            chunks.push(chunk);
        }

        let mut excerpt = Self {
            file: &diagnosis.file,
            problem,
            primary: 0,
            chunks,
        };
        excerpt.primary = excerpt.place(&problem.span).map_or(0, |span| span.offset());
        excerpt
    }

    /// Returns where a place of the source is in the excerpt, unless it was cut away.
    pub(super) fn place(&self, span: &Range<usize>) -> Option<SourceSpan> {
        let line = self
            .chunks
            .iter()
            .flat_map(|chunk| &chunk.lines)
            .find(|line| line.source.start <= span.start && span.start <= line.source.end)?;
        let first = line.shown.first()?;
        let last = line.shown.last()?;
        if span.start < first.0 || span.start > last.0 {
            return None;
        }

        let start = line.shown_at(span.start)?;
        let end = line.shown_at(span.end)?;
        Some((start, end - start).into())
    }
}

/// Returns the lines of the places, each with its neighbours, as ranges that do not touch.
fn lines_to_show(source: &str, starts: &[usize], places: &[&Range<usize>]) -> Vec<Range<usize>> {
    // The empty line after the last newline is not shown.
    let last = line_of(source.len().saturating_sub(1), starts);
    let mut wanted: Vec<Range<usize>> = places
        .iter()
        .map(|place| line_of(place.start, starts))
        .map(|line| line.saturating_sub(1)..(line + 2).min(last + 1).max(line + 1))
        .collect();
    wanted.sort_by_key(|lines| lines.start);

    let mut merged: Vec<Range<usize>> = Vec::new();
    for lines in wanted {
        match merged.last_mut() {
            Some(before) if lines.start <= before.end + 1 => {
                before.end = before.end.max(lines.end);
            }
            _ => merged.push(lines),
        }
    }
    merged
}

/// Returns the line of a byte of the source. `starts` holds the first byte of each line.
fn line_of(at: usize, starts: &[usize]) -> usize {
    starts
        .partition_point(|start| *start <= at)
        .saturating_sub(1)
}

impl Line {
    /// Returns the excerpt offset of the first shown character at or after a place of the source,
    /// or of the end.
    fn shown_at(&self, at: usize) -> Option<usize> {
        let found = self.shown.iter().find(|(source, _)| *source >= at);
        found.or(self.shown.last()).map(|(_, shown)| *shown)
    }
}

impl Chunk {
    /// Adds a line of the source, cut to the part around the places in it.
    fn add(&mut self, source: &str, line: Range<usize>, places: &[&Range<usize>], width: usize) {
        let text = source[line.clone()].trim_end_matches('\r');
        let room = width.saturating_sub(12).max(24);
        let characters = text.chars().count();
        let start = if characters > room {
            first_shown(text, line.clone(), places, room).min(characters - room)
        } else {
            0
        };

        if start > 0 {
            self.text.push('…');
        }
        let mut shown = Vec::new();
        let mut end = line.end;
        for (offset, c) in text.char_indices().skip(start).take(room) {
            shown.push((line.start + offset, self.base + self.text.len()));
            // An escape sequence in the file must not reach the terminal.
            self.text.push(if is_invisible(c) && c != '\t' {
                '\u{fffd}'
            } else {
                c
            });
            end = line.start + offset + c.len_utf8();
        }
        shown.push((end, self.base + self.text.len()));
        if start + room < characters {
            self.text.push('…');
        }
        self.text.push('\n');

        self.lines.push(Line {
            source: line,
            shown,
        });
    }
}

/// Returns the first column to show of a line that is longer than the room: a quarter of the room
/// before the first place in it, or before the second place where both fit.
fn first_shown(text: &str, line: Range<usize>, places: &[&Range<usize>], room: usize) -> usize {
    let mut here = places
        .iter()
        .filter(|place| line.start <= place.start && place.start <= line.end);
    let Some(first) = here.next() else {
        return 0;
    };

    let mut from = column(text, line.start, first.start);
    let to = column(text, line.start, first.end);
    if let Some(second) = here.next() {
        let second = column(text, line.start, second.start);
        if to.max(second) - from.min(second) < room * 3 / 4 {
            from = from.min(second);
        }
    }
    from.saturating_sub(room / 4)
}

/// Returns the column of a byte of the source in a line that starts at `start`, in characters.
fn column(text: &str, start: usize, at: usize) -> usize {
    text[..(at - start).min(text.len())].chars().count()
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let end = span.offset() + span.len();
        let chunk = self
            .chunks
            .iter()
            .find(|chunk| chunk.base <= span.offset() && end <= chunk.base + chunk.text.len())
            .ok_or(MietteError::OutOfBounds)?;
        let inner = SourceSpan::from((span.offset() - chunk.base, span.len()));
        let contents = chunk.text.as_str().read_span(&inner, before, after)?;
        let place =
            SourceSpan::from((contents.span().offset() + chunk.base, contents.span().len()));

        // Cutting moved the column, and miette counts bytes: the problem has the right one.
        let column = if span.offset() == self.primary {
            self.problem.column - 1
        } else {
            contents.column()
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.to_owned(),
            contents.data(),
            place,
            contents.line() + chunk.line,
            column,
            contents.line_count(),
        )))
    }
}
