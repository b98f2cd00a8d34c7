//! Packs: K trials of one seed trained as one network with a model axis. `layout` lays a model's weights out as one row,
//! `convolution` and `network` run K such rows at once, `rules` move them, `training` takes epochs, `bundle` makes trials of it.
//! Every operation is block-diagonal over the models and the loss is their sum, so no model sees another.

mod bundle;
mod convolution;
mod layout;
mod network;
mod rules;
#[cfg(test)]
mod tests;
mod training;

pub use bundle::{Event, PackKey, run};
