//! Numbers that `scripts/reference/draws.py` draws in the same way: the network's weights and the
//! sign vectors of the sketches. They come from splitmix64 (Steele, Lea & Flood 2014) as a counter:
//! value i of key k is mix(k + (i + 1) G).

/// Number of sign vectors.
pub(super) const SKETCHES: usize = 8;

const WEIGHTS_KEY: u64 = 1;
const SKETCH_KEY: u64 = 2;

fn splitmix(key: u64, index: u64) -> u64 {
    let mut z = key.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The tensor at that place in the list of parameters and running statistics: centre + spread u,
/// with u uniform on [-1, 1).
pub(super) fn weights(place: usize, name: &str, shape: &[i64]) -> Vec<f32> {
    let key = splitmix(WEIGHTS_KEY, place as u64);
    let (centre, spread) = match shape {
        _ if name == "conv1.weight" => (0.0, 1.0 / 7.0),
        // He's variance, 2 / fan_out.
        [outputs, _, height, width] => (0.0, (6.0 / (outputs * height * width) as f64).sqrt()),
        _ if name.starts_with("fc.") => (0.0, 1.0 / 512f64.sqrt()),
        _ if name.ends_with(".weight") || name.ends_with(".running_var") => (1.0, 0.25),
        _ => (0.0, 0.1),
    };
    let uniform = |index| (splitmix(key, index) >> 40) as f64 * 2f64.powi(-23) - 1.0;
    (0..shape.iter().product::<i64>() as u64)
        .map(|index| (uniform(index) * spread + centre) as f32)
        .collect()
}

/// Sign vectors of `count` elements, one after the other: -1 where bit k of an element's value is
/// set, else 1.
pub(super) fn sketch_signs(count: usize) -> Vec<f64> {
    let mut signs = vec![1.0; SKETCHES * count];
    for index in 0..count {
        let bits = splitmix(SKETCH_KEY, index as u64);
        for k in (0..SKETCHES).filter(|k| (bits >> k) & 1 == 1) {
            signs[k * count + index] = -1.0;
        }
    }
    signs
}
