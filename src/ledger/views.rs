//! The views of a ledger, for people who write SQL: a column for each parameter and each metric.
//! `docs/ledger.md` describes them. Which names have a column stands in the table `column_name`:
//! those that the spec knows, and those that trials have reported. The writer adds to it, and makes
//! the views again, when a trial reports a name for the first time.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use crate::spec::{ColumnNames, Spec, Task, task};

/// Maximum number of columns for parameters, for metrics, and for metrics of histories: SQLite
/// allows 2,000 columns in all.
pub(super) const MAX_COLUMNS: usize = 400;

/// By what numbers are divided before they are added: a power of two, so that no digit is lost and
/// no sum overflows.
const SCALE: &str = "1048576.0";

/// What a column is for, by its name in the table `column_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A parameter of the spec in force.
    Parameter,
    /// A final metric that the spec in force names.
    SpecMetric,
    /// A metric in the history that the spec in force names.
    SpecHistory,
    /// A final metric that a trial has reported.
    Metric,
    /// A metric that a trial has reported in its history.
    History,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::SpecMetric => "spec_metric",
            Self::SpecHistory => "spec_history",
            Self::Metric => "metric",
            Self::History => "history",
        }
    }
}

/// Puts the names of a spec in force, and makes the views.
pub(super) fn make_views(connection: &Connection, spec: &Spec) -> rusqlite::Result<()> {
    let metrics: Vec<&str> = match spec.task {
        Task::MnistResnet18 => task::METRICS.to_vec(),
        Task::Worker(_) | Task::Program(_) => vec![&spec.metric.name],
    };
    let history: &[&str] = match spec.task {
        Task::MnistResnet18 => &[
            "train_loss",
            "train_accuracy",
            "val_loss",
            "val_accuracy",
            "seconds",
        ],
        Task::Worker(_) | Task::Program(_) => &[],
    };
    let parameters: Vec<&str> = spec
        .arms
        .iter()
        .flat_map(|arm| arm.axes.iter().map(|axis| axis.name.as_str()))
        .collect();
    for (kind, names) in [
        (Kind::Parameter, &parameters[..]),
        (Kind::SpecMetric, &metrics),
        (Kind::SpecHistory, history),
    ] {
        connection.execute("DELETE FROM column_name WHERE kind = ?", [kind.name()])?;
        names
            .iter()
            .try_for_each(|name| put_name(connection, kind, name))?;
    }
    remake_views(connection)
}

/// Notes a name that is to have a column.
pub(super) fn put_name(connection: &Connection, kind: Kind, name: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO column_name (kind, name, position)
             VALUES (?1, ?2, (SELECT coalesce(max(position), 0) + 1 FROM column_name WHERE kind = ?1))",
        )?
        .execute(params![kind.name(), name])
        .map(drop)
}

/// The names of some kinds, each once: those that the spec knows in its order, then the others by
/// name.
pub(super) fn names(connection: &Connection, kinds: &[Kind]) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM column_name WHERE kind = ? ORDER BY CASE WHEN kind IN ('metric', 'history') THEN 0 ELSE position END, name",
    )?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for kind in kinds {
        for name in statement.query_map([kind.name()], |row| row.get::<_, String>(0))? {
            let name = name?;
            // SQLite's JSON paths have no escape for a quotation mark.
            if found.len() < MAX_COLUMNS && !name.contains('"') && seen.insert(name.clone()) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// Makes the views again, by the names that have a column.
pub(super) fn remake_views(connection: &Connection) -> rusqlite::Result<()> {
    let parameters = names(connection, &[Kind::Parameter])?;
    let metrics = names(connection, &[Kind::SpecMetric, Kind::Metric])?;
    let mut history = names(connection, &[Kind::SpecHistory, Kind::History])?;
    // The step of a row has a column of its own.
    history.retain(|name| name != "step");
    let reported = metrics.iter().chain(&history);
    let columns = ColumnNames::new(
        parameters.iter().map(String::as_str),
        reported.map(String::as_str),
    );

    let of_parameters: String = parameters
        .iter()
        .map(|name| {
            format!(
                ", {} AS \"{}\"",
                value("p.config", name),
                columns.parameter(name)
            )
        })
        .collect();
    let of_metrics = |json: &str, names: &[String]| -> String {
        names
            .iter()
            .map(|name| format!(", {} AS \"{}\"", value(json, name), columns.metric(name)))
            .collect()
    };
    let means: String = metrics
        .iter()
        .map(|name| {
            let (value, column) = (value("t.metrics", name), columns.metric(name));
            let number = format!("CASE typeof({value}) WHEN 'text' THEN NULL ELSE {value} END");
            format!(", avg({number} / {SCALE}) * {SCALE} AS \"mean_{column}\", count({number}) AS \"n_{column}\"")
        })
        .collect();
    connection.execute_batch(&format!(
        "DROP VIEW IF EXISTS trials; DROP VIEW IF EXISTS history; DROP VIEW IF EXISTS summary; DROP VIEW IF EXISTS notes;
         CREATE VIEW trials AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, a.position, t.point, t.seed, t.phase, t.state, t.failures{of_parameters}{figures},
                p.config, t.metrics, o.point || '-' || o.seed AS same_as, t.shared_epochs
         FROM trial t JOIN point p USING (point) LEFT JOIN arm_point a USING (point) LEFT JOIN trial o ON o.id = t.same_as;
         CREATE VIEW history AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, t.point, t.seed, t.phase, t.state,
                CASE e.unit WHEN 'epoch' THEN {number} END AS epoch,
                CASE e.unit WHEN 'step' THEN {number} ELSE json_extract(e.metrics, '$.step') END AS step{rows}, e.metrics
         FROM epoch e JOIN trial t ON t.id = e.trial LEFT JOIN arm_point a USING (point);
         CREATE VIEW notes AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, t.point, t.seed, t.phase, t.state, n.name, n.value
         FROM note n JOIN trial t ON t.id = n.trial LEFT JOIN arm_point a USING (point);
         CREATE VIEW summary AS
         SELECT a.arm, a.position, t.point, t.phase, count(*) AS n{means}, p.config
         FROM trial t JOIN point p USING (point) JOIN arm_point a USING (point)
         WHERE t.state = 'done' GROUP BY a.arm, a.position, t.phase;",
        // Whole numbers as such: 3, not 3.0.
        number = "iif(e.position = CAST(e.position AS INTEGER), CAST(e.position AS INTEGER), e.position)",
        figures = of_metrics("t.metrics", &metrics),
        rows = of_metrics("e.metrics", &history),
    ))
}

/// The SQL expression that takes a name out of a JSON column.
fn value(json: &str, name: &str) -> String {
    format!("json_extract({json}, '$.\"{}\"')", name.replace('\'', "''"))
}
