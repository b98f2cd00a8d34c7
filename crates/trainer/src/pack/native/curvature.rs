//! The Hessian's product with a direction: the derivative of both passes along it (Pearlmutter,
//! "Fast exact multiplication by the Hessian", 1994). All models of a pack take the same direction,
//! and no model sees another, so that one product serves all.

use tch::{TchError, Tensor};

use super::backward::{BlockGradients, Trail, stem_gradient};
use super::forward::{BlockTape, Tape, last_layer, stem};
use super::layers::{Layers, Residual, Step};
use super::operations::{
    Channels, Direction, NormGradient, Normed, Operations, Tangent, TangentBack,
};
use crate::pack::network::Networks;

/// What the two passes on a batch have kept.
pub(crate) struct Passed {
    /// Of the pass forwards.
    pub tape: Tape,
    /// Of the pass backwards.
    pub trail: Trail,
}

/// The derivatives of a residual block's pass forwards.
struct BlockTangents {
    dx: Tensor,
    norms: [Tangent; 2],
    downsample: Option<Tangent>,
}

/// A value of one of the passes, and its derivative.
#[derive(Clone, Copy)]
struct Dual<'a> {
    value: &'a Tensor,
    derivative: &'a Tensor,
}

/// A norm in both passes, and the derivative of the pass forwards.
#[derive(Clone, Copy)]
struct NormRecord<'a> {
    normed: &'a Normed,
    tangent: &'a Tangent,
    gradient: &'a NormGradient,
}

/// What all steps of the product use.
struct Along<'a> {
    by: &'a dyn Operations,
    direction: Direction<'a>,
    /// The product, row by row.
    rows: &'a Tensor,
}

/// The product H z, `[K, P]`, with the Hessian of the loss that `gradient` differentiated, for
/// signs z, `[1, P]`.
///
/// # Errors
/// The operations'.
pub(crate) fn hessian_product(
    by: &dyn Operations,
    layers: &Layers,
    networks: &Networks,
    passed: &Passed,
    signs: &Tensor,
) -> Result<Tensor, TchError> {
    let Passed { tape, trail } = passed;
    let weights = &networks.weights().f_detach()?;
    let rows = weights.f_empty_like()?;
    let along = Along {
        by,
        direction: Direction { weights, signs },
        rows: &rows,
    };
    let models = networks.models();
    // A window for each of the 14 x 14 pixels that conv1 gives.
    let images = tape.windows.size()[1] / (14 * 14);

    // The pass forwards.
    let signs_of_all = signs.f_expand([models, -1], false)?;
    let dx = stem(layers, &signs_of_all, &tape.windows, images)?;
    let stem_tangent = by.tangent(layers.stem_norm, along.direction, &tape.stem, dx, None)?;
    let mut blocks: Vec<BlockTangents> = Vec::with_capacity(layers.blocks.len());
    for (block, kept) in layers.blocks.iter().zip(&tape.blocks) {
        let dx = last_derivative(&stem_tangent, &blocks).shallow_clone();
        blocks.push(along.block(block, kept, dx)?);
    }
    let dfeatures =
        last_derivative(&stem_tangent, &blocks).f_view(tape.features.size().as_slice())?;
    let own = last_layer(layers, signs, &tape.features, None)?;
    let dlogits = layers.fc_weight.product(weights, &dfeatures, Some(own))?;

    // The pass backwards: softmax's p ∘ (dl - Σ p ∘ dl) / N first.
    let probabilities = &trail.probabilities;
    let mean = probabilities
        .f_mul(&dlogits)?
        .f_sum_dim_intlist([1].as_slice(), true, None)?;
    let dlogits = dlogits
        .f_sub(&mean)?
        .f_mul_(probabilities)?
        .f_div_scalar(images as f64)?;
    let features = Dual {
        value: &tape.features,
        derivative: &dfeatures,
    };
    let logits = Dual {
        value: &trail.logits,
        derivative: &dlogits,
    };
    let dfeatures = along.last_layer_back(layers, features, logits)?;

    let mut dgradient = dfeatures.f_view(tape.last_maps().size().as_slice())?;
    for (index, block) in layers.blocks.iter().enumerate().rev() {
        let record = BlockRecord {
            tape: &tape.blocks[index],
            gradients: &trail.blocks[index],
            tangents: &blocks[index],
        };
        dgradient = along.block_back(block, record, &dgradient)?;
    }
    let record = NormRecord {
        normed: &tape.stem,
        tangent: &stem_tangent,
        gradient: &trail.stem,
    };
    let norm = along.norm_back_call(layers.stem_norm, record, false);
    let (dstem, _) = by.tangent_back(norm, &dgradient)?;
    // The images do not change with the weights.
    stem_gradient(layers, &tape.windows, &dstem, &rows)?;
    Ok(rows)
}

