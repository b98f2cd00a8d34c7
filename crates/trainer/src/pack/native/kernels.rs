//! `Operations` as kernels for NVIDIA GPUs: which one is started, with what, in how many blocks.

use tch::{Kind, TchError, Tensor};

use super::module::{Argument, Module, Start};
use super::operations::{After, Channels, Normed, Operations, Slopes, Square, Tangent};

/// The kernels, compiled.
pub struct Kernels {
    module: Module,
}

/// Threads of a block of the convolutions' kernels.
const THREADS: i64 = 256;

/// The most images of a batch: what a channel of the first layer's maps and a number more take has
/// to fit into shared memory.
const MOST_IMAGES: i64 = 256;

/// The kernels' template arguments, as the `.cu` files have them, that decide on shared memory and
/// blocks.
struct Shape {
    name: &'static str,
    side: i64,
    side_out: i64,
    groups: i64,
    /// Stages of a convolution, rows of the maps that a gradient's stage has of both maps.
    stages: [i64; 2],
}

const fn shape(name: &'static str, sides: [i64; 2], groups: i64, stages: [i64; 2]) -> Shape {
    Shape {
        name,
        side: sides[0],
        side_out: sides[1],
        groups,
        stages,
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

const OTHERS: [&str; 11] = [
    "add_parts",
    "norm_train",
    "norm_evaluate",
    "norm_back",
    "norm_tangent",
    "norm_back_tangent",
    "stem_train",
    "stem_evaluate",
    "stem_back",
    "stem_tangent",
    "stem_back_tangent",
];

/// As in `convolution.cu`: the smallest length from this one on that is `rest` more than a multiple
/// of 32.
fn spread(length: i64, rest: i64) -> i64 {
    length + (rest - length).rem_euclid(32)
}

/// Of a map's pixels and images, a channel.
fn count(maps: &Tensor) -> i64 {
    let size = maps.size();
    size[2] * size[3]
}

fn row(rows: &Tensor) -> Argument {
    // One row stands for all.
    Argument::Long(if rows.size()[0] == 1 {
        0
    } else {
        rows.size()[1]
    })
}

fn place(rows: &Tensor, offset: i64) -> Argument {
    Argument::at(rows, offset, 4)
}

fn optional(tensor: Option<&Tensor>) -> Argument {
    tensor.map_or(Argument::Address(0), Argument::from)
}

fn int(value: i64) -> Argument {
    Argument::Int(value as i32)
}

fn empty(like: &Tensor, size: &[i64]) -> Result<Tensor, TchError> {
    Tensor::f_empty(size, (Kind::Float, like.device()))
}

impl Kernels {
    /// Compiles them, with products in TF32 or in single precision.
    ///
    /// # Errors
    /// Says why they cannot be used here.
    pub fn compile(tf32: bool) -> Result<Self, String> {
        let shapes = FORWARD
            .iter()
            .chain(&BACK)
            .chain(&GRADIENT)
            .map(|shape| shape.name);
        let names: Vec<&'static str> = shapes.chain(OTHERS).collect();
        Ok(Self {
            module: Module::compile(&names, if tf32 { 1 } else { 3 })?,
        })
    }

    /// A convolution or the gradient of its input, `[K, from, ...]` to `[K, to, ...]`.
    fn product(
        &self,
        all: &[Shape],
        (from, to): (i64, i64),
        sides: [i64; 2],
        (weights, offset): (&Tensor, i64),
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let shape = find(all, sides)?;
        let (models, images) = (x.size()[0], x.size()[3]);
        let add = onto.is_some();
        let out = onto.map_or_else(
            || empty(x, &[models, to, shape.side_out * shape.side_out, images]),
            Ok,
        )?;
        let kernels = if std::ptr::eq(all, BACK.as_slice()) {
            8 * spread(576, 2)
        } else {
            64 * 76
        };
        let stage = kernels + 8 * spread(shape.groups * shape.side * shape.side * 8, 8);
        let start = Start {
            grid: [
                (images + 8 * shape.groups - 1) / (8 * shape.groups),
                to / 64,
                models,
            ],
            threads: THREADS,
            shared: 4 * shape.stages[0] * stage,
        };
        let arguments = [
            place(weights, offset),
            row(weights),
            x.into(),
            (&out).into(),
            int(to),
            int(from),
            int(images),
            int(add.into()),
        ];
        self.module.start(shape.name, start, &arguments)?;
        Ok(out)
    }

    /// A block a channel of each model, with so many numbers a number of the channel in shared
    /// memory.
    fn by_channel(
        &self,
        name: &str,
        maps: &Tensor,
        numbers: i64,
        arguments: &[Argument],
    ) -> Result<(), TchError> {
        let (size, count) = (maps.size(), count(maps));
        // Some sixteen numbers a thread where a channel is small; the stem's are large.
        let most = if name.starts_with("stem") { 512 } else { 256 };
        let threads = ((count / 16 + 31) / 32 * 32).clamp(32, most);
        self.module.start(
            name,
            Start {
                grid: [size[0] * size[1], 1, 1],
                threads,
                shared: 4 * numbers * count,
            },
            arguments,
        )
    }
}

fn find(all: &[Shape], sides: [i64; 2]) -> Result<&Shape, TchError> {
    let missing = || {
        TchError::Shape(format!(
            "no kernel takes maps of {} to maps of {} pixels a side",
            sides[0], sides[1]
        ))
    };
    all.iter()
        .find(|shape| [shape.side, shape.side_out] == sides)
        .ok_or_else(missing)
}

impl Operations for Kernels {
    fn serves(&self, images: i64) -> bool {
        images % 4 == 0 && images <= MOST_IMAGES
    }

    fn convolve(
        &self,
        conv: Square,
        weights: &Tensor,
        x: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let sides = [conv.side, conv.side_out()];
        self.product(
            &FORWARD,
            (conv.input, conv.output),
            sides,
            (weights, conv.offset),
            x,
            onto,
        )
    }

    fn convolve_back(
        &self,
        conv: Square,
        weights: &Tensor,
        slopes: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let sides = [conv.side_out(), conv.side];
        self.product(
            &BACK,
            (conv.output, conv.input),
            sides,
            (weights, conv.offset),
            slopes,
            onto,
        )
    }

    fn convolve_gradient(
        &self,
        conv: Square,
        x: &Tensor,
        slopes: &Tensor,
        rows: &Tensor,
        add: bool,
    ) -> Result<(), TchError> {
        let shape = find(&GRADIENT, [conv.side, conv.side_out()])?;
        let (models, images) = (x.size()[0], x.size()[3]);
        let tiles = conv.output / 64 * (conv.input / 64);
        let length = conv.output * conv.input * 9;
        // One block a model would leave most of the GPU idle. Not by the number of models: on it no
        // number may depend.
        let parts = if tiles == 1 { 2 } else { 1 };
        let of_stage = |rows: i64, side: i64| spread(rows * side * shape.groups * 8, 4);
        let stage =
            of_stage(shape.stages[0], shape.side_out) + of_stage(shape.stages[1], shape.side);
        let start = Start {
            grid: [parts, tiles, models],
            threads: THREADS,
            shared: 4 * 2 * 64 * stage,
        };
        let ends = [int(conv.output), int(conv.input), int(images)];
        let own = [place(rows, conv.offset), row(rows)];
        let arguments = |to: [Argument; 3], add: bool| {
            [
                &[x.into(), slopes.into()],
                to.as_slice(),
                &ends,
                &[int(add.into())],
            ]
            .concat()
        };
        if parts == 1 {
            return self.module.start(
                shape.name,
                start,
                &arguments([own[0], own[1], Argument::Long(0)], add),
            );
        }
        let sums = empty(x, &[parts, models, length])?;
        let to = [
            (&sums).into(),
            Argument::Long(length),
            Argument::Long(models * length),
        ];
        self.module
            .start(shape.name, start, &arguments(to, false))?;
        let start = Start {
            grid: [(length + 255) / 256, models, 1],
            threads: 256,
            shared: 0,
        };
        self.module.start(
            "add_parts",
            start,
            &[
                (&sums).into(),
                int(parts),
                int(length),
                own[0],
                own[1],
                int(add.into()),
            ],
        )
    }

    fn normalise(
        &self,
        at: Channels,
        weights: &Tensor,
        x: Tensor,
        residual: Option<&Tensor>,
        [running_mean, running_var]: [&Tensor; 2],
        after: After,
    ) -> Result<Normed, TchError> {
        let size = x.size();
        let channels = size[0] * size[1];
        let [mean, scale] = [empty(&x, &[channels])?, empty(&x, &[channels])?];
        let own = [
            (&x).into(),
            place(weights, at.weight),
            place(weights, at.bias),
            row(weights),
        ];
        let kept = [
            (&mean).into(),
            (&scale).into(),
            running_mean.into(),
            running_var.into(),
        ];
        if after == After::ReluAndPool {
            let pooled = [size[0], size[1], 49, size[3]];
            let y = empty(&x, &pooled)?;
            let from = Tensor::f_empty(pooled, (Kind::Uint8, x.device()))?;
            let arguments = [
                own.as_slice(),
                &[(&y).into(), (&from).into()],
                &kept,
                &[int(size[3])],
            ]
            .concat();
            self.by_channel("stem_train", &x, 1, &arguments)?;
            return Ok(Normed {
                x,
                y,
                mean,
                scale,
                from: Some(from),
                after,
            });
        }
        let y = empty(&x, &size)?;
        let rest = [int(at.count), optional(residual), (&y).into()];
        let ends = [int(count(&x)), int((after == After::Relu).into())];
        self.by_channel(
            "norm_train",
            &x,
            1,
            &[own.as_slice(), &rest, &kept, &ends].concat(),
        )?;
        Ok(Normed {
            x,
            y,
            mean,
            scale,
            from: None,
            after,
        })
    }

    fn normalise_by_running(
        &self,
        at: Channels,
        weights: &Tensor,
        x: &Tensor,
        residual: Option<&Tensor>,
        [running_mean, running_var]: [&Tensor; 2],
        after: After,
    ) -> Result<Tensor, TchError> {
        let size = x.size();
        let own = [
            x.into(),
            place(weights, at.weight),
            place(weights, at.bias),
            row(weights),
        ];
        let running = [running_mean.into(), running_var.into()];
        if after == After::ReluAndPool {
            let y = empty(x, &[size[0], size[1], 49, size[3]])?;
            let arguments = [own.as_slice(), &[(&y).into()], &running, &[int(size[3])]].concat();
            self.by_channel("stem_evaluate", x, 0, &arguments)?;
            return Ok(y);
        }
        let y = empty(x, &size)?;
        let rest = [int(at.count), optional(residual), (&y).into()];
        let ends = [int(count(x)), int((after == After::Relu).into())];
        self.by_channel(
            "norm_evaluate",
            x,
            0,
            &[own.as_slice(), &rest, &running, &ends].concat(),
        )?;
        Ok(y)
    }

    fn normalise_back(
        &self,
        at: Channels,
        weights: &Tensor,
        normed: &Normed,
        arrived: Tensor,
        rows: &Tensor,
        residual: bool,
    ) -> Result<(Slopes, Option<Tensor>), TchError> {
        let x = &normed.x;
        let dx = empty(x, &x.size())?;
        let saved = [x.into(), (&normed.mean).into(), (&normed.scale).into()];
        let own = [place(weights, at.weight), row(weights)];
        let gradients = [place(rows, at.weight), place(rows, at.bias)];
        if let Some(from) = &normed.from {
            let came = [(&arrived).into(), (&normed.y).into(), from.into()];
            let ends = [int(x.size()[3])];
            let arguments = [
                came.as_slice(),
                &saved,
                &own,
                &[(&dx).into()],
                &gradients,
                &ends,
            ]
            .concat();
            self.by_channel("stem_back", x, 1, &arguments)?;
            return Ok((Slopes { arrived, dx }, None));
        }
        let through = if residual {
            Some(empty(x, &x.size())?)
        } else {
            None
        };
        let y = (normed.after == After::Relu).then_some(&normed.y);
        let ends = [optional(through.as_ref()), int(count(x))];
        let came = [(&arrived).into(), optional(y)];
        let arguments = [
            came.as_slice(),
            &saved,
            &own,
            &[int(at.count), (&dx).into()],
            &gradients,
            &ends,
        ]
        .concat();
        self.by_channel("norm_back", x, 2, &arguments)?;
        Ok((Slopes { arrived, dx }, through))
    }

    fn tangent(
        &self,
        at: Channels,
        [weights, signs]: [&Tensor; 2],
        normed: &Normed,
        dx: Tensor,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError> {
        let dy = empty(&dx, &normed.y.size())?;
        let [mean, product] = [
            empty(&dx, &normed.mean.size())?,
            empty(&dx, &normed.mean.size())?,
        ];
        let saved = [(&normed.mean).into(), (&normed.scale).into()];
        let own = [
            place(weights, at.weight),
            row(weights),
            place(signs, at.weight),
            place(signs, at.bias),
        ];
        let kept = [(&dy).into(), (&mean).into(), (&product).into()];
        let inputs = [(&normed.x).into(), (&dx).into()];
        if let Some(from) = &normed.from {
            let came = [(&normed.y).into(), from.into()];
            let arguments = [
                inputs.as_slice(),
                &came,
                &saved,
                &own,
                &kept,
                &[int(dx.size()[3])],
            ]
            .concat();
            self.by_channel("stem_tangent", &dx, 0, &arguments)?;
        } else {
            let y = (normed.after == After::Relu).then_some(&normed.y);
            let rest = [int(at.count), optional(dresidual)];
            let arguments = [
                inputs.as_slice(),
                &[optional(y)],
                &saved,
                &own,
                &rest,
                &kept,
                &[int(count(&dx))],
            ]
            .concat();
            self.by_channel("norm_tangent", &dx, 2, &arguments)?;
        }
        Ok(Tangent {
            dx,
            dy,
            mean,
            product,
        })
    }

    fn tangent_back(
        &self,
        at: Channels,
        [weights, signs]: [&Tensor; 2],
        (normed, tangent): (&Normed, &Tangent),
        (slopes, darrived): (&Slopes, &Tensor),
        rows: &Tensor,
        residual: bool,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let x = &normed.x;
        let ddx = empty(x, &x.size())?;
        let came = [(&slopes.arrived).into(), darrived.into()];
        let inputs = [x.into(), (&tangent.dx).into()];
        let saved =
            [&normed.mean, &normed.scale, &tangent.mean, &tangent.product].map(Argument::from);
        let own = [
            place(weights, at.weight),
            row(weights),
            place(signs, at.weight),
        ];
        let kept = [(&ddx).into(), place(rows, at.weight), place(rows, at.bias)];
        if let Some(from) = &normed.from {
            let taken = [(&normed.y).into(), from.into()];
            let ends = [int(x.size()[3])];
            let arguments = [came.as_slice(), &taken, &inputs, &saved, &own, &kept, &ends].concat();
            self.by_channel("stem_back_tangent", x, 1, &arguments)?;
            return Ok((ddx, None));
        }
        let dthrough = if residual {
            Some(empty(x, &x.size())?)
        } else {
            None
        };
        let y = (normed.after == After::Relu).then_some(&normed.y);
        let ends = [optional(dthrough.as_ref()), int(count(x))];
        let arguments = [
            came.as_slice(),
            &[optional(y)],
            &inputs,
            &saved,
            &own,
            &[int(at.count)],
            &kept,
            &ends,
        ]
        .concat();
        self.by_channel("norm_back_tangent", x, 4, &arguments)?;
        Ok((ddx, dthrough))
    }
}
