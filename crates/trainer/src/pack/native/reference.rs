//! `Operations` with libtorch's operations, for any device and precision: the definition of what
//! the kernels compute.

use tch::{TchError, Tensor};

use super::layers::put;
use super::operations::{
    After, Channels, Convolutions, Direction, NormBack, NormCall, NormGradient, Normed, Norms,
    Operations, Running, Square, Tangent, TangentBack,
};
use crate::pack::convolution::columns;

/// The implementation by libtorch.
pub(crate) struct Reference;

impl Operations for Reference {
    fn serves(&self, _: i64) -> bool {
        true
    }
}

impl Square {
    /// Its part of rows, as a view.
    fn part(self, rows: &Tensor) -> Result<Tensor, TchError> {
        rows.f_narrow(1, self.offset, self.output * self.input * 9)
    }

    /// Its part of rows for that many models, `[K, out, in, 3, 3]`.
    fn kernels(self, rows: &Tensor, models: i64) -> Result<Tensor, TchError> {
        self.part(rows)?
            .f_view([-1, self.output, self.input, 3, 3])?
            .f_expand([models, self.output, self.input, 3, 3], false)
    }

    /// The windows of its input as columns, `[K, in 9, H' W' N]`.
    fn columns(self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        let maps = x.f_view([size[0], self.input, self.side, self.side, size[3]])?;
        columns(&maps, 3, self.stride)
    }
}

impl Channels {
    /// Weight and bias in rows, `[K, C, 1, 1]` each.
    fn views(self, rows: &Tensor) -> Result<[Tensor; 2], TchError> {
        let weight = rows.f_narrow(1, self.weight, self.count)?;
        let bias = rows.f_narrow(1, self.bias, self.count)?;
        Ok([self.wide(&weight)?, self.wide(&bias)?])
    }

    /// The weight in rows, `[K, C, 1, 1]`.
    fn weight(self, rows: &Tensor) -> Result<Tensor, TchError> {
        let [weight, _] = self.views(rows)?;
        Ok(weight)
    }

    /// A number for each channel, ready to be multiplied with maps.
    fn wide(self, statistic: &Tensor) -> Result<Tensor, TchError> {
        statistic.f_view([-1, self.count, 1, 1])
    }

    /// Writes weight and bias into rows.
    fn put(self, rows: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        let [mut own_weight, mut own_bias] = self.views(rows)?;
        own_weight.f_copy_(weight)?;
        own_bias.f_copy_(bias)
    }
}

/// The value, added in place to `onto` if that is given.
fn plus(value: Tensor, onto: Option<Tensor>) -> Result<Tensor, TchError> {
    match onto {
        Some(mut onto) => onto.f_add_(&value),
        None => Ok(value),
    }
}

/// The mean over the pixels and images of each channel.
fn mean(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_mean_dim([2, 3].as_slice(), true, None)
}

/// The sum over the pixels and images of each channel.
fn sum(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_sum_dim_intlist([2, 3].as_slice(), true, None)
}

/// 1 where ReLU let its input through, else 0.
fn passed_relu(y: &Tensor) -> Result<Tensor, TchError> {
    y.f_le(0.0)?.f_logical_not()
}

/// The pool of maps `[K, C, 14 14, N]`, and the pixel that each number came from.
fn pool(x: &Tensor) -> Result<[Tensor; 2], TchError> {
    let [models, channels, _, images] =
        <[i64; 4]>::try_from(x.size()).map_err(|_| TchError::Shape("maps".to_owned()))?;
    let maps = x
        .f_view([models * channels, 14, 14, images])?
        .f_permute([0, 3, 1, 2])?;
    let (y, from) = maps.f_max_pool2d_with_indices([3, 3], [2, 2], [1, 1], [1, 1], false)?;

    let size = [models, channels, 49, images];
    let y = y.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_view(size)?;
    let from = from.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_view(size)?;
    Ok([y, from])
}

impl Normed {
    /// The normalised input.
    fn hat(&self, at: Channels) -> Result<Tensor, TchError> {
        self.x
            .f_sub(&at.wide(&self.mean)?)?
            .f_mul(&at.wide(&self.scale)?)
    }

    /// The gradient at the output of the norm, from that at the output of what follows: ReLU stops
    /// some of it, and the pool sends it to the pixels that were the maxima.
    fn through(&self, output: &Tensor) -> Result<Tensor, TchError> {
        if self.after == After::Nothing {
            return Ok(output.shallow_clone());
        }
        let own = output.f_mul(&passed_relu(&self.y)?)?;
        match &self.from {
            Some(from) => self.x.f_zeros_like()?.f_scatter_add(2, from, &own),
            None => Ok(own),
        }
    }
}

