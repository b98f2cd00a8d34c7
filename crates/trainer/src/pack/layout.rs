//! How the weights of one model lie in a row of P numbers: kernels of one size side by side, so
//! that a mean over each kernel (AdaHessian's) takes one operation for all of them. Used by
//! `network` and `rules`.

use std::collections::HashMap;
use std::ops::Range;

use tch::{TchError, Tensor};

use crate::model::{ResNet18, taps};

/// Parameters side by side whose kernels are of one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// Numbers of a kernel: its live taps.
    pub taps: i64,
    /// Divisor of the mean over a kernel: dead taps count.
    divisor: f64,
    /// Where it lies in the row.
    pub weights: Range<i64>,
    /// Where its kernels' means lie in the row of means.
    pub means: Range<i64>,
}

/// The order of a row.
#[derive(Debug)]
pub(super) struct Layout {
    /// In the row's order.
    parameters: Vec<Parameter>,
    /// Length of each parameter, in the row's order.
    lengths: Vec<i64>,
    /// In the order of the row.
    pub groups: Vec<Group>,
    /// By name: place in the row's order.
    by_name: HashMap<String, usize>,
}

/// The size of a parameter's kernels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KernelSize {
    /// Taps in memory.
    live: i64,
    /// Taps of the whole kernel, by which `hutchinson::spatial_mean` divides.
    whole: i64,
}

impl KernelSize {
    /// The size for a parameter of that shape. Parameters other than kernels have one tap.
    fn of(shape: &[i64]) -> Self {
        let [live, whole] = match *shape {
            [_, _, height, width] => [height * width; 2],
            [_, _, live] => [live, taps::KERNEL],
            _ => [1, 1],
        };
        Self { live, whole }
    }
}

/// A parameter's place in the network's own order, and its shape.
#[derive(Debug)]
struct Parameter {
    place: usize,
    shape: Vec<i64>,
}

impl Layout {
    /// The layout of the network's parameters.
    pub(super) fn of(network: &ResNet18) -> Self {
        let mut parameters: Vec<Parameter> = network
            .parameters()
            .iter()
            .map(Tensor::size)
            .enumerate()
            .map(|(place, shape)| Parameter { place, shape })
            .collect();
        parameters.sort_by_key(|parameter| {
            let size = KernelSize::of(&parameter.shape);
            (std::cmp::Reverse(size), parameter.place)
        });
        let lengths: Vec<i64> = parameters
            .iter()
            .map(|parameter| parameter.shape.iter().product())
            .collect();

        // Parameters with kernels of one size are next to each other now.
        let mut groups: Vec<Group> = Vec::new();
        let mut size_of_last = None;
        for (parameter, length) in parameters.iter().zip(&lengths) {
            let size = KernelSize::of(&parameter.shape);
            if size_of_last != Some(size) {
                size_of_last = Some(size);
                groups.push(Group::after(groups.last(), size));
            }
            if let Some(last) = groups.last_mut() {
                last.weights.end += length;
                last.means.end += length / size.live;
            }
        }

        // The layers find their parameters by torchvision's names.
        let names: Vec<&String> = network.names().iter().collect();
        let by_name = parameters
            .iter()
            .enumerate()
            .map(|(at, parameter)| (names[parameter.place].clone(), at))
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
    pub(super) fn place(&self, name: &str) -> Result<usize, TchError> {
        self.by_name.get(name).copied().ok_or_else(|| {
            TchError::TensorNameNotFound(name.to_owned(), "the network that is packed".to_owned())
        })
    }

    /// Where the parameter at that place begins in a row.
    pub(super) fn offset(&self, place: usize) -> i64 {
        self.lengths[..place].iter().sum()
    }

    /// The shape of the parameter at that place, of one model.
    pub(super) fn shape(&self, place: usize) -> &[i64] {
        &self.parameters[place].shape
    }

    /// A model's tensors, one for each parameter and in the network's order, as a row `[1, P]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn row(&self, tensors: &[Tensor]) -> Result<Tensor, TchError> {
        let parts: Vec<Tensor> = self
            .parameters
            .iter()
            .map(|parameter| tensors[parameter.place].f_detach()?.f_reshape([1, -1]))
            .collect::<Result<_, _>>()?;
        Tensor::f_cat(&parts, 1)
    }

    /// Tensors of the parameters' shapes, in the network's order, that take no memory: templates to
    /// draw probes for.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn templates(&self) -> Result<Vec<Tensor>, TchError> {
        let zero = Tensor::f_zeros([1], tch::kind::FLOAT_CPU)?;
        let mut ordered: Vec<&Parameter> = self.parameters.iter().collect();
        ordered.sort_by_key(|parameter| parameter.place);
        ordered
            .into_iter()
            .map(|parameter| zero.f_expand(parameter.shape.as_slice(), false))
            .collect()
    }

    /// Rows `[K, P]` as the parameters of K models, `[K, ...]` each, as views.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn split(&self, rows: &Tensor) -> Result<Vec<Tensor>, TchError> {
        let models = rows.size()[0];
        let parts = rows.f_split_with_sizes(self.lengths.as_slice(), 1)?;
        let mut views = Vec::with_capacity(parts.len());
        for (part, parameter) in parts.into_iter().zip(&self.parameters) {
            let shape = [&[models], parameter.shape.as_slice()].concat();
            views.push(part.f_view(shape.as_slice())?);
        }
        Ok(views)
    }

    /// The mean of the absolute values over each kernel, `[K, P]` to `[K, D]`. Dead taps, which a
    /// row leaves out, count as zeros.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn kernel_means(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        let means: Vec<Tensor> = self
            .groups
            .iter()
            .map(|group| group.kernel_means(rows))
            .collect::<Result<_, _>>()?;
        Tensor::f_cat(&means, 1)
    }
}

impl Group {
    /// An empty group that begins where the last one ends.
    fn after(last: Option<&Self>, size: KernelSize) -> Self {
        let weights = last.map_or(0, |last| last.weights.end);
        let means = last.map_or(0, |last| last.means.end);
        Self {
            taps: size.live,
            divisor: size.whole as f64,
            weights: weights..weights,
            means: means..means,
        }
    }

    /// The mean of the absolute values over each of its kernels.
    fn kernel_means(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        self.of(rows)?
            .f_abs()?
            .f_sum_dim_intlist([2].as_slice(), false, None)?
            .f_div_scalar(self.divisor)
    }

    /// Its part of rows `[K, P]`, as a view `[K, kernels, taps]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn of(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        let part = rows.f_narrow(1, self.weights.start, self.weights.end - self.weights.start)?;
        part.f_view([rows.size()[0], self.means.end - self.means.start, self.taps])
    }

    /// Its part of means `[K, D]`, as a view `[K, kernels, 1]`.
    ///
    /// # Errors
    /// libtorch's.
    pub(super) fn of_means(&self, means: &Tensor) -> Result<Tensor, TchError> {
        means
            .f_narrow(1, self.means.start, self.means.end - self.means.start)?
            .f_unsqueeze(2)
    }
}
