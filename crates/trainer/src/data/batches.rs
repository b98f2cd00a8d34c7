//! Cuts the training set into batches, in file order: no shuffling. The engine takes a step on
//! each.

use super::sets::Split;
use crate::error::TrialError;

/// The batches of an epoch, as views of the training set.
#[derive(Debug)]
pub(crate) struct Batches(Vec<Split>);

impl Batches {
    /// Batches of `size` images; the last one is what is left over. A last batch of one image is
    /// left out: batch norm has nothing to normalise over on layer4's 1x1 maps, and libtorch
    /// refuses it.
    ///
    /// # Errors
    /// libtorch's.
    pub(crate) fn new(train: &Split, size: i64) -> Result<Self, TrialError> {
        let total = train.len();
        let mut batches = Vec::new();
        for start in (0..total).step_by(size.max(1) as usize) {
            let length = size.min(total - start);
            if length > 1 {
                batches.push(train.narrow(start, length)?);
            }
        }
        Ok(Self(batches))
    }

    /// The batches in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Split> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    fn sizes(total: i64, size: i64) -> Vec<i64> {
        let train = Split {
            images: Tensor::zeros([total, 1, 2, 2], tch::kind::FLOAT_CPU),
            labels: Tensor::arange(total, tch::kind::INT64_CPU),
        };
        let batches = Batches::new(&train, size).unwrap();
        let firsts: Vec<i64> = batches
            .iter()
            .map(|batch| batch.labels.int64_value(&[0]))
            .collect();
        let expected: Vec<i64> = (0..firsts.len() as i64).map(|index| index * size).collect();
        assert_eq!(firsts, expected);
        batches.iter().map(Split::len).collect()
    }

    #[test]
    fn the_last_batch_is_kept_unless_it_is_one_image() {
        assert_eq!(sizes(6, 3), [3, 3]);
        assert_eq!(sizes(8, 3), [3, 3, 2]);
        assert_eq!(sizes(7, 3), [3, 3]);
        assert_eq!(sizes(5, 100), [5]);
    }
}
