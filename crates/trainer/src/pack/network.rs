//! K ResNet18s at once: their weights as rows `[K, P]`, their running statistics, and one forward
//! pass. The layers are those of `model/resnet18.rs`, maps are `[K, C, H, W, N]`; `training`
//! differentiates the result.

use std::rc::Rc;

use tch::{TchError, Tensor};

use super::convolution::{Convolution, columns};
use super::layout::Layout;
use super::native::Running;
use crate::model::{Mode, ResNet18};
use crate::tensors::{copy, without_grad};

/// A batch norm of a network: the places of its tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    /// Place of its weight among the parameters.
    pub weight: usize,
    /// Place of its bias among the parameters.
    pub bias: usize,
    /// Place of its running mean among the statistics; the variance follows it.
    pub statistics: usize,
}

/// A convolution and the batch norm that follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The convolution.
    pub conv: Convolution,
    /// The norm.
    pub norm: Norm,
}

/// A residual block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Its convolutions, in order.
    pub steps: [Step; 2],
    /// The convolution on its shortcut, where the block changes the shape of the maps.
    pub downsample: Option<Step>,
}

/// conv1 and its norm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stem {
    /// Place of conv1's weight among the parameters.
    pub weight: usize,
    /// The norm.
    pub norm: Norm,
}

/// Which tensor belongs to which layer, the same for every pack.
#[derive(Debug)]
pub(super) struct Plan {
    /// How a model's weights lie in a row.
    pub layout: Layout,
    /// The first layer.
    pub stem: Stem,
    /// The residual blocks, in order.
    pub blocks: Vec<Block>,
    /// Places of the last layer's weight and bias.
    pub fc: [usize; 2],
}

/// The networks.
pub(super) struct Networks {
    plan: Rc<Plan>,
    /// `[K, P]`.
    weights: Tensor,
    /// Running means and variances, in the network's order, `[K, C]` each.
    statistics: Vec<Tensor>,
}

/// Looks up the tensors of a network by name.
struct Places<'a> {
    layout: &'a Layout,
    /// Names of the running statistics, in the network's order.
    buffers: Vec<&'a str>,
}

impl Places<'_> {
    fn norm(&self, name: &str) -> Result<Norm, TchError> {
        let mean = format!("{name}.running_mean");
        let Some(statistics) = self.buffers.iter().position(|found| *found == mean) else {
            let network = "the network that is packed".to_owned();
            return Err(TchError::TensorNameNotFound(mean, network));
        };
        Ok(Norm {
            weight: self.layout.place(&format!("{name}.weight"))?,
            bias: self.layout.place(&format!("{name}.bias"))?,
            statistics,
        })
    }

    fn step(&self, conv: &str, norm: &str, stride: i64) -> Result<Step, TchError> {
        let weight = self.layout.place(&format!("{conv}.weight"))?;
        Ok(Step {
            conv: Convolution { weight, stride },
            norm: self.norm(norm)?,
        })
    }

    /// The block named `name`.
    fn block(&self, name: &str, stride: i64) -> Result<Block, TchError> {
        let downsample = if stride == 1 {
            None
        } else {
            let conv = format!("{name}.downsample.0");
            let norm = format!("{name}.downsample.1");
            Some(self.step(&conv, &norm, stride)?)
        };
        Ok(Block {
            steps: [
                self.step(&format!("{name}.conv1"), &format!("{name}.bn1"), stride)?,
                self.step(&format!("{name}.conv2"), &format!("{name}.bn2"), 1)?,
            ],
            downsample,
        })
    }
}

impl Plan {
    fn of(network: &ResNet18) -> Result<Self, TchError> {
        let layout = Layout::of(network);
        let places = Places {
            layout: &layout,
            buffers: network
                .buffers()
                .iter()
                .map(|(name, _)| name.as_str())
                .collect(),
        };

        let mut blocks = Vec::new();
        // As in `ResNet18::build`: every layer but the first halves the maps with its first block.
        for layer in 1..=4 {
            for index in 0..2 {
                let stride = if layer > 1 && index == 0 { 2 } else { 1 };
                blocks.push(places.block(&format!("layer{layer}.{index}"), stride)?);
            }
        }
        let stem = Stem {
            weight: layout.place("conv1.weight")?,
            norm: places.norm("bn1")?,
        };
        let fc = [layout.place("fc.weight")?, layout.place("fc.bias")?];
        Ok(Self {
            layout,
            stem,
            blocks,
            fc,
        })
    }
}

