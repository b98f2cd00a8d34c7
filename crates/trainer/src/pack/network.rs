//! K ResNet18s at once: their weights as rows `[K, P]`, their running statistics, and one forward
//! pass. The layers are those of `model/resnet18.rs`, maps are `[K, C, H, W, N]`; `training`
//! differentiates what comes out.

use std::rc::Rc;

use tch::{TchError, Tensor};

use super::convolution::{Convolution, columns};
use super::layout::Layout;
use crate::model::{Mode, ResNet18};
use crate::tensors::{copy, without_grad};

/// Batch norm of a network: places of its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Of its weight among the parameters.
    pub weight: usize,
    /// Of its bias.
    pub bias: usize,
    /// Of the mean among the statistics; the variance follows it.
    pub statistics: usize,
}

/// A residual block: its convolutions, and that of its residual.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// In their order.
    pub steps: [(Convolution, Norm); 2],
    /// Where the residual's maps would not fit.
    pub downsample: Option<(Convolution, Norm)>,
}

/// Which tensor is whose, the same for every pack.
#[derive(Debug)]
pub struct Plan {
    /// How a row of the weights is made up.
    pub layout: Layout,
    /// conv1 and its norm.
    pub stem: (usize, Norm),
    /// In their order.
    pub blocks: Vec<Block>,
    /// Weight and bias of the last layer.
    pub fc: [usize; 2],
}

/// The networks.
pub struct Networks {
    plan: Rc<Plan>,
    /// `[K, P]`.
    weights: Tensor,
    /// Running means and variances, in the network's order, `[K, C]` each.
    statistics: Vec<Tensor>,
}

impl Plan {
    fn of(network: &ResNet18) -> Result<Self, TchError> {
        let layout = Layout::of(network);
        let buffers: Vec<&str> = network
            .buffers()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let norm = |name: &str| -> Result<Norm, TchError> {
            let mean = format!("{name}.running_mean");
            let missing = || {
                TchError::TensorNameNotFound(mean.clone(), "the network that is packed".to_owned())
            };
            Ok(Norm {
                weight: layout.place(&format!("{name}.weight"))?,
                bias: layout.place(&format!("{name}.bias"))?,
                statistics: buffers
                    .iter()
                    .position(|found| **found == mean)
                    .ok_or_else(missing)?,
            })
        };
        let step = |conv: String, bn: String, stride| -> Result<(Convolution, Norm), TchError> {
            let weight = layout.place(&format!("{conv}.weight"))?;
            Ok((Convolution { weight, stride }, norm(&bn)?))
        };
        let mut blocks = Vec::new();
        for layer in 1..=4 {
            for index in 0..2 {
                let name = format!("layer{layer}.{index}");
                let stride = if layer > 1 && index == 0 { 2 } else { 1 };
                let downsample = match stride {
                    1 => None,
                    _ => Some(step(
                        format!("{name}.downsample.0"),
                        format!("{name}.downsample.1"),
                        stride,
                    )?),
                };
                let steps = [
                    step(format!("{name}.conv1"), format!("{name}.bn1"), stride)?,
                    step(format!("{name}.conv2"), format!("{name}.bn2"), 1)?,
                ];
                blocks.push(Block { steps, downsample });
            }
        }
        let stem = (layout.place("conv1.weight")?, norm("bn1")?);
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
    /// So many models with the weights and statistics of that network.
    ///
    /// # Errors
    /// libtorch's.
    pub fn of(network: &ResNet18, models: i64) -> Result<Self, TchError> {
        let _guard = without_grad();
        let plan = Plan::of(network)?;
        let weights = plan
            .layout
            .row(network.parameters())?
            .f_repeat([models, 1])?;
        let statistics = network
            .buffers()
            .iter()
            .map(|(_, tensor)| tensor.f_unsqueeze(0)?.f_repeat([models, 1]));
        let statistics = statistics.collect::<Result<_, _>>()?;
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
    pub fn select(&self, places: &Tensor) -> Result<Self, TchError> {
        let _guard = without_grad();
        let weights = self
            .weights
            .f_index_select(0, places)?
            .f_set_requires_grad(true)?;
        let statistics = self
            .statistics
            .iter()
            .map(|tensor| tensor.f_index_select(0, places))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            plan: Rc::clone(&self.plan),
            weights,
            statistics,
        })
    }

