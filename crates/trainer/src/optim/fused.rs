//! Adam's step in one pass over memory, with AVX2. libtorch's operations one by one take about
//! twenty passes, which limit their speed. For dense single-precision tensors on a processor with
//! AVX2; `adam` has portable code for all others. The two agree up to rounding.

use tch::{Device, Kind, TchError, Tensor};

use crate::processor::Avx2;

/// The numbers of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coefficients {
    /// 1 - β1: weight of the gradient in the first moment.
    pub gradient_weight: f32,
    /// β2.
    pub decay: f32,
    /// 1 - β2: weight of the gradient's square in the second moment.
    pub square_weight: f32,
    /// lr sqrt(1 - β2^n) / (1 - β1^n).
    pub rate: f32,
    /// eps sqrt(1 - β2^n).
    pub eps: f32,
}

/// The tensors of a step. All but the gradient are changed.
pub(super) struct Tensors<'a> {
    /// The parameter.
    pub parameter: &'a Tensor,
    /// Its gradient.
    pub gradient: &'a Tensor,
    /// Its first moment.
    pub first: &'a mut Tensor,
    /// Its second moment.
    pub second: &'a mut Tensor,
}

/// Takes a step for a parameter if its tensors are suitable. Returns whether they are.
///
/// # Errors
/// libtorch's.
pub(super) fn adam(
    by: Coefficients,
    tensors: &mut Tensors<'_>,
    avx2: Option<Avx2>,
) -> Result<bool, TchError> {
    if avx2.is_none() {
        return Ok(false);
    }

    // Any order of the axes in memory will do, if it is the same for all.
    let parameter = tensors.parameter;
    let all = [
        parameter,
        tensors.gradient,
        &*tensors.first,
        &*tensors.second,
    ];
    for tensor in all {
        let is_plain =
            tensor.device() == Device::Cpu && tensor.f_kind()? == Kind::Float && is_dense(tensor);
        let is_like_parameter =
            tensor.size() == parameter.size() && tensor.stride() == parameter.stride();
        if !is_plain || !is_like_parameter {
            return Ok(false);
        }
    }

    #[cfg(target_arch = "x86_64")]
    if parameter.numel() > 0 {
        let count = parameter.numel();
        let [parameter, gradient, first, second] =
            all.map(|tensor| tensor.data_ptr().cast::<f32>());
        // SAFETY: tensors on the CPU without gaps hold `count` floats each, in the same order. The
        // parameter, its gradient and its moments are four separate buffers, and nothing else uses
        // them while this function runs: a trainer works on one thread. The processor has AVX2 and
        // FMA, of which `avx2` is the proof.
        unsafe {
            let parameter = std::slice::from_raw_parts_mut(parameter, count);
            let gradient = std::slice::from_raw_parts(gradient, count);
            let first = std::slice::from_raw_parts_mut(first, count);
            let second = std::slice::from_raw_parts_mut(second, count);
            x86::adam(by, parameter, gradient, first, second);
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

    // From the innermost axis on, each stride is the number of elements within.
    let mut elements = 1;
    for (stride, size) in axes {
        if stride != elements {
            return false;
        }
        elements *= size;
    }
    true
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Coefficients;
    use std::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps,
        _mm256_set1_ps, _mm256_sqrt_ps, _mm256_storeu_ps, _mm256_sub_ps,
    };

    /// Floats in a vector.
    const LANES: usize = 8;

    /// The coefficients, each repeated in all lanes of a vector.
    #[derive(Clone, Copy)]
    struct Vectors {
        gradient_weight: __m256,
        decay: __m256,
        square_weight: __m256,
        rate: __m256,
        eps: __m256,
    }

    /// One vector of each tensor. All but the gradient are changed.
    struct Lanes<'a> {
        parameter: &'a mut [f32; LANES],
        gradient: &'a [f32; LANES],
        first: &'a mut [f32; LANES],
        second: &'a mut [f32; LANES],
    }

    /// Takes the step for eight elements.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn step(by: Vectors, lanes: Lanes<'_>) {
        // SAFETY: each array is as long as a vector.
        let parameter = unsafe { _mm256_loadu_ps(lanes.parameter.as_ptr()) };
        // SAFETY: as above.
        let gradient = unsafe { _mm256_loadu_ps(lanes.gradient.as_ptr()) };
        // SAFETY: as above.
        let mean = unsafe { _mm256_loadu_ps(lanes.first.as_ptr()) };
        // SAFETY: as above.
        let square = unsafe { _mm256_loadu_ps(lanes.second.as_ptr()) };

        // m + (1 - β1) (g - m), then β2 v + (1 - β2) g².
        let difference = _mm256_sub_ps(gradient, mean);
        let mean = _mm256_fmadd_ps(by.gradient_weight, difference, mean);
        let own_square = _mm256_mul_ps(_mm256_mul_ps(by.square_weight, gradient), gradient);
        let square = _mm256_fmadd_ps(by.decay, square, own_square);
        // p - rate m / (sqrt(v) + eps).
        let size = _mm256_add_ps(_mm256_sqrt_ps(square), by.eps);
        let change = _mm256_div_ps(_mm256_mul_ps(by.rate, mean), size);
        let parameter = _mm256_sub_ps(parameter, change);

        // SAFETY: each array is as long as a vector.
        unsafe {
            _mm256_storeu_ps(lanes.parameter.as_mut_ptr(), parameter);
            _mm256_storeu_ps(lanes.first.as_mut_ptr(), mean);
            _mm256_storeu_ps(lanes.second.as_mut_ptr(), square);
        }
    }

    /// The values, followed by zeros.
    fn padded(values: &[f32]) -> [f32; LANES] {
        let mut vector = [0.0; LANES];
        vector[..values.len()].copy_from_slice(values);
        vector
    }

    /// Takes the step for all elements. The four slices have one length.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn adam(
        by: Coefficients,
        parameter: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let by = Vectors {
            gradient_weight: _mm256_set1_ps(by.gradient_weight),
            decay: _mm256_set1_ps(by.decay),
            square_weight: _mm256_set1_ps(by.square_weight),
            rate: _mm256_set1_ps(by.rate),
            eps: _mm256_set1_ps(by.eps),
        };
        let (parameters, parameter_rest) = parameter.as_chunks_mut();
        let (gradients, gradient_rest) = gradient.as_chunks();
        let (means, mean_rest) = first.as_chunks_mut();
        let (squares, square_rest) = second.as_chunks_mut();
        let vectors = parameters.iter_mut().zip(gradients).zip(means).zip(squares);
        for (((parameter, gradient), first), second) in vectors {
            let lanes = Lanes {
                parameter,
                gradient,
                first,
                second,
            };
            step(by, lanes);
        }

        // The rest goes through a vector too, so that an element's place does not change its
        // rounding.
        let rest = parameter_rest.len();
        let mut parameter = padded(parameter_rest);
        let mut first = padded(mean_rest);
        let mut second = padded(square_rest);
        let lanes = Lanes {
            parameter: &mut parameter,
            gradient: &padded(gradient_rest),
            first: &mut first,
            second: &mut second,
        };
        step(by, lanes);
        parameter_rest.copy_from_slice(&parameter[..rest]);
        mean_rest.copy_from_slice(&first[..rest]);
        square_rest.copy_from_slice(&second[..rest]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::margins::assert_near;

    /// Against the formula in double precision, for lengths with and without a rest.
    #[test]
    fn a_step_is_adams() {
        one_thread();
        for count in [1_i64, 7, 8, 9, 64, 1001] {
            let wave = |phase: f64| {
                (Tensor::arange(count, tch::kind::DOUBLE_CPU) * 0.7 + phase)
                    .sin()
                    .to_kind(Kind::Float)
            };
            let parameter = wave(0.0);
            let gradient = wave(1.0);
            let mut first = wave(2.0);
            let mut second = wave(3.0).square();
            let by = Coefficients {
                gradient_weight: 0.1,
                decay: 0.999,
                square_weight: 0.001,
                rate: 0.01,
                eps: 1e-4,
            };
            let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
            let [to_gradient, keep, to_square, rate, eps] =
                [0.1_f32, 0.999, 0.001, 0.01, 1e-4].map(f64::from);
            let mean = double(&first) + (double(&gradient) - double(&first)) * to_gradient;
            let square = double(&second) * keep + double(&gradient).square() * to_square;
            let expected = double(&parameter) - &mean * rate / (square.sqrt() + eps);
            let mut tensors = Tensors {
                parameter: &parameter,
                gradient: &gradient,
                first: &mut first,
                second: &mut second,
            };
            if !adam(by, &mut tensors, Avx2::find()).unwrap() {
                return; // This processor has no AVX2. The portable code is tested in `adam`.
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
        let by = Coefficients {
            gradient_weight: 0.1,
            decay: 0.9,
            square_weight: 0.1,
            rate: 1.0,
            eps: 1.0,
        };
        let every_second = Tensor::ones([12], tch::kind::FLOAT_CPU).slice(0, 0, 12, 2);
        for other in [
            plain.to_kind(Kind::Double),
            every_second,
            Tensor::ones([5], tch::kind::FLOAT_CPU),
        ] {
            let mut first = plain.copy();
            let mut second = plain.copy();
            let mut tensors = Tensors {
                parameter: &plain,
                gradient: &other,
                first: &mut first,
                second: &mut second,
            };
            assert!(!adam(by, &mut tensors, Avx2::find()).unwrap());
            assert!(plain == first && first == second, "nothing has changed");
        }
    }
}
