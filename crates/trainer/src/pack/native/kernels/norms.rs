//! The kernels of `norm.cu` and `stem.cu`: batch norms, and the stem's, which a pool follows. Each
//! takes one channel of one model per block.

use tch::{Kind, TchError, Tensor};

use super::{Kernels, empty, int, optional, place, row_step};
use crate::pack::native::module::{Argument, Start};
use crate::pack::native::operations::{
    After, Channels, Direction, NormBack, NormCall, NormGradient, Normed, Norms, Tangent,
    TangentBack,
};

/// The names of all kernels here.
pub(super) const NAMES: [&str; 10] = [
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

/// Pixels of a pooled map of the stem.
const POOLED_PIXELS: i64 = 49;

/// Numbers of a channel: pixels times images.
fn channel_length(maps: &Tensor) -> i64 {
    let size = maps.size();
    size[2] * size[3]
}

/// The output, where the pass backwards needs it to know what ReLU let through.
fn relu_output(normed: &Normed) -> Option<&Tensor> {
    (normed.after == After::Relu).then_some(&normed.y)
}

/// New maps like `x`, if they are wanted.
fn empty_if(wanted: bool, x: &Tensor) -> Result<Option<Tensor>, TchError> {
    wanted.then(|| empty(x, &x.size())).transpose()
}

impl Kernels {
    /// Starts a kernel with a block for each channel of each model. `numbers` is how many numbers
    /// of shared memory it takes for each number of the channel.
    fn start_by_channel(
        &self,
        name: &str,
        maps: &Tensor,
        numbers: i64,
        arguments: &[Argument],
    ) -> Result<(), TchError> {
        let size = maps.size();
        let length = channel_length(maps);

        // About sixteen numbers per thread where a channel is small. The stem's are large.
        let max_threads = if name.starts_with("stem") { 512 } else { 256 };
        let threads = ((length / 16 + 31) / 32 * 32).clamp(32, max_threads);
        let start = Start {
            grid: [size[0] * size[1], 1, 1],
            threads,
            shared: 4 * numbers * length,
        };
        self.module.start(name, start, arguments)
    }
}

/// The first arguments of a norm on the pass forwards: its input, its weight and its bias.
fn inputs(norm: &NormCall<'_>, x: &Tensor) -> [Argument; 4] {
    [
        x.into(),
        place(norm.weights, norm.at.weight),
        place(norm.weights, norm.at.bias),
        row_step(norm.weights),
    ]
}

/// The sizes after the pool of the stem.
fn pooled_size(x: &Tensor) -> [i64; 4] {
    let size = x.size();
    [size[0], size[1], POOLED_PIXELS, size[3]]
}

impl Norms for Kernels {
    fn normalise(&self, norm: NormCall<'_>, x: Tensor) -> Result<Normed, TchError> {
        let size = x.size();
        let channels = size[0] * size[1];
        let mean = empty(&x, &[channels])?;
        let scale = empty(&x, &[channels])?;
        let inputs = inputs(&norm, &x);
        // The kernel writes the batch's statistics and updates the running ones.
        let statistics = [
            (&mean).into(),
            (&scale).into(),
            norm.running.mean.into(),
            norm.running.variance.into(),
        ];

        let y;
        let mut from = None;
        if norm.after == After::ReluAndPool {
            y = empty(&x, &pooled_size(&x))?;
            // One byte per pixel is enough for its place in a 14 x 14 map.
            let places = Tensor::f_empty(pooled_size(&x), (Kind::Uint8, x.device()))?;
            let outputs = [(&y).into(), (&places).into()];
            let arguments = [inputs.as_slice(), &outputs, &statistics, &[int(size[3])]].concat();
            self.start_by_channel("stem_train", &x, 1, &arguments)?;
            from = Some(places);
        } else {
            y = empty(&x, &size)?;
            let maps = [int(norm.at.count), optional(norm.residual), (&y).into()];
            let ends = [int(channel_length(&x)), relu_flag(norm.after)];
            let arguments = [inputs.as_slice(), &maps, &statistics, &ends].concat();
            self.start_by_channel("norm_train", &x, 1, &arguments)?;
        }
        Ok(Normed {
            x,
            y,
            mean,
            scale,
            from,
            after: norm.after,
        })
    }

    fn normalise_by_running(&self, norm: NormCall<'_>, x: &Tensor) -> Result<Tensor, TchError> {
        let inputs = inputs(&norm, x);
        let running = [norm.running.mean.into(), norm.running.variance.into()];

        // The stem's maps have a kernel of their own, which pools them as well.
        if norm.after == After::ReluAndPool {
            let y = empty(x, &pooled_size(x))?;
            let images = int(x.size()[3]);
            let arguments = [inputs.as_slice(), &[(&y).into()], &running, &[images]].concat();
            self.start_by_channel("stem_evaluate", x, 0, &arguments)?;
            return Ok(y);
        }

        let y = empty(x, &x.size())?;
        let maps = [int(norm.at.count), optional(norm.residual), (&y).into()];
        let ends = [int(channel_length(x)), relu_flag(norm.after)];
        let arguments = [inputs.as_slice(), &maps, &running, &ends].concat();
        self.start_by_channel("norm_evaluate", x, 0, &arguments)?;
        Ok(y)
    }

    fn normalise_back(
        &self,
        norm: NormBack<'_>,
        output: Tensor,
    ) -> Result<(NormGradient, Option<Tensor>), TchError> {
        let NormBack { at, normed, .. } = norm;
        let x = &normed.x;
        let input = empty(x, &x.size())?;
        let saved = [x.into(), (&normed.mean).into(), (&normed.scale).into()];
        let weight = [place(norm.weights, at.weight), row_step(norm.weights)];
        let gradients = [place(norm.rows, at.weight), place(norm.rows, at.bias)];

        // The stem has no residual, but a pool, which has to be undone.
        if let Some(from) = &normed.from {
            let outputs = [(&output).into(), (&normed.y).into(), from.into()];
            let arguments = [
                outputs.as_slice(),
                &saved,
                &weight,
                &[(&input).into()],
                &gradients,
                &[int(x.size()[3])],
            ]
            .concat();
            self.start_by_channel("stem_back", x, 1, &arguments)?;
            return Ok((NormGradient { output, input }, None));
        }

        // The residual's gradient is what ReLU lets through of the output's.
        let residual = empty_if(norm.residual, x)?;
        let outputs = [(&output).into(), optional(relu_output(normed))];
        let ends = [optional(residual.as_ref()), int(channel_length(x))];
        let arguments = [
            outputs.as_slice(),
            &saved,
            &weight,
            &[int(at.count), (&input).into()],
            &gradients,
            &ends,
        ]
        .concat();
        self.start_by_channel("norm_back", x, 2, &arguments)?;
        Ok((NormGradient { output, input }, residual))
    }

    fn tangent(
        &self,
        at: Channels,
        direction: Direction<'_>,
        normed: &Normed,
        dx: Tensor,
        dresidual: Option<&Tensor>,
    ) -> Result<Tangent, TchError> {
        let dy = empty(&dx, &normed.y.size())?;
        let mean = empty(&dx, &normed.mean.size())?;
        let product = empty(&dx, &normed.mean.size())?;
        let inputs = [(&normed.x).into(), (&dx).into()];
        let saved = [(&normed.mean).into(), (&normed.scale).into()];
        let rows = [
            place(direction.weights, at.weight),
            row_step(direction.weights),
            place(direction.signs, at.weight),
            place(direction.signs, at.bias),
        ];
        let outputs = [(&dy).into(), (&mean).into(), (&product).into()];

        // As in `normalise_back`: the stem's maps go through the pool.
        if let Some(from) = &normed.from {
            let pooled = [(&normed.y).into(), from.into()];
            let images = int(dx.size()[3]);
            let arguments = [
                inputs.as_slice(),
                &pooled,
                &saved,
                &rows,
                &outputs,
                &[images],
            ]
            .concat();
            self.start_by_channel("stem_tangent", &dx, 0, &arguments)?;
        } else {
            let arguments = [
                inputs.as_slice(),
                &[optional(relu_output(normed))],
                &saved,
                &rows,
                &[int(at.count), optional(dresidual)],
                &outputs,
                &[int(channel_length(&dx))],
            ]
            .concat();
            self.start_by_channel("norm_tangent", &dx, 2, &arguments)?;
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
        norm: TangentBack<'_>,
        doutput: &Tensor,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let TangentBack {
            at,
            direction,
            normed,
            tangent,
            ..
        } = norm;
        let x = &normed.x;
        let dinput = empty(x, &x.size())?;
        let outputs = [(&norm.gradient.output).into(), doutput.into()];
        let inputs = [x.into(), (&tangent.dx).into()];
        let saved =
            [&normed.mean, &normed.scale, &tangent.mean, &tangent.product].map(Argument::from);
        let rows = [
            place(direction.weights, at.weight),
            row_step(direction.weights),
            place(direction.signs, at.weight),
        ];
        let gradients = [
            (&dinput).into(),
            place(norm.rows, at.weight),
            place(norm.rows, at.bias),
        ];

        // As in `normalise_back`: the stem's maps go through the pool.
        if let Some(from) = &normed.from {
            let pooled = [(&normed.y).into(), from.into()];
            let arguments = [
                outputs.as_slice(),
                &pooled,
                &inputs,
                &saved,
                &rows,
                &gradients,
                &[int(x.size()[3])],
            ]
            .concat();
            self.start_by_channel("stem_back_tangent", x, 1, &arguments)?;
            return Ok((dinput, None));
        }

        let dresidual = empty_if(norm.residual, x)?;
        let ends = [optional(dresidual.as_ref()), int(channel_length(x))];
        let arguments = [
            outputs.as_slice(),
            &[optional(relu_output(normed))],
            &inputs,
            &saved,
            &rows,
            &[int(at.count)],
            &gradients,
            &ends,
        ]
        .concat();
        self.start_by_channel("norm_back_tangent", x, 4, &arguments)?;
        Ok((dinput, dresidual))
    }
}

/// Whether the kernel is to apply ReLU.
fn relu_flag(after: After) -> Argument {
    int((after == After::Relu).into())
}
