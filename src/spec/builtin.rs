//! The built-in task's rules between parameters: each must mean something to every optimizer that
//! it is combined with, and none that an optimizer needs may be missing, in any configuration that
//! a grid holds.

use super::ParamValue;
use super::parameters::{Param, optimizer_list};
use super::problem::{Finding, Problems, listed};
use super::shape::{Leaf, Side, Subgrid};
use super::task::{OptimizerKind, PARAMS, ParamDefault, TaskParam};
use super::validate::Draft;

/// Checks every grid of an arm.
pub(super) fn check(arm: &Draft<'_>, problems: &mut Problems<'_>) {
    let place = if arm.has_key {
        format!("{}: ", arm.place)
    } else {
        String::new()
    };
    for (number, leaf) in arm.leaves.iter().enumerate() {
        let Some(optimizer) = leaf.params.iter().find(|param| param.name == "optimizer") else {
            let names = listed(&OptimizerKind::ALL.map(OptimizerKind::name), "or");
            let finding = Finding::new(
                leaf.span,
                format!("{} names no `optimizer`", leaf.place),
                "no optimizer",
            );
            problems.add(finding.help(format!(
                "add `optimizer: {{value: sgd}}` to its parameters; it is one of {names}"
            )));
            continue;
        };
        if optimizer.broken || optimizer.values.is_empty() {
            continue;
        }
        let combined = match &arm.shape {
            Some((axes, grids)) => {
                let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
                let values = names
                    .iter()
                    .position(|name| *name == "optimizer")
                    .map(|axis| (axis, axes[axis].values.as_slice()));
                Combined::of_regions(&names, values, &grids[number])
            }
            None if leaf.is_plain() && arm.leaves.len() == 1 => {
                Combined::of_product(leaf, optimizer)
            }
            // It could not be laid out, which has been reported.
            None => continue,
        };
        Check {
            leaf,
            place: &place,
            combined,
            problems,
        }
        .all();
    }
}

/// Which parameters the configurations of a grid have, with which optimizers.
struct Combined<'n> {
    /// For each part of the grid: its optimizers, and the parameters that its configurations have.
    parts: Vec<(Vec<OptimizerKind>, Vec<&'n str>)>,
}

impl<'n> Combined<'n> {
    fn of_product(leaf: &Leaf<'n>, optimizer: &Param) -> Self {
        let optimizers = optimizer
            .values
            .iter()
            .filter_map(|(value, _)| kind(value))
            .collect();
        Self {
            parts: vec![(
                optimizers,
                leaf.params
                    .iter()
                    .map(|param| param.name.as_str())
                    .collect(),
            )],
        }
    }

