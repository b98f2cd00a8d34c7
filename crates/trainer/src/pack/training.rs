//! Epochs of a pack: a step on every batch, then scores, as `engine/trial.rs` has them for one
//! trial. What was measured is read back from the device once per epoch. `rounds` runs it.

use std::rc::Rc;
use std::time::Instant;

use pentagrid_protocol::Metrics;
use pentagrid_protocol::task::{GRAD_NORM_CONV1, GRAD_NORM_FC};
use tch::{Device, Kind, TchError, Tensor};

use super::native::{self, Layers, Operations};
use super::network::Networks;
use super::rules::Rule;
use crate::data::{Batches, Split};
use crate::device::synchronize;
use crate::engine::{EVALUATION_BATCH, Row, Score};
use crate::error::TrialError;
use crate::model::Mode;
use crate::probes::spectral_norms;
use crate::tensors::without_grad;

/// How many gradients, one per model and batch, wait until their norms are computed together.
const NORM_BATCH: usize = 2048;

/// What all trials of a pack are trained and measured on.
pub(super) struct Images<'a> {
    /// The training images.
    pub train: Split,
    /// The same, in batches.
    pub batches: Batches,
    /// The images that each epoch is measured on.
    pub val: &'a Split,
    /// The images that the final weights are measured on.
    pub test: &'a Split,
    /// The device that holds all of them.
    pub device: Device,
}

/// Models in training.
pub(super) struct Pack {
    /// The models.
    pub networks: Networks,
    /// The optimizer that moves them.
    pub rule: Box<dyn Rule>,
    /// The hand-written passes, for the batch sizes that they serve. libtorch records the others.
    pub passes: Option<Passes>,
}

/// What the hand-written passes need.
pub(super) struct Passes {
    operations: Rc<dyn Operations>,
    layers: Layers,
}

impl Passes {
    /// The passes through networks with the plan of these.
    pub(super) fn new(operations: Rc<dyn Operations>, networks: &Networks) -> Self {
        Self {
            operations,
            layers: Layers::of(networks.plan()),
        }
    }
}

/// Scores of each model on a set, on the device.
struct ScoreTensors {
    /// `[K]`, in double precision.
    loss: Tensor,
    /// In percent; `[K]`, in double precision.
    accuracy: Tensor,
}

impl Pack {
    /// Trains one epoch and returns each model's row of the history. Its `seconds` are the model's
    /// share of the time that the steps took.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn epoch(&mut self, images: &Images<'_>) -> Result<Vec<Row>, TrialError> {
        let models = self.networks.models() as usize;
        let mut norms = Norms::default();

        // Work on a GPU goes on after a call returns, so both times are taken when it is finished.
        synchronize(images.device);
        let start = Instant::now();
        for batch in images.batches.iter() {
            let gradient = self.step(batch)?;
            norms.add(self.networks.ends(&gradient)?, models)?;
        }
        synchronize(images.device);
        let seconds = start.elapsed().as_secs_f64() / models as f64;

        // All measurements stay on the device until they are read at once.
        let train = self.scores(&images.train)?;
        let val = self.scores(images.val)?;
        let [conv1, fc] = norms.take(models)?;
        let columns = [
            ("val_loss", val.loss),
            ("val_accuracy", val.accuracy),
            ("train_loss", train.loss),
            ("train_accuracy", train.accuracy),
            (GRAD_NORM_CONV1, conv1),
            (GRAD_NORM_FC, fc),
        ];
        let measured = read(&columns.each_ref().map(|(_, column)| column))?;

