//! The rules between the parts of the sweep file, and the arms that come out of it.

use super::state::Document;
use crate::spec::model::{Arm, Axis, Seeds};
use crate::spec::parameters::Param;
use crate::spec::shape::{self, Layer, Leaf, Shape, ShapedArm, Usage};
use crate::spec::tree::Fields;
use crate::spec::validate::{self, Draft};
use crate::spec::{MAX_PARAMETERS, builtin, seeds};

impl Document<'_, '_> {
    /// Lays out the grids that are not plain products, and reports rules that do nothing.
    pub(super) fn lay_out(&mut self, common: &Layer, drafts: &mut [Draft<'_>]) {
        let mut regions = 0;
        let mut usage = Usage::default();
        for draft in drafts.iter_mut() {
            if !draft.is_plain() && !draft.is_broken() {
                draft.shape = shape::shaped(&draft.leaves, &mut regions, &mut usage, self.problems);
            }
        }
        // The values of parameters that could not be read are unknown.
        if drafts.iter().any(Draft::is_broken) {
            return;
        }

        let laid = drafts
            .iter()
            .all(|draft| draft.is_plain() || draft.shape.is_some());
        let all: Vec<&Leaf<'_>> = drafts.iter().flat_map(|draft| &draft.leaves).collect();
        shape::report_unused(common, &all, &usage, laid, self.problems);
        for draft in drafts.iter() {
            // The layers of a leaf: the sweep's, the arm's if it is an arm of the file, the grid's.
            let depth = usize::from(draft.has_key);
            let own: Vec<&Leaf<'_>> = draft.leaves.iter().collect();
            if draft.has_key
                && let Some(layer) = own.first().and_then(|leaf| leaf.layers.get(depth))
            {
                shape::report_unused(layer, &own, &usage, laid, self.problems);
            }
            for leaf in &own {
                if let Some(layer) = leaf.layers.get(depth + 1) {
                    shape::report_unused(layer, &[leaf], &usage, laid, self.problems);
                }
            }
        }
    }

    /// Checks the rules between the parts. Returns the seeds if they could be read.
    pub(super) fn check(
        &mut self,
        fields: &Fields<'_>,
        drafts: &[Draft<'_>],
        seeds: Option<seeds::Read>,
        builtin: bool,
    ) -> Option<Seeds> {
        for draft in drafts {
            for leaf in &draft.leaves {
                self.check_leaf(leaf, builtin)?;
            }
            if builtin {
                builtin::check(draft, self.problems);
            }
        }

        let seeds::Read {
            seeds, tune_span, ..
        } = seeds?;
        if seeds.tune.is_empty() {
            validate::untuned(drafts, tune_span, self.problems);
        }
        let span = fields
            .get("arms")
            .or(fields.get("parameters"))
            .or(fields.get("grids"))
            .map_or(tune_span, |entry| entry.key_span);
        validate::size(drafts, &seeds, span, self.problems);
        Some(seeds)
    }

    /// Checks the number and the names of a grid's parameters; None if there are too many to go on.
    fn check_leaf(&mut self, leaf: &Leaf<'_>, builtin: bool) -> Option<()> {
        let count = leaf.params.len();
        if count > MAX_PARAMETERS {
            let place = &leaf.place;
            self.problems.report(
                leaf.span,
                format!("{place} has {count} parameters; at most {MAX_PARAMETERS} are possible"),
                "too many",
                "leave out what never changes: your program can hold it",
            );
            return None;
        }

        if !builtin && count == 0 && self.problems.is_empty() {
            let message = format!("{} has no parameters", leaf.place);
            let help = "add `parameters: {lr: {values: [0.01, 0.1]}}`";
            self.problems
                .report(leaf.span, message, "no parameters", help);
        }
        Some(())
    }
}

/// The arm of a draft without problems.
pub(super) fn finished(draft: Draft<'_>) -> Arm {
    let ShapedArm { axes, grids } = draft.shape.unwrap_or_else(|| ShapedArm {
        axes: draft
            .leaves
            .iter()
            .flat_map(|leaf| &leaf.params)
            .map(|param| axis(param))
            .collect(),
        grids: Vec::new(),
    });
    Arm {
        axes,
        shape: Shape { grids },
        name: draft.name,
        label: draft.label,
    }
}

fn axis(param: &Param) -> Axis {
    Axis {
        name: param.name.clone(),
        values: param
            .values
            .iter()
            .map(|(value, _)| value.clone())
            .collect(),
    }
}
