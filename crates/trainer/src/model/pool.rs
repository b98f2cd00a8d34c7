//! Max pooling, 3x3 with stride 2 and padding 1, as in ResNet's stem. libtorch's own takes 10 ms
//! for a batch on a CPU where a map's pixels are contiguous. Here, code with AVX2 finds the places
//! of the maxima, and libtorch gathers them. Both choose the same pixels, so that they agree bit
//! for bit.

use tch::{TchError, Tensor};

use crate::processor::Avx2;

/// The maximum of each 3x3 window, `[N, C, H, W]` to `[N, C, (H + 1) / 2, (W + 1) / 2]`. Among
/// equal values the first one, row by row, gets the gradient. NaN counts as larger than any number,
/// as in libtorch.
///
/// # Errors
/// libtorch's.
pub(super) fn max_pool(maps: &Tensor) -> Result<Tensor, TchError> {
    max_pool_with(maps, Avx2::find())
}

/// `max_pool` with the search below, if it is allowed and suits the maps, or with libtorch alone.
fn max_pool_with(maps: &Tensor, avx2: Option<Avx2>) -> Result<Tensor, TchError> {
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
    use std::arch::x86_64::{
        __m256, __m256i, _CMP_GT_OQ, _CMP_UNORD_Q, _mm256_add_epi32, _mm256_blend_epi32,
        _mm256_blend_ps, _mm256_blendv_epi8, _mm256_blendv_ps, _mm256_castpd_ps, _mm256_castps_pd,
        _mm256_castps_si256, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cmpgt_epi32,
        _mm256_cvtepi32_epi64, _mm256_extracti128_si256, _mm256_loadu_ps, _mm256_maskload_ps,
        _mm256_or_ps, _mm256_permute4x64_pd, _mm256_permutevar8x32_ps, _mm256_set1_epi32,
        _mm256_set1_ps, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_ps,
        _mm256_slli_epi32, _mm256_storeu_si256, _mm256_sub_epi32,
    };
    use tch::{Device, Kind, TchError, Tensor};

    use crate::processor::Avx2;

    /// The place of each window's maximum in its map, `[N, C, H W / 4]`. `None` if the search does
    /// not suit the maps.
    pub(super) fn places(maps: &Tensor, _avx2: Avx2) -> Result<Option<Tensor>, TchError> {
        let (images, channels, height, width) = maps.size4()?;
        let fits = height > 0
            && height % 2 == 0
            && width % 2 == 0
            && (8..=16).contains(&width)
            && maps.numel() > 0;
        let is_plain =
            maps.device() == Device::Cpu && maps.f_kind()? == Kind::Float && maps.is_contiguous();
        if !fits || !is_plain {
            return Ok(None);
        }

        let area = height * width;
        let places = Tensor::f_zeros([images, channels, area / 4], (Kind::Int64, Device::Cpu))?;
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

    /// The maxima of eight windows, as far as the search has got, and their places in the map.
    #[derive(Clone, Copy)]
    struct Found {
        values: __m256,
        places: __m256i,
    }

    impl Found {
        /// The maxima of both. On equal values the earlier one stays; NaN always replaces.
        #[target_feature(enable = "avx2")]
        #[inline]
        fn or_later(self, later: Self) -> Self {
            let is_larger = _mm256_cmp_ps::<_CMP_GT_OQ>(later.values, self.values);
            let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(later.values, later.values);
            let replaces = _mm256_or_ps(is_larger, is_nan);
            Self {
                values: _mm256_blendv_ps(self.values, later.values, replaces),
                places: _mm256_blendv_epi8(
                    self.places,
                    later.places,
                    _mm256_castps_si256(replaces),
                ),
            }
        }
    }

    /// The constants of a search in maps of one width.
    #[derive(Clone, Copy)]
    struct Search {
        /// The columns of a window's left neighbours, for eight windows. The first window has none.
        left_columns: __m256i,
        /// The columns of the middle pixels.
        middle_columns: __m256i,
        /// The columns of the right neighbours.
        right_columns: __m256i,
        /// Moves each lane to the next one.
        shift: __m256i,
        /// Which lanes of a row's second vector are within the row.
        rest: __m256i,
        /// The width in each lane.
        width: __m256i,
    }

    impl Search {
        #[target_feature(enable = "avx2")]
        fn new(width: usize) -> Self {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let one = _mm256_set1_epi32(1);
            let even = _mm256_slli_epi32::<1>(lanes);
            let before_even = _mm256_sub_epi32(even, one);
            Self {
                // The place that is given for the missing neighbour is never chosen.
                left_columns: _mm256_blend_epi32::<1>(before_even, even),
                middle_columns: even,
                right_columns: _mm256_add_epi32(even, one),
                shift: _mm256_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6),
                rest: _mm256_cmpgt_epi32(_mm256_set1_epi32(width as i32 - 8), lanes),
                width: _mm256_set1_epi32(width as i32),
            }
        }

        /// The maxima of three neighbours in a row, for eight windows. `start` is the place of the
        /// row's first pixel.
        #[target_feature(enable = "avx2")]
        #[inline]
        fn row(self, row: &[f32], start: __m256i) -> Found {
            // SAFETY: a row holds at least eight numbers.
            let low = unsafe { _mm256_loadu_ps(row.as_ptr()) };
            // SAFETY: the mask leaves out what is behind the row's end.
            let high = unsafe { _mm256_maskload_ps(row.as_ptr().add(8), self.rest) };

            // Even columns are the middle pixels of the windows, odd ones their right neighbours,
            // and the left neighbours of the next windows.
            let even = sort(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
            let odd = sort(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
            let shifted = _mm256_permutevar8x32_ps(odd, self.shift);
            let nothing = _mm256_set1_ps(f32::NEG_INFINITY);
            let left = Found {
                values: _mm256_blend_ps::<1>(shifted, nothing),
                places: _mm256_add_epi32(self.left_columns, start),
            };
            let middle = Found {
                values: even,
                places: _mm256_add_epi32(self.middle_columns, start),
            };
            let right = Found {
                values: odd,
                places: _mm256_add_epi32(self.right_columns, start),
            };
            left.or_later(middle).or_later(right)
        }
    }

    /// Brings the pairs of lanes that a shuffle within halves gives into order.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn sort(mixed: __m256) -> __m256 {
        let pairs = _mm256_castps_pd(mixed);
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(pairs))
    }

    /// Writes the places of all maxima to `out`. Compares three neighbours in each row first, then
    /// three rows. Among equal values this finds the first one of the first row that has it, which
    /// is the first one of the window.
    #[target_feature(enable = "avx2")]
    fn find(values: &[f32], out: &mut [i64], area: usize, width: usize) {
        let search = Search::new(width);
        let half = width / 2;
        let mut pooled = out.chunks_exact_mut(half);
        for map in values.chunks_exact(area) {
            let mut above: Option<Found> = None;
            let mut start = _mm256_setzero_si256();
            for rows in map.chunks_exact(2 * width) {
                let first = search.row(&rows[..width], start);
                start = _mm256_add_epi32(start, search.width);
                let second = search.row(&rows[width..], start);
                start = _mm256_add_epi32(start, search.width);

                // The row above belongs to these windows too.
                let best = match above {
                    Some(above) => above.or_later(first),
                    None => first,
                };
                let best = best.or_later(second);
                above = Some(second);
                if let Some(out) = pooled.next() {
                    out.copy_from_slice(&as_integers(best.places)[..half]);
                }
            }
        }
    }

    /// The lanes as 64-bit integers.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn as_integers(lanes: __m256i) -> [i64; 8] {
        let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes));
        let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(lanes));
        let mut integers = [0i64; 8];
        // SAFETY: there is room for eight integers.
        unsafe {
            let out = integers.as_mut_ptr().cast::<__m256i>();
            _mm256_storeu_si256(out, low);
            _mm256_storeu_si256(out.add(1), high);
        }
        integers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use tch::{Kind, kind};

    const SHAPE: [i64; 4] = [3, 4, 14, 14];

    /// Maps with many equal values, like those of black margins, and some NaN and infinities.
    fn maps() -> Tensor {
        one_thread();
        let count = SHAPE.iter().product::<i64>();
        // Rounded down to whole numbers, so that the last bit of the sine does not matter.
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

    /// The pooled maps, and the gradient of a sum in which each of their pixels has its own weight.
    fn pooled(maps: &Tensor, how: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
        let x = maps.copy().set_requires_grad(true);
        let y = how(&x);
        let weights = (Tensor::arange(y.numel() as i64, kind::FLOAT_CPU) + 1.0).view_as(&y);
        let gradient =
            Tensor::run_backward(&[(&y * weights).sum(None)], &[&x], false, false).remove(0);
        (y.detach(), gradient)
    }

    /// The same by definition, pixel by pixel.
    fn defined(maps: &Tensor) -> (Tensor, Tensor) {
        let [_, _, height, width] = SHAPE;
        let values = Vec::<f32>::try_from(maps.flatten(0, -1)).unwrap();
        let mut found = Vec::new();
        let mut gradient = vec![0.0_f32; values.len()];
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

    /// The search with AVX2, if this processor has it, and libtorch's pooling give the same values
    /// and gradients, bit for bit.
    #[test]
    fn vector_code_and_libtorch_choose_the_same_pixels() {
        let maps = maps();
        let expected = defined(&maps);
        for avx2 in [Avx2::find(), None] {
            let found = pooled(&maps, |x| max_pool_with(x, avx2).unwrap());
            assert!(found.0.allclose(&expected.0, 0.0, 0.0, true), "{avx2:?}");
            assert_eq!(found.1, expected.1, "{avx2:?}");
        }
        assert!(expected.0.isnan().any().int64_value(&[]) == 1);
    }

    #[test]
    fn maps_of_another_shape_or_kind_are_left_to_libtorch() {
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
