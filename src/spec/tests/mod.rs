//! Tests of the sweep file's reader: the drawn diagnosis of every kind of mistake, with one test
//! file for each part of the sweep file; the cost of hostile files (`hostile`); properties
//! (`properties`); the sweep files of the project (`shipped`).

mod accepted;
mod arms;
mod builtin;
mod claim_kinds;
mod claims;
mod described_values;
mod helps;
mod hostile;
mod launcher;
mod parameters;
mod programs;
mod properties;
mod prune;
mod seeds;
mod shape_conditions;
mod shape_rules;
mod shapes;
mod shipped;
mod sources;
mod sweep;
mod task;
mod values;
mod wandb;
mod yaml;

use crate::cli::diagnosis::render;
use crate::spec::{Diagnosis, Spec, read};

/// The beginning of a sweep of a user's program.
const WORKER: &str =
    "name: t\nworker: [w]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 2, final: 3}\n";
/// The beginning of a sweep of the built-in task.
const BUILTIN: &str = "name: t\ntask: mnist-resnet18\nmetric: {name: val_accuracy, goal: maximize}\nseeds: {tune: 2, final: 3}\n";

fn good(text: &str) -> Spec {
    read(text, "sweep.yaml").unwrap_or_else(|diagnosis| panic!("{diagnosis}"))
}

fn bad(text: &str) -> Diagnosis {
    match read(text, "sweep.yaml") {
        Ok(spec) => panic!("accepted: {spec:?}"),
        Err(diagnosis) => diagnosis,
    }
}

/// The diagnosis as the user sees it. The first line keeps insta from removing the indentation of
/// the others.
fn shown(text: &str) -> String {
    format!("sweep.yaml:\n{}", render(&bad(text), false, 100))
}

/// Like `shown`, for several small files.
fn each(texts: &[&str]) -> String {
    let shown: String = texts
        .iter()
        .map(|text| render(&bad(text), false, 100))
        .collect();
    format!("sweep.yaml:\n{shown}")
}
