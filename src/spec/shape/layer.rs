//! Reads what shapes a grid: `parameters`, `zip` and `exclude` of the sweep, an arm or one of its
//! `grids`, and a parameter's `when`. Names and values are only taken down here; `resolve` holds
//! them against the parameters.

use crate::spec::parameters::{Param, Reader};
use crate::spec::problem::{Finding, Problems, Span, brief, listed};
use crate::spec::tree::{Entry, Fields, Kind, Node, Scalar, entries, known_fields};
use crate::spec::{MAX_GRIDS, MAX_RULES, keys};

const ZIP_EXAMPLE: &str = "write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several groups";
const EXCLUDE_EXAMPLE: &str = "write a list of rules, each a mapping of parameters to a value or a list of values: `exclude: [{optimizer: adam, lr: [1, 10]}]`";
const GRIDS_EXAMPLE: &str =
    "write a list of grids: `grids: [{parameters: {lr: {values: [0.1, 1]}}}, {parameters: {...}}]`";

/// What one place of the file says of the grids below it.
#[derive(Debug, Default)]
pub(in crate::spec) struct Layer {
    /// Its parameters, in order.
    pub params: Vec<Param>,
    /// Groups of parameters that advance together.
    pub zips: Vec<Zip>,
    /// What is left out.
    pub rules: Vec<Rule>,
}

/// Parameters that advance together.
#[derive(Debug)]
pub(in crate::spec) struct Zip {
    /// Names and their places; at least two.
    pub members: Vec<(String, Span)>,
}

/// Leaves out the configurations that meet all of its clauses.
#[derive(Debug)]
pub(in crate::spec) struct Rule {
    pub span: Span,
    /// At least one.
    pub clauses: Vec<Clause>,
}

/// That a parameter has one of some values.
#[derive(Debug)]
pub(in crate::spec) struct Clause {
    pub name: String,
    pub span: Span,
    /// At least one. What they mean depends on the parameter's type.
    pub values: Vec<(Scalar, Span)>,
}

impl Layer {
    /// The layer of a mapping's keys.
    pub fn read(fields: &Fields<'_>, builtin: bool, problems: &mut Problems<'_>) -> Self {
        let params = match fields.get("parameters") {
            Some(block) => Reader { builtin, problems }.block(block),
            None => Vec::new(),
        };
        let zips = fields
            .get("zip")
            .map(|entry| zips(entry, problems))
            .unwrap_or_default();
        let rules = fields
            .get("exclude")
            .map(|entry| rules(entry, problems))
            .unwrap_or_default();
        Self {
            params,
            zips,
            rules,
        }
    }
}

/// The `grids` of an arm, or of a sweep without arms, with their places.
pub(in crate::spec) fn grids(
    entry: &Entry,
    builtin: bool,
    problems: &mut Problems<'_>,
) -> Vec<(Layer, Span)> {
    let Some(items) = list(entry, "grids", GRIDS_EXAMPLE, MAX_GRIDS, problems) else {
        return Vec::new();
    };
    let mut grids = Vec::new();
    for item in items {
        let span = item.span.or(entry.key_span);
        let Kind::Map(parts) = &item.kind else {
            let message = format!("a grid must be a mapping, not {}", item.describe());
            problems.add(Finding::new(span, message, "not a grid").help(GRIDS_EXAMPLE));
            continue;
        };
        let fields = known_fields(parts, "a grid", keys::GRID, |_| None, problems);
        let span = parts.first().map_or(span, |part| part.key_span);
        grids.push((Layer::read(&fields, builtin, problems), span));
    }
    grids
}

/// The items of a list that is not empty nor too long.
fn list<'n>(
    entry: &'n Entry,
    what: &str,
    example: &str,
    most: usize,
    problems: &mut Problems<'_>,
) -> Option<&'n [Node]> {
    let (message, label) = match &entry.value.kind {
        Kind::List(items) if items.len() > most => (
            format!(
                "`{what}` has {} items; at most {most} are possible",
                items.len()
            ),
            "too many",
        ),
        Kind::List(items) if !items.is_empty() => return Some(items),
        Kind::List(_) => (format!("`{what}` is empty"), "nothing in it"),
        _ => (
            format!("`{what}` must be a list, not {}", entry.value.describe()),
            "not a list",
        ),
    };
    problems.add(Finding::new(entry.at(), message, label).help(example));
    None
}

fn zips(entry: &Entry, problems: &mut Problems<'_>) -> Vec<Zip> {
    let Some(items) = list(entry, "zip", ZIP_EXAMPLE, MAX_RULES, problems) else {
        return Vec::new();
    };
    let nested = items
        .iter()
        .filter(|item| matches!(item.kind, Kind::List(_)))
        .count();
    if nested != 0 && nested != items.len() {
        let finding = Finding::new(
            entry.at(),
            "`zip` mixes names and groups of names",
            "names and lists",
        );
        problems.add(finding.help(ZIP_EXAMPLE));
        return Vec::new();
    }
    let groups: Vec<(&[Node], Span)> = match nested {
        0 => vec![(items, entry.at())],
        _ => items
            .iter()
            .filter_map(|item| Some((group(item)?, item.span.or(entry.key_span))))
            .collect(),
    };
    groups
        .into_iter()
        .filter_map(|(names, span)| zip(names, span, problems))
        .collect()
}