        let mut rows = Vec::with_capacity(models);
        for model in 0..models {
            let mut values = Metrics::default();
            for ((name, _), column) in columns.iter().zip(&measured) {
                values.set(*name, column[model]);
            }
            values.set("seconds", seconds);
            let val_loss = measured[0][model];
            rows.push(Row { values, val_loss });
        }
        Ok(rows)
    }

    /// Takes a step and scores, so that kernels are loaded and memory is taken.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn warm_up(&mut self, images: &Images<'_>) -> Result<(), TrialError> {
        if let Some(batch) = images.batches.iter().next() {
            let _ = self.step(batch)?;
        }
        let _ = self.scores(images.val)?;
        synchronize(images.device);
        Ok(())
    }

    /// The score of each model on the test images.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn test(&self, images: &Images<'_>) -> Result<Vec<Score>, TrialError> {
        let scores = self.scores(images.test)?;
        let columns = read(&[&scores.loss, &scores.accuracy])?;
        Ok(columns[0]
            .iter()
            .zip(&columns[1])
            .map(|(&loss, &accuracy)| Score { loss, accuracy })
            .collect())
    }

    /// Keeps the models at those places, in that order.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn select(&mut self, places: &[usize]) -> Result<(), TrialError> {
        let places = index(places, self.networks.weights().device())?;
        self.networks = self.networks.select(&places)?;
        let _guard = without_grad();
        Ok(self.rule.select(&places)?)
    }

    /// Takes one step on a batch and returns its gradient, `[K, P]`.
    fn step(&mut self, batch: &Split) -> Result<Tensor, TrialError> {
        match &self.passes {
            Some(passes) if passes.operations.serves(batch.len()) => {
                step_by_passes(passes, &self.networks, &mut *self.rule, batch)
            }
            _ => step_by_autograd(&self.networks, &mut *self.rule, batch),
        }
    }

    fn scores(&self, split: &Split) -> Result<ScoreTensors, TrialError> {
        let _guard = without_grad();
        let size = [self.networks.models()];
        let options = (Kind::Double, split.labels.device());
        let mut loss = Tensor::f_zeros(size, options)?;
        let mut correct = Tensor::f_zeros(size, options)?;

        // In parts of the same size as for a single trial.
        for start in (0..split.len()).step_by(EVALUATION_BATCH as usize) {
            let part = split.narrow(start, EVALUATION_BATCH.min(split.len() - start))?;
            let logits = self.evaluate(&part)?;
            let image_losses = losses(&logits, &part.labels)?;
            let _ = loss.f_add_(&sum_over_images(&image_losses)?)?;
            let hits = logits.f_argmax(1, false)?.f_eq_tensor(&part.labels)?;
            let _ = correct.f_add_(&sum_over_images(&hits)?)?;
        }

        let count = split.len() as f64;
        Ok(ScoreTensors {
            loss: loss.f_div_scalar(count)?,
            accuracy: correct.f_mul_scalar(100.0)?.f_div_scalar(count)?,
        })
    }

    /// Logits `[K, 10, N]` in evaluation mode.
    fn evaluate(&self, images: &Split) -> Result<Tensor, TchError> {
        match &self.passes {
            Some(passes) if passes.operations.serves(images.len()) => native::evaluate(
                &*passes.operations,
                &passes.layers,
                &self.networks,
                &images.images,
            ),
            _ => self.networks.forward(&images.images, Mode::Evaluate),
        }
    }
}

/// A step whose derivatives come from the hand-written passes.
fn step_by_passes(
    passes: &Passes,
    networks: &Networks,
    rule: &mut dyn Rule,
    batch: &Split,
) -> Result<Tensor, TrialError> {
    let _guard = without_grad();
    let operations = &*passes.operations;
    let layers = &passes.layers;
    let tape = native::forward(operations, layers, networks, &batch.images)?;
    let (gradient, trail) = native::gradient(operations, layers, networks, &tape, &batch.labels)?;

    // The product frees what the passes kept, so it can be asked for only once.
    let mut kept = Some(native::Passed { tape, trail });
    rule.step(networks, &gradient, &mut |signs| {
        let passed = kept
            .take()
            .ok_or_else(|| TchError::Shape("a second product".to_owned()))?;
        native::hessian_product(operations, layers, networks, &passed, signs)
    })?;
    Ok(gradient)
}

/// A step whose derivatives come from libtorch.
fn step_by_autograd(
    networks: &Networks,
    rule: &mut dyn Rule,
    batch: &Split,
) -> Result<Tensor, TrialError> {
    let with_graph = rule.needs_curvature();
    let gradient = {
        let logits = networks.forward(&batch.images, Mode::Train)?;
        // The mean over the images and the sum over the models: the derivative of the sum by one
        // model's weights is that of its own loss.
        let loss = losses(&logits, &batch.labels)?
            .f_sum(None)?
            .f_div_scalar(batch.len() as f64)?;
        Tensor::f_run_backward(&[loss], &[networks.weights()], with_graph, with_graph)?.remove(0)
    };

    rule.step(networks, &gradient, &mut |signs| {
        let root = gradient.f_mul(signs)?.f_sum(None)?;
        Ok(Tensor::f_run_backward(&[root], &[networks.weights()], false, false)?.remove(0))
    })?;
    Ok(gradient.f_detach()?)
}

