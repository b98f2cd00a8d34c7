//! The protocol of the authors' program (`protocol: as_run`): what a reader must know of its
//! tables, and the table of what each of its differences from the paper does, trial by trial.
//! `cli::report` writes it beside Tables I and II.

use std::collections::HashMap;

use super::figure::Figure;
use super::table::{Cell, Column, Row, Table};
use crate::aggregate::{Evaluation, StatsError, derived_stats, reported_seeds};
use crate::grid::TrialId;
use crate::ledger::TrialRow;
use crate::protocol::Metrics;
use crate::spec::task::{HELDOUT_ACCURACY, PROTOCOL_AS_RUN, STEP_SECONDS};
use crate::spec::{ParamValue, Spec};

/// Whether all trials of the sweep are measured as the authors' program did.
pub fn is_as_run(spec: &Spec) -> bool {
    let as_run =
        |value: &ParamValue| matches!(value, ParamValue::Text(text) if text == PROTOCOL_AS_RUN);
    spec.arms.iter().all(|arm| {
        let protocol = arm
            .axes
            .iter()
            .position(|axis| axis.name == "protocol" && axis.values.iter().all(as_run));
        protocol.is_some_and(|axis| !arm.shape.lacks(axis))
    })
}

/// What the columns of Table I hold under that protocol.
pub const NOTE_ON_ACCURACY: &str = "Measured as the authors' program did (protocol as_run): \"Validation\" is on the test images \
    after the last epoch, and \"Test\" is on the same images with the weights of the epoch that had the lowest loss on them.";

/// What Table II holds under that protocol.
pub const NOTE_ON_TIME: &str = "Measured as the authors' program did (protocol as_run): steps, all of them with the graph that \
    second derivatives need, evaluation on both sets after each epoch, gradient norms, and keeping the best weights.";

/// A name, a heading, and how the effect follows from a trial's metrics.
type Effect = (&'static str, &'static str, fn(&Metrics) -> Option<f64>);

/// The table of effects; None where the sweep does not follow that protocol, or has no results yet.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn protocol_effects(
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Option<Table>, StatsError> {
    if !is_as_run(spec) {
        return Ok(None);
    }
    let effects: [Effect; 3] = [
        (
            "val_minus_heldout",
            "Validation: test images − validation images",
            |metrics| Some(metrics.get("val_accuracy")? - metrics.get(HELDOUT_ACCURACY)?),
        ),
        (
            "test_minus_last",
            "Test: best epoch − last epoch",
            |metrics| Some(metrics.get("test_accuracy")? - metrics.get("val_accuracy")?),
        ),
        (
            "time_over_steps",
            "Time: everything / steps alone",
            |metrics| Some(metrics.get("training_seconds")? / metrics.get(STEP_SECONDS)?),
        ),
    ];
    let stats = derived_stats(spec, evaluation, rows, |metrics| {
        let mut derived = Metrics::default();
        for (name, _, effect) in &effects {
            if let Some(value) = effect(metrics) {
                derived.set(*name, value);
            }
        }
        derived
    })?;
    if stats.is_empty() {
        return Ok(None);
    }
    let planned = reported_seeds(&spec.seeds).len() as u32;
    let rows = spec.arms.iter().enumerate().map(|(number, arm)| {
        let stats = stats.iter().find(|stats| stats.arm == number);
        let ours = |name: &str| {
            stats
                .and_then(|stats| stats.stats.get(name))
                .map(|stat| Figure::ours(*stat, planned))
        };
        let cells = effects
            .iter()
            .map(|(name, _, _)| Cell {
                ours: ours(name),
                published: None,
            })
            .collect();
        Row {
            arm: arm.name.clone(),
            label: arm.label.clone(),
            cells,
        }
    });
    let columns = effects.iter().map(|(name, heading, _)| Column {
        metric: (*name).to_owned(),
        heading: (*heading).to_owned(),
        published: false,
    });
    Ok(Some(Table {
        title: "Effects of the protocol".to_owned(),
        caption: "What the authors' program measured, less what the paper describes, in the same trials: accuracies in points, times \
                  as a ratio, mean ± std."
            .to_owned(),
        corner: "Optimizer".to_owned(),
        columns: columns.collect(),
        rows: rows.collect(),
        notes: vec![
            "The gradient norm of the last layer is divided by 64 under this protocol, as in the authors' program: multiply by 64 to \
             compare it with the first layer's."
                .to_owned(),
        ],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::evaluate;
    use crate::grid::Grid;
    use crate::ledger::TrialState;
    use crate::plan::Phase;
    use crate::report::{table_one, table_two, text_table};
    use crate::spec;

    /// The shipped sweep with two final trials of each arm. Hybrid switched in one of them.
    fn two_seeds() -> (Spec, HashMap<TrialId, TrialRow>) {
        let spec = spec::read(include_str!("../../sweeps/as-run.yaml"), "as-run.yaml").unwrap();
        let mut rows = HashMap::new();
        for (number, arm) in Grid::new(&spec).arms().iter().enumerate() {
            for seed in [1000, 1001] {
                let id = TrialId {
                    point: arm.point(crate::grid::PointIndex(0)).id,
                    seed,
                };
                let by = number as f64 + (seed - 1000) as f64;
                let figures = [
                    ("train_accuracy", 100.0),
                    ("val_accuracy", 90.0 + by),
                    ("test_accuracy", 91.0 + by * 1.5),
                    ("heldout_val_accuracy", 91.0 + by / 2.0),
                    ("training_seconds", 20.0 + by),
                    ("step_seconds", 16.0),
                ];
                let mut metrics: Metrics = figures.into_iter().collect();
                if (number, seed) == (4, 1001) {
                    metrics.set("switch_epoch", 3.0);
                }
                let row = TrialRow {
                    id,
                    phase: Phase::Final,
                    state: TrialState::Done,
                    failures: 0,
                    metrics: Some(metrics),
                    shared: Default::default(),
                };
                rows.insert(id, row);
            }
        }
        (spec, rows)
    }

    #[test]
    fn each_difference_is_taken_within_a_trial() {
        let (spec, rows) = two_seeds();
        let evaluation = evaluate(&spec, &Grid::new(&spec), &rows).unwrap();
        let effects = protocol_effects(&spec, &evaluation, &rows)
            .unwrap()
            .unwrap();
        let tables = [
            table_one(&spec, &evaluation),
            table_two(&spec, &evaluation, &[]).unwrap(),
            effects,
        ];
        insta::assert_snapshot!(
            "protocol_as_run",
            tables.iter().map(text_table).collect::<Vec<_>>().join("\n")
        );
    }

    #[test]
    fn there_is_none_without_the_protocol_or_results() {
        let (spec, _) = two_seeds();
        let nothing = HashMap::new();
        let evaluation = evaluate(&spec, &Grid::new(&spec), &nothing).unwrap();
        assert_eq!(
            protocol_effects(&spec, &evaluation, &nothing).unwrap(),
            None
        );
        let spec = spec::read(include_str!("../../sweeps/tables.yaml"), "tables.yaml").unwrap();
        let evaluation = evaluate(&spec, &Grid::new(&spec), &nothing).unwrap();
        assert_eq!(
            protocol_effects(&spec, &evaluation, &nothing).unwrap(),
            None
        );
    }
}
