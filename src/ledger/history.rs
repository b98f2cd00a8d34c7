//! Reads the histories of trials, by epochs and by steps: as a stream, thinned, or their two ends,
//! since they may have millions of rows. Also reads notes, which trials reported instead of
//! numbers.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params};

use super::error::LedgerError;
use super::reader::{Reader, damaged, metrics, trial_id};
use super::rows::EpochRow;
use crate::grid::TrialId;
use crate::protocol::{Notes, Position, Unit};

impl Reader {
    /// Number of rows of all histories.
    pub fn epochs(&self) -> Result<u64, LedgerError> {
        let count = self
            .connection()
            .query_row("SELECT count(*) FROM epoch", [], |row| row.get::<_, i64>(0))
            .map_err(self.sqlite())?;
        Ok(count as u64)
    }

    /// The history of one trial: the rows by epochs, then those by steps.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_of(&self, id: TrialId) -> Result<Vec<EpochRow>, LedgerError> {
        self.history_every(id, 1, false)
    }

    /// The query for the history of a trial, without an order. Point and seed are ?1 and ?2;
    /// columns 3 and 4 are the position.
    fn of_trial(&self) -> Result<String, LedgerError> {
        let [unit, position] = self.position()?;
        Ok(format!(
            "SELECT t.point, t.seed, {unit}, {position}, e.metrics FROM epoch e
             JOIN trial t ON t.id = e.trial
             WHERE t.point = ?1 AND t.seed = ?2"
        ))
    }

    /// The SQL expressions for unit and number of a row of history `e`. Before version 5 all rows
    /// were whole epochs.
    pub(super) fn position(&self) -> Result<[&'static str; 2], LedgerError> {
        Ok(if self.has_column("epoch", "unit")? {
            ["e.unit", "e.position"]
        } else {
            ["'epoch'", "CAST(e.epoch AS REAL)"]
        })
    }

    /// Whether any row of history has a step.
    pub fn has_steps(&self) -> Result<bool, LedgerError> {
        let [unit, _] = self.position()?;
        self.connection()
            .query_row(
                &format!(
                    "SELECT EXISTS (SELECT 1 FROM epoch e WHERE {unit} = 'step'
                     OR json_type(e.metrics, '$.step') IS NOT NULL)"
                ),
                [],
                |row| row.get(0),
            )
            .map_err(self.sqlite())
    }

    /// Whether any epoch or step is fractional.
    ///
    /// # Errors
    /// The ledger's.
    pub fn has_fractions(&self) -> Result<bool, LedgerError> {
        let [_, position] = self.position()?;
        self.connection()
            .query_row(
                &format!(
                    "SELECT EXISTS (SELECT 1 FROM epoch e
                     WHERE {position} <> CAST({position} AS INTEGER))"
                ),
                [],
                |row| row.get(0),
            )
            .map_err(self.sqlite())
    }

    /// The first and the last rows of a trial's history by one unit, up to `rows` of each, and the
    /// number of rows that are left out between them.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_ends(
        &self,
        id: TrialId,
        unit: Unit,
        rows: usize,
    ) -> Result<(Vec<EpochRow>, usize), LedgerError> {
        let [of_unit, position] = self.position()?;
        let of_trial = format!("{} AND {of_unit} = ?3", self.of_trial()?);
        let point = id.point.to_string();
        let seed = id.seed as i64;
        let count: i64 = self
            .connection()
            .query_row(
                &format!("SELECT count(*) FROM ({of_trial})"),
                params![point, seed, unit.name()],
                |row| row.get(0),
            )
            .map_err(self.sqlite())?;

        let is_long = count as usize > 2 * rows;
        let begin = if is_long { rows } else { 2 * rows } as i64;
        let mut found = self.rows(
            &format!("{of_trial} ORDER BY {position} LIMIT ?4"),
            params![point, seed, unit.name(), begin],
            epoch_row,
        )?;
        if is_long {
            let mut end = self.rows(
                &format!("{of_trial} ORDER BY {position} DESC LIMIT ?4"),
                params![point, seed, unit.name(), rows as i64],
                epoch_row,
            )?;
            end.reverse();
            found.extend(end);
        }

        let left_out = count as usize - found.len();
        Ok((found, left_out))
    }

    /// Whether any trial reported a note.
    pub fn has_notes(&self) -> Result<bool, LedgerError> {
        if !self.has_column("note", "name")? {
            return Ok(false);
        }
        self.connection()
            .query_row("SELECT EXISTS (SELECT 1 FROM note)", [], |row| row.get(0))
            .map_err(self.sqlite())
    }

    /// The notes of a trial.
    pub fn notes_of(&self, id: TrialId) -> Result<Notes, LedgerError> {
        let found = self.notes_where(
            "WHERE t.point = ? AND t.seed = ?",
            params![id.point.to_string(), id.seed as i64],
        )?;
        Ok(found.into_values().next().unwrap_or_default())
    }

    /// The notes of every trial that reported any.
    pub fn notes(&self) -> Result<HashMap<TrialId, Notes>, LedgerError> {
        self.notes_where("", [])
    }

    fn notes_where(
        &self,
        clause: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<HashMap<TrialId, Notes>, LedgerError> {
        let mut found: HashMap<TrialId, Notes> = HashMap::new();
        if !self.has_column("note", "name")? {
            return Ok(found);
        }

        let rows = self.rows(
            &format!(
                "SELECT t.point, t.seed, n.name, n.value FROM note n
                 JOIN trial t ON t.id = n.trial {clause}"
            ),
            parameters,
            |row| {
                let value = serde_json::from_str(row.get_ref(3)?.as_str()?)
                    .map_err(|_| damaged(3, "a note that is not JSON"))?;
                Ok((trial_id(row)?, row.get::<_, String>(2)?, value))
            },
        )?;

        for (id, name, value) in rows {
            found.entry(id).or_default().insert(&name, value);
        }
        Ok(found)
    }

    /// The last row of history of every trial that is running.
    pub fn running(&self) -> Result<HashMap<TrialId, EpochRow>, LedgerError> {
        let position = self.position()?;
        let mut found = HashMap::new();
        for id in self.rows(
            "SELECT point, seed FROM trial WHERE state = 'running'",
            [],
            trial_id,
        )? {
            found.extend(self.last_row_of(id, position)?.map(|row| (id, row)));
        }
        Ok(found)
    }

    /// The last row of a trial's history; if it has rows of both units, that of the last epoch.
    /// Uses only the key, since a history may have millions of rows.
    pub(super) fn last_row_of(
        &self,
        id: TrialId,
        [unit, position]: [&str; 2],
    ) -> Result<Option<EpochRow>, LedgerError> {
        let found = self.connection().query_row(
            &format!(
                "WITH one AS (SELECT id, point, seed FROM trial WHERE point = ? AND seed = ?)
                 SELECT one.point, one.seed, {unit}, {position}, e.metrics FROM one
                 JOIN epoch e ON e.trial = one.id
                 WHERE {unit} = (SELECT {unit} FROM epoch e WHERE e.trial = one.id ORDER BY 1
                 LIMIT 1)
                 ORDER BY {position} DESC LIMIT 1"
            ),
            params![id.point.to_string(), id.seed as i64],
            epoch_row,
        );
        found.optional().map_err(self.sqlite())
    }

    /// Passes every row of history of every finished trial to `take`, one at a time, since a big
    /// sweep has millions.
    pub fn each_epoch<E: From<LedgerError>>(
        &self,
        mut take: impl FnMut(EpochRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let [unit, position] = self.position()?;
        let mut statement = self
            .connection()
            .prepare(&format!(
                "SELECT t.point, t.seed, {unit}, {position}, e.metrics FROM trial t
                 JOIN epoch e ON e.trial = t.id
                 WHERE t.state = 'done' ORDER BY t.point, t.seed, 3, 4"
            ))
            .map_err(self.sqlite())?;

        let mut rows = statement.query([]).map_err(self.sqlite())?;
        while let Some(row) = rows.next().map_err(self.sqlite())? {
            take(epoch_row(row).map_err(self.sqlite())?)?;
        }
        Ok(())
    }

    /// Names of the metrics in the histories: those that are known beforehand, or else those that
    /// trials have reported.
    pub fn history_names(&self, known: &[&str]) -> Result<Vec<String>, LedgerError> {
        if !known.is_empty() {
            return Ok(known.iter().map(|name| (*name).to_owned()).collect());
        }
        self.rows(
            "SELECT DISTINCT j.key FROM epoch e, json_each(e.metrics) j ORDER BY 1",
            [],
            |row| row.get(0),
        )
    }

    /// Number of rows of a trial's history.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_len(&self, id: TrialId) -> Result<usize, LedgerError> {
        self.connection()
            .query_row(
                "SELECT count(*) FROM epoch
                 WHERE trial = (SELECT id FROM trial WHERE point = ?1 AND seed = ?2)",
                params![id.point.to_string(), id.seed as i64],
                |row| row.get::<_, i64>(0),
            )
            .map(|count| count as usize)
            .map_err(self.sqlite())
    }

    /// Passes every `stride`th row of a trial's history to `take`, from the first on, one at a
    /// time.
    ///
    /// # Errors
    /// The ledger's, or those of `take`.
    pub fn each_epoch_of<E: From<LedgerError>>(
        &self,
        id: TrialId,
        stride: usize,
        mut take: impl FnMut(EpochRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let of_trial = self.of_trial()?;
        let mut statement = self
            .connection()
            .prepare(&format!("{of_trial} ORDER BY 3, 4"))
            .map_err(self.sqlite())?;
        let mut rows = statement
            .query(params![id.point.to_string(), id.seed as i64])
            .map_err(self.sqlite())?;

        let mut index = 0;
        while let Some(row) = rows.next().map_err(self.sqlite())? {
            if index % stride.max(1) == 0 {
                take(epoch_row(row).map_err(self.sqlite())?)?;
            }
            index += 1;
        }
        Ok(())
    }

    /// The history of a trial, thinned evenly to about `rows` rows if it has more; the last row
    /// stays.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_sample(&self, id: TrialId, rows: usize) -> Result<Vec<EpochRow>, LedgerError> {
        let stride = self.history_len(id)?.div_ceil(rows.max(1));
        self.history_every(id, stride, true)
    }

    /// Every `stride`th row of a trial's history; if `with_last`, also the last one.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_every(
        &self,
        id: TrialId,
        stride: usize,
        with_last: bool,
    ) -> Result<Vec<EpochRow>, LedgerError> {
        let mut kept: Vec<EpochRow> = Vec::new();
        self.each_epoch_of::<LedgerError>(id, stride, |row| {
            kept.push(row);
            Ok(())
        })?;
        if with_last && stride > 1 {
            let end = self.history_end(id, 1)?;
            let reached = kept.last().map(|row| row.position);
            kept.extend(end.into_iter().filter(|end| Some(end.position) != reached));
        }
        Ok(kept)
    }

    /// The first rows of a trial's history.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_begin(&self, id: TrialId, rows: usize) -> Result<Vec<EpochRow>, LedgerError> {
        self.rows(
            &format!("{} ORDER BY 3, 4 LIMIT ?3", self.of_trial()?),
            params![id.point.to_string(), id.seed as i64, rows as i64],
            epoch_row,
        )
    }

    /// The last rows of a trial's history, in order.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_end(&self, id: TrialId, rows: usize) -> Result<Vec<EpochRow>, LedgerError> {
        let mut found = self.rows(
            &format!("{} ORDER BY 3 DESC, 4 DESC LIMIT ?3", self.of_trial()?),
            params![id.point.to_string(), id.seed as i64, rows as i64],
            epoch_row,
        )?;
        found.reverse();
        Ok(found)
    }

    /// Names of the metrics in the histories of finished trials.
    ///
    /// # Errors
    /// The ledger's.
    pub fn finished_history_names(&self) -> Result<Vec<String>, LedgerError> {
        self.rows(
            "SELECT DISTINCT j.key FROM trial t
             JOIN epoch e ON e.trial = t.id, json_each(e.metrics) j
             WHERE t.state = 'done' ORDER BY 1",
            [],
            |row| row.get(0),
        )
    }
}

