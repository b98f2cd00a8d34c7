//! Rules and conditions that do nothing: a name that is no parameter, a value that the parameter
//! never takes, a combination that never occurs. A rule of the sweep or of an arm applies to
//! several grids, and needs to have an effect in one of them only.

use std::collections::HashSet;

use super::layer::Layer;
use super::leaf::Leaf;
use crate::spec::clause::Clause;
use crate::spec::problem::{Problems, Span, brief, listed, quoted};
use crate::spec::scalar;
use crate::spec::similar;
use crate::spec::tree::{Scalar, did_you_mean};
use pentagrid_protocol::ParamValue;

/// Maximum number of values to list in help.
const MAX_LISTED_VALUES: usize = 12;

/// The places in the file that mean something in some grid. What the file names twice by an alias
/// is one place.
#[derive(Debug, Default)]
pub(in crate::spec) struct Usage {
    /// Names and values in conditions and rules.
    known: HashSet<Span>,
    /// Rules that match, and parameters whose condition holds, in some configuration.
    effective: HashSet<Span>,
}

impl Usage {
    /// Marks a name as that of a parameter, or a value as one that the parameter takes.
    pub(crate) fn mark_known(&mut self, span: Span) {
        self.known.insert(span);
    }

    /// Marks a rule that matches, or a parameter that exists.
    pub(crate) fn mark_effective(&mut self, span: Span) {
        self.effective.insert(span);
    }
}

/// Reports what in a layer means nothing to any of the grids below it. `laid` says whether they
/// could all be laid out: otherwise it is unknown which combinations occur.
pub(in crate::spec) fn report_unused(
    layer: &Layer,
    below: &[&Leaf<'_>],
    usage: &Usage,
    laid: bool,
    problems: &mut Problems<'_>,
) {
    for param in &layer.params {
        let Some(when) = &param.when else {
            continue;
        };
        // A parameter that every grid below replaces is in none of them.
        let is_in_force = below
            .iter()
            .any(|leaf| leaf.params.iter().any(|other| std::ptr::eq(*other, param)));
        if is_in_force
            && check_clauses("when", when, below, usage, problems)
            && laid
            && !usage.effective.contains(&param.span)
        {
            problems.report(
                param.span,
                format!("{} exists in no configuration", quoted(&param.name)),
                "its condition never holds",
                "no configuration has all values of its `when` together: change the condition, or remove it",
            );
        }
    }

    for rule in &layer.rules {
        if check_clauses("exclude", &rule.clauses, below, usage, problems)
            && laid
            && !usage.effective.contains(&rule.span)
        {
            problems.report(
                rule.span,
                "a rule of `exclude` matches no configuration",
                "matches nothing",
                "no configuration has all of its values together: change the rule, or remove it",
            );
        }
    }
}

/// Reports names and values that no grid knows. Returns whether there are none.
fn check_clauses(
    key: &str,
    clauses: &[Clause],
    below: &[&Leaf<'_>],
    usage: &Usage,
    problems: &mut Problems<'_>,
) -> bool {
    let before = problems.len();
    for clause in clauses {
        if problems.is_full() {
            return false;
        }
        if !usage.known.contains(&clause.span) {
            let name = quoted(&clause.name);
            problems.report(
                clause.span,
                format!("`{key}` names the unknown parameter {name}"),
                "unknown parameter",
                did_you_mean(&clause.name, &parameter_names(below), "parameters here"),
            );
            continue;
        }

        // The values of an unknown parameter would all be unknown: only known names get here.
        for (scalar, span) in &clause.values {
            if usage.known.contains(span) {
                continue;
            }
            let name = quoted(&clause.name);
            let value = quoted(&scalar.text);
            problems.report(
                *span,
                format!("{name} never has the value {value}"),
                "no such value",
                suggest_value(&clause.name, scalar, below),
            );
        }
    }
    problems.len() == before
}

fn parameter_names<'l>(below: &[&'l Leaf<'_>]) -> Vec<&'l str> {
    let mut names: Vec<&str> = Vec::new();
    for param in below.iter().flat_map(|leaf| &leaf.params) {
        if !names.contains(&param.name.as_str()) {
            names.push(&param.name);
        }
    }
    names
}

/// "did you mean 1.0, a float? the values of `lr`: 0.1 and 1.0".
fn suggest_value(name: &str, written: &Scalar, below: &[&Leaf<'_>]) -> String {
    let values = parameter_values(name, below);
    let mut shown: Vec<String> = values
        .iter()
        .take(MAX_LISTED_VALUES)
        .map(|value| brief(&value.to_string()))
        .collect();
    if values.len() > MAX_LISTED_VALUES {
        shown.push(format!("{} more", values.len() - MAX_LISTED_VALUES));
    }
    let all = format!("the values of {}: {}", quoted(name), listed(&shown, "and"));

    let found = scalar::value(written, None).ok();
    if let Some(near) = found
        .as_ref()
        .and_then(|found| same_number_or_text(found, &values))
    {
        let text = brief(&near.to_string());
        return format!("did you mean {text}, {}? {all}", near.kind());
    }

    // A wrong number is not a misspelt one.
    let is_number = found.is_some_and(|found| found.as_f64().is_some());
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    match similar::nearest(&written.text, &shown).filter(|_| !is_number) {
        Some(near) => format!("did you mean `{near}`? {all}"),
        None => all,
    }
}

fn parameter_values<'l>(name: &str, below: &[&'l Leaf<'_>]) -> Vec<&'l ParamValue> {
    let mut values = Vec::new();
    for leaf in below {
        for param in leaf.params.iter().filter(|param| param.name == name) {
            for (value, _) in &param.values {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
    }
    values
}

/// The value that is written alike but has another type, or that is the same number.
fn same_number_or_text<'v>(
    found: &ParamValue,
    values: &[&'v ParamValue],
) -> Option<&'v ParamValue> {
    values.iter().copied().find(|value| {
        let is_written_alike =
            found.kind() != value.kind() && found.to_string() == value.to_string();
        is_written_alike || (found.as_f64().is_some() && value.as_f64() == found.as_f64())
    })
}
