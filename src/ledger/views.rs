//! The views of a ledger, for people who write SQL: a column for each parameter and each metric.
//! `docs/ledger.md` describes them.
//!
//! The table `column_name` lists the names that have a column: those that the sweep file names, and
//! those that trials have reported. When a trial reports a new name, the writer adds it and makes
//! the views again.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::finals::{FINALS, has_finals, make_finals};
use super::sweep_rows::ViewColumns;
use crate::spec::ColumnNames;

/// Maximum number of columns for parameters, for metrics, and for metrics of histories: SQLite
/// allows 2,000 columns in all.
pub(super) const MAX_COLUMNS: usize = 400;

/// Divisor of numbers before they are added: a power of two, so that no digit is lost and no sum
/// overflows.
pub(super) const SCALE: &str = "1048576.0";

/// What a column is for; its name stands in the table `column_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A parameter of the sweep in force.
    Parameter,
    /// A final metric that the sweep in force names.
    SpecMetric,
    /// A metric in the history that the sweep in force names.
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

/// Replaces the names of the sweep in force, and makes the views.
pub(super) fn make_views(
    connection: &Connection,
    columns: &ViewColumns<'_>,
) -> rusqlite::Result<()> {
    for (kind, names) in [
        (Kind::Parameter, &columns.parameters),
        (Kind::SpecMetric, &columns.metrics),
        (Kind::SpecHistory, &columns.history),
    ] {
        connection.execute("DELETE FROM column_name WHERE kind = ?", [kind.name()])?;
        for name in names {
            put_name(connection, kind, name)?;
        }
    }
    make_finals(connection, columns.finals)?;
    remake_views(connection)
}

/// Adds a name that is to have a column.
pub(super) fn put_name(connection: &Connection, kind: Kind, name: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO column_name (kind, name, position)
             VALUES (?1, ?2, (SELECT coalesce(max(position), 0) + 1 FROM column_name))",
        )?
        .execute(params![kind.name(), name])
        .map(drop)
}

