//! Max pooling, 3x3 with stride 2 and padding 1, as ResNet's stem has it. libtorch's own takes 10
//! ms for a batch on a CPU where a map's pixels lie together; this one finds the places by itself,
//! with AVX2, and leaves libtorch to gather them. Both ways choose the same pixels, so that they
//! agree bit for bit.

use tch::{TchError, Tensor};

use crate::processor::Avx2;

/// The largest of each 3x3 window, `[N, C, H, W]` to `[N, C, (H + 1) / 2, (W + 1) / 2]`. Of equal
/// ones the first, row by row, gets the gradient; a NaN is larger than anything, as in libtorch.
///
/// # Errors
/// libtorch's.
pub(super) fn max_pool(maps: &Tensor) -> Result<Tensor, TchError> {
    pool_by(maps, Avx2::find())
}

/// The same, by the search below or by libtorch alone.
fn pool_by(maps: &Tensor, avx2: Option<Avx2>) -> Result<Tensor, TchError> {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = avx2
        && let Some(places) = x86::places(maps, avx2)?
    {
        let (images, channels, height, width) = maps.size4()?;
        let pooled = maps
            .f_view([images, channels, -1])?
            .f_gather(2, &places, false)?;
        return pooled.f_view([images, channels, height / 2, width / 2]);
    }
    maps.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
}

