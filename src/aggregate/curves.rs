//! Learning curves: mean, standard deviation and n of each metric at each epoch of an arm's
//! selected point, over its seeds. Reads rows of history; `report/figures` draws the result.

use std::collections::{BTreeMap, BTreeSet};

use super::stats::{Observation, PointStats, Stat, StatsError, point_stats};
use crate::ledger::EpochRow;
use crate::protocol::{Position, Unit};

/// One metric at one epoch or step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochStat {
    /// The epoch or step.
    pub position: Position,
    /// Statistics over the seeds; the mean is not finite if a seed's value is not.
    pub stat: Stat,
    /// Number of seeds whose value is not finite.
    pub not_finite: u32,
}

/// The learning curves of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmCurves {
    /// Number of the arm.
    pub arm: usize,
    /// Number of trials with a history.
    pub seeds: u32,
    /// By metric: its epochs or its steps in order, never both. Metrics that no trial reported are
    /// absent.
    pub metrics: BTreeMap<String, Vec<EpochStat>>,
}

/// Computes the curves of arms, which are given as (number of the arm, histories of its trials).
///
/// Arms without a history are left out. A metric that any trial reports by epochs has a curve by
/// epochs; one that is only reported by steps has a curve by steps.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn curves(histories: &[(usize, Vec<EpochRow>)]) -> Result<Vec<ArmCurves>, StatsError> {
    let rows: Vec<(usize, &EpochRow)> = histories
        .iter()
        .flat_map(|(arm, rows)| rows.iter().map(|row| (*arm, row)))
        .collect();
    let mut arms = arms_with_history(&rows);
    let by_epoch: BTreeSet<&String> = rows
        .iter()
        .filter(|(_, row)| row.position.unit == Unit::Epoch)
        .flat_map(|(_, row)| row.metrics.0.keys())
        .collect();

    // A metric that is reported by epochs and by steps keeps only its epochs.
    for (position, point) in position_stats(&rows)? {
        let Some(curves) = arms.get_mut(&point.arm) else {
            continue;
        };
        for (name, stat) in point.stats {
            if position.unit == Unit::Epoch || !by_epoch.contains(&name) {
                curves.metrics.entry(name).or_default().push(EpochStat {
                    position,
                    stat,
                    not_finite: 0,
                });
            }
        }
    }

    count_not_finite(&rows, &mut arms);
    Ok(arms.into_values().collect())
}

/// The arms with a history, with how many trials they have, and no curves yet.
fn arms_with_history(rows: &[(usize, &EpochRow)]) -> BTreeMap<usize, ArmCurves> {
    let mut seeds: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    for (arm, row) in rows {
        seeds.entry(*arm).or_default().insert(row.id.seed);
    }

    seeds
        .into_iter()
        .map(|(arm, seeds)| {
            let curves = ArmCurves {
                arm,
                seeds: seeds.len() as u32,
                metrics: BTreeMap::new(),
            };
            (arm, curves)
        })
        .collect()
}

/// The statistics of each arm at each position, in order. To `point_stats` a position is a point of
/// the arm.
fn position_stats(rows: &[(usize, &EpochRow)]) -> Result<Vec<(Position, PointStats)>, StatsError> {
    let positions: BTreeSet<Position> = rows.iter().map(|(_, row)| row.position).collect();
    let positions: Vec<Position> = positions.into_iter().collect();
    let observations: Vec<Observation<'_>> = rows
        .iter()
        .map(|(arm, row)| Observation {
            arm: *arm,
            index: positions.partition_point(|position| *position < row.position) as u64,
            seed: row.id.seed,
            metrics: &row.metrics,
            diverged: false,
        })
        .collect();

    let stats = point_stats(&observations)?;
    Ok(stats
        .into_iter()
        .map(|point| (positions[point.index as usize], point))
        .collect())
}

