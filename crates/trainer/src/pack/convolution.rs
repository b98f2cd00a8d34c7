//! Convolutions of K models at once: the windows of the input as columns (im2col), then one batched
//! matrix product. Maps are `[K, C, H, W, N]`, the images innermost: columns are copied in long
//! runs, and no batch axis gets between the taps. Used by `network`.

use tch::{TchError, Tensor};

use crate::model::taps;

/// A square convolution of a network, without a bias and with a padding of half the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convolution {
    /// Place of its weight, `[K, out, in, k, k]` or `[K, out, in, live taps]`, among the
    /// parameters.
    pub weight: usize,
    /// Step between positions.
    pub stride: i64,
}

impl Convolution {
    /// `[K, in, H, W, N]` to `[K, out, H', W', N]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn forward(&self, parameters: &[Tensor], x: &Tensor) -> Result<Tensor, TchError> {
        let weight = &parameters[self.weight];
        let [models, input, height, width, images] = five_axes(x)?;
        let output = weight.size()[1];
        let size = [
            models,
            output,
            self.side_after(height),
            self.side_after(width),
            images,
        ];
        let rows = weight.f_reshape([models, output, -1])?;

        match weight.size()[3..] {
            // The live taps cover the whole map, in its order.
            [_] => rows
                .f_bmm(&x.f_reshape([models, -1, images])?)?
                .f_view([models, output, 1, 1, images]),
            [1, 1] => {
                let pixels =
                    x.f_slice(2, 0, None, self.stride)?
                        .f_slice(3, 0, None, self.stride)?;
                rows.f_bmm(&pixels.f_reshape([models, input, -1])?)?
                    .f_view(size)
            }
            [3, 3] if self.stride == 1 && [height, width] == [2, 2] => dense(weight, x),
            [kernel, _] => rows.f_bmm(&columns(x, kernel, self.stride)?)?.f_view(size),
            _ => Err(TchError::Shape(format!(
                "{:?} is not the shape of a convolution's weight",
                weight.size()
            ))),
        }
    }

    /// Side of the maps that it gives for maps of that side.
    fn side_after(&self, side: i64) -> i64 {
        (side + self.stride - 1) / self.stride
    }
}

/// The windows of maps `[K, C, H, W, N]` as columns `[K, C k k, H' W' N]`, in the order of a
/// kernel's weights.
///
/// # Errors
/// libtorch's.
pub(super) fn columns(x: &Tensor, kernel: i64, stride: i64) -> Result<Tensor, TchError> {
    let [models, channels, ..] = five_axes(x)?;
    let pad = kernel / 2;

    // Views, then one copy. Their derivatives gather too, where a derivative of indexing would add
    // in any order.
    let windows = x
        .f_constant_pad_nd([0, 0, pad, pad, pad, pad])?
        .f_unfold(2, kernel, stride)?
        .f_unfold(3, kernel, stride)?;
    windows
        .f_permute([0, 1, 5, 6, 2, 3, 4])?
        .f_reshape([models, channels * kernel * kernel, -1])
}

/// A 3x3 kernel on 2x2 maps as one product over all pixels of the map, which leaves the padding
/// out. Pixel (r, c) of the output takes pixel (r', c') of the input by the tap (r' - r + 1, c' - c
/// + 1): windows of 2x2 taps, from the last to the first.
fn dense(weight: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let [models, output, input, ..] = five_axes(weight)?;
    let images = x.size()[4];
    let windows = weight.f_unfold(3, 2, 1)?.f_unfold(4, 2, 1)?;
    let matrix =
        windows
            .f_permute([0, 1, 3, 4, 2, 5, 6])?
            .f_reshape([models, output * 4, input * 4])?;

    // The pixels come out in reverse order.
    let backwards = matrix.f_bmm(&x.f_reshape([models, input * 4, images])?)?;
    backwards
        .f_view([models, output, 2, 2, images])?
        .f_flip([2, 3])
}

/// The size of a tensor of five axes.
fn five_axes(tensor: &Tensor) -> Result<[i64; 5], TchError> {
    <[i64; 5]>::try_from(tensor.size())
        .map_err(|size| TchError::Shape(format!("expected five axes, found {size:?}")))
}

/// The live places of a kernel cut to its taps are the map's pixels in order: `taps::LOWER_RIGHT`
/// for 2x2 maps.
const _: () = assert!(taps::LOWER_RIGHT.len() == 4 && taps::CENTRE.len() == 1);
