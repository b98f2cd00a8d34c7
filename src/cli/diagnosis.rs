//! Draws a `Diagnosis` of a sweep file for a terminal: the offending text underlined in a short
//! excerpt, with place, label and help. The only file that knows miette; `main` prints the string
//! that it returns.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use crate::spec::{Diagnosis, Problem, is_invisible};

/// The diagnosis as text, its lines wrapped at `width` columns, with ANSI colours where `color`
/// says so.
pub fn render(diagnosis: &Diagnosis, color: bool, width: usize) -> String {
    let width = width.clamp(40, 160);
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let starts: Vec<usize> = std::iter::once(0)
        .chain(
            diagnosis
                .source
                .match_indices('\n')
                .map(|(newline, _)| newline + 1),
        )
        .collect();
    let mut out = String::new();
    for problem in &diagnosis.problems {
        let shown = Shown::new(diagnosis, problem, &starts, width);
        if handler.render_report(&mut out, &shown).is_err() {
            // The handler fails on places it cannot find; the plain words are always there.
            out.push_str(&format!(
                "{}:{}:{}: {}\n",
                diagnosis.file, problem.line, problem.column, problem.message
            ));
        }
        out.push('\n');
    }
    match diagnosis.rest() {
        Some(rest) => out.push_str(&format!("{rest}\n")),
        None if diagnosis.problems.len() > 1 => {
            out.push_str(&format!("{} problems\n", diagnosis.problems.len()))
        }
        None => {}
    }
    out
}

/// One problem as miette wants it.
#[derive(Debug)]
struct Shown<'d> {
    message: String,
    help: Option<&'d str>,
    excerpt: Option<Excerpt<'d>>,
    labels: Vec<LabeledSpan>,
}

