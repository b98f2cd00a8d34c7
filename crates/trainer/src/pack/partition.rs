//! Which trials of a bundle make a pack, and how many models one may have: as many as
//! PENTAGRID_PACK says, or as fit into the device's free memory. Pure, except for reading how much
//! memory is free. `worker` calls it.

use pentagrid_protocol::TrialRequest;
use tch::Device;

use super::key::PackKey;
use crate::device::{Compute, Form, free_memory};
use crate::optim::OptimizerSettings;
use crate::settings::Settings;

/// Sets the maximum number of models of a pack; 1 for no packs. Where it is not set, a GPU packs as
/// many as fit, and a CPU none.
const PACK_VARIABLE: &str = "PENTAGRID_PACK";

/// Maximum number of models of a pack. A GPU is full at some dozens, and more were not found to pay
/// (`reference/packing.md`).
const MAX_MODELS: u64 = 100;

/// Number of models of a pack where the driver does not say how much memory is free. Every GPU in
/// use can hold them.
const FALLBACK_MODELS: usize = 8;

/// Bytes of a model besides what grows with the batch: weights, gradient, moments, and a sum of
/// gradients.
const MODEL_BYTES: u64 = 130 << 20;

/// Bytes per image of the batch for a gradient: somewhat more than was measured (`docs/gpu.md`).
const GRADIENT_IMAGE_BYTES: u64 = 7 << 18;

/// Bytes per image of the batch for a gradient with its graph and the product with the Hessian.
const CURVATURE_IMAGE_BYTES: u64 = 5 << 20;

/// Percentage of memory that stays free: for fragments, cuBLAS's workspace, other workers.
const SPARE_PERCENT: u64 = 15;

/// How many models a pack may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// At most that many.
    Models(usize),
    /// As many as fit into this number of bytes.
    Bytes(u64),
}

/// The value of the variable is not usable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{PACK_VARIABLE}={0} is not a number of trials (1: none is packed)")]
pub(crate) struct LimitError(String);

impl Limit {
    /// The limit from the environment for this device.
    ///
    /// # Errors
    /// If the variable is not a positive number.
    pub(crate) fn from_environment(compute: Compute) -> Result<Self, LimitError> {
        // Packs always use the default form.
        if compute.form != Form::default() {
            return Ok(Self::Models(1));
        }

        let value = std::env::var(PACK_VARIABLE).unwrap_or_default();
        Self::choose(&value, compute.device, free_memory)
    }

    /// The limit by the variable's value. `free_memory` is called only for a GPU, and only if the
    /// value is empty.
    fn choose(
        value: &str,
        device: Device,
        free_memory: impl FnOnce() -> Option<u64>,
    ) -> Result<Self, LimitError> {
        match value {
            "" if !device.is_cuda() => Ok(Self::Models(1)),
            "" => Ok(free_memory().map_or(Self::Models(FALLBACK_MODELS), Self::Bytes)),
            value => match value.parse() {
                Ok(models) if models > 0 => Ok(Self::Models(models)),
                _ => Err(LimitError(value.to_owned())),
            },
        }
    }

    /// The maximum number of models in a pack of trials with that batch size, and with or without
    /// second derivatives.
    pub(crate) fn models(self, batch_size: i64, curvature: bool) -> usize {
        let bytes = match self {
            Self::Models(models) => return models,
            Self::Bytes(bytes) => bytes,
        };
        let image_bytes = if curvature {
            CURVATURE_IMAGE_BYTES
        } else {
            GRADIENT_IMAGE_BYTES
        };
        let model_bytes = MODEL_BYTES + batch_size.unsigned_abs() * image_bytes;
        (bytes / 100 * (100 - SPARE_PERCENT) / model_bytes).clamp(1, MAX_MODELS) as usize
    }

    /// How many trials the worker would like to get at once: a pack with the task's default batch
    /// size. 0 if it packs nothing.
    pub(crate) fn preferred_bundle(self) -> u32 {
        match self.models(100, false) {
            1 => 0,
            models => models as u32,
        }
    }
}

/// A part of a bundle.
pub(crate) enum Part {
    /// A trial that runs by itself.
    Single(TrialRequest),
    /// Trials that run together.
    Pack {
        /// The trials.
        requests: Vec<TrialRequest>,
        /// The settings of each.
        settings: Vec<Settings>,
    },
}

/// Trials with one key, or a single trial without a key.
struct Group {
    key: Option<PackKey>,
    requests: Vec<TrialRequest>,
    /// The settings of each; empty without a key.
    settings: Vec<Settings>,
}

/// Divides a bundle into parts, in the order of their first trials. A trial runs by itself if no
/// other has its key, or if its settings are wrong. With `packs_of_one`, a trial that has a key but
/// no company is a pack of its own: where packs have faster kernels than single trials.
pub(crate) fn partition(bundle: Vec<TrialRequest>, limit: Limit, packs_of_one: bool) -> Vec<Part> {
    let mut groups: Vec<Group> = Vec::new();
    for request in bundle {
        // A bad configuration runs by itself, so that it fails with its own message.
        let Some((key, settings)) = packable(&request, limit) else {
            groups.push(Group {
                key: None,
                requests: vec![request],
                settings: Vec::new(),
            });
            continue;
        };

        let same_key = groups
            .iter_mut()
            .find(|group| group.key.as_ref() == Some(&key));
        match same_key {
            Some(group) => {
                group.requests.push(request);
                group.settings.push(settings);
            }
            None => groups.push(Group {
                key: Some(key),
                requests: vec![request],
                settings: vec![settings],
            }),
        }
    }
    groups
        .into_iter()
        .filter_map(|group| group.into_part(packs_of_one))
        .collect()
}

