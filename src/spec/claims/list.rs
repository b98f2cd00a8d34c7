//! The list of claims: each a sentence and one kind.

use super::block::Block;
use super::scope::Scope;
use crate::spec::model::Claim;
use crate::spec::problem::{Finding, Problems, Span, listed};
use crate::spec::tree::{Entry, Kind, Node, known_fields};
use crate::spec::{MAX_CLAIMS, free_text, keys};

const EXAMPLE: &str = "claims: [{says: Hybrid reaches the highest test accuracy, highest: {arm: hybrid, metric: test_accuracy}}]";

/// Maximum number of characters of a sentence.
pub(in crate::spec) const MAX_SENTENCE: usize = 300;

/// Reads the claims. Those that could not be read are reported and left out.
pub(in crate::spec) fn read(
    entry: &Entry,
    scope: &Scope<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Claim> {
    let Kind::List(items) = &entry.value.kind else {
        let message = format!("`claims` must be a list, not {}", entry.value.describe());
        let help = format!("write for example `{EXAMPLE}`");
        problems.report(entry.at(), message, "not a list", help);
        return Vec::new();
    };
    if let Some(extra) = items.get(MAX_CLAIMS) {
        let count = items.len();
        problems.report(
            extra.span.or(entry.key_span),
            format!("the sweep makes {count} claims; at most {MAX_CLAIMS} are possible"),
            "one too many",
            "remove some of them",
        );
    }

    let mut claims = Vec::new();
    for item in items.iter().take(MAX_CLAIMS) {
        if problems.is_full() {
            break;
        }
        claims.extend(claim(item, item.span.or(entry.key_span), scope, problems));
    }
    claims
}

fn claim(item: &Node, span: Span, scope: &Scope<'_>, problems: &mut Problems<'_>) -> Option<Claim> {
    let Kind::Map(entries) = &item.kind else {
        let message = format!("a claim must be a mapping, not {}", item.describe());
        let help = format!("write for example `{EXAMPLE}`");
        problems.report(span, message, "not a claim", help);
        return None;
    };

    let parts = known_fields(entries, "a claim", keys::CLAIM, |_| None, problems);
    // For a problem of the whole claim, its first key is a better place than all of it.
    let place = entries.first().map_or(span, |first| first.key_span);
    if parts.lacks("says") {
        problems.report(
            place,
            "the claim lacks `says`",
            "no sentence",
            "write the sentence: `says: Hybrid reaches the highest test accuracy`",
        );
    }
    let says = parts
        .get("says")
        .and_then(|entry| free_text::line(entry, MAX_SENTENCE, false, problems));

    let kinds: Vec<&'static str> = keys::CLAIM
        .iter()
        .map(|key| key.name)
        .filter(|name| *name != "says")
        .collect();
    let given: Vec<(&'static str, &Entry)> = entries
        .iter()
        .filter_map(|entry| Some((*kinds.iter().find(|kind| **kind == &*entry.key)?, entry)))
        .collect();
    match given[..] {
        [(key, entry)] => {
            let kind = Block::open(key, entry, scope, problems)?.kind()?;
            Some(Claim {
                says: says?,
                key,
                kind,
            })
        }
        [(_, first), (_, second), ..] => {
            report_two_kinds(first, second, problems);
            None
        }
        [] => {
            if kinds.iter().all(|kind| parts.lacks(kind)) {
                let help = format!("add one of {}", listed(&kinds, "or"));
                let message = "the claim does not say what it means";
                problems.report(place, message, "no kind", help);
            }
            None
        }
    }
}

fn report_two_kinds(first: &Entry, second: &Entry, problems: &mut Problems<'_>) {
    let message = format!(
        "both `{}` and `{}`: a claim is of one kind",
        first.key, second.key
    );
    problems.add(
        Finding::new(second.key_span, message, "and this")
            .also(first.key_span, "this")
            .help("make two claims of it"),
    );
}
