//! The training loop of one trial: a function of its settings, its data and its network, which carry the seed.
//! Reports a history row after each epoch.

use std::time::{Duration, Instant};

use pentagrid::protocol::Metrics;
use pentagrid::spec::task::SWITCH_METRIC;
use tch::{Device, Reduction, Tensor};

use super::evaluate::{Score, evaluate};
use crate::data::{Batches, Sets, Split};
use crate::device::synchronize;
use crate::error::TrialError;
use crate::model::{Mode, ResNet18};
use crate::optim::{Optimizer, OptimizerSettings, gradients};
use crate::settings::Settings;

/// What a trial works on.
pub struct Trial<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// Its seed.
    pub seed: u64,
    /// The images.
    pub sets: &'a Sets,
    /// The network, at the seed's starting weights.
    pub network: ResNet18,
    /// Where all of it is.
    pub device: Device,
}

impl Trial<'_> {
    /// Trains to the end, calls `report` with each epoch's number (from 1) and history row, and gives the final
    /// metrics. A loss that is not finite is a result like any other, and training goes on.
    ///
    /// # Errors
    /// `BadConfig` if the set is smaller than the settings want it; libtorch's.
    pub fn run(self, report: &mut dyn FnMut(u32, Metrics)) -> Result<Metrics, TrialError> {
        let train = self.training_set()?;
        let batches = Batches::new(&train, self.settings.batch_size)?;
        let mut optimizer = self.settings.optimizer.start(self.seed);
        let is_hybrid = matches!(self.settings.optimizer, OptimizerSettings::Hybrid(_));
        let mut metrics = Metrics::default();
        let mut seconds = 0.0;
        for epoch in 1..=self.settings.epochs {
            let spent = self.epoch(&batches, &mut *optimizer)?.as_secs_f64();
            seconds += spent;
            let mut row = Metrics::default();
            put_score(&mut row, "train", evaluate(&self.network, &train)?);
            let val = evaluate(&self.network, &self.sets.val)?;
            put_score(&mut row, "val", val);
            let switched = optimizer.end_epoch(val.loss);
            if switched {
                metrics.set(SWITCH_METRIC, f64::from(epoch));
            }
            // The last row's scores stand.
            metrics.0.extend(row.0.clone());
            if is_hybrid {
                row.set("switched", f64::from(u8::from(switched)));
            }
            row.set("seconds", spent);
            report(epoch, row);
        }
        put_score(&mut metrics, "test", evaluate(&self.network, &self.sets.test)?);
        metrics.set("training_seconds", seconds);
        Ok(metrics)
    }

    /// A step that counts for nothing, on a copy of the network: the first step of a kind in a process waits for libtorch
    /// to compile its kernels and for memory, which is no part of what an optimizer costs.
    ///
    /// # Errors
    /// libtorch's.
    pub fn warm_up(&self) -> Result<(), TrialError> {
        let network = self.network.duplicate()?;
        let mut optimizer = self.settings.optimizer.costliest().start(self.seed);
        if let Some(batch) = Batches::new(&self.training_set()?, self.settings.batch_size)?.iter().next() {
            step(&network, batch, &mut *optimizer)?;
        }
        Ok(())
    }

    /// The images to train on: the first `train_images`, or all.
    fn training_set(&self) -> Result<Split, TrialError> {
        let there = self.sets.train.len();
        let wanted = self.settings.train_images.unwrap_or(there);
        if wanted > there {
            return Err(TrialError::BadConfig(format!(
                "train_images: {wanted} are wanted, but the training set has {there} images"
            )));
        }
        if wanted < 2 {
            return Err(TrialError::BadConfig("data_dir: one training image is not enough for batch norm".to_owned()));
        }
        self.sets.train.narrow(0, wanted)
    }

    /// One pass over the batches. Gives the wall-clock time of the steps alone.
    fn epoch(&self, batches: &Batches, optimizer: &mut dyn Optimizer) -> Result<Duration, TrialError> {
        synchronize(self.device);
        let start = Instant::now();
        for batch in batches.iter() {
            step(&self.network, batch, optimizer)?;
        }
        synchronize(self.device);
        Ok(start.elapsed())
    }
}

/// One optimisation step on a batch: cross entropy, its gradients, the optimizer's move.
///
/// # Errors
/// libtorch's.
pub fn step(network: &ResNet18, batch: &Split, optimizer: &mut dyn Optimizer) -> Result<(), TrialError> {
    let logits = network.forward(&batch.images, Mode::Train)?;
    let loss = logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
    let gradients = gradients(&loss, network.parameters(), optimizer.needs_curvature())?;
    // What the gradients do not need is freed before the move takes memory.
    drop((logits, loss));
    optimizer.step(network.parameters(), &gradients)?;
    Ok(())
}

fn put_score(metrics: &mut Metrics, set: &str, score: Score) {
    metrics.set(format!("{set}_loss"), score.loss);
    metrics.set(format!("{set}_accuracy"), score.accuracy);
}
