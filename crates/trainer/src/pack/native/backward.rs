//! The pass backwards: the gradient of the sum over the models of each one's mean cross entropy.

use tch::{Kind, TchError, Tensor};

use super::forward::{BlockTape, Tape};
use super::layers::{Layers, Residual};
use super::operations::{Channels, NormBack, NormGradient, Normed, Operations};
use crate::pack::network::Networks;

/// The gradients at the norms of a residual block.
pub(super) struct BlockGradients {
    pub norms: [NormGradient; 2],
    pub downsample: Option<NormGradient>,
}

/// What the pass keeps for the product with the Hessian.
pub(crate) struct Trail {
    /// The classes' probabilities, `[K, 10, N]`.
    pub probabilities: Tensor,
    /// The gradient by the logits.
    pub logits: Tensor,
    /// In the order of the blocks.
    pub(super) blocks: Vec<BlockGradients>,
    pub stem: NormGradient,
}

/// What all steps of the pass use.
struct Pass<'a> {
    by: &'a dyn Operations,
    weights: &'a Tensor,
    /// The gradient, row by row.
    rows: &'a Tensor,
}

/// The gradient `[K, P]` for a batch with labels `[N]`.
///
/// # Errors
/// The operations'.
pub(crate) fn gradient(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    tape: &Tape,
    labels: &Tensor,
) -> Result<(Tensor, Trail), TchError> {
    let weights = &networks.weights().f_detach()?;
    let rows = weights.f_empty_like()?;
    let pass = Pass {
        by,
        weights,
        rows: &rows,
    };

    // Softmax and cross entropy: (p - onehot(label)) / N.
    let probabilities = tape.logits.f_softmax(1, None)?;
    let hits = labels
        .f_one_hot(10)?
        .f_transpose(0, 1)?
        .f_to_kind(probabilities.f_kind()?)?;
    let logits = probabilities
        .f_sub(&hits)?
        .f_div_scalar(labels.size()[0] as f64)?;
    last_layer_gradient(layers, &tape.features, &logits, &rows)?;

    let features = layers.fc_weight.back(weights, &logits, None)?;
    let mut gradient = features.f_view(tape.last_maps().size().as_slice())?;
    let mut blocks = Vec::with_capacity(layers.blocks.len());
    for (block, kept) in layers.blocks.iter().zip(&tape.blocks).rev() {
        let (input, gradients) = pass.block(block, kept, gradient)?;
        gradient = input;
        blocks.push(gradients);
    }
    blocks.reverse();

    let (stem, _) = pass.norm(layers.stem_norm, &tape.stem, gradient, false)?;
    stem_gradient(layers, &tape.windows, &stem.input, &rows)?;
    let trail = Trail {
        probabilities,
        logits,
        blocks,
        stem,
    };
    Ok((rows, trail))
}

impl Pass<'_> {
    /// A batch norm. With `residual`, returns the gradient of what was added to it as well.
    fn norm(
        &self,
        at: Channels,
        normed: &Normed,
        output: Tensor,
        residual: bool,
    ) -> Result<(NormGradient, Option<Tensor>), TchError> {
        let norm = NormBack {
            at,
            weights: self.weights,
            normed,
            rows: self.rows,
            residual,
        };
        self.by.normalise_back(norm, output)
    }

    /// A residual block: the gradient by its input, and those at its norms.
    fn block(
        &self,
        block: &Residual,
        kept: &BlockTape,
        output: Tensor,
    ) -> Result<(Tensor, BlockGradients), TchError> {
        let Self { by, weights, rows } = *self;
        let [first, second] = &block.steps;
        let [inner_norm, outer_norm] = &kept.norms;

        // The second convolution and its norm, whose residual is the shortcut.
        let (outer, shortcut) = self.norm(second.norm, outer_norm, output, true)?;
        second
            .conv
            .gradient(by, &inner_norm.y, &outer.input, rows, false)?;
        let inner = second.conv.back(by, weights, &outer.input, None)?;

        // The first convolution and its norm.
        let (inner, _) = self.norm(first.norm, inner_norm, inner, false)?;
        first
            .conv
            .gradient(by, &kept.x, &inner.input, rows, false)?;
        let shortcut =
            shortcut.ok_or_else(|| TchError::Shape("a residual without a gradient".to_owned()))?;

        // The gradient by the input is the sum of what comes through the block and the shortcut.
        let input;
        let mut downsample = None;
        if let (Some(step), Some(normed)) = (&block.downsample, &kept.downsample) {
            let (own, _) = self.norm(step.norm, normed, shortcut, false)?;
            step.conv.gradient(by, &kept.x, &own.input, rows, false)?;
            let through = first.conv.back(by, weights, &inner.input, None)?;
            input = step.conv.back(by, weights, &own.input, Some(through))?;
            downsample = Some(own);
        } else {
            input = first.conv.back(by, weights, &inner.input, Some(shortcut))?;
        }
        let gradients = BlockGradients {
            norms: [inner, outer],
            downsample,
        };
        Ok((input, gradients))
    }
}

/// Writes the gradients of the last layer's weight and bias into their places.
fn last_layer_gradient(
    layers: &Layers,
    features: &Tensor,
    logits: &Tensor,
    rows: &Tensor,
) -> Result<(), TchError> {
    layers.fc_weight.gradient(features, logits, rows, false)?;
    let sum = logits.f_sum_dim_intlist([2].as_slice(), true, None::<Kind>)?;
    layers.fc_bias.put(&sum, rows, false)
}

/// Writes the gradient of conv1's weight into its place.
pub(super) fn stem_gradient(
    layers: &Layers,
    windows: &Tensor,
    gradient: &Tensor,
    rows: &Tensor,
) -> Result<(), TchError> {
    let models = gradient.size()[0];
    let own = gradient
        .f_view([models * 64, -1])?
        .f_mm(&windows.f_transpose(0, 1)?)?;
    layers.stem.put(&own.f_view([models, 64, 49])?, rows, false)
}
