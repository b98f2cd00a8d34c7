//! Hutchinson's estimate of the Hessian's diagonal: E[z ∘ Hz] = diag(H) for z of independent random
//! signs (Bekas, Kokiopoulou & Saad 2007). AdaHessian uses one probe z for each step.

use tch::{TchError, Tensor};

use super::gradient::zeros_where_undefined;
use crate::model::taps;
use crate::rng::Stream;
use crate::tensors::filled;

/// The probes of one trial.
pub(crate) struct Probes {
    seed: u64,
}

impl Probes {
    /// The probes of that seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The random signs z for the parameters at a step (from 1), each tensor of its parameter's
    /// shape, kind and device. Drawn from the stream `hutchinson/<step>`: each parameter takes a
    /// bit for each element, and begins at a new 32-bit word. Dead taps take bits too, so z is the
    /// same with and without them.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn signs(&self, step: u64, parameters: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
        let mut stream = Stream::new(self.seed, &format!("hutchinson/{step}"));
        let mut all = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            // Three axes are the live taps of kernels, of which only these signs are needed.
            let shape = parameter.size();
            let signs = filled(&shape, |signs| match shape[..] {
                [_, _, 1] => stream.rademacher_at(taps::CENTRE, signs),
                [_, _, 4] => stream.rademacher_at(taps::LOWER_RIGHT, signs),
                _ => stream.rademacher(signs),
            })?;
            // Drawn on the CPU, so that every device gets the same signs.
            let signs = signs
                .f_to_device(parameter.device())?
                .f_to_kind(parameter.f_kind()?)?;
            all.push(signs);
        }
        Ok(all)
    }
}

/// Hz, the Hessian's product with z, by differentiating g·z. Frees the graph of the gradients.
///
/// # Errors
/// libtorch's.
pub(crate) fn hessian_product(
    gradients: &[Tensor],
    parameters: &[Tensor],
    signs: &[Tensor],
) -> Result<Vec<Tensor>, TchError> {
    // All products g·z at once: the engine adds up the derivatives of its roots. A gradient without
    // a graph is constant and adds nothing.
    let mut roots = Vec::with_capacity(gradients.len());
    for (gradient, signs) in gradients.iter().zip(signs) {
        if gradient.requires_grad() {
            roots.push(gradient.f_flatten(0, -1)?.f_dot(&signs.f_flatten(0, -1)?)?);
        }
    }
    if roots.is_empty() {
        return parameters.iter().map(Tensor::f_zeros_like).collect();
    }

    let derivatives = Tensor::f_run_backward(&roots, parameters, false, false)?;
    zeros_where_undefined(derivatives, parameters)
}

/// AdaHessian's D from Hz: the mean of |Hz| over a convolution kernel, `[O, I, H, W]` to `[O, I, 1,
/// 1]`; |Hz| itself for other tensors. Dead taps, whose Hz is zero, count in the mean: `[O, I, T]`
/// to `[O, I, 1]`, a ninth of the sum. Since every element of z is 1 or -1, |Hz| = |z ∘ Hz|.
///
/// # Errors
/// libtorch's.
pub(super) fn spatial_mean(product: &Tensor) -> Result<Tensor, TchError> {
    let sizes = product.f_abs()?;
    match product.size()[..] {
        [_, _, 1, 1] => Ok(sizes),
        [_, _, _] => sizes
            .f_sum_dim_intlist([2].as_slice(), true, None)?
            .f_div_scalar(taps::KERNEL as f64),
        [outputs, inputs, height, width] => {
            // Row sums as a product with ones: libtorch's mean over nine numbers takes three times
            // as long.
            let ones = Tensor::f_ones([height * width], (sizes.f_kind()?, sizes.device()))?;
            // Not a view: double backward leaves some products with their axes in another order in
            // memory.
            let sums = sizes
                .f_reshape([outputs * inputs, height * width])?
                .f_mv(&ones)?;
            sums.f_div_scalar((height * width) as f64)?
                .f_view([outputs, inputs, 1, 1])
        }
        _ => Ok(sizes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::gradients;
    use tch::Kind;

    /// f(x) = x'Ax / 2 + b'x with a symmetric A has the Hessian A everywhere.
    #[test]
    fn on_a_quadratic_it_is_the_product_with_the_hessian() {
        let hessian = Tensor::from_slice::<f64>(&[2.0, -1.0, 0.5, -1.0, 3.0, 4.0, 0.5, 4.0, -6.0])
            .view([3, 3]);
        let x = [Tensor::from_slice::<f64>(&[0.3, -0.7, 1.1]).set_requires_grad(true)];
        for step in 1..=8 {
            let loss = x[0].dot(&hessian.mv(&x[0])) * 0.5 + x[0].sum(None);
            let first = gradients(&loss, &x, true).unwrap();
            let signs = Probes::new(11).signs(step, &x).unwrap();
            let found = hessian_product(&first, &x, &signs).unwrap();
            assert_eq!(found[0], hessian.mv(&signs[0]), "step {step}");
        }
    }

    /// The signed probes average to the diagonal; here its sum, tr(H).
    #[test]
    fn probes_estimate_the_trace() {
        let hessian = Tensor::from_slice::<f64>(&[2.0, -1.0, 0.5, -1.0, 3.0, 4.0, 0.5, 4.0, -6.0])
            .view([3, 3]);
        let x = [Tensor::zeros([3], tch::kind::DOUBLE_CPU)];
        let estimate = |step| {
            Probes::new(2)
                .signs(step, &x)
                .map(|z| z[0].dot(&hessian.mv(&z[0])).double_value(&[]))
                .unwrap()
        };
        let mean = (1..=4000).map(estimate).sum::<f64>() / 4000.0;
        assert!((mean - -1.0).abs() < 0.6, "{mean}");
    }

    #[test]
    fn a_linear_function_has_no_curvature() {
        let x = [Tensor::from_slice::<f64>(&[1.0, 2.0]).set_requires_grad(true)];
        let first = gradients(&x[0].sum(None), &x, true).unwrap();
        let found = hessian_product(&first, &x, &Probes::new(0).signs(1, &x).unwrap()).unwrap();
        assert_eq!(Vec::<f64>::try_from(&found[0]).unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn kernels_are_averaged_and_nothing_else_is() {
        let product = Tensor::arange(36, tch::kind::DOUBLE_CPU).view([2, 2, 3, 3]);
        let mean = spatial_mean(&-product).unwrap();
        assert_eq!(mean.size(), [2, 2, 1, 1]);
        assert_eq!(
            Vec::<f64>::try_from(mean.flatten(0, -1)).unwrap(),
            [4.0, 13.0, 22.0, 31.0]
        );
        let linear = Tensor::arange(6, tch::kind::DOUBLE_CPU).view([2, 3]);
        assert_eq!(spatial_mean(&-&linear).unwrap(), linear);
    }

    #[test]
    fn each_parameter_begins_at_a_new_word() {
        let parameters = [
            Tensor::zeros([3], tch::kind::FLOAT_CPU),
            Tensor::zeros([2, 2], tch::kind::DOUBLE_CPU),
        ];
        let signs = Probes::new(4).signs(9, &parameters).unwrap();
        let mut expected = vec![0.0; 36];
        Stream::new(4, "hutchinson/9").rademacher(&mut expected);
        assert_eq!(Vec::<f32>::try_from(&signs[0]).unwrap(), expected[..3]);
        assert_eq!(signs[1].size(), [2, 2]);
        assert_eq!(
            Vec::<f32>::try_from(signs[1].to_kind(Kind::Float).flatten(0, -1)).unwrap(),
            expected[32..]
        );
    }
}
