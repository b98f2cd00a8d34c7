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
pub struct ResNet18 {
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
    /// How kernels with fewer products lie in memory.
    by_tap: bool,
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
    /// The block named `name`, with so many channels in and out, whose first step is `stride` on
    /// maps of that side.
    fn new(
        on: &mut Builder<impl Source>,
        name: &str,
        channels: [i64; 2],
        stride: i64,
        side: i64,
    ) -> Result<Self, TchError> {
        let he = Init::KaimingNormalFanOut;
        let [input, output] = channels;
        let conv1 = Conv::new(
            on,
            &format!("{name}.conv1"),
            &ConvSize {
                channels,
                kernel: 3,
                stride,
                side,
            },
            he,
        )?;
        let bn1 = Norm::new(on, &format!("{name}.bn1"), output)?;
        let conv2 = Conv::new(
            on,
            &format!("{name}.conv2"),
            &ConvSize {
                channels: [output, output],
                kernel: 3,
                stride: 1,
                side: (side + stride - 1) / stride,
            },
            he,
        )?;
        let bn2 = Norm::new(on, &format!("{name}.bn2"), output)?;
        let downsample = if input == output && stride == 1 {
            None
        } else {
            let conv = Conv::new(
                on,
                &format!("{name}.downsample.0"),
                &ConvSize {
                    channels,
                    kernel: 1,
                    stride,
                    side,
                },
                he,
            )?;
            Some((
                conv,
                Norm::new(on, &format!("{name}.downsample.1"), output)?,
            ))
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
        // The activations may be overwritten: no backward pass needs a batch norm's output before
        // the ReLU.
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
    /// How many weights the paper's network has.
    pub const PARAMETERS: i64 = 11_175_370;
    /// How many of them are never trained, since they only ever meet padding.
    pub const DEAD: i64 = 6_946_816;

    /// The network of a seed: the same weights for the same seed, whatever the optimizer and the
    /// device.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(seed: u64, kind: Kind, device: Device) -> Result<Self, TchError> {
        Self::build(&mut Drawn { seed, kind, device }, true, true)
    }

    /// The same function with its dead taps, as torchvision has them: slower, and there only to
    /// compare with.
    ///
    /// # Errors
    /// libtorch's.
    pub fn with_dead_taps(seed: u64, kind: Kind, device: Device) -> Result<Self, TchError> {
        Self::build(&mut Drawn { seed, kind, device }, false, true)
    }

    /// A copy that shares no memory with this network.
    ///
    /// # Errors
    /// libtorch's.
    pub fn duplicate(&self) -> Result<Self, TchError> {
        Self::build(&mut self.tensors_to_copy(), self.cut, self.by_tap)
    }

    /// A copy whose weights lie in memory as training in batches of that size wants them.
    ///
    /// # Errors
    /// libtorch's.
    pub fn duplicate_for(&self, batch_size: i64) -> Result<Self, TchError> {
        Self::build(
            &mut self.tensors_to_copy(),
            self.cut,
            batch_size >= Conv::BILINEAR_FROM,
        )
    }

    fn tensors_to_copy(&self) -> CopyOf<'_> {
        let parameters = self.names.iter().map(String::as_str).zip(&self.parameters);
        let buffers = self
            .buffers
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor));
        CopyOf(parameters.chain(buffers).collect::<HashMap<_, _>>())
    }

    /// The network with tensors from that source, with or without dead taps, kernels tap by tap or
    /// not.
    fn build(source: &mut impl Source, cut: bool, by_tap: bool) -> Result<Self, TchError> {
        let mut on = Builder {
            source,
            cut,
            by_tap,
            parameters: Vec::with_capacity(62),
            buffers: Vec::with_capacity(40),
        };
        // The authors replace torchvision's conv1 by `nn.Conv2d(1, 64, 7, 2, 3, bias=False)`, which
        // brings that layer's own initialisation: U(-1/7, 1/7).
        let conv1 = Conv::new(
            &mut on,
            "conv1",
            &ConvSize {
                channels: [1, 64],
                kernel: 7,
                stride: 2,
                side: 28,
            },
            Init::UniformFanIn(49),
        )?;
        let bn1 = Norm::new(&mut on, "bn1", 64)?;
        let mut blocks = Vec::with_capacity(8);
        // Channels and side of the maps, after conv1 and the pooling.
        let (mut input, mut side) = (64, 7);
        for (layer, output) in [(1, 64), (2, 128), (3, 256), (4, 512)] {
            for index in 0..2 {
                let stride = if layer > 1 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(
                    &mut on,
                    &format!("layer{layer}.{index}"),
                    [input, output],
                    stride,
                    side,
                )?);
                (input, side) = (output, (side + stride - 1) / stride);
            }
        }
        let fc = Linear::new(&mut on, "fc", 512, 10)?;
        let Builder {
            parameters,
            buffers,
            ..
        } = on;
        let count: i64 = parameters
            .iter()
            .map(|(_, tensor)| taps::full_shape(&tensor.size()).iter().product::<i64>())
            .sum();
        let live: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
        assert_eq!(count, Self::PARAMETERS, "this is not the paper's ResNet18");
        assert_eq!(
            live as i64,
            Self::PARAMETERS - if cut { Self::DEAD } else { 0 },
            "these are not its live taps"
        );
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
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let images = match mode {
            Mode::Train => images.shallow_clone(),
            Mode::Evaluate => channels_last(images)?,
        };
        let stem = self
            .bn1
            .forward(&self.conv1.forward(&Maps::Planes(images))?, mode)?;
        let stem = stem.tensor().shallow_clone().f_relu_()?;
        let mut x = Maps::Planes(pool::max_pool(&stem)?);
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        self.fc
            .forward(&x.rows()?.f_mean_dim([0].as_slice(), false, None)?)
    }

    /// The parameters, in the order of `names`. Changing one in place changes the network.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Names of the parameters, in torchvision's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Running statistics of the batch norms: (name, tensor).
    pub fn buffers(&self) -> &[(String, Tensor)] {
        &self.buffers
    }

    /// The parameters, then the running statistics, by name.
    #[cfg(test)]
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let parameters = self.names.iter().map(String::as_str).zip(&self.parameters);
        parameters.chain(
            self.buffers
                .iter()
                .map(|(name, tensor)| (name.as_str(), tensor)),
        )
    }
}

