//! Whole numbers for the rows of a history, for tools without fractional epochs.

use crate::ledger::EpochRow;
use crate::protocol::Place;

/// Assigns whole steps to a trial's rows.
///
/// If all epochs are whole, they are the steps. If an epoch is fractional, the steps are those that
/// the rows report or, if a row reports none, the numbers of the rows from 1. Rows by steps keep
/// theirs.
#[derive(Clone, Debug, Default)]
pub struct WholeSteps {
    /// Whether an epoch is fractional.
    fractional: bool,
    /// Whether a row reports no step.
    without_step: bool,
    /// Number of rows that have been assigned a step.
    rows: i64,
}

fn whole(place: Option<Place>) -> Option<i64> {
    place.and_then(Place::whole)
}

impl WholeSteps {
    /// Takes a row into account. Must be called for all rows of a trial before the first call of
    /// `step`.
    pub fn see(&mut self, row: &EpochRow) {
        self.fractional |= row.epoch().is_some_and(|epoch| epoch.whole().is_none());
        self.without_step |= whole(row.step()).is_none();
    }

    /// Returns the step of the next row.
    pub fn step(&mut self, row: &EpochRow) -> i64 {
        self.rows += 1;
        match (self.fractional, self.without_step) {
            (false, _) => whole(row.epoch()).or(whole(row.step())).unwrap_or(0),
            (true, false) => whole(row.step()).unwrap_or(0),
            (true, true) => self.rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{PointId, TrialId};
    use crate::protocol::{Position, Unit};
    use crate::spec::Config;

    fn steps(rows: &[(f64, Option<f64>)]) -> Vec<i64> {
        let id = TrialId {
            point: PointId::of(&Config::default()),
            seed: 0,
        };
        let row = |(epoch, step): &(f64, Option<f64>)| EpochRow {
            id,
            position: Position::new(Unit::Epoch, *epoch).unwrap(),
            metrics: step
                .map(|step| ("step".to_owned(), step))
                .into_iter()
                .collect(),
        };
        let rows: Vec<EpochRow> = rows.iter().map(row).collect();
        let mut steps = WholeSteps::default();
        rows.iter().for_each(|row| steps.see(row));
        rows.iter().map(|row| steps.step(row)).collect()
    }

    #[test]
    fn whole_epochs_are_steps_and_fractional_ones_use_steps_or_row_numbers() {
        assert_eq!(steps(&[(1.0, Some(100.0)), (3.0, Some(300.0))]), [1, 3]);
        assert_eq!(steps(&[(0.5, Some(50.0)), (1.0, Some(100.0))]), [50, 100]);
        assert_eq!(steps(&[(0.5, None), (1.0, Some(100.0))]), [1, 2]);
        assert_eq!(steps(&[(0.5, None), (0.75, None)]), [1, 2]);
    }
}
