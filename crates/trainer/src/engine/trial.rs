//! The training loop of one trial: a function of its settings, its data and its network, which
//! carry the seed. Reports a history row after each epoch. Under the protocol `as_run` it measures
//! what the authors' program did. How far a trial is stands in its `Progress`, which can be copied:
//! `prefix` branches trials from such copies.

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

/// The authors' program divides fc's norm by conv1's number of filters as well (facts.md 1e).
const AS_RUN_FC_DIVISOR: f64 = 64.0;

/// What a trial works on.
pub(crate) struct Trial<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// Its seed.
    pub seed: u64,
    /// The images.
    pub sets: &'a Sets,
    /// Where all of it is.
    pub device: Device,
}

/// How far a trial is: all that its further course depends on, but for the optimizer's own state.
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
    /// Nothing done yet; the network is at the seed's starting weights.
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

    /// Notes that the optimizer has become another one at the end of the last epoch.
    pub(crate) fn note_switch(&mut self) {
        self.metrics.set(SWITCH_METRIC, f64::from(self.epoch));
    }
}

impl Trial<'_> {
    /// Trains to the end, calls `report` with each epoch's number (from 1) and history row, and
    /// gives the final metrics. A loss that is not finite is a result like any other, and training
    /// goes on.
    ///
    /// # Errors
    /// `BadConfig` if the set is smaller than the settings want it; libtorch's.
    pub(crate) fn run(
        &self,
        network: ResNet18,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<Metrics, TrialError> {
        let mut progress = Progress::start(network);
        self.train(
            &mut progress,
            &mut *self.settings.optimizer.start(self.seed),
            report,
        )?;
        self.finish(&progress)
    }

    /// The epochs that are left.
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

    /// One epoch: the steps, then the scores. The optimizer has not heard of the loss yet.
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
        let (steps, norms) = self.steps(&progress.network, &batches, optimizer)?;
        progress.epoch += 1;
        let mut values = Metrics::default();
        put_score(&mut values, "train", evaluate(&progress.network, &train)?);
        let val = evaluate(&progress.network, held_out)?;
        put_score(&mut values, "val", val);
        values.set(GRAD_NORM_CONV1, norms.conv1);
        values.set(
            GRAD_NORM_FC,
            if as_run {
                norms.fc / AS_RUN_FC_DIVISOR
            } else {
                norms.fc
            },
        );
        if as_run {
            Checkpoint::keep(
                &mut progress.checkpoint,
                progress.epoch,
                val.loss,
                &progress.network,
            )?;
        }
        progress.step_seconds += steps.as_secs_f64();
        progress.all_seconds += start.elapsed().as_secs_f64();
        // The last row's scores stand.
        for (name, value) in &values.0 {
            if METRICS.contains(&name.as_str()) {
                progress.metrics.set(name, value.0);
            }
        }
        values.set(
            "seconds",
            if as_run { start.elapsed() } else { steps }.as_secs_f64(),
        );
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
        let as_run = self.settings.protocol == Protocol::AsRun;
        metrics.set(
            "training_seconds",
            if as_run { *all_seconds } else { *step_seconds },
        );
        if let Some(checkpoint) = checkpoint {
            let val = evaluate(network, &self.sets.val)?;
            metrics.set(HELDOUT_LOSS, val.loss);
            metrics.set(HELDOUT_ACCURACY, val.accuracy);
            metrics.set(STEP_SECONDS, *step_seconds);
            metrics.set(CHECKPOINT_EPOCH, f64::from(checkpoint.epoch));
        }
        Ok(metrics)
    }

    /// A step that counts for nothing, on a copy of the network: the first step of a kind in a
    /// process waits for libtorch to compile its kernels and for memory, which is no part of what
    /// an optimizer costs.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn warm_up(&self, network: &ResNet18) -> Result<(), TrialError> {
        let network = network.duplicate()?;
        let mut optimizer = self.settings.optimizer.costliest().start(self.seed);
        if let Some(batch) = Batches::new(&self.training_set()?, self.settings.batch_size)?
            .iter()
            .next()
        {
            step(&network, batch, &mut *optimizer)?;
        }
        Ok(())
    }

    /// The images to train on: the first `train_images`, or all.
    ///
    /// # Errors
    /// `BadConfig` if there are fewer, or too few for batch norm.
    pub(crate) fn training_set(&self) -> Result<Split, TrialError> {
        let there = self.sets.train.len();
        let wanted = self.settings.train_images.unwrap_or(there);
        if wanted > there {
            return Err(TrialError::BadConfig(format!(
                "train_images: {wanted} are wanted, but the training set has {there} images"
            )));
        }
        if wanted < 2 {
            return Err(TrialError::BadConfig(
                "data_dir: one training image is not enough for batch norm".to_owned(),
            ));
        }
        self.sets.train.narrow(0, wanted)
    }

    /// One pass over the batches. Gives the wall-clock time of the steps alone, and the gradients'
    /// norms.
    fn steps(
        &self,
        network: &ResNet18,
        batches: &Batches,
        optimizer: &mut dyn Optimizer,
    ) -> Result<(Duration, GradientNorms), TrialError> {
        let with_graph = self.settings.protocol == Protocol::AsRun;
        let mut probe = GradientProbe::default();
        synchronize(self.device);
        let start = Instant::now();
        for batch in batches.iter() {
            let gradients =
                batch_gradients(network, batch, with_graph || optimizer.needs_curvature())?;
            optimizer.step(network.parameters(), &gradients)?;
            probe.add(&gradients)?;
        }
        synchronize(self.device);
        let spent = start.elapsed();
        Ok((spent, probe.take()?))
    }
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
    /// Hybrid's rows say whether it switched at their end.
    pub(crate) fn tell_switch(&mut self, settings: &Settings, switched: bool) {
        if matches!(settings.optimizer, OptimizerSettings::Hybrid(_)) {
            self.values.set("switched", f64::from(u8::from(switched)));
        }
    }
}

/// The weights with the lowest loss on the held-out images so far, as the authors' program keeps
/// them (on disk there, in memory here).
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

    /// Keeps the network if its loss is strictly below that of the one kept; the first one whatever
    /// its loss is.
    fn keep(
        kept: &mut Option<Self>,
        epoch: u32,
        loss: f64,
        network: &ResNet18,
    ) -> Result<(), TrialError> {
        if kept
            .as_ref()
            .is_none_or(|kept| loss < kept.loss || (kept.loss.is_nan() && !loss.is_nan()))
        {
            *kept = Some(Self {
                epoch,
                loss,
                network: network.duplicate()?,
            });
        }
        Ok(())
    }
}

/// One optimisation step on a batch: cross entropy, its gradients, the optimizer's move.
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
    // Logits and loss end here: what the gradients do not need is freed before the optimizer's move
    // takes memory.
    let logits = network.forward(&batch.images, Mode::Train)?;
    let loss =
        logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
    Ok(gradients(&loss, network.parameters(), differentiable)?)
}

fn put_score(metrics: &mut Metrics, set: &str, score: Score) {
    metrics.set(format!("{set}_loss"), score.loss);
    metrics.set(format!("{set}_accuracy"), score.accuracy);
}