impl Networks {
    /// That many models with the weights and statistics of the given network.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn of(network: &ResNet18, models: i64) -> Result<Self, TchError> {
        let _guard = without_grad();
        let plan = Plan::of(network)?;
        let row = plan.layout.row(network.parameters())?;
        let weights = row.f_repeat([models, 1])?;
        let statistics = network
            .buffers()
            .iter()
            .map(|(_, tensor)| tensor.f_unsqueeze(0)?.f_repeat([models, 1]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            plan: Rc::new(plan),
            weights: weights.f_set_requires_grad(true)?,
            statistics,
        })
    }

    /// Copies of the models at those places, in that order.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn select(&self, places: &Tensor) -> Result<Self, TchError> {
        let _guard = without_grad();
        let weights = self.weights.f_index_select(0, places)?;
        let statistics = self
            .statistics
            .iter()
            .map(|tensor| tensor.f_index_select(0, places))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            plan: Rc::clone(&self.plan),
            weights: weights.f_set_requires_grad(true)?,
            statistics,
        })
    }

    /// The models of all parts, one after the other.
    ///
    /// # Errors
    /// libtorch's; or if there are no parts.
    pub(super) fn join(parts: &[&Self]) -> Result<Self, TchError> {
        let _guard = without_grad();
        let Some(first) = parts.first() else {
            return Err(TchError::Shape("a pack of no models".to_owned()));
        };

        // All parts have the same plan, so rows and statistics fit together.
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weights).collect();
        let weights = Tensor::f_cat(&weights, 0)?;
        let mut statistics = Vec::with_capacity(first.statistics.len());
        for at in 0..first.statistics.len() {
            let tensors: Vec<&Tensor> = parts.iter().map(|part| &part.statistics[at]).collect();
            statistics.push(Tensor::f_cat(&tensors, 0)?);
        }
        Ok(Self {
            plan: Rc::clone(&first.plan),
            weights: weights.f_set_requires_grad(true)?,
            statistics,
        })
    }

    /// Number of models.
    pub(super) fn models(&self) -> i64 {
        self.weights.size()[0]
    }

    /// The weights, `[K, P]`. Changing them in place changes the models.
    pub(super) fn weights(&self) -> &Tensor {
        &self.weights
    }

    /// How a model's weights lie in a row.
    pub(super) fn layout(&self) -> &Layout {
        &self.plan.layout
    }

    /// Which tensor belongs to which layer.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The running mean at that place among the statistics, and the variance that follows it.
    pub(super) fn running(&self, place: usize) -> Running<'_> {
        Running {
            mean: &self.statistics[place],
            variance: &self.statistics[place + 1],
        }
    }

    /// The parts of rows (of a gradient, for instance) that belong to conv1, `[K, 64, 1, 7, 7]`,
    /// and to fc, `[K, 10, 512]`, as copies.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn ends(&self, rows: &Tensor) -> Result<[Tensor; 2], TchError> {
        let parts = self.plan.layout.split(rows)?;
        let conv1 = copy(&parts[self.plan.stem.weight])?;
        let fc = copy(&parts[self.plan.fc[0]])?;
        Ok([conv1, fc])
    }

    /// Images `[N, 1, 28, 28]`, the same for all models, to logits `[K, 10, N]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let parameters = self.plan.layout.split(&self.weights)?;
        let pass = Pass {
            networks: self,
            parameters: &parameters,
            mode,
        };
        let models = self.models();
        let count = images.size()[0];

        // conv1 sees the same images in every model: one product for all.
        let images = images.f_permute([1, 2, 3, 0])?.f_unsqueeze(0)?;
        let windows = columns(&images, 7, 2)?.f_squeeze_dim(0)?;
        let stem = parameters[self.plan.stem.weight]
            .f_reshape([models * 64, -1])?
            .f_mm(&windows)?
            .f_view([models, 64, 14, 14, count])?;
        let mut x = pool(&pass.normalise(&self.plan.stem.norm, &stem)?.f_relu_()?)?;
        for block in &self.plan.blocks {
            x = pass.block(block, &x)?;
        }

        // The maps of layer4 are one pixel, so there is nothing to average.
        let features = x.f_view([models, 512, count])?;
        let [weight, bias] = self.plan.fc.map(|place| &parameters[place]);
        bias.f_unsqueeze(2)?.f_baddbmm(weight, &features, 1, 1)
    }
}

/// A forward pass: everything but the images.
struct Pass<'a> {
    networks: &'a Networks,
    parameters: &'a [Tensor],
    mode: Mode,
}

impl Pass<'_> {
    fn block(&self, block: &Block, x: &Tensor) -> Result<Tensor, TchError> {
        let [first, second] = &block.steps;
        let inner = self.step(first, x)?.f_relu_()?;
        let mut out = self.step(second, &inner)?;
        let mut sum = match &block.downsample {
            None => out.f_add_(x)?,
            Some(downsample) => out.f_add_(&self.step(downsample, x)?)?,
        };
        sum.f_relu_()
    }

    /// A convolution and its norm.
    fn step(&self, step: &Step, x: &Tensor) -> Result<Tensor, TchError> {
        self.normalise(&step.norm, &step.conv.forward(self.parameters, x)?)
    }

    /// Batch norm over K C channels, as `model/layers.rs` has it over C.
    fn normalise(&self, norm: &Norm, x: &Tensor) -> Result<Tensor, TchError> {
        let running = self.networks.running(norm.statistics);
        let channels = running.mean.numel() as i64;
        let weight = self.parameters[norm.weight].f_reshape([channels])?;
        let bias = self.parameters[norm.bias].f_reshape([channels])?;
        let mean = running.mean.f_view([channels])?;
        let variance = running.variance.f_view([channels])?;

        // Without cuDNN, whose choice of a kernel may depend on K.
        let with_cudnn = false;
        x.f_reshape([1, channels, -1])?
            .f_batch_norm(
                Some(&weight),
                Some(&bias),
                Some(&mean),
                Some(&variance),
                self.mode == Mode::Train,
                0.1,
                1e-5,
                with_cudnn,
            )?
            .f_view(x.size().as_slice())
    }
}

/// The maximum of each 3x3 window, with stride 2: `[K, C, H, W, N]` to `[K, C, H / 2, W / 2, N]`.
/// To libtorch the images are the channels of maps in channels-last order, so that nothing is
/// copied.
fn pool(x: &Tensor) -> Result<Tensor, TchError> {
    let [models, channels, height, width, images] =
        <[i64; 5]>::try_from(x.size()).map_err(|_| TchError::Shape("maps".to_owned()))?;
    let maps = x
        .f_view([models * channels, height, width, images])?
        .f_permute([0, 3, 1, 2])?;
    let pooled = maps
        .f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?
        .f_permute([0, 2, 3, 1])?;
    pooled.f_reshape([models, channels, (height + 1) / 2, (width + 1) / 2, images])
}
