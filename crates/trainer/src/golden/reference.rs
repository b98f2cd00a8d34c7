//! The golden file. `sketch` compares tensors with its rows; the tests compare everything else.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pentagrid_protocol::Config;
use serde::Deserialize;
use tch::Kind;

use super::draws::SKETCHES;

/// A tensor's norm, then its products with the sign vectors.
pub(super) type Row = [f64; 1 + SKETCHES];

/// Tensors by name.
pub(super) type Rows = BTreeMap<String, Row>;

/// The file.
#[derive(Deserialize)]
pub(super) struct Reference {
    /// How the values were computed.
    pub plan: Plan,
    /// Parameters and running statistics at the start.
    pub weights: Rows,
    /// The values in double precision.
    pub float64: Precision,
    float32: Precision,
}

/// How the values were computed.
#[derive(Deserialize)]
pub(super) struct Plan {
    /// The seed of the probes.
    pub seed: u64,
    /// Steps of each run.
    pub steps: u32,
    /// Steps after which Hybrid switches.
    pub switch: u32,
}

/// The values in one precision.
#[derive(Deserialize)]
pub(super) struct Precision {
    /// Images in the batch.
    pub images: i64,
    /// In training mode, `[images, 10]`.
    pub logits: Vec<f64>,
    /// Mean cross entropy.
    pub loss: f64,
    /// Gradients of the loss.
    pub gradients: Rows,
    /// The Hessian's product with the first step's probe.
    pub hz: Rows,
    /// Running statistics after the batch.
    pub statistics: Rows,
    /// Logits in evaluation mode with these, `[images, 10]`.
    pub evaluated_logits: Vec<f64>,
    /// Runs of the optimizers, by name; in double precision only.
    #[serde(default)]
    pub runs: BTreeMap<String, Run>,
}

/// Ten steps of an optimizer.
#[derive(Deserialize)]
pub(super) struct Run {
    /// The trainer's configuration.
    pub config: Config,
    /// Loss in evaluation mode afterwards.
    pub evaluated_loss: f64,
    /// Running statistics afterwards.
    pub statistics: Rows,
    /// Each parameter's distance from its start.
    pub moved: Rows,
}

impl Reference {
    /// The file's contents, read once.
    pub(super) fn get() -> &'static Self {
        static FILE: OnceLock<Reference> = OnceLock::new();
        FILE.get_or_init(|| serde_json::from_str(include_str!("resnet18.json")).unwrap())
    }

    /// The values in that precision.
    pub(super) fn of(&self, kind: Kind) -> &Precision {
        if kind == Kind::Double {
            &self.float64
        } else {
            &self.float32
        }
    }
}
