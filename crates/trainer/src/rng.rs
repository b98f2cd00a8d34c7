//! All randomness of a trial: its starting weights and Hutchinson's probes. Every stream derives
//! from (seed, purpose), so nothing depends on the order of draws, on the device, or on libtorch's
//! generator.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Makes this program's streams different from any other use of the same seed and purpose. A change
/// of it, or of how a stream is read, changes every result.
const CONTEXT: &str = "pentagrid trainer 1: random streams";

/// The stream of random bits for one purpose of one seed, e.g. `init/layer1.0.conv1.weight`.
pub(crate) struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream: ChaCha12 keyed by blake3 of the seed and the purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut key = blake3::Hasher::new_derive_key(CONTEXT);
        key.update(&seed.to_le_bytes());
        key.update(purpose.as_bytes());
        Self(ChaCha12Rng::from_seed(*key.finalize().as_bytes()))
    }

    /// Numbers from N(0, `std`²), drawn by the ziggurat method in double precision, then rounded.
    pub(crate) fn normal(&mut self, count: usize, std: f64) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let unit: f64 = StandardNormal.sample(&mut self.0);
                (unit * std) as f32
            })
            .collect()
    }

    /// Numbers from U[-`bound`, `bound`), on a grid of 2^24 steps.
    pub(crate) fn uniform(&mut self, count: usize, bound: f64) -> Vec<f32> {
        const STEP: f64 = 1.0 / (1 << 23) as f64;
        (0..count)
            .map(|_| ((f64::from(self.0.next_u32() >> 8) * STEP - 1.0) * bound) as f32)
            .collect()
    }

    /// Fills `out` with +1 and -1, each with probability 1/2. An element takes one random bit, from
    /// the low bits up; a set bit is -1. Reads `ceil(out.len() / 32)` 32-bit words of the stream.
    pub(crate) fn rademacher(&mut self, out: &mut [f32]) {
        const BLOCK: usize = 4096;
        let mut bytes = [0u8; BLOCK];
        for block in out.chunks_mut(8 * BLOCK) {
            let bytes = &mut bytes[..block.len().div_ceil(32) * 4];
            self.0.fill_bytes(bytes);
            let (eights, rest) = block.as_chunks_mut::<8>();
            for (eight, byte) in eights.iter_mut().zip(bytes.iter()) {
                *eight = SIGNS[usize::from(*byte)];
            }
            if !rest.is_empty() {
                rest.copy_from_slice(&SIGNS[usize::from(bytes[eights.len()])][..rest.len()]);
            }
        }
    }

    /// As `rademacher` over kernels of nine elements, but keeps only the elements at the given
    /// places of each kernel. The kept signs are the same; the cost of expanding the others is
    /// saved. `out` holds `KEPT` elements for each kernel.
    pub(crate) fn rademacher_at<const KEPT: usize>(
        &mut self,
        places: [usize; KEPT],
        out: &mut [f32],
    ) {
        // Kernels per block: a multiple of 32, so that every block ends with a word.
        const BLOCK: usize = 3200;

        // The kept signs of a kernel, by its nine bits.
        let table: [[f32; KEPT]; 512] = std::array::from_fn(|kernel| {
            places.map(|place| {
                if (kernel >> place) & 1 == 1 {
                    -1.0
                } else {
                    1.0
                }
            })
        });

        let mut bytes = [0u8; BLOCK / 8 * 9];
        for block in out.chunks_mut(BLOCK * KEPT) {
            let (kernels, _) = block.as_chunks_mut::<KEPT>();
            self.0
                .fill_bytes(&mut bytes[..(kernels.len() * 9).div_ceil(32) * 4]);

            // Eight kernels take nine bytes.
            let (eights, rest) = kernels.as_chunks_mut::<8>();
            let (nines, _) = bytes.as_chunks::<9>();
            for (eight, nine) in eights.iter_mut().zip(nines) {
                *eight = [0, 1, 2, 3, 4, 5, 6, 7].map(|j| table[kernel_bits(nine, j)]);
            }
            for (j, kept) in rest.iter_mut().enumerate() {
                *kept = table[kernel_bits(&nines[eights.len()], j)];
            }
        }
    }
}

