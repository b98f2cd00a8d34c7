//! Tests of second derivatives on a network so small that its whole Hessian can be computed by
//! central differences of the gradient, without double backward.

use tch::{Kind, Tensor};

use super::adahessian::{Adahessian, AdahessianSettings};
use super::gradient::gradients;
use super::hutchinson::{Probes, hessian_product};
use super::optimizer::Optimizer;
use crate::device::one_thread;
use crate::tensors::{filled, without_grad};

/// A 3x3 convolution, batch norm, a smooth activation, a 1x1 convolution, the mean over the map,
/// and a linear layer.
const SHAPES: [&[i64]; 6] = [&[2, 1, 3, 3], &[2], &[2], &[2, 2, 1, 1], &[3, 2], &[3]];

/// Parameters near zero, batch norm's weight near one; the same at each call.
fn parameters() -> Vec<Tensor> {
    one_thread();
    let mut place = 0;
    let mut drawn = Vec::new();
    for shape in SHAPES {
        let tensor = filled(shape, |values| {
            for value in values {
                place += 1;
                *value = (place as f32 * 1.7).sin() * 0.8;
            }
        });
        drawn.push(tensor.unwrap().to_kind(Kind::Double));
    }
    drawn[1] = &drawn[1] * 0.2 + 1.0;
    drawn
        .into_iter()
        .map(|tensor| tensor.set_requires_grad(true))
        .collect()
}

