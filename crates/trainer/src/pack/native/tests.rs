//! The hand-written passes against libtorch's own derivatives, in double precision.

use tch::{Device, Kind, Tensor};

use super::{Layers, Passed, Reference, evaluate, forward, gradient, hessian_product};
use crate::device::one_thread;
use crate::margins;
use crate::model::{Mode, ResNet18};
use crate::pack::network::Networks;

/// Numbers that look random but do not depend on libtorch's random state.
fn noise(size: &[i64], scale: f64) -> Tensor {
    let count = size.iter().product::<i64>();
    ((Tensor::arange(count, (Kind::Double, Device::Cpu)) * 12.9898).sin() * 43758.5453)
        .frac()
        .view(size)
        * scale
}

/// Three different models, images, and labels.
fn case() -> (Networks, Tensor, Tensor) {
    one_thread();
    let network = ResNet18::new(7, Kind::Double, Device::Cpu).unwrap();
    let networks = Networks::of(&network, 3).unwrap();
    let apart = noise(&networks.weights().size(), 0.03);
    let _ = tch::no_grad(|| networks.weights().shallow_clone().f_add_(&apart)).unwrap();
    let images = noise(&[4, 1, 28, 28], 1.0);
    (networks, images, Tensor::from_slice(&[3_i64, 1, 4, 1]))
}

fn loss(logits: &Tensor, labels: &Tensor) -> Tensor {
    let each = logits.transpose(1, 2).log_softmax(-1, None);
    -each
        .gather(2, &labels.view([1, -1, 1]).expand([3, -1, 1], false), false)
        .mean_dim([1].as_slice(), false, None)
        .sum(None)
}

fn assert_near(found: &Tensor, expected: &Tensor, what: &str) {
    margins::assert_near(
        format!("{what} by the hand-written passes"),
        found,
        expected,
        1e-10,
    );
}

#[test]
fn gradient_and_hessian_product_are_libtorchs() {
    let (networks, images, labels) = case();
    let layers = Layers::of(networks.plan());

    // What libtorch computes.
    let logits = networks.forward(&images, Mode::Train).unwrap();
    let expected =
        Tensor::run_backward(&[loss(&logits, &labels)], &[networks.weights()], true, true)
            .remove(0);
    let signs = noise(&[1, networks.weights().size()[1]], 1.0).sign();
    let product = Tensor::run_backward(
        &[(&expected * &signs).sum(None)],
        &[networks.weights()],
        false,
        false,
    )
    .remove(0);

    // What the passes compute.
    let _guard = crate::tensors::without_grad();
    let tape = forward(&Reference, &layers, &networks, &images).unwrap();
    assert_near(&tape.logits, &logits.detach(), "logits");
    let (found, trail) = gradient(&Reference, &layers, &networks, &tape, &labels).unwrap();
    assert_near(&found, &expected.detach(), "gradient");
    let passed = Passed { tape, trail };
    let found = hessian_product(&Reference, &layers, &networks, &passed, &signs).unwrap();
    for place in 0..62 {
        let offset = networks.layout().offset(place);
        let shape = networks.layout().shape(place);
        let length = shape.iter().product::<i64>();
        assert_near(
            &found.detach().narrow(1, offset, length),
            &product.detach().narrow(1, offset, length),
            &format!("product with the Hessian, {shape:?}"),
        );
    }
}

/// Both ways update the statistics alike, and get the same logits with them.
#[test]
fn running_statistics_are_libtorchs() {
    let (by_hand, images, _) = case();
    let (networks, ..) = case();
    let layers = Layers::of(networks.plan());
    let _guard = crate::tensors::without_grad();
    forward(&Reference, &layers, &by_hand, &images).unwrap();
    let _ = networks.forward(&images, Mode::Train).unwrap();
    let found = evaluate(&Reference, &layers, &by_hand, &images).unwrap();
    assert_near(
        &found,
        &networks.forward(&images, Mode::Evaluate).unwrap(),
        "scores",
    );
    // The statistics were not the initial ones.
    assert!(by_hand.running(0).mean.abs().max().double_value(&[]) > 0.0);
}
