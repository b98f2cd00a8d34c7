//! Packs: K trials of one seed trained as one network with a model axis. `layout` lays a model's
//! weights out as one row, `convolution` and `network` run K such rows at once, `rules` move them,
//! `training` takes epochs, `bundle` makes trials of it; `partition` says which trials go together;
//! `native` is the passes by hand, with our own kernels for GPUs. Every operation is block-diagonal
//! over the models and the loss is their sum, so no model sees another.

mod bundle;
mod convolution;
mod layout;
mod native;
mod network;
mod partition;
mod rules;
#[cfg(test)]
mod tests;
mod training;

#[cfg(test)]
pub use bundle::PackKey;
pub use bundle::{Event, run};
pub use native::{Kernels, Operations};
pub use partition::{Limit, Part, curvature, partition};
