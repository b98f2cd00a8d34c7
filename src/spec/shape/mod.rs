//! Grids that are not plain products: parameters that advance together (`zip`), combinations left out (`exclude`),
//! parameters that exist only under another's value (`when`), and unions (`grids`). `layer` reads what the file says,
//! `resolve` checks it against the parameters, `lay` turns it into disjoint regions that are counted by multiplication,
//! `unmet` reports rules that do nothing. `grid` puts the points of the regions in order.

mod project;
mod region;

pub use project::project;
pub use region::{Dimension, Region, Shape, Side, Subgrid};
