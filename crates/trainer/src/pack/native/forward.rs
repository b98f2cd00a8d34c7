//! The pass forwards: for scores, and in training, where it keeps what `backward` and `curvature`
//! need.

use tch::{TchError, Tensor};

use super::layers::{Layers, Step};
use super::operations::{After, Normed, Operations};
use crate::pack::convolution::columns;
use crate::pack::network::Networks;

/// A block as it went.
pub(super) struct BlockTape {
    /// What its first convolution took.
    pub x: Tensor,
    /// Its norms; what the second convolution took is what the first gave.
    pub norms: [Normed; 2],
    /// Of the residual.
    pub down: Option<Normed>,
}

/// All that a batch left behind.
pub struct Tape {
    /// The images' windows, `[49, 14 14 N]`.
    pub(super) windows: Tensor,
    pub(super) stem: Normed,
    pub(super) blocks: Vec<BlockTape>,
    /// What the last layer took, `[K, 512, N]`.
    pub(super) features: Tensor,
    /// `[K, 10, N]`.
    pub logits: Tensor,
}

impl BlockTape {
    /// What came out.
    pub fn out(&self) -> &Tensor {
        &self.norms[1].y
    }
}

/// The images' windows: conv1 sees the same ones in every model.
fn windows(images: &Tensor) -> Result<Tensor, TchError> {
    columns(&images.f_permute([1, 2, 3, 0])?.f_unsqueeze(0)?, 7, 2)?.f_squeeze_dim(0)
}

/// conv1 of all models at once: `[K, 64, 14 14, N]`.
pub(super) fn stem(
    layers: &Layers,
    weights: &Tensor,
    windows: &Tensor,
    images: i64,
) -> Result<Tensor, TchError> {
    let kernels = layers.stem.view(weights)?.f_reshape([-1, 49])?;
    kernels
        .f_mm(windows)?
        .f_view([weights.size()[0], 64, 14 * 14, images])
}

/// What the last layer gives, `[K, 10, N]` of `[K, 512, N]`, by its part of rows.
pub(super) fn last(
    layers: &Layers,
    rows: &Tensor,
    features: &Tensor,
    onto: Option<Tensor>,
) -> Result<Tensor, TchError> {
    let [weight, bias] = layers.fc;
    weight
        .product(rows, features, onto)?
        .f_add(&bias.view(rows)?)
}

/// Images `[N, 1, 28, 28]` in training: moves the running statistics.
///
/// # Errors
/// The operations'.
pub fn forward(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    images: &Tensor,
) -> Result<Tape, TchError> {
    let weights = &networks.weights().f_detach()?;
    let count = images.size()[0];
    let windows = windows(images)?;
    let norm = |step: &Step, x: Tensor, residual: Option<&Tensor>, after| {
        by.normalise(
            step.norm,
            weights,
            x,
            residual,
            networks.running(step.running),
            after,
        )
    };
    let stem = stem(layers, weights, &windows, count)?;
    let running = networks.running(layers.stem_running);
    let stem = by.normalise(
        layers.stem_norm,
        weights,
        stem,
        None,
        running,
        After::ReluAndPool,
    )?;
    let mut blocks: Vec<BlockTape> = Vec::new();
    for block in &layers.blocks {
        let x = blocks
            .last()
            .map_or(&stem.y, BlockTape::out)
            .shallow_clone();
        let [first, second] = &block.steps;
        let down = match &block.down {
            None => None,
            Some(down) => Some(norm(
                down,
                down.conv.forward(by, weights, &x, None)?,
                None,
                After::Nothing,
            )?),
        };
        let inner = norm(
            first,
            first.conv.forward(by, weights, &x, None)?,
            None,
            After::Relu,
        )?;
        let residual = down.as_ref().map_or(&x, |down| &down.y);
        let out = norm(
            second,
            second.conv.forward(by, weights, &inner.y, None)?,
            Some(residual),
            After::Relu,
        )?;
        blocks.push(BlockTape {
            x,
            norms: [inner, out],
            down,
        });
    }
    let models = networks.models();
    // layer4's maps are one pixel: there is nothing to average.
    let features = blocks
        .last()
        .map_or(&stem.y, BlockTape::out)
        .f_view([models, -1, count])?;
    let logits = last(layers, weights, &features, None)?;
    Ok(Tape {
        windows,
        stem,
        blocks,
        features,
        logits,
    })
}

/// Images to logits `[K, 10, N]` by the running statistics.
///
/// # Errors
/// The operations'.
pub fn evaluate(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    images: &Tensor,
) -> Result<Tensor, TchError> {
    let weights = &networks.weights().f_detach()?;
    let count = images.size()[0];
    let step = |step: &Step, x: &Tensor, residual: Option<&Tensor>, after| {
        let out = step.conv.forward(by, weights, x, None)?;
        by.normalise_by_running(
            step.norm,
            weights,
            &out,
            residual,
            networks.running(step.running),
            after,
        )
    };
    let stem = stem(layers, weights, &windows(images)?, count)?;
    let running = networks.running(layers.stem_running);
    let mut x = by.normalise_by_running(
        layers.stem_norm,
        weights,
        &stem,
        None,
        running,
        After::ReluAndPool,
    )?;
    for block in &layers.blocks {
        let down = block
            .down
            .as_ref()
            .map(|down| step(down, &x, None, After::Nothing))
            .transpose()?;
        let inner = step(&block.steps[0], &x, None, After::Relu)?;
        x = step(
            &block.steps[1],
            &inner,
            Some(down.as_ref().unwrap_or(&x)),
            After::Relu,
        )?;
    }
    last(
        layers,
        weights,
        &x.f_view([networks.models(), -1, count])?,
        None,
    )
}
