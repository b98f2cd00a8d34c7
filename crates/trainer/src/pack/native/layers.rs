//! Layers of a pack by their weights' place in a row: which are `Operations`' own, and which are
//! plain products over channels, with their gradients. The passes go through them.

use tch::{TchError, Tensor};

use super::operations::{Channels, Operations, Square};
use crate::pack::layout::Layout;
use crate::pack::network::{Block, Norm, Plan};

/// A convolution.
#[derive(Clone, Copy, Debug)]
pub enum Conv {
    /// 3x3 on maps of more than a pixel.
    Square(Square),
    /// 1x1 on every other pixel of maps with that side.
    Every {
        /// Its weight, `[out, in]`.
        weight: Matrix,
        /// Pixels on a side of the maps that go in.
        side: i64,
    },
    /// 3x3 whose live taps take all of the map and give one pixel.
    Whole {
        /// Its weight, `[out, in pixels]`.
        weight: Matrix,
        /// Pixels of the maps that go in.
        pixels: i64,
    },
}

/// A weight that is one matrix a model.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    offset: i64,
    rows: i64,
    columns: i64,
}

/// A convolution and its batch norm, whose running statistics are at that place and the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The convolution.
    pub conv: Conv,
    /// The norm.
    pub norm: Channels,
    /// Of the running mean.
    pub running: usize,
}

/// A residual block.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// Its convolutions.
    pub steps: [Step; 2],
    /// That of its residual.
    pub down: Option<Step>,
}

/// The network.
#[derive(Debug)]
pub struct Layers {
    /// conv1 as a matrix `[64, 49]`.
    pub stem: Matrix,
    /// Its norm.
    pub stem_norm: Channels,
    /// Where that one's running mean is.
    pub stem_running: usize,
    /// The blocks.
    pub blocks: Vec<Residual>,
    /// The last layer's weight `[10, 512]` and bias `[10, 1]`.
    pub fc: [Matrix; 2],
}

impl Layers {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        let layout = &plan.layout;
        let mut side = 7;
        let block = |block: &Block| {
            let step =
                |(conv, norm): &(crate::pack::convolution::Convolution, Norm), side: i64| Step {
                    conv: Conv::of(layout, conv.weight, conv.stride, side),
                    norm: channels(layout, norm),
                    running: norm.statistics,
                };
            let [first, second] = &block.steps;
            let inside = (side + first.0.stride - 1) / first.0.stride;
            let own = Residual {
                steps: [step(first, side), step(second, inside)],
                down: block.downsample.as_ref().map(|down| step(down, side)),
            };
            side = inside;
            own
        };
        Self {
            blocks: plan.blocks.iter().map(block).collect(),
            stem: Matrix::of(layout, plan.stem.0),
            stem_norm: channels(layout, &plan.stem.1),
            stem_running: plan.stem.1.statistics,
            fc: plan.fc.map(|place| Matrix::of(layout, place)),
        }
    }
}

