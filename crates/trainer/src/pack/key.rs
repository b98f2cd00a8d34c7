//! What the trials of one pack have in common. `partition` groups trials by it.

use crate::optim::{
    AdahessianSettings, AdamSettings, OptimizerSettings, SgdMomentumSettings, SgdSettings,
};
use crate::settings::{Protocol, Settings};

/// The seed and settings in which all trials of a pack agree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PackKey {
    seed: u64,
    /// The settings, with hyper-parameters of zero: these may differ from trial to trial.
    settings: Settings,
}

impl PackKey {
    /// The key of a trial; `None` if it is never packed, because it repeats the authors' program.
    pub(crate) fn of(settings: &Settings, seed: u64) -> Option<Self> {
        if settings.protocol == Protocol::AsRun {
            return None;
        }

        Some(Self {
            seed,
            settings: Settings {
                optimizer: representative(&settings.optimizer),
                ..settings.clone()
            },
        })
    }
}

/// One optimizer that stands for all that may share a pack with the given one. Hybrid starts as
/// SGD with momentum, so the two go together.
fn representative(optimizer: &OptimizerSettings) -> OptimizerSettings {
    match optimizer {
        OptimizerSettings::Sgd(_) => OptimizerSettings::Sgd(SgdSettings { lr: 0.0 }),
        OptimizerSettings::Adam(_) => OptimizerSettings::Adam(AdamSettings {
            lr: 0.0,
            beta1: 0.0,
            beta2: 0.0,
            eps: 0.0,
        }),
        OptimizerSettings::Adahessian(_) => OptimizerSettings::Adahessian(AdahessianSettings {
            lr: 0.0,
            beta1: 0.0,
            beta2: 0.0,
            eps: 0.0,
            hessian_power: 0.0,
        }),
        OptimizerSettings::SgdMomentum(_) | OptimizerSettings::Hybrid(_) => {
            OptimizerSettings::SgdMomentum(SgdMomentumSettings {
                lr: 0.0,
                momentum: 0.0,
                dampening: 0.0,
            })
        }
    }
}
