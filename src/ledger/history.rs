//! Reading the history of single trials, which may have millions of rows: as a stream, thinned, or its two ends.

use rusqlite::params;

use super::error::LedgerError;
use super::reader::{Reader, epoch_row};
use super::rows::EpochRow;
use crate::grid::TrialId;

const OF_TRIAL: &str = "SELECT t.point, t.seed, e.epoch, e.metrics FROM epoch e JOIN trial t ON t.id = e.trial
                        WHERE t.point = ?1 AND t.seed = ?2";

impl Reader {
    /// How many rows the history of a trial has.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_len(&self, id: TrialId) -> Result<usize, LedgerError> {
        self.connection()
            .query_row(
                "SELECT count(*) FROM epoch WHERE trial = (SELECT id FROM trial WHERE point = ?1 AND seed = ?2)",
                params![id.point.to_string(), id.seed as i64],
                |row| row.get::<_, i64>(0),
            )
            .map(|count| count as usize)
            .map_err(self.sqlite())
    }

    /// Hands every `stride`th row of a trial's history to `take`, from the first on, one at a time.
    ///
    /// # Errors
    /// The ledger's, or those of `take`.
    pub fn each_epoch_of<E: From<LedgerError>>(
        &self,
        id: TrialId,
        stride: usize,
        mut take: impl FnMut(EpochRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection().prepare(&format!("{OF_TRIAL} ORDER BY e.epoch")).map_err(self.sqlite())?;
        let mut rows = statement.query(params![id.point.to_string(), id.seed as i64]).map_err(self.sqlite())?;
        let mut place = 0;
        while let Some(row) = rows.next().map_err(self.sqlite())? {
            if place % stride.max(1) == 0 {
                take(epoch_row(row).map_err(self.sqlite())?)?;
            }
            place += 1;
        }
        Ok(())
    }

    /// The history of a trial, thinned evenly to about `most` rows if it has more; the last row stays.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_sample(&self, id: TrialId, most: usize) -> Result<Vec<EpochRow>, LedgerError> {
        let stride = self.history_len(id)?.div_ceil(most.max(1));
        self.history_every(id, stride, true)
    }

    /// Every `stride`th row of a trial's history; with `last` also the last one.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_every(&self, id: TrialId, stride: usize, last: bool) -> Result<Vec<EpochRow>, LedgerError> {
        let mut kept: Vec<EpochRow> = Vec::new();
        self.each_epoch_of::<LedgerError>(id, stride, |row| {
            kept.push(row);
            Ok(())
        })?;
        if last && stride > 1 {
            let end = self.history_end(id, 1)?;
            let reached = kept.last().map(|row| row.epoch);
            kept.extend(end.into_iter().filter(|end| Some(end.epoch) != reached));
        }
        Ok(kept)
    }

    /// The first rows of a trial's history.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_begin(&self, id: TrialId, rows: usize) -> Result<Vec<EpochRow>, LedgerError> {
        self.rows(
            &format!("{OF_TRIAL} ORDER BY e.epoch LIMIT ?3"),
            params![id.point.to_string(), id.seed as i64, rows as i64],
            epoch_row,
        )
    }

    /// The last rows of a trial's history, in their order.
    ///
    /// # Errors
    /// The ledger's.
    pub fn history_end(&self, id: TrialId, rows: usize) -> Result<Vec<EpochRow>, LedgerError> {
        let mut found = self.rows(
            &format!("{OF_TRIAL} ORDER BY e.epoch DESC LIMIT ?3"),
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
            "SELECT DISTINCT j.key FROM trial t JOIN epoch e ON e.trial = t.id, json_each(e.metrics) j
             WHERE t.state = 'done' ORDER BY 1",
            [],
            |row| row.get(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::schema::{FILE_NAME, open_writable};

    #[test]
    fn a_long_history_is_thinned_evenly_and_keeps_its_ends() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open_writable(&dir.path().join(FILE_NAME), None).unwrap();
        writer
            .execute_batch(
                "INSERT INTO point VALUES ('k7m2p9x4qa', '{}');
                 INSERT INTO trial (id, point, seed, phase, state) VALUES (1, 'k7m2p9x4qa', 3, 'tune', 'done');
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
                 INSERT INTO epoch SELECT 1, i, json_object('loss', i * 0.5) FROM n;",
            )
            .unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        let id = TrialId { point: "k7m2p9x4qa".parse().unwrap(), seed: 3 };
        let epochs = |rows: Vec<EpochRow>| rows.into_iter().map(|row| row.epoch).collect::<Vec<_>>();
        assert_eq!(reader.history_len(id).unwrap(), 1001);
        let thinned = epochs(reader.history_sample(id, 10).unwrap());
        assert_eq!(thinned, [1, 102, 203, 304, 405, 506, 607, 708, 809, 910, 1001]);
        assert_eq!(epochs(reader.history_every(id, 400, false).unwrap()), [1, 401, 801]);
        assert_eq!(epochs(reader.history_every(id, 400, true).unwrap()), [1, 401, 801, 1001]);
        assert_eq!(reader.history_sample(id, 5000).unwrap().len(), 1001, "a short one is whole");
        assert_eq!(epochs(reader.history_begin(id, 2).unwrap()), [1, 2]);
        assert_eq!(epochs(reader.history_end(id, 2).unwrap()), [1000, 1001]);
        assert_eq!(reader.finished_history_names().unwrap(), ["loss"]);
        let absent = TrialId { seed: 4, ..id };
        assert_eq!((reader.history_len(absent).unwrap(), reader.history_sample(absent, 10).unwrap().len()), (0, 0));
    }
}
