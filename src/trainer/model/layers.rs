//! The layers of the network, as plain structs of tensors with a forward pass. `resnet18` puts them together.

use tch::{TchError, Tensor};

use super::init::{Init, Source};
use super::taps;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A step of training: batch norm uses the batch's statistics and updates its running ones.
    Train,
    /// Evaluation: batch norm uses its running statistics; nothing changes.
    Evaluate,
}

/// Asks the source for each tensor and notes it down by name, in the order of asking.
pub struct Builder<'a, S: Source> {
    /// Where the tensors come from.
    pub source: &'a mut S,
    /// Whether kernels with dead taps are cut down to the live ones: always, but in tests.
    pub cut: bool,
    /// What is trained: (name, tensor).
    pub parameters: Vec<(String, Tensor)>,
    /// What is kept beside the parameters, the running statistics: (name, tensor).
    pub buffers: Vec<(String, Tensor)>,
}

impl<S: Source> Builder<'_, S> {
    fn parameter(&mut self, name: String, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let tensor = self.source.tensor(&name, shape, init)?.f_set_requires_grad(true)?;
        self.parameters.push((name, tensor.shallow_clone()));
        Ok(tensor)
    }

    fn buffer(&mut self, name: String, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let tensor = self.source.tensor(&name, shape, init)?;
        self.buffers.push((name, tensor.shallow_clone()));
        Ok(tensor)
    }
}

/// A square convolution without a bias.
#[derive(Debug)]
pub struct Conv {
    /// `[out, in, k, k]`, or `[out, in, taps]` if the kernel is cut down to its live taps.
    weight: Tensor,
    stride: i64,
    padding: i64,
}

/// The sizes of a convolution.
pub struct ConvSize {
    /// Channels in and out.
    pub channels: [i64; 2],
    /// Side of the kernel.
    pub kernel: i64,
    /// Step between positions. The padding is half the kernel, rounded down.
    pub stride: i64,
    /// Side of the maps that it gets.
    pub side: i64,
}

impl Conv {
    /// The convolution named `name`.
    pub fn new(on: &mut Builder<impl Source>, name: &str, size: &ConvSize, init: Init) -> Result<Self, TchError> {
        let ConvSize { channels: [input, output], kernel, stride, side } = *size;
        let live = if on.cut && kernel == 3 { taps::live_count(side, stride) } else { None };
        let shape = live.map_or(vec![output, input, kernel, kernel], |taps| vec![output, input, taps]);
        let weight = on.parameter(format!("{name}.weight"), &shape, init)?;
        Ok(Self { weight, stride, padding: kernel / 2 })
    }

    /// `[N, in, H, W]` to `[N, out, H', W']`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        if let [output, input, taps] = self.weight.size()[..] {
            // The live taps cover the whole map, in its order: one product with the flattened maps.
            let maps = x.f_reshape([-1, input * taps])?;
            return maps.f_linear(&self.weight.f_view([output, input * taps])?, None::<&Tensor>)?.f_view([-1, output, 1, 1]);
        }
        let [stride, padding] = [self.stride, self.padding];
        x.f_conv2d(&self.weight, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], 1)
    }
}

/// Batch norm (Ioffe & Szegedy 2015) as torch does it: normalises by the biased variance of the batch, keeps the
/// unbiased one in its running statistics, s = 0.9 s + 0.1 s_batch.
#[derive(Debug)]
pub struct Norm {
    /// `[C]`.
    weight: Tensor,
    /// `[C]`.
    bias: Tensor,
    /// `[C]`.
    running_mean: Tensor,
    /// `[C]`.
    running_var: Tensor,
}

impl Norm {
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    /// The batch norm named `name`.
    pub fn new(on: &mut Builder<impl Source>, name: &str, channels: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: on.parameter(format!("{name}.weight"), &[channels], Init::Constant(1.0))?,
            bias: on.parameter(format!("{name}.bias"), &[channels], Init::Constant(0.0))?,
            running_mean: on.buffer(format!("{name}.running_mean"), &[channels], Init::Constant(0.0))?,
            running_var: on.buffer(format!("{name}.running_var"), &[channels], Init::Constant(1.0))?,
        })
    }

    /// `[N, C, H, W]` to the same shape.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            mode == Mode::Train,
            Self::MOMENTUM,
            Self::EPS,
            true,
        )
    }
}

/// A linear layer with a bias.
#[derive(Debug)]
pub struct Linear {
    /// `[out, in]`.
    weight: Tensor,
    /// `[out]`.
    bias: Tensor,
}

impl Linear {
    /// The layer named `name`, initialised as `nn.Linear` is.
    pub fn new(on: &mut Builder<impl Source>, name: &str, input: i64, output: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: on.parameter(format!("{name}.weight"), &[output, input], Init::UniformFanIn(input))?,
            bias: on.parameter(format!("{name}.bias"), &[output], Init::UniformFanIn(input))?,
        })
    }

    /// `[N, in]` to `[N, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}
