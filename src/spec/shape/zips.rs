//! The `zip` groups of a grid: which parameters belong to one dimension, and whether they can.

use std::collections::HashMap;

use super::layer::Zip;
use super::resolve::Resolver;
use crate::spec::clause::describe_clauses;
use crate::spec::parameters::Param;
use crate::spec::problem::{Finding, Span, listed, quoted};
use crate::spec::tree::did_you_mean;

impl Resolver<'_, '_, '_> {
    /// Returns the numbers of the parameters of each dimension, both in the order of the file.
    /// Reports zips that are not possible.
    pub(super) fn dimension_groups(&mut self) -> Vec<Vec<usize>> {
        let leaf = self.leaf;
        let mut assigned = Assigned::new(leaf.params.len());
        for (depth, layer) in leaf.layers.iter().enumerate() {
            let visible: Vec<&str> = leaf.layers[..=depth]
                .iter()
                .flat_map(|layer| &layer.params)
                .map(|param| param.name.as_str())
                .collect();
            for zip in &layer.zips {
                self.assign(zip, &visible, &mut assigned);
            }
        }
        assigned.groups()
    }

    fn assign(&mut self, zip: &Zip, visible: &[&str], assigned: &mut Assigned) {
        let mut members = Vec::new();
        for (name, span) in &zip.members {
            let member = self
                .leaf
                .find(name)
                .filter(|_| visible.contains(&name.as_str()));
            let Some(member) = member else {
                self.report_unknown_member(name, *span, visible);
                continue;
            };
            if let Some(first) = assigned.spans[member].replace(*span) {
                let message = format!("{} is in two groups of `zip`", quoted(name));
                self.problems.add(
                    Finding::new(*span, message, "and here")
                        .also(first, "here")
                        .help("write one group with all parameters that advance together"),
                );
            }
            assigned.zip_of[member] = Some(assigned.zips);
            members.push(Member {
                param: member,
                span: *span,
            });
        }

        self.check_zip(&members);
        assigned.zips += 1;
    }

    /// Reports a name in a `zip` that is no parameter of its layer or of those around it.
    fn report_unknown_member(&mut self, name: &str, span: Span, visible: &[&str]) {
        if self.leaf.find(name).is_some() {
            let message = format!(
                "`zip` names {}, a parameter of {} alone",
                quoted(name),
                self.leaf.place
            );
            let help = "write the group under the `zip` beside that parameter";
            self.problems.report(span, message, "not here", help);
        } else {
            let message = format!("`zip` names the unknown parameter {}", quoted(name));
            let help = did_you_mean(name, visible, "parameters here");
            self.problems
                .report(span, message, "unknown parameter", help);
        }
    }

    /// Checks that the members of a zip have equally many values, the same condition, and no
    /// repeated setting.
    fn check_zip(&mut self, members: &[Member]) {
        let Some((first, others)) = members.split_first() else {
            return;
        };

        let before = self.problems.len();
        for other in others {
            self.check_pair(first, other);
        }

        // Lists of different lengths have no pairs to compare.
        if self.problems.len() == before {
            self.check_settings(members);
        }
    }

    fn check_pair(&mut self, first: &Member, other: &Member) {
        let lead = self.leaf.params[first.param];
        let param = self.leaf.params[other.param];

        if lead.values.len() != param.values.len() {
            let lead_values = values(lead.values.len());
            let param_values = values(param.values.len());
            let message = format!(
                "{}: {} has {lead_values} and {} has {param_values}, so they cannot advance together",
                self.leaf.place,
                quoted(&lead.name),
                quoted(&param.name),
            );
            self.problems.add(
                Finding::new(other.span, message, param_values)
                    .also(first.span, lead_values)
                    .help("give each parameter of a `zip` group as many values as the others"),
            );
        } else if condition(lead) != condition(param) {
            let message = format!(
                "{} and {} do not exist under the same condition",
                quoted(&lead.name),
                quoted(&param.name)
            );
            self.problems.add(
                Finding::new(other.span, message, "another condition")
                    .also(first.span, "advances with this")
                    .help(
                        "give all parameters of a `zip` group the same `when`, or none of them one",
                    ),
            );
        }
    }

    fn check_settings(&mut self, members: &[Member]) {
        let numbers: Vec<usize> = members.iter().map(|member| member.param).collect();
        let params: Vec<&Param> = numbers
            .iter()
            .map(|number| self.leaf.params[*number])
            .collect();

        // A parameter may repeat a value in a zip, as long as the pairs differ.
        let mut seen: HashMap<Vec<usize>, usize> = HashMap::new();
        for (number, setting) in self.dimension(&numbers).settings.into_iter().enumerate() {
            let Some(earlier) = seen.insert(setting, number) else {
                continue;
            };

            let names: Vec<String> = params.iter().map(|param| quoted(&param.name)).collect();
            let message = format!(
                "{}: pair {} has the values of pair {}",
                listed(&names, "and"),
                number + 1,
                earlier + 1
            );

            let lead = params[0];
            self.problems.add(
                Finding::new(lead.values[number].1, message, "again")
                    .also(lead.values[earlier].1, "first here")
                    .help("remove one of them from each list"),
            );
        }
    }
}

/// A parameter in a `zip`, and the place of its name there.
struct Member {
    param: usize,
    span: Span,
}

/// Which zip each parameter belongs to.
struct Assigned {
    zip_of: Vec<Option<usize>>,
    /// The place of each parameter's name in its zip.
    spans: Vec<Option<Span>>,
    /// Number of zips so far.
    zips: usize,
}

impl Assigned {
    fn new(params: usize) -> Self {
        Self {
            zip_of: vec![None; params],
            spans: vec![None; params],
            zips: 0,
        }
    }

    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of_zip: HashMap<usize, usize> = HashMap::new();
        for (param, zip) in self.zip_of.iter().enumerate() {
            let Some(zip) = zip else {
                groups.push(vec![param]);
                continue;
            };
            match group_of_zip.get(zip) {
                Some(group) => groups[*group].push(param),
                None => {
                    group_of_zip.insert(*zip, groups.len());
                    groups.push(vec![param]);
                }
            }
        }
        groups
    }
}

fn values(count: usize) -> String {
    match count {
        1 => "1 value".to_owned(),
        _ => format!("{count} values"),
    }
}

fn condition(param: &Param) -> String {
    param
        .when
        .as_deref()
        .map(describe_clauses)
        .unwrap_or_default()
}
