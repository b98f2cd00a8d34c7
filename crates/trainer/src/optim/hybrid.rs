//! The paper's Hybrid: SGD with momentum until the validation loss at an epoch's end is strictly
//! below `tl`, then a new AdaHessian, which takes over no state and counts its steps from 1. It
//! never switches back.

use tch::{TchError, Tensor};

use super::adahessian::{Adahessian, AdahessianSettings};
use super::optimizer::Optimizer;
use super::sgd_momentum::{SgdMomentum, SgdMomentumSettings};

/// Hyper-parameters of Hybrid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HybridSettings {
    /// The first phase; its `lr` is the parameter `lr1`.
    pub first: SgdMomentumSettings,
    /// Validation loss below which it switches.
    pub tl: f64,
    /// The second phase; its `lr` is the parameter `lr2`.
    pub second: AdahessianSettings,
}

/// Hybrid.
pub(super) struct Hybrid {
    phase: Phase,
    tl: f64,
    second: AdahessianSettings,
    seed: u64,
}

enum Phase {
    First(SgdMomentum),
    Second(Adahessian),
}

impl Hybrid {
    /// The rule at its start.
    pub(super) fn new(settings: HybridSettings, seed: u64) -> Self {
        Self {
            phase: Phase::First(SgdMomentum::new(settings.first)),
            tl: settings.tl,
            second: settings.second,
            seed,
        }
    }
}

impl Optimizer for Hybrid {
    fn needs_curvature(&self) -> bool {
        match &self.phase {
            Phase::First(rule) => rule.needs_curvature(),
            Phase::Second(rule) => rule.needs_curvature(),
        }
    }

    fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
        match &mut self.phase {
            Phase::First(rule) => rule.step(parameters, gradients),
            Phase::Second(rule) => rule.step(parameters, gradients),
        }
    }

    fn end_epoch(&mut self, val_loss: f64) -> bool {
        // NaN is below no threshold: a diverged first phase continues.
        let switches = matches!(self.phase, Phase::First(_)) && val_loss < self.tl;
        if switches {
            self.phase = Phase::Second(Adahessian::new(self.second.clone(), self.seed));
        }
        switches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::optimizer::testing::descend;

    fn settings() -> HybridSettings {
        HybridSettings {
            first: SgdMomentumSettings {
                lr: 0.1,
                momentum: 0.9,
                dampening: 0.0,
            },
            tl: 1.0,
            second: AdahessianSettings {
                lr: 0.1,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-4,
                hessian_power: 1.0,
            },
        }
    }

    #[test]
    fn it_switches_once_strictly_below_the_threshold() {
        let mut rule = Hybrid::new(settings(), 0);
        assert_eq!(
            [1.5, f64::NAN, 1.0].map(|loss| rule.end_epoch(loss)),
            [false; 3]
        );
        assert!(!rule.needs_curvature());
        assert!(rule.end_epoch(0.999));
        assert!(rule.needs_curvature());
        assert_eq!([0.5, 7.0].map(|loss| rule.end_epoch(loss)), [false; 2]);
        assert!(rule.needs_curvature());
    }

    #[test]
    fn its_phases_are_the_rules_themselves_and_the_second_starts_without_state() {
        let mut rule = Hybrid::new(settings(), 5);
        let start = [1.0, -2.0];
        let path = descend(&mut rule, start, 2);
        assert_eq!(
            path,
            descend(&mut SgdMomentum::new(settings().first), start, 2)
        );
        rule.end_epoch(0.0);
        let later = descend(&mut rule, path[1], 2);
        assert_eq!(
            later,
            descend(&mut Adahessian::new(settings().second, 5), path[1], 2)
        );
    }
}
