//! `Operations` in libtorch's words, for any device and precision: what the kernels are to compute.

use tch::{TchError, Tensor};

use super::operations::{After, Channels, Normed, Operations, Slopes, Square, Tangent};
use crate::pack::convolution::columns;

/// libtorch.
pub struct Reference;

impl Square {
    /// Its part of rows for so many models, `[K, out, in, 3, 3]`.
    fn kernels(self, rows: &Tensor, models: i64) -> Result<Tensor, TchError> {
        let part = rows.f_narrow(1, self.offset, self.output * self.input * 9)?;
        part.f_view([-1, self.output, self.input, 3, 3])?
            .f_expand([models, self.output, self.input, 3, 3], false)
    }
}

impl Channels {
    /// Weight and bias in rows, as `[K, C, 1, 1]`.
    fn of(self, rows: &Tensor) -> Result<[Tensor; 2], TchError> {
        let part = |offset| {
            rows.f_narrow(1, offset, self.count)?
                .f_view([-1, self.count, 1, 1])
        };
        Ok([part(self.weight)?, part(self.bias)?])
    }

    fn wide(self, statistic: &Tensor) -> Result<Tensor, TchError> {
        statistic.f_view([-1, self.count, 1, 1])
    }

    fn put(self, rows: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        let [mut own_weight, mut own_bias] = self.of(rows)?;
        own_weight.f_copy_(weight)?;
        own_bias.f_copy_(bias)
    }
}

fn plus(value: Tensor, onto: Option<Tensor>) -> Result<Tensor, TchError> {
    onto.map_or(Ok(value.shallow_clone()), |mut onto| onto.f_add_(&value))
}

/// Over pixels and images of each channel.
fn mean(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_mean_dim([2, 3].as_slice(), true, None)
}

fn sum(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_sum_dim_intlist([2, 3].as_slice(), true, None)
}

/// The pool of maps `[K, C, 14 14, N]`, and where each number came from.
fn pool(x: &Tensor) -> Result<[Tensor; 2], TchError> {
    let [models, channels, _, images] =
        <[i64; 4]>::try_from(x.size()).map_err(|_| TchError::Shape("maps".to_owned()))?;
    let maps = x
        .f_view([models * channels, 14, 14, images])?
        .f_permute([0, 3, 1, 2])?;
    let (y, from) = maps.f_max_pool2d_with_indices([3, 3], [2, 2], [1, 1], [1, 1], false)?;
    let back = |pooled: Tensor| {
        pooled
            .f_permute([0, 2, 3, 1])?
            .f_contiguous()?
            .f_view([models, channels, 49, images])
    };
    Ok([back(y)?, back(from)?])
}

impl Normed {
    fn hat(&self, at: Channels) -> Result<Tensor, TchError> {
        self.x
            .f_sub(&at.wide(&self.mean)?)?
            .f_mul(&at.wide(&self.scale)?)
    }

    /// What relu let through of something at the output; what the pool took goes to where it came
    /// from.
    fn through(&self, arrived: &Tensor) -> Result<Tensor, TchError> {
        if self.after == After::Nothing {
            return Ok(arrived.shallow_clone());
        }
        let own = arrived.f_mul(&self.y.f_le(0.0)?.f_logical_not()?)?;
        match &self.from {
            Some(from) => self.x.f_zeros_like()?.f_scatter_add(2, from, &own),
            None => Ok(own),
        }
    }
}

impl Operations for Reference {
    fn serves(&self, _: i64) -> bool {
        true
    }

    fn convolve(
        &self,
        conv: Square,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let size = x.size();
        let x = columns(
            &x.f_view([size[0], conv.input, conv.side, conv.side, size[3]])?,
            3,
            conv.stride,
        )?;
        let out = conv
            .kernels(weights, size[0])?
            .f_reshape([size[0], conv.output, -1])?
            .f_bmm(&x)?;
        plus(out.f_view([size[0], conv.output, -1, size[3]])?, onto)
    }

