//! Draws a `Diagnosis` of a sweep file for a terminal: the offending text underlined in a short
//! excerpt, with place, label and help. Only this file and its excerpts know miette; the printer
//! writes the string.

mod excerpt;

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use self::excerpt::Excerpt;
use crate::spec::{Diagnosis, Problem};
use crate::text::count;

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

    let mut starts = vec![0];
    starts.extend(
        diagnosis
            .source
            .match_indices('\n')
            .map(|(newline, _)| newline + 1),
    );

    let mut out = String::new();
    for problem in &diagnosis.problems {
        let shown = Shown::new(diagnosis, problem, &starts, width);
        if handler.render_report(&mut out, &shown).is_err() {
            // The handler fails on places that it cannot find; the message needs no place.
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
            out.push_str(&format!("{}\n", count(diagnosis.problems.len(), "problem")));
        }
        None => {}
    }
    out
}

/// One problem, as miette draws it.
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
        insta::assert_snapshot!(drawn(&format!("name: t # a comment that goes on and on and on\ndescriptoin: much longer than the terminal is wide, by far\n{REST}"), 50), @"
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
        affinity, program, command, args, env,
        workdir, method, metric, metrics, seeds,
        prune, parameters, zip, exclude, grids,
        arms, limits, resources, launcher,
        timed, published, project, entity,
        apiVersion, kind and claims
");
    }

    #[test]
    fn wide_characters_tabs_and_windows_line_ends() {
        insta::assert_snapshot!(drawn(&format!("name: t\r\ndescription: 日本\t語\r\nx日: [日]\r\n{REST}"), 80), @"
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
        command, args, env, workdir, method, metric, metrics, seeds, prune,
        parameters, zip, exclude, grids, arms, limits, resources, launcher,
        timed, published, project, entity, apiVersion, kind and claims
");
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
        insta::assert_snapshot!(diagnosis(&text).to_string(), @"
sweeps/mine.yaml:1:1: unknown key `nam` in the sweep file (did you mean `name`? known keys: name, description, task, worker, affinity, program, command, args, env, workdir, method, metric, metrics, seeds, prune, parameters, zip, exclude, grids, arms, limits, resources, launcher, timed, published, project, entity, apiVersion, kind and claims)
sweeps/mine.yaml:2:9: the method `bayes` is not supported: pentagrid runs full grids only (write `method: grid`, and list the values of every parameter)
");
    }
}