fn loss(p: &[Tensor]) -> Tensor {
    let images = (Tensor::arange(4 * 25, tch::kind::DOUBLE_CPU) * 0.9)
        .sin()
        .view([4, 1, 5, 5]);
    let labels = Tensor::from_slice(&[0i64, 1, 2, 1]);
    let maps = images.conv2d(&p[0], None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
    let maps = maps
        .batch_norm(
            Some(&p[1]),
            Some(&p[2]),
            None::<&Tensor>,
            None::<&Tensor>,
            true,
            0.1,
            1e-5,
            true,
        )
        .tanh();
    let maps = maps.conv2d(&p[3], None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
    let logits = maps
        .square()
        .mean_dim([2, 3].as_slice(), false, None)
        .linear(&p[4], Some(&p[5]));
    logits.cross_entropy_loss(&labels, None::<&Tensor>, tch::Reduction::Mean, -100, 0.0)
}

fn flat(tensors: &[Tensor]) -> Vec<f64> {
    let parts: Vec<Tensor> = tensors
        .iter()
        .map(|tensor| tensor.detach().flatten(0, -1))
        .collect();
    Tensor::cat(&parts, 0).try_into().unwrap()
}

/// The inverse of `flat`.
fn shaped(values: &[f64]) -> Vec<Tensor> {
    let counts = SHAPES.map(|shape| shape.iter().product());
    let parts = Tensor::from_slice(values).split_with_sizes(counts, 0);
    parts
        .iter()
        .zip(SHAPES)
        .map(|(part, shape)| part.reshape(shape))
        .collect()
}

/// Column j is dg / dp_j.
fn hessian() -> Vec<Vec<f64>> {
    const H: f64 = 1e-4;
    let at = flat(&parameters());
    let mut columns = Vec::new();
    for j in 0..at.len() {
        let up = gradient_beside(&at, j, H);
        let down = gradient_beside(&at, j, -H);
        let differences = up
            .iter()
            .zip(down)
            .map(|(up, down)| (up - down) / (2.0 * H));
        columns.push(differences.collect());
    }
    columns
}

/// The gradient where parameter j is moved by h.
fn gradient_beside(at: &[f64], j: usize, h: f64) -> Vec<f64> {
    let mut moved = at.to_vec();
    moved[j] += h;
    let p: Vec<Tensor> = shaped(&moved)
        .into_iter()
        .map(|tensor| tensor.set_requires_grad(true))
        .collect();
    flat(&gradients(&loss(&p), &p, false).unwrap())
}

fn product(p: &[Tensor], z: &[Tensor]) -> Vec<Tensor> {
    hessian_product(&gradients(&loss(p), p, true).unwrap(), p, z).unwrap()
}

#[test]
fn the_product_with_each_axis_is_a_column_of_the_hessian() {
    let p = parameters();
    for (j, column) in hessian().iter().enumerate() {
        let mut axis = vec![0.0; column.len()];
        axis[j] = 1.0;
        for (found, expected) in flat(&product(&p, &shaped(&axis))).iter().zip(column) {
            assert!(
                (found - expected).abs() < 1e-6,
                "column {j}: {found} instead of {expected}"
            );
        }
    }
}

/// E[z ∘ Hz] = diag(H): the mean of n probes is within five standard errors of it, sqrt(sum of
/// H_ij² off the diagonal / n), which shrink as n grows.
#[test]
fn the_mean_of_many_probes_is_the_diagonal() {
    const PROBES: u64 = 2000;
    let p = parameters();
    let probes = Probes::new(17);
    let hessian = hessian();
    let count = hessian.len();
    let mut sums = vec![0.0; count];
    for step in 1..=PROBES {
        let z = probes.signs(step, &p).unwrap();
        let estimate: Vec<Tensor> = product(&p, &z)
            .iter()
            .zip(&z)
            .map(|(product, z)| product * z)
            .collect();
        for (sum, one) in sums.iter_mut().zip(flat(&estimate)) {
            *sum += one;
        }
        if [50, PROBES].contains(&step) {
            let n = step as f64;
            for (i, sum) in sums.iter().enumerate() {
                let beside: f64 = (0..count)
                    .filter(|j| *j != i)
                    .map(|j| hessian[j][i].powi(2))
                    .sum();
                let mean = sum / n;
                let bound = 5.0 * (beside / n).sqrt() + 1e-6;
                assert!(
                    (mean - hessian[i][i]).abs() < bound,
                    "{n} probes, element {i}: {mean} instead of {}",
                    hessian[i][i]
                );
            }
        }
    }

    // The bounds are not trivial: the error is small compared with the diagonal.
    let error = norm((0..count).map(|i| sums[i] / PROBES as f64 - hessian[i][i]));
    let diagonal = norm((0..count).map(|i| hessian[i][i]));
    assert!(
        error < 0.1 * diagonal,
        "the estimate is {error} off a diagonal of size {diagonal}"
    );
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// The first step is lr g / (D + eps), with D the mean of |Hz| over the 3x3 kernels' axes, and |Hz|
/// itself for the 1x1 convolution, batch norm, the linear layer and the biases.
#[test]
fn only_kernels_share_their_curvature() {
    let settings = AdahessianSettings {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 0.01,
        hessian_power: 1.0,
    };
    let p = parameters();
    let z = Probes::new(17).signs(1, &p).unwrap();
    let hessian = hessian();
    let z = flat(&z);
    let hz: Vec<f64> = (0..z.len())
        .map(|i| (0..z.len()).map(|j| hessian[j][i] * z[j]).sum())
        .collect();
    let mut curvature: Vec<Tensor> = shaped(&hz).iter().map(Tensor::abs).collect();
    curvature[0] = curvature[0]
        .mean_dim([2, 3].as_slice(), true, None)
        .expand(SHAPES[0], false);

    let first = gradients(&loss(&p), &p, true).unwrap();
    let start: Vec<Tensor> = p.iter().map(Tensor::copy).collect();
    Adahessian::new(settings, 17).step(&p, &first).unwrap();
    let _guard = without_grad();
    for index in 0..p.len() {
        let expected = &start[index] - &first[index] * 0.1 / (&curvature[index] + 0.01);
        let error = (&p[index] - expected).abs().max().double_value(&[]);
        assert!(error < 1e-5, "parameter {index} is {error} off");
    }
}
