//! Optuna's journal (optuna/storages/journal/_storage.py): one JSON line for each study and trial.
//! An arm is a study, a trial (point and seed) is a trial, so that optuna-dashboard shows the
//! search. `scripts/check-export.sh` loads it with Optuna itself.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use super::Exported;
use crate::ledger::TrialState;
use crate::plan::Phase;
use crate::spec::{Axis, ColumnNames, Goal, ParamValue, Spec};

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

/// Whose lines these are: Optuna wants a name for each writer.
const WRITER: &str = r#""worker_id":"pentagrid""#;

/// Writes a study for each arm with its tuning trials: parameters, the metric as the value, its
/// course over the epochs as the intermediate values, seed, point and final metrics as attributes.
/// Final trials are left out: they re-evaluate and do not search.
///
/// `course` gives the metric of a trial by whole steps, see `WholeSteps`.
///
/// # Errors
/// As the file that is written to, or as `course`.
pub fn write_optuna<E: From<io::Error>>(
    spec: &Spec,
    trials: &[Exported<'_>],
    course: impl Fn(&Exported<'_>) -> Result<Vec<(i64, f64)>, E>,
    to: &mut impl Write,
) -> Result<(), E> {
    let metrics = trials
        .iter()
        .filter_map(|trial| trial.row.metrics.as_ref())
        .flat_map(|metrics| metrics.0.keys());
    let columns = ColumnNames::of(spec, metrics.map(String::as_str));
    let direction = match spec.metric.goal {
        Goal::Minimize => code::MINIMIZE,
        Goal::Maximize => code::MAXIMIZE,
    };
    for (number, arm) in spec.arms.iter().enumerate() {
        let name = if spec.arms.len() == 1 {
            spec.name.clone()
        } else {
            format!("{}/{}", spec.name, arm.name)
        };
        writeln!(
            to,
            r#"{{"op_code":{},{WRITER},"study_name":{},"directions":[{direction}]}}"#,
            code::CREATE_STUDY,
            Value::from(name)
        )?;
        let names = Value::from(vec![spec.metric.name.clone()]);
        for (attribute, value) in [
            ("label", Value::from(arm.label.clone())),
            ("metric", Value::from(spec.metric.name.clone())),
        ] {
            writeln!(
                to,
                r#"{{"op_code":{},{WRITER},"study_id":{number},"user_attr":{{"{attribute}":{value}}}}}"#,
                code::SET_STUDY_USER_ATTR
            )?;
        }
        // What dashboards call the axis of values.
        writeln!(
            to,
            r#"{{"op_code":{},{WRITER},"study_id":{number},"system_attr":{{"study:metric_names":{names}}}}}"#,
            code::SET_STUDY_SYSTEM_ATTR
        )?;
        for trial in trials
            .iter()
            .filter(|trial| trial.arm == number && trial.phase == Phase::Tune)
        {
            to.write_all(
                line(spec, &columns, number, &arm.axes, trial, &course(trial)?).as_bytes(),
            )?;
        }
    }
    Ok(())
}

fn line(
    spec: &Spec,
    columns: &ColumnNames,
    study: usize,
    axes: &[Axis],
    trial: &Exported<'_>,
    course: &[(i64, f64)],
) -> String {
    let metric = trial
        .row
        .metrics
        .as_ref()
        .and_then(|metrics| metrics.get(&spec.metric.name));
    // Optuna takes no NaN as a value: what it says of such a trial is that it failed.
    let state = match trial.row.state {
        TrialState::Done if metric.is_some_and(|value| !value.is_nan()) => code::COMPLETE,
        TrialState::Done | TrialState::Failed => code::FAIL,
        TrialState::Running => code::RUNNING,
        TrialState::Waiting if trial.pruned => code::PRUNED,
        TrialState::Waiting => code::WAITING,
    };
    let value = metric
        .filter(|_| state == code::COMPLETE)
        .map_or("null".to_owned(), number);
    let mut out = format!(
        r#"{{"op_code":{},{WRITER},"study_id":{study},"state":{state},"value":{value},"values":null"#,
        code::CREATE_TRIAL
    );
    let started = trial
        .last
        .map(|last| Value::from(last.started_at.clone()))
        .unwrap_or(Value::Null);
    let _ = write!(out, r#","datetime_start":{started}"#);
    let ended = trial.pruned || matches!(trial.row.state, TrialState::Done | TrialState::Failed);
    if let Some(ended) = trial
        .last
        .and_then(|last| last.ended_at.clone())
        .filter(|_| ended)
    {
        let _ = write!(out, r#","datetime_complete":{}"#, Value::from(ended));
    }
    let mut distributions = Vec::new();
    let mut params = Vec::new();
    for axis in axes {
        let Some(place) = trial
            .config
            .get(&axis.name)
            .and_then(|own| axis.values.iter().position(|value| value == own))
        else {
            continue;
        };
        let choices: Vec<String> = axis.values.iter().map(choice).collect();
        let attributes = format!(
            r#"{{"name":"CategoricalDistribution","attributes":{{"choices":[{}]}}}}"#,
            choices.join(",")
        );
        let name = Value::from(axis.name.clone());
        // A distribution is a text that holds JSON.
        distributions.push(format!("{name}:{}", Value::from(attributes)));
        params.push(format!("{name}:{place}"));
    }
    let mut attributes = vec![
        format!(r#""trial":{}"#, Value::from(trial.id.to_string())),
        format!(r#""point":{}"#, Value::from(trial.id.point.to_string())),
        format!(r#""seed":{}"#, trial.id.seed),
    ];
    for (name, value) in trial.row.metrics.iter().flat_map(|metrics| &metrics.0) {
        attributes.push(format!(
            "{}:{}",
            Value::from(columns.metric(name)),
            number(value.0)
        ));
    }
    if let Some(message) = trial.last.and_then(|last| last.message.as_ref()) {
        attributes.push(format!(r#""failure":{}"#, Value::from(message.clone())));
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
        attributes.join(","),
        intermediate.join(",")
    );
    out
}

/// A value that may be chosen, as JSON.
fn choice(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(value) => value.to_string(),
        ParamValue::Int(value) => value.to_string(),
        ParamValue::Float(value) => number(*value),
        ParamValue::Text(value) => Value::from(value.as_str()).to_string(),
    }
}

/// A number as Python's `json` writes it, which knows NaN and infinities.
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

    /// One that was cut off and whose point is out of the race since: in the integration tests none
    /// is, since it is a matter of moments.
    #[test]
    fn a_pruned_trial_is_pruned_there() {
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
            write_optuna::<io::Error>(&spec, &[trial(pruned)], |_| Ok(Vec::new()), &mut to)
                .unwrap();
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
