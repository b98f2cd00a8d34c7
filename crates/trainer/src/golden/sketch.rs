//! How far tensors are from the reference's, by sketches: with a tensor x here, y there, and sign
//! vectors r_1 .. r_8,
//!
//! ```text
//! distance = sqrt(mean over k of (r_k·x - r_k·y)²)
//! ```
//!
//! Over random signs, its square has the mean |x - y|², so every element counts. For a difference
//! that is spread over many elements it is chi-square with 8 degrees of freedom: below a tenth of
//! the true distance with probability 1e-7, below a half with 2 %. A difference in one element
//! counts in full. The file holds r_k·y and |y|, nine numbers for each tensor.

use tch::{Kind, Tensor};

use super::draws::{SKETCHES, sketch_signs};
use super::reference::{Row, Rows};
use crate::margins::assert_within;
use crate::tensors::without_grad;

/// The largest tensor of the network, 512x512x3x3.
const LARGEST: i64 = 2_359_296;

/// Compares tensors with rows.
pub(super) struct Sketcher {
    /// `[8, LARGEST]`.
    signs: Tensor,
}

/// How far a tensor is from the reference's.
#[derive(Debug)]
pub(super) struct Distance {
    /// The tensor's name.
    pub name: String,
    /// The estimate of |x - y|.
    pub distance: f64,
    /// |y|.
    pub norm: f64,
}

impl Sketcher {
    pub(super) fn new() -> Self {
        Self {
            signs: Tensor::from_slice(&sketch_signs(LARGEST as usize))
                .view([SKETCHES as i64, LARGEST]),
        }
    }

    fn row(&self, tensor: &Tensor) -> Row {
        let _guard = without_grad();
        let flat = tensor.to_kind(Kind::Double).flatten(0, -1);
        let products = self.signs.narrow(1, 0, flat.size()[0]).mv(&flat);
        let mut row = [flat.norm().double_value(&[]); 1 + SKETCHES];
        row[1..].copy_from_slice(&Vec::<f64>::try_from(products).unwrap());
        row
    }

    fn distance(&self, tensor: &Tensor, row: &Row) -> f64 {
        let squares = self
            .row(tensor)
            .into_iter()
            .zip(row)
            .skip(1)
            .map(|(found, expected)| (found - expected).powi(2));
        (squares.sum::<f64>() / SKETCHES as f64).sqrt()
    }

    /// The distance of each tensor. There must be exactly the tensors that the reference has.
    pub(super) fn distances<'a>(
        &self,
        tensors: impl Iterator<Item = (&'a str, Tensor)>,
        rows: &Rows,
    ) -> Vec<Distance> {
        let mut distances = Vec::new();
        for (name, tensor) in tensors {
            let row = rows
                .get(name)
                .unwrap_or_else(|| panic!("the reference has no {name}"));
            distances.push(Distance {
                name: name.to_owned(),
                distance: self.distance(&tensor, row),
                norm: row[0],
            });
        }
        assert_eq!(distances.len(), rows.len());
        distances
    }

    /// Asserts that the distance of each tensor is below `tolerance` times the reference's norm.
    /// Returns the largest of these ratios.
    pub(super) fn assert_near<'a>(
        &self,
        what: &str,
        tensors: impl Iterator<Item = (&'a str, Tensor)>,
        rows: &Rows,
        tolerance: f64,
    ) -> f64 {
        let shares = self
            .distances(tensors, rows)
            .into_iter()
            .map(|distance| (distance.distance / distance.norm, distance.name));
        let (share, name) = shares.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        assert_within(format!("{what}, {name}"), share, tolerance);
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use crate::golden::draws::weights;

    /// Any difference of 1e-9 of the norm is detected; rounding is not.
    #[test]
    fn differences_are_detected() {
        one_thread();
        let sketcher = Sketcher::new();
        let shape = [64, 64, 3, 3];
        let x = Tensor::from_slice(&weights(3, "layer1.0.conv1.weight", &shape))
            .to_kind(Kind::Double)
            .view(shape);
        let row = sketcher.row(&x);
        let norm = row[0];
        let share = |x: &Tensor| sketcher.distance(x, &row) / norm;
        assert!(share(&x) == 0.0 && share(&(&x * 3.0 / 3.0)) < 1e-13);
        let noise = Tensor::from_slice(&weights(4, "layer1.0.conv1.weight", &shape))
            .to_kind(Kind::Double)
            .view(shape);
        let noise = &noise / noise.norm();
        for scale in [1e-9, 1e-4, 1.0] {
            for perturbed in [&x * (1.0 + scale), &x + &noise * (scale * norm)] {
                let share = share(&perturbed);
                assert!(
                    share > 0.3 * scale && share < 3.0 * scale,
                    "{share:e} instead of {scale:e}"
                );
            }
            for place in [0, 20_000, 36_863] {
                let perturbed = x.copy();
                let _ = perturbed
                    .view(-1)
                    .narrow(0, place, 1)
                    .f_add_scalar_(scale * norm)
                    .unwrap();
                assert!((share(&perturbed) / scale - 1.0).abs() < 1e-3);
            }
        }
        // The right numbers in the wrong places.
        for moved in [
            x.flip([2]),
            x.transpose(2, 3),
            x.transpose(0, 1),
            x.roll(1, 0),
        ] {
            assert!(share(&moved) > 0.3);
        }
    }
}
