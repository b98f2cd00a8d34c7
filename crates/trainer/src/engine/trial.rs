//! The training loop of one trial: a function of its settings, its seed, its data and its network.
//! Reports a history row after each epoch. Under the protocol `as_run` it measures what the
//! authors' program did. The state of a trial is its `Progress`, which can be copied: `prefix`
//! branches trials from such copies.

use std::time::{Duration, Instant};

use pentagrid_protocol::Metrics;
use pentagrid_protocol::task::{
    CHECKPOINT_EPOCH, GRAD_NORM_CONV1, GRAD_NORM_FC, HELDOUT_ACCURACY, HELDOUT_LOSS, METRICS,
    STEP_SECONDS, SWITCH_METRIC,
};
use tch::{Device, Reduction, TchError, Tensor};

use super::evaluate::{Score, evaluate};
use crate::data::{Batches, Sets, Split};
use crate::device::synchronize;
use crate::error::TrialError;
use crate::model::{Mode, ResNet18};
use crate::optim::{Optimizer, OptimizerSettings, gradients};
use crate::probes::{GradientNorms, GradientProbe};
use crate::settings::{Protocol, Settings};

/// Number by which the authors' program divides the norm of fc's gradient: conv1's number of
/// filters (facts.md 1e).
const AS_RUN_FC_DIVISOR: f64 = 64.0;

/// A trial and what it is trained on.
pub(crate) struct Trial<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// Its seed.
    pub seed: u64,
    /// The images of all sets.
    pub sets: &'a Sets,
    /// The device that holds them.
    pub device: Device,
}

/// The state of a trial, without the optimizer's own.
pub(crate) struct Progress {
    network: ResNet18,
    /// Epochs done.
    epoch: u32,
    /// The last epoch's scores.
    metrics: Metrics,
    checkpoint: Option<Checkpoint>,
    step_seconds: f64,
    all_seconds: f64,
}

impl Progress {
    /// The state before the first epoch. The network is at the seed's starting weights.
    pub(crate) fn start(network: ResNet18) -> Self {
        Self {
            network,
            epoch: 0,
            metrics: Metrics::default(),
            checkpoint: None,
            step_seconds: 0.0,
            all_seconds: 0.0,
        }
    }

    /// A copy that shares no memory with this one.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn duplicate(&self) -> Result<Self, TchError> {
        Ok(Self {
            network: self.network.duplicate()?,
            metrics: self.metrics.clone(),
            checkpoint: self
                .checkpoint
                .as_ref()
                .map(Checkpoint::duplicate)
                .transpose()?,
            ..*self
        })
    }

    /// Epochs done.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Notes that the optimizer has switched at the end of the last epoch.
    pub(crate) fn note_switch(&mut self) {
        self.metrics.set(SWITCH_METRIC, f64::from(self.epoch));
    }
}

