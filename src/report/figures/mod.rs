//! Every figure of a report: learning curves of the selected points, spectral norms, sensitivity to
//! each hyper-parameter, heat maps of pairs, distributions. This module makes the charts and their
//! captions; `plot` draws them. Pure.

mod curves;
mod data;
mod distribution;
mod heatmap;
mod names;
mod scales;
mod sensitivity;
mod series;
mod set;
#[cfg(test)]
mod tests;
mod value_axis;

pub use data::FigureData;
pub use names::is_figure_file;
pub use set::{FigureFile, figures};
