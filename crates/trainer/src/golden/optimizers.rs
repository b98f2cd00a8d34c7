//! Ten steps of each optimizer on one batch, as in a trial, with the configurations of the golden
//! file.
//!
//! In double precision the error of each parameter is below 1e-7 of its norm, and the median error
//! of the moves from the start is below 1e-6 of their lengths. In single precision rounding grows
//! with the steps: an element whose |Hz| is nearly zero, or an activation that rounds to the other
//! side of zero, moves differently. There a step is compared with the step in double precision from
//! the same weights, with an eps that keeps the denominator of AdaHessian away from zero.

use pentagrid_protocol::ParamValue;
use tch::{Kind, Tensor};

use super::reference::Reference;
use super::setting::{batch, named, network, statistics};
use super::sketch::Sketcher;
use crate::data::Split;
use crate::engine::{evaluate, step};
use crate::margins::{assert_near, assert_ratio, assert_within};
use crate::model::ResNet18;
use crate::optim::Optimizer;
use crate::settings::Settings;
use crate::tensors::{copy, without_grad};

/// Maximum error of a parameter, relative to its norm.
const PARAMETER: f64 = 1e-7;
/// Maximum error of a parameter's move from the start, relative to its length.
const MOVE: f64 = 1e-3;
/// Maximum of the median of these errors over the parameters.
const MEDIAN_MOVE: f64 = 1e-6;
/// Maximum error of the running statistics and of the loss in evaluation mode.
const EVALUATION: f64 = 1e-6;

/// How far each parameter has moved, in double precision.
fn moves(network: &ResNet18, start: &[Tensor]) -> Vec<Tensor> {
    let _guard = without_grad();
    network
        .parameters()
        .iter()
        .zip(start)
        .map(|(parameter, start)| parameter.to_kind(Kind::Double) - start.to_kind(Kind::Double))
        .collect()
}

fn copies(network: &ResNet18) -> Vec<Tensor> {
    network
        .parameters()
        .iter()
        .map(|tensor| copy(tensor).unwrap())
        .collect()
}

/// Ten steps in double precision, against the reference.
fn check(run: &str) {
    let sketcher = Sketcher::new();
    let reference = Reference::get();
    let expected = &reference.float64.runs[run];
    let network = network(Kind::Double);
    let batch = batch(Kind::Double);
    let start = copies(&network);
    let mut optimizer = Settings::from_config(&expected.config)
        .unwrap()
        .optimizer
        .start(reference.plan.seed);
    for taken in 0..reference.plan.steps {
        if taken == reference.plan.switch {
            // A loss at the threshold is not below it.
            assert!(!optimizer.end_epoch(1.0));
            assert_eq!(optimizer.end_epoch(0.999), run == "hybrid");
        }
        step(&network, &batch, &mut *optimizer).unwrap();
    }

    let moved = moves(&network, &start);
    let distances = sketcher.distances(named(&network, &moved), &expected.moved);
    for (distance, parameter) in distances.iter().zip(network.parameters()) {
        let share = distance.distance / parameter.norm().double_value(&[]);
        assert_within(format!("{run}, {}", distance.name), share, PARAMETER);
    }
    let mut shares: Vec<f64> = distances
        .iter()
        .map(|distance| distance.distance / distance.norm)
        .collect();
    shares.sort_by(f64::total_cmp);
    assert_within(
        format!("{run}, median of the moves"),
        shares[shares.len() / 2],
        MEDIAN_MOVE,
    );
    assert_within(
        format!("{run}, largest of the moves"),
        shares[shares.len() - 1],
        MOVE,
    );

    let _guard = without_grad();
    sketcher.assert_near(
        &format!("{run}, running statistics"),
        statistics(&network),
        &expected.statistics,
        EVALUATION,
    );
    let loss = evaluate(&network, &batch).unwrap().loss;
    assert_ratio(
        format!("{run}, loss in evaluation mode"),
        loss,
        expected.evaluated_loss,
        EVALUATION,
    );
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

#[test]
fn hybrid_across_its_switch() {
    check("hybrid");
}

/// The moves of one step from the weights of the reference, after an epoch that ends with a loss of
/// 0.5.
fn one_step(kind: Kind, mut optimizer: Box<dyn Optimizer>, batch: &Split) -> Vec<Tensor> {
    let network = network(kind);
    let start = copies(&network);
    let _ = optimizer.end_epoch(0.5);
    step(&network, batch, &mut *optimizer).unwrap();
    moves(&network, &start)
}

/// Each optimizer, Hybrid after its switch. Without division by small numbers, a step differs by
/// rounding alone.
#[test]
fn a_step_in_single_precision_is_that_in_double() {
    let reference = Reference::get();
    // The larger batch, for steady batch norms.
    let batch = batch(Kind::Float);
    let double = Split {
        images: batch.images.to_kind(Kind::Double),
        labels: batch.labels.shallow_clone(),
    };
    for (run, expected) in &reference.float64.runs {
        let mut config = expected.config.clone();
        // At a rate of 1 the rounding of the weights is small compared with the move.
        for name in ["eps", "lr", "lr1", "lr2"] {
            if let Some(value) = config.0.get_mut(name) {
                *value = ParamValue::float(1.0);
            }
        }
        let optimizer = Settings::from_config(&config).unwrap().optimizer;
        let seed = reference.plan.seed;
        let found = one_step(Kind::Float, optimizer.start(seed), &batch);
        let expected = one_step(Kind::Double, optimizer.start(seed), &double);
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_near(
                format!("a step of {run} in single precision, parameter {index}"),
                found,
                expected,
                3e-2,
            );
        }
    }
}
