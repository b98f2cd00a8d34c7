//! The optimizers of `optim/` for K models at once: the same equations on rows `[K, P]`, with each
//! hyper-parameter a column `[K, 1]` of the models' own. `training` steps them.

use tch::{TchError, Tensor};

use super::network::Networks;
use crate::optim::{
    AdahessianSettings, AdamSettings, OptimizerSettings, Probes, SgdMomentumSettings, SgdSettings,
};
use crate::tensors::without_grad;

/// The Hessian's product with signs.
pub type Product<'a> = &'a mut dyn FnMut(&Tensor) -> Result<Tensor, TchError>;

/// One optimizer for all models of a pack.
pub trait Rule {
    /// Whether it asks for the Hessian's product.
    fn needs_curvature(&self) -> bool {
        false
    }

    /// One step: changes the weights in place. The gradient, `[K, P]`, is of the sum of the models'
    /// losses; `product` gives that loss's Hessian times signs, `[1, P]` to `[K, P]`, once.
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

/// The rule of models with these settings, at its start; `like` is their weights. All are of one
/// kind of optimizer.
///
/// # Errors
/// libtorch's; one if the settings are of several kinds, or Hybrid's, whose two phases are packs of
/// their own.
pub fn start(
    settings: &[OptimizerSettings],
    seed: u64,
    like: &Tensor,
) -> Result<Box<dyn Rule>, TchError> {
    /// The settings of all models, if they are of one kind.
    macro_rules! all {
        ($kind:ident) => {{
            let own = settings.iter().map(|settings| match settings {
                OptimizerSettings::$kind(own) => Some(own),
                _ => None,
            });
            own.collect::<Option<Vec<_>>>()
                .ok_or_else(|| TchError::Shape("a pack of several optimizers".to_owned()))?
        }};
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

/// One number a model, as a column `[K, 1]` in double precision on the device of `like`.
fn column<S>(
    settings: &[&S],
    value: impl Fn(&S) -> f64,
    like: &Tensor,
) -> Result<Tensor, TchError> {
    let values: Vec<f64> = settings.iter().map(|settings| value(settings)).collect();
    Tensor::f_from_slice(&values)?
        .f_view([-1, 1])?
        .f_to_device(like.device())
}

/// The column in the precision of `like`.
fn cast(column: &Tensor, like: &Tensor) -> Result<Tensor, TchError> {
    column.f_to_kind(like.f_kind()?)
}

fn select(tensors: &mut [&mut Tensor], places: &Tensor) -> Result<(), TchError> {
    for tensor in tensors {
        **tensor = tensor.f_index_select(0, places)?;
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
        select(&mut [&mut self.rate], places)
    }
}

struct SgdMomentum {
    /// -lr.
    rate: Tensor,
    beta: Tensor,
    /// 1 - dampening.
    fresh: Tensor,
    /// m; None before the first step.
    momentum: Option<Tensor>,
}

impl SgdMomentum {
    fn new(settings: &[&SgdMomentumSettings], like: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            rate: cast(&column(settings, |own| -own.lr, like)?, like)?,
            beta: cast(&column(settings, |own| own.momentum, like)?, like)?,
            fresh: cast(&column(settings, |own| 1.0 - own.dampening, like)?, like)?,
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
        let momentum = match self.momentum.take() {
            None => gradient.f_detach()?,
            Some(mut momentum) => momentum
                .f_mul_(&self.beta)?
                .f_addcmul_(gradient, &self.fresh)?,
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
            select(&mut [momentum], places)?;
        }
        select(
            &mut [&mut self.rate, &mut self.beta, &mut self.fresh],
            places,
        )
    }
}

/// A moment's decay β and its bias 1 - β^n. In double precision and on the device: nothing waits
/// for a number.
struct Decay {
    beta: Tensor,
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
        self.power.f_neg()?.f_add_scalar(1.0)
    }

    /// β and 1 - β in the precision of `like`.
    fn shares(&self, like: &Tensor) -> Result<[Tensor; 2], TchError> {
        Ok([
            cast(&self.beta, like)?,
            cast(&self.beta.f_neg()?.f_add_scalar(1.0)?, like)?,
        ])
    }
}

/// What Adam and AdaHessian have in common: two moments with their decays.
struct Moments {
    lr: Tensor,
    eps: Tensor,
    decays: [Decay; 2],
    /// m, `[K, P]`.
    first: Tensor,
    /// v, `[K, P]` or `[K, D]`.
    second: Tensor,
}

impl Moments {
    fn next_biases(&mut self) -> Result<[Tensor; 2], TchError> {
        let [first, second] = &mut self.decays;
        Ok([first.next_bias()?, second.next_bias()?])
    }

    /// Takes in a gradient and what the second moment is of.
    fn gather(&mut self, gradient: &Tensor, sizes: &Tensor) -> Result<(), TchError> {
        let [_, fresh] = self.decays[0].shares(gradient)?;
        let _ = self
            .first
            .f_lerp_tensor_(gradient, &fresh.f_expand_as(gradient)?)?;
        let [kept, fresh] = self.decays[1].shares(gradient)?;
        let _ = self
            .second
            .f_mul_(&kept)?
            .f_addcmul_(&sizes.f_mul(&fresh)?, sizes)?;
        Ok(())
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        let [a, b] = &mut self.decays;
        let decays = [&mut a.beta, &mut a.power, &mut b.beta, &mut b.power];
        select(
            &mut [
                &mut self.lr,
                &mut self.eps,
                &mut self.first,
                &mut self.second,
            ],
            places,
        )?;
        select(&mut decays.into_iter().collect::<Vec<_>>(), places)
    }
}

struct Adam(Moments);

impl Adam {
    fn new(settings: &[&AdamSettings], like: &Tensor) -> Result<Self, TchError> {
        let decay = |value: fn(&AdamSettings) -> f64| Decay::new(column(settings, value, like)?);
        Ok(Self(Moments {
            lr: column(settings, |own| own.lr, like)?,
            eps: column(settings, |own| own.eps, like)?,
            decays: [decay(|own| own.beta1)?, decay(|own| own.beta2)?],
            first: like.f_detach()?.f_zeros_like()?,
            second: like.f_detach()?.f_zeros_like()?,
        }))
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
        let [bias1, bias2] = moments.next_biases()?;
        moments.gather(gradient, gradient)?;
        // As in `optim/adam.rs`: (sqrt(v) + eps sqrt(bias2)) (-bias1 / (lr sqrt(bias2))).
        let root = bias2.f_sqrt()?;
        let (eps, scale) = (
            moments.eps.f_mul(&root)?,
            bias1.f_div(&moments.lr.f_mul(&root)?)?.f_neg()?,
        );
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
    /// Hessian power; None: 1 in every model.
    power: Option<Tensor>,
    probes: Probes,
    /// Steps taken.
    steps: u64,
}

impl Adahessian {
    fn new(settings: &[&AdahessianSettings], seed: u64, like: &Tensor) -> Result<Self, TchError> {
        let decay =
            |value: fn(&AdahessianSettings) -> f64| Decay::new(column(settings, value, like)?);
        let all_one = settings.iter().all(|own| own.hessian_power == 1.0);
        let first = like.f_detach()?.f_zeros_like()?;
        let moments = Moments {
            lr: column(settings, |own| own.lr, like)?,
            eps: column(settings, |own| own.eps, like)?,
            decays: [decay(|own| own.beta1)?, decay(|own| own.beta2)?],
            // Takes its shape with the first step.
            second: first.f_narrow(1, 0, 1)?.f_zeros_like()?,
            first,
        };
        let power = column(settings, |own| own.hessian_power, like)?;
        Ok(Self {
            moments,
            power: (!all_one).then_some(cast(&power, like)?),
            probes: Probes::new(seed),
            steps: 0,
        })
    }

    /// |Hz| averaged over kernels, `[K, D]`. All models of a seed have one probe, and the Hessian of a sum of their losses is
    /// block-diagonal: one product gives all of theirs.
    fn curvature(&self, networks: &Networks, product: Product<'_>) -> Result<Tensor, TchError> {
        let weights = networks.weights();
        let layout = networks.layout();
        let signs = layout.row(&self.probes.signs(self.steps, &layout.templates()?)?)?;
        let signs = signs
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
        let [bias1, bias2] = moments.next_biases()?;
        moments.gather(&gradient, &sizes)?;
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
            let (first, denominator) = (group.of(&moments.first)?, group.of_means(&denominator)?);
            let _ = group
                .of(networks.weights())?
                .f_addcdiv_(&first, &denominator)?;
        }
        Ok(())
    }

    fn select(&mut self, places: &Tensor) -> Result<(), TchError> {
        if let Some(power) = &mut self.power {
            select(&mut [power], places)?;
        }
        self.moments.select(places)
    }
}
