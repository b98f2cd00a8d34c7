//! The sweep file while it is read: the tree, the problems so far, and the keys that are missing.

use crate::spec::free_text;
use crate::spec::parameters;
use crate::spec::problem::{Problems, Span, listed};
use crate::spec::tree::{Entry, Fields, Kind, Node};

/// The arm of a sweep without arms.
pub(super) const MAIN: &str = "main";

/// The sweep file while it is read.
pub(super) struct Document<'d, 's> {
    pub root: &'d Node,
    pub problems: &'d mut Problems<'s>,
    /// Required keys that are missing, each with how to write it.
    pub missing: Vec<(&'static str, &'static str)>,
    /// The name of a sweep without a name and a program.
    pub unnamed: String,
    /// Names of all parameters of the file.
    pub parameters: Vec<String>,
}

impl<'d, 's> Document<'d, 's> {
    pub(super) fn new(root: &'d Node, unnamed: String, problems: &'d mut Problems<'s>) -> Self {
        Self {
            root,
            problems,
            missing: Vec::new(),
            unnamed,
            parameters: parameters::names(root),
        }
    }

    /// The names of the arms, including those that could not be read.
    pub(super) fn arm_names<'n>(fields: &Fields<'n>) -> Vec<&'n str> {
        match fields.get("arms").map(|arms| &arms.value.kind) {
            Some(Kind::Map(arms)) => arms.iter().map(|arm| &*arm.key).collect(),
            _ => vec![MAIN],
        }
    }

    /// The entry of a required key.
    pub(super) fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &'static str,
        example: &'static str,
    ) -> Option<&'n Entry> {
        if fields.lacks(key) {
            self.missing.push((key, example));
        }
        fields.get(key)
    }

    /// Reports all that is missing as one problem: it has no place of its own in the file.
    pub(super) fn report_missing(&mut self) {
        if self.missing.is_empty() {
            return;
        }
        let names: Vec<String> = self
            .missing
            .iter()
            .map(|(key, _)| format!("`{key}`"))
            .collect();
        let examples: Vec<String> = self
            .missing
            .iter()
            .map(|(_, example)| format!("`{example}`"))
            .collect();

        let start = self.root.span.start;
        self.problems.report(
            Span::new(start, start),
            format!("the sweep file lacks {}", listed(&names, "and")),
            "somewhere here",
            format!("add {}", listed(&examples, "and")),
        );
    }

    pub(super) fn line(
        &mut self,
        entry: &Entry,
        max_chars: usize,
        multiline: bool,
    ) -> Option<String> {
        free_text::line(entry, max_chars, multiline, self.problems)
    }
}
