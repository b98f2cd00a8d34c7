//! Stochastic gradient descent, torch's `SGD(lr)`:
//!
//! ```text
//! p <- p - lr g
//! ```

use tch::{TchError, Tensor};

use super::optimizer::Optimizer;
use crate::tensors::{scalar, without_grad};

/// Hyper-parameters of SGD.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SgdSettings {
    /// Learning rate.
    pub lr: f64,
}

/// SGD has no state.
pub(super) struct Sgd {
    settings: SgdSettings,
}

impl Sgd {
    /// The rule.
    pub(super) fn new(settings: SgdSettings) -> Self {
        Self { settings }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
        let _guard = without_grad();
        for (parameter, gradient) in parameters.iter().zip(gradients) {
            let _ = parameter
                .shallow_clone()
                .f_addcmul_(gradient, &scalar(-self.settings.lr, parameter)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::optimizer::testing::{assert_close, descend};

    #[test]
    fn it_goes_down_the_gradient() {
        // f = p²: g = 2p.
        let path = descend(&mut Sgd::new(SgdSettings { lr: 0.1 }), [1.0, -2.0], 2);
        assert_close(&path, &[[0.8, -1.6], [0.64, -1.28]]);
    }
}
