//! Loss and accuracy of a network on a set, in evaluation mode. The training loop asks for them at
//! each epoch's end.

use tch::{Kind, Reduction, Tensor};

use crate::data::Split;
use crate::error::TrialError;
use crate::model::{Mode, ResNet18};
use crate::tensors::without_grad;

/// Images that pass through the network at once. Part of what defines a result, if only by its
/// rounding.
const AT_ONCE: i64 = 200;

/// How well a network does on a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Cross entropy, mean over the images.
    pub loss: f64,
    /// Share of the images whose largest logit is their digit's, in percent.
    pub accuracy: f64,
}

/// Scores the network on the set.
///
/// # Errors
/// libtorch's.
pub fn evaluate(network: &ResNet18, split: &Split) -> Result<Score, TrialError> {
    let _guard = without_grad();
    let (mut loss, mut right) = (0.0, 0);
    for start in (0..split.len()).step_by(AT_ONCE as usize) {
        let part = split.narrow(start, AT_ONCE.min(split.len() - start))?;
        let logits = network.forward(&part.images, Mode::Evaluate)?;
        let losses = logits.f_cross_entropy_loss(
            &part.labels,
            None::<&Tensor>,
            Reduction::None,
            -100,
            0.0,
        )?;
        loss += losses.f_sum(Kind::Double)?.f_double_value(&[])?;
        right += logits
            .f_argmax(-1, false)?
            .f_eq_tensor(&part.labels)?
            .f_sum(Kind::Int64)?
            .f_int64_value(&[])?;
    }
    let count = split.len() as f64;
    Ok(Score {
        loss: loss / count,
        accuracy: 100.0 * right as f64 / count,
    })
}