    fn convolve_back(
        &self,
        conv: Square,
        weights: &Tensor,
        slopes: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let (models, images, side) = (slopes.size()[0], slopes.size()[3], conv.side_out());
        let maps = slopes
            .f_view([models * conv.output, side, side, images])?
            .f_permute([3, 0, 1, 2])?;
        let kernels =
            conv.kernels(weights, models)?
                .f_reshape([models * conv.output, conv.input, 3, 3])?;
        let rest = conv.side - ((side - 1) * conv.stride + 1);
        let stride = [conv.stride; 2];
        let x = maps.f_conv_transpose2d(
            &kernels,
            None::<Tensor>,
            stride,
            [1, 1],
            [rest, rest],
            models,
            [1, 1],
        )?;
        plus(
            x.f_permute([1, 2, 3, 0])?
                .f_contiguous()?
                .f_view([models, conv.input, -1, images])?,
            onto,
        )
    }

    fn convolve_gradient(
        &self,
        conv: Square,
        x: &Tensor,
        slopes: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        let size = x.size();
        let x = columns(
            &x.f_view([size[0], conv.input, conv.side, conv.side, size[3]])?,
            3,
            conv.stride,
        )?;
        let own = slopes
            .f_view([size[0], conv.output, -1])?
            .f_bmm(&x.f_transpose(1, 2)?)?;
        let mut part = rows.f_narrow(1, conv.offset, conv.output * conv.input * 9)?;
        let own = own.f_view([size[0], -1])?;
        if add {
            part.f_add_(&own).map(drop)
        } else {
            part.f_copy_(&own)
        }
    }

    fn normalise(
        &self,
        at: Channels,
        weights: &Tensor,
        x: Tensor,
        residual: Option<&Tensor>,
        [running_mean, running_var]: [&Tensor; 2],
        after: After,
    ) -> Result<Normed, TchError> {
        let count = (x.size()[2] * x.size()[3]) as f64;
        let own = mean(&x)?;
        let var = mean(&x.f_sub(&own)?.f_square()?)?;
        let scale = var.f_add_scalar(1e-5)?.f_rsqrt()?;
        for (running, value) in [
            (running_mean, &own),
            (running_var, &var.f_mul_scalar(count / (count - 1.0))?),
        ] {
            let _ = running
                .shallow_clone()
                .f_mul_scalar_(0.9)?
                .f_add_(&value.f_mul_scalar(0.1)?.f_view_as(running)?)?;
        }
        let [weight, bias] = at.of(weights)?;
        let mut y = plus(
            x.f_sub(&own)?.f_mul(&scale)?.f_mul(&weight)?.f_add(&bias)?,
            residual.map(Tensor::copy),
        )?;
        let mut from = None;
        if after != After::Nothing {
            y = y.f_relu()?;
        }
        if after == After::ReluAndPool {
            let [pooled, places] = pool(&y)?;
            (y, from) = (pooled, Some(places));
        }
        Ok(Normed {
            x,
            y,
            mean: own.f_flatten(0, -1)?,
            scale: scale.f_flatten(0, -1)?,
            from,
            after,
        })
    }

    fn normalise_by_running(
        &self,
        at: Channels,
        weights: &Tensor,
        x: &Tensor,
        residual: Option<&Tensor>,
        [running_mean, running_var]: [&Tensor; 2],
        after: After,
    ) -> Result<Tensor, TchError> {
        let [weight, bias] = at.of(weights)?;
        let scale = at.wide(running_var)?.f_add_scalar(1e-5)?.f_rsqrt()?;
        let y = x
            .f_sub(&at.wide(running_mean)?)?
            .f_mul(&scale)?
            .f_mul(&weight)?
            .f_add(&bias)?;
        let y = plus(y, residual.map(Tensor::copy))?;
        match after {
            After::Nothing => Ok(y),
            After::Relu => y.f_relu(),
            After::ReluAndPool => pool(&y.f_relu()?).map(|[y, _]| y),
        }
    }

