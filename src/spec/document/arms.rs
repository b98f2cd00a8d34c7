//! The arms of the sweep file and their grids, put together from the layers around them.

use std::collections::HashMap;

use super::state::{Document, MAIN};
use crate::spec::model::Limit;
use crate::spec::problem::{Finding, Span, quoted};
use crate::spec::shape::{self, Layer, Leaf};
use crate::spec::tree::{Entry, Fields, Kind, entries, fields};
use crate::spec::validate::Draft;
use crate::spec::{MAX_ARMS, keys, limits, naming};

/// An arm as written.
pub(super) struct ArmBlock<'n> {
    pub entry: &'n Entry,
    pub label: Option<String>,
    pub own: Layer,
    pub grids: Vec<(Layer, Span)>,
    pub limits: Limit,
    pub resources: Option<&'n Entry>,
}

impl Document<'_, '_> {
    /// Reads the arms; None for a sweep without `arms`.
    pub(super) fn arms<'n>(
        &mut self,
        fields: &Fields<'n>,
        builtin: bool,
    ) -> Option<Vec<ArmBlock<'n>>> {
        const EXAMPLE: &str = "arms: {sgd: {parameters: {...}}, adam: {parameters: {...}}}";

        let entry = fields.get("arms")?;
        let arms = entries(entry, EXAMPLE, self.problems).unwrap_or_default();
        if arms.is_empty() && matches!(entry.value.kind, Kind::Map(_)) {
            let help = "name an arm, or remove `arms` for a sweep with one grid";
            self.problems
                .report(entry.at(), "`arms` is empty", "no arms", help);
        }

        if let Some(extra) = arms.get(MAX_ARMS) {
            let count = arms.len();
            self.problems.report(
                extra.key_span,
                format!("the sweep has {count} arms; at most {MAX_ARMS} are possible"),
                "one too many",
                "split the sweep into several files",
            );
        }

        let arms = arms.iter().take(MAX_ARMS);
        Some(arms.filter_map(|arm| self.arm(arm, builtin)).collect())
    }

    fn arm<'n>(&mut self, entry: &'n Entry, builtin: bool) -> Option<ArmBlock<'n>> {
        self.check_arm_name(entry);
        let parts = fields(
            entry,
            "an arm",
            keys::ARM,
            "{label: ..., parameters: {...}}",
            self.problems,
        )?;

        let label = parts
            .get("label")
            .and_then(|label| self.line(label, 100, false));
        let own = Layer::read(&parts, builtin, self.problems);
        let grids = parts
            .get("grids")
            .map(|grids| shape::grids(grids, builtin, self.problems))
            .unwrap_or_default();
        let limits = parts
            .get("limits")
            .map(|block| limits::read(block, self.problems))
            .unwrap_or_default();

        Some(ArmBlock {
            entry,
            label,
            own,
            grids,
            limits,
            resources: parts.get("resources"),
        })
    }

    fn check_arm_name(&mut self, arm: &Entry) {
        let name = &*arm.key;
        if naming::is_arm(name) {
            return;
        }

        let rule = format!(
            "an arm's name has at most {} lower-case letters, digits, underscores and hyphens",
            naming::MAX_ARM
        );
        let suggestion: String = name
            .to_lowercase()
            .chars()
            .map(|letter| match letter {
                '.' => '_',
                letter if letter.is_whitespace() => '_',
                letter => letter,
            })
            .collect();
        let help = if naming::is_arm(&suggestion) {
            format!("write `{suggestion}`: {rule}; `label` is free text")
        } else {
            format!("{rule}; `label` is free text")
        };
        let message = format!("{} cannot be an arm's name", quoted(name));
        self.problems
            .report(arm.key_span, message, "not a good name", help);
    }

    /// Reads the grids of a sweep without arms.
    pub(super) fn common_grids(
        &mut self,
        fields: &Fields<'_>,
        builtin: bool,
    ) -> Vec<(Layer, Span)> {
        let Some(entry) = fields.get("grids") else {
            return Vec::new();
        };
        if let Some(arms) = fields.get("arms") {
            let message = "both `grids` and `arms`: the grids belong to no arm";
            self.problems.add(
                Finding::new(entry.key_span, message, "grids of which arm?")
                    .also(arms.key_span, "the arms")
                    .help("write `grids` in the arm whose union they are"),
            );
        }
        shape::grids(entry, builtin, self.problems)
    }

    /// The arms with all their parameters.
    pub(super) fn arm_drafts<'n>(
        &mut self,
        common: &'n Layer,
        arms: &'n [ArmBlock<'n>],
    ) -> Vec<Draft<'n>> {
        arms.iter()
            .map(|arm| {
                let name = &arm.entry.key;
                let span = arm.entry.key_span;
                let place = format!("arm {}", quoted(name));

                Draft {
                    name: name.to_string(),
                    label: arm.label.clone().unwrap_or_else(|| name.to_string()),
                    span,
                    leaves: self.leaves(&[common, &arm.own], &arm.grids, span, &place),
                    place,
                    has_key: true,
                    shape: None,
                }
            })
            .collect()
    }

    /// The only arm of a sweep without arms; None if it has no parameters.
    pub(super) fn main_draft<'n>(
        &mut self,
        fields: &Fields<'n>,
        name: Option<&str>,
        common: &'n Layer,
        grids: &'n [(Layer, Span)],
    ) -> Option<Draft<'n>> {
        const EXAMPLE: &str = "parameters: {lr: {values: [0.01, 0.1]}}";

        let block = match fields.get("parameters").or(fields.get("grids")) {
            Some(block) => block,
            None => self.required(fields, "parameters", EXAMPLE)?,
        };
        let place = "the sweep";

        Some(Draft {
            name: MAIN.to_owned(),
            label: name.unwrap_or(MAIN).to_owned(),
            span: block.key_span,
            leaves: self.leaves(&[common], grids, block.key_span, place),
            place: place.to_owned(),
            has_key: false,
            shape: None,
        })
    }

    /// The grids of an arm: one, if it is no union.
    fn leaves<'n>(
        &mut self,
        outer: &[&'n Layer],
        grids: &'n [(Layer, Span)],
        span: Span,
        place: &str,
    ) -> Vec<Leaf<'n>> {
        if grids.is_empty() {
            let leaf = Leaf::new(outer.to_vec(), span, place.to_owned(), self.problems);
            return vec![leaf];
        }

        let mut leaves = Vec::new();
        for (index, (layer, span)) in grids.iter().enumerate() {
            let layers = outer.iter().copied().chain([layer]).collect();
            let place = format!("grid {} of {place}", index + 1);
            leaves.push(Leaf::new(layers, *span, place, self.problems));
        }
        leaves
    }

    pub(super) fn check_labels(&mut self, drafts: &[Draft<'_>]) {
        let mut labels: HashMap<&str, &Draft<'_>> = HashMap::new();
        for draft in drafts {
            let Some(first) = labels.insert(&draft.label, draft) else {
                continue;
            };

            let message = format!(
                "the arms {} and {} have the same label",
                quoted(&first.name),
                quoted(&draft.name)
            );
            self.problems.add(
                Finding::new(draft.span, message, "the same label")
                    .also(first.span, "as here")
                    .help("the tables could not tell them apart: give each its own `label`"),
            );
        }
    }
}
