//! The `resources` block: what a trial takes of the machine.

use super::keys;
use super::model::Resources;
use super::numbers;
use super::problem::Problems;
use super::task::Task;
use super::tree::{Entry, fields};

const EXAMPLE: &str = "resources: {per_gpu: 2, threads: 4}";
/// Maximum number of trials on one GPU and of threads in one trial. More are taken for a mistake.
const MAX_COUNT: u64 = 1024;

/// Whose resources are read.
pub(super) struct Scope<'a> {
    /// The task, if it could be read.
    pub task: Option<&'a Task>,
    /// Whether they are an arm's, and not the sweep's.
    pub of_arm: bool,
    /// The resources that hold where the block says nothing.
    pub inherited: Resources,
}

/// Reads the resources of the sweep or of an arm.
///
/// The built-in task trains on one thread, since its results must not depend on the number of
/// threads. A worker trains the trials of all arms, so an arm cannot have threads of its own.
pub(super) fn read(entry: &Entry, scope: &Scope<'_>, problems: &mut Problems<'_>) -> Resources {
    let mut resources = scope.inherited;
    let Some(parts) = fields(entry, "`resources`", keys::RESOURCES, EXAMPLE, problems) else {
        return resources;
    };

    if let Some(part) = parts.get("per_gpu") {
        resources.per_gpu = number(part, problems).unwrap_or(resources.per_gpu);
    }
    if let Some(part) = parts.get("threads") {
        resources.threads = number(part, problems).unwrap_or(resources.threads);
        check_threads(part, resources.threads, scope, problems);
    }
    resources
}

fn check_threads(part: &Entry, threads: u32, scope: &Scope<'_>, problems: &mut Problems<'_>) {
    match scope.task {
        Some(Task::BuiltIn(_)) if threads != 1 => problems.report(
            part.at(),
            "`threads`: the built-in task trains on one thread",
            "not for the built-in task",
            "remove it: pentagrid starts a worker for each core, which is faster, and results do not depend on the machine",
        ),
        Some(Task::Worker(_)) if scope.of_arm && threads != scope.inherited.threads => problems
            .report(
                part.at(),
                "`threads` of an arm: a worker trains trials of all arms, with the threads that it was started with",
                "not for an arm",
                "set it under `resources` of the sweep, or use a `program`, which is started for each trial",
            ),
        _ => {}
    }
}

fn number(entry: &Entry, problems: &mut Problems<'_>) -> Option<u32> {
    numbers::in_range(
        entry,
        1..=MAX_COUNT,
        "not a number of that kind",
        format!("write for example `{EXAMPLE}`"),
        problems,
    )
}