/// The derivative of what comes out of the last of these blocks, or out of the stem.
fn last_derivative<'a>(stem: &'a Tangent, blocks: &'a [BlockTangents]) -> &'a Tensor {
    blocks.last().map_or(&stem.dy, |block| &block.norms[1].dy)
}

/// A residual block in both passes, and the derivatives of its pass forwards.
#[derive(Clone, Copy)]
struct BlockRecord<'a> {
    tape: &'a BlockTape,
    gradients: &'a BlockGradients,
    tangents: &'a BlockTangents,
}

impl<'a> BlockRecord<'a> {
    /// The norm at that place in the block.
    fn norm(self, place: usize) -> NormRecord<'a> {
        NormRecord {
            normed: &self.tape.norms[place],
            tangent: &self.tangents.norms[place],
            gradient: &self.gradients.norms[place],
        }
    }

    /// The norm on the shortcut, if there is one.
    fn downsample(self) -> Option<NormRecord<'a>> {
        Some(NormRecord {
            normed: self.tape.downsample.as_ref()?,
            tangent: self.tangents.downsample.as_ref()?,
            gradient: self.gradients.downsample.as_ref()?,
        })
    }

    /// The input of the block.
    fn input(self) -> Dual<'a> {
        Dual {
            value: &self.tape.x,
            derivative: &self.tangents.dx,
        }
    }

    /// The input of the second convolution.
    fn inner(self) -> Dual<'a> {
        Dual {
            value: &self.tape.norms[0].y,
            derivative: &self.tangents.norms[0].dy,
        }
    }
}

impl<'a> Along<'a> {
    /// The derivative of a block's pass forwards, from that of its input.
    fn block(
        &self,
        block: &Residual,
        kept: &BlockTape,
        dx: Tensor,
    ) -> Result<BlockTangents, TchError> {
        let [first, second] = &block.steps;
        let [inner_norm, outer_norm] = &kept.norms;
        let input = Dual {
            value: &kept.x,
            derivative: &dx,
        };

        // The shortcut first: its derivative is added in the second norm.
        let downsample = match (&block.downsample, &kept.downsample) {
            (Some(step), Some(normed)) => Some(self.forward(step, input, normed, None)?),
            _ => None,
        };
        let inner = self.forward(first, input, inner_norm, None)?;
        let residual = downsample.as_ref().map_or(&dx, |downsample| &downsample.dy);
        let inner_output = Dual {
            value: &inner_norm.y,
            derivative: &inner.dy,
        };
        let outer = self.forward(second, inner_output, outer_norm, Some(residual))?;
        Ok(BlockTangents {
            dx,
            norms: [inner, outer],
            downsample,
        })
    }

