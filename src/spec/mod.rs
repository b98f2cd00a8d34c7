//! The sweep file: text in, a valid `Spec` or a `Diagnosis` out. Pure.
//!
//! `parse` makes a tree with the place of every node, `document` and the files that it uses read
//! the tree and check the rules between its parts, `schema` describes the file for editors.

mod affinity;
mod args_forms;
pub mod arguments;
mod at;
mod builtin;
mod claims;
mod clause;
mod collection;
mod columns;
pub mod command;
mod document;
mod environment;
mod foreign;
mod free_text;
mod goal;
mod handover;
mod keys;
mod launcher;
mod limits;
mod macros;
mod model;
mod naming;
mod numbers;
mod parameters;
mod parse;
mod problem;
mod program;
mod prune;
mod published;
mod resources;
mod scalar;
mod schema;
mod seed_parameter;
mod seeds;
mod shape;
mod similar;
mod sources;
mod syntax;
pub mod task;
#[cfg(test)]
mod tests;
mod tree;
mod validate;

pub use columns::{ColumnNames, apart};
pub use document::{read, read_named};
pub use handover::Handover;
pub use model::{
    Arm, At, Axis, Claim, ClaimKind, CommandSpec, Goal, LauncherSpec, Limit, Limits, Metric,
    MetricsSource, OutputPattern, Prune, PublishedFigure, Resources, Seeds, SlurmSpec, Spec,
    TRAINING_SECONDS, Way,
};
pub use pentagrid_protocol::{Config, ParamValue};
pub(crate) use problem::is_invisible;
pub use problem::{Diagnosis, Problem};
pub use schema::json_schema;
pub use shape::{Dimension, Region, Shape, Side, Subgrid, project};
pub use similar::nearest;
pub use task::Task;

/// Maximum size of a sweep file in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Maximum number of YAML nodes (values, keys, lists and mappings) after alias expansion.
pub const MAX_NODES: usize = 100_000;

/// Maximum nesting depth of lists and mappings.
pub const MAX_DEPTH: usize = 32;

/// Maximum number of arms.
pub const MAX_ARMS: usize = 200;

/// Maximum number of parameters of an arm.
pub const MAX_PARAMETERS: usize = 200;

/// Maximum number of grids in the union of an arm.
pub const MAX_GRIDS: usize = 200;

/// Maximum number of rules under one `exclude`.
pub const MAX_RULES: usize = 1000;

/// Maximum number of disjoint regions that conditions and `exclude` rules may split the grids of a
/// sweep into.
pub const MAX_REGIONS: usize = 5000;

/// Maximum number of seeds in a phase, if a count is given.
pub const MAX_SEEDS: u64 = 1000;

/// Maximum number of claims.
pub const MAX_CLAIMS: usize = 200;

/// Maximum number of trials of a sweep.
pub const MAX_TRIALS: u128 = 10_000_000;
