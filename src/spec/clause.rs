//! Clauses: conditions of the form "this parameter has one of these values". A parameter's `when`
//! and the rules of `exclude` are made of them. Names and values are only recorded here; `shape`
//! checks them against the parameters.

use super::problem::{Problems, Span, brief, listed};
use super::tree::{Entry, Kind, Scalar, entries};

/// Holds where a parameter has one of some values.
#[derive(Debug)]
pub(super) struct Clause {
    pub name: String,
    pub span: Span,
    /// At least one. Their meaning depends on the parameter's type.
    pub values: Vec<(Scalar, Span)>,
}

/// Reads the condition of a parameter; None if it could not be read.
pub(super) fn clauses(entry: &Entry, problems: &mut Problems<'_>) -> Option<Vec<Clause>> {
    const EXAMPLE: &str = "when: {optimizer: sgd}";

    let parts = entries(entry, EXAMPLE, problems)?;
    if parts.is_empty() {
        let help = format!("write `{EXAMPLE}`, or remove the key");
        problems.report(entry.at(), "`when` is empty", "no condition", help);
        return None;
    }

    let clauses: Vec<Clause> = parts
        .iter()
        .filter_map(|part| clause(part, "when", problems))
        .collect();
    (clauses.len() == parts.len()).then_some(clauses)
}

/// Reads a parameter and its values in a condition or a rule; `key` is the key above it.
pub(super) fn clause(entry: &Entry, key: &str, problems: &mut Problems<'_>) -> Option<Clause> {
    let nodes = match &entry.value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };

    let mut values = Vec::new();
    for node in nodes {
        if let Kind::Scalar(scalar) = &node.kind
            && !scalar.is_null()
        {
            values.push((scalar.clone(), node.span.or(entry.key_span)));
        }
    }

    if values.len() != nodes.len() || values.is_empty() {
        let found = match nodes.last() {
            None => "an empty list",
            Some(last) => nodes.get(values.len()).unwrap_or(last).describe(),
        };
        let name = brief(&entry.key);
        let message =
            format!("`{key}` names values of `{name}`: a value or a list of values, not {found}");
        let help = format!("write `{name}: value` or `{name}: [value, value]`");
        problems.report(entry.at(), message, "no values", help);
        return None;
    }
    Some(Clause {
        name: entry.key.to_string(),
        span: entry.key_span,
        values,
    })
}

/// Describes a condition: `optimizer is sgd and lr is 0.1 or 1`.
pub(super) fn describe_clauses(clauses: &[Clause]) -> String {
    let parts: Vec<String> = clauses
        .iter()
        .map(|clause| {
            let values: Vec<&str> = clause
                .values
                .iter()
                .map(|(scalar, _)| &*scalar.text)
                .collect();
            format!("{} is {}", clause.name, listed(&values, "or"))
        })
        .collect();
    parts.join(" and ")
}
