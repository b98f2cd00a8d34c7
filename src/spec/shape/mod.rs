//! Grids that are not plain products: parameters that advance together (`zip`), combinations left
//! out (`exclude`), parameters that exist only under another's value (`when`), and unions
//! (`grids`). `layer` reads what the file says, `resolve` checks it against the parameters, `lay`
//! turns it into disjoint regions that are counted by multiplication, `unmet` reports rules that do
//! nothing. `grid` puts the points of the regions in order.

mod lay;
mod layer;
mod occurring;
mod project;
mod region;
mod resolve;
mod unmet;

pub(super) use layer::{Clause, Layer, clauses, grids};
pub use project::project;
pub use region::{Dimension, Region, Shape, Side, Subgrid};
pub(super) use resolve::{Leaf, shaped};
pub(super) use unmet::{Met, unmet};
