//! `Operations` as kernels for NVIDIA GPUs: which kernel is started, with which arguments, in how
//! many blocks. `convolutions` and `norms` implement the two kinds.

mod convolutions;
mod norms;

use tch::{Kind, TchError, Tensor};

use super::module::{Argument, Module, ModuleError};
use super::operations::Operations;

/// The kernels, compiled.
pub(crate) struct Kernels {
    module: Module,
}

/// Maximum number of images in a batch: one channel of the first layer's maps, and one number more
/// for each of its numbers, must fit into shared memory.
const MAX_IMAGES: i64 = 256;

impl Kernels {
    /// Compiles the kernels, with products in TF32 or in single precision.
    ///
    /// # Errors
    /// Says why they cannot be used here.
    pub(crate) fn compile(tf32: bool) -> Result<Self, ModuleError> {
        let names: Vec<&'static str> = convolutions::names().chain(norms::NAMES).collect();

        // Three TF32 products of split operands have the accuracy of single precision.
        let passes = if tf32 { 1 } else { 3 };
        Ok(Self {
            module: Module::compile(&names, passes)?,
        })
    }
}

impl Operations for Kernels {
    fn serves(&self, images: i64) -> bool {
        images % 4 == 0 && images <= MAX_IMAGES
    }
}

/// The step from a row to the next one. It is 0 where one row stands for all models.
fn row_step(rows: &Tensor) -> Argument {
    let step = if rows.size()[0] == 1 {
        0
    } else {
        rows.size()[1]
    };
    Argument::Long(step)
}

/// The address of a number in the first row.
fn place(rows: &Tensor, offset: i64) -> Argument {
    Argument::at(rows, offset, 4)
}

fn optional(tensor: Option<&Tensor>) -> Argument {
    tensor.map_or(Argument::Address(0), Argument::from)
}

fn int(value: i64) -> Argument {
    Argument::Int(value as i32)
}

/// A new tensor in single precision, not initialised, on the device of `like`.
fn empty(like: &Tensor, size: &[i64]) -> Result<Tensor, TchError> {
    Tensor::f_empty(size, (Kind::Float, like.device()))
}
