//! A parameter of the sweep file with its values, and which of these are repeated.

use std::collections::HashMap;

use crate::spec::args_forms::PartialForm;
use crate::spec::clause::Clause;
use crate::spec::problem::{Finding, Problems, Span, quoted};
use crate::spec::task::{ParamType, TaskParam};
use crate::spec::tree::Entry;
use pentagrid_protocol::ParamValue;

/// A parameter as written.
#[derive(Debug)]
pub(in crate::spec) struct Param {
    /// Its full name.
    pub name: String,
    /// The place of its (last) name.
    pub span: Span,
    /// Its values and their places; incomplete if `broken`.
    pub values: Vec<(ParamValue, Span)>,
    /// A problem with it has been reported, so that nothing should be concluded from its values.
    pub broken: bool,
    /// The type of its values, if it is known.
    pub ty: Option<ParamType>,
    /// The condition under which it exists; None: it always exists.
    pub when: Option<Vec<Clause>>,
    /// How it is written as an argument, if it says so itself.
    pub form: Option<PartialForm>,
    /// Repeated values: their numbers, and those of the earlier ones. Only a `zip` may tell them
    /// apart.
    pub repeats: Vec<(usize, usize)>,
    /// The built-in task's entry of that name.
    pub builtin: Option<&'static TaskParam>,
}

impl Param {
    pub(crate) fn new(entry: &Entry, name: String, builtin: Option<&'static TaskParam>) -> Self {
        Self {
            name,
            span: entry.key_span,
            values: Vec::new(),
            broken: false,
            ty: None,
            when: None,
            form: None,
            repeats: Vec::new(),
            builtin,
        }
    }

    /// Records which values are repeated.
    pub(crate) fn find_repeats(&mut self) {
        let mut first: HashMap<(&'static str, String), usize> = HashMap::new();
        for (number, (value, _)) in self.values.iter().enumerate() {
            let earlier = *first
                .entry((value.kind(), value.to_string()))
                .or_insert(number);
            if earlier != number {
                self.repeats.push((number, earlier));
            }
        }
    }

    /// Reports the repeated values.
    pub(crate) fn report_repeats(&self, problems: &mut Problems<'_>) {
        for (again, earlier) in &self.repeats {
            if problems.is_full() {
                return;
            }
            let (value, span) = &self.values[*again];
            let earlier = self.values[*earlier].1;

            let shown = match value {
                ParamValue::Text(text) => quoted(text),
                other => other.to_string(),
            };
            let line = problems.line(earlier);
            let message = format!(
                "{}: the value {shown} is here twice, first in line {line}",
                self.name
            );
            // `1.10` and `1.1` may be versions.
            let help = if are_spellings_of_a_number(*span, earlier, problems.source()) {
                "they are one number: remove one of them, or quote both if they are texts"
            } else {
                "remove one of them"
            };
            problems.add(
                Finding::new(*span, message, "again")
                    .also(earlier, "first here")
                    .help(help),
            );
        }
    }
}

/// Whether two values are written differently and without quotes, as numbers.
fn are_spellings_of_a_number(first: Span, second: Span, source: &str) -> bool {
    let first = source.get(first.start..first.end).unwrap_or_default();
    let second = source.get(second.start..second.end).unwrap_or_default();
    first != second && starts_like_a_number(first) && starts_like_a_number(second)
}

fn starts_like_a_number(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter))
}