impl Convolutions for Reference {
    fn convolve(
        &self,
        conv: Square,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let models = x.size()[0];
        let images = x.size()[3];
        let out = conv
            .kernels(weights, models)?
            .f_reshape([models, conv.output, -1])?
            .f_bmm(&conv.columns(x)?)?;
        plus(out.f_view([models, conv.output, -1, images])?, onto)
    }

    fn convolve_back(
        &self,
        conv: Square,
        weights: &Tensor,
        gradient: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let models = gradient.size()[0];
        let images = gradient.size()[3];
        let side = conv.side_out();
        let maps = gradient
            .f_view([models * conv.output, side, side, images])?
            .f_permute([3, 0, 1, 2])?;
        let kernels =
            conv.kernels(weights, models)?
                .f_reshape([models * conv.output, conv.input, 3, 3])?;

        // Rows and columns of the input that no window begins at.
        let rest = conv.side - ((side - 1) * conv.stride + 1);
        let x = maps.f_conv_transpose2d(
            &kernels,
            None::<Tensor>,
            [conv.stride; 2],
            [1, 1],
            [rest, rest],
            models,
            [1, 1],
        )?;
        let x = x.f_permute([1, 2, 3, 0])?.f_contiguous()?;
        plus(x.f_view([models, conv.input, -1, images])?, onto)
    }

    fn convolve_gradient(
        &self,
        conv: Square,
        x: &Tensor,
        gradient: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        let models = x.size()[0];
        let own = gradient
            .f_view([models, conv.output, -1])?
            .f_bmm(&conv.columns(x)?.f_transpose(1, 2)?)?;
        put(conv.part(rows)?, &own.f_view([models, -1])?, add)
    }
}

impl Running<'_> {
    /// Moves the statistics a tenth of the way to those of a batch with `count` numbers per
    /// channel. The running variance takes the unbiased one.
    fn update(self, mean: &Tensor, variance: &Tensor, count: f64) -> Result<(), TchError> {
        let unbiased = variance.f_mul_scalar(count / (count - 1.0))?;
        for (running, value) in [(self.mean, mean), (self.variance, &unbiased)] {
            let _ = running
                .shallow_clone()
                .f_mul_scalar_(0.9)?
                .f_add_(&value.f_mul_scalar(0.1)?.f_view_as(running)?)?;
        }
        Ok(())
    }
}

impl NormCall<'_> {
    /// The affine part and the residual: `weight (x - mean) scale + bias`, plus the residual.
    fn affine(&self, x: &Tensor, mean: &Tensor, scale: &Tensor) -> Result<Tensor, TchError> {
        let [weight, bias] = self.at.views(self.weights)?;
        let y = x.f_sub(mean)?.f_mul(scale)?.f_mul(&weight)?.f_add(&bias)?;
        plus(y, self.residual.map(Tensor::copy))
    }
}

/// 1 / standard deviation, with the epsilon of torch's batch norm.
fn inverse_deviation(variance: &Tensor) -> Result<Tensor, TchError> {
    variance.f_add_scalar(1e-5)?.f_rsqrt()
}

impl Norms for Reference {
    fn normalise(&self, norm: NormCall<'_>, x: Tensor) -> Result<Normed, TchError> {
        let count = (x.size()[2] * x.size()[3]) as f64;
        let own_mean = mean(&x)?;
        let variance = mean(&x.f_sub(&own_mean)?.f_square()?)?;
        let scale = inverse_deviation(&variance)?;
        norm.running.update(&own_mean, &variance, count)?;

        // The order is that of the network: the residual is added before ReLU.
        let mut y = norm.affine(&x, &own_mean, &scale)?;
        let mut from = None;
        if norm.after != After::Nothing {
            y = y.f_relu()?;
        }
        if norm.after == After::ReluAndPool {
            let [pooled, places] = pool(&y)?;
            y = pooled;
            from = Some(places);
        }
        Ok(Normed {
            x,
            y,
            mean: own_mean.f_flatten(0, -1)?,
            scale: scale.f_flatten(0, -1)?,
            from,
            after: norm.after,
        })
    }

    fn normalise_by_running(&self, norm: NormCall<'_>, x: &Tensor) -> Result<Tensor, TchError> {
        let mean = norm.at.wide(norm.running.mean)?;
        let scale = inverse_deviation(&norm.at.wide(norm.running.variance)?)?;
        let y = norm.affine(x, &mean, &scale)?;
        match norm.after {
            After::Nothing => Ok(y),
            After::Relu => y.f_relu(),
            After::ReluAndPool => {
                let [pooled, _] = pool(&y.f_relu()?)?;
                Ok(pooled)
            }
        }
    }

