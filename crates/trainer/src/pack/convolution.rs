//! Convolutions of K models at once: the windows of the input as columns (im2col), then one batched
//! matrix product. Maps are `[K, C, H, W, N]`, the images innermost: columns are copied in long
//! runs, and no batch axis gets between the taps. Used by `network`.

use tch::{TchError, Tensor};

use crate::model::taps;

/// A square convolution of a network, without a bias and with a padding of half the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
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
    pub fn forward(&self, parameters: &[Tensor], x: &Tensor) -> Result<Tensor, TchError> {
        let weight = &parameters[self.weight];
        let [models, input, height, width, images] = five(x)?;
        let output = weight.size()[1];
        let side = |side: i64| (side + self.stride - 1) / self.stride;
        let whole = [models, output, side(height), side(width), images];
        let rows = weight.f_reshape([models, output, -1])?;
        match weight.size()[3..] {
            // The live taps cover the whole map, in its order.
            [_] => rows
                .f_bmm(&x.f_reshape([models, -1, images])?)?
                .f_view([models, output, 1, 1, images]),
            [1, 1] => {
                let every = |x: &Tensor, axis| x.f_slice(axis, 0, None, self.stride);
                rows.f_bmm(&every(&every(x, 2)?, 3)?.f_reshape([models, input, -1])?)?
                    .f_view(whole)
            }
            [3, 3] if self.stride == 1 && [height, width] == [2, 2] => dense(weight, x),
            [kernel, _] => rows.f_bmm(&columns(x, kernel, self.stride)?)?.f_view(whole),
            _ => Err(TchError::Shape(format!(
                "{:?} is no convolution's weight",
                weight.size()
            ))),
        }
    }
}

/// The windows of maps `[K, C, H, W, N]` as columns `[K, C k k, H' W' N]`, in the order of a
/// kernel's weights.
///
/// # Errors
/// libtorch's.
pub fn columns(x: &Tensor, kernel: i64, stride: i64) -> Result<Tensor, TchError> {
    let [models, channels, ..] = five(x)?;
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
    let [models, output, input, ..] = five(weight)?;
    let windows = weight.f_unfold(3, 2, 1)?.f_unfold(4, 2, 1)?;
    let matrix =
        windows
            .f_permute([0, 1, 3, 4, 2, 5, 6])?
            .f_reshape([models, output * 4, input * 4])?;
    let images = x.size()[4];
    let backwards = matrix.f_bmm(&x.f_reshape([models, input * 4, images])?)?;
    backwards
        .f_view([models, output, 2, 2, images])?
        .f_flip([2, 3])
}

fn five(tensor: &Tensor) -> Result<[i64; 5], TchError> {
    let size = tensor.size();
    <[i64; 5]>::try_from(size)
        .map_err(|size| TchError::Shape(format!("five axes are wanted, not {size:?}")))
}

/// The live places of a kernel cut to its taps are the map's pixels in order: `taps::LOWER_RIGHT`
/// for 2x2 maps.
const _: () = assert!(taps::LOWER_RIGHT.len() == 4 && taps::CENTRE.len() == 1);
