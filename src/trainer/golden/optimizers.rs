//! Ten steps of each optimizer on one batch, as a trial takes them, from the configurations in the golden file.
//!
//! In double precision each parameter is held to 1e-9 of its norm, and half of the ways from the start to 1e-8 of their
//! lengths. In single precision each parameter is held to 1e-4 of its norm, and half of the ways to 5 % of their lengths: one
//! element whose |Hz| nearly vanishes, or an activation that rounds to the other side of zero, moves differently there.

use tch::{Kind, Tensor};

use super::reference::Reference;
use super::setting::{batch, named, network, statistics};
use super::sketch::Sketcher;
use crate::engine::{evaluate, step};
use crate::settings::Settings;
use crate::tensors::{copy, without_grad};

/// How far a run may be from the reference.
struct Tolerance {
    /// Each parameter, relative to its norm.
    parameter: f64,
    /// Each way, relative to its length.
    way: f64,
    /// The median over the parameters of that.
    median_way: f64,
    /// The running statistics, relative to their norms, and the loss in evaluation mode.
    evaluation: f64,
}

const DOUBLE: Tolerance = Tolerance { parameter: 1e-9, way: 1e-5, median_way: 1e-8, evaluation: 1e-7 };
const SINGLE: Tolerance = Tolerance { parameter: 1e-4, way: f64::INFINITY, median_way: 0.05, evaluation: 0.01 };

fn check(run: &str) {
    check_in(Kind::Double, &DOUBLE, run);
    check_in(Kind::Float, &SINGLE, run);
}

fn check_in(kind: Kind, tolerance: &Tolerance, run: &str) {
    let (sketcher, reference) = (Sketcher::new(), Reference::get());
    let expected = &reference.of(kind).runs[run];
    let (network, batch) = (network(kind), batch(kind));
    let start: Vec<Tensor> = network.parameters().iter().map(|tensor| copy(tensor).unwrap()).collect();
    let mut optimizer = Settings::from_config(&expected.config).unwrap().optimizer.start(reference.plan.seed);
    for taken in 0..reference.plan.steps {
        if taken == reference.plan.switch {
            // A loss at the threshold is not below it.
            assert!(!optimizer.end_epoch(1.0));
            assert_eq!(optimizer.end_epoch(0.999), run == "hybrid");
        }
        step(&network, &batch, &mut *optimizer).unwrap();
    }

    let _guard = without_grad();
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let moved: Vec<Tensor> = network.parameters().iter().zip(&start).map(|(p, start)| double(p) - double(start)).collect();
    let distances = sketcher.distances(named(&network, &moved), &expected.moved);
    for (distance, parameter) in distances.iter().zip(network.parameters()) {
        let share = distance.distance / double(parameter).norm().double_value(&[]);
        assert!(share < tolerance.parameter, "{run}, {kind:?}: {} differs by {share:e} of its norm", distance.name);
    }
    let mut ways: Vec<f64> = distances.iter().map(|distance| distance.distance / distance.norm).collect();
    ways.sort_by(f64::total_cmp);
    let (median, largest) = (ways[ways.len() / 2], ways[ways.len() - 1]);
    assert!(median < tolerance.median_way && largest < tolerance.way, "{run}, {kind:?}: ways differ by {median:e}, {largest:e}");

    sketcher.assert_near(run, statistics(&network), &expected.statistics, tolerance.evaluation);
    let loss = evaluate(&network, &batch).unwrap().loss;
    let share = (loss / expected.evaluated_loss - 1.0).abs();
    assert!(share < tolerance.evaluation, "{run}, {kind:?}: the loss in evaluation mode differs by {share:e}");
}

#[test]
fn sgd() {
    check("sgd");
}

#[test]
fn sgd_with_momentum() {
    check("sgd_momentum");
}

/// Dampening β is the paper's eq. 2, but for the first step.
#[test]
fn sgd_with_dampened_momentum() {
    check("sgd_momentum_dampened");
}

#[test]
fn adam() {
    check("adam");
}

#[test]
fn adahessian() {
    check("adahessian");
}

#[test]
fn adahessian_with_half_the_power() {
    check("adahessian_half_power");
}

/// With eps = 1 no |Hz| near zero spoils single precision, which can then be held to its way.
#[test]
fn adahessian_with_a_large_eps() {
    check_in(Kind::Float, &SINGLE, "adahessian_large_eps");
}

#[test]
fn hybrid_across_its_switch() {
    check("hybrid");
}
