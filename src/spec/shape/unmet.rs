//! Rules and conditions that do nothing: a name that is no parameter, a value that it never takes,
//! a combination that never occurs. A rule of the sweep or of an arm speaks of several grids, and
//! needs to mean something in one of them only.

use std::collections::HashSet;

use super::layer::{Clause, Layer};
use super::resolve::Leaf;
use crate::spec::problem::{Finding, Problems, Span, brief, listed, quoted};
use crate::spec::scalar;
use crate::spec::tree::did_you_mean;

/// The places of what proved to mean something in some grid. What the file names twice by an alias
/// is one place.
#[derive(Debug, Default)]
pub(in crate::spec) struct Met {
    /// Names and values in conditions and rules.
    known: HashSet<Span>,
    /// Rules that match, and parameters whose condition holds, in some configuration.
    happens: HashSet<Span>,
}

impl Met {
    /// A name is a parameter's, or a value one that it takes.
    pub fn known(&mut self, span: Span) {
        self.known.insert(span);
    }

    /// A rule matches, or a parameter exists.
    pub fn happens(&mut self, span: Span) {
        self.happens.insert(span);
    }
}

/// Reports what in a layer means nothing to any of the grids below it. Whether they could all be
/// `laid` out: else it is not known what happens in them.
pub(in crate::spec) fn unmet(
    layer: &Layer,
    below: &[&Leaf<'_>],
    met: &Met,
    laid: bool,
    problems: &mut Problems<'_>,
) {
    for param in &layer.params {
        // One that each grid below replaces is in none of them.
        let in_force = below
            .iter()
            .any(|leaf| leaf.params.iter().any(|other| std::ptr::eq(*other, param)));
        let Some(when) = param.when.as_ref().filter(|_| in_force) else {
            continue;
        };
        if clauses_are_met("when", when, below, met, problems)
            && laid
            && !met.happens.contains(&param.span)
        {
            let message = format!("{} exists in no configuration", quoted(&param.name));
            let finding = Finding::new(param.span, message, "its condition never holds");
            problems
                .add(finding.help("no configuration has all values of its `when` together: change the condition, or remove it"));
        }
    }
    for rule in &layer.rules {
        if clauses_are_met("exclude", &rule.clauses, below, met, problems)
            && laid
            && !met.happens.contains(&rule.span)
        {
            let finding = Finding::new(
                rule.span,
                "a rule of `exclude` matches no configuration",
                "matches nothing",
            );
            problems.add(finding.help(
                "no configuration has all of its values together: change the rule, or remove it",
            ));
        }
    }
}

fn clauses_are_met(
    key: &str,
    clauses: &[Clause],
    below: &[&Leaf<'_>],
    met: &Met,
    problems: &mut Problems<'_>,
) -> bool {
    let before = problems.len();
    for clause in clauses {
        if problems.is_full() {
            return false;
        }
        if !met.known.contains(&clause.span) {
            let mut names: Vec<&str> = Vec::new();
            for param in below.iter().flat_map(|leaf| &leaf.params) {
                if !names.contains(&param.name.as_str()) {
                    names.push(&param.name);
                }
            }
            let message = format!(
                "`{key}` names the unknown parameter {}",
                quoted(&clause.name)
            );
            problems.add(
                Finding::new(clause.span, message, "unknown parameter").help(did_you_mean(
                    &clause.name,
                    &names,
                    "parameters here",
                )),
            );
            continue;
        }
        for (scalar, span) in clause
            .values
            .iter()
            .filter(|(_, span)| !met.known.contains(span))
        {
            let message = format!(
                "{} never has the value {}",
                quoted(&clause.name),
                quoted(&scalar.text)
            );
            problems.add(
                Finding::new(*span, message, "no such value").help(values_of(
                    &clause.name,
                    scalar,
                    below,
                )),
            );
        }
    }
    problems.len() == before
}

/// "did you mean 1.0, a float? the values of `lr`: 0.1 and 1.0".
fn values_of(name: &str, written: &crate::spec::tree::Scalar, below: &[&Leaf<'_>]) -> String {
    const SHOWN: usize = 12;
    let mut values = Vec::new();
    let params = below
        .iter()
        .flat_map(|leaf| &leaf.params)
        .filter(|param| param.name == name);
    for (value, _) in params.flat_map(|param| &param.values) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    let found = scalar::value(written, None).ok();
    let number = found.as_ref().and_then(|found| found.as_f64());
    let near = values.iter().find(|value| {
        let spelling = found.as_ref().is_some_and(|found| {
            found.kind() != value.kind() && found.to_string() == value.to_string()
        });
        spelling || (number.is_some() && value.as_f64() == number)
    });
    let mut names: Vec<String> = values
        .iter()
        .take(SHOWN)
        .map(|value| brief(&value.to_string()))
        .collect();
    if values.len() > SHOWN {
        names.push(format!("{} more", values.len() - SHOWN));
    }
    let all = format!("the values of {}: {}", quoted(name), listed(&names, "and"));
    match near {
        Some(near) => format!(
            "did you mean {}, {}? {all}",
            brief(&near.to_string()),
            near.kind()
        ),
        None => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            match crate::spec::keys::nearest(&written.text, &names).filter(|_| number.is_none()) {
                Some(near) => format!("did you mean `{near}`? {all}"),
                None => all,
            }
        }
    }
}
