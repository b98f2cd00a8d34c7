//! Adam (Kingma & Ba 2015, algorithm 1), as torch's `Adam` has it, without weight decay:
//!
//! ```text
//! m_n = β1 m_{n-1} + (1 - β1) g_n,   v_n = β2 v_{n-1} + (1 - β2) g_n²
//! p <- p - lr (m_n / (1 - β1^n)) / (sqrt(v_n / (1 - β2^n)) + eps)
//! ```

use tch::{TchError, Tensor};

use super::fused::{self, Coefficients, Tensors};
use super::optimizer::Optimizer;
use crate::processor::Avx2;
use crate::tensors::without_grad;

/// Hyper-parameters of Adam.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdamSettings {
    /// Learning rate.
    pub lr: f64,
    /// Decay β1 of the first moment.
    pub beta1: f64,
    /// Decay β2 of the second moment.
    pub beta2: f64,
    /// Term added to the denominator.
    pub eps: f64,
}

/// Adam.
pub(super) struct Adam {
    settings: AdamSettings,
    /// Steps taken.
    steps: i32,
    /// m, one tensor for each parameter; empty before the first step.
    first: Vec<Tensor>,
    /// v, likewise.
    second: Vec<Tensor>,
    /// Proof that steps may be taken in one pass over memory, by vector code.
    avx2: Option<Avx2>,
}

impl Adam {
    /// The rule before its first step.
    pub(super) fn new(settings: AdamSettings) -> Self {
        Self {
            settings,
            steps: 0,
            first: Vec::new(),
            second: Vec::new(),
            avx2: Avx2::find(),
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
        let _guard = without_grad();
        let AdamSettings {
            lr,
            beta1,
            beta2,
            eps,
        } = self.settings;

        if self.first.is_empty() {
            self.first = parameters
                .iter()
                .map(Tensor::f_zeros_like)
                .collect::<Result<_, _>>()?;
            self.second = parameters
                .iter()
                .map(Tensor::f_zeros_like)
                .collect::<Result<_, _>>()?;
        }
        self.steps += 1;

        // Bias corrections and learning rate become part of the denominator, which saves passes
        // over memory: (sqrt(v) + eps sqrt(bias2)) (-bias1 / (lr sqrt(bias2))).
        let bias1 = 1.0 - beta1.powi(self.steps);
        let root2 = (1.0 - beta2.powi(self.steps)).sqrt();
        let in_one_pass = Coefficients {
            gradient_weight: (1.0 - beta1) as f32,
            decay: beta2 as f32,
            square_weight: (1.0 - beta2) as f32,
            rate: (lr * root2 / bias1) as f32,
            eps: (eps * root2) as f32,
        };
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, gradient), (first, second)) in
            parameters.iter().zip(gradients).zip(moments)
        {
            let mut tensors = Tensors {
                parameter,
                gradient,
                first,
                second,
            };
            if fused::adam(in_one_pass, &mut tensors, self.avx2)? {
                continue;
            }

            let Tensors {
                parameter,
                gradient: g,
                first: m,
                second: v,
            } = tensors;
            let _ = m.f_lerp_(g, 1.0 - beta1)?;
            let _ = v
                .f_mul_scalar_(beta2)?
                .f_addcmul_(&g.f_mul_scalar(1.0 - beta2)?, g)?;
            let denominator = v
                .f_sqrt()?
                .f_add_scalar_(eps * root2)?
                .f_mul_scalar_(-bias1 / (lr * root2))?;
            let _ = parameter.shallow_clone().f_addcdiv_(m, &denominator)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::margins::assert_near;
    use crate::optim::optimizer::testing::{assert_close, descend};
    use tch::{Device, Kind, kind};

    #[test]
    fn steps_match_the_algorithm_by_hand() {
        // f = p², p = (1, -2). Step 1: m/bias1 = g, v/bias2 = g², so the step is lr g / (|g| +
        // eps).
        let path = descend(
            &mut Adam::new(AdamSettings {
                lr: 0.1,
                beta1: 0.9,
                beta2: 0.999,
                eps: 0.5,
            }),
            [1.0, -2.0],
            2,
        );
        let first = [1.0 - 0.1 * 2.0 / 2.5, -2.0 + 0.1 * 4.0 / 4.5];
        let second = [0, 1].map(|i| {
            let (g1, g2): (f64, f64) = (2.0 * [1.0, -2.0][i], 2.0 * first[i]);
            let m: f64 = (0.9 * 0.1 * g1 + 0.1 * g2) / (1.0 - 0.81);
            let v: f64 = (0.999 * 0.001 * g1 * g1 + 0.001 * g2 * g2) / (1.0 - 0.998_001);
            first[i] - 0.1 * m / (v.sqrt() + 0.5)
        });
        assert_close(&path, &[first, second]);
    }

    /// The vector code, if this processor has AVX2, and the portable code, both against the
    /// portable code in double precision.
    #[test]
    fn vector_and_portable_code_take_the_same_steps() {
        one_thread();
        const COUNT: i64 = 1001;
        const STEPS: i64 = 20;
        let gradients = (Tensor::arange(STEPS * COUNT, kind::DOUBLE_CPU) * 0.7)
            .sin()
            .view([STEPS, COUNT])
            .to_kind(Kind::Float);
        let moved = |avx2: Option<Avx2>, kind: Kind| {
            let mut rule = Adam::new(AdamSettings {
                lr: 0.01,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
            });
            rule.avx2 = avx2;
            let parameter = Tensor::zeros([COUNT], (kind, Device::Cpu));
            for step in 0..STEPS {
                rule.step(
                    &[parameter.shallow_clone()],
                    &[gradients.get(step).to_kind(kind)],
                )
                .unwrap();
            }
            parameter
        };
        let expected = moved(None, Kind::Double);
        for avx2 in [Avx2::find(), None] {
            assert_near(
                format!("Adam's steps with {avx2:?}"),
                &moved(avx2, Kind::Float),
                &expected,
                1e-5,
            );
        }
    }

    #[test]
    fn a_gradient_of_zero_does_not_move() {
        let path = descend(
            &mut Adam::new(AdamSettings {
                lr: 0.1,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
            }),
            [0.0, 1.0],
            1,
        );
        assert_eq!(path[0][0], 0.0);
    }
}
