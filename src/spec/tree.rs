//! The YAML tree with a place for every node, as `parse` builds it and the walkers (`document`,
//! `parameters`) read it. Collections are shared, so that an alias costs nothing.

use std::rc::Rc;

use super::keys::{self, Key};
use super::problem::{Finding, Problems, Span, brief, listed, quoted};

/// A node. Reached through an alias, its own span is the alias, and its children's are where they
/// are written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub span: Span,
    pub kind: Kind,
    /// How many nodes it stands for, aliases expanded.
    pub size: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Rc<Vec<Node>>),
    /// Keys are unique; merge keys are gone.
    Map(Rc<Vec<Entry>>),
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub text: Rc<str>,
    /// Neither quoted nor a block: only such a scalar can be a number, a boolean or null.
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
    pub fn at(&self) -> Span {
        self.value.span.or(self.key_span)
    }
}

impl Scalar {
    pub fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    /// What it is, in words.
    pub fn describe(&self) -> &'static str {
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
    /// Keys that are probably there, misspelt.
    meant: Vec<&'static str>,
    /// Whether all keys are known.
    pub clean: bool,
}

impl<'n> Fields<'n> {
    pub fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }

    /// Whether the key is missing for a reason that has not been reported.
    pub fn lacks(&self, key: &str) -> bool {
        self.get(key).is_none() && !self.meant.contains(&key)
    }
}

/// The entries of a value that must be a mapping; `example` shows how to write it.
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
    problems.add(
        Finding::new(entry.at(), message, "expected a mapping")
            .help(format!("write it as `{example}`")),
    );
    None
}

/// The same, where only some keys are known: reports the others.
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

/// Reports the keys that are not known.
pub(super) fn known_fields<'n>(
    entries: &'n [Entry],
    place: &str,
    known: &'static [Key],
    foreign: fn(&str) -> Option<keys::Foreign>,
    problems: &mut Problems<'_>,
) -> Fields<'n> {
    let mut meant = Vec::new();
    let before = problems.len();
    for entry in entries {
        if known.iter().any(|key| key.name == &*entry.key) || problems.is_full() {
            continue;
        }
        let is_parameter =
            known.iter().any(|key| key.name == "parameters") && looks_like_parameter(&entry.value);
        let finding = match foreign(&entry.key) {
            None if is_parameter => {
                let message = format!("unknown key {} in {place}", quoted(&entry.key));
                let help = format!(
                    "a parameter goes under `parameters`: `parameters: {{{}: ...}}`",
                    brief(&entry.key)
                );
                Finding::new(entry.key_span, message, "a parameter?").help(help)
            }
            Some(foreign) => {
                Finding::new(entry.key_span, foreign.message, foreign.label).help(foreign.help)
            }
            None => {
                let names: Vec<&'static str> = known.iter().map(|key| key.name).collect();
                meant.extend(keys::nearest(&entry.key, &names));
                Finding::new(
                    entry.key_span,
                    format!("unknown key {} in {place}", quoted(&entry.key)),
                    "unknown key",
                )
                .help(did_you_mean(&entry.key, &names, "known keys"))
            }
        };
        problems.add(finding);
    }
    Fields {
        entries,
        meant,
        clean: problems.len() == before,
    }
}

/// Whether a value is one that a parameter has.
fn looks_like_parameter(node: &Node) -> bool {
    matches!(&node.kind, Kind::Map(entries) if entries.iter().any(|entry| matches!(&*entry.key, "value" | "values" | "parameters")))
}

/// "did you mean `x`?" where one is near, and the list of what there is.
pub(super) fn did_you_mean(name: &str, known: &[&str], kind: &str) -> String {
    let all = format!("{kind}: {}", listed(known, "and"));
    match keys::nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? {all}"),
        None => all,
    }
}
