//! One batch at the drawn weights: logits, loss, gradients, Hz, running statistics, evaluation
//! mode.

use tch::{Kind, Reduction, Tensor};

use super::reference::Reference;
use super::setting::{batch, named, network, statistics, weights};
use super::sketch::Sketcher;
use crate::margins::assert_near;
use crate::model::Mode;
use crate::optim::{Probes, gradients, hessian_product};
use crate::tensors::without_grad;

/// Asserts that a tensor has the reference's values.
fn assert_values(what: &str, kind: Kind, found: &Tensor, expected: &[f64], bound: f64) {
    assert_near(
        format!("{what} ({kind:?})"),
        &found.flatten(0, -1),
        &Tensor::from_slice(expected),
        bound,
    );
}

#[test]
fn both_sides_draw_the_same_weights() {
    let network = network(Kind::Float);
    Sketcher::new().assert_near(
        "the draw",
        weights(&network),
        &Reference::get().weights,
        1e-12,
    );
}

#[test]
fn a_batch_gives_the_reference_values() {
    let sketcher = Sketcher::new();
    let reference = Reference::get();
    for (kind, tolerance) in [(Kind::Double, 1e-9), (Kind::Float, 1e-3)] {
        let network = network(kind);
        let batch = batch(kind);
        let expected = reference.of(kind);
        let logits = network.forward(&batch.images, Mode::Train).unwrap();
        // Not `cross_entropy_for_logits`, which goes through single precision.
        let loss =
            logits.cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0);
        assert_values("logits", kind, &logits, &expected.logits, tolerance);
        assert_values("loss", kind, &loss.view(1), &[expected.loss], tolerance);

        let first = gradients(&loss, network.parameters(), true).unwrap();
        let signs = Probes::new(reference.plan.seed)
            .signs(1, network.parameters())
            .unwrap();
        let second = hessian_product(&first, network.parameters(), &signs).unwrap();
        for (what, derivatives, rows) in [
            ("gradient", &first, &expected.gradients),
            ("Hz", &second, &expected.hz),
        ] {
            sketcher.assert_near(
                &format!("{what} ({kind:?})"),
                named(&network, derivatives),
                rows,
                tolerance,
            );
        }

        sketcher.assert_near(
            &format!("running statistics ({kind:?})"),
            statistics(&network),
            &expected.statistics,
            tolerance,
        );
        let _guard = without_grad();
        let logits = network.forward(&batch.images, Mode::Evaluate).unwrap();
        assert_values(
            "logits in evaluation mode",
            kind,
            &logits,
            &expected.evaluated_logits,
            tolerance,
        );
    }
}
