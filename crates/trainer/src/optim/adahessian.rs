//! AdaHessian (Yao et al. 2021, algorithm 1) as the authors ran it, `torch_optimizer.Adahessian`
//! without weight decay:
//!
//! ```text
//! D_n = mean of |H z| over each convolution kernel's spatial axes; |H z| itself for other tensors
//! m_n = β1 m_{n-1} + (1 - β1) g_n,   v_n = β2 v_{n-1} + (1 - β2) D_n²
//! p <- p - lr (m_n / (1 - β1^n)) / (sqrt(v_n / (1 - β2^n))^k + eps)
//! ```
//!
//! with a new probe z of random signs for each step. The paper's eq. 10 averages z ∘ H z with its
//! sign; every implementation takes the absolute value first, and so does this one.

use tch::{TchError, Tensor};

use super::hutchinson::{Probes, hessian_product, spatial_mean};
use super::optimizer::Optimizer;
use crate::tensors::without_grad;

/// Hyper-parameters of AdaHessian.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdahessianSettings {
    /// Learning rate.
    pub lr: f64,
    /// Decay β1 of the first moment.
    pub beta1: f64,
    /// Decay β2 of the second moment.
    pub beta2: f64,
    /// Term added to the denominator.
    pub eps: f64,
    /// Hessian power k: 1 is Newton's scaling, 0 is none.
    pub hessian_power: f64,
}

/// AdaHessian.
pub(super) struct Adahessian {
    settings: AdahessianSettings,
    probes: Probes,
    /// Steps taken.
    steps: i32,
    /// m, one tensor for each parameter; empty before the first step.
    first: Vec<Tensor>,
    /// v, one tensor for each parameter, of the shape of D: `[O, I, 1, 1]` for a convolution.
    second: Vec<Tensor>,
}

impl Adahessian {
    /// The rule before its first step; its probes derive from the trial's seed.
    pub(super) fn new(settings: AdahessianSettings, seed: u64) -> Self {
        Self {
            settings,
            probes: Probes::new(seed),
            steps: 0,
            first: Vec::new(),
            second: Vec::new(),
        }
    }
}

impl Optimizer for Adahessian {
    fn needs_curvature(&self) -> bool {
        true
    }

    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
        let AdahessianSettings {
            lr,
            beta1,
            beta2,
            eps,
            hessian_power,
        } = self.settings;
        self.steps += 1;
        // In a block, so that the signs are freed before the moments need memory.
        let products = {
            let step = self.steps.unsigned_abs().into();
            let signs = self.probes.signs(step, parameters)?;
            hessian_product(gradients, parameters, &signs)?
        };

        let _guard = without_grad();
        if self.first.is_empty() {
            self.first = parameters
                .iter()
                .map(Tensor::f_zeros_like)
                .collect::<Result<_, _>>()?;
        }
        let bias1 = 1.0 - beta1.powi(self.steps);
        let bias2 = 1.0 - beta2.powi(self.steps);
        for (index, (parameter, g)) in parameters.iter().zip(gradients).enumerate() {
            // The shape of D, and so that of v, is known with the first product.
            let d = spatial_mean(&products[index])?;
            if self.second.len() == index {
                self.second.push(d.f_zeros_like()?);
            }
            let m = &mut self.first[index];
            let v = &mut self.second[index];
            let _ = m.f_lerp_(g, 1.0 - beta1)?;
            let _ = v
                .f_mul_scalar_(beta2)?
                .f_addcmul_(&d.f_mul_scalar(1.0 - beta2)?, &d)?;

            let mut denominator = v.f_sqrt()?.f_div_scalar_(bias2.sqrt())?;
            if hessian_power != 1.0 {
                denominator = denominator.f_pow_(hessian_power)?;
            }
            // -lr / bias1 goes into the denominator, which is nine times smaller than m.
            let denominator = denominator.f_add_scalar_(eps)?.f_mul_scalar_(-bias1 / lr)?;
            let _ = parameter.shallow_clone().f_addcdiv_(m, &denominator)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::gradients;
    use crate::optim::optimizer::testing::{assert_close, descend};

    fn settings(hessian_power: f64) -> AdahessianSettings {
        AdahessianSettings {
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            eps: 0.5,
            hessian_power,
        }
    }

    /// f = p² has the Hessian 2 I: |Hz| = 2 for any signs, so sqrt(v / bias2) = 2 at every step.
    #[test]
    fn steps_match_the_algorithm_by_hand() {
        for (power, denominator) in [(1.0, 2.5), (0.0, 1.5), (0.5, 2f64.sqrt() + 0.5)] {
            let path = descend(&mut Adahessian::new(settings(power), 1), [1.0, -2.0], 2);
            let first = [
                1.0 - 0.1 * 2.0 / denominator,
                -2.0 + 0.1 * 4.0 / denominator,
            ];
            let second = [0, 1].map(|i| {
                let m = (0.09 * 2.0 * [1.0, -2.0][i] + 0.1 * 2.0 * first[i]) / 0.19;
                first[i] - 0.1 * m / denominator
            });
            assert_close(&path, &[first, second]);
        }
    }

    /// f = Σ a p² / 2 on a 4-d tensor: |Hz| = a, and the step divides by the mean of a over each
    /// kernel.
    #[test]
    fn a_kernel_shares_its_mean_curvature() {
        let a = Tensor::from_slice::<f64>(&[1.0, 2.0, 3.0, 10.0, 0.0, 0.0, 0.0, 8.0])
            .view([2, 1, 2, 2]);
        let p = [Tensor::ones([2, 1, 2, 2], tch::kind::DOUBLE_CPU).set_requires_grad(true)];
        let mut rule = Adahessian::new(
            AdahessianSettings {
                eps: 0.0,
                ..settings(1.0)
            },
            3,
        );
        let first = gradients(&((&p[0] * &p[0] * &a).sum(None) * 0.5), &p, true).unwrap();
        rule.step(&p, &first).unwrap();
        assert_eq!(rule.second[0].size(), [2, 1, 1, 1]);
        let expected = [1.0, 2.0, 3.0, 10.0]
            .map(|a| 1.0 - 0.1 * a / 4.0)
            .into_iter()
            .chain([0.0, 0.0, 0.0, 8.0].map(|a| 1.0 - 0.1 * a / 2.0));
        for (found, expected) in Vec::<f64>::try_from(p[0].flatten(0, -1))
            .unwrap()
            .into_iter()
            .zip(expected)
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// Off the diagonal the signs matter: the second moment is the square of |H z| for the
    /// documented stream.
    #[test]
    fn the_second_moment_is_the_probes() {
        let hessian = Tensor::from_slice::<f64>(&[2.0, 1.0, 1.0, 3.0]).view([2, 2]);
        let p = [Tensor::from_slice::<f64>(&[1.0, -1.0]).set_requires_grad(true)];
        let mut rule = Adahessian::new(settings(1.0), 8);
        let mut expected = Tensor::zeros([2], tch::kind::DOUBLE_CPU);
        for step in 1..=3 {
            let first = gradients(&(p[0].dot(&hessian.mv(&p[0])) * 0.5), &p, true).unwrap();
            let z = Probes::new(8).signs(step, &p).unwrap();
            expected = expected * 0.99 + hessian.mv(&z[0]).square() * 0.01;
            rule.step(&p, &first).unwrap();
        }
        assert!(rule.second[0].allclose(&expected, 1e-12, 0.0, false));
    }
}
