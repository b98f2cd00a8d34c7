//! The built-in task: its parameters with their types and ranges, its metrics, and its history. The
//! coordinator validates sweep files by these lists, and the trainer reads its settings by them.

use crate::value::ParamValue;

/// The built-in task's name in a sweep file.
pub const BUILTIN: &str = "mnist-resnet18";

/// The type of a parameter's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// Whole number.
    Int,
    /// Floating-point number; whole numbers are read as floats.
    Float,
    /// Text.
    Text,
    /// Boolean.
    Bool,
}

/// The values that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Anything.
    Any,
    /// `0 < x`.
    Positive,
    /// `0 <= x`.
    NonNegative,
    /// `0 <= x < 1`.
    UnitOpen,
    /// `low <= x <= high`.
    Between(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

/// The optimizers of the built-in task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptimizerKind {
    /// Plain stochastic gradient descent.
    Sgd,
    /// SGD with momentum.
    SgdMomentum,
    /// Adam.
    Adam,
    /// AdaHessian.
    Adahessian,
    /// SGD with momentum, then AdaHessian.
    Hybrid,
}

impl OptimizerKind {
    /// Every optimizer, in the order of the paper's tables.
    pub const ALL: [Self; 5] = [
        Self::Sgd,
        Self::SgdMomentum,
        Self::Adam,
        Self::Adahessian,
        Self::Hybrid,
    ];

    /// Its name as a value of the parameter `optimizer`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::SgdMomentum => "sgd_momentum",
            Self::Adam => "adam",
            Self::Adahessian => "adahessian",
            Self::Hybrid => "hybrid",
        }
    }

    /// The optimizer of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One parameter of the built-in task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskParam {
    /// Its name in a spec.
    pub name: &'static str,
    /// The type of its values.
    pub ty: ParamType,
    /// The range of its values.
    pub range: Range,
    /// A description, with the unit.
    pub help: &'static str,
    /// The optimizers that it belongs to; empty for all.
    pub optimizers: &'static [OptimizerKind],
    /// The value if a spec leaves it out.
    pub default: ParamDefault,
}

/// The value of a parameter that a spec leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamDefault {
    /// None: a spec must have it.
    Required,
    /// None: the feature is off, or the task chooses.
    Unset,
    /// This number.
    Int(i64),
    /// This number.
    Float(f64),
    /// This text.
    Text(&'static str),
}

use OptimizerKind::{Adahessian, Adam, Hybrid, Sgd, SgdMomentum};
use ParamDefault::{Float, Int, Required, Unset};

/// The parameters of the built-in task.
pub const PARAMS: &[TaskParam] = &[
    param(
        "optimizer",
        ParamType::Text,
        Range::Any,
        &[],
        Required,
        "sgd, sgd_momentum, adam, adahessian or hybrid",
    ),
    param(
        "lr",
        ParamType::Float,
        Range::Positive,
        &[Sgd, SgdMomentum, Adam, Adahessian],
        Required,
        "learning rate",
    ),
    param(
        "momentum",
        ParamType::Float,
        Range::UnitOpen,
        &[SgdMomentum, Hybrid],
        Required,
        "momentum β (hybrid: of its first phase)",
    ),
    param(
        "dampening",
        ParamType::Float,
        Range::UnitOpen,
        &[SgdMomentum, Hybrid],
        Float(0.0),
        "weight taken off the new gradient: m = βm + (1 - dampening) g; dampening = β is the paper's eq. 2",
    ),
    param(
        "tl",
        ParamType::Float,
        Range::Any,
        &[Hybrid],
        Required,
        "validation loss below which hybrid switches to AdaHessian",
    ),
    param(
        "lr1",
        ParamType::Float,
        Range::Positive,
        &[Hybrid],
        Required,
        "learning rate of hybrid's first phase (SGD with momentum)",
    ),
    param(
        "lr2",
        ParamType::Float,
        Range::Positive,
        &[Hybrid],
        Required,
        "learning rate of hybrid's second phase (AdaHessian)",
    ),
    param(
        "beta1",
        ParamType::Float,
        Range::UnitOpen,
        &[Adam, Adahessian, Hybrid],
        Float(0.9),
        "decay β1 of the first moment (hybrid: of its second phase)",
    ),
    param(
        "beta2",
        ParamType::Float,
        Range::UnitOpen,
        &[Adam, Adahessian, Hybrid],
        Float(0.999),
        "decay β2 of the second moment (hybrid: of its second phase)",
    ),
    param(
        "eps",
        ParamType::Float,
        Range::NonNegative,
        &[Adam, Adahessian, Hybrid],
        Unset,
        "term added to the denominator; 1e-8 for adam, 1e-4 for adahessian and hybrid when left out",
    ),
    param(
        "hessian_power",
        ParamType::Float,
        Range::NonNegative,
        &[Adahessian, Hybrid],
        Float(1.0),
        "Hessian power k of AdaHessian",
    ),
    param(
        "epochs",
        ParamType::Int,
        Range::Between(1, 10_000),
        &[],
        Int(15),
        "passes over the training images",
    ),
    param(
        "batch_size",
        ParamType::Int,
        Range::Between(2, 10_000),
        &[],
        Int(100),
        "images a step",
    ),
    param(
        "train_images",
        ParamType::Int,
        Range::Between(2, 60_000),
        &[],
        Unset,
        "use only the first so many training images; all when left out",
    ),
    param(
        "data_dir",
        ParamType::Text,
        Range::Any,
        &[],
        Unset,
        "folder of the four MNIST IDX files, plain or .gz; the embedded 1200/200/200 images when left out",
    ),
    param(
        "protocol",
        ParamType::Text,
        Range::OneOf(&[PROTOCOL_PAPER, PROTOCOL_AS_RUN]),
        &[],
        ParamDefault::Text(PROTOCOL_PAPER),
        "what is measured on which images: paper is what the paper says, as_run repeats what its authors' program did",
    ),
];