    /// The models of all of these, one after the other.
    ///
    /// # Errors
    /// libtorch's; one if there are none.
    pub fn join(parts: &[&Self]) -> Result<Self, TchError> {
        let _guard = without_grad();
        let Some(first) = parts.first() else {
            return Err(TchError::Shape("a pack of no models".to_owned()));
        };
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weights).collect();
        let statistic = |at: usize| {
            Tensor::f_cat(
                &parts
                    .iter()
                    .map(|part| &part.statistics[at])
                    .collect::<Vec<_>>(),
                0,
            )
        };
        Ok(Self {
            plan: Rc::clone(&first.plan),
            weights: Tensor::f_cat(&weights, 0)?.f_set_requires_grad(true)?,
            statistics: (0..first.statistics.len())
                .map(statistic)
                .collect::<Result<_, _>>()?,
        })
    }

    /// How many models.
    pub fn models(&self) -> i64 {
        self.weights.size()[0]
    }

    /// `[K, P]`. Changing it in place changes the models.
    pub fn weights(&self) -> &Tensor {
        &self.weights
    }

    /// How a row of the weights is made up.
    pub fn layout(&self) -> &Layout {
        &self.plan.layout
    }

    /// Which tensor is whose.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The running mean at that place among the statistics, and the variance that follows it, `[K,
    /// C]` each.
    pub fn running(&self, place: usize) -> [&Tensor; 2] {
        [&self.statistics[place], &self.statistics[place + 1]]
    }

    /// Of rows like the weights (their gradient): conv1's part, `[K, 64, 1, 7, 7]`, and fc's, `[K,
    /// 10, 512]`, as copies.
    ///
    /// # Errors
    /// libtorch's.
    pub fn ends(&self, rows: &Tensor) -> Result<[Tensor; 2], TchError> {
        let parts = self.plan.layout.split(rows)?;
        Ok([
            copy(&parts[self.plan.stem.0])?,
            copy(&parts[self.plan.fc[0]])?,
        ])
    }

    /// Images `[N, 1, 28, 28]`, which all models get, to logits `[K, 10, N]`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let parameters = self.plan.layout.split(&self.weights)?;
        let (models, count) = (self.models(), images.size()[0]);
        let normalise = |norm: &Norm, x: &Tensor| self.normalise(norm, &parameters, x, mode);
        // conv1 sees the same images in every model: one product for all.
        let (conv1, bn1) = &self.plan.stem;
        let stem =
            columns(&images.f_permute([1, 2, 3, 0])?.f_unsqueeze(0)?, 7, 2)?.f_squeeze_dim(0)?;
        let stem = parameters[*conv1]
            .f_reshape([models * 64, -1])?
            .f_mm(&stem)?
            .f_view([models, 64, 14, 14, count])?;
        let mut x = pool(&normalise(bn1, &stem)?.f_relu_()?)?;
        for Block {
            steps: [first, second],
            downsample,
        } in &self.plan.blocks
        {
            let inner = normalise(&first.1, &first.0.forward(&parameters, &x)?)?.f_relu_()?;
            let mut out = normalise(&second.1, &second.0.forward(&parameters, &inner)?)?;
            let mut sum = match downsample {
                None => out.f_add_(&x)?,
                Some((conv, norm)) => {
                    out.f_add_(&normalise(norm, &conv.forward(&parameters, &x)?)?)?
                }
            };
            x = sum.f_relu_()?;
        }
        // layer4's maps are one pixel: there is nothing to average.
        let features = x.f_view([models, 512, count])?;
        let [weight, bias] = self.plan.fc.map(|place| &parameters[place]);
        bias.f_unsqueeze(2)?.f_baddbmm(weight, &features, 1, 1)
    }

    /// Batch norm over K C channels, as `model/layers.rs` has it over C.
    fn normalise(
        &self,
        norm: &Norm,
        parameters: &[Tensor],
        x: &Tensor,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        let channels = self.statistics[norm.statistics].numel() as i64;
        let weight = parameters[norm.weight].f_reshape([channels])?;
        let bias = parameters[norm.bias].f_reshape([channels])?;
        let [mean, var] = [norm.statistics, norm.statistics + 1]
            .map(|place| self.statistics[place].f_view([channels]));
        // Without cuDNN, whose choice of a kernel may depend on K.
        let flat = x.f_reshape([1, channels, -1])?;
        let train = mode == Mode::Train;
        flat.f_batch_norm(
            Some(&weight),
            Some(&bias),
            Some(&mean?),
            Some(&var?),
            train,
            0.1,
            1e-5,
            false,
        )?
        .f_view(x.size().as_slice())
    }
}

/// The largest of each 3x3 window, with stride 2: `[K, C, H, W, N]` to `[K, C, H / 2, W / 2, N]`.
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