    fn of_regions(
        names: &[&'n str],
        optimizer: Option<(usize, &[ParamValue])>,
        grid: &Subgrid,
    ) -> Self {
        let parts = grid.regions.iter().map(|region| {
            let mut part = (Vec::new(), Vec::new());
            for (dimension, side) in grid.dimensions.iter().zip(&region.sides) {
                let Side::Settings(settings) = side else {
                    continue;
                };
                part.1
                    .extend(dimension.axes.iter().map(|axis| names[*axis]));
                let Some((axis, values)) = optimizer else {
                    continue;
                };
                if let Some(place) = dimension.axes.iter().position(|other| *other == axis) {
                    part.0 = settings
                        .iter()
                        .filter_map(|setting| {
                            kind(&values[dimension.settings[*setting as usize][place]])
                        })
                        .collect();
                }
            }
            part
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// The optimizers of the configurations that have a parameter, or of those that lack it; each
    /// once.
    fn optimizers(&self, name: &str, has: bool) -> Vec<OptimizerKind> {
        let mut found = Vec::new();
        for kind in self
            .parts
            .iter()
            .filter(|(_, names)| names.contains(&name) == has)
            .flat_map(|(kinds, _)| kinds)
        {
            if !found.contains(kind) {
                found.push(*kind);
            }
        }
        found
    }
}

fn kind(value: &ParamValue) -> Option<OptimizerKind> {
    match value {
        ParamValue::Text(name) => OptimizerKind::from_name(name),
        _ => None,
    }
}

struct Check<'c, 'd, 's> {
    leaf: &'c Leaf<'d>,
    /// What messages begin with.
    place: &'c str,
    combined: Combined<'c>,
    problems: &'c mut Problems<'s>,
}

impl Check<'_, '_, '_> {
    fn all(mut self) {
        if let Some((_, names)) = self
            .combined
            .parts
            .iter()
            .find(|(kinds, _)| kinds.is_empty())
        {
            let message = format!("{}some configurations have no `optimizer`", self.place);
            let span = self
                .leaf
                .params
                .iter()
                .find(|param| param.name == "optimizer")
                .map_or(self.leaf.span, |param| param.span);
            let help = format!(
                "let it exist always: a configuration with {} alone cannot be trained",
                listed(names, "and")
            );
            self.problems
                .add(Finding::new(span, message, "not always there").help(help));
            return;
        }
        self.strangers();
        self.missing();
    }

    /// Parameters that mean nothing to an optimizer that they are combined with.
    fn strangers(&mut self) {
        let several = self.combined.optimizers("optimizer", true).len() > 1;
        for param in &self.leaf.params {
            let Some(known) = param.builtin else { continue };
            let mut strangers = self.combined.optimizers(&param.name, true);
            strangers.retain(|kind| !known.applies_to(*kind));
            let Some(&stranger) = strangers.first() else {
                continue;
            };
            let message = format!(
                "{}`{}` means nothing to {}",
                self.place,
                param.name,
                optimizer_list(&strangers)
            );
            let help = format!(
                "`{}` belongs to {}; {} takes {}",
                param.name,
                optimizer_list(known.optimizers),
                stranger.name(),
                listed(&parameters_of(stranger), "and")
            );
            let help = match known
                .optimizers
                .iter()
                .find(|kind| self.combined.optimizers("optimizer", true).contains(kind))
            {
                Some(own) if several => format!(
                    "{help}; give each optimizer an arm of its own, or say when the parameter exists: `when: {{optimizer: {}}}`",
                    own.name()
                ),
                _ if several => format!("{help}; give each optimizer an arm of its own"),
                _ => help,
            };
            self.problems.add(
                Finding::new(param.span, message, format!("not for {}", stranger.name()))
                    .help(help),
            );
        }
    }

    /// Parameters that an optimizer needs and some of its configurations lack.
    fn missing(&mut self) {
        for known in PARAMS
            .iter()
            .filter(|known| known.default == ParamDefault::Required && known.name != "optimizer")
        {
            let mut needs = self.combined.optimizers(known.name, false);
            needs.retain(|kind| known.applies_to(*kind));
            if needs.is_empty() {
                continue;
            }
            let finding = match self
                .leaf
                .params
                .iter()
                .find(|param| param.name == known.name)
            {
                Some(param) => {
                    let message = format!(
                        "{}some configurations of {} lack `{}`",
                        self.place,
                        optimizer_list(&needs),
                        known.name
                    );
                    Finding::new(
                        param.span,
                        message,
                        format!("needed by {}", optimizer_list(&needs)),
                    )
                    .help(format!(
                        "let its `when` hold for {}: {}",
                        optimizer_list(&needs),
                        known.help
                    ))
                }
                None => {
                    let message = format!(
                        "{} lacks `{}`, needed by {}",
                        self.leaf.place,
                        known.name,
                        optimizer_list(&needs)
                    );
                    Finding::new(self.leaf.span, message, format!("no `{}`", known.name)).help(
                        format!(
                            "add `{}: {{values: [...]}}` to its parameters: {}",
                            known.name, known.help
                        ),
                    )
                }
            };
            self.problems.add(finding);
        }
    }
}

/// The parameters that are an optimizer's own.
fn parameters_of(optimizer: OptimizerKind) -> Vec<&'static str> {
    let own = |param: &&TaskParam| !param.optimizers.is_empty() && param.applies_to(optimizer);
    PARAMS.iter().filter(own).map(|param| param.name).collect()
}
