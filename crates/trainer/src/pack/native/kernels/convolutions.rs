//! The kernels of `convolution.cu`: 3x3 convolutions, the gradients of their inputs and weights.

use tch::{TchError, Tensor};

use super::{Kernels, empty, int, optional, place, row_step};
use crate::pack::native::module::{Argument, Start};
use crate::pack::native::operations::{Convolutions, Square};

/// Threads of a block.
const THREADS: i64 = 256;

/// Channels of a block's tile, in and out.
const TILE: i64 = 64;

/// A kernel with those of its template arguments, as `convolution.cu` has them, that determine
/// shared memory and blocks.
struct Shape {
    name: &'static str,
    /// Side of the maps that go in.
    side: i64,
    /// Side of the maps that come out.
    side_out: i64,
    /// Groups of eight images per block.
    groups: i64,
    /// Stages of a convolution's pipeline; for a gradient, rows of the output's maps in a stage.
    stages: i64,
    /// For a gradient: rows of the input's maps in a stage.
    input_rows: i64,
}

const fn shape(name: &'static str, sides: [i64; 2], groups: i64, stages: [i64; 2]) -> Shape {
    Shape {
        name,
        side: sides[0],
        side_out: sides[1],
        groups,
        stages: stages[0],
        input_rows: stages[1],
    }
}

const FORWARD: [Shape; 5] = [
    shape("conv_7_7", [7, 7], 1, [4, 0]),
    shape("conv_7_4", [7, 4], 2, [4, 0]),
    shape("conv_4_4", [4, 4], 2, [4, 0]),
    shape("conv_4_2", [4, 2], 13, [2, 0]),
    shape("conv_2_2", [2, 2], 13, [4, 0]),
];

const BACK: [Shape; 5] = [
    shape("back_7_7", [7, 7], 1, [4, 0]),
    shape("back_4_7", [4, 7], 1, [4, 0]),
    shape("back_4_4", [4, 4], 2, [4, 0]),
    shape("back_2_4", [2, 4], 2, [4, 0]),
    shape("back_2_2", [2, 2], 13, [4, 0]),
];

const GRADIENT: [Shape; 5] = [
    shape("grad_7_7", [7, 7], 1, [2, 4]),
    shape("grad_7_4", [7, 4], 1, [2, 5]),
    shape("grad_4_4", [4, 4], 1, [4, 4]),
    shape("grad_4_2", [4, 2], 2, [2, 4]),
    shape("grad_2_2", [2, 2], 4, [2, 2]),
];

/// Adds up the parts of a gradient that was computed by several blocks.
const ADD_PARTS: &str = "add_parts";

/// The names of all kernels here.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORWARD
        .iter()
        .chain(&BACK)
        .chain(&GRADIENT)
        .map(|shape| shape.name)
        .chain([ADD_PARTS])
}

/// The smallest length from `length` on that leaves the remainder `rest` when divided by 32, as in
/// `convolution.cu`: such rows do not collide in the banks of shared memory.
fn padded(length: i64, rest: i64) -> i64 {
    length + (rest - length).rem_euclid(32)
}

fn find(shapes: &[Shape], side: i64, side_out: i64) -> Result<&Shape, TchError> {
    shapes
        .iter()
        .find(|shape| shape.side == side && shape.side_out == side_out)
        .ok_or_else(|| {
            TchError::Shape(format!(
                "no kernel takes maps of {side} to maps of {side_out} pixels a side"
            ))
        })
}

/// A product of a convolution's weight with maps: the convolution itself, or the gradient of its
/// input.
struct Product<'a> {
    shape: &'static Shape,
    /// Channels of the maps that go in.
    from: i64,
    /// Channels of the maps that come out.
    to: i64,
    /// Numbers of the weight in a stage.
    weight_length: i64,
    weights: &'a Tensor,
    /// Where the weight begins in a row.
    offset: i64,
}

