//! The built-in tasks: what the rest of the program knows of each, as one descriptor. Generic code
//! asks the descriptor and names no task.

mod built_in;
mod mnist_resnet18;

pub use built_in::{BuiltIn, FigureSet, MetricLabel};
pub use mnist_resnet18::MNIST_RESNET18;

/// All built-in tasks.
pub const ALL: [&BuiltIn; 1] = [&MNIST_RESNET18];

/// Returns the built-in task of that name.
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.into_iter().find(|task| task.name == name)
}
