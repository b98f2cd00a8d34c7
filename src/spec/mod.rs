//! The sweep file: what it may say (`model`), how it is read (`parse`), which rules hold between its parts
//! (`validate`), and its JSON schema (`schema`). Pure: text in, a valid `Spec` or a diagnosis out.

mod model;
pub mod task;
mod value;

pub use model::{Arm, Axis, Goal, Metric, PublishedFigure, Seeds, Spec};
pub use task::Task;
pub use value::{Config, ParamValue};