impl Kernels {
    /// Starts a product: maps `[K, from, ...]` to `[K, to, ...]`.
    fn product(
        &self,
        product: &Product<'_>,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let shape = product.shape;
        let models = x.size()[0];
        let images = x.size()[3];
        let add = onto.is_some();
        let out = match onto {
            Some(onto) => onto,
            None => {
                let pixels = shape.side_out * shape.side_out;
                empty(x, &[models, product.to, pixels, images])?
            }
        };

        // A block computes 64 channels of some groups of eight images. Each stage of its pipeline
        // has the weight and the maps of eight input channels in shared memory.
        let maps_length = 8 * padded(shape.groups * shape.side * shape.side * 8, 8);
        let start = Start {
            grid: [
                (images + 8 * shape.groups - 1) / (8 * shape.groups),
                product.to / TILE,
                models,
            ],
            threads: THREADS,
            shared: 4 * shape.stages * (product.weight_length + maps_length),
        };
        let arguments = [
            place(product.weights, product.offset),
            row_step(product.weights),
            x.into(),
            (&out).into(),
            int(product.to),
            int(product.from),
            int(images),
            int(add.into()),
        ];
        self.module.start(shape.name, start, &arguments)?;
        Ok(out)
    }
}

impl Convolutions for Kernels {
    fn convolve(
        &self,
        conv: Square,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let product = Product {
            shape: find(&FORWARD, conv.side, conv.side_out())?,
            from: conv.input,
            to: conv.output,
            weight_length: 64 * 76,
            weights,
            offset: conv.offset,
        };
        self.product(&product, x, onto)
    }

    fn convolve_back(
        &self,
        conv: Square,
        weights: &Tensor,
        gradient: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let product = Product {
            shape: find(&BACK, conv.side_out(), conv.side)?,
            from: conv.output,
            to: conv.input,
            weight_length: 8 * padded(576, 2),
            weights,
            offset: conv.offset,
        };
        self.product(&product, gradient, onto)
    }

    fn convolve_gradient(
        &self,
        conv: Square,
        x: &Tensor,
        gradient: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        let shape = find(&GRADIENT, conv.side, conv.side_out())?;
        let models = x.size()[0];
        let images = x.size()[3];
        let tiles = conv.output / TILE * (conv.input / TILE);
        let length = conv.output * conv.input * 9;

        // One block per model would leave most of the GPU idle, so the images are split in two. The
        // split must not depend on the number of models: rounding would depend on it too.
        let parts = if tiles == 1 { 2 } else { 1 };
        let output_length = padded(shape.stages * shape.side_out * shape.groups * 8, 4);
        let input_length = padded(shape.input_rows * shape.side * shape.groups * 8, 4);
        let start = Start {
            grid: [parts, tiles, models],
            threads: THREADS,
            shared: 4 * 2 * TILE * (output_length + input_length),
        };

        // The last three: where the sum goes, the step between models, the step between parts.
        let inputs = [x.into(), gradient.into()];
        let sizes = [int(conv.output), int(conv.input), int(images)];
        let target = [place(rows, conv.offset), row_step(rows)];
        if parts == 1 {
            let to = [target[0], target[1], Argument::Long(0)];
            let arguments = [inputs.as_slice(), &to, &sizes, &[int(add.into())]].concat();
            return self.module.start(shape.name, start, &arguments);
        }

        let sums = empty(x, &[parts, models, length])?;
        let to = [
            optional(Some(&sums)),
            Argument::Long(length),
            Argument::Long(models * length),
        ];
        let arguments = [inputs.as_slice(), &to, &sizes, &[int(0)]].concat();
        self.module.start(shape.name, start, &arguments)?;
        self.add_parts(&sums, target, add)
    }
}

impl Kernels {
    /// Adds up a gradient's parts, `[parts, K, length]`, into its place in the rows.
    fn add_parts(&self, sums: &Tensor, target: [Argument; 2], add: bool) -> Result<(), TchError> {
        let [parts, models, length] = sums.size()[..] else {
            return Err(TchError::Shape("parts of a gradient".to_owned()));
        };
        let start = Start {
            grid: [(length + 255) / 256, models, 1],
            threads: 256,
            shared: 0,
        };
        let arguments = [
            sums.into(),
            int(parts),
            int(length),
            target[0],
            target[1],
            int(add.into()),
        ];
        self.module.start(ADD_PARTS, start, &arguments)
    }
}
