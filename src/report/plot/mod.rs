//! Charts as SVG and PNG. `model` defines a chart, `layout` places panels and legend, `marks` and
//! `cloud` draw data, `canvas` is the only file that names kuva. Knows nothing of sweeps; `figures`
//! makes the charts.

mod axis;
mod canvas;
mod cloud;
mod layout;
mod legend;
mod marks;
mod model;
mod style;
mod text;
mod ticks;

pub use canvas::{Picture, PlotError};
pub use layout::draw;
pub use model::{Axis, Chart, Legend, LegendEntry, Mark, Panel, Scale, Spread};
pub use style::{Shape, Style};
pub use text::{clean, shorten};