impl Trial<'_> {
    /// Trains to the end, calls `report` with each epoch's number (from 1) and history row, and
    /// returns the final metrics. A loss that is not finite is a result like any other, and
    /// training continues.
    ///
    /// # Errors
    /// `BadConfig` if the training set is smaller than the settings require; libtorch's.
    pub(crate) fn run(
        &self,
        network: ResNet18,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<Metrics, TrialError> {
        let mut progress = Progress::start(network);
        let mut optimizer = self.settings.optimizer.start(self.seed);
        self.train(&mut progress, &mut *optimizer, report)?;
        self.finish(&progress)
    }

    /// Trains the epochs that are left.
    ///
    /// # Errors
    /// As for `run`.
    pub(crate) fn train(
        &self,
        progress: &mut Progress,
        optimizer: &mut dyn Optimizer,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<(), TrialError> {
        while progress.epoch < self.settings.epochs {
            let mut row = self.epoch(progress, optimizer)?;
            let switched = optimizer.end_epoch(row.val_loss);
            if switched {
                progress.note_switch();
            }
            row.tell_switch(self.settings, switched);
            report(progress.epoch, row.values);
        }
        Ok(())
    }

    /// Trains one epoch, then measures. The optimizer is not told the loss.
    ///
    /// # Errors
    /// As for `run`.
    pub(crate) fn epoch(
        &self,
        progress: &mut Progress,
        optimizer: &mut dyn Optimizer,
    ) -> Result<Row, TrialError> {
        let train = self.training_set()?;
        let batches = Batches::new(&train, self.settings.batch_size)?;
        let as_run = self.settings.protocol == Protocol::AsRun;
        let held_out = if as_run {
            &self.sets.test
        } else {
            &self.sets.val
        };

        let start = Instant::now();
        let steps = self.steps(&progress.network, &batches, optimizer)?;
        progress.epoch += 1;

        let mut values = Metrics::default();
        put_score(&mut values, "train", evaluate(&progress.network, &train)?);
        let val = evaluate(&progress.network, held_out)?;
        put_score(&mut values, "val", val);
        values.set(GRAD_NORM_CONV1, steps.norms.conv1);
        let fc_divisor = if as_run { AS_RUN_FC_DIVISOR } else { 1.0 };
        values.set(GRAD_NORM_FC, steps.norms.fc / fc_divisor);
        if as_run {
            progress.keep_checkpoint(val.loss)?;
        }
        progress.step_seconds += steps.time.as_secs_f64();
        progress.all_seconds += start.elapsed().as_secs_f64();

        // The last row's scores are final metrics.
        for (name, value) in &values.0 {
            if METRICS.contains(&name.as_str()) {
                progress.metrics.set(name, value.0);
            }
        }
        let time = if as_run { start.elapsed() } else { steps.time };
        values.set("seconds", time.as_secs_f64());
        Ok(Row {
            values,
            val_loss: val.loss,
        })
    }

    /// The final metrics of a trial that is trained to its end.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn finish(&self, progress: &Progress) -> Result<Metrics, TrialError> {
        let Progress {
            network,
            checkpoint,
            step_seconds,
            all_seconds,
            ..
        } = progress;
        let mut metrics = progress.metrics.clone();
        let tested = checkpoint
            .as_ref()
            .map_or(network, |checkpoint| &checkpoint.network);
        put_score(&mut metrics, "test", evaluate(tested, &self.sets.test)?);
        let training_seconds = match self.settings.protocol {
            Protocol::AsRun => *all_seconds,
            Protocol::Paper => *step_seconds,
        };
        metrics.set("training_seconds", training_seconds);

        // Under `as_run`, also what the protocol `paper` would have measured.
        if let Some(checkpoint) = checkpoint {
            let val = evaluate(network, &self.sets.val)?;
            metrics.set(HELDOUT_LOSS, val.loss);
            metrics.set(HELDOUT_ACCURACY, val.accuracy);
            metrics.set(STEP_SECONDS, *step_seconds);
            metrics.set(CHECKPOINT_EPOCH, f64::from(checkpoint.epoch));
        }
        Ok(metrics)
    }

    /// Takes a step on a copy of the network. The first step of a kind in a process waits for
    /// libtorch to compile its kernels and for memory, which is not part of an optimizer's cost.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn warm_up(&self, network: &ResNet18) -> Result<(), TrialError> {
        let network = network.duplicate()?;
        let mut optimizer = self.settings.optimizer.costliest().start(self.seed);
        let batches = Batches::new(&self.training_set()?, self.settings.batch_size)?;
        if let Some(batch) = batches.iter().next() {
            step(&network, batch, &mut *optimizer)?;
        }
        Ok(())
    }

    /// The images to train on: the first `train_images`, or all.
    ///
    /// # Errors
    /// `BadConfig` if there are fewer, or too few for batch norm.
    pub(crate) fn training_set(&self) -> Result<Split, TrialError> {
        let available = self.sets.train.len();
        let wanted = self.settings.train_images.unwrap_or(available);
        if wanted > available {
            return Err(TrialError::BadConfig(format!(
                "train_images: {wanted} are wanted, but the training set has {available} images"
            )));
        }
        if wanted < 2 {
            return Err(TrialError::BadConfig(
                "data_dir: one training image is not enough for batch norm".to_owned(),
            ));
        }
        self.sets.train.narrow(0, wanted)
    }

    /// Takes a step on each batch.
    fn steps(
        &self,
        network: &ResNet18,
        batches: &Batches,
        optimizer: &mut dyn Optimizer,
    ) -> Result<Steps, TrialError> {
        // The authors' program computes all gradients with their graph, which takes time.
        let with_graph = self.settings.protocol == Protocol::AsRun;
        let mut probe = GradientProbe::default();

        // Work on a GPU goes on after a call returns, so both times are taken when it is finished.
        synchronize(self.device);
        let start = Instant::now();
        for batch in batches.iter() {
            let gradients =
                batch_gradients(network, batch, with_graph || optimizer.needs_curvature())?;
            optimizer.step(network.parameters(), &gradients)?;
            probe.add(&gradients)?;
        }
        synchronize(self.device);
        let time = start.elapsed();
        let norms = probe.take()?;
        Ok(Steps { time, norms })
    }
}

