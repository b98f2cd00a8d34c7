//! The built-in task's rules between parameters, in every configuration of a grid: each parameter
//! must apply to the optimizer, and none that the optimizer needs may be missing.

use super::parameters::{Param, optimizer_list};
use super::problem::{Finding, Problems, listed};
use super::shape::{Leaf, ShapedArm, Side, Subgrid};
use super::task::{OptimizerKind, PARAMS, ParamDefault, TaskParam};
use super::validate::Draft;
use pentagrid_protocol::ParamValue;

/// Checks every grid of an arm.
pub(super) fn check(arm: &Draft<'_>, problems: &mut Problems<'_>) {
    let prefix = if arm.has_key {
        format!("{}: ", arm.place)
    } else {
        String::new()
    };

    for (number, leaf) in arm.leaves.iter().enumerate() {
        let Some(optimizer) = leaf.params.iter().find(|param| param.name == "optimizer") else {
            report_no_optimizer(leaf, problems);
            continue;
        };
        if optimizer.broken || optimizer.values.is_empty() {
            continue;
        }

        let parts = match &arm.shape {
            Some(shape) => region_parts(shape, &shape.grids[number]),
            None if leaf.is_plain() && arm.leaves.len() == 1 => vec![Part::of(leaf, optimizer)],
            // It could not be laid out, which has been reported.
            None => continue,
        };
        let mut check = Check {
            leaf,
            prefix: &prefix,
            parts,
            problems,
        };
        check.run();
    }
}

fn report_no_optimizer(leaf: &Leaf<'_>, problems: &mut Problems<'_>) {
    let names = listed(&OptimizerKind::ALL.map(OptimizerKind::name), "or");
    problems.report(
        leaf.span,
        format!("{} names no `optimizer`", leaf.place),
        "no optimizer",
        format!("add `optimizer: {{value: sgd}}` to its parameters; it is one of {names}"),
    );
}

/// A part of a grid: its optimizers, and the parameters that its configurations have.
#[derive(Default)]
struct Part<'n> {
    optimizers: Vec<OptimizerKind>,
    names: Vec<&'n str>,
}

impl<'n> Part<'n> {
    /// The whole grid, if it is a product.
    fn of(leaf: &Leaf<'n>, optimizer: &Param) -> Self {
        Self {
            optimizers: optimizer
                .values
                .iter()
                .filter_map(|(value, _)| optimizer_kind(value))
                .collect(),
            names: leaf
                .params
                .iter()
                .map(|param| param.name.as_str())
                .collect(),
        }
    }
}

/// The regions of a grid.
fn region_parts<'n>(shape: &'n ShapedArm, grid: &Subgrid) -> Vec<Part<'n>> {
    let names: Vec<&str> = shape.axes.iter().map(|axis| axis.name.as_str()).collect();
    let optimizer = names.iter().position(|name| *name == "optimizer");

    let mut parts = Vec::new();
    for region in &grid.regions {
        let mut part = Part::default();
        for (dimension, side) in grid.dimensions.iter().zip(&region.sides) {
            let Side::Settings(settings) = side else {
                continue;
            };
            part.names
                .extend(dimension.axes.iter().map(|axis| names[*axis]));

            let place = dimension
                .axes
                .iter()
                .position(|axis| Some(*axis) == optimizer);
            if let Some(place) = place {
                let values = &shape.axes[dimension.axes[place]].values;
                part.optimizers = settings
                    .iter()
                    .map(|setting| dimension.settings[*setting as usize][place])
                    .filter_map(|value| optimizer_kind(&values[value]))
                    .collect();
            }
        }
        parts.push(part);
    }
    parts
}

fn optimizer_kind(value: &ParamValue) -> Option<OptimizerKind> {
    match value {
        ParamValue::Text(name) => OptimizerKind::from_name(name),
        _ => None,
    }
}

/// The check of one grid.
struct Check<'c, 'd, 's> {
    leaf: &'c Leaf<'d>,
    /// The beginning of messages.
    prefix: &'c str,
    parts: Vec<Part<'c>>,
    problems: &'c mut Problems<'s>,
}

