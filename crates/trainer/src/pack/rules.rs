//! The optimizers of `optim/` for K models at once: the same equations on rows `[K, P]`, with each
//! hyper-parameter a column `[K, 1]`, one number for each model. `training` takes their steps.

use tch::{TchError, Tensor};

use super::network::Networks;
use crate::optim::{
    AdahessianSettings, AdamSettings, OptimizerSettings, Probes, SgdMomentumSettings, SgdSettings,
};
use crate::tensors::without_grad;

/// Computes the Hessian's product with signs: `[1, P]` to `[K, P]`.
pub(super) type Product<'a> = &'a mut dyn FnMut(&Tensor) -> Result<Tensor, TchError>;

/// One optimizer for all models of a pack.
pub(super) trait Rule {
    /// Whether it asks for the product with the Hessian.
    fn needs_curvature(&self) -> bool {
        false
    }

    /// Takes one step: changes the weights in place. The gradient, `[K, P]`, is that of the sum of
    /// the models' losses. `product` multiplies with the Hessian of this sum, and can be called
    /// once.
    ///
    /// # Errors
    /// libtorch's.
    fn step(
        &mut self,
        networks: &Networks,
        gradient: &Tensor,
        product: Product<'_>,
    ) -> Result<(), TchError>;

    /// Keeps the models at those places, in that order.
    ///
    /// # Errors
    /// libtorch's.
    fn select(&mut self, places: &Tensor) -> Result<(), TchError>;
}

/// The rule for models with these settings, before its first step. `like` is their weights. All
/// settings are of one kind of optimizer.
///
/// # Errors
/// libtorch's; or if the settings are of several kinds, or of Hybrid, whose two phases are packs of
/// their own.
pub(super) fn start(
    settings: &[OptimizerSettings],
    seed: u64,
    like: &Tensor,
) -> Result<Box<dyn Rule>, TchError> {
    /// The settings of all models, if they are of one kind.
    macro_rules! all {
        ($kind:ident) => {
            settings
                .iter()
                .map(|settings| match settings {
                    OptimizerSettings::$kind(own) => Ok(own),
                    _ => Err(TchError::Shape("a pack of several optimizers".to_owned())),
                })
                .collect::<Result<Vec<_>, _>>()?
        };
    }

    Ok(match settings.first() {
        Some(OptimizerSettings::Sgd(_)) => Box::new(Sgd::new(&all!(Sgd), like)?),
        Some(OptimizerSettings::SgdMomentum(_)) => {
            Box::new(SgdMomentum::new(&all!(SgdMomentum), like)?)
        }
        Some(OptimizerSettings::Adam(_)) => Box::new(Adam::new(&all!(Adam), like)?),
        Some(OptimizerSettings::Adahessian(_)) => {
            Box::new(Adahessian::new(&all!(Adahessian), seed, like)?)
        }
        Some(OptimizerSettings::Hybrid(_)) | None => {
            return Err(TchError::Shape("no rule for such a pack".to_owned()));
        }
    })
}

/// One number for each model, as a column `[K, 1]` in double precision on the device of `like`.
fn column<S>(settings: &[S], value: impl Fn(&S) -> f64, like: &Tensor) -> Result<Tensor, TchError> {
    let values: Vec<f64> = settings.iter().map(value).collect();
    Tensor::f_from_slice(&values)?
        .f_view([-1, 1])?
        .f_to_device(like.device())
}

/// The column in the precision of `like`.
fn cast(column: &Tensor, like: &Tensor) -> Result<Tensor, TchError> {
    column.f_to_kind(like.f_kind()?)
}

/// Keeps the rows at those places in each tensor.
fn select<const N: usize>(tensors: [&mut Tensor; N], places: &Tensor) -> Result<(), TchError> {
    for tensor in tensors {
        *tensor = tensor.f_index_select(0, places)?;
    }
    Ok(())
}

struct Sgd {
    /// -lr.
    rate: Tensor,
}

impl Sgd {
    fn new(settings: &[&SgdSettings], like: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            rate: cast(&column(settings, |own| -own.lr, like)?, like)?,
        })
    }
}

impl Rule for Sgd {
    fn step(
        &mut self,
        networks: &Networks,
        gradient: &Tensor,
        _: Product<'_>,
    ) -> Result<(), TchError> {
        let _guard = without_grad();
        networks
            .weights()
            .shallow_clone()
            .f_addcmul_(gradient, &self.rate)
            .map(drop)
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        select([&mut self.rate], places)
    }
}

struct SgdMomentum {
    /// -lr.
    rate: Tensor,
    /// β.
    beta: Tensor,
    /// 1 - dampening.
    gradient_weight: Tensor,
    /// m; `None` before the first step.
    momentum: Option<Tensor>,
}