/// Reads a position from the column of its unit and the next one.
fn position_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    let unit = Unit::from_name(row.get_ref(column)?.as_str()?)
        .ok_or_else(|| damaged(column, "an unknown unit of history"))?;
    Position::new(unit, row.get(column + 1)?)
        .ok_or_else(|| damaged(column + 1, "a position that is not finite"))
}

fn epoch_row(row: &Row<'_>) -> rusqlite::Result<EpochRow> {
    Ok(EpochRow {
        id: trial_id(row)?,
        position: position_at(row, 2)?,
        metrics: metrics(4, row.get_ref(4)?.as_str()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::connection::open_writable;
    use crate::ledger::schema::FILE_NAME;

    #[test]
    fn a_long_history_is_thinned_evenly_and_keeps_its_ends() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open_writable(&dir.path().join(FILE_NAME), None).unwrap();
        writer
            .execute_batch(
                "INSERT INTO point VALUES ('k7m2p9x4qa', '{}');
                 INSERT INTO trial (id, point, seed, phase, state)
                 VALUES (1, 'k7m2p9x4qa', 3, 'tune', 'done');
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
                 INSERT INTO epoch SELECT 1, 'epoch', i, json_object('loss', i * 0.5) FROM n;",
            )
            .unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        let id = TrialId {
            point: "k7m2p9x4qa".parse().unwrap(),
            seed: 3,
        };
        let epochs = |rows: Vec<EpochRow>| {
            rows.into_iter()
                .map(|row| row.position.number())
                .collect::<Vec<_>>()
        };
        assert_eq!(reader.history_len(id).unwrap(), 1001);
        let thinned = epochs(reader.history_sample(id, 10).unwrap());
        assert_eq!(
            thinned,
            [
                1.0, 102.0, 203.0, 304.0, 405.0, 506.0, 607.0, 708.0, 809.0, 910.0, 1001.0
            ]
        );
        assert_eq!(
            epochs(reader.history_every(id, 400, false).unwrap()),
            [1.0, 401.0, 801.0]
        );
        assert_eq!(
            epochs(reader.history_every(id, 400, true).unwrap()),
            [1.0, 401.0, 801.0, 1001.0]
        );
        assert_eq!(
            reader.history_sample(id, 5000).unwrap().len(),
            1001,
            "a short one is whole"
        );
        assert_eq!(epochs(reader.history_begin(id, 2).unwrap()), [1.0, 2.0]);
        assert_eq!(epochs(reader.history_end(id, 2).unwrap()), [1000.0, 1001.0]);
        assert_eq!(reader.finished_history_names().unwrap(), ["loss"]);
        let absent = TrialId { seed: 4, ..id };
        assert_eq!(
            (
                reader.history_len(absent).unwrap(),
                reader.history_sample(absent, 10).unwrap().len()
            ),
            (0, 0)
        );
    }
}
