//! Trials and histories as typed columns: one row a trial, or one row an epoch.
//! `aggregate::write_parquet` writes them.

use std::collections::BTreeSet;

use super::Exported;
use crate::aggregate::Column;
use crate::ledger::EpochRow;
use crate::protocol::{Place, Unit};
use crate::spec::{ColumnNames, ParamValue, Spec};

/// One row a trial: what it was, where it stands, its hyper-parameters (of their own type; as text
/// where arms or values differ in type), its final metrics. Columns are named by `ColumnNames`.
pub fn trials_table(spec: &Spec, trials: &[Exported<'_>]) -> Vec<(String, Column)> {
    let text = |of: &dyn Fn(&Exported<'_>) -> Option<String>| {
        Column::Text(trials.iter().map(of).collect())
    };
    let mut columns = vec![
        (
            "trial".to_owned(),
            text(&|trial| Some(trial.id.to_string())),
        ),
        (
            "arm".to_owned(),
            text(&|trial| Some(spec.arms[trial.arm].name.clone())),
        ),
        (
            "point".to_owned(),
            text(&|trial| Some(trial.id.point.to_string())),
        ),
        (
            "seed".to_owned(),
            Column::Int(
                trials
                    .iter()
                    .map(|trial| i64::try_from(trial.id.seed).ok())
                    .collect(),
            ),
        ),
        (
            "phase".to_owned(),
            text(&|trial| Some(trial.phase.name().to_owned())),
        ),
        (
            "state".to_owned(),
            text(&|trial| Some(trial.state().to_owned())),
        ),
        (
            "same_as".to_owned(),
            text(&|trial| trial.row.shared.same_as.map(|id| id.to_string())),
        ),
        (
            "duration".to_owned(),
            Column::Float(trials.iter().map(|trial| trial.last?.duration).collect()),
        ),
    ];
    let metrics: BTreeSet<&String> = trials
        .iter()
        .filter_map(|trial| trial.row.metrics.as_ref())
        .flat_map(|metrics| metrics.0.keys())
        .collect();
    let names = ColumnNames::of(spec, metrics.iter().map(|metric| metric.as_str()));
    let parameters: Vec<&str> = {
        let mut seen = BTreeSet::new();
        spec.arms
            .iter()
            .flat_map(|arm| &arm.axes)
            .map(|axis| axis.name.as_str())
            .filter(|name| seen.insert(*name))
            .collect()
    };
    for name in parameters {
        let values: Vec<Option<&ParamValue>> =
            trials.iter().map(|trial| trial.config.get(name)).collect();
        columns.push((names.parameter(name).to_owned(), parameter(&values)));
    }
    for name in metrics {
        let values = trials
            .iter()
            .map(|trial| trial.row.metrics.as_ref()?.get(name))
            .collect();
        columns.push((names.metric(name).to_owned(), Column::Float(values)));
    }
    columns
}

/// One row an epoch or step of a finished trial: `trial`, `arm`, `seed`, `epoch`, `step` where any
/// row says it, and what was measured, of which `names` are the names. Takes some rows, each with
/// the name of its arm.
pub fn history_table(
    spec: &Spec,
    names: &[String],
    shape: HistoryShape,
    rows: &[(EpochRow, &str)],
) -> Vec<(String, Column)> {
    let columns_of = ColumnNames::of(spec, names.iter().map(String::as_str));
    let mut columns = vec![
        (
            "trial".to_owned(),
            Column::Text(
                rows.iter()
                    .map(|(row, _)| Some(row.id.to_string()))
                    .collect(),
            ),
        ),
        (
            "arm".to_owned(),
            Column::Text(
                rows.iter()
                    .map(|(_, arm)| Some((*arm).to_owned()))
                    .collect(),
            ),
        ),
        (
            "seed".to_owned(),
            Column::Int(
                rows.iter()
                    .map(|(row, _)| i64::try_from(row.id.seed).ok())
                    .collect(),
            ),
        ),
        (
            "epoch".to_owned(),
            shape.places(rows.iter().map(|(row, _)| row.epoch())),
        ),
    ];
    if shape.steps {
        columns.push((
            Unit::Step.name().to_owned(),
            shape.places(rows.iter().map(|(row, _)| row.step())),
        ));
    }
    for name in names.iter().filter(|name| *name != Unit::Step.name()) {
        let values = rows.iter().map(|(row, _)| row.metrics.get(name)).collect();
        columns.push((columns_of.metric(name).to_owned(), Column::Float(values)));
    }
    columns
}

/// What the positions of all rows of a sweep's history are like: every group of a file has the same
/// columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryShape {
    /// Whether an epoch is fractional.
    pub fractional: bool,
    /// Whether a row says its step.
    pub steps: bool,
}

impl HistoryShape {
    /// Epochs or steps: whole numbers, unless one of them is fractional.
    fn places(self, places: impl Iterator<Item = Option<Place>>) -> Column {
        if self.fractional {
            return Column::Float(places.map(|place| place.map(Place::get)).collect());
        }
        Column::Int(places.map(|place| place?.whole()).collect())
    }
}

/// A column of the narrowest type that holds all values as they are; whole numbers beside fractions
/// are fractions.
fn parameter(values: &[Option<&ParamValue>]) -> Column {
    let all = |fits: fn(&ParamValue) -> bool| values.iter().flatten().all(|value| fits(value));
    if all(|value| matches!(value, ParamValue::Int(_))) {
        let int = |value: &ParamValue| {
            if let ParamValue::Int(value) = value {
                Some(*value)
            } else {
                None
            }
        };
        return Column::Int(values.iter().map(|value| value.and_then(int)).collect());
    }
    if all(|value| value.as_f64().is_some()) {
        return Column::Float(
            values
                .iter()
                .map(|value| value.and_then(ParamValue::as_f64))
                .collect(),
        );
    }
    if all(|value| matches!(value, ParamValue::Bool(_))) {
        let bool = |value: &ParamValue| {
            if let ParamValue::Bool(value) = value {
                Some(*value)
            } else {
                None
            }
        };
        return Column::Bool(values.iter().map(|value| value.and_then(bool)).collect());
    }
    Column::Text(
        values
            .iter()
            .map(|value| value.map(ToString::to_string))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_type_of_its_values() {
        let (int, float, text, yes) = (
            ParamValue::Int(3),
            ParamValue::Float(0.5),
            ParamValue::Text("a".into()),
            ParamValue::Bool(true),
        );
        assert_eq!(
            parameter(&[Some(&int), None]),
            Column::Int(vec![Some(3), None])
        );
        assert_eq!(
            parameter(&[Some(&int), Some(&float)]),
            Column::Float(vec![Some(3.0), Some(0.5)])
        );
        assert_eq!(
            parameter(&[Some(&yes), None]),
            Column::Bool(vec![Some(true), None])
        );
        assert_eq!(
            parameter(&[Some(&text), Some(&int)]),
            Column::Text(vec![Some("a".into()), Some("3".into())])
        );
    }

    #[test]
    fn epochs_are_whole_numbers_unless_one_is_not() {
        let of = |fractional, numbers: &[f64]| {
            HistoryShape {
                fractional,
                steps: false,
            }
            .places(numbers.iter().map(|number| Place::new(*number)))
        };
        assert_eq!(of(false, &[1.0, 2.0]), Column::Int(vec![Some(1), Some(2)]));
        assert_eq!(
            of(true, &[1.0, 0.5, f64::NAN]),
            Column::Float(vec![Some(1.0), Some(0.5), None])
        );
    }
}
