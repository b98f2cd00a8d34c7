//! What the trials of one process share: the device, the images on it, the starting weights of the
//! last seed, and within a group the last beginning of Hybrid trials. Sharing changes no number:
//! all are functions of configuration and seed.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pentagrid_protocol::{Config, Metrics};
use tch::Device;

use super::prefix::{Outcome, Prefix, PrefixKey, Taken};
use super::trial::Trial;
use crate::data::Sets;
use crate::device::Form;
use crate::error::TrialError;
use crate::model::ResNet18;
use crate::settings::Settings;

/// Runs trials, one after the other.
pub(crate) struct Session {
    device: Device,
    form: Form,
    /// The images, by the parameter `data_dir`.
    sets: HashMap<Option<String>, Rc<Sets>>,
    /// Trials come seed by seed, so the last seed's weights are enough.
    start: Option<StartWeights>,
    /// Kinds of steps that have been warmed up.
    warm: HashSet<StepKind>,
    /// The last beginning that trials had in common.
    prefix: Option<Prefix>,
}

/// The starting weights of a seed.
struct StartWeights {
    seed: u64,
    network: ResNet18,
}

/// Steps that use the same kernels and about as much memory.
#[derive(PartialEq, Eq, Hash)]
struct StepKind {
    batch_size: i64,
    /// Whether they take second derivatives.
    curvature: bool,
}

/// Whether a trial may use what others have computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing<'a> {
    /// It may; other trials will know it by this name.
    As(&'a str),
    /// It trains every epoch itself, because it may be timed.
    None,
}

impl Session {
    /// A session on that device, in the default form.
    pub(crate) fn new(device: Device) -> Self {
        Self {
            device,
            form: Form::default(),
            sets: HashMap::new(),
            start: None,
            warm: HashSet::new(),
            prefix: None,
        }
    }

    /// A session whose embedded sets are cut down to a few images, of which `train` to train on.
    #[cfg(test)]
    pub(crate) fn small(kind: tch::Kind, train: i64) -> Self {
        crate::device::one_thread();
        let all = Sets::load(None, kind, Device::Cpu).unwrap();
        let sets = Rc::new(Sets {
            train: all.train.narrow(0, train).unwrap(),
            val: all.val.narrow(0, 30).unwrap(),
            test: all.test.narrow(0, 10).unwrap(),
        });
        let form = Form {
            kind,
            ..Form::default()
        };
        Self {
            form,
            sets: [(None, sets)].into(),
            ..Self::new(Device::Cpu)
        }
    }

    /// Runs a trial to its end; `report` gets each epoch's number (from 1) and history row.
    ///
    /// # Errors
    /// A bad configuration, unreadable data, or libtorch's.
    pub(crate) fn run(
        &mut self,
        config: &Config,
        seed: u64,
        sharing: Sharing<'_>,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<Outcome, TrialError> {
        let settings = Settings::from_config(config)?;
        let sets = self.sets(settings.data_dir.clone())?;
        let trial = Trial {
            settings: &settings,
            seed,
            sets: &sets,
            device: self.device,
        };
        if self.is_first(&settings) {
            trial.warm_up(&self.network(seed, settings.batch_size)?)?;
        }

        // Taken out while it changes, so that an error or a panic drops it instead of leaving it
        // in the middle of a step.
        let held = self.prefix.take();
        let shared = match sharing {
            Sharing::As(name) => PrefixKey::of(&settings, seed).map(|key| (key, name)),
            Sharing::None => None,
        };
        let Some((key, name)) = shared else {
            drop(held);
            let network = self.network(seed, settings.batch_size)?;
            return Ok(Outcome {
                metrics: trial.run(network, report)?,
                taken: Taken::default(),
            });
        };
        let mut prefix = match held.filter(|held| held.is_of(&key)) {
            Some(held) => held,
            None => Prefix::start(key, self.network(seed, settings.batch_size)?),
        };
        let outcome = prefix.run(&trial, name, report)?;
        self.prefix = Some(prefix);
        Ok(outcome)
    }

    /// Whether these are the first steps of their kind in this process. Such steps wait for kernels
    /// and memory, and must not be timed.
    pub(crate) fn is_first(&mut self, settings: &Settings) -> bool {
        self.warm.insert(StepKind {
            batch_size: settings.batch_size,
            curvature: settings.optimizer.uses_curvature(),
        })
    }

    /// The session with another form.
    pub(crate) fn in_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The device that trials run on.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// The images of a configuration.
    ///
    /// # Errors
    /// As for `Sets::load`.
    pub(crate) fn sets(&mut self, data_dir: Option<String>) -> Result<Rc<Sets>, TrialError> {
        if let Some(sets) = self.sets.get(&data_dir) {
            return Ok(Rc::clone(sets));
        }
        let sets = Sets::load(data_dir.as_deref(), self.form.kind, self.device)?;
        let sets = Rc::new(sets);
        self.sets.insert(data_dir, Rc::clone(&sets));
        Ok(sets)
    }

    /// A network at the seed's starting weights, for batches of that size. Drawing eleven million
    /// numbers costs more than copying them, so the last seed's network is kept.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn network(&mut self, seed: u64, batch_size: i64) -> Result<ResNet18, TrialError> {
        let network = match self.start.take() {
            Some(start) if start.seed == seed => start.network,
            _ if self.form.dead_taps => {
                ResNet18::with_dead_taps(seed, self.form.kind, self.device)?
            }
            _ => ResNet18::new(seed, self.form.kind, self.device)?,
        };
        let copy = network.duplicate_for(batch_size);
        self.start = Some(StartWeights { seed, network });
        Ok(copy?)
    }
}

#[cfg(test)]
mod tests;
