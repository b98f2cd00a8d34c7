//! The `resources` block: what a trial takes of the machine.

use super::keys;
use super::model::Resources;
use super::problem::{Finding, Problems, quoted};
use super::seeds::whole;
use super::task::Task;
use super::tree::{Entry, Kind, fields};

const EXAMPLE: &str = "resources: {per_gpu: 2, threads: 4}";
/// More trials than that beside each other on one GPU, or threads in one trial, are a slip of the
/// pen.
const MOST: u64 = 1024;

/// The resources of a block, of the sweep or of an arm; what it leaves out is as in `otherwise`.
/// The built-in task trains on one thread, since its results must not depend on their number; and a
/// worker trains the trials of all arms.
pub(super) fn read(
    entry: &Entry,
    (task, of_arm): (Option<&Task>, bool),
    otherwise: Resources,
    problems: &mut Problems<'_>,
) -> Resources {
    let mut resources = otherwise;
    let Some(parts) = fields(entry, "`resources`", keys::RESOURCES, EXAMPLE, problems) else {
        return resources;
    };
    if let Some(part) = parts.get("per_gpu") {
        resources.per_gpu = number(part, problems).unwrap_or(resources.per_gpu);
    }
    if let Some(part) = parts.get("threads") {
        resources.threads = number(part, problems).unwrap_or(resources.threads);
        let (message, label, help) = match task {
            Some(Task::MnistResnet18) if resources.threads != 1 => (
                "`threads`: the built-in task trains on one thread",
                "not for the built-in task",
                "remove it: pentagrid starts a worker for each core, which is faster, and results do not depend on the machine",
            ),
            Some(Task::Worker(_)) if of_arm && resources.threads != otherwise.threads => (
                "`threads` of an arm: a worker trains trials of all arms, with the threads that it was started with",
                "not for an arm",
                "set it under `resources` of the sweep, or use a `program`, which is started for each trial",
            ),
            _ => return resources,
        };
        problems.add(Finding::new(part.at(), message, label).help(help));
    }
    resources
}

fn number(entry: &Entry, problems: &mut Problems<'_>) -> Option<u32> {
    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) => {
            let number = whole(scalar, entry.at(), &quoted(&entry.key), problems)?;
            if (1..=MOST).contains(&number) {
                return u32::try_from(number).ok();
            }
            format!("must be from 1 to {MOST}, not {number}")
        }
        _ => format!("must be a whole number, not {}", entry.value.describe()),
    };
    let finding = Finding::new(
        entry.at(),
        format!("{} {refusal}", quoted(&entry.key)),
        "not a number of that kind",
    );
    problems.add(finding.help(format!("write for example `{EXAMPLE}`")));
    None
}
