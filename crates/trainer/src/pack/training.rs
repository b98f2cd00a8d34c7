//! Epochs of a pack: steps on every batch, then scores, as `engine/trial.rs` has them for one
//! trial. What was measured is read back from the device once an epoch. `bundle` runs it.

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
use crate::engine::Row;
use crate::error::TrialError;
use crate::model::Mode;
use crate::probes::spectral_norms;
use crate::tensors::without_grad;

/// Images that pass through the networks at once for their scores, as in `engine/evaluate.rs`.
const AT_ONCE: i64 = 200;

/// Gradients, one a model and batch, that wait for their norms together.
const NORMS_AT_ONCE: usize = 2048;

/// What all trials of a pack are trained and measured on.
pub struct Images<'a> {
    /// What is trained on.
    pub train: Split,
    /// The same in batches.
    pub batches: Batches,
    /// What each epoch is measured on.
    pub val: &'a Split,
    /// What the end is measured on.
    pub test: &'a Split,
    /// Where all of it is.
    pub device: Device,
}

/// Models in training.
pub struct Pack {
    /// The models.
    pub networks: Networks,
    /// How they move.
    pub rule: Box<dyn Rule>,
    /// The passes by hand, for what they serve; libtorch records the others.
    pub by_hand: Option<ByHand>,
}

/// What the passes by hand go by.
pub struct ByHand {
    operations: Rc<dyn Operations>,
    layers: Layers,
}

impl ByHand {
    /// For networks like these.
    pub fn new(operations: Rc<dyn Operations>, networks: &Networks) -> Self {
        Self {
            operations,
            layers: Layers::of(networks.plan()),
        }
    }
}

/// Loss and accuracy of each model on a set, `[K]` in double precision, on the device.
type Scores = [Tensor; 2];

impl Pack {
    /// One epoch. Gives each model's row of the history; its seconds are its share of the time that
    /// the steps took.
    ///
    /// # Errors
    /// libtorch's.
    pub fn epoch(&mut self, images: &Images<'_>) -> Result<Vec<Row>, TrialError> {
        let models = self.networks.models() as usize;
        let mut norms = Norms::default();
        synchronize(images.device);
        let start = Instant::now();
        for batch in images.batches.iter() {
            let gradient = self.step(batch)?;
            norms.add(self.networks.ends(&gradient)?, models)?;
        }
        synchronize(images.device);
        let seconds = start.elapsed().as_secs_f64() / models as f64;
        let [train_loss, train_accuracy] = self.scores(&images.train)?;
        let [val_loss, val_accuracy] = self.scores(images.val)?;
        let [conv1, fc] = norms.take(models)?;
        let columns = [
            ("train_loss", train_loss),
            ("train_accuracy", train_accuracy),
            ("val_loss", val_loss),
            ("val_accuracy", val_accuracy),
            (GRAD_NORM_CONV1, conv1),
            (GRAD_NORM_FC, fc),
        ];
        let measured = read(&columns.each_ref().map(|(_, column)| column))?;
        let row = |model: usize| {
            let mut values = Metrics::default();
            columns
                .iter()
                .zip(&measured)
                .for_each(|((name, _), column)| values.set(*name, column[model]));
            values.set("seconds", seconds);
            Row {
                val_loss: measured[2][model],
                values,
            }
        };
        Ok((0..models).map(row).collect())
    }

    /// A step and scores, for whose sake kernels are loaded and memory is taken.
    ///
    /// # Errors
    /// libtorch's.
    pub fn warm_up(&mut self, images: &Images<'_>) -> Result<(), TrialError> {
        if let Some(batch) = images.batches.iter().next() {
            let _ = self.step(batch)?;
        }
        let _ = self.scores(images.val)?;
        synchronize(images.device);
        Ok(())
    }

    /// Loss and accuracy of each model on the test images.
    ///
    /// # Errors
    /// libtorch's.
    pub fn test(&self, images: &Images<'_>) -> Result<Vec<[f64; 2]>, TrialError> {
        let [loss, accuracy] = self.scores(images.test)?;
        let columns = read(&[&loss, &accuracy])?;
        Ok(columns[0]
            .iter()
            .zip(&columns[1])
            .map(|(loss, accuracy)| [*loss, *accuracy])
            .collect())
    }

    /// Keeps the models at those places, in that order.
    ///
    /// # Errors
    /// libtorch's.
    pub fn select(&mut self, places: &[usize]) -> Result<(), TrialError> {
        let places = index(places, self.networks.weights().device())?;
        self.networks = self.networks.select(&places)?;
        let _guard = without_grad();
        Ok(self.rule.select(&places)?)
    }

