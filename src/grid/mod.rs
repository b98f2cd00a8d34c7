//! A spec's points: the combinations of every arm's values, in a stable order, one at a time; and
//! the ids that points and trials go by. Pure.

mod expand;
mod ids;
mod order;
#[cfg(test)]
mod shapes_tests;

pub use expand::{ArmGrid, Grid, Point};
pub use ids::{IdError, PointId, TrialId};
