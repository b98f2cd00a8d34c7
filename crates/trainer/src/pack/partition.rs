//! Which trials of a bundle make a pack, and how many models one may have: what PENTAGRID_PACK
//! says, or what fits into the device's free memory. Pure, but for the question how much is free.
//! `worker` asks.

use pentagrid_protocol::TrialRequest;
use tch::Device;

use super::bundle::PackKey;
use crate::device::{Compute, Form, free_memory};
use crate::optim::OptimizerSettings;
use crate::settings::Settings;

/// Names the most models of a pack: 1 for none; as many as fit on a GPU, and none on a CPU, where
/// it is not set.
const PACK_VARIABLE: &str = "PENTAGRID_PACK";

/// More models at once were not found to pay (`reference/packing.md`: a GPU is full at some
/// dozens).
const MOST: u64 = 100;

/// Bytes that a model takes beside what grows with the batch: weights, gradient, moments, and a sum
/// of gradients on its way.
const FIXED: u64 = 130 << 20;
/// Bytes an image of the batch, for a gradient, and for a gradient with its graph and the Hessian's
/// product: somewhat more than was measured (`docs/gpu.md`).
const PER_IMAGE: [u64; 2] = [7 << 18, 5 << 20];
/// What is left free, of a hundred: fragments, cuBLAS's workspace, other workers.
const SPARE: u64 = 15;

/// How many models a pack may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Models(usize),
    /// As many as fit into so many bytes.
    Bytes(u64),
}

impl Limit {
    /// What the environment says for this device.
    ///
    /// # Errors
    /// If it says nonsense.
    pub fn from_environment(compute: Compute) -> Result<Self, String> {
        let device = compute.device;
        // Packs have neither dead taps nor a precision of their choice.
        if compute.form != Form::default() {
            return Ok(Self::Models(1));
        }
        let free = || {
            if device.is_cuda() {
                free_memory()
            } else {
                None
            }
        };
        Self::choose(std::env::var(PACK_VARIABLE).ok().as_deref(), device, free)
    }

    fn choose(
        said: Option<&str>,
        device: Device,
        free: impl Fn() -> Option<u64>,
    ) -> Result<Self, String> {
        match said.unwrap_or_default() {
            "" if !device.is_cuda() => Ok(Self::Models(1)),
            // The driver does not say: what every GPU of these years can hold.
            "" => Ok(free().map_or(Self::Models(8), Self::Bytes)),
            said => match said.parse() {
                Ok(models) if models > 0 => Ok(Self::Models(models)),
                _ => Err(format!(
                    "{PACK_VARIABLE}={said} is not a number of trials (1: none is packed)"
                )),
            },
        }
    }

    /// The most models of a pack of trials with these settings.
    pub fn models(self, batch_size: i64, curvature: bool) -> usize {
        let bytes = match self {
            Self::Models(models) => return models,
            Self::Bytes(bytes) => bytes,
        };
        let images = batch_size.unsigned_abs();
        let each = FIXED + images * PER_IMAGE[usize::from(curvature)];
        (bytes / 100 * (100 - SPARE) / each).clamp(1, MOST) as usize
    }

    /// The bundle that the worker would like: a pack of the task's usual batches; 0 if it packs
    /// nothing.
    pub fn wish(self) -> u32 {
        match self.models(100, false) {
            1 => 0,
            models => models as u32,
        }
    }
}

/// A part of a bundle.
pub enum Part {
    /// A trial that runs by itself.
    Single(TrialRequest),
    /// Trials that run together, with their settings.
    Pack(Vec<TrialRequest>, Vec<Settings>),
}

/// The parts of a bundle, in the order of their first trials. A trial that is like no other, or
/// whose settings are at fault, runs by itself; with `even_one` the former is a pack of one, where
/// packs have faster means than single trials.
pub fn partition(bundle: Vec<TrialRequest>, limit: Limit, even_one: bool) -> Vec<Part> {
    let mut parts: Vec<(Option<PackKey>, Vec<TrialRequest>, Vec<Settings>)> = Vec::new();
    for request in bundle {
        let settings = Settings::from_config(&request.config).ok();
        let settings =
            settings.filter(|own| limit.models(own.batch_size, own.optimizer.uses_curvature()) > 1);
        let key = settings
            .as_ref()
            .and_then(|settings| PackKey::of(settings, request.seed));
        let settings = settings.filter(|_| key.is_some());
        match parts
            .iter_mut()
            .find(|(other, ..)| key.is_some() && *other == key)
        {
            Some((_, requests, all)) => {
                requests.push(request);
                all.extend(settings);
            }
            None => parts.push((key, vec![request], settings.into_iter().collect())),
        }
    }
    let part =
        |(_, mut requests, settings): (_, Vec<TrialRequest>, Vec<Settings>)| match requests.len() {
            1 if !even_one || settings.is_empty() => requests.pop().map(Part::Single),
            _ => Some(Part::Pack(requests, settings)),
        };
    parts.into_iter().filter_map(part).collect()
}

/// Whether some trial of a pack takes second derivatives at some time.
pub fn curvature(settings: &[Settings]) -> bool {
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
        let choose = |said, device| Limit::choose(said, device, || Some(80 << 30));
        assert_eq!(choose(None, Device::Cpu), Ok(Limit::Models(1)));
        assert_eq!(choose(Some("12"), Device::Cpu), Ok(Limit::Models(12)));
        assert_eq!(
            choose(Some(""), Device::Cuda(0)),
            Ok(Limit::Bytes(80 << 30))
        );
        assert_eq!(
            Limit::choose(None, Device::Cuda(0), || None),
            Ok(Limit::Models(8))
        );
        insta::assert_snapshot!(choose(Some("0"), Device::Cpu).unwrap_err(), @"PENTAGRID_PACK=0 is not a number of trials (1: none is packed)");
        insta::assert_snapshot!(choose(Some("many"), Device::Cpu).unwrap_err(), @"PENTAGRID_PACK=many is not a number of trials (1: none is packed)");
    }

    #[test]
    fn memory_holds_fewer_models_with_curvature_or_larger_batches() {
        let limit = |gigabytes: u64| Limit::Bytes(gigabytes << 30);
        let models = |batch, curvature| limit(40).models(batch, curvature);
        assert!(models(100, false) > models(100, true) && models(100, true) > models(1000, true));
        assert_eq!(
            (limit(80).models(10, false), limit(0).models(100, false)),
            (MOST as usize, 1)
        );
        assert_eq!(
            (
                limit(0).wish(),
                Limit::Models(1).wish(),
                Limit::Models(7).wish()
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
    fn what_can_be_trained_together_is_and_the_rest_is_not() {
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
        let names = |limit, even_one| {
            let name = |part: &Part| match part {
                Part::Single(request) => request.trial.clone(),
                Part::Pack(requests, settings) => {
                    assert_eq!(requests.len(), settings.len());
                    requests
                        .iter()
                        .map(|request| request.trial.as_str())
                        .collect::<Vec<_>>()
                        .join("+")
                }
            };
            partition(bundle.clone(), limit, even_one)
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
        let one = |request: &TrialRequest, even_one| {
            partition(vec![request.clone()], Limit::Models(2), even_one).remove(0)
        };
        assert!(
            matches!(one(&bundle[0], true), Part::Pack(requests, settings) if requests.len() == 1 && settings.len() == 1)
        );
        // What is never packed is not even then: bad settings, an audit.
        for (place, even_one) in [(0, false), (5, true), (7, true)] {
            assert!(matches!(one(&bundle[place], even_one), Part::Single(_)));
        }
    }
}
