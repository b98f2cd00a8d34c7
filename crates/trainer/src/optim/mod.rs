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

pub use adahessian::AdahessianSettings;
pub use adam::AdamSettings;
pub use gradient::gradients;
pub use hutchinson::Probes;
#[cfg(test)]
pub use hutchinson::hessian_product;
pub use hybrid::HybridSettings;
pub use optimizer::{Optimizer, OptimizerSettings};
pub use sgd::SgdSettings;
pub use sgd_momentum::SgdMomentumSettings;
