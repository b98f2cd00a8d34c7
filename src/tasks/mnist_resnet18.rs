//! The paper's task: ResNet18 on MNIST, trained by `crates/trainer`. Its parameters, metrics and
//! history are defined in the protocol's crate, which the trainer uses, too.

use pentagrid_protocol::task::{
    BUILTIN, GRAD_NORM_CONV1, GRAD_NORM_FC, HISTORY, METRICS, OptimizerKind, ParamDefault,
    TaskParam,
};
use pentagrid_protocol::{Config, ParamValue};

use super::built_in::{BuiltIn, FigureSet, MetricLabel};

/// ResNet18 on MNIST.
pub static MNIST_RESNET18: BuiltIn = BuiltIn {
    name: BUILTIN,
    program: "pentagrid-trainer",
    variables: &["PENTAGRID_PRECISION", "PENTAGRID_DEAD_TAPS"],
    metrics: METRICS,
    history: HISTORY,
    common_history: &[
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
    ],
    labels: &LABELS,
    table_metrics: &["train_accuracy", "val_accuracy", "test_accuracy"],
    table_caption: "Accuracy in % of each optimizer's selected point after its last epoch",
    corner: "Optimizer",
    note_on_time: "Time of the optimisation steps, without evaluation and loading.",
    note_on_rounding: "a trial is rerun by itself: one that was recorded in a pack (the default on GPUs; `--pack` elsewhere) was rounded \
         differently, and so was one of another device or libtorch (`pentagrid show`)",
    figures: FigureSet::Paper,
    unit,
    affinity,
    second_phase,
    epochs,
    reference_seconds,
};

const LABELS: [MetricLabel; 8] = [
    label("train_loss", "train_loss", "Training loss (cross entropy)"),
    label("val_loss", "val_loss", "Validation loss (cross entropy)"),
    label("test_loss", "test_loss", "Test loss (cross entropy)"),
    label("train_accuracy", "Train", "Training accuracy (%)"),
    label("val_accuracy", "Validation", "Validation accuracy (%)"),
    label("test_accuracy", "Test", "Test accuracy (%)"),
    label(
        GRAD_NORM_CONV1,
        GRAD_NORM_CONV1,
        "Spectral norm of the gradient, conv1",
    ),
    label(
        GRAD_NORM_FC,
        GRAD_NORM_FC,
        "Spectral norm of the gradient, fc",
    ),
];

const fn label(metric: &'static str, heading: &'static str, axis: &'static str) -> MetricLabel {
    MetricLabel {
        metric,
        heading,
        axis,
    }
}

fn unit(metric: &str) -> &'static str {
    if metric.ends_with("_accuracy") {
        "points"
    } else {
        ""
    }
}

/// Parameters of hybrid that matter only once it has switched, or decide when it switches.
const AFTER_THE_SWITCH: [&str; 6] = ["tl", "lr2", "beta1", "beta2", "eps", "hessian_power"];

fn optimizer(config: &Config) -> Option<OptimizerKind> {
    match config.get("optimizer")? {
        ParamValue::Text(name) => OptimizerKind::from_name(name),
        _ => None,
    }
}

/// A hybrid trial begins as SGD with momentum at `lr1`, so it agrees with the trial of that.
fn affinity(config: &Config) -> Option<String> {
    match optimizer(config)? {
        OptimizerKind::SgdMomentum => Some(config.canonical()),
        OptimizerKind::Hybrid => Some(first_phase(config).canonical()),
        OptimizerKind::Sgd | OptimizerKind::Adam | OptimizerKind::Adahessian => None,
    }
}

/// The configuration of a hybrid trial until it switches, as one of SGD with momentum.
fn first_phase(config: &Config) -> Config {
    let mut first = config.clone();
    first
        .0
        .retain(|name, _| !AFTER_THE_SWITCH.contains(&name.as_str()));
    if let Some(lr) = first.0.remove("lr1") {
        first.0.insert("lr".to_owned(), lr);
    }
    let name = OptimizerKind::SgdMomentum.name().to_owned();
    first
        .0
        .insert("optimizer".to_owned(), ParamValue::Text(name));
    first
}

fn second_phase(config: &Config) -> Option<String> {
    if optimizer(config) != Some(OptimizerKind::Hybrid) {
        return None;
    }
    let mut rest = config.clone();
    rest.0.remove("tl");
    Some(rest.canonical())
}

