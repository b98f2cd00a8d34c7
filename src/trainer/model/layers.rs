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
        if padding == 1 && stride == 1 && x.size()[2..] == [2, 2] && x.size()[0] >= Self::DENSE_FROM {
            return self.dense(x);
        }
        x.f_conv2d(&self.weight, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], 1)
    }

    /// Images at once from which `dense` beats a convolution; with fewer, gathering the matrix costs more than it saves.
    const DENSE_FROM: i64 = 32;

    /// A 3x3 kernel on 2x2 maps as one product, `[N, in, 2, 2]` to `[N, out, 2, 2]`: pixel p of the output takes pixel q
    /// of the input by one tap, where a convolution multiplies nine, five of them with padding.
    fn dense(&self, x: &Tensor) -> Result<Tensor, TchError> {
        /// The tap for each p, and within it each q: 3 (q_row - p_row + 1) + (q_column - p_column + 1).
        const TAPS: [i64; 16] = [4, 5, 7, 8, 3, 4, 6, 7, 1, 2, 4, 5, 0, 1, 3, 4];
        let [output, input] = [self.weight.size()[0], self.weight.size()[1]];
        let taps = Tensor::f_from_slice(&TAPS)?.f_to_device(self.weight.device())?;
        let by_tap = self.weight.f_view([output, input, taps::KERNEL])?.f_permute([0, 2, 1])?;
        let matrix = by_tap.f_index_select(1, &taps)?.f_view([output * 4, 4 * input])?;
        let pixels = x.f_permute([0, 2, 3, 1])?.f_reshape([-1, 4 * input])?;
        pixels.f_linear(&matrix, None::<&Tensor>)?.f_view([-1, output, 2, 2])
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
        let size = x.size();
        if size[2..] != [2, 2] {
            return self.normalise(x, mode);
        }
        // libtorch goes through a channel's pixels one by one; channels last, it takes many channels at once.
        let rows = x.f_permute([0, 2, 3, 1])?.f_reshape([-1, size[1]])?;
        self.normalise(&rows, mode)?.f_view([size[0], 2, 2, size[1]])?.f_permute([0, 3, 1, 2])?.f_contiguous()
    }

    /// `[N, C, ...]` to the same shape.
    fn normalise(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::model::init::Drawn;
    use tch::{Device, Kind};

    fn builder(source: &mut Drawn) -> Builder<'_, Drawn> {
        one_thread();
        Builder { source, cut: true, parameters: Vec::new(), buffers: Vec::new() }
    }

    const DOUBLE: Drawn = Drawn { seed: 2, kind: Kind::Double, device: Device::Cpu };

    fn wave(shape: &[i64]) -> Tensor {
        (Tensor::arange(shape.iter().product::<i64>(), tch::kind::DOUBLE_CPU) * 0.7).sin().view(shape).set_requires_grad(true)
    }

    /// A value that depends on the output nonlinearly, its gradients, and the gradients of their squares' sum.
    fn derivatives(output: &Tensor, inputs: &[&Tensor]) -> Vec<Tensor> {
        let first = Tensor::run_backward(&[output.pow_tensor_scalar(3).sum(None)], inputs, true, true);
        let squares: Vec<Tensor> = first.iter().map(|gradient| gradient.square().sum(None)).collect();
        let second = Tensor::run_backward(&squares, inputs, false, false);
        [output.shallow_clone()].into_iter().chain(first).chain(second).collect()
    }

    fn assert_same(found: &[Tensor], expected: &[Tensor]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let share = ((found - expected).norm() / expected.norm()).double_value(&[]);
            assert!(found.size() == expected.size() && share < 1e-12, "{share:e}");
        }
    }

    #[test]
    fn the_dense_product_is_the_convolution() {
        let mut source = DOUBLE;
        let size = ConvSize { channels: [5, 3], kernel: 3, stride: 1, side: 2 };
        let conv = Conv::new(&mut builder(&mut source), "conv", &size, Init::KaimingNormalFanOut).unwrap();
        for images in [Conv::DENSE_FROM - 1, Conv::DENSE_FROM] {
            let x = wave(&[images, 5, 2, 2]);
            let inputs = [&x, &conv.weight];
            let expected = x.conv2d(&conv.weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
            let expected = derivatives(&expected, &inputs);
            assert_same(&derivatives(&conv.forward(&x).unwrap(), &inputs), &expected);
            assert_same(&derivatives(&conv.dense(&x).unwrap(), &inputs), &expected);
        }
    }

    #[test]
    fn batch_norm_of_2x2_maps_is_that_of_others() {
        let mut source = DOUBLE;
        let norms = [0, 1].map(|_| Norm::new(&mut builder(&mut source), "norm", 3).unwrap());
        let x = wave(&[4, 3, 2, 2]);
        let derive = |norm: &Norm, y: Tensor| derivatives(&y, &[&x, &norm.weight, &norm.bias]);
        let found = derive(&norms[0], norms[0].forward(&x, Mode::Train).unwrap());
        let expected = derive(&norms[1], norms[1].normalise(&x, Mode::Train).unwrap());
        assert_same(&found, &expected);
        let evaluated = norms[0].forward(&x, Mode::Evaluate).unwrap();
        assert_same(&[evaluated], &[norms[1].normalise(&x, Mode::Evaluate).unwrap()]);
        let variances = norms.map(|norm| norm.running_var);
        assert_same(&variances[..1], &variances[1..]);
    }
}
