//! Helpers of the layers' tests.

use tch::Tensor;

use crate::margins::assert_near;

/// Different numbers in double precision, with gradients.
pub(super) fn wave(shape: &[i64]) -> Tensor {
    (Tensor::arange(shape.iter().product::<i64>(), tch::kind::DOUBLE_CPU) * 0.7)
        .sin()
        .view(shape)
        .set_requires_grad(true)
}

/// The output, the gradients of a value that depends on it nonlinearly, and the gradients of the
/// sum of their squares.
pub(super) fn derivatives(output: &Tensor, inputs: &[&Tensor]) -> Vec<Tensor> {
    let first = Tensor::run_backward(&[output.pow_tensor_scalar(3).sum(None)], inputs, true, true);
    let squares: Vec<Tensor> = first
        .iter()
        .map(|gradient| gradient.square().sum(None))
        .collect();
    let second = Tensor::run_backward(&squares, inputs, false, false);
    [output.shallow_clone()]
        .into_iter()
        .chain(first)
        .chain(second)
        .collect()
}

/// Asserts that tensors are equal in shape, and in value up to rounding.
pub(super) fn assert_same(found: &[Tensor], expected: &[Tensor]) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_near(
            format!("derivative {index} of a layer"),
            found,
            expected,
            1e-12,
        );
    }
}
