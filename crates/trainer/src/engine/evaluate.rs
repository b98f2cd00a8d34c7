//! Loss and accuracy of a network on a set, in evaluation mode. The training loop measures them at
//! each epoch's end.

use tch::{Kind, Reduction, Tensor};

use crate::data::Split;
use crate::error::TrialError;
use crate::model::{Mode, ResNet18};
use crate::tensors::without_grad;

/// Number of images that pass through the network at once. It is part of what defines a result, if
/// only by its rounding.
pub(crate) const EVALUATION_BATCH: i64 = 200;

/// How well a network does on a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// Mean cross entropy over the images.
    pub loss: f64,
    /// Percentage of images whose largest logit is that of their digit.
    pub accuracy: f64,
}

/// Scores the network on the set.
///
/// # Errors
/// libtorch's.
pub(crate) fn evaluate(network: &ResNet18, split: &Split) -> Result<Score, TrialError> {
    let _guard = without_grad();
    let mut loss = 0.0;
    let mut correct = 0;
    for start in (0..split.len()).step_by(EVALUATION_BATCH as usize) {
        let part = split.narrow(start, EVALUATION_BATCH.min(split.len() - start))?;
        let logits = network.forward(&part.images, Mode::Evaluate)?;

        // Summed in double precision: the loss must not depend on how libtorch adds up many
        // numbers.
        let losses = logits.f_cross_entropy_loss(
            &part.labels,
            None::<&Tensor>,
            Reduction::None,
            -100,
            0.0,
        )?;
        loss += losses.f_sum(Kind::Double)?.f_double_value(&[])?;
        correct += logits
            .f_argmax(-1, false)?
            .f_eq_tensor(&part.labels)?
            .f_sum(Kind::Int64)?
            .f_int64_value(&[])?;
    }

    let count = split.len() as f64;
    Ok(Score {
        loss: loss / count,
        accuracy: 100.0 * correct as f64 / count,
    })
}