/// What was measured over the steps of an epoch.
struct Steps {
    /// Wall-clock time of the steps alone.
    time: Duration,
    norms: GradientNorms,
}

/// A row of a trial's history.
#[derive(Clone)]
pub(crate) struct Row {
    /// What was measured.
    pub values: Metrics,
    /// The loss on the held-out images.
    pub val_loss: f64,
}

impl Row {
    /// Adds to a row of Hybrid whether it switched at the end of the epoch.
    pub(crate) fn tell_switch(&mut self, settings: &Settings, switched: bool) {
        if matches!(settings.optimizer, OptimizerSettings::Hybrid(_)) {
            self.values.set("switched", f64::from(u8::from(switched)));
        }
    }
}

/// The weights with the lowest loss on the held-out images so far, which the authors' program keeps
/// too (on disk).
struct Checkpoint {
    epoch: u32,
    loss: f64,
    network: ResNet18,
}

impl Checkpoint {
    fn duplicate(&self) -> Result<Self, TchError> {
        Ok(Self {
            network: self.network.duplicate()?,
            ..*self
        })
    }

    /// Whether a loss is strictly lower than that of these weights. Any number is lower than NaN.
    fn is_above(&self, loss: f64) -> bool {
        loss < self.loss || (self.loss.is_nan() && !loss.is_nan())
    }
}

impl Progress {
    /// Keeps the network as the checkpoint if its loss is lower than that of the last one, or if
    /// there is none.
    fn keep_checkpoint(&mut self, loss: f64) -> Result<(), TrialError> {
        let is_lowest = self
            .checkpoint
            .as_ref()
            .is_none_or(|kept| kept.is_above(loss));
        if is_lowest {
            self.checkpoint = Some(Checkpoint {
                epoch: self.epoch,
                loss,
                network: self.network.duplicate()?,
            });
        }
        Ok(())
    }
}

/// One optimization step on a batch: cross entropy, its gradients, the optimizer's step.
///
/// # Errors
/// libtorch's.
pub(crate) fn step(
    network: &ResNet18,
    batch: &Split,
    optimizer: &mut dyn Optimizer,
) -> Result<(), TrialError> {
    let gradients = batch_gradients(network, batch, optimizer.needs_curvature())?;
    Ok(optimizer.step(network.parameters(), &gradients)?)
}

/// Gradients of the batch's mean cross entropy, with their graph if they are to be
/// `differentiable`.
fn batch_gradients(
    network: &ResNet18,
    batch: &Split,
    differentiable: bool,
) -> Result<Vec<Tensor>, TrialError> {
    // Logits and loss are dropped here, so that memory is free before the optimizer's step.
    let logits = network.forward(&batch.images, Mode::Train)?;
    let loss =
        logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
    Ok(gradients(&loss, network.parameters(), differentiable)?)
}

fn put_score(metrics: &mut Metrics, set: &str, score: Score) {
    metrics.set(format!("{set}_loss"), score.loss);
    metrics.set(format!("{set}_accuracy"), score.accuracy);
}
