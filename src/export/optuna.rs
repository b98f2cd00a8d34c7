//! Optuna's journal (optuna/storages/journal/_storage.py): one JSON line for each study and trial.
//! An arm is a study and a trial (point and seed) is a trial, so that optuna-dashboard shows the
//! search. `scripts/check-export.sh` loads it with Optuna itself.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use super::Exported;
use crate::ledger::TrialState;
use crate::plan::Phase;
use crate::spec::{Arm, Axis, ColumnNames, Goal, ParamValue, Spec};

/// Numbers of operations and states in the journal.
mod code {
    pub(super) const CREATE_STUDY: u8 = 0;
    pub(super) const SET_STUDY_USER_ATTR: u8 = 2;
    pub(super) const SET_STUDY_SYSTEM_ATTR: u8 = 3;
    pub(super) const CREATE_TRIAL: u8 = 4;
    pub(super) const MINIMIZE: u8 = 1;
    pub(super) const MAXIMIZE: u8 = 2;
    pub(super) const RUNNING: u8 = 0;
    pub(super) const COMPLETE: u8 = 1;
    pub(super) const PRUNED: u8 = 2;
    pub(super) const FAIL: u8 = 3;
    pub(super) const WAITING: u8 = 4;
}

/// The name of the writer, which Optuna requires on each line.
const WRITER: &str = r#""worker_id":"pentagrid""#;

