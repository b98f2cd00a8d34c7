//! A few tensor helpers that tch lacks. Used by the model and the optimizers.

use tch::{NoGradGuard, TchError, Tensor, kind};

/// A copy that shares no memory with the tensor and has no history.
///
/// # Errors
/// libtorch's.
pub(crate) fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let _guard = without_grad();
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}

/// A number as a tensor without axes, of the kind and on the device of `like`. tch has no `alpha=`
/// or `value=` arguments; `addcmul` with such a scalar is `x + a y` in one pass over memory.
///
/// # Errors
/// libtorch's.
pub(crate) fn scalar(value: f64, like: &Tensor) -> Result<Tensor, TchError> {
    Tensor::f_full(&[] as &[i64], value, (like.f_kind()?, like.device()))
}

/// Stops the recording of gradients until the guard is dropped, also by a panic. `tch::no_grad`
/// would leave it off then.
pub(crate) fn without_grad() -> NoGradGuard {
    tch::no_grad_guard()
}

/// A new single-precision tensor of that shape on the CPU, written in place by `fill`.
///
/// # Errors
/// libtorch's.
pub(crate) fn filled(shape: &[i64], fill: impl FnOnce(&mut [f32])) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_zeros(shape, kind::FLOAT_CPU)?;
    if tensor.numel() > 0 {
        // SAFETY: a new tensor on the CPU is contiguous, holds `numel` initialised floats, and
        // nothing else refers to it yet.
        fill(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) });
    }
    Ok(tensor)
}