/// `[K, N]` to `[K]`, in double precision.
fn sum_over_images(values: &Tensor) -> Result<Tensor, TchError> {
    values.f_sum_dim_intlist([1].as_slice(), false, Kind::Double)
}

/// Cross entropy of each image in each model: `[K, 10, N]` and `[N]` to `[K, N]`.
fn losses(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    let size = logits.size();
    let labels = labels
        .f_view([1, 1, -1])?
        .f_expand([size[0], 1, size[2]], false)?;
    logits
        .f_log_softmax(1, None)?
        .f_gather(1, &labels, false)?
        .f_squeeze_dim(1)?
        .f_neg()
}

/// Places as a tensor.
///
/// # Errors
/// libtorch's.
pub(super) fn index(places: &[usize], device: Device) -> Result<Tensor, TchError> {
    let places: Vec<i64> = places.iter().map(|place| *place as i64).collect();
    Tensor::f_from_slice(&places)?.f_to_device(device)
}

/// Reads columns `[K]` from the device, all at once.
fn read(columns: &[&Tensor]) -> Result<Vec<Vec<f64>>, TchError> {
    let all = Tensor::f_stack(columns, 0)?.f_to_device(Device::Cpu)?;
    (0..columns.len() as i64)
        .map(|at| Vec::<f64>::try_from(all.f_get(at)?))
        .collect()
}

/// Collects the spectral norms of an epoch's gradients for each model, as `probes.rs` does for one.
#[derive(Default)]
struct Norms {
    /// Gradients of conv1, one tensor per batch, whose norms are not computed yet.
    conv1: Vec<Tensor>,
    /// Gradients of fc, likewise.
    fc: Vec<Tensor>,
    /// Sums of the norms over the batches: of conv1 and of fc, `[K]` each.
    sums: Option<[Tensor; 2]>,
    batches: usize,
}

impl Norms {
    /// Takes in the gradients of conv1 and fc for one batch.
    fn add(&mut self, gradients: [Tensor; 2], models: usize) -> Result<(), TchError> {
        let [conv1, fc] = gradients;
        self.conv1.push(conv1);
        self.fc.push(fc);
        self.batches += 1;

        if self.conv1.len() * models >= NORM_BATCH {
            self.compute(models)
        } else {
            Ok(())
        }
    }

    /// The means over the batches: of conv1 and of fc, `[K]` each.
    fn take(mut self, models: usize) -> Result<[Tensor; 2], TchError> {
        self.compute(models)?;
        let batches = self.batches as f64;
        let [conv1, fc] = self
            .sums
            .ok_or_else(|| TchError::Shape("an epoch without a batch".to_owned()))?;
        Ok([conv1.f_div_scalar(batches)?, fc.f_div_scalar(batches)?])
    }

    /// Computes the norms of the gradients that wait, and adds them to the sums.
    fn compute(&mut self, models: usize) -> Result<(), TchError> {
        if self.conv1.is_empty() {
            return Ok(());
        }
        let _guard = without_grad();
        let conv1 = sum_of_norms(&mut self.conv1, models)?;
        let fc = sum_of_norms(&mut self.fc, models)?;
        self.sums = Some(match self.sums.take() {
            None => [conv1, fc],
            Some([conv1_sum, fc_sum]) => [conv1_sum.f_add(&conv1)?, fc_sum.f_add(&fc)?],
        });
        Ok(())
    }
}

/// The norms of gradients, one tensor per batch: mean over a model's filters, sum over the batches,
/// `[K]`. Empties the list.
fn sum_of_norms(waiting: &mut Vec<Tensor>, models: usize) -> Result<Tensor, TchError> {
    let all = Tensor::f_stack(waiting, 0)?;
    let batches = waiting.len() as i64;
    waiting.clear();

    let size = all.size();
    let [.., rows, columns] = size[..] else {
        return Err(TchError::Shape(format!("{size:?} holds no matrices")));
    };
    // The leading axes are batches, models and, for conv1, filters.
    let norms = spectral_norms(&all.f_reshape([-1, rows, columns])?)?;
    norms
        .f_view([batches, models as i64, -1])?
        .f_mean_dim([2].as_slice(), false, None)?
        .f_sum_dim_intlist([0].as_slice(), false, None)
}
