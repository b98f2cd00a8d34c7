//! Grids that are not plain products: parameters that advance together (`zip`), combinations left
//! out (`exclude`), parameters that exist only under another's value (`when`), and unions
//! (`grids`).
//!
//! `layer` reads what the file says, `leaf` puts together the layers of one grid, `resolve` (with
//! `zips` and `conditions`) checks it against the parameters, `lay` turns it into disjoint regions
//! that are counted by multiplication, `unused` reports rules that do nothing. `grid` puts the
//! points of the regions in order.

mod conditions;
mod frame;
mod lay;
mod layer;
mod leaf;
mod occurring;
mod project;
mod region;
mod resolve;
mod unused;
mod zips;

pub(super) use layer::{Layer, grids};
pub(super) use leaf::Leaf;
pub(super) use occurring::ShapedArm;
pub use project::project;
pub use region::{Dimension, Region, Shape, Side, Subgrid};
pub(super) use resolve::shaped;
pub(super) use unused::{Usage, report_unused};