fn group(node: &Node) -> Option<&[Node]> {
    match &node.kind {
        Kind::List(items) => Some(items),
        _ => None,
    }
}

fn zip(names: &[Node], span: Span, problems: &mut Problems<'_>) -> Option<Zip> {
    let mut members: Vec<(String, Span)> = Vec::new();
    for node in names {
        let at = node.span.or(span);
        let (message, label, also) = match &node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => {
                match members.iter().find(|(name, _)| **name == *scalar.text) {
                    None => {
                        members.push((scalar.text.to_string(), at));
                        continue;
                    }
                    Some((name, first)) => (
                        format!("`{name}` is twice in a group of `zip`"),
                        "again",
                        Some(*first),
                    ),
                }
            }
            _ => (
                format!("`zip` groups names of parameters, not {}", node.describe()),
                "not a name",
                None,
            ),
        };
        let finding = Finding::new(at, message, label).help(ZIP_EXAMPLE);
        problems.add(match also {
            Some(first) => finding.also(first, "first here"),
            None => finding,
        });
        return None;
    }
    if members.len() < 2 {
        problems.add(
            Finding::new(
                span,
                "a group of `zip` needs at least two parameters",
                "nothing to pair",
            )
            .help(ZIP_EXAMPLE),
        );
        return None;
    }
    Some(Zip { members })
}

fn rules(entry: &Entry, problems: &mut Problems<'_>) -> Vec<Rule> {
    let Some(items) = list(entry, "exclude", EXCLUDE_EXAMPLE, MAX_RULES, problems) else {
        return Vec::new();
    };
    let mut rules = Vec::new();
    for item in items {
        let span = item.span.or(entry.key_span);
        match &item.kind {
            Kind::Map(parts) if !parts.is_empty() => {
                let clauses: Vec<Clause> = parts
                    .iter()
                    .filter_map(|part| clause(part, "exclude", problems))
                    .collect();
                // What could not be read has been reported; the rest of the rule would leave out
                // more than was meant.
                if clauses.len() == parts.len() {
                    rules.push(Rule {
                        span: parts[0].key_span,
                        clauses,
                    });
                }
            }
            Kind::Map(_) => problems.add(
                Finding::new(
                    span,
                    "a rule of `exclude` is empty",
                    "leaves out everything",
                )
                .help(EXCLUDE_EXAMPLE),
            ),
            _ => {
                let message = format!(
                    "a rule of `exclude` must be a mapping, not {}",
                    item.describe()
                );
                problems.add(Finding::new(span, message, "not a rule").help(EXCLUDE_EXAMPLE));
            }
        }
    }
    rules
}

/// The condition of a parameter; None if it could not be read.
pub(in crate::spec) fn clauses(entry: &Entry, problems: &mut Problems<'_>) -> Option<Vec<Clause>> {
    const EXAMPLE: &str = "when: {optimizer: sgd}";
    let parts = entries(entry, EXAMPLE, problems)?;
    if parts.is_empty() {
        let finding = Finding::new(entry.at(), "`when` is empty", "no condition");
        problems.add(finding.help(format!("write `{EXAMPLE}`, or remove the key")));
        return None;
    }
    let clauses: Vec<Clause> = parts
        .iter()
        .filter_map(|part| clause(part, "when", problems))
        .collect();
    (clauses.len() == parts.len()).then_some(clauses)
}

fn clause(entry: &Entry, key: &str, problems: &mut Problems<'_>) -> Option<Clause> {
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
        let found = if nodes.is_empty() {
            "an empty list"
        } else {
            nodes[values.len().min(nodes.len() - 1)].describe()
        };
        let name = brief(&entry.key);
        let message =
            format!("`{key}` names values of `{name}`: a value or a list of values, not {found}");
        let help = format!("write `{name}: value` or `{name}: [value, value]`");
        problems.add(Finding::new(entry.at(), message, "no values").help(help));
        return None;
    }
    Some(Clause {
        name: entry.key.to_string(),
        span: entry.key_span,
        values,
    })
}

/// A condition in words: `optimizer is sgd and lr is 0.1 or 1`.
pub(super) fn words(clauses: &[Clause]) -> String {
    let clause = |clause: &Clause| {
        let values: Vec<&str> = clause
            .values
            .iter()
            .map(|(scalar, _)| &*scalar.text)
            .collect();
        format!("{} is {}", clause.name, listed(&values, "or"))
    };
    clauses.iter().map(clause).collect::<Vec<_>>().join(" and ")
}