/// Writes a study for each arm with its tuning trials: parameters, the metric as the value, its
/// course over the epochs as the intermediate values, seed, point and final metrics as attributes.
/// Final trials are left out, because they re-evaluate and do not search.
///
/// `course` returns the metric of a trial by whole steps, see `WholeSteps`.
///
/// # Errors
/// The error of `course`, or `io::Error` as `E`, if writing fails.
pub fn write_optuna<E: From<io::Error>>(
    spec: &Spec,
    trials: &[Exported<'_>],
    names: &ColumnNames,
    course: impl Fn(&Exported<'_>) -> Result<Vec<(i64, f64)>, E>,
    to: &mut impl Write,
) -> Result<(), E> {
    let metrics = trials
        .iter()
        .filter_map(|trial| trial.row.metrics.as_ref())
        .flat_map(|metrics| metrics.0.keys());
    let columns = names.clone().with(metrics.map(String::as_str));

    for (number, arm) in spec.arms.iter().enumerate() {
        to.write_all(study_lines(spec, number, arm).as_bytes())?;
        for trial in trials {
            if trial.arm == number && trial.phase == Phase::Tune {
                let line = trial_line(spec, &columns, &arm.axes, trial, &course(trial)?);
                to.write_all(line.as_bytes())?;
            }
        }
    }
    Ok(())
}

fn study_lines(spec: &Spec, number: usize, arm: &Arm) -> String {
    let name = if spec.arms.len() == 1 {
        spec.name.clone()
    } else {
        format!("{}/{}", spec.name, arm.name)
    };
    let direction = match spec.metric.goal {
        Goal::Minimize => code::MINIMIZE,
        Goal::Maximize => code::MAXIMIZE,
    };
    let mut out = format!(
        r#"{{"op_code":{},{WRITER},"study_name":{},"directions":[{direction}]}}"#,
        code::CREATE_STUDY,
        Value::from(name)
    );
    out.push('\n');

    for (attribute, value) in [("label", &arm.label), ("metric", &spec.metric.name)] {
        let _ = writeln!(
            out,
            r#"{{"op_code":{},{WRITER},"study_id":{number},"user_attr":{{"{attribute}":{}}}}}"#,
            code::SET_STUDY_USER_ATTR,
            Value::from(value.clone())
        );
    }

    // The label of the axis of values in dashboards.
    let names = Value::from(vec![spec.metric.name.clone()]);
    let attributes = format!(r#"{{"study:metric_names":{names}}}"#);
    let _ = writeln!(
        out,
        r#"{{"op_code":{},{WRITER},"study_id":{number},"system_attr":{attributes}}}"#,
        code::SET_STUDY_SYSTEM_ATTR
    );
    out
}

fn trial_line(
    spec: &Spec,
    columns: &ColumnNames,
    axes: &[Axis],
    trial: &Exported<'_>,
    course: &[(i64, f64)],
) -> String {
    let metrics = trial.row.metrics.as_ref();
    let metric = metrics.and_then(|metrics| metrics.get(&spec.metric.name));
    let state = state(trial, metric);
    let value = metric
        .filter(|_| state == code::COMPLETE)
        .map_or("null".to_owned(), number);
    let mut out = format!(
        r#"{{"op_code":{},{WRITER},"study_id":{},"state":{state},"value":{value},"values":null"#,
        code::CREATE_TRIAL,
        trial.arm
    );
    out.push_str(&times(trial));

    // A parameter's value is its position among the choices.
    let mut distributions = Vec::new();
    let mut params = Vec::new();
    for axis in axes {
        let own = trial.config.get(&axis.name);
        let place = own.and_then(|own| axis.values.iter().position(|value| value == own));
        if let Some(place) = place {
            let name = Value::from(axis.name.clone());
            distributions.push(format!("{name}:{}", distribution(axis)));
            params.push(format!("{name}:{place}"));
        }
    }

    let intermediate: Vec<String> = course
        .iter()
        .map(|(step, value)| format!(r#""{step}":{}"#, number(*value)))
        .collect();

    let _ = writeln!(
        out,
        r#","distributions":{{{}}},"params":{{{}}},"user_attrs":{{{}}},"system_attrs":{{}},"intermediate_values":{{{}}}}}"#,
        distributions.join(","),
        params.join(","),
        attributes(columns, trial).join(","),
        intermediate.join(",")
    );
    out
}

/// A trial whose value is NaN counts as failed, because Optuna does not accept NaN as a value.
fn state(trial: &Exported<'_>, metric: Option<f64>) -> u8 {
    match trial.row.state {
        TrialState::Done if metric.is_some_and(|value| !value.is_nan()) => code::COMPLETE,
        TrialState::Done | TrialState::Failed => code::FAIL,
        TrialState::Running => code::RUNNING,
        TrialState::Waiting if trial.pruned => code::PRUNED,
        TrialState::Waiting => code::WAITING,
    }
}

/// When the trial started and, if it has ended, when that was.
fn times(trial: &Exported<'_>) -> String {
    let started = trial.last.map(|last| last.started_at.clone());
    let mut out = format!(r#","datetime_start":{}"#, Value::from(started));

    let has_ended =
        trial.pruned || matches!(trial.row.state, TrialState::Done | TrialState::Failed);
    let ended = trial.last.and_then(|last| last.ended_at.clone());
    if let Some(ended) = ended.filter(|_| has_ended) {
        let _ = write!(out, r#","datetime_complete":{}"#, Value::from(ended));
    }
    out
}

/// The values of a parameter: JSON within a JSON string.
fn distribution(axis: &Axis) -> Value {
    let choices: Vec<String> = axis.values.iter().map(choice).collect();
    Value::from(format!(
        r#"{{"name":"CategoricalDistribution","attributes":{{"choices":[{}]}}}}"#,
        choices.join(",")
    ))
}

/// Identity, metrics and failure of a trial.
fn attributes(columns: &ColumnNames, trial: &Exported<'_>) -> Vec<String> {
    let mut attributes = vec![
        format!(r#""trial":{}"#, Value::from(trial.id.to_string())),
        format!(r#""point":{}"#, Value::from(trial.id.point.to_string())),
        format!(r#""seed":{}"#, trial.id.seed),
    ];
    for (name, value) in trial.row.metrics.iter().flat_map(|metrics| &metrics.0) {
        let name = Value::from(columns.metric(name));
        attributes.push(format!("{name}:{}", number(value.0)));
    }
    if let Some(message) = trial.last.and_then(|last| last.message.as_ref()) {
        attributes.push(format!(r#""failure":{}"#, Value::from(message.clone())));
    }
    attributes
}

/// A value of a parameter as JSON.
fn choice(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(value) => value.to_string(),
        ParamValue::Int(value) => value.to_string(),
        ParamValue::Float(value) => number(*value),
        ParamValue::Text(value) => Value::from(value.as_str()).to_string(),
        ParamValue::Null => "null".to_owned(),
        // Optuna's choices are single values.
        ParamValue::List(_) | ParamValue::Map(_) => Value::from(value.to_string()).to_string(),
    }
}

/// A number as Python's `json` writes it, which accepts NaN and infinities.
fn number(value: f64) -> String {
    match value {
        x if x.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        x => format!("{x:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Grid, TrialId};
    use crate::ledger::TrialRow;

    /// A trial that was interrupted and whose point has been eliminated since. Integration tests
    /// cannot produce one reliably.
    #[test]
    fn a_pruned_trial_is_exported_as_pruned() {
        let text = "name: t\nworker: [w]\nmetric: {name: m, goal: maximize}\nseeds: {tune: 1, final: 0}\nparameters: {x: {value: 1}}\n";
        let spec = crate::spec::read(text, "t.yaml").unwrap();
        let point = Grid::new(&spec).arms()[0].point(crate::grid::PointIndex(0));
        let id = TrialId {
            point: point.id,
            seed: 0,
        };
        let state = TrialState::Waiting;
        let row = TrialRow {
            id,
            phase: Phase::Tune,
            state,
            failures: 0,
            metrics: None,
            shared: Default::default(),
        };
        let trial = |pruned| Exported {
            id,
            arm: 0,
            phase: Phase::Tune,
            config: point.config.clone(),
            row: &row,
            pruned,
            last: None,
        };
        let written = |pruned| {
            let mut to = Vec::new();
            let names = ColumnNames::of(&spec, []);
            let trials = [trial(pruned)];
            write_optuna::<io::Error>(&spec, &trials, &names, |_| Ok(Vec::new()), &mut to).unwrap();
            String::from_utf8(to).unwrap()
        };
        assert!(
            written(true).contains(r#""state":2,"value":null"#),
            "{}",
            written(true)
        );
        assert!(
            written(false).contains(r#""state":4,"value":null"#),
            "{}",
            written(false)
        );
        assert_eq!(
            (trial(true).state(), trial(false).state()),
            ("pruned", "waiting")
        );
    }
}
