//! Every figure of a report: learning curves of the selected points, spectral norms, sensitivity to
//! each hyper-parameter, heat maps of pairs, distributions. `plot` draws them; this module knows
//! which there are and what stands below them. Pure.

mod curves;
mod distribution;
mod heatmap;
mod names;
mod sensitivity;
mod set;
#[cfg(test)]
mod tests;

pub use names::is_figure_file;
pub use set::{FigureData, FigureFile, figures};
