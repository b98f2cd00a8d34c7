//! The layers of the network, as plain structs of tensors with a forward pass. `resnet18` puts them
//! together.

use tch::{TchError, Tensor};

use super::bilinear::Bilinear;
use super::init::{Init, Source};
use super::maps::Maps;
use super::taps;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A step of training: batch norm uses the batch's statistics and updates its running ones.
    Train,
    /// Evaluation: batch norm uses its running statistics; nothing changes.
    Evaluate,
}

/// Asks the source for each tensor, and keeps it under its name, in the order of asking.
pub(super) struct Builder<'a, S: Source> {
    /// Where the tensors come from.
    pub source: &'a mut S,
    /// Whether kernels with dead taps are cut to the live ones: always, except for comparisons.
    pub cut: bool,
    /// Whether the kernels of bilinear convolutions lie in memory tap by tap.
    pub by_tap: bool,
    /// The trained tensors: (name, tensor).
    pub parameters: Vec<(String, Tensor)>,
    /// The running statistics: (name, tensor).
    pub buffers: Vec<(String, Tensor)>,
}

impl<S: Source> Builder<'_, S> {
    fn parameter(&mut self, name: String, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let tensor = self.source.tensor(&name, shape, init)?;
        self.keep(name, tensor)
    }

    /// A kernel `[out, in, k, k]` of a bilinear convolution, in memory tap by tap or channel by
    /// channel.
    fn kernel(&mut self, name: String, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let tensor = self.source.tensor(&name, shape, init)?;
        let tensor = if self.by_tap {
            tensor
                .f_permute([2, 3, 0, 1])?
                .f_contiguous()?
                .f_permute([2, 3, 0, 1])?
        } else {
            tensor.f_contiguous()?
        };
        self.keep(name, tensor)
    }

    fn keep(&mut self, name: String, tensor: Tensor) -> Result<Tensor, TchError> {
        let tensor = tensor.f_set_requires_grad(true)?;
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
pub(super) struct Conv {
    /// `[out, in, k, k]`, or `[out, in, taps]` if the kernel is cut to its live taps.
    weight: Tensor,
    stride: i64,
    padding: i64,
    /// A form with fewer multiplications, if there is one for these maps.
    bilinear: Option<Bilinear>,
}

/// The sizes of a convolution.
pub(super) struct ConvSize {
    /// Channels in and out.
    pub channels: [i64; 2],
    /// Side of the kernel.
    pub kernel: i64,
    /// Step between positions. The padding is half the kernel, rounded down.
    pub stride: i64,
    /// Side of the maps that go in.
    pub side: i64,
}

impl Conv {
    /// The convolution named `name`.
    pub(super) fn new(
        on: &mut Builder<impl Source>,
        name: &str,
        size: &ConvSize,
        init: Init,
    ) -> Result<Self, TchError> {
        let ConvSize {
            channels: [input, output],
            kernel,
            stride,
            side,
        } = *size;

        // A kernel with dead taps has no axes for rows and columns, but one for its live taps.
        let live = if on.cut && kernel == 3 {
            taps::live_count(side, stride)
        } else {
            None
        };
        let shape = live.map_or(vec![output, input, kernel, kernel], |taps| {
            vec![output, input, taps]
        });

        let name = format!("{name}.weight");
        let weight;
        let mut bilinear = None;
        // The bilinear form is kept beside the plain one, which small batches use.
        if kernel == 3 && stride == 1 && Bilinear::is_for_side(side) {
            weight = on.kernel(name, &shape, init)?;
            bilinear = Bilinear::for_side(side, weight.f_kind()?, weight.device())?;
        } else {
            weight = on.parameter(name, &shape, init)?;
        }
        Ok(Self {
            weight,
            stride,
            padding: kernel / 2,
            bilinear,
        })
    }

    /// The convolution of maps. Small results are rows.
    pub(super) fn forward(&self, x: &Maps) -> Result<Maps, TchError> {
        let size = self.weight.size();
        if let [output, input, taps] = size[..] {
            // The live taps cover the whole map, in its order, so one product with the flattened
            // maps is enough.
            let maps = x
                .rows()?
                .f_permute([1, 2, 0])?
                .f_reshape([-1, input * taps])?;
            let product = maps.f_linear(
                &self.weight.f_view([output, input * taps])?,
                None::<&Tensor>,
            )?;
            return Ok(Maps::Rows(product.f_view([1, -1, output])?));
        }
        if let Some(bilinear) = &self.bilinear {
            let rows = x.rows()?;
            if rows.size()[1] >= Self::BILINEAR_FROM {
                return Ok(Maps::Rows(bilinear.convolve(&rows, &self.weight)?));
            }
        }

        // A 1x1 convolution is a product over channels.
        if size[2] == 1 && self.stride == 2 {
            let matrix = self.weight.f_view([size[0], size[1]])?;
            let product = x.halved()?.f_linear(&matrix, None::<&Tensor>)?;
            return Ok(Maps::Rows(product));
        }

        let planes = Maps::Planes(x.planes()?.f_conv2d(
            &self.weight,
            None::<&Tensor>,
            [self.stride; 2],
            [self.padding; 2],
            [1, 1],
            1,
        )?);
        if planes.tensor().size()[2] > Self::ROWS_UP_TO {
            Ok(planes)
        } else {
            Ok(Maps::Rows(planes.rows()?))
        }
    }

    /// Minimum number of images for which a bilinear convolution pays: its kernels are transformed
    /// at each step, for any number of images.
    pub(super) const BILINEAR_FROM: i64 = 32;

    /// The largest side of maps that are kept as rows.
    const ROWS_UP_TO: i64 = 4;
}

/// Batch norm (Ioffe & Szegedy 2015) as torch does it: normalises by the biased variance of the
/// batch, keeps the unbiased one in its running statistics, s = 0.9 s + 0.1 s_batch.
#[derive(Debug)]
pub(super) struct Norm {
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
    pub(super) fn new(
        on: &mut Builder<impl Source>,
        name: &str,
        channels: i64,
    ) -> Result<Self, TchError> {
        Ok(Self {
            weight: on.parameter(format!("{name}.weight"), &[channels], Init::Constant(1.0))?,
            bias: on.parameter(format!("{name}.bias"), &[channels], Init::Constant(0.0))?,
            running_mean: on.buffer(
                format!("{name}.running_mean"),
                &[channels],
                Init::Constant(0.0),
            )?,
            running_var: on.buffer(
                format!("{name}.running_var"),
                &[channels],
                Init::Constant(1.0),
            )?,
        })
    }

    /// The normalised maps, in the same order.
    pub(super) fn forward(&self, x: &Maps, mode: Mode) -> Result<Maps, TchError> {
        let tensor = match x {
            Maps::Planes(planes) => self.normalise(planes, mode)?,
            Maps::Rows(rows) => {
                let size = rows.size();
                self.normalise(&rows.f_reshape([-1, size[2]])?, mode)?
                    .f_view(size.as_slice())?
            }
        };
        Ok(x.with(tensor))
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
pub(super) struct Linear {
    /// `[out, in]`.
    weight: Tensor,
    /// `[out]`.
    bias: Tensor,
}

impl Linear {
    /// The layer named `name`, initialised as `nn.Linear` is.
    pub(super) fn new(
        on: &mut Builder<impl Source>,
        name: &str,
        input: i64,
        output: i64,
    ) -> Result<Self, TchError> {
        Ok(Self {
            weight: on.parameter(
                format!("{name}.weight"),
                &[output, input],
                Init::UniformFanIn(input),
            )?,
            bias: on.parameter(format!("{name}.bias"), &[output], Init::UniformFanIn(input))?,
        })
    }

    /// `[N, in]` to `[N, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::model::init::Drawn;
    use crate::model::testing::{assert_same, derivatives, wave};
    use tch::{Device, Kind};

    fn builder(source: &mut Drawn) -> Builder<'_, Drawn> {
        one_thread();
        Builder {
            source,
            cut: true,
            by_tap: true,
            parameters: Vec::new(),
            buffers: Vec::new(),
        }
    }

    const DOUBLE: Drawn = Drawn {
        seed: 2,
        kind: Kind::Double,
        device: Device::Cpu,
    };

    /// Each kind of convolution of the network, given planes and given rows.
    #[test]
    fn every_form_is_the_convolution() {
        for (kernel, stride, side) in [
            (3, 1, 2),
            (3, 1, 4),
            (3, 2, 4),
            (3, 2, 7),
            (1, 2, 2),
            (1, 2, 4),
            (1, 2, 7),
            (3, 1, 1),
        ] {
            let mut source = DOUBLE;
            let size = ConvSize {
                channels: [5, 3],
                kernel,
                stride,
                side,
            };
            let mut on = Builder {
                cut: false,
                ..builder(&mut source)
            };
            let conv = Conv::new(&mut on, "conv", &size, Init::KaimingNormalFanOut).unwrap();
            let x = wave(&[Conv::BILINEAR_FROM, 5, side, side]);
            let inputs = [&x, &conv.weight];
            let padding = [kernel / 2; 2];
            let expected = x.conv2d(
                &conv.weight,
                None::<&Tensor>,
                [stride; 2],
                padding,
                [1, 1],
                1,
            );
            let expected = derivatives(&expected, &inputs);
            let planes = Maps::Planes(x.shallow_clone());
            for given in [Maps::Rows(planes.rows().unwrap()), planes] {
                let found = conv.forward(&given).unwrap().planes().unwrap();
                assert_same(&derivatives(&found, &inputs), &expected);
            }
        }
    }

    #[test]
    fn batch_norm_of_rows_is_that_of_planes() {
        let mut source = DOUBLE;
        let norms = [0, 1].map(|_| Norm::new(&mut builder(&mut source), "norm", 3).unwrap());
        let x = wave(&[4, 3, 2, 2]);
        let planes = Maps::Planes(x.shallow_clone());
        let rows = Maps::Rows(planes.rows().unwrap());
        let forward =
            |norm: &Norm, maps: &Maps, mode| norm.forward(maps, mode).unwrap().planes().unwrap();
        let derive = |norm: &Norm, maps: &Maps| {
            derivatives(
                &forward(norm, maps, Mode::Train),
                &[&x, &norm.weight, &norm.bias],
            )
        };
        assert_same(&derive(&norms[0], &rows), &derive(&norms[1], &planes));
        let evaluated = [
            forward(&norms[0], &rows, Mode::Evaluate),
            forward(&norms[1], &planes, Mode::Evaluate),
        ];
        assert_same(&evaluated[..1], &evaluated[1..]);
        let variances = norms.map(|norm| norm.running_var);
        assert_same(&variances[..1], &variances[1..]);
    }
}
