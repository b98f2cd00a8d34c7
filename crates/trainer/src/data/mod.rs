//! The images: reading IDX files (`idx`), the three sets of the task (`sets`), cutting them into
//! batches (`batches`). The engine gets tensors that are on the device already.

mod batches;
mod idx;
mod sets;

pub(crate) use batches::Batches;
pub(crate) use sets::{Sets, Split};