fn channels(layout: &Layout, norm: &Norm) -> Channels {
    Channels {
        weight: layout.offset(norm.weight),
        bias: layout.offset(norm.bias),
        count: layout.shape(norm.weight)[0],
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

    /// Its part of rows, `[K, rows, columns]`, as a view.
    ///
    /// # Errors
    /// libtorch's.
    pub fn view(self, rows: &Tensor) -> Result<Tensor, TchError> {
        let part = rows.f_narrow(1, self.offset, self.rows * self.columns)?;
        part.f_view([rows.size()[0], self.rows, self.columns])
    }

    /// Its part of rows for so many models: that of one row stands for all.
    fn expanded(self, rows: &Tensor, models: i64) -> Result<Tensor, TchError> {
        self.view(rows)?
            .f_expand([models, self.rows, self.columns], false)
    }

    /// W x, `[K, rows, M]` of `[K, columns, M]`, added to `onto` if that is given.
    ///
    /// # Errors
    /// libtorch's.
    pub fn product(
        self,
        rows: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        product(&self.expanded(rows, x.size()[0])?, x, onto)
    }

    /// Wᵀ y, `[K, columns, M]` of `[K, rows, M]`, added to `onto` if that is given.
    ///
    /// # Errors
    /// libtorch's.
    pub fn back(
        self,
        rows: &Tensor,
        slopes: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        product(
            &self.expanded(rows, slopes.size()[0])?.f_transpose(1, 2)?,
            slopes,
            onto,
        )
    }

    /// Puts y xᵀ into its place, or adds it.
    ///
    /// # Errors
    /// libtorch's.
    pub fn gradient(
        self,
        x: &Tensor,
        slopes: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        self.put(&slopes.f_bmm(&x.f_transpose(1, 2)?)?, rows, add)
    }

    /// Puts numbers of its shape into its place, or adds them.
    ///
    /// # Errors
    /// libtorch's.
    pub fn put(self, values: &Tensor, rows: &Tensor, add: bool) -> Result<(), TchError> {
        let mut own = self.view(rows)?;
        if add {
            own.f_add_(values).map(drop)
        } else {
            own.f_copy_(values)
        }
    }
}

fn product(left: &Tensor, right: &Tensor, onto: Option<Tensor>) -> Result<Tensor, TchError> {
    match onto {
        Some(mut onto) => onto.f_baddbmm_(left, right),
        None => left.f_bmm(right),
    }
}

/// Every other pixel of maps `[K, C, S S, N]`, as a view `[K, C, S', S', N]`.
fn every_other(x: &Tensor, side: i64) -> Result<Tensor, TchError> {
    let size = x.size();
    x.f_view([size[0], size[1], side, side, size[3]])?
        .f_slice(2, 0, None, 2)?
        .f_slice(3, 0, None, 2)
}

impl Conv {
    fn of(layout: &Layout, place: usize, stride: i64, side: i64) -> Self {
        let (offset, weight) = (layout.offset(place), Matrix::of(layout, place));
        match *layout.shape(place) {
            [output, input, 3, 3] => Self::Square(Square {
                offset,
                output,
                input,
                side,
                stride,
            }),
            [_, _, 1, 1] => Self::Every { weight, side },
            ref shape => Self::Whole {
                weight,
                pixels: shape[2..].iter().product(),
            },
        }
    }

    /// Maps `[K, C, S S, N]` to what comes out, added to `onto` if that is given.
    ///
    /// # Errors
    /// The operations'.
    pub fn forward(
        self,
        by: &dyn Operations,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let (models, images) = (x.size()[0], x.size()[3]);
        match self {
            Self::Square(conv) => by.convolve(conv, weights, x, onto),
            Self::Every { weight, .. } | Self::Whole { weight, .. } => {
                let flat = |onto: Tensor| onto.f_view([models, weight.rows, -1]);
                let out =
                    weight.product(weights, &self.columns(x)?, onto.map(flat).transpose()?)?;
                out.f_view([models, weight.rows, -1, images])
            }
        }
    }

    /// What a product over channels takes: `[K, columns, M]`.
    fn columns(self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        match self {
            Self::Every { side, .. } => every_other(x, side)?.f_reshape([size[0], size[1], -1]),
            Self::Square(_) | Self::Whole { .. } => x.f_view([size[0], -1, size[3]]),
        }
    }

    /// The gradient of the input, added to `onto` if that is given.
    ///
    /// # Errors
    /// The operations'.
    pub fn back(
        self,
        by: &dyn Operations,
        weights: &Tensor,
        slopes: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let (models, images) = (slopes.size()[0], slopes.size()[3]);
        match self {
            Self::Square(conv) => by.convolve_back(conv, weights, slopes, onto),
            Self::Every { weight, side } => {
                let all = [models, weight.columns, side * side, images];
                let onto = onto.map_or_else(
                    || Tensor::f_zeros(all, (slopes.f_kind()?, slopes.device())),
                    Ok,
                )?;
                let mut places = every_other(&onto, side)?;
                let own = weight.back(weights, &slopes.f_view([models, weight.rows, -1])?, None)?;
                let _ = places.f_add_(&own.f_view(places.size().as_slice())?)?;
                Ok(onto)
            }
            Self::Whole { weight, pixels } => {
                let flat = |onto: Tensor| onto.f_view([models, weight.columns, images]);
                let own = weight.back(
                    weights,
                    &slopes.f_view([models, weight.rows, images])?,
                    onto.map(flat).transpose()?,
                )?;
                own.f_view([models, weight.columns / pixels, pixels, images])
            }
        }
    }

    /// Puts the gradient of the weight into its place, or adds it.
    ///
    /// # Errors
    /// The operations'.
    pub fn gradient(
        self,
        by: &dyn Operations,
        x: &Tensor,
        slopes: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        match self {
            Self::Square(conv) => by.convolve_gradient(conv, x, slopes, rows, add),
            Self::Every { weight, .. } | Self::Whole { weight, .. } => {
                let slopes = slopes.f_view([slopes.size()[0], weight.rows, -1])?;
                weight.gradient(&self.columns(x)?, &slopes, rows, add)
            }
        }
    }
}
