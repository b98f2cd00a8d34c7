//! The images: reading IDX files (`idx`), the three sets of the task (`sets`), cutting them into
//! batches (`batches`). Hands device-resident tensors to the engine.

mod batches;
mod idx;
mod sets;

pub(crate) use batches::Batches;
pub(crate) use sets::{Sets, Split};