    /// Ioffe & Szegedy 2015, section 3: with g the gradient at the output of the norm and x̂ the
    /// normalised input, dx = scale weight (g - mean(g) - x̂ mean(g x̂)).
    fn normalise_back(
        &self,
        norm: NormBack<'_>,
        output: Tensor,
    ) -> Result<(NormGradient, Option<Tensor>), TchError> {
        let NormBack { at, normed, .. } = norm;
        let g = normed.through(&output)?;
        let hat = normed.hat(at)?;
        let product = g.f_mul(&hat)?;
        at.put(norm.rows, &sum(&product)?, &sum(&g)?)?;

        let rest = g.f_sub(&mean(&g)?)?.f_sub(&hat.f_mul(&mean(&product)?)?)?;
        let input = rest
            .f_mul(&at.weight(norm.weights)?)?
            .f_mul(&at.wide(&normed.scale)?)?;
        Ok((NormGradient { output, input }, norm.residual.then_some(g)))
    }

    /// dx̂ = scale (dx - mean(dx) - x̂ mean(x̂ dx)), dy = x̂ dweight + dx̂ weight + dbias.
    fn tangent(
        &self,
        at: Channels,
        direction: Direction<'_>,
        normed: &Normed,
        dx: Tensor,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError> {
        let hat = normed.hat(at)?;
        let scale = at.wide(&normed.scale)?;
        let weight = at.weight(direction.weights)?;
        let [dweight, dbias] = at.views(direction.signs)?;
        let own_mean = mean(&dx)?;
        let product = mean(&hat.f_mul(&dx)?)?;

        let dhat = hat_derivative(&dx, &own_mean, &hat, &product, &scale)?;
        let dy = hat
            .f_mul(&dweight)?
            .f_add(&dhat.f_mul(&weight)?)?
            .f_add(&dbias)?;
        let mut dy = plus(dy, dresidual.map(Tensor::copy))?;

        // What follows the norm: the pool takes the derivatives of its maxima, and ReLU stops some.
        if let Some(from) = &normed.from {
            dy = dy.f_gather(2, from, false)?;
        }
        if normed.after != After::Nothing {
            dy = dy.f_mul(&passed_relu(&normed.y)?)?;
        }
        Ok(Tangent {
            dx,
            dy,
            mean: own_mean.f_flatten(0, -1)?,
            product: product.f_flatten(0, -1)?,
        })
    }

    fn tangent_back(
        &self,
        norm: TangentBack<'_>,
        doutput: &Tensor,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let TangentBack {
            at,
            direction,
            normed,
            tangent,
            ..
        } = norm;
        let g = normed.through(&norm.gradient.output)?;
        let dg = normed.through(doutput)?;
        let hat = normed.hat(at)?;
        let scale = at.wide(&normed.scale)?;
        let product = at.wide(&tangent.product)?;
        let dhat = hat_derivative(
            &tangent.dx,
            &at.wide(&tangent.mean)?,
            &hat,
            &product,
            &scale,
        )?;

        // d(g x̂) = dg x̂ + g dx̂.
        let both = dg.f_mul(&hat)?.f_add(&g.f_mul(&dhat)?)?;
        at.put(norm.rows, &sum(&both)?, &sum(&dg)?)?;

        // The factor before the bracket of `normalise_back`: d(scale) = -scale² mean(x̂ dx).
        let weight = at.weight(direction.weights)?.f_mul(&scale)?;
        let dweight = at
            .weight(direction.signs)?
            .f_mul(&scale)?
            .f_sub(&weight.f_mul(&scale)?.f_mul(&product)?)?;

        // The bracket and its derivative.
        let slope = mean(&g.f_mul(&hat)?)?;
        let rest = g.f_sub(&mean(&g)?)?.f_sub(&hat.f_mul(&slope)?)?;
        let drest = dg
            .f_sub(&mean(&dg)?)?
            .f_sub(&dhat.f_mul(&slope)?)?
            .f_sub(&hat.f_mul(&mean(&both)?)?)?;
        let dinput = rest.f_mul(&dweight)?.f_add(&drest.f_mul(&weight)?)?;
        Ok((dinput, norm.residual.then_some(dg)))
    }
}

/// The derivative of the normalised input: `scale (dx - mean - x̂ product)`.
fn hat_derivative(
    dx: &Tensor,
    mean: &Tensor,
    hat: &Tensor,
    product: &Tensor,
    scale: &Tensor,
) -> Result<Tensor, TchError> {
    dx.f_sub(mean)?.f_sub(&hat.f_mul(product)?)?.f_mul(scale)
}
