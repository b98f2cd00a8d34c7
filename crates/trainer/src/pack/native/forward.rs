//! The pass forwards: in training, where it keeps what `backward` and `curvature` need, and in
//! evaluation mode, for scores.

use tch::{TchError, Tensor};

use super::layers::{Layers, Step};
use super::operations::{After, NormCall, Normed, Operations};
use crate::pack::convolution::columns;
use crate::pack::network::Networks;

/// What the pass keeps of a residual block.
pub(super) struct BlockTape {
    /// The input of its first convolution.
    pub x: Tensor,
    /// Its norms. The output of the first one is the input of the second convolution.
    pub norms: [Normed; 2],
    /// The norm on its shortcut.
    pub downsample: Option<Normed>,
}

/// What the pass keeps of a batch.
pub(crate) struct Tape {
    /// The images' windows, `[49, 14 14 N]`.
    pub windows: Tensor,
    pub stem: Normed,
    pub(super) blocks: Vec<BlockTape>,
    /// The input of the last layer, `[K, 512, N]`.
    pub features: Tensor,
    /// `[K, 10, N]`.
    pub logits: Tensor,
}

impl BlockTape {
    /// The output.
    pub(super) fn out(&self) -> &Tensor {
        &self.norms[1].y
    }
}

impl Tape {
    /// The maps that come out of the last block.
    pub(super) fn last_maps(&self) -> &Tensor {
        last_maps(&self.stem, &self.blocks)
    }
}

/// The maps that come out of the last of these blocks, or out of the stem.
fn last_maps<'a>(stem: &'a Normed, blocks: &'a [BlockTape]) -> &'a Tensor {
    blocks.last().map_or(&stem.y, BlockTape::out)
}

/// The images' windows, `[49, 14 14 N]`: conv1 sees the same ones in every model.
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

/// The last layer, with weight and bias from the given rows: `[K, 512, N]` to `[K, 10, N]`.
pub(super) fn last_layer(
    layers: &Layers,
    rows: &Tensor,
    features: &Tensor,
    onto: Option<Tensor>,
) -> Result<Tensor, TchError> {
    layers
        .fc_weight
        .product(rows, features, onto)?
        .f_add(&layers.fc_bias.view(rows)?)
}

/// The networks in a pass: everything but the images.
struct Pass<'a> {
    by: &'a dyn Operations,
    layers: &'a Layers,
    networks: &'a Networks,
    weights: &'a Tensor,
}

impl<'a> Pass<'a> {
    /// The norm of conv1.
    fn stem_norm(&self) -> NormCall<'a> {
        NormCall {
            at: self.layers.stem_norm,
            weights: self.weights,
            running: self.networks.running(self.layers.stem_running),
            residual: None,
            after: After::ReluAndPool,
        }
    }

    /// The norm of a step in a block.
    fn norm(&self, step: &Step, residual: Option<&'a Tensor>, after: After) -> NormCall<'a> {
        NormCall {
            at: step.norm,
            weights: self.weights,
            running: self.networks.running(step.running),
            residual,
            after,
        }
    }
}

/// The pass in training, for images `[N, 1, 28, 28]`. Updates the running statistics.
///
/// # Errors
/// The operations'.
pub(crate) fn forward(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    images: &Tensor,
) -> Result<Tape, TchError> {
    let weights = &networks.weights().f_detach()?;
    let pass = Pass {
        by,
        layers,
        networks,
        weights,
    };
    let count = images.size()[0];
    let windows = windows(images)?;
    let stem = stem(layers, weights, &windows, count)?;
    let stem = by.normalise(pass.stem_norm(), stem)?;

    // Each block keeps its input and its norms: the pass backwards needs nothing else.
    let mut blocks: Vec<BlockTape> = Vec::with_capacity(layers.blocks.len());
    for block in &layers.blocks {
        let x = last_maps(&stem, &blocks).shallow_clone();
        let [first, second] = &block.steps;
        let downsample = block
            .downsample
            .as_ref()
            .map(|step| pass.step(step, &x, None, After::Nothing))
            .transpose()?;
        let inner = pass.step(first, &x, None, After::Relu)?;
        let residual = downsample.as_ref().map_or(&x, |downsample| &downsample.y);
        let out = pass.step(second, &inner.y, Some(residual), After::Relu)?;
        blocks.push(BlockTape {
            x,
            norms: [inner, out],
            downsample,
        });
    }

    // The maps of layer4 are one pixel, so there is nothing to average.
    let features = last_maps(&stem, &blocks).f_view([networks.models(), -1, count])?;
    let logits = last_layer(layers, weights, &features, None)?;
    Ok(Tape {
        windows,
        stem,
        blocks,
        features,
        logits,
    })
}

impl Pass<'_> {
    /// A convolution and its norm in training.
    fn step(
        &self,
        step: &Step,
        x: &Tensor,
        residual: Option<&Tensor>,
        after: After,
    ) -> Result<Normed, TchError> {
        let out = step.conv.forward(self.by, self.weights, x, None)?;
        self.by.normalise(self.norm(step, residual, after), out)
    }

    /// A convolution and its norm in evaluation mode.
    fn evaluated_step(
        &self,
        step: &Step,
        x: &Tensor,
        residual: Option<&Tensor>,
        after: After,
    ) -> Result<Tensor, TchError> {
        let out = step.conv.forward(self.by, self.weights, x, None)?;
        self.by
            .normalise_by_running(self.norm(step, residual, after), &out)
    }
}

/// The pass in evaluation mode: images `[N, 1, 28, 28]` to logits `[K, 10, N]`.
///
/// # Errors
/// The operations'.
pub(crate) fn evaluate(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    images: &Tensor,
) -> Result<Tensor, TchError> {
    let weights = &networks.weights().f_detach()?;
    let pass = Pass {
        by,
        layers,
        networks,
        weights,
    };
    let count = images.size()[0];
    let stem = stem(layers, weights, &windows(images)?, count)?;
    let mut x = by.normalise_by_running(pass.stem_norm(), &stem)?;

    // Nothing is kept here: each block's maps are freed when the next one has its own.
    for block in &layers.blocks {
        let [first, second] = &block.steps;
        let downsample = block
            .downsample
            .as_ref()
            .map(|step| pass.evaluated_step(step, &x, None, After::Nothing))
            .transpose()?;
        let inner = pass.evaluated_step(first, &x, None, After::Relu)?;
        let residual = downsample.as_ref().unwrap_or(&x);
        x = pass.evaluated_step(second, &inner, Some(residual), After::Relu)?;
    }

    let features = x.f_view([networks.models(), -1, count])?;
    last_layer(layers, weights, &features, None)
}
