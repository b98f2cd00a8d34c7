//! ResNet18 (He et al. 2016) as torchvision builds it, for one-channel 28x28 images and ten
//! classes. The engine runs it; the optimizers change its parameters in place.

use std::collections::HashMap;

use tch::{Device, Kind, TchError, Tensor};

use super::init::{CopyOf, Drawn, Init, Source};
use super::layers::{Builder, Conv, ConvSize, Linear, Mode, Norm};
use super::maps::Maps;
use super::pool;
use super::taps;

/// The network. Its parameters have torchvision's names, e.g. `layer1.0.conv1.weight`.
#[derive(Debug)]
pub(crate) struct ResNet18 {
    conv1: Conv,
    bn1: Norm,
    blocks: Vec<Block>,
    fc: Linear,
    /// Names of the parameters, in torchvision's order.
    names: Vec<String>,
    /// The parameters themselves, in the same order: they share their memory with the layers'
    /// tensors.
    parameters: Vec<Tensor>,
    /// Running statistics of the batch norms: (name, tensor).
    buffers: Vec<(String, Tensor)>,
    /// Whether the kernels of bilinear convolutions lie in memory tap by tap.
    by_tap: bool,
    /// Whether kernels with dead taps are cut to the live ones.
    cut: bool,
}

/// Two 3x3 convolutions and a shortcut around them.
#[derive(Debug)]
struct Block {
    conv1: Conv,
    bn1: Norm,
    conv2: Conv,
    bn2: Norm,
    /// A 1x1 convolution and batch norm on the shortcut, where the block changes the shape.
    downsample: Option<(Conv, Norm)>,
}

impl Block {
    /// The block named `name`, with that many channels in and out. Its first convolution has the
    /// given stride, and gets maps of that side.
    fn new(
        on: &mut Builder<impl Source>,
        name: &str,
        channels: [i64; 2],
        stride: i64,
        side: i64,
    ) -> Result<Self, TchError> {
        let init = Init::KaimingNormalFanOut;
        let [input, output] = channels;

        // The order matters: parameters are kept in the order in which the source is asked for
        // them.
        let size = ConvSize {
            channels,
            kernel: 3,
            stride,
            side,
        };
        let conv1 = Conv::new(on, &format!("{name}.conv1"), &size, init)?;
        let bn1 = Norm::new(on, &format!("{name}.bn1"), output)?;
        let size = ConvSize {
            channels: [output, output],
            kernel: 3,
            stride: 1,
            side: (side + stride - 1) / stride,
        };
        let conv2 = Conv::new(on, &format!("{name}.conv2"), &size, init)?;
        let bn2 = Norm::new(on, &format!("{name}.bn2"), output)?;

        let downsample = if input == output && stride == 1 {
            None
        } else {
            let size = ConvSize {
                channels,
                kernel: 1,
                stride,
                side,
            };
            let conv = Conv::new(on, &format!("{name}.downsample.0"), &size, init)?;
            let norm = Norm::new(on, &format!("{name}.downsample.1"), output)?;
            Some((conv, norm))
        };
        Ok(Self {
            conv1,
            bn1,
            conv2,
            bn2,
            downsample,
        })
    }

    fn forward(&self, x: &Maps, mode: Mode) -> Result<Maps, TchError> {
        // The activations may be overwritten: no backward pass needs the output of a batch norm
        // from before the ReLU.
        let inner = self.bn1.forward(&self.conv1.forward(x)?, mode)?;
        let inner = inner.with(inner.tensor().shallow_clone().f_relu_()?);
        let out = self.bn2.forward(&self.conv2.forward(&inner)?, mode)?;
        let mut sum = out.tensor().shallow_clone();
        let _ = match &self.downsample {
            None => sum.f_add_(x.tensor())?,
            Some((conv, norm)) => sum.f_add_(norm.forward(&conv.forward(x)?, mode)?.tensor())?,
        };
        Ok(out.with(sum.f_relu_()?))
    }
}

impl ResNet18 {
    /// Number of weights of the paper's network.
    pub(crate) const PARAMETERS: i64 = 11_175_370;
    /// Number of these that are never trained, because they only ever meet padding.
    pub(crate) const DEAD: i64 = 6_946_816;

