//! Where a network's tensors come from: drawn from a seed, or copied from another network. A
//! network is built by asking a `Source` for each of its tensors by name.

use std::collections::HashMap;

use tch::{Device, Kind, TchError, Tensor};

use super::taps;
use crate::rng::Stream;
use crate::tensors::copy;

/// How a tensor is initialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Init {
    /// torch's `kaiming_normal_(mode="fan_out", nonlinearity="relu")` (He et al. 2015, eq. 14):
    /// N(0, 2 / fan_out), where fan_out = output channels x kernel area. torchvision's choice for
    /// the convolutions of a ResNet.
    KaimingNormalFanOut,
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)): torch's default for `nn.Conv2d` and `nn.Linear`
    /// (`kaiming_uniform_` with a = sqrt(5)). Holds the fan_in, which the shape of a bias does not
    /// tell.
    UniformFanIn(i64),
    /// All elements are this number.
    Constant(f64),
}

/// Provides the tensors of a network.
pub(super) trait Source {
    /// The tensor of that name and shape. The caller may change it in place.
    ///
    /// # Errors
    /// libtorch's, or a tensor of that name that is missing or of another shape.
    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError>;
}

/// Draws each tensor from its own stream, `init/<name>`, on the CPU and in single precision: a seed
/// gives the same weights on every device and in every precision. Kernels with dead taps are drawn
/// in full, then cut to their live taps.
pub(super) struct Drawn {
    /// The trial's seed.
    pub seed: u64,
    /// The precision of the tensors.
    pub kind: Kind,
    /// The device of the tensors.
    pub device: Device,
}

impl Source for Drawn {
    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let full = taps::full_shape(shape);
        let count = full.iter().product::<i64>() as usize;
        let mut stream = Stream::new(self.seed, &format!("init/{name}"));
        let values = match init {
            Init::KaimingNormalFanOut => {
                let fan_out = full[0] * full[2..].iter().product::<i64>();
                stream.normal(count, (2.0 / fan_out as f64).sqrt())
            }
            Init::UniformFanIn(fan_in) => stream.uniform(count, 1.0 / (fan_in as f64).sqrt()),
            Init::Constant(value) => return Tensor::f_full(shape, value, (self.kind, self.device)),
        };
        // Dead taps are drawn too, so that the live ones are what they would be with them.
        let drawn = Tensor::f_from_slice(&values)?.f_view(full.as_slice())?;
        taps::keep_live(drawn, shape)?
            .f_to_device(self.device)?
            .f_to_kind(self.kind)
    }
}

/// Copies the tensors of another network.
pub(super) struct CopyOf<'a>(pub HashMap<&'a str, &'a Tensor>);

impl Source for CopyOf<'_> {
    fn tensor(&mut self, name: &str, shape: &[i64], _init: Init) -> Result<Tensor, TchError> {
        let Some(original) = self.0.get(name) else {
            return Err(TchError::TensorNameNotFound(
                name.to_owned(),
                "the network that is copied".to_owned(),
            ));
        };
        if original.size() != shape {
            return Err(TchError::Shape(format!(
                "{name} has the shape {:?}, not {shape:?}",
                original.size()
            )));
        }
        copy(original)
    }
}
