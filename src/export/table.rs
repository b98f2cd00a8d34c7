//! Trials and histories as typed columns: one row for each trial, or one for each epoch.
//! `aggregate::write_parquet` writes them.

use std::collections::BTreeSet;

use super::Exported;
use crate::aggregate::Column;
use crate::ledger::{EpochRow, TrialState, Versions};
use crate::protocol::{Place, Unit};
use crate::spec::{ColumnNames, ParamValue, Spec};

/// Makes a table with one row for each trial: identity, state, hyper-parameters (in their own type;
/// as text where arms or values differ in type), final metrics. Columns are named by `ColumnNames`.
pub fn trials_table(
    spec: &Spec,
    trials: &[Exported<'_>],
    versions: &Versions,
    names: &ColumnNames,
) -> Vec<(String, Column)> {
    let mut columns = fixed_columns(spec, trials, versions);
    let metrics: BTreeSet<&String> = trials
        .iter()
        .filter_map(|trial| trial.row.metrics.as_ref())
        .flat_map(|metrics| metrics.0.keys())
        .collect();
    let names = names
        .clone()
        .with(metrics.iter().map(|metric| metric.as_str()));

    for name in parameters(spec) {
        let values: Vec<Option<&ParamValue>> =
            trials.iter().map(|trial| trial.config.get(name)).collect();
        let column = parameter_column(&values);
        columns.push((names.parameter(name).to_owned(), column));
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

/// The columns that every sweep has.
fn fixed_columns(
    spec: &Spec,
    trials: &[Exported<'_>],
    versions: &Versions,
) -> Vec<(String, Column)> {
    let seeds = trials
        .iter()
        .map(|trial| i64::try_from(trial.id.seed).ok())
        .collect();
    let versions = trials
        .iter()
        .map(|trial| {
            let is_done = trial.row.state == TrialState::Done;
            versions.of(trial.id).filter(|_| is_done)
        })
        .collect();
    let durations = trials.iter().map(|trial| trial.last?.duration).collect();

    let columns = [
        ("trial", text(trials, |trial| trial.id.to_string())),
        (
            "arm",
            text(trials, |trial| spec.arms[trial.arm].name.clone()),
        ),
        ("point", text(trials, |trial| trial.id.point.to_string())),
        ("seed", Column::Int(seeds)),
        ("phase", text(trials, |trial| trial.phase.name().to_owned())),
        ("state", text(trials, |trial| trial.state().to_owned())),
        ("version", Column::Int(versions)),
        (
            "same_as",
            Column::Text(
                trials
                    .iter()
                    .map(|trial| trial.row.shared.same_as.map(|id| id.to_string()))
                    .collect(),
            ),
        ),
        ("duration", Column::Float(durations)),
    ];
    columns
        .into_iter()
        .map(|(name, column)| (name.to_owned(), column))
        .collect()
}

fn text<'a>(trials: &[Exported<'a>], of: impl Fn(&Exported<'a>) -> String) -> Column {
    Column::Text(trials.iter().map(|trial| Some(of(trial))).collect())
}

/// The names of all parameters of all arms, in the order of the sweep file.
fn parameters(spec: &Spec) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    spec.arms
        .iter()
        .flat_map(|arm| &arm.axes)
        .map(|axis| axis.name.as_str())
        .filter(|name| seen.insert(*name))
        .collect()
}

/// Makes a table with one row for each epoch or step of a finished trial: `trial`, `arm`, `seed`,
/// `epoch`, `step` if any row has one, and the metrics of these `names`. Takes some rows, each with
/// the name of its arm.
pub fn history_table(
    column_names: &ColumnNames,
    names: &[String],
    shape: HistoryShape,
    rows: &[(EpochRow, &str)],
) -> Vec<(String, Column)> {
    let trials = rows.iter().map(|(row, _)| Some(row.id.to_string()));
    let arms = rows.iter().map(|(_, arm)| Some((*arm).to_owned()));
    let seeds = rows.iter().map(|(row, _)| i64::try_from(row.id.seed).ok());
    let epochs = rows.iter().map(|(row, _)| row.epoch());

    let mut columns = vec![
        ("trial".to_owned(), Column::Text(trials.collect())),
        ("arm".to_owned(), Column::Text(arms.collect())),
        ("seed".to_owned(), Column::Int(seeds.collect())),
        ("epoch".to_owned(), shape.column(epochs)),
    ];
    if shape.steps {
        let steps = rows.iter().map(|(row, _)| row.step());
        columns.push((Unit::Step.name().to_owned(), shape.column(steps)));
    }

    let column_names = column_names.clone().with(names.iter().map(String::as_str));
    for name in names.iter().filter(|name| *name != Unit::Step.name()) {
        let values = rows.iter().map(|(row, _)| row.metrics.get(name)).collect();
        columns.push((column_names.metric(name).to_owned(), Column::Float(values)));
    }
    columns
}

/// The form of all positions of a sweep's history. Every group of rows of a file has the same
/// columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryShape {
    /// Whether an epoch is fractional.
    pub fractional: bool,
    /// Whether a row has a step.
    pub steps: bool,
}

impl HistoryShape {
    /// A column of epochs or steps: whole numbers, unless one of them is fractional.
    fn column(self, places: impl Iterator<Item = Option<Place>>) -> Column {
        if self.fractional {
            return Column::Float(places.map(|place| place.map(Place::get)).collect());
        }
        Column::Int(places.map(|place| place?.whole()).collect())
    }
}

/// A column of the narrowest type that represents all values exactly; whole numbers beside
/// fractions become fractions, and null is a missing value.
fn parameter_column(values: &[Option<&ParamValue>]) -> Column {
    if all_are(values, |value| matches!(value, ParamValue::Int(_))) {
        return Column::Int(values.iter().map(|value| as_int((*value)?)).collect());
    }
    if all_are(values, |value| value.as_f64().is_some()) {
        return Column::Float(values.iter().map(|value| (*value)?.as_f64()).collect());
    }
    if all_are(values, |value| matches!(value, ParamValue::Bool(_))) {
        return Column::Bool(values.iter().map(|value| as_bool((*value)?)).collect());
    }
    Column::Text(
        values
            .iter()
            .map(|value| value.map(ToString::to_string))
            .collect(),
    )
}

fn all_are(values: &[Option<&ParamValue>], kind: fn(&ParamValue) -> bool) -> bool {
    let mut known = values
        .iter()
        .flatten()
        .filter(|value| !matches!(value, ParamValue::Null));
    known.all(|value| kind(value))
}

fn as_int(value: &ParamValue) -> Option<i64> {
    match value {
        ParamValue::Int(value) => Some(*value),
        _ => None,
    }
}

fn as_bool(value: &ParamValue) -> Option<bool> {
    match value {
        ParamValue::Bool(value) => Some(*value),
        _ => None,
    }
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
            parameter_column(&[Some(&int), None]),
            Column::Int(vec![Some(3), None])
        );
        assert_eq!(
            parameter_column(&[Some(&int), Some(&float)]),
            Column::Float(vec![Some(3.0), Some(0.5)])
        );
        assert_eq!(
            parameter_column(&[Some(&yes), None]),
            Column::Bool(vec![Some(true), None])
        );
        assert_eq!(
            parameter_column(&[Some(&text), Some(&int)]),
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
            .column(numbers.iter().map(|number| Place::new(*number)))
        };
        assert_eq!(of(false, &[1.0, 2.0]), Column::Int(vec![Some(1), Some(2)]));
        assert_eq!(
            of(true, &[1.0, 0.5, f64::NAN]),
            Column::Float(vec![Some(1.0), Some(0.5), None])
        );
    }
}
