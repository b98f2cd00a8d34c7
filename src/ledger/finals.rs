//! The final metrics of trials by the rule of `at` under `metric`, as a view of what trials have
//! reported: nothing is stored that follows from the history, so that the rule may change without a
//! rerun. `plan::Finals` computes the same while a trial runs.

use rusqlite::Connection;

use super::views::{SCALE, json_path};
use crate::protocol::Unit;
use crate::spec::{At, Goal, Metric};

/// The view, which is there only if the last values are not the final ones.
pub(super) const FINALS: &str = "finals";

/// Whether a ledger has the view.
pub(super) fn has_finals(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ?)",
        [FINALS],
        |row| row.get(0),
    )
}

/// Makes the view for a rule, or removes it.
pub(super) fn make_finals(
    connection: &Connection,
    metric: Option<&Metric>,
) -> rusqlite::Result<()> {
    // The other views use it.
    connection.execute_batch(&format!(
        "DROP VIEW IF EXISTS trials; DROP VIEW IF EXISTS summary; DROP VIEW IF EXISTS {FINALS};"
    ))?;
    let Some(chosen) = metric.and_then(chosen) else {
        return Ok(());
    };
    connection.execute_batch(&format!(
        "CREATE VIEW {FINALS} AS
         SELECT t.id AS trial, coalesce(json_patch(t.metrics, ({chosen})), t.metrics) AS metrics
         FROM trial t;"
    ))
}

/// The query for the metrics of the chosen rows of the trial `t`, as one JSON object; None if its
/// last values are the final ones.
fn chosen(metric: &Metric) -> Option<String> {
    let path = json_path(&metric.name);
    let direction = match metric.goal {
        Goal::Maximize => "DESC",
        Goal::Minimize => "ASC",
    };
    let step = Unit::Step.name();
    let is_step = metric.name == step;
    match metric.at {
        At::Last => None,
        // Values that are not finite are text. The step belongs to the row, unless it selects.
        At::Best => {
            let row = if is_step {
                "e.metrics".to_owned()
            } else {
                format!("json_remove(e.metrics, '$.{step}')")
            };
            Some(format!(
                "SELECT {row} FROM epoch e WHERE e.trial = t.id
                 AND json_type(e.metrics, {path}) IN ('integer', 'real')
                 ORDER BY json_extract(e.metrics, {path}) {direction}, e.unit, e.position LIMIT 1"
            ))
        }
        At::MeanLast(count) => Some(format!(
            "SELECT json_group_object(name, mean) FROM (
                SELECT j.key AS name,
                       CASE WHEN count(*) = count(CASE j.type WHEN 'text' THEN NULL ELSE 1 END)
                       THEN avg(j.value / {SCALE}) * {SCALE} ELSE 'NaN' END AS mean
                FROM (SELECT e.metrics FROM epoch e WHERE e.trial = t.id
                      AND json_type(e.metrics, {path}) IS NOT NULL
                      ORDER BY e.unit, e.position DESC LIMIT {count}) r, json_each(r.metrics) j
                WHERE j.key <> '{left_out}' GROUP BY j.key)",
            left_out = if is_step { "" } else { step },
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::connection::open_writable;
    use crate::ledger::schema::FILE_NAME;
    use crate::plan::Finals;
    use crate::protocol::{Metrics, Position};

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (-4_i32..4).prop_map(|number| f64::from(number) / 4.0),
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(1e300),
        ]
    }

    fn rule() -> impl Strategy<Value = Metric> {
        let at = prop_oneof![Just(At::Best), (1_u32..4).prop_map(At::MeanLast)];
        let goal = prop_oneof![Just(Goal::Maximize), Just(Goal::Minimize)];
        (at, goal).prop_map(|(at, goal)| Metric {
            name: "it's".to_owned(),
            goal,
            at,
        })
    }

    /// Equal up to rounding.
    fn agree(one: f64, other: f64) -> bool {
        let bound = 1e-12 * one.abs().max(1.0);
        one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= bound
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_view_agrees_with_what_is_computed_while_a_trial_runs(
            rule in rule(),
            by_step: bool,
            rows in prop::collection::vec(
                (prop::option::weighted(0.8, number()), prop::option::of(number()), any::<bool>()),
                0..6,
            ),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let connection = open_writable(&dir.path().join(FILE_NAME), None).unwrap();
            let last = Metrics::from_iter([("it's", 0.5), ("other", 1.0), ("test", 2.0)]);
            connection
                .execute_batch(&format!(
                    "INSERT INTO point VALUES ('k7m2p9x4qa', '{{}}');
                     INSERT INTO trial (id, point, seed, phase, state, metrics)
                     VALUES (1, 'k7m2p9x4qa', 3, 'tune', 'done', '{}'),
                            (2, 'k7m2p9x4qa', 4, 'tune', 'running', NULL);",
                    serde_json::to_string(&last).unwrap().replace('\'', "''")
                ))
                .unwrap();
            make_finals(&connection, Some(&rule)).unwrap();

            let mut finals = Finals::new(&rule).unwrap();
            for (number, (metric, other, has_step)) in rows.into_iter().enumerate() {
                let mut row = Metrics::default();
                metric.into_iter().for_each(|value| row.set("it's", value));
                other.into_iter().for_each(|value| row.set("other", value));
                if has_step {
                    row.set("step", 7.0);
                }
                let position = if by_step {
                    Position::step(number as u32)
                } else {
                    Position::epoch(number as u32)
                };
                connection
                    .execute(
                        "INSERT INTO epoch VALUES (1, ?, ?, ?)",
                        rusqlite::params![
                            position.unit.name(),
                            position.number(),
                            serde_json::to_string(&row).unwrap()
                        ],
                    )
                    .unwrap();
                finals.record(position, &row);
            }

            let expected = finals.finish(&last);
            let read = |trial: i64| -> Option<String> {
                let query = format!("SELECT metrics FROM {FINALS} WHERE trial = ?");
                connection.query_row(&query, [trial], |row| row.get(0)).unwrap()
            };
            let text = read(1).unwrap();
            let found: Metrics = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(
                found.0.keys().collect::<Vec<_>>(),
                expected.0.keys().collect::<Vec<_>>()
            );
            for (name, value) in &expected.0 {
                let value = value.0;
                prop_assert!(agree(value, found.get(name).unwrap()), "{text} {expected:?}");
            }
            prop_assert_eq!(read(2), None);
        }
    }
}
