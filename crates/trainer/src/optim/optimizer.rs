//! The interface of the optimizers, and how one is made from a trial's settings.

use tch::{TchError, Tensor};

use super::adahessian::{Adahessian, AdahessianSettings};
use super::adam::{Adam, AdamSettings};
use super::hybrid::{Hybrid, HybridSettings};
use super::sgd::{Sgd, SgdSettings};
use super::sgd_momentum::{SgdMomentum, SgdMomentumSettings};

/// A rule that changes the parameters step by step.
pub(crate) trait Optimizer {
    /// Whether the next `step` takes second derivatives, for which the gradients need their graph.
    fn needs_curvature(&self) -> bool {
        false
    }

    /// Takes one step: changes the parameters in place. `gradients` are those of the loss, in the
    /// order of the parameters. They stay as they are, but their graph is freed.
    ///
    /// # Errors
    /// libtorch's.
    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError>;

    /// Gets the validation loss at an epoch's end. Returns whether the rule switches to another
    /// one.
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
    /// The optimizer with the most expensive steps of a trial: hybrid's second phase, else itself.
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

    /// The optimizer before its first step. Probes derive from the trial's `seed`.
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

    /// The positions after each step on f(p) = Σ p², in double precision.
    pub(crate) fn descend(
        rule: &mut dyn Optimizer,
        start: [f64; 2],
        steps: usize,
    ) -> Vec<[f64; 2]> {
        let p = [Tensor::from_slice(&start).set_requires_grad(true)];
        let mut path = Vec::new();
        for _ in 0..steps {
            let loss = (&p[0] * &p[0]).sum(None);
            let gradients = gradients(&loss, &p, rule.needs_curvature()).unwrap();
            rule.step(&p, &gradients).unwrap();
            path.push([0, 1].map(|index| p[0].double_value(&[index])));
        }
        path
    }

    /// Asserts that paths are equal up to rounding.
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
