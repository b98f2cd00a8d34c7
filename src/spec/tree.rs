//! The YAML tree with a place for every node, as `parse` builds it and the readers (`document`,
//! `parameters`) walk it. Collections are shared, so that an alias costs nothing.

use std::rc::Rc;

use super::foreign::Foreign;
use super::keys::Key;
use super::problem::{Problems, Span, brief, listed, quoted};
use super::similar;

/// A node. If it is reached through an alias, its own span is the alias; the spans of its children
/// are where they are written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub span: Span,
    pub kind: Kind,
    /// Number of nodes in it, with aliases expanded.
    pub size: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Rc<Vec<Node>>),
    /// Keys are unique, and merge keys are resolved.
    Map(Rc<Vec<Entry>>),
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub text: Rc<str>,
    /// Whether it is neither quoted nor a block. Only then can it be a number, a boolean or null.
    pub plain: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Rc<str>,
    pub key_span: Span,
    pub value: Node,
}

impl Entry {
    /// Where to point for a problem with the value.
    pub(super) fn at(&self) -> Span {
        self.value.span.or(self.key_span)
    }
}

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    /// Names its kind, for a message.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() || scalar.text.is_empty() => "an empty value",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// The entries of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    /// Keys that are probably there but misspelt.
    meant: Vec<&'static str>,
    /// Whether all keys are known.
    pub clean: bool,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }

    /// Whether the key is missing, and no misspelt form of it has been reported.
    pub(super) fn lacks(&self, key: &str) -> bool {
        self.get(key).is_none() && !self.meant.contains(&key)
    }
}

/// Returns the entries of a value that must be a mapping; `example` shows how to write it.
pub(super) fn entries<'n>(
    entry: &'n Entry,
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<&'n [Entry]> {
    if let Kind::Map(entries) = &entry.value.kind {
        return Some(entries);
    }
    let message = format!(
        "{} must be a mapping, not {}",
        quoted(&entry.key),
        entry.value.describe()
    );
    let help = format!("write it as `{example}`");
    problems.report(entry.at(), message, "expected a mapping", help);
    None
}

/// Like `entries`, for a mapping with known keys. Reports the others.
pub(super) fn fields<'n>(
    entry: &'n Entry,
    place: &str,
    known: &'static [Key],
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<Fields<'n>> {
    let entries = entries(entry, example, problems)?;
    Some(known_fields(entries, place, known, |_| None, problems))
}

/// Returns the entries of a mapping with known keys. Reports the others. `foreign` describes those
/// of other programs.
pub(super) fn known_fields<'n>(
    entries: &'n [Entry],
    place: &str,
    known: &'static [Key],
    foreign: fn(&str) -> Option<Foreign>,
    problems: &mut Problems<'_>,
) -> Fields<'n> {
    let names: Vec<&'static str> = known.iter().map(|key| key.name).collect();
    let mut meant = Vec::new();
    let before = problems.len();
    for entry in entries {
        if names.contains(&&*entry.key) || problems.is_full() {
            continue;
        }
        // At the top of the file: Compose's way to keep YAML anchors.
        if names.contains(&"seeds") && entry.key.starts_with("x-") {
            continue;
        }

        let span = entry.key_span;
        if let Some(foreign) = foreign(&entry.key) {
            problems.report(span, foreign.message, foreign.label, foreign.help);
            continue;
        }
        let message = format!("unknown key {} in {place}", quoted(&entry.key));
        if names.contains(&"parameters") && looks_like_parameter(&entry.value) {
            let key = brief(&entry.key);
            let help = format!("a parameter goes under `parameters`: `parameters: {{{key}: ...}}`");
            problems.report(span, message, "a parameter?", help);
        } else {
            meant.extend(similar::nearest(&entry.key, &names));
            let help = did_you_mean(&entry.key, &names, "known keys");
            problems.report(span, message, "unknown key", help);
        }
    }

    Fields {
        entries,
        meant,
        clean: problems.len() == before,
    }
}

/// Whether a value looks like that of a parameter.
fn looks_like_parameter(node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    entries
        .iter()
        .any(|entry| matches!(&*entry.key, "value" | "values" | "parameters"))
}

/// "did you mean `x`?" if a known name is similar, and the list of the known names.
pub(super) fn did_you_mean(name: &str, known: &[&str], kind: &str) -> String {
    let all = format!("{kind}: {}", listed(known, "and"));
    match similar::nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? {all}"),
        None => all,
    }
}
