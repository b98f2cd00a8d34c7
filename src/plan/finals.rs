//! The final metrics of a trial by the rule of `at` under `metric`, while it runs: of what it has
//! reported so far only as much is kept as the rule needs. The ledger computes the same of the
//! history that it keeps, so that the rule may change later.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::{Metrics, Position, Unit};
use crate::spec::{At, Goal, Metric};

/// Divisor of numbers before they are added, so that no sum overflows: a power of two, so that no
/// digit is lost.
const SCALE: f64 = 1_048_576.0;

/// What the rule needs of a trial's history.
#[derive(Clone, Debug)]
pub struct Finals {
    metric: Metric,
    /// The row that the last report was about: another one may add to it.
    row: Option<(Position, Metrics)>,
    /// The best row, or the last ones, before that.
    kept: VecDeque<Metrics>,
}

impl Finals {
    /// For a trial that begins; None if its last values are its final ones.
    pub fn new(metric: &Metric) -> Option<Self> {
        (metric.at != At::Last).then(|| Self {
            metric: metric.clone(),
            row: None,
            kept: VecDeque::new(),
        })
    }

    /// Takes a row of history, or a part of one.
    pub fn record(&mut self, position: Position, values: &Metrics) {
        match &mut self.row {
            Some((last, row)) if *last == position => row.0.extend(values.0.clone()),
            _ => {
                if let Some((_, row)) = self.row.replace((position, values.clone())) {
                    self.keep(row);
                }
            }
        }
    }

    /// The final metrics of the trial, which has reported `last` as its last values.
    pub fn finish(mut self, last: &Metrics) -> Metrics {
        if let Some((_, row)) = self.row.take() {
            self.keep(row);
        }
        let chosen = match self.metric.at {
            At::Last => return last.clone(),
            At::Best => self.kept.pop_front().unwrap_or_default(),
            At::MeanLast(_) => means(self.kept.make_contiguous()),
        };
        let mut finals = last.clone();
        for (name, value) in chosen.0 {
            // The step belongs to the row.
            if name != Unit::Step.name() || name == self.metric.name {
                finals.0.insert(name, value);
            }
        }
        finals
    }

    /// Keeps a complete row, if the rule needs it.
    fn keep(&mut self, row: Metrics) {
        let Some(value) = row.get(&self.metric.name) else {
            return;
        };
        match self.metric.at {
            At::Last => {}
            At::Best => {
                let best = self.kept.front().and_then(|row| row.get(&self.metric.name));
                let is_better = best.is_none_or(|best| match self.metric.goal {
                    Goal::Maximize => value > best,
                    Goal::Minimize => value < best,
                });
                if value.is_finite() && is_better {
                    self.kept = VecDeque::from([row]);
                }
            }
            At::MeanLast(count) => {
                self.kept.push_back(row);
                if self.kept.len() > count as usize {
                    self.kept.pop_front();
                }
            }
        }
    }
}

/// The mean of each metric over the rows that have it; NaN if a value is not finite.
fn means(rows: &[Metrics]) -> Metrics {
    let mut sums: BTreeMap<&String, (f64, f64)> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.0) {
        let (sum, number) = sums.entry(name).or_default();
        *sum += value.0 / SCALE;
        *number += 1.0;
    }
    sums.into_iter()
        .map(|(name, (sum, number))| {
            let mean = sum / number * SCALE;
            let mean = if mean.is_finite() { mean } else { f64::NAN };
            (name.clone(), mean)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finals(at: At, goal: Goal, rows: &[(u32, &[(&str, f64)])]) -> Metrics {
        let metric = Metric {
            name: "loss".into(),
            goal,
            at,
        };
        let mut finals = Finals::new(&metric).unwrap();
        for (epoch, values) in rows {
            finals.record(
                Position::epoch(*epoch),
                &Metrics::from_iter(values.iter().copied()),
            );
        }
        finals.finish(&Metrics::from_iter([
            ("loss", 0.9),
            ("acc", 0.3),
            ("test", 7.0),
        ]))
    }

    const ROWS: &[(u32, &[(&str, f64)])] = &[
        (1, &[("loss", 0.9), ("acc", 0.1)]),
        (2, &[("loss", 0.1)]),
        (2, &[("acc", 0.2), ("step", 20.0)]),
        (3, &[("loss", f64::NEG_INFINITY), ("acc", 0.5)]),
        (4, &[("loss", 0.1), ("acc", 0.4)]),
        (5, &[("acc", 0.3)]),
    ];

    #[test]
    fn with_the_best_value_go_the_others_of_its_epoch() {
        assert_eq!(
            finals(At::Best, Goal::Minimize, ROWS),
            Metrics::from_iter([("loss", 0.1), ("acc", 0.2), ("test", 7.0)])
        );
        assert_eq!(finals(At::Best, Goal::Maximize, ROWS).get("acc"), Some(0.1));
        assert_eq!(
            finals(At::Best, Goal::Minimize, &[(1, &[("acc", 1.0)])]).get("loss"),
            Some(0.9),
            "without a history the last value counts"
        );
    }

    #[test]
    fn means_are_over_the_last_rows_with_the_metric() {
        let means = finals(At::MeanLast(2), Goal::Minimize, ROWS);
        assert!(means.get("loss").unwrap().is_nan());
        assert_eq!(means.get("acc"), Some(0.45));
        assert_eq!(
            finals(At::MeanLast(9), Goal::Minimize, &ROWS[..3]),
            Metrics::from_iter([("loss", 0.5), ("acc", 0.15000000000000002), ("test", 7.0)])
        );
    }
}
