//! What the passes are made of: 3x3 convolutions and batch norms of K models at once, with their
//! gradients and the derivatives of both along a direction. Maps are `[K, C, H W, N]`; weights and
//! gradients are rows `[K, P]`, the signs of a Hutchinson probe one row `[1, P]`.

use tch::{TchError, Tensor};

/// A 3x3 convolution with padding 1 on square maps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Square {
    /// Where its weight `[out, in, 3, 3]` begins in a row.
    pub offset: i64,
    /// Channels that come out.
    pub output: i64,
    /// Channels that go in.
    pub input: i64,
    /// Side of the maps that go in, in pixels.
    pub side: i64,
    /// 1 or 2.
    pub stride: i64,
}

impl Square {
    /// Side of the maps that come out, in pixels.
    pub(crate) fn side_out(self) -> i64 {
        (self.side + self.stride - 1) / self.stride
    }
}

/// The channels of a batch norm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    /// Where its weight begins in a row.
    pub weight: i64,
    /// Where its bias begins in a row.
    pub bias: i64,
    /// Channels of one model.
    pub count: i64,
}

/// What follows a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing.
    Nothing,
    /// ReLU.
    Relu,
    /// ReLU, then the maximum of each 3x3 window with stride 2 and padding 1.
    ReluAndPool,
}

/// The running statistics of a batch norm, `[K, C]` each.
#[derive(Clone, Copy)]
pub(crate) struct Running<'a> {
    /// The running mean.
    pub mean: &'a Tensor,
    /// The running variance.
    pub variance: &'a Tensor,
}

/// A batch norm and what is done with its result.
#[derive(Clone, Copy)]
pub(crate) struct NormCall<'a> {
    /// Which weights and biases.
    pub at: Channels,
    /// The rows that hold them.
    pub weights: &'a Tensor,
    /// Its running statistics.
    pub running: Running<'a>,
    /// Maps to add to the normalised ones.
    pub residual: Option<&'a Tensor>,
    /// What follows.
    pub after: After,
}

/// What a batch norm in training keeps for the pass backwards.
#[derive(Debug)]
pub(crate) struct Normed {
    /// The input.
    pub x: Tensor,
    /// The output, after what follows the norm.
    pub y: Tensor,
    /// Mean of each channel, `[K C]`.
    pub mean: Tensor,
    /// 1 / standard deviation of each channel, `[K C]`.
    pub scale: Tensor,
    /// After a pool: which pixel was the maximum of each window. Its kind is the implementation's.
    pub from: Option<Tensor>,
    /// What followed.
    pub after: After,
}

/// The loss's gradient at both ends of a batch norm.
#[derive(Debug)]
pub(crate) struct NormGradient {
    /// By the output, after ReLU and pool.
    pub output: Tensor,
    /// By the input.
    pub input: Tensor,
}

/// A batch norm on the pass backwards.
#[derive(Clone, Copy)]
pub(crate) struct NormBack<'a> {
    /// Which weights and biases.
    pub at: Channels,
    /// The rows that hold them.
    pub weights: &'a Tensor,
    /// What the forward pass kept.
    pub normed: &'a Normed,
    /// Rows that get the gradients of weight and bias.
    pub rows: &'a Tensor,
    /// Whether the gradient of the residual is wanted.
    pub residual: bool,
}

/// A point of the weight space and a direction from there.
#[derive(Clone, Copy)]
pub(crate) struct Direction<'a> {
    /// The weights, `[K, P]`.
    pub weights: &'a Tensor,
    /// The direction, `[1, P]`: the same for all models.
    pub signs: &'a Tensor,
}

/// The derivative of a batch norm along a direction.
#[derive(Debug)]
pub(crate) struct Tangent {
    /// Derivative of the input.
    pub dx: Tensor,
    /// Derivative of the output.
    pub dy: Tensor,
    /// Mean of dx in each channel, `[K C]`.
    pub mean: Tensor,
    /// Mean of dx times the normalised input in each channel, `[K C]`.
    pub product: Tensor,
}

/// The derivative of a batch norm's pass backwards along a direction.
#[derive(Clone, Copy)]
pub(crate) struct TangentBack<'a> {
    /// Which weights and biases.
    pub at: Channels,
    /// The rows that hold them, and their direction.
    pub direction: Direction<'a>,
    /// What the forward pass kept.
    pub normed: &'a Normed,
    /// The derivative of the forward pass.
    pub tangent: &'a Tangent,
    /// The gradients of the pass backwards.
    pub gradient: &'a NormGradient,
    /// Rows that get the derivatives of the gradients of weight and bias.
    pub rows: &'a Tensor,
    /// Whether the derivative of the residual's gradient is wanted.
    pub residual: bool,
}

/// The steps of the passes.
pub(crate) trait Operations: Convolutions + Norms {
    /// Whether batches of that many images can be computed.
    fn serves(&self, images: i64) -> bool;
}

/// 3x3 convolutions.
pub(crate) trait Convolutions {
    /// `weights * x`, added to `onto` if that is given.
    ///
    /// # Errors
    /// The implementation's, here and below.
    fn convolve(
        &self,
        conv: Square,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError>;

    /// The gradient by the input, from the `gradient` by the output; added to `onto` if that is
    /// given.
    ///
    /// # Errors
    /// The implementation's.
    fn convolve_back(
        &self,
        conv: Square,
        weights: &Tensor,
        gradient: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError>;

    /// Writes the gradient by the weight into its place in the rows, or adds it.
    ///
    /// # Errors
    /// The implementation's.
    fn convolve_gradient(
        &self,
        conv: Square,
        x: &Tensor,
        gradient: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError>;
}

/// Batch norms with what follows them.
pub(crate) trait Norms {
    /// Normalises by the statistics of the batch, and updates the running ones.
    ///
    /// # Errors
    /// The implementation's.
    fn normalise(&self, norm: NormCall<'_>, x: Tensor) -> Result<Normed, TchError>;

    /// Normalises by the running statistics, which stay as they are.
    ///
    /// # Errors
    /// The implementation's.
    fn normalise_by_running(&self, norm: NormCall<'_>, x: &Tensor) -> Result<Tensor, TchError>;

    /// The gradient by the input, from the gradient by the output, and the residual's gradient
    /// where that is wanted. Writes the gradients of weight and bias into the rows.
    ///
    /// # Errors
    /// The implementation's.
    fn normalise_back(
        &self,
        norm: NormBack<'_>,
        output: Tensor,
    ) -> Result<(NormGradient, Option<Tensor>), TchError>;

    /// The derivative of `normalise`, from the derivatives of its input and of the residual.
    ///
    /// # Errors
    /// The implementation's.
    fn tangent(
        &self,
        at: Channels,
        direction: Direction<'_>,
        normed: &Normed,
        dx: Tensor,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError>;

    /// The derivative of `normalise_back`, from the derivative of the gradient by the output.
    ///
    /// # Errors
    /// The implementation's.
    fn tangent_back(
        &self,
        norm: TangentBack<'_>,
        doutput: &Tensor,
    ) -> Result<(Tensor, Option<Tensor>), TchError>;
}
