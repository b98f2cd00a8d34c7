//! A pack's passes written out by hand instead of recorded by libtorch: forwards, backwards, and
//! the Hessian's product, each of whose steps is one call of `Operations`. `kernels` has them as
//! kernels for NVIDIA GPUs (the `.cu` files, compiled by `module`), `reference` in libtorch's
//! words, for any device and precision: what the kernels are to compute, and how the passes are
//! tested without a GPU. `forward`, `backward` and `curvature` are the passes, `layers` what they
//! have in common. `training` calls them.

mod backward;
mod curvature;
mod forward;
mod kernels;
mod layers;
mod module;
mod operations;
#[cfg(test)]
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use backward::gradient;
pub use curvature::hessian_product;
pub use forward::{evaluate, forward};
pub use kernels::Kernels;
pub use layers::Layers;
pub use operations::Operations;
#[cfg(test)]
pub use reference::Reference;