    /// One step on a batch. Gives the gradient that it took, `[K, P]`.
    fn step(&mut self, batch: &Split) -> Result<Tensor, TrialError> {
        if let Some(ByHand { operations, layers }) = self
            .by_hand
            .as_ref()
            .filter(|own| own.operations.serves(batch.len()))
        {
            let _guard = without_grad();
            let networks = &self.networks;
            let tape = native::forward(&**operations, layers, networks, &batch.images)?;
            let (gradient, trail) =
                native::gradient(&**operations, layers, networks, &tape, &batch.labels)?;
            let mut passed = Some((tape, trail));
            let mut product = |signs: &Tensor| {
                let (tape, trail) = passed
                    .take()
                    .ok_or_else(|| TchError::Shape("a second product".to_owned()))?;
                native::hessian_product(&**operations, layers, networks, (&tape, &trail), signs)
            };
            self.rule.step(networks, &gradient, &mut product)?;
            return Ok(gradient);
        }
        let with_graph = self.rule.needs_curvature();
        let gradient = {
            let logits = self.networks.forward(&batch.images, Mode::Train)?;
            // The mean over the images, the sum over the models: each sees its own loss alone.
            let loss = losses(&logits, &batch.labels)?
                .f_sum(None)?
                .f_div_scalar(batch.len() as f64)?;
            Tensor::f_run_backward(&[loss], &[self.networks.weights()], with_graph, with_graph)?
                .remove(0)
        };
        let weights = self.networks.weights();
        let mut product = |signs: &Tensor| {
            let root = gradient.f_mul(signs)?.f_sum(None)?;
            Ok(Tensor::f_run_backward(&[root], &[weights], false, false)?.remove(0))
        };
        self.rule.step(&self.networks, &gradient, &mut product)?;
        Ok(gradient.f_detach()?)
    }

    fn scores(&self, split: &Split) -> Result<Scores, TrialError> {
        let _guard = without_grad();
        let zeros = || {
            Tensor::f_zeros(
                [self.networks.models()],
                (Kind::Double, split.labels.device()),
            )
        };
        let (mut loss, mut right) = (zeros()?, zeros()?);
        for start in (0..split.len()).step_by(AT_ONCE as usize) {
            let part = split.narrow(start, AT_ONCE.min(split.len() - start))?;
            let logits = match &self.by_hand {
                Some(own) if own.operations.serves(part.len()) => {
                    native::evaluate(&*own.operations, &own.layers, &self.networks, &part.images)?
                }
                _ => self.networks.forward(&part.images, Mode::Evaluate)?,
            };
            let axis = [1].as_slice();
            let _ = loss.f_add_(&losses(&logits, &part.labels)?.f_sum_dim_intlist(
                axis,
                false,
                Kind::Double,
            )?)?;
            let hits = logits.f_argmax(1, false)?.f_eq_tensor(&part.labels)?;
            let _ = right.f_add_(&hits.f_sum_dim_intlist(axis, false, Kind::Double)?)?;
        }
        let count = split.len() as f64;
        Ok([
            loss.f_div_scalar(count)?,
            right.f_mul_scalar(100.0)?.f_div_scalar(count)?,
        ])
    }
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
pub fn index(places: &[usize], device: Device) -> Result<Tensor, TchError> {
    let places: Vec<i64> = places.iter().map(|place| *place as i64).collect();
    Tensor::f_from_slice(&places)?.f_to_device(device)
}

/// Columns of numbers, one a model, from the device in one go.
fn read(columns: &[&Tensor]) -> Result<Vec<Vec<f64>>, TchError> {
    let all = Tensor::f_stack(columns, 0)?.f_to_device(Device::Cpu)?;
    (0..columns.len() as i64)
        .map(|at| Vec::<f64>::try_from(all.f_get(at)?))
        .collect()
}

/// The spectral norms of an epoch's gradients, model by model, as `probes.rs` has them for one.
#[derive(Default)]
struct Norms {
    /// Gradients of conv1 and of fc, one tensor a batch.
    waiting: [Vec<Tensor>; 2],
    /// Sums over the batches, `[K]` each.
    sums: Option<[Tensor; 2]>,
    batches: usize,
}

impl Norms {
    fn add(&mut self, gradients: [Tensor; 2], models: usize) -> Result<(), TchError> {
        self.batches += 1;
        self.waiting
            .iter_mut()
            .zip(gradients)
            .for_each(|(waiting, gradient)| waiting.push(gradient));
        if self.waiting[0].len() * models >= NORMS_AT_ONCE {
            self.settle(models)
        } else {
            Ok(())
        }
    }

    fn take(mut self, models: usize) -> Result<[Tensor; 2], TchError> {
        self.settle(models)?;
        let none = || Err(TchError::Shape("an epoch without a batch".to_owned()));
        let Some([conv1, fc]) = self.sums else {
            return none();
        };
        Ok([
            conv1.f_div_scalar(self.batches as f64)?,
            fc.f_div_scalar(self.batches as f64)?,
        ])
    }

    fn settle(&mut self, models: usize) -> Result<(), TchError> {
        if self.waiting[0].is_empty() {
            return Ok(());
        }
        let _guard = without_grad();
        let sum = |waiting: &mut Vec<Tensor>| {
            let all = Tensor::f_stack(waiting, 0)?;
            let (batches, size) = (waiting.len() as i64, all.size());
            waiting.clear();
            let norms = spectral_norms(&all.f_reshape([
                -1,
                size[size.len() - 2],
                size[size.len() - 1],
            ])?)?;
            // The mean over a model's filters, the sum over the batches.
            let norms = norms.f_view([batches, models as i64, -1])?.f_mean_dim(
                [2].as_slice(),
                false,
                None,
            )?;
            norms.f_sum_dim_intlist([0].as_slice(), false, None)
        };
        let [conv1, fc] = &mut self.waiting;
        let [conv1, fc] = [sum(conv1)?, sum(fc)?];
        self.sums = Some(match self.sums.take() {
            None => [conv1, fc],
            Some([a, b]) => [a.f_add(&conv1)?, b.f_add(&fc)?],
        });
        Ok(())
    }
}
