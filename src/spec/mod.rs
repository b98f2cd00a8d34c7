//! The sweep file. `parse` makes a tree with places of the text, `document` and its helpers read it
//! into a draft, `validate` checks the rules between its parts, `schema` tells editors about it.
//! Pure: text in, a valid `Spec` or a `Diagnosis` out.

mod affinity;
mod builtin;
mod claims;
mod columns;
pub mod command;
mod document;
mod handover;
mod keys;
mod launcher;
mod limits;
mod model;
mod naming;
mod parameters;
mod parse;
mod problem;
mod program;
mod prune;
mod published;
mod resources;
mod scalar;
mod schema;
mod seeds;
mod shape;
pub mod task;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod words;

pub use columns::{ColumnNames, apart};
pub use document::{read, read_named};
pub use handover::Handover;
pub use keys::nearest;
pub use launcher::{CommandSpec, LauncherSpec, SlurmSpec};
pub use model::{
    Arm, Axis, Claim, ClaimKind, Goal, Limit, Limits, Metric, Prune, PublishedFigure, Resources,
    Seeds, Spec, Way,
};
pub use pentagrid_protocol::{Config, ParamValue};
pub(crate) use problem::is_invisible;
pub use problem::{Diagnosis, Problem};
pub use schema::json_schema;
pub use shape::{Dimension, Region, Shape, Side, Subgrid, project};
pub use task::Task;

/// A sweep file may have so many bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// So many values, keys, lists and mappings, with aliases expanded.
pub const MAX_NODES: usize = 100_000;
/// So many levels of lists and mappings.
pub const MAX_DEPTH: usize = 32;
/// So many arms.
pub const MAX_ARMS: usize = 200;
/// So many parameters, for each arm.
pub const MAX_PARAMETERS: usize = 200;
/// So many grids in the union of an arm.
pub const MAX_GRIDS: usize = 200;
/// So many rules under one `exclude`.
pub const MAX_RULES: usize = 1000;
/// Into so many products the grids of a sweep may fall apart by their conditions and rules.
pub const MAX_REGIONS: usize = 5000;
/// So many seeds in each phase, where a count is given.
pub const MAX_SEEDS: u64 = 1000;
/// So many claims.
pub const MAX_CLAIMS: usize = 200;
/// A sweep may have so many trials.
pub const MAX_TRIALS: u128 = 10_000_000;
