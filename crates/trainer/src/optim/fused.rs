//! Adam's move in one pass over memory, with AVX2: by libtorch's operations one by one it takes
//! some twenty, and is bound by them. For plain single-precision tensors on such a processor;
//! `adam` has the portable way for all others. The two agree to rounding.

use tch::{Device, Kind, TchError, Tensor};

use crate::processor::Avx2;

/// What a move needs besides the tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// 1 - β1: how far the first moment goes to the gradient.
    pub to_gradient: f32,
    /// β2.
    pub keep: f32,
    /// 1 - β2.
    pub to_square: f32,
    /// lr sqrt(1 - β2^n) / (1 - β1^n).
    pub rate: f32,
    /// eps sqrt(1 - β2^n).
    pub eps: f32,
}

/// The tensors of a move; all but the gradient are changed.
pub(super) struct Moved<'a> {
    /// The parameter.
    pub parameter: &'a Tensor,
    /// Its gradient.
    pub gradient: &'a Tensor,
    /// Its first moment.
    pub first: &'a mut Tensor,
    /// Its second moment.
    pub second: &'a mut Tensor,
}

/// Moves a parameter, if this is a way for it; says whether it was.
///
/// # Errors
/// libtorch's.
pub(super) fn adam(by: Move, moved: &mut Moved<'_>, avx2: Option<Avx2>) -> Result<bool, TchError> {
    if avx2.is_none() {
        return Ok(false);
    }
    let tensors = [
        moved.parameter,
        moved.gradient,
        &*moved.first,
        &*moved.second,
    ];
    for tensor in tensors {
        // Any order of the axes in memory will do, if it is the same for all.
        let plain =
            tensor.device() == Device::Cpu && tensor.f_kind()? == Kind::Float && is_dense(tensor);
        if !plain
            || tensor.size() != moved.parameter.size()
            || tensor.stride() != moved.parameter.stride()
        {
            return Ok(false);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        let count = moved.parameter.numel();
        let [parameter, gradient, first, second] =
            tensors.map(|tensor| tensor.data_ptr().cast::<f32>());
        if count > 0 {
            // SAFETY: tensors on the CPU without gaps hold `count` floats each, in the same order.
            // The parameter, its gradient and its moments are four separate buffers, and nothing else uses
            // them while this function runs: a trainer works on one thread.
            let (parameter, gradient, first, second) = unsafe {
                (
                    std::slice::from_raw_parts_mut(parameter, count),
                    std::slice::from_raw_parts(gradient, count),
                    std::slice::from_raw_parts_mut(first, count),
                    std::slice::from_raw_parts_mut(second, count),
                )
            };
            // SAFETY: the processor has AVX2 and FMA, of which `avx2` is the proof.
            unsafe { x86::adam(by, parameter, gradient, first, second) };
        }
    }
    Ok(true)
}

/// Whether the elements lie in memory without gaps and without sharing a place.
fn is_dense(tensor: &Tensor) -> bool {
    let mut axes: Vec<(i64, i64)> = tensor
        .stride()
        .into_iter()
        .zip(tensor.size())
        .filter(|(_, size)| *size != 1)
        .collect();
    axes.sort_unstable();
    axes.iter()
        .scan(1, |next, &(stride, size)| {
            Some(stride == std::mem::replace(next, *next * size))
        })
        .all(|is_next| is_next)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Move;
    use std::arch::x86_64::*;

    /// Floats in a vector.
    const LANES: usize = 8;

    /// The four have one length.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn adam(
        by: Move,
        parameter: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let all = |value| _mm256_set1_ps(value);
        let (to_gradient, keep, to_square) = (all(by.to_gradient), all(by.keep), all(by.to_square));
        let (rate, eps) = (all(by.rate), all(by.eps));
        let step =
            |p: &mut [f32; LANES], g: &[f32; LANES], m: &mut [f32; LANES], v: &mut [f32; LANES]| {
                // SAFETY: each is as long as a vector.
                let (old, grad, mean, square) = unsafe {
                    (
                        _mm256_loadu_ps(p.as_ptr()),
                        _mm256_loadu_ps(g.as_ptr()),
                        _mm256_loadu_ps(m.as_ptr()),
                        _mm256_loadu_ps(v.as_ptr()),
                    )
                };
                let mean = _mm256_fmadd_ps(to_gradient, _mm256_sub_ps(grad, mean), mean);
                let square = _mm256_fmadd_ps(
                    keep,
                    square,
                    _mm256_mul_ps(_mm256_mul_ps(to_square, grad), grad),
                );
                let size = _mm256_add_ps(_mm256_sqrt_ps(square), eps);
                let new = _mm256_sub_ps(old, _mm256_div_ps(_mm256_mul_ps(rate, mean), size));
                // SAFETY: as above.
                unsafe {
                    _mm256_storeu_ps(p.as_mut_ptr(), new);
                    _mm256_storeu_ps(m.as_mut_ptr(), mean);
                    _mm256_storeu_ps(v.as_mut_ptr(), square);
                }
            };
        let (parameters, parameter_rest) = parameter.as_chunks_mut();
        let (gradients, gradient_rest) = gradient.as_chunks();
        let (means, mean_rest) = first.as_chunks_mut();
        let (squares, square_rest) = second.as_chunks_mut();
        for (((p, g), m), v) in parameters.iter_mut().zip(gradients).zip(means).zip(squares) {
            step(p, g, m, v);
        }
        // What is left goes through a vector of its own, so that an element's place does not change
        // its rounding.
        let rest = parameter_rest.len();
        let padded = |values: &[f32]| {
            let mut vector = [0.0; LANES];
            vector[..rest].copy_from_slice(values);
            vector
        };
        let (mut p, g, mut m, mut v) = (
            padded(parameter_rest),
            padded(gradient_rest),
            padded(mean_rest),
            padded(square_rest),
        );
        step(&mut p, &g, &mut m, &mut v);
        parameter_rest.copy_from_slice(&p[..rest]);
        mean_rest.copy_from_slice(&m[..rest]);
        square_rest.copy_from_slice(&v[..rest]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::margins::assert_near;

    /// Against the formula in double precision, for lengths with and without a rest.
    #[test]
    fn the_move_is_adams() {
        one_thread();
        for count in [1_i64, 7, 8, 9, 64, 1001] {
            let wave = |phase: f64| {
                (Tensor::arange(count, tch::kind::DOUBLE_CPU) * 0.7 + phase)
                    .sin()
                    .to_kind(Kind::Float)
            };
            let (parameter, gradient, mut first, mut second) =
                (wave(0.0), wave(1.0), wave(2.0), wave(3.0).square());
            let by = Move {
                to_gradient: 0.1,
                keep: 0.999,
                to_square: 0.001,
                rate: 0.01,
                eps: 1e-4,
            };
            let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
            let [to_gradient, keep, to_square, rate, eps] =
                [0.1_f32, 0.999, 0.001, 0.01, 1e-4].map(f64::from);
            let mean = double(&first) + (double(&gradient) - double(&first)) * to_gradient;
            let square = double(&second) * keep + double(&gradient).square() * to_square;
            let expected = double(&parameter) - &mean * rate / (square.sqrt() + eps);
            let mut moved = Moved {
                parameter: &parameter,
                gradient: &gradient,
                first: &mut first,
                second: &mut second,
            };
            if !adam(by, &mut moved, Avx2::find()).unwrap() {
                return; // Another processor: the other way is tested in `adam`.
            }
            for (what, found, expected) in [
                ("parameter", &parameter, expected),
                ("mean", &first, mean),
                ("square", &second, square),
            ] {
                assert_near(format!("Adam's {what} of {count}"), found, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn other_tensors_are_left_alone() {
        let plain = Tensor::ones([6], tch::kind::FLOAT_CPU);
        let by = Move {
            to_gradient: 0.1,
            keep: 0.9,
            to_square: 0.1,
            rate: 1.0,
            eps: 1.0,
        };
        let every_second = Tensor::ones([12], tch::kind::FLOAT_CPU).slice(0, 0, 12, 2);
        for other in [
            plain.to_kind(Kind::Double),
            every_second,
            Tensor::ones([5], tch::kind::FLOAT_CPU),
        ] {
            let (mut first, mut second) = (plain.copy(), plain.copy());
            let mut moved = Moved {
                parameter: &plain,
                gradient: &other,
                first: &mut first,
                second: &mut second,
            };
            assert!(!adam(by, &mut moved, Avx2::find()).unwrap());
            assert!(plain == first && first == second, "nothing has changed");
        }
    }
}
