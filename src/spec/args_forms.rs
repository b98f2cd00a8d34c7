//! Reads `args`, of the sweep or of a parameter: how lists, null and booleans are written as
//! arguments.

use super::arguments::{ArgsForm, BooleanForm, ListForm, NullForm};
use super::keys;
use super::problem::{Problems, quoted};
use super::tree::{Entry, Kind, did_you_mean, fields};

const EXAMPLE: &str = "args: {lists: words, null: omit, booleans: flags}";

/// What an `args` block says; what it does not name is as around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PartialForm {
    lists: Option<ListForm>,
    null: Option<NullForm>,
    booleans: Option<BooleanForm>,
}

impl PartialForm {
    /// Returns the form within an outer one.
    pub(super) fn within(self, outer: ArgsForm) -> ArgsForm {
        ArgsForm {
            lists: self.lists.unwrap_or(outer.lists),
            null: self.null.unwrap_or(outer.null),
            booleans: self.booleans.unwrap_or(outer.booleans),
        }
    }
}

/// Reads the block; reports what it cannot read.
pub(super) fn read(entry: &Entry, problems: &mut Problems<'_>) -> PartialForm {
    let Some(parts) = fields(entry, "`args`", keys::ARGS, EXAMPLE, problems) else {
        return PartialForm::default();
    };
    let mut choose = |key: &str, names: &[&'static str]| {
        parts
            .get(key)
            .and_then(|part| choice(part, names, problems))
    };
    PartialForm {
        lists: choose("lists", &["literal", "words"]).map(|name| match name {
            "words" => ListForm::Words,
            _ => ListForm::Literal,
        }),
        null: choose("null", &["literal", "omit"]).map(|name| match name {
            "omit" => NullForm::Omit,
            _ => NullForm::Literal,
        }),
        booleans: choose("booleans", &["literal", "flags", "store_true"]).map(|name| match name {
            "flags" => BooleanForm::Flags,
            "store_true" => BooleanForm::StoreTrue,
            _ => BooleanForm::Literal,
        }),
    }
}

/// The one of those names that a key has as its value.
fn choice(
    entry: &Entry,
    names: &[&'static str],
    problems: &mut Problems<'_>,
) -> Option<&'static str> {
    let written = match &entry.value.kind {
        Kind::Scalar(scalar) => &*scalar.text,
        _ => "",
    };
    let found = names.iter().find(|name| **name == written);
    if found.is_none() {
        let message = format!("`{}` cannot be {}", entry.key, quoted(written));
        let help = did_you_mean(written, names, "possible");
        problems.report(entry.at(), message, "unknown word", help);
    }
    found.copied()
}