/// Returns the names of some kinds, each once: first those that the sweep names, in its order, then
/// the others by name.
pub(super) fn names(connection: &Connection, kinds: &[Kind]) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM column_name WHERE kind = ? ORDER BY CASE
         WHEN kind IN ('metric', 'history') THEN 0 ELSE position END, name",
    )?;

    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for kind in kinds {
        for name in statement.query_map([kind.name()], |row| row.get::<_, String>(0))? {
            let name = name?;
            if found.len() < MAX_COLUMNS && can_be_column(&name) && seen.insert(name.clone()) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// Whether a name can be that of a column: SQLite's JSON paths have no escape for a quotation mark,
/// and a text of SQL ends at a NUL.
fn can_be_column(name: &str) -> bool {
    !name.contains(['"', '\0'])
}

/// Returns the metrics in the order in which they get their columns' names: those that the sweep
/// file names, then the others as they were first reported.
pub(super) fn metrics_as_reported(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM column_name WHERE kind <> 'parameter'
         ORDER BY CASE kind WHEN 'spec_metric' THEN 0 WHEN 'spec_history' THEN 1 ELSE 2 END,
         position, kind, name",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

/// Makes the views again, from the names that have a column.
pub(super) fn remake_views(connection: &Connection) -> rusqlite::Result<()> {
    let parameters = names(connection, &[Kind::Parameter])?;
    let has_finals = has_finals(connection)?;
    let metrics = if has_finals {
        // A chosen row of history has its names as well.
        let mut metrics = names(
            connection,
            &[
                Kind::SpecMetric,
                Kind::Metric,
                Kind::SpecHistory,
                Kind::History,
            ],
        )?;
        metrics.retain(|name| name != "step");
        metrics
    } else {
        names(connection, &[Kind::SpecMetric, Kind::Metric])?
    };
    let mut history = names(connection, &[Kind::SpecHistory, Kind::History])?;

    // The view is evaluated once for all columns.
    let finals = if has_finals { "f.metrics" } else { "t.metrics" };
    let with = if has_finals {
        format!("WITH f AS MATERIALIZED (SELECT trial, metrics FROM {FINALS})")
    } else {
        String::new()
    };
    let join = if has_finals {
        "JOIN f ON f.trial = t.id"
    } else {
        ""
    };

    // The step of a row has a column of its own.
    history.retain(|name| name != "step");
    let reported = metrics_as_reported(connection)?;
    let columns = ColumnNames::new(
        parameters.iter().map(String::as_str),
        reported.iter().map(String::as_str),
    );

    let parameter_columns: String = parameters
        .iter()
        .map(|name| {
            let column = columns.parameter(name);
            format!(", {} AS \"{column}\"", json_value("p.config", name))
        })
        .collect();
    let mean_columns: String = metrics
        .iter()
        .map(|name| mean_columns_of(finals, name, columns.metric(name)))
        .collect();

    connection.execute_batch(&format!(
        "DROP VIEW IF EXISTS trials; DROP VIEW IF EXISTS history; DROP VIEW IF EXISTS summary;
         DROP VIEW IF EXISTS notes;
         CREATE VIEW trials AS {with}
         SELECT t.point || '-' || t.seed AS trial, a.arm, a.position, t.point, t.seed, t.phase,
         t.state, t.failures{parameter_columns}{metric_columns},
                p.config, {finals}, o.point || '-' || o.seed AS same_as, t.shared_epochs
         FROM trial t {join} JOIN point p USING (point) LEFT JOIN arm_point a USING (point) LEFT
         JOIN trial o ON o.id = t.same_as;
         CREATE VIEW history AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, t.point, t.seed, t.phase, t.state,
                CASE e.unit WHEN 'epoch' THEN {number} END AS epoch,
                CASE e.unit WHEN 'step' THEN {number} ELSE json_extract(e.metrics,
                '$.step') END AS step{history_columns}, e.metrics
         FROM epoch e JOIN trial t ON t.id = e.trial LEFT JOIN arm_point a USING (point);
         CREATE VIEW notes AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, t.point, t.seed, t.phase, t.state,
         n.name, n.value
         FROM note n JOIN trial t ON t.id = n.trial LEFT JOIN arm_point a USING (point);
         CREATE VIEW summary AS {with}
         SELECT a.arm, a.position, t.point, t.phase, count(*) AS n{mean_columns}, p.config
         FROM trial t {join} JOIN point p USING (point) JOIN arm_point a USING (point)
         WHERE t.state = 'done' GROUP BY a.arm, a.position, t.phase;",
        // Whole numbers are shown as 3, not as 3.0.
        number = "iif(e.position = CAST(e.position AS INTEGER),
                      CAST(e.position AS INTEGER), e.position)",
        metric_columns = metric_columns(finals, &metrics, &columns),
        history_columns = metric_columns("e.metrics", &history, &columns),
    ))
}

/// Returns a column for each metric of a JSON column.
fn metric_columns(json: &str, names: &[String], columns: &ColumnNames) -> String {
    names
        .iter()
        .map(|name| {
            let column = columns.metric(name);
            format!(", {} AS \"{column}\"", json_value(json, name))
        })
        .collect()
}

/// Returns the columns for the mean of a metric and for the number of values in it. Values that are
/// not finite are text, and are left out.
fn mean_columns_of(finals: &str, name: &str, column: &str) -> String {
    let value = json_value(finals, name);
    let number = format!("CASE typeof({value}) WHEN 'text' THEN NULL ELSE {value} END");
    format!(
        ", avg({number} / {SCALE}) * {SCALE} AS \"mean_{column}\", \
         count({number}) AS \"n_{column}\""
    )
}

/// Returns the SQL expression that takes a value out of a JSON column.
///
/// In the path the name stands escaped as in the JSON itself: SQLite compares it so, or, since
/// version 3.45, without the escapes.
fn json_value(json: &str, name: &str) -> String {
    format!("json_extract({json}, {})", json_path(name))
}

/// Returns the path of a name in an object, as a text of SQL.
pub(super) fn json_path(name: &str) -> String {
    let key = Value::from(name).to_string().replace('\'', "''");
    format!("'$.{key}'")
}
