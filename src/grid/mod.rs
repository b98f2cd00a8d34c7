//! The points of a sweep: the combinations of each arm's values, in a stable order, computed one at
//! a time; and the ids of points and trials. Pure.

mod arm;
mod expand;
mod ids;
mod index;
mod order;
#[cfg(test)]
mod shapes_model;
#[cfg(test)]
mod shapes_tests;

pub use arm::{ArmGrid, Point};
pub use expand::Grid;
pub use ids::{IdError, PointId, TrialId};
pub use index::{ArmIndex, PointIndex};