fn epochs(config: &Config) -> Option<u32> {
    let default = TaskParam::find("epochs")?.default;
    let epochs = match (config.get("epochs"), default) {
        (Some(ParamValue::Int(epochs)), _) => *epochs,
        (None, ParamDefault::Int(epochs)) => epochs,
        _ => return None,
    };
    u32::try_from(epochs).ok()
}

/// Duration of a training step on one core of the reference machine, in seconds.
struct StepCost {
    /// For each step, independent of its size.
    per_step: f64,
    /// For each image in it.
    per_image: f64,
}

impl StepCost {
    /// Fitted to steps of 12 and of 100 images (docs/benchmarks.md).
    fn of(optimizer: OptimizerKind) -> Self {
        match optimizer {
            OptimizerKind::Sgd | OptimizerKind::SgdMomentum => Self {
                per_step: 0.017,
                per_image: 0.00165,
            },
            OptimizerKind::Adam => Self {
                per_step: 0.024,
                per_image: 0.0017,
            },
            OptimizerKind::Adahessian => Self {
                per_step: 0.20,
                per_image: 0.0041,
            },
            // It spends about the first third of its epochs as SGD with momentum.
            OptimizerKind::Hybrid => Self {
                per_step: 0.145,
                per_image: 0.0034,
            },
        }
    }
}

/// Seconds to evaluate an image on one core of the reference machine.
const REFERENCE_EVAL_SECONDS: f64 = 0.00044;

/// Duration of one trial on the reference machine, in seconds.
fn reference_seconds(config: &Config) -> Option<f64> {
    let optimizer = optimizer(config)?;

    // Images for training and of the validation set; the test set, as large, is evaluated once.
    let (train, val) = if config.get("data_dir").is_some() {
        (60_000.0, 5000.0)
    } else {
        (1200.0, 200.0)
    };
    let images = number(config, "train_images").map_or(train, |limit: f64| limit.min(train));

    let cost = StepCost::of(optimizer);
    let steps = (images / number(config, "batch_size")?).ceil();
    let epoch =
        steps * cost.per_step + images * cost.per_image + (images + val) * REFERENCE_EVAL_SECONDS;
    Some(number(config, "epochs")? * epoch + val * REFERENCE_EVAL_SECONDS)
}

/// The value of a parameter, or its default.
fn number(config: &Config, name: &str) -> Option<f64> {
    let given = config.get(name).and_then(ParamValue::as_f64);
    given.or_else(|| match TaskParam::find(name)?.default {
        ParamDefault::Int(value) => Some(value as f64),
        ParamDefault::Float(value) => Some(value),
        ParamDefault::Required | ParamDefault::Unset | ParamDefault::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pentagrid_protocol::task::PARAMS;

    fn affinity_of(json: &str) -> Option<String> {
        affinity(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn hybrid_has_the_affinity_of_its_first_phase() {
        let momentum = affinity_of(
            r#"{"optimizer": "sgd_momentum", "lr": 0.1, "momentum": 0.9, "epochs": 3}"#,
        );
        let hybrid = r#"{"optimizer": "hybrid", "lr1": 0.1, "lr2": 0.2, "tl": 1, "beta2": 0.9, "momentum": 0.9, "epochs": 3}"#;
        assert!(momentum.is_some());
        assert_eq!(affinity_of(hybrid), momentum);
        assert_eq!(
            affinity_of(&hybrid.replace("\"tl\": 1", "\"tl\": 0.5")),
            momentum
        );
        for other in [
            hybrid.replace("\"lr1\": 0.1", "\"lr1\": 0.2"),
            hybrid.replace("\"epochs\": 3", "\"epochs\": 4"),
        ] {
            assert_ne!(affinity_of(&other), momentum, "{other}");
        }
        assert_eq!(affinity_of(r#"{"optimizer": "adam", "lr": 0.1}"#), None);
    }

    /// A new parameter of hybrid's second phase must be named here too.
    #[test]
    fn all_parameters_of_the_second_phase_are_named() {
        let first = |name: &str| {
            PARAMS
                .iter()
                .any(|param| param.name == name && param.applies_to(OptimizerKind::SgdMomentum))
        };
        let own = PARAMS
            .iter()
            .filter(|param| param.applies_to(OptimizerKind::Hybrid) && !first(param.name));
        let mut own: Vec<&str> = own
            .map(|param| param.name)
            .filter(|name| *name != "lr1")
            .collect();
        let mut named = AFTER_THE_SWITCH.to_vec();
        own.sort_unstable();
        named.sort_unstable();
        assert_eq!(own, named);
    }
}
