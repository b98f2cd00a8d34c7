//! The Hessian's product with a direction: the derivative of both passes along it (Pearlmutter,
//! "Fast exact multiplication by the Hessian", 1994). All models of a pack take the same direction,
//! and no model sees another, so that one product serves all.

use tch::{TchError, Tensor};

use super::backward::{Trail, stem_gradient};
use super::forward::{Tape, last, stem};
use super::layers::{Layers, Step};
use super::operations::{Normed, Operations, Slopes, Tangent};
use crate::pack::network::Networks;

/// A block's derivatives.
struct BlockTangents {
    dx: Tensor,
    norms: [Tangent; 2],
    down: Option<Tangent>,
}

/// What all steps use.
struct Along<'a> {
    by: &'a dyn Operations,
    weights: &'a Tensor,
    /// The direction, `[1, P]`.
    signs: &'a Tensor,
    /// The product, row by row.
    rows: &'a Tensor,
}

/// H z, `[K, P]`, of the loss that `gradient` differentiated, for signs z, `[1, P]`.
///
/// # Errors
/// The operations'.
pub fn hessian_product(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    (tape, trail): (&Tape, &Trail),
    signs: &Tensor,
) -> Result<Tensor, TchError> {
    let weights = &networks.weights().f_detach()?;
    let (models, images) = (networks.models(), tape.windows.size()[1] / (14 * 14));
    let along = Along {
        by,
        weights,
        signs,
        rows: &weights.f_empty_like()?,
    };

    // Forwards.
    let dx = stem(
        layers,
        &signs.f_expand([models, -1], false)?,
        &tape.windows,
        images,
    )?;
    let at_stem = by.tangent(layers.stem_norm, [weights, signs], &tape.stem, dx, None)?;
    let mut blocks: Vec<BlockTangents> = Vec::new();
    for (block, went) in layers.blocks.iter().zip(&tape.blocks) {
        let dx = blocks
            .last()
            .map_or(&at_stem.dy, |block| &block.norms[1].dy)
            .shallow_clone();
        let [first, second] = &block.steps;
        let down = match (&block.down, &went.down) {
            (Some(down), Some(normed)) => Some(along.forward(down, &went.x, &dx, normed, None)?),
            _ => None,
        };
        let inner = along.forward(first, &went.x, &dx, &went.norms[0], None)?;
        let residual = down.as_ref().map_or(&dx, |down| &down.dy);
        let outer = along.forward(
            second,
            &went.norms[0].y,
            &inner.dy,
            &went.norms[1],
            Some(residual),
        )?;
        blocks.push(BlockTangents {
            dx,
            norms: [inner, outer],
            down,
        });
    }
    let dfeatures = blocks
        .last()
        .map_or(&at_stem.dy, |block| &block.norms[1].dy)
        .f_view(tape.features.size().as_slice())?;
    let [weight, bias] = layers.fc;
    let dlogits = weight.product(
        weights,
        &dfeatures,
        Some(last(layers, signs, &tape.features, None)?),
    )?;

    // Backwards: softmax's p (dl - sum p dl) / N first.
    let p = &trail.probabilities;
    let mean = p
        .f_mul(&dlogits)?
        .f_sum_dim_intlist([1].as_slice(), true, None)?;
    let dlogits = dlogits
        .f_sub(&mean)?
        .f_mul_(p)?
        .f_div_scalar(images as f64)?;
    weight.gradient(&tape.features, &dlogits, along.rows, false)?;
    weight.gradient(&dfeatures, &trail.logits, along.rows, true)?;
    bias.put(
        &dlogits.f_sum_dim_intlist([2].as_slice(), true, None)?,
        along.rows,
        false,
    )?;
    let out = weight.back(
        signs,
        &trail.logits,
        Some(weight.back(weights, &dlogits, None)?),
    )?;
    let mut darrived = out.f_view(
        tape.blocks
            .last()
            .map_or(&tape.stem.y, |block| block.out())
            .size()
            .as_slice(),
    )?;
    for (((block, went), came), moved) in layers
        .blocks
        .iter()
        .zip(&tape.blocks)
        .zip(&trail.blocks)
        .zip(&blocks)
        .rev()
    {
        let [first, second] = &block.steps;
        let (outer, through) = along.norm(
            second,
            (&went.norms[1], &moved.norms[1]),
            (&came.norms[1], &darrived),
            true,
        )?;
        along.gradient(
            second,
            (&went.norms[0].y, &moved.norms[0].dy),
            (&came.norms[1].dx, &outer),
        )?;
        let inside = along.back(second, (&came.norms[1].dx, &outer), None)?;
        let (inner, _) = along.norm(
            first,
            (&went.norms[0], &moved.norms[0]),
            (&came.norms[0], &inside),
            false,
        )?;
        along.gradient(first, (&went.x, &moved.dx), (&came.norms[0].dx, &inner))?;
        let through =
            through.ok_or_else(|| TchError::Shape("a residual without a derivative".to_owned()))?;
        darrived = match (&block.down, &went.down, &came.down, &moved.down) {
            (Some(down), Some(normed), Some(slopes), Some(tangent)) => {
                let (own, _) = along.norm(down, (normed, tangent), (slopes, &through), false)?;
                along.gradient(down, (&went.x, &moved.dx), (&slopes.dx, &own))?;
                let inside = along.back(first, (&came.norms[0].dx, &inner), None)?;
                along.back(down, (&slopes.dx, &own), Some(inside))?
            }
            _ => along.back(first, (&came.norms[0].dx, &inner), Some(through))?,
        };
    }
    let both = [weights, signs];
    let slopes = (&trail.stem, &darrived);
    let (dstem, _) = by.tangent_back(
        layers.stem_norm,
        both,
        (&tape.stem, &at_stem),
        slopes,
        along.rows,
        false,
    )?;
    // The images do not change with the weights.
    stem_gradient(layers, &tape.windows, &dstem, along.rows)?;
    Ok(along.rows.shallow_clone())
}

impl Along<'_> {
    /// A convolution and its norm: d(w x) = w dx + dw x.
    fn forward(
        &self,
        step: &Step,
        x: &Tensor,
        dx: &Tensor,
        normed: &Normed,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError> {
        let own = step.conv.forward(self.by, self.weights, dx, None)?;
        let own = step.conv.forward(self.by, self.signs, x, Some(own))?;
        self.by.tangent(
            step.norm,
            [self.weights, self.signs],
            normed,
            own,
            dresidual,
        )
    }

    fn norm(
        &self,
        step: &Step,
        went: (&Normed, &Tangent),
        slopes: (&Slopes, &Tensor),
        residual: bool,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        self.by.tangent_back(
            step.norm,
            [self.weights, self.signs],
            went,
            slopes,
            self.rows,
            residual,
        )
    }

    /// The weight's: d(g x) = dg x + g dx.
    fn gradient(
        &self,
        step: &Step,
        (x, dx): (&Tensor, &Tensor),
        (slopes, dslopes): (&Tensor, &Tensor),
    ) -> Result<(), TchError> {
        step.conv.gradient(self.by, x, dslopes, self.rows, false)?;
        step.conv.gradient(self.by, dx, slopes, self.rows, true)
    }

    /// The input's: d(wᵀ g) = wᵀ dg + dwᵀ g.
    fn back(
        &self,
        step: &Step,
        (slopes, dslopes): (&Tensor, &Tensor),
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let own = step.conv.back(self.by, self.weights, dslopes, onto)?;
        step.conv.back(self.by, self.signs, slopes, Some(own))
    }
}
