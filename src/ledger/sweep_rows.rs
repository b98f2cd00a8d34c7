//! A sweep as the ledger stores it: the text of the sweep file, arms, points, and the names that
//! get a column in the views. The caller makes these rows; the ledger parses no sweep file and
//! expands no grid.

use std::path::Path;

use rusqlite::{Connection, params};

use super::error::LedgerError;
use crate::grid::PointId;
use crate::spec::Metric;

/// Lists what a sweep changes of an earlier one, a line each; None: nothing that matters.
pub(super) type ListChanges<'a> = Box<dyn FnOnce(EarlierSweep<'_>) -> Option<Vec<String>> + 'a>;

/// The sweep that a run directory is opened for.
pub struct SweepRows<'a> {
    /// The sweep file, byte for byte.
    pub text: &'a str,
    /// The arms, in the order of the sweep file.
    pub arms: Vec<ArmRows<'a>>,
    /// What has a column of its own in the views.
    pub columns: ViewColumns<'a>,
    /// Compares this sweep with the earlier one that ran in the same directory.
    pub changes: ListChanges<'a>,
}

/// An arm with its points.
pub struct ArmRows<'a> {
    /// The name, a key.
    pub name: &'a str,
    /// What tables call it.
    pub label: &'a str,
    /// Ids and canonical configurations of its points, in the order of the grid. They are asked
    /// for only if the sweep file is new.
    pub points: Box<dyn Iterator<Item = (PointId, String)> + 'a>,
}

/// Names that get a column in the views, whether or not a trial has reported them yet.
#[derive(Clone, Debug, Default)]
pub struct ViewColumns<'a> {
    /// Parameters.
    pub parameters: Vec<&'a str>,
    /// Final metrics.
    pub metrics: Vec<&'a str>,
    /// Metrics in the history.
    pub history: Vec<&'a str>,
    /// The metric that selects, with the rule for the final metrics of a trial.
    pub finals: Option<&'a Metric>,
}

/// The sweep that was in force before, for a list of what has changed: one line for each
/// difference, or `None` if nothing that runs or is selected differs.
#[derive(Clone, Copy, Debug)]
pub struct EarlierSweep<'a> {
    /// Its sweep file.
    pub text: &'a str,
    /// Whether the user is told how the program that trains has changed anyway, so that the list
    /// need not repeat it.
    pub program_is_listed: bool,
}

/// Replaces the sweep in force: its text, arms and points. Points of earlier sweeps stay, since
/// trials refer to them.
pub(super) fn put_sweep(
    connection: &Connection,
    text: &str,
    arms: Vec<ArmRows<'_>>,
    at: &str,
    path: &Path,
) -> Result<(), LedgerError> {
    match insert_sweep(connection, text, arms, at).map_err(LedgerError::sqlite_at(path))? {
        Some(id) => Err(LedgerError::Collision(id)),
        None => Ok(()),
    }
}

/// Inserts the rows. Returns the id that two different configurations share, if there is one.
fn insert_sweep(
    connection: &Connection,
    text: &str,
    arms: Vec<ArmRows<'_>>,
    at: &str,
) -> rusqlite::Result<Option<PointId>> {
    connection.execute(
        "INSERT INTO spec (text, accepted_at) VALUES (?, ?)",
        params![text, at],
    )?;

    // Points stay: trials of an earlier sweep file refer to them.
    connection.execute_batch("DELETE FROM arm_point; DELETE FROM arm;")?;

    let mut put_arm =
        connection.prepare("INSERT INTO arm (arm, position, label) VALUES (?, ?, ?)")?;
    let mut put_point =
        connection.prepare("INSERT OR IGNORE INTO point (point, config) VALUES (?, ?)")?;
    let mut find_point = connection.prepare("SELECT config FROM point WHERE point = ?")?;
    let mut put_position =
        connection.prepare("INSERT INTO arm_point (arm, position, point) VALUES (?, ?, ?)")?;

    for (position, arm) in arms.into_iter().enumerate() {
        put_arm.execute(params![arm.name, position as i64, arm.label])?;
        for (index, (point, config)) in arm.points.enumerate() {
            let id = point.to_string();

            // The point may be known from an earlier sweep file, but with the same configuration.
            if put_point.execute(params![id, config])? == 0 {
                let known: String = find_point.query_row([&id], |row| row.get(0))?;
                if known != config {
                    return Ok(Some(point));
                }
            }
            put_position.execute(params![arm.name, index as i64, id])?;
        }
    }
    Ok(None)
}