    fn normalise_back(
        &self,
        at: Channels,
        weights: &Tensor,
        normed: &Normed,
        arrived: Tensor,
        rows: &Tensor,
        residual: bool,
    ) -> Result<(Slopes, Option<Tensor>), TchError> {
        let (g, hat) = (normed.through(&arrived)?, normed.hat(at)?);
        let product = g.f_mul(&hat)?;
        at.put(rows, &sum(&product)?, &sum(&g)?)?;
        let rest = g.f_sub(&mean(&g)?)?.f_sub(&hat.f_mul(&mean(&product)?)?)?;
        let dx = rest
            .f_mul(&at.of(weights)?[0])?
            .f_mul(&at.wide(&normed.scale)?)?;
        Ok((Slopes { arrived, dx }, residual.then_some(g)))
    }

    fn tangent(
        &self,
        at: Channels,
        [weights, signs]: [&Tensor; 2],
        normed: &Normed,
        dx: Tensor,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError> {
        let (hat, scale) = (normed.hat(at)?, at.wide(&normed.scale)?);
        let [weight, _] = at.of(weights)?;
        let [dweight, dbias] = at.of(signs)?;
        let (own, product) = (mean(&dx)?, mean(&hat.f_mul(&dx)?)?);
        let dhat = dx
            .f_sub(&own)?
            .f_sub(&hat.f_mul(&product)?)?
            .f_mul(&scale)?;
        let dy = hat
            .f_mul(&dweight)?
            .f_add(&dhat.f_mul(&weight)?)?
            .f_add(&dbias)?;
        let mut dy = plus(dy, dresidual.map(Tensor::copy))?;
        if let Some(from) = &normed.from {
            dy = dy.f_gather(2, from, false)?;
        }
        if normed.after != After::Nothing {
            dy = dy.f_mul(&normed.y.f_le(0.0)?.f_logical_not()?)?;
        }
        Ok(Tangent {
            dx,
            dy,
            mean: own.f_flatten(0, -1)?,
            product: product.f_flatten(0, -1)?,
        })
    }

    fn tangent_back(
        &self,
        at: Channels,
        [weights, signs]: [&Tensor; 2],
        (normed, tangent): (&Normed, &Tangent),
        (slopes, darrived): (&Slopes, &Tensor),
        rows: &Tensor,
        residual: bool,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let (g, dg, hat) = (
            normed.through(&slopes.arrived)?,
            normed.through(darrived)?,
            normed.hat(at)?,
        );
        let (scale, product) = (at.wide(&normed.scale)?, at.wide(&tangent.product)?);
        let dhat = tangent
            .dx
            .f_sub(&at.wide(&tangent.mean)?)?
            .f_sub(&hat.f_mul(&product)?)?
            .f_mul(&scale)?;
        let both = dg.f_mul(&hat)?.f_add(&g.f_mul(&dhat)?)?;
        at.put(rows, &sum(&both)?, &sum(&dg)?)?;
        let weight = at.of(weights)?[0].f_mul(&scale)?;
        // The scale's derivative is -scale² product.
        let dweight = at.of(signs)?[0]
            .f_mul(&scale)?
            .f_sub(&weight.f_mul(&scale)?.f_mul(&product)?)?;
        let slope = mean(&g.f_mul(&hat)?)?;
        let rest = g.f_sub(&mean(&g)?)?.f_sub(&hat.f_mul(&slope)?)?;
        let drest = dg
            .f_sub(&mean(&dg)?)?
            .f_sub(&dhat.f_mul(&slope)?)?
            .f_sub(&hat.f_mul(&mean(&both)?)?)?;
        Ok((
            rest.f_mul(&dweight)?.f_add(&drest.f_mul(&weight)?)?,
            residual.then_some(dg),
        ))
    }
}
