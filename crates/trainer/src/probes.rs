//! Spectral norms (largest singular values) of the loss's gradient for the first convolution and
//! the last layer, as means over an epoch's batches. The training loop passes in each batch's
//! gradients.

use tch::{Kind, TchError, Tensor};

use crate::tensors::without_grad;

/// Number of batches whose norms are computed together: many small matrices at once cost little
/// more than a few.
const BATCHES_AT_ONCE: usize = 256;

/// Maximum number of matrices whose norms are computed together. cuSOLVER 12 fails with an internal
/// error at 76,800 matrices of 7x7.
const MAX_MATRICES: i64 = 32_768;

/// The means over the batches of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GradientNorms {
    /// Norm of conv1's gradient: the mean over its filters, each of which is a matrix.
    pub conv1: f64,
    /// Norm of fc's gradient.
    pub fc: f64,
}

/// Collects the gradients of an epoch.
#[derive(Default)]
pub(crate) struct GradientProbe {
    /// Gradients of conv1 whose norms are not computed yet, `[out, 1, k, k]` each.
    conv1: Vec<Tensor>,
    /// Gradients of fc, likewise, `[classes, features]` each.
    fc: Vec<Tensor>,
    /// Sum of conv1's norms that are computed.
    conv1_sum: f64,
    /// Sum of fc's norms that are computed.
    fc_sum: f64,
    /// Number of batches in the sums.
    batches: usize,
}

impl GradientProbe {
    /// Takes in a batch's gradients, which are in the order of the network's parameters: the first
    /// one is that of conv1's weight, the last but one that of fc's. Mostly keeps these two tensors
    /// for later, because the steps are timed.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn add(&mut self, gradients: &[Tensor]) -> Result<(), TchError> {
        if let [conv1, .., fc, _] = gradients {
            self.conv1.push(conv1.f_detach()?);
            self.fc.push(fc.f_detach()?);
        }
        if self.conv1.len() >= BATCHES_AT_ONCE {
            self.compute()
        } else {
            Ok(())
        }
    }

    /// The means over all batches since the last call. NaN where a gradient is not finite.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn take(&mut self) -> Result<GradientNorms, TchError> {
        self.compute()?;
        let count = self.batches as f64;
        let norms = GradientNorms {
            conv1: self.conv1_sum / count,
            fc: self.fc_sum / count,
        };
        *self = Self::default();
        Ok(norms)
    }

    /// Computes the norms of the gradients that wait, and adds them to the sums.
    fn compute(&mut self) -> Result<(), TchError> {
        if self.conv1.is_empty() {
            return Ok(());
        }
        let _guard = without_grad();

        // Each filter is a matrix. The mean is over the filters of a batch.
        let filters = Tensor::f_cat(&self.conv1, 0)?.f_squeeze_dim(1)?;
        let filters_per_batch = filters.size()[0] / self.conv1.len() as i64;
        let norms = spectral_norms(&filters)?;
        self.conv1_sum +=
            norms.f_sum(Kind::Double)?.f_double_value(&[])? / filters_per_batch as f64;

        // fc is one matrix for each batch.
        let norms = spectral_norms(&Tensor::f_stack(&self.fc, 0)?)?;
        self.fc_sum += norms.f_sum(Kind::Double)?.f_double_value(&[])?;

        self.batches += self.conv1.len();
        self.conv1.clear();
        self.fc.clear();
        Ok(())
    }
}

