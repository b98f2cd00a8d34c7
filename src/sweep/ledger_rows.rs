//! A sweep as the rows that the ledger stores: its arms and points, the names that get a column in
//! the views, and what has changed since an earlier sweep file.

use crate::grid::{Grid, PointId};
use crate::ledger::{ArmRows, EarlierSweep, SweepRows, ViewColumns};
use crate::plan::SpecChanges;
use crate::spec::{self, Spec};

/// Returns the rows of a sweep.
pub fn sweep_rows<'a>(text: &'a str, spec: &'a Spec, grid: &'a Grid) -> SweepRows<'a> {
    let arms = grid
        .arms()
        .iter()
        .map(|arm| ArmRows {
            name: &arm.arm().name,
            label: &arm.arm().label,
            points: Box::new(
                arm.map_canonical(|config| (PointId::of_canonical(config), config.to_owned())),
            ),
        })
        .collect();
    SweepRows {
        text,
        arms,
        columns: view_columns(spec),
        changes: Box::new(|earlier| changes(earlier, spec)),
    }
}

/// The names that a sweep file makes known before any trial has reported them.
fn view_columns(spec: &Spec) -> ViewColumns<'_> {
    let axes = spec.arms.iter().flat_map(|arm| &arm.axes);
    let built_in = spec.task.built_in();
    ViewColumns {
        parameters: axes.map(|axis| axis.name.as_str()).collect(),
        metrics: match built_in {
            Some(task) => task.metrics.to_vec(),
            None => vec![spec.metric.name.as_str()],
        },
        history: built_in.map_or_else(Vec::new, |task| task.common_history.to_vec()),
        finals: Some(&spec.metric),
    }
}

/// Lists what a new sweep file changes, one line each; None if nothing that runs or is selected.
fn changes(earlier: EarlierSweep<'_>, new: &Spec) -> Option<Vec<String>> {
    // A sweep without a name keeps the one that it was first called by.
    let Ok(old) = spec::read_named(earlier.text, "spec.yaml", Some(&new.name)) else {
        return Some(vec![
            "the old sweep file cannot be read by this version of pentagrid, so what is kept cannot be listed"
                .to_owned(),
        ]);
    };
    let changes = SpecChanges::between(&old, new);
    if changes.is_cosmetic() {
        return None;
    }
    let mut lines = changes.lines();
    if earlier.program_is_listed {
        lines.retain(|line| !line.starts_with("task: "));
    }
    Some(lines)
}
