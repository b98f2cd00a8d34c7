//! 3x3 convolutions on maps of 2x2 and 4x4 pixels by fewer multiplications (Winograd 1980; Lavin &
//! Gray 2016). `layers` uses them.
//!
//! In one dimension and with zeros around the map, y_i = Σ_k g_k x_{i+k-1} is bilinear in kernel
//! and map:
//!
//! ```text
//! y = O ((K g) ∘ (I x)),   in two dimensions with O ⊗ O, K ⊗ K, I ⊗ I
//! ```
//!
//! The products between channels are then 9 matrix products instead of 16 for 2x2 pixels, and 36
//! instead of 100 for 4x4. The result is exact up to rounding, and made of matrix products alone,
//! so that derivatives of every order are too.

use tch::{Device, Kind, TchError, Tensor};

use super::taps;

/// The matrices I, K and O of one size, for two dimensions.
#[derive(Debug)]
pub(super) struct Bilinear {
    /// `[T, P]`: from P pixels to T products.
    input: Tensor,
    /// `[T, 9]`: from the kernel's taps.
    kernel: Tensor,
    /// `[P, T]`: from the products.
    output: Tensor,
}

/// I, K and O in one dimension, row by row.
type Matrices = [&'static [&'static [f64]]; 3];

/// A 2x2 Toeplitz matrix times a vector with three products: y_0 = g_1 (x_0 + x_1) + (g_2 - g_1)
/// x_1, and so y_1.
const TWO: Matrices = [
    &[&[1.0, 1.0], &[0.0, 1.0], &[1.0, 0.0]],
    &[&[0.0, 1.0, 0.0], &[0.0, -1.0, 1.0], &[1.0, -1.0, 0.0]],
    &[&[1.0, 1.0, 0.0], &[1.0, 0.0, 1.0]],
];

/// Toom and Cook's F(4, 3) at 0, ±3/4, ±3/2 and infinity. Of the points with small fractions these
/// round best: the error is 1e-6 of the norm in single precision, where a plain sum has 1.4e-7.
/// Scaled so that the entries of I and O are exact.
const FOUR: Matrices = [
    &[
        &[0.0, -2.8125, 0.0, 1.0],
        &[1.6875, 2.25, -0.75, -1.0],
        &[-1.6875, 2.25, 0.75, -1.0],
        &[-0.84375, -0.5625, 1.5, 1.0],
        &[0.84375, -0.5625, -1.5, 1.0],
        &[1.265625, 0.0, -2.8125, 0.0],
    ],
    &[
        &[64.0 / 81.0, 0.0, 0.0],
        &[128.0 / 243.0, 96.0 / 243.0, 72.0 / 243.0],
        &[128.0 / 243.0, -96.0 / 243.0, 72.0 / 243.0],
        &[32.0 / 243.0, 48.0 / 243.0, 72.0 / 243.0],
        &[32.0 / 243.0, -48.0 / 243.0, 72.0 / 243.0],
        &[0.0, 0.0, 1.0],
    ],
    &[
        &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        &[0.0, 0.75, -0.75, 1.5, -1.5, 0.0],
        &[0.0, 0.5625, 0.5625, 2.25, 2.25, 0.0],
        &[0.0, 0.421875, -0.421875, 3.375, -3.375, 1.0],
    ],
];

impl Bilinear {
    /// Whether there are matrices for maps of that side.
    pub(super) fn is_for_side(side: i64) -> bool {
        matches!(side, 2 | 4)
    }

    /// The matrices for maps of that side, if there are any.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn for_side(
        side: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Option<Self>, TchError> {
        let [input, kernel, output] = match side {
            2 => TWO,
            4 => FOUR,
            _ => return Ok(None),
        }
        .map(|rows| squared(rows, kind, device));
        Ok(Some(Self {
            input: input?,
            kernel: kernel?,
            output: output?,
        }))
    }

    /// The convolution of `[P, N, in]` (pixels row by row) with kernels `[out, in, 3, 3]`: `[P, N,
    /// out]`. Kernels that lie in memory tap by tap need no copy.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn convolve(&self, rows: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
        let (pixels, images, input) = rows.size3()?;
        let outputs = weight.size4()?.0;
        let products = self.output.size()[1];

        // Copied if it does not lie tap by tap: a product with the transposed view has a backward
        // pass that is six times slower.
        let by_tap = weight
            .f_view([outputs * input, taps::KERNEL])?
            .f_transpose(0, 1)?
            .f_contiguous()?;
        let kernels = self
            .kernel
            .f_mm(&by_tap)?
            .f_view([products, outputs, input])?;
        let maps = self
            .input
            .f_mm(&rows.f_reshape([pixels, images * input])?)?
            .f_view([products, images, input])?;

        let product = maps
            .f_bmm(&kernels.f_transpose(1, 2)?)?
            .f_view([products, images * outputs])?;
        self.output
            .f_mm(&product)?
            .f_view([pixels, images, outputs])
    }
}

/// The Kronecker product of a matrix with itself.
fn squared(rows: &[&[f64]], kind: Kind, device: Device) -> Result<Tensor, TchError> {
    let columns = rows.first().map_or(0, |row| row.len());
    let matrix =
        Tensor::f_from_slice(&rows.concat())?.f_view([rows.len() as i64, columns as i64])?;
    matrix.f_kron(&matrix)?.f_to_kind(kind)?.f_to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::margins::assert_near;
    use crate::model::testing::{assert_same, derivatives, wave};

    /// Values, derivatives and second derivatives are the convolution's.
    #[test]
    fn results_and_derivatives_are_the_convolutions() {
        one_thread();
        for side in [2, 4] {
            let x = wave(&[side * side, 7, 5]);
            let weight = wave(&[3, 5, 3, 3]);
            let maps = x.view([side, side, 7, 5]).permute([2, 3, 0, 1]);
            let expected = maps
                .conv2d(&weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)
                .permute([2, 3, 0, 1]);
            let way = Bilinear::for_side(side, Kind::Double, Device::Cpu)
                .unwrap()
                .unwrap();
            let found = way.convolve(&x, &weight).unwrap();
            let inputs = [&x, &weight];
            assert_same(
                &derivatives(&found, &inputs),
                &derivatives(&expected.reshape([side * side, 7, 3]), &inputs),
            );
        }
    }

    /// In single precision the rounding stays small.
    #[test]
    fn rounding_errors_stay_small_in_single_precision() {
        one_thread();
        let x = wave(&[16, 20, 64]).detach();
        let weight = wave(&[64, 64, 3, 3]).detach();
        let convolve = |kind| {
            let way = Bilinear::for_side(4, kind, Device::Cpu).unwrap().unwrap();
            way.convolve(&x.to_kind(kind), &weight.to_kind(kind))
                .unwrap()
                .to_kind(Kind::Double)
        };
        let single = convolve(Kind::Float);
        let double = convolve(Kind::Double);
        assert_near(
            "a convolution with fewer products, in single precision",
            &single,
            &double,
            3e-5,
        );
    }
}