/// The largest singular value of each matrix, `[N, rows, columns]` with rows ≤ columns to `[N]`:
/// the square root of the largest eigenvalue of G Gᵀ. Computed in double precision, so that
/// squaring loses no digit of the gradients. A matrix that is not finite has the norm NaN; LAPACK
/// would refuse all matrices because of it.
///
/// # Errors
/// libtorch's.
pub(crate) fn spectral_norms(matrices: &Tensor) -> Result<Tensor, TchError> {
    if matrices.size()[0] > MAX_MATRICES {
        let norms: Vec<Tensor> = matrices
            .f_split(MAX_MATRICES, 0)?
            .iter()
            .map(spectral_norms)
            .collect::<Result<_, _>>()?;
        return Tensor::f_cat(&norms, 0);
    }

    let matrices = matrices.f_to_kind(Kind::Double)?;
    let squares = matrices.f_bmm(&matrices.f_transpose(1, 2)?)?;
    let unusable = squares
        .f_isfinite()?
        .f_logical_not()?
        .f_flatten(1, 2)?
        .f_any_dim(1, false)?;
    let usable = squares.f_masked_fill(&unusable.f_view([-1, 1, 1])?, 0.0)?;
    // Ascending; rounding may leave the largest of a matrix of zeros a little below zero.
    let largest = usable
        .f_linalg_eigvalsh("L")?
        .f_select(1, -1)?
        .f_clamp_min(0.0)?;
    largest.f_sqrt()?.f_masked_fill(&unusable, f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::margins::{assert_ratio, assert_within};
    use tch::Device;

    /// torch.linalg.matrix_norm(ord=2) under its older name. It is computed differently, by a
    /// singular value decomposition.
    fn reference(matrices: &Tensor) -> Tensor {
        matrices.linalg_norm(2.0, [-2, -1].as_slice(), false, Kind::Double)
    }

    /// Matrices like those of gradients: of six orders of magnitude, and some of low rank.
    fn matrices(count: i64, rows: i64, columns: i64, kind: Kind) -> Tensor {
        let numbers = Tensor::arange(count * rows * columns, (Kind::Double, Device::Cpu)) * 12.9898;
        let matrices = (numbers.sin() * 43758.5453)
            .frac()
            .view([count, rows, columns]);
        let sizes = Tensor::from(10.0)
            .pow(&(Tensor::arange(count, (Kind::Double, Device::Cpu)).fmod(6.0) - 5.0));
        let matrices = matrices * sizes.view([count, 1, 1]);
        let _ = matrices.get(0).fill_(0.0);
        let _ = matrices.get(1).narrow(0, 1, rows - 1).fill_(0.0);
        matrices.to_kind(kind)
    }

    #[test]
    fn they_are_torchs_matrix_norms() {
        one_thread();
        for kind in [Kind::Float, Kind::Double] {
            for matrices in [matrices(64, 7, 7, kind), matrices(12, 10, 512, kind)] {
                let found = spectral_norms(&matrices).unwrap();
                let expected = reference(&matrices.to_kind(Kind::Double));
                // The first matrix is zero. Of the others the relative error counts, because their
                // norms are of many orders of magnitude.
                assert_within(
                    "spectral norm of zeros",
                    found.double_value(&[0]).max(expected.double_value(&[0])),
                    1e-12,
                );
                let [found, expected] =
                    [found, expected].map(|norms| norms.narrow(0, 1, norms.size()[0] - 1));
                let apart = (found / expected - 1.0).abs().max().double_value(&[]);
                assert_within(format!("spectral norms, {kind:?}"), apart, 1e-11);
            }
        }
    }

    /// Gradients of conv1 and fc for N batches, `[N, 64, 1, 7, 7]` and `[N, 10, 512]`.
    fn batches(count: i64) -> [Tensor; 2] {
        let conv1 = matrices(64 * count, 7, 7, Kind::Float).view([count, 64, 1, 7, 7]);
        [conv1, matrices(count, 10, 512, Kind::Float)]
    }

    /// The gradients of one batch, in the order of the network's parameters.
    fn gradients(all: &[Tensor; 2], batch: i64) -> Vec<Tensor> {
        let [conv1, fc] = all;
        vec![
            conv1.get(batch),
            Tensor::zeros([64], tch::kind::FLOAT_CPU),
            fc.get(batch),
            Tensor::zeros([10], tch::kind::FLOAT_CPU),
        ]
    }

    /// More batches than are computed at once, then a second epoch, which starts from nothing.
    #[test]
    fn an_epoch_is_the_mean_over_its_batches() {
        one_thread();
        let all = batches(300);
        let norms = [reference(&all[0].squeeze_dim(2)), reference(&all[1])];
        let mut probe = GradientProbe::default();
        for epoch in [0..300, 0..3] {
            let count = epoch.end;
            epoch.for_each(|batch| probe.add(&gradients(&all, batch)).unwrap());
            let found = probe.take().unwrap();
            let expected = norms.each_ref().map(|norms| {
                norms
                    .narrow(0, 0, count)
                    .mean(Kind::Double)
                    .double_value(&[])
            });
            for (found, expected) in [found.conv1, found.fc].into_iter().zip(expected) {
                assert_ratio("an epoch's mean norm", found, expected, 1e-10);
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_has_no_norm() {
        one_thread();
        let all = batches(2);
        let _ = all[1].get(0).get(5).get(9).fill_(f64::INFINITY);
        let mut probe = GradientProbe::default();
        (0..2).for_each(|batch| probe.add(&gradients(&all, batch)).unwrap());
        let norms = probe.take().unwrap();
        assert!(norms.fc.is_nan() && norms.conv1.is_finite());
    }
}
