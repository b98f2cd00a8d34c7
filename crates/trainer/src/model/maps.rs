//! A layer's maps in one of two orders, and the conversion between them. Convolutions of libtorch
//! take planes. The small maps of the later layers are kept as rows, so that matrix products and
//! sums over columns are all that is needed.

use tch::{TchError, Tensor};

/// Maps of N images with C channels.
#[derive(Debug)]
pub(super) enum Maps {
    /// `[N, C, H, W]`, with the channels last in memory or not.
    Planes(Tensor),
    /// `[side * side, N, C]`, contiguous: the pixels row by row.
    Rows(Tensor),
}

impl Maps {
    /// The tensor, in its order.
    pub(super) fn tensor(&self) -> &Tensor {
        match self {
            Self::Planes(tensor) | Self::Rows(tensor) => tensor,
        }
    }

    /// Another tensor in the same order.
    pub(super) fn with(&self, tensor: Tensor) -> Self {
        match self {
            Self::Planes(_) => Self::Planes(tensor),
            Self::Rows(_) => Self::Rows(tensor),
        }
    }

    /// As planes.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn planes(&self) -> Result<Tensor, TchError> {
        match self {
            Self::Planes(tensor) => Ok(tensor.shallow_clone()),
            Self::Rows(tensor) => {
                let (pixels, images, channels) = tensor.size3()?;
                let side = pixels.isqrt();
                tensor
                    .f_view([side, side, images, channels])?
                    .f_permute([2, 3, 0, 1])?
                    .f_contiguous()
            }
        }
    }

    /// As rows.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn rows(&self) -> Result<Tensor, TchError> {
        match self {
            Self::Rows(tensor) => Ok(tensor.shallow_clone()),
            Self::Planes(tensor) => {
                let (images, channels, height, width) = tensor.size4()?;
                tensor.f_permute([2, 3, 0, 1])?.f_contiguous()?.f_view([
                    height * width,
                    images,
                    channels,
                ])
            }
        }
    }

    /// Every second pixel of every second row, as rows: the input of a 1x1 convolution with stride
    /// 2.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn halved(&self) -> Result<Tensor, TchError> {
        match self {
            Self::Planes(tensor) => {
                let halved = tensor
                    .f_slice(2, None, None, 2)?
                    .f_slice(3, None, None, 2)?;
                Self::Planes(halved).rows()
            }
            Self::Rows(tensor) => {
                let (pixels, images, channels) = tensor.size3()?;
                let side = pixels.isqrt();
                // Rows hold the pixels on one axis, which becomes two.
                let grid = tensor.f_view([side, side, images, channels])?;
                grid.f_slice(0, None, None, 2)?
                    .f_slice(1, None, None, 2)?
                    .f_reshape([-1, images, channels])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;

    #[test]
    fn conversions_between_the_orders_are_inverse() {
        one_thread();
        let planes = Tensor::arange(2 * 3 * 16, tch::kind::FLOAT_CPU).view([2, 3, 4, 4]);
        let rows = Maps::Planes(planes.shallow_clone()).rows().unwrap();
        assert_eq!(rows.size(), [16, 2, 3]);
        assert_eq!(
            rows.double_value(&[6, 1, 2]),
            planes.double_value(&[1, 2, 1, 2])
        );
        assert_eq!(Maps::Rows(rows.shallow_clone()).planes().unwrap(), planes);
        let halves = [Maps::Planes(planes.shallow_clone()), Maps::Rows(rows)]
            .map(|maps| maps.halved().unwrap());
        assert_eq!(halves[0], halves[1]);
        assert_eq!(
            halves[0].double_value(&[3, 1, 2]),
            planes.double_value(&[1, 2, 2, 2])
        );
    }
}