/// The key and the settings of a trial that may be packed.
fn packable(request: &TrialRequest, limit: Limit) -> Option<(PackKey, Settings)> {
    let settings = Settings::from_config(&request.config).ok()?;
    let max_models = limit.models(settings.batch_size, settings.optimizer.uses_curvature());
    if max_models <= 1 {
        return None;
    }
    let key = PackKey::of(&settings, request.seed)?;
    Some((key, settings))
}

impl Group {
    fn into_part(mut self, packs_of_one: bool) -> Option<Part> {
        let may_be_pack = packs_of_one && self.key.is_some();
        if self.requests.len() == 1 && !may_be_pack {
            return self.requests.pop().map(Part::Single);
        }
        Some(Part::Pack {
            requests: self.requests,
            settings: self.settings,
        })
    }
}

/// Whether any trial of a pack takes second derivatives at some time.
pub(crate) fn uses_curvature(settings: &[Settings]) -> bool {
    settings
        .iter()
        .map(|settings| &settings.optimizer)
        .any(OptimizerSettings::uses_curvature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_and_memory_where_it_does_not() {
        let choose = |value, device| Limit::choose(value, device, || Some(80 << 30));
        assert_eq!(choose("", Device::Cpu), Ok(Limit::Models(1)));
        assert_eq!(choose("12", Device::Cpu), Ok(Limit::Models(12)));
        assert_eq!(choose("", Device::Cuda(0)), Ok(Limit::Bytes(80 << 30)));
        assert_eq!(
            Limit::choose("", Device::Cuda(0), || None),
            Ok(Limit::Models(8))
        );
        insta::assert_snapshot!(choose("0", Device::Cpu).unwrap_err(), @"PENTAGRID_PACK=0 is not a number of trials (1: none is packed)");
        insta::assert_snapshot!(choose("many", Device::Cpu).unwrap_err(), @"PENTAGRID_PACK=many is not a number of trials (1: none is packed)");
    }

    #[test]
    fn memory_holds_fewer_models_with_curvature_or_larger_batches() {
        let limit = |gigabytes: u64| Limit::Bytes(gigabytes << 30);
        let models = |batch, curvature| limit(40).models(batch, curvature);
        assert!(models(100, false) > models(100, true) && models(100, true) > models(1000, true));
        assert_eq!(
            (limit(80).models(10, false), limit(0).models(100, false)),
            (MAX_MODELS as usize, 1)
        );
        assert_eq!(
            (
                limit(0).preferred_bundle(),
                Limit::Models(1).preferred_bundle(),
                Limit::Models(7).preferred_bundle()
            ),
            (0, 0, 7)
        );
    }

    fn request(trial: &str, seed: u64, json: &str) -> TrialRequest {
        TrialRequest {
            trial: trial.to_owned(),
            seed,
            config: serde_json::from_str(json).unwrap(),
        }
    }

    #[test]
    fn trials_of_one_key_are_packed_and_the_rest_run_alone() {
        let bundle = vec![
            request("a", 1, r#"{"optimizer": "sgd", "lr": 0.1}"#),
            request(
                "m",
                1,
                r#"{"optimizer": "sgd_momentum", "lr": 0.1, "momentum": 0.9}"#,
            ),
            request("b", 1, r#"{"optimizer": "sgd", "lr": 0.2}"#),
            request("other seed", 2, r#"{"optimizer": "sgd", "lr": 0.2}"#),
            request(
                "other batch",
                1,
                r#"{"optimizer": "sgd", "lr": 0.2, "batch_size": 10}"#,
            ),
            request("bad", 1, r#"{"optimizer": "sgd"}"#),
            request("bad too", 1, r#"{"optimizer": "sgd"}"#),
            request(
                "audit",
                1,
                r#"{"optimizer": "sgd", "lr": 0.2, "protocol": "as_run"}"#,
            ),
            request(
                "audit too",
                1,
                r#"{"optimizer": "sgd", "lr": 0.1, "protocol": "as_run"}"#,
            ),
            request(
                "h",
                1,
                r#"{"optimizer": "hybrid", "lr1": 0.1, "lr2": 0.1, "momentum": 0.9, "tl": 1}"#,
            ),
        ];
        let names = |limit, packs_of_one| {
            let name = |part: &Part| match part {
                Part::Single(request) => request.trial.clone(),
                Part::Pack { requests, settings } => {
                    assert_eq!(requests.len(), settings.len());
                    requests
                        .iter()
                        .map(|request| request.trial.as_str())
                        .collect::<Vec<_>>()
                        .join("+")
                }
            };
            partition(bundle.clone(), limit, packs_of_one)
                .iter()
                .map(name)
                .collect::<Vec<_>>()
        };
        let expected = [
            "a+b",
            "m+h",
            "other seed",
            "other batch",
            "bad",
            "bad too",
            "audit",
            "audit too",
        ];
        assert_eq!(names(Limit::Models(2), false), expected);
        assert_eq!(names(Limit::Models(2), true), expected);
        assert_eq!(names(Limit::Models(1), true).len(), bundle.len());
        let one = |request: &TrialRequest, packs_of_one| {
            partition(vec![request.clone()], Limit::Models(2), packs_of_one).remove(0)
        };
        assert!(
            matches!(one(&bundle[0], true), Part::Pack { requests, settings } if requests.len() == 1 && settings.len() == 1)
        );
        // Bad settings and trials that repeat the authors' program are never packed.
        for (place, packs_of_one) in [(0, false), (5, true), (7, true)] {
            assert!(matches!(one(&bundle[place], packs_of_one), Part::Single(_)));
        }
    }
}