fn count_not_finite(rows: &[(usize, &EpochRow)], arms: &mut BTreeMap<usize, ArmCurves>) {
    for (arm, row) in rows {
        for (name, value) in &row.metrics.0 {
            if value.0.is_finite() {
                continue;
            }
            let Some(curve) = arms.get_mut(arm).and_then(|arm| arm.metrics.get_mut(name)) else {
                continue;
            };
            if let Ok(index) = curve.binary_search_by_key(&row.position, |at| at.position) {
                curve[index].not_finite += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{PointId, TrialId};
    use crate::spec::Config;
    use proptest::prelude::*;

    fn row(seed: u64, epoch: u32, values: &[(&str, f64)]) -> EpochRow {
        let id = TrialId {
            point: PointId::of(&Config::default()),
            seed,
        };
        EpochRow {
            id,
            position: Position::epoch(epoch),
            metrics: values.iter().copied().collect(),
        }
    }

    #[test]
    fn a_diverged_seed_is_counted_where_it_diverged() {
        let rows = vec![
            row(0, 1, &[("loss", 1.0)]),
            row(1, 1, &[("loss", 3.0)]),
            row(0, 2, &[("loss", f64::INFINITY)]),
            row(1, 2, &[("loss", 2.0), ("late", 7.0)]),
        ];
        let found = curves(&[(4, rows), (5, Vec::new())]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].arm, found[0].seeds), (4, 2));
        let loss = &found[0].metrics["loss"];
        assert_eq!(
            (loss[0].position, loss[0].stat.mean, loss[0].not_finite),
            (Position::epoch(1), 2.0, 0)
        );
        assert!(!loss[1].stat.mean.is_finite() && loss[1].not_finite == 1 && loss[1].stat.n == 2);
        assert_eq!(
            found[0].metrics["late"][0].stat,
            Stat {
                mean: 7.0,
                std: None,
                n: 1
            }
        );
    }

    #[test]
    fn a_metric_has_a_curve_by_epochs_or_by_steps() {
        let at = |seed, position, values: &[(&str, f64)]| EpochRow {
            position,
            ..row(seed, 0, values)
        };
        let part = |number| Position::new(Unit::Epoch, number).unwrap();
        let rows = vec![
            at(0, part(0.5), &[("loss", 1.0)]),
            at(0, part(0.75), &[("loss", 2.0)]),
            at(1, part(0.5), &[("loss", 3.0)]),
            at(1, Position::step(7), &[("loss", 9.0), ("lr", 0.1)]),
            at(0, Position::step(5), &[("lr", 0.3)]),
        ];
        let found = curves(&[(0, rows)]).unwrap();
        let points = |metric: &str| -> Vec<(String, f64)> {
            found[0].metrics[metric]
                .iter()
                .map(|at| (at.position.to_string(), at.stat.mean))
                .collect()
        };
        assert_eq!(found[0].seeds, 2);
        assert_eq!(
            points("loss"),
            [
                ("epoch 0.5".to_owned(), 2.0),
                ("epoch 0.75".to_owned(), 2.0)
            ]
        );
        assert_eq!(
            points("lr"),
            [("step 5".to_owned(), 0.3), ("step 7".to_owned(), 0.1)]
        );
    }

    proptest! {
        #[test]
        fn curves_agree_with_explicit_sums(values in prop::collection::vec(prop::collection::vec(-1e3_f64..1e3, 1..6), 1..5)) {
            // values[seed][epoch]; seeds may end early.
            let rows: Vec<EpochRow> = values
                .iter()
                .enumerate()
                .flat_map(|(seed, epochs)| epochs.iter().enumerate().map(move |(e, v)| row(seed as u64, e as u32 + 1, &[("m", *v)])))
                .collect();
            let found = curves(&[(0, rows)]).unwrap();
            let longest = values.iter().map(Vec::len).max().unwrap();
            prop_assert_eq!(found[0].metrics["m"].len(), longest);
            for at in &found[0].metrics["m"] {
                let own: Vec<f64> = values.iter().filter_map(|epochs| epochs.get(at.position.number() as usize - 1)).copied().collect();
                let mean = own.iter().sum::<f64>() / own.len() as f64;
                let squares = own.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
                prop_assert_eq!(at.stat.n as usize, own.len());
                prop_assert!((at.stat.mean - mean).abs() < 1e-9 * 1e3);
                match at.stat.std {
                    None => prop_assert_eq!(own.len(), 1),
                    Some(std) => prop_assert!((std - (squares / (own.len() - 1) as f64).sqrt()).abs() < 1e-6),
                }
            }
        }
    }
}
