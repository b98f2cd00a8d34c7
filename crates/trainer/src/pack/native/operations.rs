//! What the passes are made of: 3x3 convolutions and batch norm of K models at once, with their
//! gradients and the derivatives of both. Maps are `[K, C, H W, N]`; weights, gradients and the
//! signs of a Hutchinson probe are rows `[K, P]`, the signs `[1, P]`.

use tch::{TchError, Tensor};

/// A 3x3 convolution with padding 1 on square maps.
#[derive(Clone, Copy, Debug)]
pub struct Square {
    /// Where its weight `[out, in, 3, 3]` begins in a row.
    pub offset: i64,
    /// Channels that come out.
    pub output: i64,
    /// Channels that go in.
    pub input: i64,
    /// Pixels on a side of the maps that go in.
    pub side: i64,
    /// 1 or 2.
    pub stride: i64,
}

impl Square {
    /// Pixels on a side of the maps that come out.
    pub fn side_out(self) -> i64 {
        (self.side + self.stride - 1) / self.stride
    }
}

/// Batch norm of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Where its weight and its bias begin in a row.
    pub weight: i64,
    /// Where its bias begins.
    pub bias: i64,
    /// How many of a model.
    pub count: i64,
}

/// What follows on batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// What is below 0 becomes 0.
    Relu,
    /// The same, then the largest of each 3x3 window with stride 2 and padding 1.
    ReluAndPool,
}

/// Batch norm with what follows, as it went in training.
#[derive(Debug)]
pub struct Normed {
    /// What went in.
    pub x: Tensor,
    /// What came out.
    pub y: Tensor,
    /// Of each channel, `[K C]`.
    pub mean: Tensor,
    /// 1 / standard deviation of each channel, `[K C]`.
    pub scale: Tensor,
    /// After a pool: which pixel each largest one was. The kind is the implementation's.
    pub from: Option<Tensor>,
    /// What followed.
    pub after: After,
}

/// The derivative of batch norm along a direction.
#[derive(Debug)]
pub struct Tangent {
    /// Of what went in.
    pub dx: Tensor,
    /// Of what came out.
    pub dy: Tensor,
    /// Mean of dx in each channel, `[K C]`.
    pub mean: Tensor,
    /// Mean of dx times the normalised input in each channel, `[K C]`.
    pub product: Tensor,
}

/// A gradient on its way back through batch norm: what arrived, and what its convolution gets.
#[derive(Debug)]
pub struct Slopes {
    /// At what came out, after relu and pool.
    pub arrived: Tensor,
    /// At what went in.
    pub dx: Tensor,
}

/// The steps. Everything is in training mode if nothing else is said.
pub trait Operations {
    /// Whether batches of so many images can be computed.
    fn serves(&self, images: i64) -> bool;

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

    /// The gradient of the input by that of the output, added to `onto` if that is given.
    ///
    /// # Errors
    /// The implementation's.
    fn convolve_back(
        &self,
        conv: Square,
        weights: &Tensor,
        slopes: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError>;

    /// Puts the gradient of the weight into its place in the rows, or adds it.
    ///
    /// # Errors
    /// The implementation's.
    fn convolve_gradient(
        &self,
        conv: Square,
        x: &Tensor,
        slopes: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError>;

    /// Normalises by the batch, adds the residual, does what follows; moves the running mean and
    /// variance, `[K, C]`.
    ///
    /// # Errors
    /// The implementation's.
    fn normalise(
        &self,
        at: Channels,
        weights: &Tensor,
        x: Tensor,
        residual: Option<&Tensor>,
        running: [&Tensor; 2],
        after: After,
    ) -> Result<Normed, TchError>;

    /// The same by the running mean and variance, which stay.
    ///
    /// # Errors
    /// The implementation's.
    fn normalise_by_running(
        &self,
        at: Channels,
        weights: &Tensor,
        x: &Tensor,
        residual: Option<&Tensor>,
        running: [&Tensor; 2],
        after: After,
    ) -> Result<Tensor, TchError>;

    /// The gradient of what went in; puts those of weight and bias into the rows. With `residual`,
    /// what relu let through of the slopes, which is the residual's gradient, as well.
    ///
    /// # Errors
    /// The implementation's.
    fn normalise_back(
        &self,
        at: Channels,
        weights: &Tensor,
        normed: &Normed,
        arrived: Tensor,
        rows: &Tensor,
        residual: bool,
    ) -> Result<(Slopes, Option<Tensor>), TchError>;

    /// The derivative of `normalise` along dx, the signs for weight and bias, and the residual's
    /// derivative.
    ///
    /// # Errors
    /// The implementation's.
    fn tangent(
        &self,
        at: Channels,
        weights_and_signs: [&Tensor; 2],
        normed: &Normed,
        dx: Tensor,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError>;

    /// The derivative of `normalise_back`; `came` is how that went, and the derivative of what
    /// arrived.
    ///
    /// # Errors
    /// The implementation's.
    fn tangent_back(
        &self,
        at: Channels,
        weights_and_signs: [&Tensor; 2],
        went: (&Normed, &Tangent),
        came: (&Slopes, &Tensor),
        rows: &Tensor,
        residual: bool,
    ) -> Result<(Tensor, Option<Tensor>), TchError>;
}
