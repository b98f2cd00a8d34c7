//! Packs: K trials of one seed trained as one network with a model axis. Every operation is
//! block-diagonal over the models and the loss is their sum, so no model sees another.
//!
//! `partition` decides by `key` which trials go together. `bundle` runs the trials of one key, in
//! the packs of `rounds`; `training` trains the epochs of a pack. `layout` lays a model's weights
//! out as one row, `convolution` and `network` compute with K such rows at once, and `rules` are
//! the optimizers. `native` holds hand-written passes with our own kernels for GPUs.

mod bundle;
mod convolution;
mod key;
mod layout;
mod native;
mod network;
mod partition;
mod rounds;
mod rules;
#[cfg(test)]
mod tests;
mod training;

pub(crate) use bundle::{Event, PackOptions, run};
#[cfg(test)]
pub(crate) use key::PackKey;
pub(crate) use native::{Kernels, Operations};
pub(crate) use partition::{Limit, LimitError, Part, partition, uses_curvature};
