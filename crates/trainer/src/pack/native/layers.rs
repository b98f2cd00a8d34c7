//! The layers of a pack, by their weights' places in a row: 3x3 convolutions are steps of
//! `Operations`, all others plain products over channels. The passes go through them.

use tch::{TchError, Tensor};

use super::operations::{Channels, Operations, Square};
use crate::pack::convolution::Convolution;
use crate::pack::layout::Layout;
use crate::pack::network::{Block, Norm, Plan};

/// A convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conv {
    /// 3x3, on maps of more than one pixel.
    Square(Square),
    /// 1x1 on every other pixel of every other row.
    Every {
        /// Its weight, `[out, in]`.
        weight: Matrix,
        /// Side of the maps that go in, in pixels.
        side: i64,
    },
    /// 3x3, where the live taps cover all of the map and give one pixel.
    Whole {
        /// Its weight, `[out, in pixels]`.
        weight: Matrix,
        /// Pixels of the maps that go in.
        pixels: i64,
    },
}

/// A weight that is one matrix for each model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    offset: i64,
    rows: i64,
    columns: i64,
}

/// A convolution and the batch norm that follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The convolution.
    pub conv: Conv,
    /// The norm.
    pub norm: Channels,
    /// Place of the norm's running mean among the statistics; the variance follows it.
    pub running: usize,
}

/// A residual block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Residual {
    /// Its convolutions.
    pub steps: [Step; 2],
    /// The convolution on its shortcut.
    pub downsample: Option<Step>,
}

/// All layers of the network.
#[derive(Debug)]
pub(crate) struct Layers {
    /// conv1 as a matrix `[64, 49]`.
    pub stem: Matrix,
    /// The norm of conv1.
    pub stem_norm: Channels,
    /// Place of that norm's running mean among the statistics.
    pub stem_running: usize,
    /// The residual blocks.
    pub blocks: Vec<Residual>,
    /// The last layer's weight `[10, 512]`.
    pub fc_weight: Matrix,
    /// The last layer's bias `[10, 1]`.
    pub fc_bias: Matrix,
}

impl Layers {
    /// The layers of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let layout = &plan.layout;
        let [fc_weight, fc_bias] = plan.fc.map(|place| Matrix::of(layout, place));
        let mut blocks = Vec::with_capacity(plan.blocks.len());
        // Side of the maps after conv1 and the pool.
        let mut side = 7;
        for block in &plan.blocks {
            blocks.push(Residual::of(layout, block, side));
            side = side_after(side, &block.steps[0].conv);
        }

        Self {
            blocks,
            stem: Matrix::of(layout, plan.stem.weight),
            stem_norm: Channels::of(layout, &plan.stem.norm),
            stem_running: plan.stem.norm.statistics,
            fc_weight,
            fc_bias,
        }
    }
}

/// Side of the maps that a convolution gives for maps of that side.
fn side_after(side: i64, conv: &Convolution) -> i64 {
    (side + conv.stride - 1) / conv.stride
}

impl Residual {
    /// The block for maps of that side.
    fn of(layout: &Layout, block: &Block, side: i64) -> Self {
        let [first, second] = &block.steps;
        let inner_side = side_after(side, &first.conv);
        Self {
            steps: [
                Step::of(layout, first, side),
                Step::of(layout, second, inner_side),
            ],
            downsample: block
                .downsample
                .as_ref()
                .map(|downsample| Step::of(layout, downsample, side)),
        }
    }
}

impl Step {
    fn of(layout: &Layout, step: &crate::pack::network::Step, side: i64) -> Self {
        Self {
            conv: Conv::of(layout, &step.conv, side),
            norm: Channels::of(layout, &step.norm),
            running: step.norm.statistics,
        }
    }
}

impl Channels {
    fn of(layout: &Layout, norm: &Norm) -> Self {
        Self {
            weight: layout.offset(norm.weight),
            bias: layout.offset(norm.bias),
            count: layout.shape(norm.weight)[0],
        }
    }
}

impl Matrix {
    /// The weight at that place: its first axis against all others.
    fn of(layout: &Layout, place: usize) -> Self {
        let shape = layout.shape(place);
        Self {
            offset: layout.offset(place),
            rows: shape[0],
            columns: shape[1..].iter().product(),
        }
    }

    /// Its part of rows as a view `[K, rows, columns]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn view(self, rows: &Tensor) -> Result<Tensor, TchError> {
        let part = rows.f_narrow(1, self.offset, self.rows * self.columns)?;
        part.f_view([rows.size()[0], self.rows, self.columns])
    }

    /// Its part of rows for that many models: one row stands for all.
    fn expanded(self, rows: &Tensor, models: i64) -> Result<Tensor, TchError> {
        self.view(rows)?
            .f_expand([models, self.rows, self.columns], false)
    }

    /// W x: `[K, columns, M]` to `[K, rows, M]`, added to `onto` if that is given.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn product(
        self,
        rows: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        product(&self.expanded(rows, x.size()[0])?, x, onto)
    }

    /// Wᵀ y: `[K, rows, M]` to `[K, columns, M]`, added to `onto` if that is given.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn back(
        self,
        rows: &Tensor,
        y: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let weights = self.expanded(rows, y.size()[0])?;
        product(&weights.f_transpose(1, 2)?, y, onto)
    }

    /// Writes the gradient y xᵀ into its place, or adds it.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn gradient(
        self,
        x: &Tensor,
        y: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        self.put(&y.f_bmm(&x.f_transpose(1, 2)?)?, rows, add)
    }

    /// Writes values of its shape into its place, or adds them.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn put(self, values: &Tensor, rows: &Tensor, add: bool) -> Result<(), TchError> {
        put(self.view(rows)?, values, add)
    }
}