    /// The network of a seed. Its weights depend on nothing else, neither on the optimizer nor on
    /// the device.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn new(seed: u64, kind: Kind, device: Device) -> Result<Self, TchError> {
        Self::build(&mut Drawn { seed, kind, device }, true, true)
    }

    /// The same network with its dead taps, as in torchvision. It is slower, and only for
    /// comparisons.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn with_dead_taps(seed: u64, kind: Kind, device: Device) -> Result<Self, TchError> {
        Self::build(&mut Drawn { seed, kind, device }, false, true)
    }

    /// A copy that shares no memory with this network.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn duplicate(&self) -> Result<Self, TchError> {
        Self::build(&mut self.tensors_to_copy(), self.cut, self.by_tap)
    }

    /// A copy whose weights lie in memory in the best order for batches of that size.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn duplicate_for(&self, batch_size: i64) -> Result<Self, TchError> {
        let by_tap = batch_size >= Conv::BILINEAR_FROM;
        Self::build(&mut self.tensors_to_copy(), self.cut, by_tap)
    }

    fn tensors_to_copy(&self) -> CopyOf<'_> {
        let parameters = self.names.iter().map(String::as_str).zip(&self.parameters);
        let buffers = self
            .buffers
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor));
        CopyOf(parameters.chain(buffers).collect::<HashMap<_, _>>())
    }

    /// The network with tensors from that source. `cut` leaves out dead taps; `by_tap` lays kernels
    /// of bilinear convolutions out tap by tap.
    fn build(source: &mut impl Source, cut: bool, by_tap: bool) -> Result<Self, TchError> {
        let mut on = Builder {
            source,
            cut,
            by_tap,
            parameters: Vec::with_capacity(62),
            buffers: Vec::with_capacity(40),
        };

        // The authors replace torchvision's conv1 by `nn.Conv2d(1, 64, 7, 2, 3, bias=False)`, which
        // has that layer's default initialisation: U(-1/7, 1/7).
        let size = ConvSize {
            channels: [1, 64],
            kernel: 7,
            stride: 2,
            side: 28,
        };
        let conv1 = Conv::new(&mut on, "conv1", &size, Init::UniformFanIn(49))?;
        let bn1 = Norm::new(&mut on, "bn1", 64)?;

        let mut blocks = Vec::with_capacity(8);
        // Channels and side of the maps after conv1 and the pool.
        let mut input = 64;
        let mut side = 7;
        for (layer, output) in [(1, 64), (2, 128), (3, 256), (4, 512)] {
            for index in 0..2 {
                let name = format!("layer{layer}.{index}");
                let stride = if layer > 1 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(&mut on, &name, [input, output], stride, side)?);
                input = output;
                side = (side + stride - 1) / stride;
            }
        }
        let fc = Linear::new(&mut on, "fc", 512, 10)?;

        let Builder {
            parameters,
            buffers,
            ..
        } = on;
        assert_sizes(&parameters, cut);
        let (names, parameters) = parameters.into_iter().unzip();
        Ok(Self {
            conv1,
            bn1,
            blocks,
            fc,
            names,
            parameters,
            buffers,
            by_tap,
            cut,
        })
    }

    /// Images `[N, 1, 28, 28]` to logits `[N, 10]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let images = match mode {
            Mode::Train => images.shallow_clone(),
            Mode::Evaluate => channels_last(images)?,
        };
        let stem = self
            .bn1
            .forward(&self.conv1.forward(&Maps::Planes(images))?, mode)?;
        let stem = stem.tensor().shallow_clone().f_relu_()?;
        // From here on each layer chooses the order of its maps.
        let mut x = Maps::Planes(pool::max_pool(&stem)?);
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        self.fc
            .forward(&x.rows()?.f_mean_dim([0].as_slice(), false, None)?)
    }

    /// The parameters, in the order of `names`. Changing one in place changes the network.
    pub(crate) fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Names of the parameters, in torchvision's order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Running statistics of the batch norms: (name, tensor).
    pub(crate) fn buffers(&self) -> &[(String, Tensor)] {
        &self.buffers
    }

    /// The parameters, then the running statistics, by name.
    #[cfg(test)]
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let parameters = self.names.iter().map(String::as_str).zip(&self.parameters);
        parameters.chain(
            self.buffers
                .iter()
                .map(|(name, tensor)| (name.as_str(), tensor)),
        )
    }
}

/// Asserts that the parameters are those of the paper's network, with or without dead taps.
fn assert_sizes(parameters: &[(String, Tensor)], cut: bool) {
    let count: i64 = parameters
        .iter()
        .map(|(_, tensor)| taps::full_shape(&tensor.size()).iter().product::<i64>())
        .sum();
    assert_eq!(
        count,
        ResNet18::PARAMETERS,
        "this is not the paper's ResNet18"
    );

    let live: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
    let dead = if cut { ResNet18::DEAD } else { 0 };
    assert_eq!(
        live as i64,
        ResNet18::PARAMETERS - dead,
        "these are not its live taps"
    );
}

/// One-channel images as a view in channels-last order, which for one channel is the same memory.
/// libtorch's convolutions keep that order, in which the stem's take a fifth of the time.
fn channels_last(images: &Tensor) -> Result<Tensor, TchError> {
    let (count, channels, height, width) = images.size4()?;
    if channels != 1 || images.device() != Device::Cpu || !images.is_contiguous() {
        return Ok(images.shallow_clone());
    }
    images.f_as_strided(
        [count, 1, height, width],
        [height * width, 1, width, 1],
        None,
    )
}

#[cfg(test)]
mod tests;
