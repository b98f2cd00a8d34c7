//! Where the figures come from: programs, versions, machines, seeds and runs, as one JSON document.

use serde::Serialize;

use crate::aggregate::Evaluation;
use crate::ledger::{SessionRow, WorkerRow};
use crate::spec::Spec;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    sweep: String,
    /// BLAKE3 of the spec's text, as in `spec.yaml`.
    spec_blake3: String,
    task: String,
    report_made_by: String,
    points: u64,
    tuning_seeds: Vec<u64>,
    final_seeds: Vec<u64>,
    trials_done: u64,
    trials_failed: u64,
    trials_diverged: u64,
    trials_left: u64,
    trained_by: Vec<Trainer>,
    runs: Vec<Run>,
}

/// A kind of worker, and how many trials it finished.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Trainer {
    program: String,
    version: String,
    libraries: String,
    device: String,
    threads: u32,
    host: String,
    trials: u64,
}

/// One run of the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Run {
    started_at: String,
    ended_at: Option<String>,
    outcome: String,
    host: String,
    command: String,
    version: String,
    git_commit: Option<String>,
    git_dirty: Option<bool>,
    devices: String,
}

/// Gathers the provenance of a sweep.
pub fn provenance(
    spec: &Spec,
    spec_text: &str,
    points: u64,
    evaluation: &Evaluation,
    workers: Vec<WorkerRow>,
    sessions: Vec<SessionRow>,
) -> Provenance {
    let sum = |figure: fn(&crate::aggregate::Tally) -> u64| {
        evaluation.arms.iter().map(|arm| figure(&arm.tune_tally) + figure(&arm.final_tally)).sum()
    };
    Provenance {
        sweep: spec.name.clone(),
        spec_blake3: blake3::hash(spec_text.as_bytes()).to_hex().to_string(),
        task: spec.task.to_string(),
        report_made_by: format!("pentagrid {}", env!("CARGO_PKG_VERSION")),
        points,
        tuning_seeds: spec.seeds.tune.clone(),
        final_seeds: spec.seeds.final_.clone(),
        trials_done: sum(|tally| tally.done),
        trials_failed: sum(|tally| tally.failed),
        trials_diverged: sum(|tally| tally.diverged),
        trials_left: sum(crate::aggregate::Tally::left),
        trained_by: workers
            .into_iter()
            .map(|worker| Trainer {
                program: worker.program,
                version: worker.version,
                libraries: worker.libraries,
                device: worker.device,
                threads: worker.threads,
                host: worker.host,
                trials: worker.trials,
            })
            .collect(),
        runs: sessions
            .into_iter()
            .map(|session| {
                let (git_commit, git_dirty) = session.git.unzip();
                Run {
                    started_at: session.started_at,
                    ended_at: session.ended_at,
                    outcome: session.outcome.unwrap_or_else(|| "running or killed".to_owned()),
                    host: session.host,
                    command: session.command,
                    version: session.version,
                    git_commit,
                    git_dirty,
                    devices: session.devices,
                }
            })
            .collect(),
    }
}