impl Check<'_, '_, '_> {
    fn run(&mut self) {
        if let Some(part) = self.parts.iter().find(|part| part.optimizers.is_empty()) {
            let names = listed(&part.names, "and");
            let span = self
                .leaf
                .params
                .iter()
                .find(|param| param.name == "optimizer")
                .map_or(self.leaf.span, |param| param.span);
            self.problems.report(
                span,
                format!("{}some configurations have no `optimizer`", self.prefix),
                "not always there",
                format!(
                    "let it exist always: a configuration with {names} alone cannot be trained"
                ),
            );
            return;
        }

        for param in &self.leaf.params {
            self.check_applies(param);
        }
        let required = PARAMS
            .iter()
            .filter(|known| known.default == ParamDefault::Required && known.name != "optimizer");
        for known in required {
            self.check_present(known);
        }
    }

    /// The optimizers of the configurations that have a parameter, each once.
    fn optimizers_with(&self, name: &str) -> Vec<OptimizerKind> {
        self.optimizers_where(|part| part.names.contains(&name))
    }

    /// The optimizers of the configurations that lack a parameter, each once.
    fn optimizers_without(&self, name: &str) -> Vec<OptimizerKind> {
        self.optimizers_where(|part| !part.names.contains(&name))
    }

    fn optimizers_where(&self, matches: impl Fn(&Part<'_>) -> bool) -> Vec<OptimizerKind> {
        let mut found = Vec::new();
        for part in self.parts.iter().filter(|part| matches(part)) {
            for optimizer in &part.optimizers {
                if !found.contains(optimizer) {
                    found.push(*optimizer);
                }
            }
        }
        found
    }

    /// Reports a parameter that means nothing to an optimizer that it is combined with.
    fn check_applies(&mut self, param: &Param) {
        let Some(known) = param.builtin else {
            return;
        };
        let mut strangers = self.optimizers_with(&param.name);
        strangers.retain(|optimizer| !known.applies_to(*optimizer));
        let Some(&stranger) = strangers.first() else {
            return;
        };

        let name = &param.name;
        let message = format!(
            "{}`{name}` means nothing to {}",
            self.prefix,
            optimizer_list(&strangers)
        );
        let label = format!("not for {}", stranger.name());
        let mut help = format!(
            "`{name}` belongs to {}; {} takes {}",
            optimizer_list(known.optimizers),
            stranger.name(),
            listed(&own_parameters(stranger), "and")
        );

        // With one optimizer there is nothing to separate.
        let all = self.optimizers_with("optimizer");
        if all.len() > 1 {
            help.push_str("; give each optimizer an arm of its own");
            if let Some(own) = known.optimizers.iter().find(|kind| all.contains(kind)) {
                help.push_str(&format!(
                    ", or say when the parameter exists: `when: {{optimizer: {}}}`",
                    own.name()
                ));
            }
        }

        self.problems.report(param.span, message, label, help);
    }

    /// Reports a parameter that an optimizer needs and some of its configurations lack.
    fn check_present(&mut self, known: &TaskParam) {
        let mut needs = self.optimizers_without(known.name);
        needs.retain(|optimizer| known.applies_to(*optimizer));
        if needs.is_empty() {
            return;
        }

        let name = known.name;
        let optimizers = optimizer_list(&needs);
        let param = self.leaf.params.iter().find(|param| param.name == name);

        let finding = match param {
            Some(param) => {
                let message = format!(
                    "{}some configurations of {optimizers} lack `{name}`",
                    self.prefix
                );
                let help = format!("let its `when` hold for {optimizers}: {}", known.help);
                Finding::new(param.span, message, format!("needed by {optimizers}")).help(help)
            }
            None => {
                let message = format!("{} lacks `{name}`, needed by {optimizers}", self.leaf.place);
                let help = format!(
                    "add `{name}: {{values: [...]}}` to its parameters: {}",
                    known.help
                );
                Finding::new(self.leaf.span, message, format!("no `{name}`")).help(help)
            }
        };
        self.problems.add(finding);
    }
}

/// The parameters that are an optimizer's own.
fn own_parameters(optimizer: OptimizerKind) -> Vec<&'static str> {
    PARAMS
        .iter()
        .filter(|param| !param.optimizers.is_empty() && param.applies_to(optimizer))
        .map(|param| param.name)
        .collect()
}