/// Writes values into a view, or adds them.
///
/// # Errors
/// libtorch's.
pub(super) fn put(mut view: Tensor, values: &Tensor, add: bool) -> Result<(), TchError> {
    if add {
        view.f_add_(values).map(drop)
    } else {
        view.f_copy_(values)
    }
}

fn product(left: &Tensor, right: &Tensor, onto: Option<Tensor>) -> Result<Tensor, TchError> {
    match onto {
        Some(mut onto) => onto.f_baddbmm_(left, right),
        None => left.f_bmm(right),
    }
}

/// Every other pixel of every other row of maps: `[K, C, S S, N]` to a view `[K, C, S', S', N]`.
fn every_other(x: &Tensor, side: i64) -> Result<Tensor, TchError> {
    let size = x.size();
    x.f_view([size[0], size[1], side, side, size[3]])?
        .f_slice(2, 0, None, 2)?
        .f_slice(3, 0, None, 2)
}

impl Conv {
    /// The convolution for maps of that side.
    fn of(layout: &Layout, conv: &Convolution, side: i64) -> Self {
        let weight = Matrix::of(layout, conv.weight);
        // The shape tells the kind: only 3x3 kernels that are cut to their live taps have three
        // axes.
        match *layout.shape(conv.weight) {
            [output, input, 3, 3] => Self::Square(Square {
                offset: weight.offset,
                output,
                input,
                side,
                stride: conv.stride,
            }),
            [_, _, 1, 1] => Self::Every { weight, side },
            ref shape => Self::Whole {
                weight,
                pixels: shape[2..].iter().product(),
            },
        }
    }

    /// The convolution of maps `[K, C, S S, N]`, added to `onto` if that is given.
    ///
    /// # Errors
    /// The operations'.
    pub(crate) fn forward(
        self,
        by: &dyn Operations,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        match self {
            Self::Square(conv) => by.convolve(conv, weights, x, onto),
            Self::Every { weight, .. } | Self::Whole { weight, .. } => {
                let models = x.size()[0];
                let images = x.size()[3];
                // Pixels and images are one axis of the product.
                let onto = onto
                    .map(|onto| onto.f_view([models, weight.rows, -1]))
                    .transpose()?;
                weight.product(weights, &self.columns(x)?, onto)?.f_view([
                    models,
                    weight.rows,
                    -1,
                    images,
                ])
            }
        }
    }

    /// The operand of a product over channels, `[K, columns, M]`.
    fn columns(self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        match self {
            Self::Every { side, .. } => every_other(x, side)?.f_reshape([size[0], size[1], -1]),
            Self::Square(_) | Self::Whole { .. } => x.f_view([size[0], -1, size[3]]),
        }
    }

    /// The gradient by the input, from the `gradient` by the output; added to `onto` if that is
    /// given.
    ///
    /// # Errors
    /// The operations'.
    pub(crate) fn back(
        self,
        by: &dyn Operations,
        weights: &Tensor,
        gradient: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let models = gradient.size()[0];
        let images = gradient.size()[3];
        match self {
            Self::Square(conv) => by.convolve_back(conv, weights, gradient, onto),
            Self::Every { weight, side } => {
                let onto = match onto {
                    Some(onto) => onto,
                    None => {
                        let size = [models, weight.columns, side * side, images];
                        Tensor::f_zeros(size, (gradient.f_kind()?, gradient.device()))?
                    }
                };
                // Only the pixels that the convolution has seen have a gradient.
                let mut seen = every_other(&onto, side)?;
                let gradient = gradient.f_view([models, weight.rows, -1])?;
                let own = weight.back(weights, &gradient, None)?;
                let _ = seen.f_add_(&own.f_view(seen.size().as_slice())?)?;
                Ok(onto)
            }
            Self::Whole { weight, pixels } => {
                let onto = onto
                    .map(|onto| onto.f_view([models, weight.columns, images]))
                    .transpose()?;
                let gradient = gradient.f_view([models, weight.rows, images])?;
                weight.back(weights, &gradient, onto)?.f_view([
                    models,
                    weight.columns / pixels,
                    pixels,
                    images,
                ])
            }
        }
    }

    /// Writes the gradient by the weight into its place, or adds it.
    ///
    /// # Errors
    /// The operations'.
    pub(crate) fn gradient(
        self,
        by: &dyn Operations,
        x: &Tensor,
        gradient: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        match self {
            Self::Square(conv) => by.convolve_gradient(conv, x, gradient, rows, add),
            Self::Every { weight, .. } | Self::Whole { weight, .. } => {
                let gradient = gradient.f_view([gradient.size()[0], weight.rows, -1])?;
                weight.gradient(&self.columns(x)?, &gradient, rows, add)
            }
        }
    }
}