    /// A convolution and its norm: d(w x) = w dx + dw x.
    fn forward(
        &self,
        step: &Step,
        x: Dual<'_>,
        normed: &Normed,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError> {
        let Direction { weights, signs } = self.direction;
        let dx = step.conv.forward(self.by, weights, x.derivative, None)?;
        let dx = step.conv.forward(self.by, signs, x.value, Some(dx))?;
        self.by
            .tangent(step.norm, self.direction, normed, dx, dresidual)
    }

    /// The derivative of the last layer's pass backwards: writes those of its gradients into their
    /// places, and returns that of the gradient by the features.
    fn last_layer_back(
        &self,
        layers: &Layers,
        features: Dual<'_>,
        logits: Dual<'_>,
    ) -> Result<Tensor, TchError> {
        let Direction { weights, signs } = self.direction;
        let weight = layers.fc_weight;
        weight.gradient(features.value, logits.derivative, self.rows, false)?;
        weight.gradient(features.derivative, logits.value, self.rows, true)?;
        let sum = logits
            .derivative
            .f_sum_dim_intlist([2].as_slice(), true, None)?;
        layers.fc_bias.put(&sum, self.rows, false)?;

        let own = weight.back(weights, logits.derivative, None)?;
        weight.back(signs, logits.value, Some(own))
    }

    /// The derivative of a block's pass backwards: from that of the gradient by its output to that
    /// of the gradient by its input.
    fn block_back(
        &self,
        block: &Residual,
        record: BlockRecord<'_>,
        doutput: &Tensor,
    ) -> Result<Tensor, TchError> {
        let [first, second] = &block.steps;

        // The second convolution and its norm, whose residual is the shortcut.
        let norm = self.norm_back_call(second.norm, record.norm(1), true);
        let (douter, shortcut) = self.by.tangent_back(norm, doutput)?;
        let outer = Dual {
            value: &record.gradients.norms[1].input,
            derivative: &douter,
        };
        self.gradient(second, record.inner(), outer)?;
        let dinner = self.back(second, outer, None)?;

        // The first convolution and its norm.
        let norm = self.norm_back_call(first.norm, record.norm(0), false);
        let (dinner, _) = self.by.tangent_back(norm, &dinner)?;
        let inner = Dual {
            value: &record.gradients.norms[0].input,
            derivative: &dinner,
        };
        self.gradient(first, record.input(), inner)?;
        let shortcut = shortcut
            .ok_or_else(|| TchError::Shape("a residual without a derivative".to_owned()))?;

        // Without a convolution on the shortcut, its part is added as it is.
        let (Some(step), Some(downsample)) = (&block.downsample, record.downsample()) else {
            return self.back(first, inner, Some(shortcut));
        };
        let norm = self.norm_back_call(step.norm, downsample, false);
        let (dshortcut, _) = self.by.tangent_back(norm, &shortcut)?;
        let own = Dual {
            value: &downsample.gradient.input,
            derivative: &dshortcut,
        };
        self.gradient(step, record.input(), own)?;
        let through = self.back(first, inner, None)?;
        self.back(step, own, Some(through))
    }

    /// A norm on the pass backwards.
    fn norm_back_call<'b>(
        &self,
        at: Channels,
        record: NormRecord<'b>,
        residual: bool,
    ) -> TangentBack<'b>
    where
        'a: 'b,
    {
        TangentBack {
            at,
            direction: self.direction,
            normed: record.normed,
            tangent: record.tangent,
            gradient: record.gradient,
            rows: self.rows,
            residual,
        }
    }

    /// A convolution's gradient by its weight: d(g x) = dg x + g dx.
    fn gradient(&self, step: &Step, x: Dual<'_>, gradient: Dual<'_>) -> Result<(), TchError> {
        step.conv
            .gradient(self.by, x.value, gradient.derivative, self.rows, false)?;
        step.conv
            .gradient(self.by, x.derivative, gradient.value, self.rows, true)
    }

    /// A convolution's gradient by its input: d(wᵀ g) = wᵀ dg + dwᵀ g.
    fn back(
        &self,
        step: &Step,
        gradient: Dual<'_>,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let Direction { weights, signs } = self.direction;
        let own = step
            .conv
            .back(self.by, weights, gradient.derivative, onto)?;
        step.conv.back(self.by, signs, gradient.value, Some(own))
    }
}
