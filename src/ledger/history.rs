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
