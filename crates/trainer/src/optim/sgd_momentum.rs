//! SGD with momentum, torch's `SGD(lr, momentum, dampening)`, without Nesterov's step:
//!
//! ```text
//! m_1 = g_1,   m_n = β m_{n-1} + (1 - d) g_n
//! p <- p - lr m_n
//! ```
//!
//! d = 0 is what the authors ran; d = β is the paper's eq. 2 (but for the first step, which torch
//! does not dampen).

use tch::{TchError, Tensor};

use super::optimizer::Optimizer;
use crate::tensors::{copy, scalar, without_grad};

/// Hyper-parameters of SGD with momentum.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SgdMomentumSettings {
    /// Learning rate.
    pub lr: f64,
    /// Decay β of the momentum.
    pub momentum: f64,
    /// Weight d taken off each new gradient.
    pub dampening: f64,
}

/// SGD with momentum.
pub(super) struct SgdMomentum {
    settings: SgdMomentumSettings,
    /// m, one tensor for each parameter; empty before the first step.
    momentum: Vec<Tensor>,
}

impl SgdMomentum {
    /// The rule before its first step.
    pub(super) fn new(settings: SgdMomentumSettings) -> Self {
        Self {
            settings,
            momentum: Vec::new(),
        }
    }
}

impl Optimizer for SgdMomentum {
    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
        let _guard = without_grad();
        let SgdMomentumSettings {
            lr,
            momentum: beta,
            dampening,
        } = self.settings;

        if self.momentum.is_empty() {
            self.momentum = gradients.iter().map(copy).collect::<Result<_, _>>()?;
        } else {
            for (m, g) in self.momentum.iter_mut().zip(gradients) {
                if dampening == 0.0 {
                    // β m + g in one pass.
                    let _ = g.f_addcmul_out(m, m, &scalar(beta, m)?)?;
                } else {
                    let _ = m
                        .f_mul_scalar_(beta)?
                        .f_addcmul_(g, &scalar(1.0 - dampening, m)?)?;
                }
            }
        }

        for (parameter, m) in parameters.iter().zip(&self.momentum) {
            let _ = parameter.shallow_clone().f_addcmul_(m, &scalar(-lr, m)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::optimizer::testing::{assert_close, descend};

    fn settings(dampening: f64) -> SgdMomentumSettings {
        SgdMomentumSettings {
            lr: 0.1,
            momentum: 0.9,
            dampening,
        }
    }

    #[test]
    fn the_first_step_is_the_gradient_and_the_next_ones_add_momentum() {
        // f = p², p = 1: g = 2, m = 2, p = 0.8; g = 1.6, m = 3.4, p = 0.46; g = 0.92, m = 3.98, p =
        // 0.062.
        let path = descend(&mut SgdMomentum::new(settings(0.0)), [1.0, -1.0], 3);
        assert_close(&path, &[[0.8, -0.8], [0.46, -0.46], [0.062, -0.062]]);
    }

    #[test]
    fn dampening_leaves_the_first_step_alone_as_in_torch() {
        // m = 2, p = 0.8; m = 0.9·2 + 0.1·1.6 = 1.96, p = 0.604; m = 1.764 + 0.1208 = 1.8848, p =
        // 0.41552.
        let path = descend(&mut SgdMomentum::new(settings(0.9)), [1.0, -1.0], 3);
        assert_close(&path, &[[0.8, -0.8], [0.604, -0.604], [0.41552, -0.41552]]);
    }
}
