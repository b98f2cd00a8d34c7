//! Where the results come from: programs, versions, machines, seeds and runs, as one JSON document.

use serde::Serialize;

use super::versions::ShownVersion;
use crate::aggregate::Evaluation;
use crate::ledger::{SessionRow, WorkerRow};
use crate::spec::Spec;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    pub(super) sweep: String,
    /// BLAKE3 hash of the sweep file's text, as in `spec.yaml`.
    pub(super) spec_blake3: String,
    pub(super) task: String,
    pub(super) report_made_by: String,
    pub(super) points: u64,
    pub(super) tuning_seeds: Vec<u64>,
    pub(super) final_seeds: Vec<u64>,
    pub(super) trials_done: u64,
    pub(super) trials_failed: u64,
    pub(super) trials_diverged: u64,
    pub(super) trials_left: u64,
    /// Tuning trials that did not need to run (`prune: safe`).
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) trials_pruned: u64,
    /// The versions of what was trained.
    pub(super) versions: Vec<ShownVersion>,
    pub(super) trained_by: Vec<Trainer>,
    pub(super) runs: Vec<Run>,
}

/// A kind of worker, and how many trials it finished.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Trainer {
    pub(super) program: String,
    pub(super) version: String,
    pub(super) libraries: String,
    pub(super) device: String,
    pub(super) threads: u32,
    pub(super) host: String,
    pub(super) trials: u64,
}

/// One run of the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Run {
    pub(super) started_at: String,
    pub(super) ended_at: Option<String>,
    pub(super) outcome: String,
    pub(super) host: String,
    pub(super) command: String,
    pub(super) version: String,
    pub(super) git_commit: Option<String>,
    pub(super) git_dirty: Option<bool>,
    pub(super) devices: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Gathers the provenance of a sweep.
pub fn provenance(
    spec: &Spec,
    spec_text: &str,
    points: u64,
    evaluation: &Evaluation,
    versions: Vec<ShownVersion>,
    workers: Vec<WorkerRow>,
    sessions: Vec<SessionRow>,
) -> Provenance {
    Provenance {
        sweep: spec.name.clone(),
        spec_blake3: blake3::hash(spec_text.as_bytes()).to_hex().to_string(),
        task: spec.task.to_string(),
        report_made_by: format!("pentagrid {}", env!("CARGO_PKG_VERSION")),
        points,
        tuning_seeds: spec.seeds.tune.clone(),
        final_seeds: spec.seeds.final_.clone(),
        trials_done: evaluation.sum(|arm| arm.tune_tally.done + arm.final_tally.done),
        trials_failed: evaluation.failed(),
        trials_diverged: evaluation.sum(|arm| arm.tune_tally.diverged + arm.final_tally.diverged),
        trials_left: evaluation.sum(|arm| arm.tune_tally.left() + arm.final_tally.left()),
        trials_pruned: evaluation.sum(|arm| arm.tune_tally.pruned + arm.final_tally.pruned),
        versions,
        trained_by: workers.into_iter().map(Trainer::from).collect(),
        runs: sessions.into_iter().map(Run::from).collect(),
    }
}

impl From<WorkerRow> for Trainer {
    fn from(worker: WorkerRow) -> Self {
        Self {
            program: worker.program,
            version: worker.version,
            libraries: worker.libraries,
            device: worker.device,
            threads: worker.threads,
            host: worker.host,
            trials: worker.trials,
        }
    }
}

impl From<SessionRow> for Run {
    fn from(session: SessionRow) -> Self {
        let (git_commit, git_dirty) = session.git.unzip();
        Self {
            started_at: session.started_at,
            ended_at: session.ended_at,
            outcome: outcome(session.outcome.as_deref()).to_owned(),
            host: session.host,
            command: session.command,
            version: session.version,
            git_commit,
            git_dirty,
            devices: session.devices,
        }
    }
}

/// How a run of the coordinator ended, by the outcome in the ledger.
fn outcome(code: Option<&str>) -> &str {
    match code {
        Some("some_failed") => "finished; some trials failed (--retry-failed runs them again)",
        Some("incomplete") => "finished; trials are left, or no point could be selected",
        Some("failed") => "stopped by an error",
        Some(other) => other,
        None => "running or killed",
    }
}
