//! The views of a ledger, for people who write SQL: a column for each parameter and each metric. `docs/ledger.md`
//! describes them.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::spec::{Spec, Task, task};

/// Views for people who write SQL: a column for each parameter and each metric.
pub(super) fn make_views(connection: &Connection, spec: &Spec) -> rusqlite::Result<()> {
    let metrics: Vec<&str> = match spec.task {
        Task::MnistResnet18 => task::METRICS.to_vec(),
        Task::Worker(_) | Task::Program(_) => vec![&spec.metric.name],
    };
    let history: &[&str] = match spec.task {
        Task::MnistResnet18 => &["train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"],
        Task::Worker(_) | Task::Program(_) => &[],
    };
    let parameters: Vec<&str> = spec.arms.iter().flat_map(|arm| arm.axes.iter().map(|axis| axis.name.as_str())).collect();
    let mut taken: HashSet<String> = [
        "trial",
        "arm",
        "position",
        "point",
        "seed",
        "phase",
        "state",
        "failures",
        "config",
        "metrics",
        "epoch",
        "n",
        "same_as",
        "shared_epochs",
    ]
    .map(str::to_owned)
    .into();
    let parameters = columns("p.config", "param_", &parameters, &mut taken);
    let mut taken_by_history = taken.clone();
    let figures = columns("t.metrics", "metric_", &metrics, &mut taken);
    let rows = columns("e.metrics", "metric_", history, &mut taken_by_history);
    let means: String = columns("t.metrics", "mean_", &metrics, &mut metrics.iter().map(|name| (*name).to_owned()).collect())
        .iter()
        .map(|(extract, name)| format!(", avg(CASE typeof({extract}) WHEN 'text' THEN NULL ELSE {extract} END) AS {name}"))
        .collect();
    let list = |columns: &[(String, String)]| -> String {
        columns.iter().map(|(extract, name)| format!(", {extract} AS {name}")).collect()
    };
    connection.execute_batch(&format!(
        "DROP VIEW IF EXISTS trials; DROP VIEW IF EXISTS history; DROP VIEW IF EXISTS summary;
         CREATE VIEW trials AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, a.position, t.point, t.seed, t.phase, t.state, t.failures{parameters}{figures},
                p.config, t.metrics, o.point || '-' || o.seed AS same_as, t.shared_epochs
         FROM trial t JOIN point p USING (point) LEFT JOIN arm_point a USING (point) LEFT JOIN trial o ON o.id = t.same_as;
         CREATE VIEW history AS
         SELECT t.point || '-' || t.seed AS trial, a.arm, t.point, t.seed, t.phase, t.state, e.epoch{rows}, e.metrics
         FROM epoch e JOIN trial t ON t.id = e.trial LEFT JOIN arm_point a USING (point);
         CREATE VIEW summary AS
         SELECT a.arm, a.position, t.point, t.phase, count(*) AS n{means}, p.config
         FROM trial t JOIN point p USING (point) JOIN arm_point a USING (point)
         WHERE t.state = 'done' GROUP BY a.arm, a.position, t.phase;",
        parameters = list(&parameters),
        figures = list(&figures),
        rows = list(&rows),
    ))
}

/// SQL expressions that take names out of a JSON column, with the quoted names of their columns.
fn columns(json: &str, prefix: &str, names: &[&str], taken: &mut HashSet<String>) -> Vec<(String, String)> {
    let mut seen = HashSet::new();
    names
        .iter()
        // SQLite's JSON paths have no escape for a quotation mark; its limit is 2,000 columns.
        .filter(|name| seen.insert(**name) && !name.contains('"'))
        .take(500)
        .map(|name| {
            let column = if taken.insert((*name).to_owned()) { (*name).to_owned() } else { format!("{prefix}{name}") };
            (format!("json_extract({json}, '$.\"{}\"')", name.replace('\'', "''")), format!("\"{column}\""))
        })
        .collect()
}
