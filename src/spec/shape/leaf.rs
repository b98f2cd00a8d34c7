//! One grid of an arm as the file has it: its parameters, and the layers of the file that shape
//! it.

use std::collections::HashMap;

use super::layer::Layer;
use crate::spec::parameters::Param;
use crate::spec::problem::{Problems, Span};

/// One grid of an arm.
pub(in crate::spec) struct Leaf<'d> {
    /// All its parameters, common ones first; an inner one replaces the outer one of its name.
    pub params: Vec<&'d Param>,
    /// The layers of the sweep, of the arm and of the grid, as far as they exist.
    pub layers: Vec<&'d Layer>,
    /// Where to point for a problem of the whole grid.
    pub span: Span,
    /// "arm `x`", "grid 2 of arm `x`", "the sweep".
    pub place: String,
    /// A problem with its parameters has been reported, so that nothing should be concluded from
    /// them.
    pub broken: bool,
}

impl<'d> Leaf<'d> {
    /// Creates the grid below those layers. Reports repeated values, which only a `zip` can tell
    /// apart.
    pub(crate) fn new(
        layers: Vec<&'d Layer>,
        span: Span,
        place: String,
        problems: &mut Problems<'_>,
    ) -> Self {
        let params = layers
            .iter()
            .fold(Vec::new(), |params, layer| overlay(params, &layer.params));
        let members: Vec<&str> = layers
            .iter()
            .flat_map(|layer| &layer.zips)
            .flat_map(|zip| &zip.members)
            .map(|(name, _)| name.as_str())
            .collect();
        // A misspelt member may mean any of the parameters. It is reported with the zips.
        let has_misspelt_member = members
            .iter()
            .any(|name| params.iter().all(|param| param.name != *name));

        let mut broken = false;
        for param in &params {
            let may_be_zipped = has_misspelt_member || members.contains(&param.name.as_str());
            let repeats = !param.repeats.is_empty() && !may_be_zipped;
            if repeats {
                param.report_repeats(problems);
            }
            broken |= param.broken || repeats;
        }

        Self {
            params,
            layers,
            span,
            place,
            broken,
        }
    }

    /// Whether it is the product of its parameters.
    pub(crate) fn is_plain(&self) -> bool {
        self.layers
            .iter()
            .all(|layer| layer.zips.is_empty() && layer.rules.is_empty())
            && self.params.iter().all(|param| param.when.is_none())
    }

    /// The number of the parameter of that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|param| param.name == name)
    }
}

/// Puts the parameters of a layer over those of the layers around it: they replace the outer ones
/// of their names.
fn overlay<'d>(outer: Vec<&'d Param>, own: &'d [Param]) -> Vec<&'d Param> {
    let places: HashMap<&str, usize> = outer
        .iter()
        .enumerate()
        .map(|(index, param)| (param.name.as_str(), index))
        .collect();

    let mut params = outer;
    for param in own {
        match places.get(param.name.as_str()) {
            Some(&index) => params[index] = param,
            None => params.push(param),
        }
    }
    params
}
