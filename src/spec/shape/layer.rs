//! Reads what shapes a grid: `parameters`, `zip` and `exclude` of the sweep, an arm or one of its
//! `grids`. Names and values are only recorded here; `resolve` checks them against the parameters.

use crate::spec::clause::{Clause, clause};
use crate::spec::parameters::{Param, Reader};
use crate::spec::problem::{Finding, Problems, Span};
use crate::spec::tree::{Entry, Fields, Kind, Node, known_fields};
use crate::spec::{MAX_GRIDS, MAX_RULES, keys};

const ZIP_EXAMPLE: &str = "write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several groups";
const EXCLUDE_EXAMPLE: &str = "write a list of rules, each a mapping of parameters to a value or a list of values: `exclude: [{optimizer: adam, lr: [1, 10]}]`";
const GRIDS_EXAMPLE: &str =
    "write a list of grids: `grids: [{parameters: {lr: {values: [0.1, 1]}}}, {parameters: {...}}]`";

/// What the sweep, an arm or a grid of the file says about the grids below it.
#[derive(Debug, Default)]
pub(in crate::spec) struct Layer {
    /// Its parameters, in order.
    pub params: Vec<Param>,
    /// Groups of parameters that advance together.
    pub zips: Vec<Zip>,
    /// Rules for configurations to leave out.
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

impl Layer {
    /// Reads the layer of a mapping's keys.
    pub(crate) fn read(fields: &Fields<'_>, builtin: bool, problems: &mut Problems<'_>) -> Self {
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

/// Reads the `grids` of an arm, or of a sweep without arms, with their places.
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
            problems.report(span, message, "not a grid", GRIDS_EXAMPLE);
            continue;
        };

        let fields = known_fields(parts, "a grid", keys::GRID, |_| None, problems);
        let span = parts.first().map_or(span, |part| part.key_span);
        grids.push((Layer::read(&fields, builtin, problems), span));
    }
    grids
}

/// The items of a list that is neither empty nor too long.
fn list<'n>(
    entry: &'n Entry,
    what: &str,
    example: &str,
    max_items: usize,
    problems: &mut Problems<'_>,
) -> Option<&'n [Node]> {
    let (message, label) = match &entry.value.kind {
        Kind::List(items) if items.len() > max_items => {
            let count = items.len();
            let message = format!("`{what}` has {count} items; at most {max_items} are possible");
            (message, "too many")
        }
        Kind::List(items) if !items.is_empty() => return Some(items),
        Kind::List(_) => (format!("`{what}` is empty"), "nothing in it"),
        _ => {
            let found = entry.value.describe();
            (
                format!("`{what}` must be a list, not {found}"),
                "not a list",
            )
        }
    };

    problems.report(entry.at(), message, label, example);
    None
}

fn zips(entry: &Entry, problems: &mut Problems<'_>) -> Vec<Zip> {
    let Some(items) = list(entry, "zip", ZIP_EXAMPLE, MAX_RULES, problems) else {
        return Vec::new();
    };

    let groups: Vec<&Node> = items
        .iter()
        .filter(|item| matches!(item.kind, Kind::List(_)))
        .collect();
    if groups.is_empty() {
        return zip(items, entry.at(), problems).into_iter().collect();
    }
    if groups.len() < items.len() {
        problems.report(
            entry.at(),
            "`zip` mixes names and groups of names",
            "names and lists",
            ZIP_EXAMPLE,
        );
        return Vec::new();
    }

    let mut zips = Vec::new();
    for group in groups {
        if let Kind::List(names) = &group.kind {
            zips.extend(zip(names, group.span.or(entry.key_span), problems));
        }
    }
    zips
}

fn zip(names: &[Node], span: Span, problems: &mut Problems<'_>) -> Option<Zip> {
    let mut members: Vec<(String, Span)> = Vec::new();
    for node in names {
        let at = node.span.or(span);
        let name = match &node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => scalar.text.to_string(),
            _ => {
                let message = format!("`zip` groups names of parameters, not {}", node.describe());
                problems.report(at, message, "not a name", ZIP_EXAMPLE);
                return None;
            }
        };
        if let Some((_, first)) = members.iter().find(|(member, _)| *member == name) {
            let message = format!("`{name}` is twice in a group of `zip`");
            problems.add(
                Finding::new(at, message, "again")
                    .also(*first, "first here")
                    .help(ZIP_EXAMPLE),
            );
            return None;
        }
        members.push((name, at));
    }

    if members.len() < 2 {
        problems.report(
            span,
            "a group of `zip` needs at least two parameters",
            "nothing to pair",
            ZIP_EXAMPLE,
        );
        return None;
    }
    Some(Zip { members })
}

fn rules(entry: &Entry, problems: &mut Problems<'_>) -> Vec<Rule> {
    let Some(items) = list(entry, "exclude", EXCLUDE_EXAMPLE, MAX_RULES, problems) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| rule(item, item.span.or(entry.key_span), problems))
        .collect()
}

fn rule(item: &Node, span: Span, problems: &mut Problems<'_>) -> Option<Rule> {
    let Kind::Map(parts) = &item.kind else {
        let found = item.describe();
        let message = format!("a rule of `exclude` must be a mapping, not {found}");
        problems.report(span, message, "not a rule", EXCLUDE_EXAMPLE);
        return None;
    };
    if parts.is_empty() {
        problems.report(
            span,
            "a rule of `exclude` is empty",
            "leaves out everything",
            EXCLUDE_EXAMPLE,
        );
        return None;
    }

    let clauses: Vec<Clause> = parts
        .iter()
        .filter_map(|part| clause(part, "exclude", problems))
        .collect();
    // Without a clause that could not be read, the rule would leave out more than was meant.
    (clauses.len() == parts.len()).then(|| Rule {
        span: parts[0].key_span,
        clauses,
    })
}
