//! The pass backwards: the gradient of the sum over the models of each one's mean cross entropy.

use tch::{Kind, TchError, Tensor};

use super::forward::Tape;
use super::layers::Layers;
use super::operations::{Operations, Slopes};
use crate::pack::network::Networks;

/// What reached the layers of a block on the way back.
pub(super) struct BlockSlopes {
    pub norms: [Slopes; 2],
    pub down: Option<Slopes>,
}

/// All that the pass left behind, for the Hessian's product.
pub struct Trail {
    /// The classes' probabilities, `[K, 10, N]`.
    pub(super) probabilities: Tensor,
    /// At the logits.
    pub(super) logits: Tensor,
    /// In the order of the blocks.
    pub(super) blocks: Vec<BlockSlopes>,
    pub(super) stem: Slopes,
}

/// The gradient `[K, P]` of a batch whose labels, `[N]`, are given.
///
/// # Errors
/// The operations'.
pub fn gradient(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    tape: &Tape,
    labels: &Tensor,
) -> Result<(Tensor, Trail), TchError> {
    let weights = &networks.weights().f_detach()?;
    let rows = &weights.f_empty_like()?;
    let probabilities = tape.logits.f_softmax(1, None)?;
    let hits = labels
        .f_one_hot(10)?
        .f_transpose(0, 1)?
        .f_to_kind(probabilities.f_kind()?)?;
    let logits = probabilities
        .f_sub(&hits)?
        .f_div_scalar(labels.size()[0] as f64)?;
    let slopes = last(layers, rows, &tape.features, &logits)?;
    let out = layers.fc[0].back(weights, &slopes, None)?;
    let mut arrived = out.f_view(
        tape.blocks
            .last()
            .map_or(&tape.stem.y, |block| block.out())
            .size()
            .as_slice(),
    )?;
    let mut blocks = Vec::new();
    for (block, went) in layers.blocks.iter().zip(&tape.blocks).rev() {
        let [first, second] = &block.steps;
        let (outer, through) =
            by.normalise_back(second.norm, weights, &went.norms[1], arrived, rows, true)?;
        second
            .conv
            .gradient(by, &went.norms[0].y, &outer.dx, rows, false)?;
        let inside = second.conv.back(by, weights, &outer.dx, None)?;
        let (inner, _) =
            by.normalise_back(first.norm, weights, &went.norms[0], inside, rows, false)?;
        first.conv.gradient(by, &went.x, &inner.dx, rows, false)?;
        let through =
            through.ok_or_else(|| TchError::Shape("a residual without a gradient".to_owned()))?;
        let down = match (&block.down, &went.down) {
            (Some(down), Some(normed)) => {
                let (slopes, _) =
                    by.normalise_back(down.norm, weights, normed, through, rows, false)?;
                down.conv.gradient(by, &went.x, &slopes.dx, rows, false)?;
                arrived = first.conv.back(by, weights, &inner.dx, None)?;
                arrived = down.conv.back(by, weights, &slopes.dx, Some(arrived))?;
                Some(slopes)
            }
            _ => {
                arrived = first.conv.back(by, weights, &inner.dx, Some(through))?;
                None
            }
        };
        blocks.push(BlockSlopes {
            norms: [inner, outer],
            down,
        });
    }
    blocks.reverse();
    let (stem, _) =
        by.normalise_back(layers.stem_norm, weights, &tape.stem, arrived, rows, false)?;
    stem_gradient(layers, &tape.windows, &stem.dx, rows)?;
    Ok((
        rows.shallow_clone(),
        Trail {
            probabilities,
            logits: slopes,
            blocks,
            stem,
        },
    ))
}

/// Puts the last layer's gradients into their places. Gives the slopes at the logits.
fn last(
    layers: &Layers,
    rows: &Tensor,
    features: &Tensor,
    slopes: &Tensor,
) -> Result<Tensor, TchError> {
    let [weight, bias] = layers.fc;
    weight.gradient(features, slopes, rows, false)?;
    bias.put(
        &slopes.f_sum_dim_intlist([2].as_slice(), true, None::<Kind>)?,
        rows,
        false,
    )?;
    Ok(slopes.shallow_clone())
}

/// Puts conv1's gradient into its place.
pub(super) fn stem_gradient(
    layers: &Layers,
    windows: &Tensor,
    slopes: &Tensor,
    rows: &Tensor,
) -> Result<(), TchError> {
    let models = slopes.size()[0];
    let own = slopes
        .f_view([models * 64, -1])?
        .f_mm(&windows.f_transpose(0, 1)?)?;
    layers.stem.put(&own.f_view([models, 64, 49])?, rows, false)
}
