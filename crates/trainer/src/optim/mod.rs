//! The five optimizers, one file each with its equation, behind one trait (`optimizer`); `gradient`
//! and `hutchinson` give them first and second derivatives. The engine steps them.

mod adahessian;
mod adam;
mod fused;
mod gradient;
mod hutchinson;
mod hybrid;
mod optimizer;
mod sgd;
mod sgd_momentum;
#[cfg(test)]
mod small_net;

pub(crate) use adahessian::AdahessianSettings;
pub(crate) use adam::AdamSettings;
pub(crate) use gradient::gradients;
pub(crate) use hutchinson::Probes;
#[cfg(test)]
pub(crate) use hutchinson::hessian_product;
pub(crate) use hybrid::HybridSettings;
pub(crate) use optimizer::{Optimizer, OptimizerSettings};
pub(crate) use sgd::SgdSettings;
pub(crate) use sgd_momentum::SgdMomentumSettings;