/// The protocol that the paper describes, and the default: hyper-parameters are chosen by the
/// validation images, and the test images are only reported on.
pub const PROTOCOL_PAPER: &str = "paper";

/// The protocol of the authors' program: the test images take the place of the validation images,
/// test accuracy is that of the weights with the lowest loss on them, the last layer's gradient
/// norm is divided by 64, all gradients carry their graph, and training time counts everything.
pub const PROTOCOL_AS_RUN: &str = "as_run";

const fn param(
    name: &'static str,
    ty: ParamType,
    range: Range,
    optimizers: &'static [OptimizerKind],
    default: ParamDefault,
    help: &'static str,
) -> TaskParam {
    TaskParam {
        name,
        ty,
        range,
        help,
        optimizers,
        default,
    }
}

/// The final metrics of the built-in task. Accuracies are percentages.
pub const METRICS: &[&str] = &[
    "train_accuracy",
    "val_accuracy",
    "test_accuracy",
    "train_loss",
    "val_loss",
    "test_loss",
    "training_seconds",
];

/// Final metrics that only trials under the protocol `as_run` report, beside the others: what the
/// protocol `paper` would have measured in the same training, and the epoch of the weights that
/// gave the test accuracy.
pub const AS_RUN_METRICS: &[&str] = &[
    HELDOUT_ACCURACY,
    HELDOUT_LOSS,
    STEP_SECONDS,
    CHECKPOINT_EPOCH,
];

/// Under `as_run`: accuracy in percent on the validation images after the last epoch.
pub const HELDOUT_ACCURACY: &str = "heldout_val_accuracy";

/// Under `as_run`: cross entropy on the validation images after the last epoch.
pub const HELDOUT_LOSS: &str = "heldout_val_loss";

/// Under `as_run`: seconds spent in optimisation steps alone.
pub const STEP_SECONDS: &str = "step_seconds";

/// Under `as_run`: the first epoch with the lowest `val_loss`, whose weights give the test
/// accuracy.
pub const CHECKPOINT_EPOCH: &str = "checkpoint_epoch";

/// The minimum and maximum of a final metric of the built-in task, where it has them. Accuracies
/// are percentages, losses are cross entropies.
pub fn bounds_of(metric: &str) -> (Option<f64>, Option<f64>) {
    (Some(0.0), metric.ends_with("_accuracy").then_some(100.0))
}

/// A metric that hybrid trials report if they have switched: the epoch at whose end they did.
pub const SWITCH_METRIC: &str = "switch_epoch";

impl TaskParam {
    /// The parameter of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PARAMS.iter().find(|param| param.name == name)
    }

    /// Whether the parameter means anything to that optimizer.
    pub fn applies_to(&self, optimizer: OptimizerKind) -> bool {
        self.optimizers.is_empty() || self.optimizers.contains(&optimizer)
    }
}

impl Range {
    /// Whether a value of that parameter lies in the range; booleans always do, and text unless it
    /// is `OneOf`.
    pub fn contains(self, value: &ParamValue) -> bool {
        if let (Self::OneOf(texts), ParamValue::Text(text)) = (self, value) {
            return texts.contains(&text.as_str());
        }
        let Some(x) = value.as_f64() else { return true };
        match self {
            Self::Any => true,
            Self::Positive => x > 0.0,
            Self::NonNegative => x >= 0.0,
            Self::UnitOpen => (0.0..1.0).contains(&x),
            Self::Between(low, high) => x >= low as f64 && x <= high as f64,
            Self::OneOf(_) => false,
        }
    }

    /// The range as text, for an error message: "must be ...".
    pub fn describe(self) -> String {
        match self {
            Self::Any => "any number".to_owned(),
            Self::Positive => "greater than 0".to_owned(),
            Self::NonNegative => "0 or greater".to_owned(),
            Self::UnitOpen => "at least 0 and less than 1".to_owned(),
            Self::Between(low, high) => format!("from {low} to {high}"),
            Self::OneOf(texts) => texts.join(" or "),
        }
    }
}

/// What the built-in task measures at the end of each epoch. Only hybrid trials have `switched`.
pub const HISTORY: &[&str] = &[
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    GRAD_NORM_CONV1,
    GRAD_NORM_FC,
    "seconds",
    "switched",
];

/// In the history: spectral norm of the loss's gradient with respect to the first convolution's
/// weights, mean over its 64 filters (7x7 matrices) and over the epoch's batches.
pub const GRAD_NORM_CONV1: &str = "grad_norm_conv1";

/// In the history: spectral norm of the loss's gradient with respect to the last layer's weights (a
/// 10x512 matrix), mean over the epoch's batches.
pub const GRAD_NORM_FC: &str = "grad_norm_fc";