/// The nine bits of kernel `j` of the eight that nine bytes hold: they begin at bit `j` of byte
/// `j`.
fn kernel_bits(nine: &[u8; 9], j: usize) -> usize {
    let bits = (u32::from(nine[j]) | u32::from(nine[j + 1]) << 8) >> j;
    (bits & 511) as usize
}

/// The eight signs of each byte. A table is the fastest way without vector instructions of our own.
static SIGNS: [[f32; 8]; 256] = {
    let mut table = [[1.0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            if (byte >> bit) & 1 == 1 {
                table[byte][bit] = -1.0;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(seed: u64, purpose: &str, count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count];
        Stream::new(seed, purpose).rademacher(&mut out);
        out
    }

    #[test]
    fn streams_depend_on_seed_and_purpose_alone() {
        assert_eq!(signs(1, "a", 100), signs(1, "a", 100));
        assert_ne!(signs(1, "a", 100), signs(2, "a", 100));
        assert_ne!(signs(1, "a", 100), signs(1, "b", 100));
    }

    /// The streams are part of every result: these values may change only with `CONTEXT`.
    #[test]
    fn streams_are_what_they_were() {
        insta::assert_debug_snapshot!(Stream::new(3, "init/fc.weight").uniform(3, 1.0), @r"
        [
            -0.19639277,
            0.7138032,
            0.2388581,
        ]
        ");
        insta::assert_debug_snapshot!(Stream::new(3, "init/conv1.weight").normal(3, 1.0), @r"
        [
            -3.50683,
            -0.26766342,
            -0.43373203,
        ]
        ");
        let bits: String = signs(3, "hutchinson/1", 40)
            .iter()
            .map(|sign| if *sign < 0.0 { '-' } else { '+' })
            .collect();
        insta::assert_snapshot!(bits, @"+++++-+-++--+++-+++-+-++-+-++--++--+-+--");
    }

    #[test]
    fn moments_are_right() {
        const N: usize = 200_000;
        let mean = |values: &[f32]| values.iter().map(|x| f64::from(*x)).sum::<f64>() / N as f64;
        let normal = Stream::new(7, "test").normal(N, 0.5);
        assert!(mean(&normal).abs() < 0.005);
        let squares: Vec<f32> = normal.iter().map(|x| x * x).collect();
        assert!((mean(&squares) - 0.25).abs() < 0.005);
        let uniform = Stream::new(7, "test").uniform(N, 2.0);
        assert!(uniform.iter().all(|x| (-2.0..=2.0).contains(x)));
        assert!(mean(&uniform).abs() < 0.015);
        assert!(mean(&signs(7, "test", N)).abs() < 0.01);
    }

    #[test]
    fn signs_at_places_are_those_of_the_whole() {
        for kernels in [1, 7, 3200, 3201, 10_000] {
            let whole = signs(5, "x", kernels * 9 + 40);
            for places in [[4].as_slice(), &[4, 5, 7, 8]] {
                let mut stream = Stream::new(5, "x");
                let mut kept = vec![0.0; kernels * places.len()];
                match *places {
                    [a, b, c, d] => stream.rademacher_at([a, b, c, d], &mut kept),
                    _ => stream.rademacher_at([places[0]], &mut kept),
                }
                let expected: Vec<f32> = whole[..kernels * 9]
                    .chunks(9)
                    .flat_map(|kernel| places.iter().map(|place| kernel[*place]))
                    .collect();
                assert_eq!(kept, expected);
                // What follows begins at the next word.
                let mut next = [0.0; 8];
                stream.rademacher(&mut next);
                let start = (kernels * 9).div_ceil(32) * 32;
                if start + 8 <= whole.len() {
                    assert_eq!(next, whole[start..start + 8]);
                }
            }
        }
    }

    /// The result does not depend on the blocks, at any length.
    #[test]
    fn rademacher_reads_one_bit_an_element() {
        let long = signs(5, "x", 100_003);
        assert!(long.iter().all(|x| x.abs() == 1.0));
        for length in [0, 1, 7, 8, 9, 31, 32, 33, 32_768, 32_769, 100_000] {
            assert_eq!(signs(5, "x", length), long[..length]);
        }
    }
}