impl SgdMomentum {
    fn new(settings: &[&SgdMomentumSettings], like: &Tensor) -> Result<Self, TchError> {
        let gradient_weight = column(settings, |own| 1.0 - own.dampening, like)?;
        Ok(Self {
            rate: cast(&column(settings, |own| -own.lr, like)?, like)?,
            beta: cast(&column(settings, |own| own.momentum, like)?, like)?,
            gradient_weight: cast(&gradient_weight, like)?,
            momentum: None,
        })
    }
}

impl Rule for SgdMomentum {
    fn step(
        &mut self,
        networks: &Networks,
        gradient: &Tensor,
        _: Product<'_>,
    ) -> Result<(), TchError> {
        let _guard = without_grad();
        // As in torch, the first step is the gradient itself.
        let momentum = match self.momentum.take() {
            None => gradient.f_detach()?,
            Some(mut momentum) => momentum
                .f_mul_(&self.beta)?
                .f_addcmul_(gradient, &self.gradient_weight)?,
        };
        let _ = networks
            .weights()
            .shallow_clone()
            .f_addcmul_(&momentum, &self.rate)?;
        self.momentum = Some(momentum);
        Ok(())
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        if let Some(momentum) = &mut self.momentum {
            select([momentum], places)?;
        }
        select(
            [&mut self.rate, &mut self.beta, &mut self.gradient_weight],
            places,
        )
    }
}

/// A moment's decay β and its bias 1 - β^n. In double precision and on the device: nothing waits
/// for a number.
struct Decay {
    beta: Tensor,
    /// β^n.
    power: Tensor,
}

impl Decay {
    fn new(beta: Tensor) -> Result<Self, TchError> {
        Ok(Self {
            power: beta.f_ones_like()?,
            beta,
        })
    }

    /// The bias after one more step.
    fn next_bias(&mut self) -> Result<Tensor, TchError> {
        let _ = self.power.f_mul_(&self.beta)?;
        one_minus(&self.power)
    }

    /// β in the precision of `like`.
    fn old_weight(&self, like: &Tensor) -> Result<Tensor, TchError> {
        cast(&self.beta, like)
    }

    /// 1 - β in the precision of `like`.
    fn new_weight(&self, like: &Tensor) -> Result<Tensor, TchError> {
        cast(&one_minus(&self.beta)?, like)
    }
}

fn one_minus(value: &Tensor) -> Result<Tensor, TchError> {
    value.f_neg()?.f_add_scalar(1.0)
}

/// The hyper-parameters that Adam and AdaHessian have in common.
struct MomentSettings {
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
}

impl From<&AdamSettings> for MomentSettings {
    fn from(settings: &AdamSettings) -> Self {
        Self {
            lr: settings.lr,
            beta1: settings.beta1,
            beta2: settings.beta2,
            eps: settings.eps,
        }
    }
}

impl From<&AdahessianSettings> for MomentSettings {
    fn from(settings: &AdahessianSettings) -> Self {
        Self {
            lr: settings.lr,
            beta1: settings.beta1,
            beta2: settings.beta2,
            eps: settings.eps,
        }
    }
}

/// What Adam and AdaHessian have in common: two moments and their decays.
struct Moments {
    lr: Tensor,
    eps: Tensor,
    first_decay: Decay,
    second_decay: Decay,
    /// m, `[K, P]`.
    first: Tensor,
    /// v, `[K, P]` or `[K, D]`.
    second: Tensor,
}

impl Moments {
    /// The moments before the first step; `second` is the second one, which is zero.
    fn new(settings: &[MomentSettings], second: Tensor, like: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            lr: column(settings, |own| own.lr, like)?,
            eps: column(settings, |own| own.eps, like)?,
            first_decay: Decay::new(column(settings, |own| own.beta1, like)?)?,
            second_decay: Decay::new(column(settings, |own| own.beta2, like)?)?,
            first: like.f_detach()?.f_zeros_like()?,
            second,
        })
    }

    /// Updates the moments: m by the gradient, v by the squares of `sizes`.
    fn update(&mut self, gradient: &Tensor, sizes: &Tensor) -> Result<(), TchError> {
        let weight = self.first_decay.new_weight(gradient)?;
        let _ = self
            .first
            .f_lerp_tensor_(gradient, &weight.f_expand_as(gradient)?)?;

        let old_weight = self.second_decay.old_weight(gradient)?;
        let new_weight = self.second_decay.new_weight(gradient)?;
        let _ = self
            .second
            .f_mul_(&old_weight)?
            .f_addcmul_(&sizes.f_mul(&new_weight)?, sizes)?;
        Ok(())
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        let tensors = [
            &mut self.lr,
            &mut self.eps,
            &mut self.first,
            &mut self.second,
            &mut self.first_decay.beta,
            &mut self.first_decay.power,
            &mut self.second_decay.beta,
            &mut self.second_decay.power,
        ];
        select(tensors, places)
    }
}

