//! A pack's passes written by hand instead of recorded by libtorch: forwards (`forward`), backwards
//! (`backward`), and the product with the Hessian (`curvature`), through the layers of `layers`.
//! Each of their steps is a call of `operations::Operations`. `kernels` implements it with kernels
//! for NVIDIA GPUs (the `.cu` files, compiled by `module`). `reference` implements it with
//! libtorch, for any device and precision: the definition of what the kernels compute, and how the
//! passes are tested without a GPU. `training` calls the passes.

mod backward;
mod curvature;
mod forward;
mod kernels;
mod layers;
mod module;
mod operations;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub(super) use backward::gradient;
pub(super) use curvature::{Passed, hessian_product};
pub(super) use forward::{evaluate, forward};
pub(crate) use kernels::Kernels;
pub(super) use layers::Layers;
pub(crate) use operations::Operations;
pub(super) use operations::Running;
#[cfg(test)]
pub(super) use reference::Reference;
