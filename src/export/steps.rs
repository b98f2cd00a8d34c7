//! Whole numbers for the rows of a history, for tools that know no fractional epochs.

use crate::ledger::EpochRow;
use crate::protocol::Place;

/// The steps of a trial's rows. A trial whose epochs are all whole is by epochs, as it was
/// reported. One with a fractional epoch is by the steps that its rows say, and by the rows'
/// numbers, from 1, where they say none. Rows by steps have their own.
#[derive(Clone, Debug, Default)]
pub struct WholeSteps {
    /// Whether an epoch is fractional.
    fractional: bool,
    /// Whether a row says no step.
    without_step: bool,
    /// Rows that have a step by now.
    rows: i64,
}

fn whole(place: Option<Place>) -> Option<i64> {
    place.and_then(Place::whole)
}

impl WholeSteps {
    /// Sees a row. All rows of a trial are to be seen before the first one gets its step.
    pub fn see(&mut self, row: &EpochRow) {
        self.fractional |= row.epoch().is_some_and(|epoch| epoch.whole().is_none());
        self.without_step |= whole(row.step()).is_none();
    }

    /// The step of the next row.
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
    fn whole_epochs_are_steps_and_fractions_go_by_what_there_is() {
        assert_eq!(steps(&[(1.0, Some(100.0)), (3.0, Some(300.0))]), [1, 3]);
        assert_eq!(steps(&[(0.5, Some(50.0)), (1.0, Some(100.0))]), [50, 100]);
        assert_eq!(steps(&[(0.5, None), (1.0, Some(100.0))]), [1, 2]);
        assert_eq!(steps(&[(0.5, None), (0.75, None)]), [1, 2]);
    }
}
