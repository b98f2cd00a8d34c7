//! The methods of the authors' program (`protocol: as_run`): how its tables are measured, and the
//! table of the effect of each difference from the paper, trial by trial.

use std::collections::HashMap;

use super::cell::CellValue;
use super::table::{Cell, Column, Row, Table};
use crate::aggregate::{Evaluation, PointStats, StatsError, derived_stats, reported_seeds};
use crate::grid::TrialId;
use crate::ledger::TrialRow;
use crate::protocol::Metrics;
use crate::spec::task::{HELDOUT_ACCURACY, PROTOCOL_AS_RUN, STEP_SECONDS};
use crate::spec::{Arm, ParamValue, Spec};

/// Whether all trials of the sweep are measured as the authors' program did.
pub fn is_as_run(spec: &Spec) -> bool {
    spec.task.built_in().is_some()
        && spec.arms.iter().all(|arm| {
            let protocol = arm.axes.iter().position(|axis| {
                axis.name == "protocol" && axis.values.iter().all(is_name_of_as_run)
            });
            protocol.is_some_and(|axis| !arm.shape.lacks(axis))
        })
}

fn is_name_of_as_run(value: &ParamValue) -> bool {
    matches!(value, ParamValue::Text(text) if text == PROTOCOL_AS_RUN)
}

/// What Table I shows under that protocol, for its caption.
pub(crate) const CAPTION_AS_RUN: &str = "Accuracy in % of each optimizer's selected point";

/// How the columns of Table I are measured under that protocol.
pub(crate) const NOTE_ON_ACCURACY: &str = "Measured as the authors' program did (protocol as_run): \
    \"Validation\" is on the test images after the last epoch, and \"Test\" is on the same images \
    with the weights of the epoch that had the lowest loss on them.";

/// What the times in Table II contain under that protocol.
pub(crate) const NOTE_ON_TIME: &str = "Measured as the authors' program did (protocol as_run): steps, all \
    of them with the graph that second derivatives need, evaluation on both sets after each epoch, \
    gradient norms, and keeping the best weights.";

/// One difference of the program from the paper.
struct Effect {
    name: &'static str,
    heading: &'static str,
    /// Computes the effect from a trial's metrics.
    value: fn(&Metrics) -> Option<f64>,
}

const EFFECTS: [Effect; 3] = [
    Effect {
        name: "val_minus_heldout",
        heading: "Validation: test images − validation images",
        value: |metrics| Some(metrics.get("val_accuracy")? - metrics.get(HELDOUT_ACCURACY)?),
    },
    Effect {
        name: "test_minus_last",
        heading: "Test: best epoch − last epoch",
        value: |metrics| Some(metrics.get("test_accuracy")? - metrics.get("val_accuracy")?),
    },
    Effect {
        name: "time_over_steps",
        heading: "Time: everything / steps alone",
        value: |metrics| Some(metrics.get("training_seconds")? / metrics.get(STEP_SECONDS)?),
    },
];

/// Makes the table of effects; None where the sweep does not follow that protocol, or has no
/// results yet.
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
    let stats = derived_stats(spec, evaluation, rows, effects_of)?;
    if stats.is_empty() {
        return Ok(None);
    }

    // One row for each arm; an arm without results has empty cells.
    let planned = reported_seeds(&spec.seeds).len() as u32;
    let rows = spec.arms.iter().enumerate().map(|(number, arm)| {
        let stats = stats.iter().find(|stats| stats.arm == number);
        row(arm, stats, planned)
    });
    let columns = EFFECTS.iter().map(|effect| Column {
        metric: effect.name.to_owned(),
        heading: effect.heading.to_owned(),
        published: false,
    });

    Ok(Some(Table {
        title: "Effects of the protocol".to_owned(),
        caption: "Measurements of the authors' program minus those that the paper describes, in \
                  the same trials: accuracies in points, times as a ratio, mean ± std."
            .to_owned(),
        corner: "Optimizer".to_owned(),
        columns: columns.collect(),
        rows: rows.collect(),
        notes: vec![
            "The gradient norm of the last layer is divided by 64 under this protocol, as in the \
             authors' program: multiply by 64 to compare it with the first layer's."
                .to_owned(),
        ],
    }))
}

fn effects_of(metrics: &Metrics) -> Metrics {
    let mut effects = Metrics::default();
    for effect in &EFFECTS {
        if let Some(value) = (effect.value)(metrics) {
            effects.set(effect.name, value);
        }
    }
    effects
}

fn row(arm: &Arm, stats: Option<&PointStats>, planned: u32) -> Row {
    let cells = EFFECTS.iter().map(|effect| Cell {
        ours: stats
            .and_then(|stats| stats.stats.get(effect.name))
            .map(|stat| CellValue::ours(*stat, planned)),
        published: None,
    });
    Row {
        arm: arm.name.clone(),
        label: arm.label.clone(),
        cells: cells.collect(),
    }
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
    fn there_is_no_table_without_the_protocol_or_results() {
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
