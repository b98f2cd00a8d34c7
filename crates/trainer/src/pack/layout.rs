//! How the weights of one model lie in a row of P numbers: kernels of one size side by side, so
//! that a mean over each kernel (AdaHessian's) takes one operation for all of them. Used by
//! `network` and `rules`.

use std::collections::HashMap;
use std::ops::Range;

use tch::{TchError, Tensor};

use crate::model::{ResNet18, taps};

/// Parameters side by side whose kernels are of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Numbers a kernel: its live taps.
    pub taps: i64,
    /// What the sum over a kernel is divided by: dead taps count.
    divisor: f64,
    /// Where it lies in the row.
    pub weights: Range<i64>,
    /// Where its kernels' means lie in the row of means.
    pub means: Range<i64>,
}

/// The order of a row.
#[derive(Debug)]
pub struct Layout {
    /// In the row's order: place in the network's own order, and shape.
    parameters: Vec<(usize, Vec<i64>)>,
    /// Length of each parameter, in the row's order.
    lengths: Vec<i64>,
    /// In the order of the row.
    pub groups: Vec<Group>,
    /// By name: place in the row's order.
    by_name: HashMap<String, usize>,
}

/// Taps in memory and taps of the whole kernel, as `hutchinson::spatial_mean` takes them.
fn kernel(shape: &[i64]) -> (i64, i64) {
    match *shape {
        [_, _, height, width] => (height * width, height * width),
        [_, _, live] => (live, taps::KERNEL),
        _ => (1, 1),
    }
}

impl Layout {
    /// The layout of the network's parameters.
    pub fn of(network: &ResNet18) -> Self {
        let shapes: Vec<Vec<i64>> = network.parameters().iter().map(Tensor::size).collect();
        let mut parameters: Vec<(usize, Vec<i64>)> = shapes.into_iter().enumerate().collect();
        parameters.sort_by_key(|(place, shape)| (std::cmp::Reverse(kernel(shape)), *place));
        let lengths: Vec<i64> = parameters
            .iter()
            .map(|(_, shape)| shape.iter().product())
            .collect();
        let mut groups: Vec<Group> = Vec::new();
        let mut kernels = Vec::new();
        for ((_, shape), length) in parameters.iter().zip(&lengths) {
            let (taps, whole) = kernel(shape);
            if kernels.last() != Some(&(taps, whole)) {
                kernels.push((taps, whole));
                let [weights, means] = groups
                    .last()
                    .map_or([0, 0], |last| [last.weights.end, last.means.end]);
                groups.push(Group {
                    taps,
                    divisor: whole as f64,
                    weights: weights..weights,
                    means: means..means,
                });
            }
            if let Some(last) = groups.last_mut() {
                last.weights.end += length;
                last.means.end += length / taps;
            }
        }
        let names: Vec<&String> = network.names().iter().collect();
        let by_name = parameters
            .iter()
            .enumerate()
            .map(|(at, (place, _))| (names[*place].clone(), at))
            .collect();
        Self {
            parameters,
            lengths,
            groups,
            by_name,
        }
    }

    /// Where the parameter of that name is among those that `split` gives.
    ///
    /// # Errors
    /// If there is none.
    pub fn place(&self, name: &str) -> Result<usize, TchError> {
        let missing = || {
            TchError::TensorNameNotFound(name.to_owned(), "the network that is packed".to_owned())
        };
        self.by_name.get(name).copied().ok_or_else(missing)
    }

    /// Where the parameter at that place begins in a row.
    pub fn offset(&self, place: usize) -> i64 {
        self.lengths[..place].iter().sum()
    }

    /// The shape of the parameter at that place, of one model.
    pub fn shape(&self, place: usize) -> &[i64] {
        &self.parameters[place].1
    }

    /// A model's tensors, one a parameter and in the network's order, as a row `[1, P]`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn row(&self, tensors: &[Tensor]) -> Result<Tensor, TchError> {
        let parts: Vec<Tensor> = self
            .parameters
            .iter()
            .map(|(place, _)| tensors[*place].f_detach()?.f_reshape([1, -1]))
            .collect::<Result<_, _>>()?;
        Tensor::f_cat(&parts, 1)
    }

    /// Tensors of the parameters' shapes, in the network's order, that hold nothing: what to draw
    /// probes for.
    ///
    /// # Errors
    /// libtorch's.
    pub fn templates(&self) -> Result<Vec<Tensor>, TchError> {
        let nothing = Tensor::f_zeros([1], tch::kind::FLOAT_CPU)?;
        let mut ordered: Vec<&(usize, Vec<i64>)> = self.parameters.iter().collect();
        ordered.sort_by_key(|(place, _)| *place);
        ordered
            .into_iter()
            .map(|(_, shape)| nothing.f_expand(shape.as_slice(), false))
            .collect()
    }

    /// Rows `[K, P]` as the parameters of K models, `[K, ...]` each, as views.
    ///
    /// # Errors
    /// libtorch's.
    pub fn split(&self, rows: &Tensor) -> Result<Vec<Tensor>, TchError> {
        let models = rows.size()[0];
        let parts = rows.f_split_with_sizes(self.lengths.as_slice(), 1)?;
        let view = |(part, (_, shape)): (Tensor, &(usize, Vec<i64>))| {
            part.f_view([&[models], shape.as_slice()].concat().as_slice())
        };
        parts.into_iter().zip(&self.parameters).map(view).collect()
    }

    /// The mean of the sizes over each kernel, `[K, P]` to `[K, D]`; dead taps, which are not
    /// there, count as zeros.
    ///
    /// # Errors
    /// libtorch's.
    pub fn kernel_means(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        let mean = |group: &Group| {
            let sizes = group.of(rows)?.f_abs()?;
            sizes
                .f_sum_dim_intlist([2].as_slice(), false, None)?
                .f_div_scalar(group.divisor)
        };
        Tensor::f_cat(
            &self
                .groups
                .iter()
                .map(mean)
                .collect::<Result<Vec<_>, _>>()?,
            1,
        )
    }
}

impl Group {
    /// Its part of rows `[K, P]`, as a view `[K, kernels, taps]`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn of(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        let part = rows.f_narrow(1, self.weights.start, self.weights.end - self.weights.start)?;
        part.f_view([rows.size()[0], self.means.end - self.means.start, self.taps])
    }

    /// Its part of means `[K, D]`, as a view `[K, kernels, 1]`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn of_means(&self, means: &Tensor) -> Result<Tensor, TchError> {
        means
            .f_narrow(1, self.means.start, self.means.end - self.means.start)?
            .f_unsqueeze(2)
    }
}
