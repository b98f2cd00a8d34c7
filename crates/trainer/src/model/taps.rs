//! Dead and live taps. On 28x28 images layer4 works on maps of one pixel, so that only some taps of
//! its 3x3 kernels ever meet data instead of padding. Only these live taps are kept and trained.
//! `layers` builds such kernels, and the optimizers treat them accordingly.
//!
//! A parameter of three axes, `[O, I, T]`, holds the T live taps of the 3x3 kernels `[O, I, 3, 3]`.
//! The derivatives of a dead tap are zero at every order, and no optimizer moves it. Leaving it out
//! changes nothing, as long as the weights are drawn from the same stream and AdaHessian's mean
//! over the kernel still divides by nine.

use tch::{TchError, Tensor};

/// Number of taps of a 3x3 kernel.
pub(crate) const KERNEL: i64 = 9;

/// Places of the live taps on maps of one pixel.
pub(crate) const CENTRE: [usize; 1] = [4];

/// Places of the live taps on maps of 2x2 pixels with stride 2.
pub(crate) const LOWER_RIGHT: [usize; 4] = [4, 5, 7, 8];

/// Number of live taps of a 3x3 kernel with padding 1 on maps of that side; `None` if all are live.
pub(crate) fn live_count(side: i64, stride: i64) -> Option<i64> {
    match (side, stride) {
        (1, _) => Some(1),
        (2, 2) => Some(4),
        _ => None,
    }
}

/// The places of the live taps in their kernel, row by row: the centre, or the lower right 2x2.
pub(crate) fn live_places(taps: i64) -> &'static [usize] {
    match taps {
        1 => &CENTRE,
        4 => &LOWER_RIGHT,
        _ => panic!("no 3x3 kernel has {taps} live taps here"),
    }
}

/// The shape with the dead taps: `[O, I, T]` to `[O, I, 3, 3]`. Other shapes stay as they are.
pub(crate) fn full_shape(shape: &[i64]) -> Vec<i64> {
    match *shape {
        [outputs, inputs, _] => vec![outputs, inputs, 3, 3],
        _ => shape.to_vec(),
    }
}

/// The part of a drawn tensor that a parameter of that shape keeps: `[O, I, 3, 3]` to `[O, I, T]`.
/// Other tensors stay as they are.
///
/// # Errors
/// libtorch's.
pub(crate) fn keep_live(drawn: Tensor, shape: &[i64]) -> Result<Tensor, TchError> {
    let [outputs, inputs, taps] = *shape else {
        return Ok(drawn);
    };
    let places: Vec<i64> = live_places(taps)
        .iter()
        .map(|place| *place as i64)
        .collect();
    let places = Tensor::f_from_slice(&places)?.f_to_device(drawn.device())?;
    drawn
        .f_view([outputs, inputs, KERNEL])?
        .f_index_select(2, &places)
}

/// The inverse of `keep_live`: writes the live taps over those of `full`.
#[cfg(test)]
pub(crate) fn put_live(full: &Tensor, live: &Tensor) -> Tensor {
    let [outputs, inputs, taps] = live.size()[..] else {
        return live.shallow_clone();
    };
    let places: Vec<i64> = live_places(taps)
        .iter()
        .map(|place| *place as i64)
        .collect();
    let full = full.detach().copy();
    let _ = full.view([outputs, inputs, KERNEL]).index_copy_(
        2,
        &Tensor::from_slice(&places),
        &live.detach(),
    );
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_taps_are_those_that_meet_data() {
        for (side, stride) in [(1, 1), (2, 2)] {
            let maps = Tensor::ones([1, 1, side, side], tch::kind::FLOAT_CPU);
            let kernel = Tensor::ones([1, 1, 3, 3], tch::kind::FLOAT_CPU).set_requires_grad(true);
            let sum = maps
                .conv2d(
                    &kernel,
                    None::<&Tensor>,
                    [stride, stride],
                    [1, 1],
                    [1, 1],
                    1,
                )
                .sum(None);
            let gradient = Tensor::run_backward(&[sum], &[&kernel], false, false)
                .remove(0)
                .view(-1);
            let met: Vec<usize> = (0..9)
                .filter(|place| gradient.double_value(&[*place]) > 0.0)
                .map(|place| place as usize)
                .collect();
            assert_eq!(met, live_places(live_count(side, stride).unwrap()));
        }
    }

    #[test]
    fn keeping_and_putting_back_are_inverse() {
        let full = Tensor::arange(2 * 3 * 9, tch::kind::FLOAT_CPU).view([2, 3, 3, 3]);
        for (taps, last) in [(1, 49.0), (4, 53.0)] {
            let live = keep_live(full.shallow_clone(), &[2, 3, taps]).unwrap();
            assert_eq!(
                (live.size(), live.double_value(&[1, 2, taps - 1])),
                (vec![2, 3, taps], last)
            );
            assert_eq!(put_live(&full, &live), full);
            assert_eq!(full_shape(&live.size()), full.size());
        }
    }
}
