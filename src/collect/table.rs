//! Makes rows of history and final metrics of the objects that a log holds, the same way for every
//! format.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::protocol::{EPOCH_KEY, Metrics, Position, Reading, Reported, STEP_KEYS, Unit};

/// Rows of history.
pub type Rows = BTreeMap<Position, Reported>;

/// Maximum number of names of metrics that one log may have.
pub(super) const MAX_NAMES: usize = 10_000;

/// The object of a line, taken apart.
#[derive(Debug, Default)]
pub struct Line {
    /// Its position in the history, if it has one.
    pub position: Option<Position>,
    /// The step, in a line that also has an epoch.
    step: Option<f64>,
    /// Metrics and notes.
    pub values: Reported,
    /// Names of the metrics that are `null`; among the values they are NaN.
    nulls: Vec<String>,
}

impl Line {
    /// Takes an object apart. The key that the sweep selects by is a metric, even if it is called
    /// `epoch` or `step`.
    pub fn of(object: Map<String, Value>, metric: &str) -> Self {
        let mut line = Self::default();
        let mut epoch = None;
        let mut steps = [None; STEP_KEYS.len()];
        for (name, value) in object {
            let step = STEP_KEYS.iter().position(|key| *key == name);
            let reading = Reading::of(value);
            match (&reading, step) {
                _ if name == metric => {}
                (Reading::Number(_) | Reading::Null, _) if name == EPOCH_KEY => {
                    epoch = reading
                        .number()
                        .and_then(|number| Position::new(Unit::Epoch, number));
                    continue;
                }
                (Reading::Number(_) | Reading::Null, Some(key)) => {
                    steps[key] = reading
                        .number()
                        .and_then(|number| Position::new(Unit::Step, number));
                    continue;
                }
                _ => {}
            }
            if reading == Reading::Null {
                line.nulls.push(name.clone());
            }
            line.values.insert(name, reading);
        }
        let step = steps.into_iter().flatten().next();
        line.position = epoch.or(step);
        line.step = epoch.and(step).map(Position::number);
        line
    }

    /// Takes an object of final values apart: its epoch and its step say only where it was written.
    pub fn of_finals(object: Map<String, Value>, metric: &str) -> Self {
        Self {
            position: None,
            step: None,
            ..Self::of(object, metric)
        }
    }
}

/// What the lines of one log have said so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The row of the last line with a position, as it is so far.
    row: Option<(Position, Metrics)>,
    last: Reported,
}

impl Table {
    /// The last value of each name.
    pub(super) fn last(&self) -> &Reported {
        &self.last
    }

    /// Takes a line, and adds its row to `rows`. A row that was returned before has only its new
    /// values.
    pub(super) fn take(&mut self, mut line: Line, rows: &mut Rows) {
        let Some(position) = line.position else {
            self.last.extend(&line.values);
            return;
        };
        let mut row = match self.row.take() {
            Some((other, row)) if other == position => row,
            _ => Metrics::default(),
        };

        // Tables that are written row by row have a null where another line of the same epoch has
        // the number.
        for name in line.nulls.iter().filter(|name| row.get(name).is_some()) {
            line.values.numbers.0.remove(name);
        }

        // A program that reports its phase does so on every line; only changes are kept.
        let known = &self.last.notes;
        line.values
            .notes
            .retain(|name, value| known.get(name) != Some(value));
        self.last.extend(&line.values);

        // The step belongs to the row, and is not a metric of the trial.
        if let Some(step) = line.step {
            line.values.numbers.set(Unit::Step.name(), step);
        }
        row.0.extend(
            line.values
                .numbers
                .0
                .iter()
                .map(|(name, value)| (name.clone(), *value)),
        );
        self.row = Some((position, row));

        // Several lines may be about one epoch: one after training, one after validation.
        rows.entry(position).or_default().extend(&line.values);
    }

    /// Whether there are more names than a log may have.
    pub(super) fn has_too_many_names(&self) -> bool {
        self.last.numbers.0.len() > MAX_NAMES
    }
}
