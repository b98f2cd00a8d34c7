//! The network without its dead taps against the whole one: both have the same logits, gradients
//! and Hz, and after some steps of each optimizer the same weights. The dead taps have no
//! derivative and never move.

use tch::{Device, Kind, Reduction, Tensor};

use super::reference::Reference;
use super::setting::batch;
use crate::data::{Sets, Split};
use crate::device::one_thread;
use crate::engine::step;
use crate::margins::{assert_near, assert_within};
use crate::model::{Mode, ResNet18, taps};
use crate::optim::{Probes, gradients, hessian_product};
use crate::settings::Settings;
use crate::tensors::{copy, without_grad};

const SEED: u64 = 9;

/// The same network in double precision, without and with its dead taps.
fn networks() -> [ResNet18; 2] {
    one_thread();
    [
        ResNet18::new(SEED, Kind::Double, Device::Cpu).unwrap(),
        ResNet18::with_dead_taps(SEED, Kind::Double, Device::Cpu).unwrap(),
    ]
}

/// Asserts that the live taps agree, and that the dead taps of the full tensors are those of
/// `dead`.
fn assert_same(what: &str, live: &[Tensor], full: &[Tensor], dead: &[Tensor], tolerance: f64) {
    let _guard = without_grad();
    for (index, (live, full)) in live.iter().zip(full).enumerate() {
        let kept = taps::keep_live(full.copy(), &live.size()).unwrap();
        let share = ((live - &kept).norm() / (kept.norm() + 1e-300)).double_value(&[]);
        assert_within(
            format!("{what} without dead taps, parameter {index}"),
            share,
            tolerance,
        );
        assert_eq!(
            taps::put_live(&dead[index], &kept),
            *full,
            "{what}: a dead tap of parameter {index} has changed"
        );
    }
}

/// Enough images for bilinear convolutions, which smaller batches do without (`layers`).
fn many_images() -> Split {
    Sets::load(None, Kind::Double, Device::Cpu)
        .unwrap()
        .train
        .narrow(0, 40)
        .unwrap()
}

fn logits_and_loss(network: &ResNet18) -> (Tensor, Tensor) {
    let batch = many_images();
    let logits = network.forward(&batch.images, Mode::Train).unwrap();
    let loss =
        logits.cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0);
    (logits, loss)
}

#[test]
fn the_cut_network_is_the_same_function() {
    let [cut, full] = networks();
    let zeros: Vec<Tensor> = full
        .parameters()
        .iter()
        .map(|tensor| tensor.zeros_like().detach())
        .collect();
    let starts: Vec<Tensor> = full
        .parameters()
        .iter()
        .map(|tensor| copy(tensor).unwrap())
        .collect();
    assert_same(
        "the start",
        cut.parameters(),
        full.parameters(),
        &starts,
        f64::MIN_POSITIVE,
    );
    let [(logits, loss), (full_logits, full_loss)] = [&cut, &full].map(logits_and_loss);
    assert_near("logits without dead taps", &logits, &full_logits, 1e-10);
    assert_near("loss without dead taps", &loss, &full_loss, 1e-10);
    let derive = |network: &ResNet18, loss: &Tensor| {
        let first = gradients(loss, network.parameters(), true).unwrap();
        let signs = Probes::new(SEED).signs(1, network.parameters()).unwrap();
        let second = hessian_product(&first, network.parameters(), &signs).unwrap();
        (first, second)
    };
    let [(first, second), (full_first, full_second)] =
        [derive(&cut, &loss), derive(&full, &full_loss)];
    assert_same("gradient", &first, &full_first, &zeros, 1e-9);
    assert_same("Hz", &second, &full_second, &zeros, 1e-9);
}

#[test]
fn every_optimizer_takes_the_same_steps() {
    let batch = batch(Kind::Double);
    let start = networks();
    for run in [
        "sgd",
        "sgd_momentum",
        "adam",
        "adahessian",
        "adahessian_half_power",
        "hybrid",
    ] {
        let config = &Reference::get().of(Kind::Double).runs[run].config;
        let settings = Settings::from_config(config).unwrap().optimizer;
        let networks = [&start[0], &start[1]].map(|network| network.duplicate().unwrap());
        for network in &networks {
            let mut optimizer = settings.start(SEED);
            for _ in 0..3 {
                step(network, &batch, &mut *optimizer).unwrap();
                let _ = optimizer.end_epoch(0.0);
            }
        }
        // Adam divides by |g| and AdaHessian by |Hz|: where these are nearly zero, rounding errors
        // grow.
        let tolerance = if run.starts_with("sgd") { 1e-9 } else { 1e-6 };
        assert_same(
            run,
            networks[0].parameters(),
            networks[1].parameters(),
            start[1].parameters(),
            tolerance,
        );
    }
}