/// One-channel images seen as images whose channels are last in memory, which for one channel is
/// the same memory: libtorch's convolutions keep that order, in which the stem's take a fifth of
/// the time.
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
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::margins::assert_near;

    fn network(seed: u64) -> ResNet18 {
        one_thread();
        ResNet18::new(seed, Kind::Float, Device::Cpu).unwrap()
    }

    fn find<'a>(network: &'a ResNet18, name: &str) -> &'a Tensor {
        &network.parameters()[network
            .names
            .iter()
            .position(|found| found == name)
            .unwrap()]
    }

    #[test]
    fn parameters_have_torchvisions_names_and_number() {
        let network = network(0);
        assert_eq!(
            network
                .parameters()
                .iter()
                .map(Tensor::numel)
                .sum::<usize>(),
            11_175_370 - 6_946_816
        );
        assert_eq!(
            (network.parameters().len(), network.buffers.len()),
            (62, 40)
        );
        let shapes: Vec<String> = network
            .names
            .iter()
            .zip(network.parameters())
            .map(|(name, tensor)| format!("{name} {:?}", tensor.size()))
            .collect();
        insta::assert_snapshot!(shapes[..12].join("\n"), @r"
        conv1.weight [64, 1, 7, 7]
        bn1.weight [64]
        bn1.bias [64]
        layer1.0.conv1.weight [64, 64, 3, 3]
        layer1.0.bn1.weight [64]
        layer1.0.bn1.bias [64]
        layer1.0.conv2.weight [64, 64, 3, 3]
        layer1.0.bn2.weight [64]
        layer1.0.bn2.bias [64]
        layer1.1.conv1.weight [64, 64, 3, 3]
        layer1.1.bn1.weight [64]
        layer1.1.bn1.bias [64]
        ");
        insta::assert_snapshot!(shapes[15..21].join("\n"), @r"
        layer2.0.conv1.weight [128, 64, 3, 3]
        layer2.0.bn1.weight [128]
        layer2.0.bn1.bias [128]
        layer2.0.conv2.weight [128, 128, 3, 3]
        layer2.0.bn2.weight [128]
        layer2.0.bn2.bias [128]
        ");
        insta::assert_snapshot!(shapes[57..].join("\n"), @r"
        layer4.1.conv2.weight [512, 512, 1]
        layer4.1.bn2.weight [512]
        layer4.1.bn2.bias [512]
        fc.weight [10, 512]
        fc.bias [10]
        ");
        assert_eq!(network.buffers[39].0, "layer4.1.bn2.running_var");
    }

    #[test]
    fn weights_start_as_torchvisions_do() {
        let network = network(1);
        for (name, fan_out) in [
            ("layer1.0.conv1", 64 * 9),
            ("layer4.1.conv2", 512 * 9),
            ("layer3.0.downsample.0", 256),
        ] {
            let weight = find(&network, &format!("{name}.weight")).detach();
            let (std, expected) = (
                weight.std(true).double_value(&[]),
                (2.0 / f64::from(fan_out)).sqrt(),
            );
            let tolerance = 4.0 / (2.0 * weight.numel() as f64).sqrt();
            assert!(
                (std / expected - 1.0).abs() < tolerance,
                "{name}: {std} instead of {expected}"
            );
            assert!(
                weight.mean(Kind::Double).double_value(&[]).abs()
                    < 4.0 * expected / (weight.numel() as f64).sqrt()
            );
            assert!(
                weight.abs().max().double_value(&[]) > 3.0 * expected,
                "{name} should be normal, not uniform"
            );
        }
        for (name, bound) in [
            ("conv1.weight", 1.0 / 7.0),
            ("fc.weight", 512f64.powf(-0.5)),
            ("fc.bias", 512f64.powf(-0.5)),
        ] {
            let largest = find(&network, name).abs().max().double_value(&[]);
            assert!(
                largest <= bound * 1.000_001 && largest > 0.75 * bound,
                "{name}: {largest} within {bound}"
            );
        }
        assert!(
            find(&network, "layer2.1.bn2.weight")
                .eq(1.0)
                .all()
                .int64_value(&[])
                == 1
        );
        assert!(find(&network, "bn1.bias").eq(0.0).all().int64_value(&[]) == 1);
    }

    #[test]
    fn the_seed_alone_decides_the_weights() {
        let [a, again, other] = [network(3), network(3), network(4)];
        let equal = |x: &ResNet18, y: &ResNet18| {
            x.parameters()
                .iter()
                .zip(y.parameters())
                .all(|(x, y)| x == y)
        };
        assert!(equal(&a, &again) && !equal(&a, &other));
        let double = ResNet18::new(3, Kind::Double, Device::Cpu).unwrap();
        assert_eq!(
            find(&double, "fc.weight").to_kind(Kind::Float),
            *find(&a, "fc.weight")
        );
    }

    #[test]
    fn a_duplicate_shares_no_memory() {
        let original = network(5);
        let copy = original.duplicate().unwrap();
        assert_eq!(copy.parameters()[0], original.parameters()[0]);
        assert!(copy.parameters()[0].requires_grad() && !copy.buffers[0].1.requires_grad());
        let images = Tensor::ones([2, 1, 28, 28], tch::kind::FLOAT_CPU);
        let _ = original.forward(&images, Mode::Train).unwrap();
        assert_ne!(copy.buffers[0].1, original.buffers[0].1);
    }

    /// The orders in memory hold the same numbers, through copies too, and give the same logits.
    /// Bits may differ between the two: a trial has one order throughout, by its batch size.
    #[test]
    fn the_order_in_memory_changes_no_number() {
        one_thread();
        let by_tap = ResNet18::new(7, Kind::Double, Device::Cpu).unwrap();
        let by_channel = by_tap.duplicate_for(Conv::BILINEAR_FROM - 1).unwrap();
        let kernel = |network: &ResNet18| find(network, "layer3.1.conv2.weight").shallow_clone();
        assert!(!kernel(&by_tap).is_contiguous() && kernel(&by_channel).is_contiguous());
        assert_eq!(kernel(&by_tap), kernel(&by_channel));
        assert_eq!(
            kernel(&by_tap.duplicate().unwrap()).stride(),
            kernel(&by_tap).stride()
        );
        assert_eq!(
            kernel(&by_channel.duplicate_for(100).unwrap()).stride(),
            kernel(&by_tap).stride()
        );
        let images = Tensor::arange(Conv::BILINEAR_FROM * 784, tch::kind::DOUBLE_CPU)
            .sin()
            .view([-1, 1, 28, 28]);
        let logits =
            [&by_tap, &by_channel].map(|network| network.forward(&images, Mode::Train).unwrap());
        assert_near(
            "logits by another order in memory",
            &logits[0],
            &logits[1],
            1e-11,
        );
    }

    /// Running statistics after one batch, against their definition.
    #[test]
    fn batch_norm_keeps_the_unbiased_variance() {
        one_thread();
        let network = ResNet18::new(6, Kind::Double, Device::Cpu).unwrap();
        let images = Tensor::arange(3 * 784, tch::kind::DOUBLE_CPU)
            .sin()
            .view([3, 1, 28, 28]);
        let maps = images.conv2d(
            find(&network, "conv1.weight"),
            None::<&Tensor>,
            [2, 2],
            [3, 3],
            [1, 1],
            1,
        );
        let logits = network.forward(&images, Mode::Train).unwrap();
        assert_eq!(logits.size(), [3, 10]);
        let axes = [0, 2, 3].as_slice();
        let mean = maps.mean_dim(axes, false, None) * 0.1;
        let var = maps.var_dim(axes, true, false) * 0.1 + 0.9;
        assert_near("running mean", &network.buffers[0].1, &mean, 1e-12);
        assert_near("running variance", &network.buffers[1].1, &var, 1e-12);
        // Evaluation changes nothing.
        let before = network.buffers[0].1.copy();
        let _ = network.forward(&images, Mode::Evaluate).unwrap();
        assert_eq!(network.buffers[0].1, before);
    }
}