struct Adam(Moments);

impl Adam {
    fn new(settings: &[&AdamSettings], like: &Tensor) -> Result<Self, TchError> {
        let settings: Vec<MomentSettings> = settings.iter().map(|own| (*own).into()).collect();
        let second = like.f_detach()?.f_zeros_like()?;
        Ok(Self(Moments::new(&settings, second, like)?))
    }
}

impl Rule for Adam {
    fn step(
        &mut self,
        networks: &Networks,
        gradient: &Tensor,
        _: Product<'_>,
    ) -> Result<(), TchError> {
        let _guard = without_grad();
        let moments = &mut self.0;
        let bias1 = moments.first_decay.next_bias()?;
        let bias2 = moments.second_decay.next_bias()?;
        moments.update(gradient, gradient)?;

        // As in `optim/adam.rs`: (sqrt(v) + eps sqrt(bias2)) (-bias1 / (lr sqrt(bias2))).
        let root = bias2.f_sqrt()?;
        let eps = moments.eps.f_mul(&root)?;
        let scale = bias1.f_div(&moments.lr.f_mul(&root)?)?.f_neg()?;
        let denominator = moments
            .second
            .f_sqrt()?
            .f_add_(&cast(&eps, gradient)?)?
            .f_mul_(&cast(&scale, gradient)?)?;
        networks
            .weights()
            .shallow_clone()
            .f_addcdiv_(&moments.first, &denominator)
            .map(drop)
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        self.0.select(places)
    }
}

struct Adahessian {
    moments: Moments,
    /// The Hessian power; `None` if it is 1 in every model.
    power: Option<Tensor>,
    probes: Probes,
    /// Steps taken.
    steps: u64,
}

impl Adahessian {
    fn new(settings: &[&AdahessianSettings], seed: u64, like: &Tensor) -> Result<Self, TchError> {
        let power = if settings.iter().all(|own| own.hessian_power == 1.0) {
            None
        } else {
            let power = column(settings, |own| own.hessian_power, like)?;
            Some(cast(&power, like)?)
        };

        let settings: Vec<MomentSettings> = settings.iter().map(|own| (*own).into()).collect();
        // The second moment gets its shape with the first step.
        let second = like.f_detach()?.f_narrow(1, 0, 1)?.f_zeros_like()?;
        Ok(Self {
            moments: Moments::new(&settings, second, like)?,
            power,
            probes: Probes::new(seed),
            steps: 0,
        })
    }

    /// |H z| averaged over kernels, `[K, D]`. All models of a seed have one probe z, and the Hessian
    /// of the sum of their losses is block-diagonal: one product gives all of theirs.
    fn curvature(&self, networks: &Networks, product: Product<'_>) -> Result<Tensor, TchError> {
        let weights = networks.weights();
        let layout = networks.layout();
        let signs = self.probes.signs(self.steps, &layout.templates()?)?;
        let signs = layout
            .row(&signs)?
            .f_to_device(weights.device())?
            .f_to_kind(weights.f_kind()?)?;
        let product = product(&signs)?;
        let _guard = without_grad();
        layout.kernel_means(&product)
    }
}

impl Rule for Adahessian {
    fn needs_curvature(&self) -> bool {
        true
    }

    fn step(
        &mut self,
        networks: &Networks,
        gradient: &Tensor,
        product: Product<'_>,
    ) -> Result<(), TchError> {
        self.steps += 1;
        let sizes = self.curvature(networks, product)?;
        let _guard = without_grad();
        let gradient = gradient.f_detach()?;
        let moments = &mut self.moments;
        if self.steps == 1 {
            moments.second = sizes.f_zeros_like()?;
        }
        let bias1 = moments.first_decay.next_bias()?;
        let bias2 = moments.second_decay.next_bias()?;
        moments.update(&gradient, &sizes)?;

        // As in `optim/adahessian.rs`: (sqrt(v / bias2)^k + eps) (-bias1 / lr).
        let mut denominator = moments
            .second
            .f_sqrt()?
            .f_div_(&cast(&bias2.f_sqrt()?, &gradient)?)?;
        if let Some(power) = &self.power {
            denominator = denominator.f_pow(power)?;
        }
        let scale = bias1.f_div(&moments.lr)?.f_neg()?;
        let denominator = denominator
            .f_add_(&cast(&moments.eps, &gradient)?)?
            .f_mul_(&cast(&scale, &gradient)?)?;

        for group in &networks.layout().groups {
            let first = group.of(&moments.first)?;
            let denominator = group.of_means(&denominator)?;
            let _ = group
                .of(networks.weights())?
                .f_addcdiv_(&first, &denominator)?;
        }
        Ok(())
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        if let Some(power) = &mut self.power {
            select([power], places)?;
        }
        self.moments.select(places)
    }
}
