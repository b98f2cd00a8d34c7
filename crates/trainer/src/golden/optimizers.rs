//! Ten steps of each optimizer on one batch, as a trial takes them, from the configurations in the
//! golden file.
//!
//! In double precision each parameter is held to 1e-7 of its norm, and half of the ways from the
//! start to 1e-6 of their lengths. In single precision rounding grows with the steps: one element
//! whose |Hz| nearly vanishes, or an activation that rounds to the other side of zero, moves
//! differently. There a step from the same weights is held to the same step in double precision,
//! with an eps that keeps the denominator of AdaHessian away from zero.

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

/// How far a parameter may be from the reference, relative to its norm.
const PARAMETER: f64 = 1e-7;
/// How far a way may be from the reference's, relative to its length.
const WAY: f64 = 1e-3;
/// The median over the parameters of that.
const MEDIAN_WAY: f64 = 1e-6;
/// How far the running statistics and the loss in evaluation mode may be.
const EVALUATION: f64 = 1e-6;

/// How far each parameter has moved, in double precision.
fn ways(network: &ResNet18, start: &[Tensor]) -> Vec<Tensor> {
    let _guard = without_grad();
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    network
        .parameters()
        .iter()
        .zip(start)
        .map(|(parameter, start)| double(parameter) - double(start))
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
    let (sketcher, reference) = (Sketcher::new(), Reference::get());
    let kind = Kind::Double;
    let expected = &reference.float64.runs[run];
    let (network, batch) = (network(kind), batch(kind));
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

    let moved = ways(&network, &start);
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
        format!("{run}, median of the ways"),
        shares[shares.len() / 2],
        MEDIAN_WAY,
    );
    assert_within(
        format!("{run}, largest of the ways"),
        shares[shares.len() - 1],
        WAY,
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

/// The way of one step from the weights of the reference, after an epoch that ends with that loss.
fn one_step(kind: Kind, mut optimizer: Box<dyn Optimizer>, batch: &Split) -> Vec<Tensor> {
    let network = network(kind);
    let start = copies(&network);
    let _ = optimizer.end_epoch(0.5);
    step(&network, batch, &mut *optimizer).unwrap();
    ways(&network, &start)
}

/// The network, its derivatives and each optimizer's move, Hybrid's after its switch. Where nothing
/// small is divided by, a step differs by rounding alone.
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
        // At a rate of 1 the weights' own rounding is small beside the way.
        for name in ["eps", "lr", "lr1", "lr2"] {
            if let Some(value) = config.0.get_mut(name) {
                *value = ParamValue::float(1.0);
            }
        }
        let start = || {
            Settings::from_config(&config)
                .unwrap()
                .optimizer
                .start(reference.plan.seed)
        };
        let (found, expected) = (
            one_step(Kind::Float, start(), &batch),
            one_step(Kind::Double, start(), &double),
        );
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
