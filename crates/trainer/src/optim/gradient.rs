//! First derivatives by libtorch's autograd engine. `.grad` fields are never used, so no parameter
//! keeps a graph alive: it is freed with the returned tensors.

use tch::{TchError, Tensor};

/// Gradients of a scalar loss, in the parameters' order. With `differentiable`, each carries its
/// own graph (twice the memory and time) and can be differentiated once more.
///
/// # Errors
/// libtorch's.
pub(crate) fn gradients(
    loss: &Tensor,
    parameters: &[Tensor],
    differentiable: bool,
) -> Result<Vec<Tensor>, TchError> {
    let derivatives = Tensor::f_run_backward(&[loss], parameters, differentiable, differentiable)?;
    zeros_where_undefined(derivatives, parameters)
}

/// Replaces undefined tensors by zeros: libtorch returns them for parameters that the result does
/// not depend on.
pub(super) fn zeros_where_undefined(
    derivatives: Vec<Tensor>,
    parameters: &[Tensor],
) -> Result<Vec<Tensor>, TchError> {
    derivatives
        .into_iter()
        .zip(parameters)
        .map(|(derivative, parameter)| {
            if derivative.defined() {
                Ok(derivative)
            } else {
                parameter.f_zeros_like()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_without_influence_has_gradient_zero() {
        let parameters = [[2.0, 3.0], [5.0, 7.0]]
            .map(|values| Tensor::from_slice::<f64>(&values).set_requires_grad(true));
        let gradients = gradients(
            &(&parameters[0] * &parameters[0]).sum(None),
            &parameters,
            false,
        )
        .unwrap();
        assert_eq!(Vec::<f64>::try_from(&gradients[0]).unwrap(), [4.0, 6.0]);
        assert_eq!(Vec::<f64>::try_from(&gradients[1]).unwrap(), [0.0, 0.0]);
        assert!(!parameters[0].grad().defined());
    }
}