impl<'d> Shown<'d> {
    fn new(diagnosis: &'d Diagnosis, problem: &'d Problem, starts: &[usize], width: usize) -> Self {
        let help = problem.help.as_deref();
        if diagnosis.source.is_empty() {
            let message = format!("{}: {}", diagnosis.file, problem.message);
            return Self {
                message,
                help,
                excerpt: None,
                labels: Vec::new(),
            };
        }
        let mut places: Vec<&Range<usize>> = vec![&problem.span];
        places.extend(problem.also.as_ref().map(|(span, _)| span));
        let excerpt = Excerpt::new(diagnosis, problem, starts, &places, width);
        let mut labels = Vec::new();
        if let Some(span) = excerpt.place(&problem.span) {
            labels.push(LabeledSpan::new_primary_with_span(
                Some(problem.label.clone()),
                span,
            ));
        }
        if let Some((span, label)) = &problem.also
            && let Some(span) = excerpt.place(span)
        {
            labels.push(LabeledSpan::new_with_span(Some(label.clone()), span));
        }
        Self {
            message: problem.message.clone(),
            help,
            excerpt: Some(excerpt),
            labels,
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt
            .as_ref()
            .map(|excerpt| excerpt as &dyn SourceCode)
    }
}

/// The lines around a problem, long ones cut: a file of one line of a megabyte must not fill the
/// terminal.
#[derive(Debug)]
struct Excerpt<'d> {
    file: &'d str,
    /// Where the problem is, as the header names it.
    problem: &'d Problem,
    /// Where that is in the excerpt.
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
    fn new(
        diagnosis: &'d Diagnosis,
        problem: &'d Problem,
        starts: &[usize],
        places: &[&Range<usize>],
        width: usize,
    ) -> Self {
        let source = &diagnosis.source;
        let line_of = |at: usize| {
            starts
                .partition_point(|start| *start <= at)
                .saturating_sub(1)
        };
        // The empty line after the last newline is nothing to show.
        let last = line_of(source.len().saturating_sub(1));
        let mut wanted: Vec<Range<usize>> = places
            .iter()
            .map(|place| line_of(place.start))
            .map(|line| line.saturating_sub(1)..(line + 2).min(last + 1).max(line + 1))
            .collect();
        wanted.sort_by_key(|lines| lines.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for lines in wanted {
            match merged.last_mut() {
                Some(before) if lines.start <= before.end + 1 => {
                    before.end = before.end.max(lines.end)
                }
                _ => merged.push(lines),
            }
        }
        let mut base = 0;
        let mut chunks = Vec::new();
        for lines in merged {
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

    /// Where a place of the source is in the excerpt; nothing where it was cut away.
    fn place(&self, span: &Range<usize>) -> Option<SourceSpan> {
        let lines = self.chunks.iter().flat_map(|chunk| &chunk.lines);
        let line = lines
            .into_iter()
            .find(|line| line.source.start <= span.start && span.start <= line.source.end)?;
        let (first, last) = (line.shown.first()?, line.shown.last()?);
        if span.start < first.0 || span.start > last.0 {
            return None;
        }
        let shown = |at: usize| {
            line.shown
                .iter()
                .find(|(source, _)| *source >= at)
                .unwrap_or(last)
                .1
        };
        let (start, end) = (shown(span.start), shown(span.end));
        Some((start, end - start).into())
    }
}

impl Chunk {
    /// Adds a line of the source, cut to the part around the places in it.
    fn add(&mut self, source: &str, line: Range<usize>, places: &[&Range<usize>], width: usize) {
        let text = source[line.clone()].trim_end_matches('\r');
        let room = width.saturating_sub(12).max(24);
        let characters = text.chars().count();
        let column = |at: usize| {
            source[line.start..at.min(line.start + text.len())]
                .chars()
                .count()
        };
        let mut here = places
            .iter()
            .filter(|place| line.start <= place.start && place.start <= line.end);
        let start = match here.next() {
            Some(first) if characters > room => {
                let (from, to) = (column(first.start), column(first.end));
                // The second place too, where both fit.
                let from = match here.next().map(|second| column(second.start)) {
                    Some(second) if to.max(second) - from.min(second) < room * 3 / 4 => {
                        from.min(second)
                    }
                    _ => from,
                };
                from.saturating_sub(room / 4).min(characters - room)
            }
            _ => 0,
        };
        let mut shown = Vec::new();
        if start > 0 {
            self.text.push('…');
        }
        let mut at = line.end;
        for (offset, c) in text.char_indices().skip(start).take(room) {
            shown.push((line.start + offset, self.base + self.text.len()));
            // An escape sequence in the file must not reach the terminal.
            self.text.push(if is_invisible(c) && c != '\t' {
                '\u{fffd}'
            } else {
                c
            });
            at = line.start + offset + c.len_utf8();
        }
        shown.push((at, self.base + self.text.len()));
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

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let fits = |chunk: &&Chunk| {
            chunk.base <= span.offset()
                && span.offset() + span.len() <= chunk.base + chunk.text.len()
        };
        let chunk = self
            .chunks
            .iter()
            .find(fits)
            .ok_or(MietteError::OutOfBounds)?;
        let inner = SourceSpan::from((span.offset() - chunk.base, span.len()));
        let contents = chunk.text.as_str().read_span(&inner, before, after)?;
        let place =
            SourceSpan::from((contents.span().offset() + chunk.base, contents.span().len()));
        // Cutting moved the column, and miette counts bytes: the problem knows better.
        let column = if span.offset() == self.primary {
            self.problem.column - 1
        } else {
            contents.column()
        };
        let line = contents.line() + chunk.line;
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.to_owned(),
            contents.data(),
            place,
            line,
            column,
            contents.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read;

    fn diagnosis(text: &str) -> Diagnosis {
        match read(text, "sweeps/mine.yaml") {
            Ok(spec) => panic!("accepted: {spec:?}"),
            Err(diagnosis) => diagnosis,
        }
    }

    /// The first line keeps insta from eating the indentation of the others.
    fn drawn(text: &str, width: usize) -> String {
        format!("drawn:\n{}", render(&diagnosis(text), false, width))
    }

    const REST: &str = "worker: [w]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 1, final: 1}\nparameters: {lr: {value: 1}}\n";

    #[test]
    fn place_excerpt_label_and_help() {
        insta::assert_snapshot!(drawn(&format!("# β\nname: a b\n{REST}"), 100), @"
drawn:
  × `a b` cannot be the name of a folder of results
   ╭─[sweeps/mine.yaml:2:7]
 1 │ # β
 2 │ name: a b
   ·       ─┬─
   ·        ╰── not a good name
 3 │ worker: [w]
   ╰────
  help: write `a-b`: a name has at most 64 letters, digits, dots, underscores and hyphens, a
        letter or digit first
");
    }

    #[test]
    fn narrow_terminals() {
        insta::assert_snapshot!(drawn(&format!("name: t # a comment that goes on and on and on\ndescriptoin: much longer than the terminal is wide, by far\n{REST}"), 50), @r#"
drawn:
  × unknown key `descriptoin` in the sweep file
   ╭─[sweeps/mine.yaml:2:1]
 1 │ name: t # a comment that goes on and o…
 2 │ descriptoin: much longer than the term…
   · ─────┬─────
   ·      ╰── unknown key
 3 │ worker: [w]
   ╰────
  help: did you mean `description`? known keys:
        name, description, task, worker,
        affinity, program, command, env,
        workdir, method, metric, seeds, prune,
        parameters, zip, exclude, grids, arms,
        limits, resources, launcher, published,
        project, entity, apiVersion, kind and
        claims
"#);
    }

    #[test]
    fn wide_characters_tabs_and_windows_line_ends() {
        insta::assert_snapshot!(drawn(&format!("name: t\r\ndescription: 日本\t語\r\nx日: [日]\r\n{REST}"), 80), @r#"
drawn:
  × unknown key `x日` in the sweep file
   ╭─[sweeps/mine.yaml:3:1]
 2 │ description: 日本   語
 3 │ x日: [日]
   · ─┬─
   ·  ╰── unknown key
 4 │ worker: [w]
   ╰────
  help: known keys: name, description, task, worker, affinity, program,
        command, env, workdir, method, metric, seeds, prune, parameters, zip,
        exclude, grids, arms, limits, resources, launcher, published, project,
        entity, apiVersion, kind and claims
"#);
    }

    #[test]
    fn colours_only_on_request() {
        let diagnosis = diagnosis(&format!("name: a b\n{REST}"));
        let (plain, colour) = (render(&diagnosis, false, 80), render(&diagnosis, true, 80));
        assert!(!plain.contains('\u{1b}'));
        assert!(colour.contains("\u{1b}["));
        // The same text under the colours.
        let mut bare = String::new();
        let mut rest = colour.as_str();
        while let Some(start) = rest.find("\u{1b}[") {
            bare.push_str(&rest[..start]);
            rest = rest[start..].split_once('m').map_or("", |(_, after)| after);
        }
        bare.push_str(rest);
        assert_eq!(bare, plain);
    }

    #[test]
    fn escape_sequences_in_the_file_do_not_reach_the_terminal() {
        let text = format!("name: \"\u{202e}t\" # \u{202e}\u{200b}\n\"a\\e[31m\": 1\n{REST}");
        let drawn = render(&diagnosis(&text), false, 80);
        assert!(
            !drawn.contains(['\u{1b}', '\u{202e}', '\u{200b}']),
            "{drawn}"
        );
    }

    #[test]
    fn one_line_each_without_a_terminal() {
        let text = format!("nam: x\nmethod: bayes\n{REST}");
        insta::assert_snapshot!(diagnosis(&text).to_string(), @r#"
sweeps/mine.yaml:1:1: unknown key `nam` in the sweep file (did you mean `name`? known keys: name, description, task, worker, affinity, program, command, env, workdir, method, metric, seeds, prune, parameters, zip, exclude, grids, arms, limits, resources, launcher, published, project, entity, apiVersion, kind and claims)
sweeps/mine.yaml:2:9: the method `bayes` is not supported: pentagrid runs full grids only (write `method: grid`, and list the values of every parameter)
"#);
    }
}
