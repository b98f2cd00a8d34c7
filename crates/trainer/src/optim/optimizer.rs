//! What the engine knows of an optimizer, and how one is made from a trial's settings.

use tch::{TchError, Tensor};

use super::adahessian::{Adahessian, AdahessianSettings};
use super::adam::{Adam, AdamSettings};
use super::hybrid::{Hybrid, HybridSettings};
use super::sgd::{Sgd, SgdSettings};
use super::sgd_momentum::{SgdMomentum, SgdMomentumSettings};

/// A rule that changes the parameters step by step. All of its state is in its own tensors and
/// numbers.
pub(crate) trait Optimizer {
    /// Whether the next `step` takes second derivatives, so that the gradients must come with their
    /// graph.
    fn needs_curvature(&self) -> bool {
        false
    }

    /// One step: changes the parameters in place. `gradients` are of the loss at the parameters, in
    /// their order; they stay as they are, but their graph is used up.
    ///
    /// # Errors
    /// libtorch's.
    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError>;

    /// Hears the validation loss at an epoch's end. True if the rule is another one from here on.
    fn end_epoch(&mut self, _val_loss: f64) -> bool {
        false
    }
}

/// Which optimizer, with its hyper-parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OptimizerSettings {
    /// Plain SGD.
    Sgd(SgdSettings),
    /// SGD with momentum.
    SgdMomentum(SgdMomentumSettings),
    /// Adam.
    Adam(AdamSettings),
    /// AdaHessian.
    Adahessian(AdahessianSettings),
    /// SGD with momentum, then AdaHessian.
    Hybrid(HybridSettings),
}

impl OptimizerSettings {
    /// The optimizer whose steps cost the most of those that a trial takes: hybrid's second phase,
    /// else itself.
    pub(crate) fn costliest(&self) -> Self {
        match self {
            Self::Hybrid(settings) => Self::Adahessian(settings.second.clone()),
            other => other.clone(),
        }
    }

    /// Whether some steps take second derivatives.
    pub(crate) fn uses_curvature(&self) -> bool {
        matches!(self, Self::Adahessian(_) | Self::Hybrid(_))
    }

    /// The optimizer at its start. `seed` is the trial's: probes derive from it.
    pub(crate) fn start(&self, seed: u64) -> Box<dyn Optimizer> {
        match self.clone() {
            Self::Sgd(settings) => Box::new(Sgd::new(settings)),
            Self::SgdMomentum(settings) => Box::new(SgdMomentum::new(settings)),
            Self::Adam(settings) => Box::new(Adam::new(settings)),
            Self::Adahessian(settings) => Box::new(Adahessian::new(settings, seed)),
            Self::Hybrid(settings) => Box::new(Hybrid::new(settings, seed)),
        }
    }
}

/// Helpers for the tests of the rules.
#[cfg(test)]
pub(super) mod testing {
    use super::Optimizer;
    use crate::margins::assert_ratio;
    use crate::optim::gradients;
    use tch::Tensor;

    /// The positions after each of so many steps on f(p) = Σ p², in double precision.
    pub(crate) fn descend(
        rule: &mut dyn Optimizer,
        start: [f64; 2],
        steps: usize,
    ) -> Vec<[f64; 2]> {
        let p = [Tensor::from_slice(&start).set_requires_grad(true)];
        let step = |_| {
            let gradients =
                gradients(&(&p[0] * &p[0]).sum(None), &p, rule.needs_curvature()).unwrap();
            rule.step(&p, &gradients).unwrap();
            [0, 1].map(|index| p[0].double_value(&[index]))
        };
        (0..steps).map(step).collect()
    }

    /// Equal but for rounding.
    pub(crate) fn assert_close(found: &[[f64; 2]], expected: &[[f64; 2]]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert_ratio(
                format!("{found} instead of {expected}"),
                *found,
                *expected,
                1e-12,
            );
        }
    }
}