/// The search on processors with AVX2, for maps no wider than two vectors.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use tch::{Device, Kind, TchError, Tensor};

    use crate::processor::Avx2;

    /// Where in its map each window's largest is, `[N, C, H W / 4]`, or nothing where this is no
    /// search for these maps.
    pub(super) fn places(maps: &Tensor, _avx2: Avx2) -> Result<Option<Tensor>, TchError> {
        let (images, channels, height, width) = maps.size4()?;
        let fits = height > 0
            && height % 2 == 0
            && width % 2 == 0
            && (8..=16).contains(&width)
            && maps.numel() > 0;
        let here =
            maps.device() == Device::Cpu && maps.f_kind()? == Kind::Float && maps.is_contiguous();
        if !fits || !here {
            return Ok(None);
        }
        let (area, pooled) = (height * width, height * width / 4);
        let places = Tensor::f_zeros([images, channels, pooled], (Kind::Int64, Device::Cpu))?;
        // SAFETY: a contiguous tensor on the CPU holds `numel` floats, which nothing changes while
        // this function runs.
        let values: &[f32] =
            unsafe { std::slice::from_raw_parts(maps.data_ptr().cast(), maps.numel()) };
        // SAFETY: a new tensor on the CPU is contiguous, holds `numel` initialised integers, and
        // nothing else refers to it yet.
        let out: &mut [i64] =
            unsafe { std::slice::from_raw_parts_mut(places.data_ptr().cast(), places.numel()) };
        // SAFETY: the processor has AVX2, of which `_avx2` is the proof.
        unsafe { find(values, out, area as usize, width as usize) };
        Ok(Some(places))
    }

    /// Values and their places, eight windows at once.
    type Found = (__m256, __m256i);

    /// The later of two replaces the earlier if it is larger or no number.
    #[target_feature(enable = "avx2")]
    fn later(earlier: Found, later: Found) -> Found {
        let larger = _mm256_cmp_ps::<_CMP_GT_OQ>(later.0, earlier.0);
        let beats = _mm256_or_ps(larger, _mm256_cmp_ps::<_CMP_UNORD_Q>(later.0, later.0));
        let places = _mm256_blendv_epi8(earlier.1, later.1, _mm256_castps_si256(beats));
        (_mm256_blendv_ps(earlier.0, later.0, beats), places)
    }

    /// First of three neighbours in each row, then of three rows: the first of equal ones in a
    /// window is the first of the first row that has it, so the order is that of going through the
    /// window.
    #[target_feature(enable = "avx2")]
    fn find(values: &[f32], out: &mut [i64], area: usize, width: usize) {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let rest = _mm256_cmpgt_epi32(_mm256_set1_epi32(width as i32 - 8), lanes);
        let evens = _mm256_slli_epi32::<1>(lanes);
        let odds = _mm256_add_epi32(evens, _mm256_set1_epi32(1));
        // Left of the first column there is nothing: less than all, at the place of what follows
        // it.
        let shift = _mm256_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6);
        let lefts = _mm256_blend_epi32::<1>(_mm256_sub_epi32(evens, _mm256_set1_epi32(1)), evens);
        let nothing = _mm256_set1_ps(f32::NEG_INFINITY);
        let half = width / 2;
        let mut pooled = out.chunks_exact_mut(half);
        for map in values.chunks_exact(area) {
            let (mut above, mut start) = (None, _mm256_setzero_si256());
            for rows in map.chunks_exact(2 * width) {
                let mut row = |row: &[f32]| {
                    // SAFETY: a row holds at least eight numbers, and the mask leaves out what is
                    // behind its end.
                    let (low, high) = unsafe {
                        (
                            _mm256_loadu_ps(row.as_ptr()),
                            _mm256_maskload_ps(row.as_ptr().add(8), rest),
                        )
                    };
                    let sort = |mixed| {
                        _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(
                            mixed,
                        )))
                    };
                    let even = sort(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
                    let odd = sort(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
                    let left = _mm256_blend_ps::<1>(_mm256_permutevar8x32_ps(odd, shift), nothing);
                    let at = |places| _mm256_add_epi32(places, start);
                    let best = later(later((left, at(lefts)), (even, at(evens))), (odd, at(odds)));
                    start = _mm256_add_epi32(start, _mm256_set1_epi32(width as i32));
                    best
                };
                let (first, second) = (row(&rows[..width]), row(&rows[width..]));
                let best = above.map_or(first, |above| later(above, first));
                let best = later(best, second).1;
                above = Some(second);
                let mut places = [0i64; 8];
                // SAFETY: there is room for eight integers.
                unsafe {
                    let wide = places.as_mut_ptr().cast::<__m256i>();
                    _mm256_storeu_si256(wide, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(best)));
                    _mm256_storeu_si256(
                        wide.add(1),
                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(best)),
                    );
                }
                if let Some(out) = pooled.next() {
                    out.copy_from_slice(&places[..half]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use tch::{Kind, kind};

    const SHAPE: [i64; 4] = [3, 4, 14, 14];

    /// Many equal values, as the maps of black margins have them, and NaN and infinities here and
    /// there.
    fn maps() -> Tensor {
        one_thread();
        let count = SHAPE.iter().product::<i64>();
        // Whole numbers: what the sine is in its last bit does not matter.
        let mut numbers: Vec<f32> = (0..count)
            .map(|place| ((place as f32 * 12.9898).sin() * 4.0).floor().max(0.0))
            .collect();
        for (place, value) in [
            (5, f32::NAN),
            (6, f32::INFINITY),
            (700, f32::NAN),
            (701, f32::NAN),
            (900, f32::NEG_INFINITY),
        ] {
            numbers[place] = value;
        }
        Tensor::from_slice(&numbers).view(SHAPE)
    }

    /// The value and the gradient's weight of each output.
    fn pooled(maps: &Tensor, how: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
        let x = maps.copy().set_requires_grad(true);
        let y = how(&x);
        let weights = (Tensor::arange(y.numel() as i64, kind::FLOAT_CPU) + 1.0).view_as(&y);
        let gradient =
            Tensor::run_backward(&[(&y * weights).sum(None)], &[&x], false, false).remove(0);
        (y.detach(), gradient)
    }

    /// The same by its definition, one pixel after the other.
    fn defined(maps: &Tensor) -> (Tensor, Tensor) {
        let [_, _, height, width] = SHAPE;
        let values = Vec::<f32>::try_from(maps.flatten(0, -1)).unwrap();
        let (mut found, mut gradient) = (Vec::new(), vec![0.0_f32; values.len()]);
        for start in (0..values.len() as i64).step_by((height * width) as usize) {
            for (row, column) in
                (0..height / 2).flat_map(|row| (0..width / 2).map(move |column| (row, column)))
            {
                let rows = (2 * row - 1).max(0)..=(2 * row + 1).min(height - 1);
                let columns = (2 * column - 1).max(0)..=(2 * column + 1).min(width - 1);
                let places = rows.flat_map(|y| {
                    columns
                        .clone()
                        .map(move |x| (start + y * width + x) as usize)
                });
                let larger = |best: usize, next: usize| {
                    if values[next] > values[best] || values[next].is_nan() {
                        next
                    } else {
                        best
                    }
                };
                let place = places.reduce(larger).unwrap();
                found.push(values[place]);
                gradient[place] += found.len() as f32;
            }
        }
        let [images, channels, ..] = SHAPE;
        (
            Tensor::from_slice(&found).view([images, channels, height / 2, width / 2]),
            Tensor::from_slice(&gradient).view(SHAPE),
        )
    }

    /// The search with AVX2, where this processor has it, and libtorch's pooling: values and
    /// gradients, bit for bit.
    #[test]
    fn both_ways_choose_the_same_pixels() {
        let maps = maps();
        let expected = defined(&maps);
        for avx2 in [Avx2::find(), None] {
            let found = pooled(&maps, |x| pool_by(x, avx2).unwrap());
            assert!(found.0.allclose(&expected.0, 0.0, 0.0, true), "{avx2:?}");
            assert_eq!(found.1, expected.1, "{avx2:?}");
        }
        assert!(expected.0.isnan().any().int64_value(&[]) == 1);
    }

    #[test]
    fn maps_of_another_shape_go_libtorchs_way() {
        one_thread();
        let odd = Tensor::arange(2 * 25, kind::FLOAT_CPU).view([1, 2, 5, 5]);
        let double = maps().to_kind(Kind::Double).nan_to_num(0.0, None, None);
        for maps in [odd, double] {
            assert_eq!(
                max_pool(&maps).unwrap(),
                maps.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
            );
        }
    }
}
