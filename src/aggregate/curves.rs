//! Learning curves: mean, standard deviation and n of each metric at each epoch of an arm's selected point, over its
//! seeds. Reads rows of history; `report/figures` draws the result.

use std::collections::BTreeMap;

use super::stats::{Observation, Stat, StatsError, point_stats};
use crate::ledger::EpochRow;

/// One metric at one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochStat {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Over the seeds; the mean is not finite if a seed's value is not.
    pub stat: Stat,
    /// Seeds whose value is not finite.
    pub not_finite: u32,
}

/// The curves of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmCurves {
    /// Number of the arm.
    pub arm: usize,
    /// Trials with a history.
    pub seeds: u32,
    /// By metric: epochs in order. Metrics that no trial reported are absent.
    pub metrics: BTreeMap<String, Vec<EpochStat>>,
}

/// The curves of arms, given as (number of the arm, histories of its trials). Arms without a history are left out.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn curves(histories: &[(usize, Vec<EpochRow>)]) -> Result<Vec<ArmCurves>, StatsError> {
    let mut observations = Vec::new();
    for (arm, rows) in histories {
        for row in rows {
            observations.push(Observation { arm: *arm, index: u64::from(row.epoch), seed: row.id.seed, metrics: &row.metrics });
        }
    }
    let mut arms: BTreeMap<usize, ArmCurves> = BTreeMap::new();
    for point in point_stats(&observations)? {
        let curves = arms.entry(point.arm).or_insert_with(|| ArmCurves { arm: point.arm, seeds: 0, metrics: BTreeMap::new() });
        curves.seeds = curves.seeds.max(point.n);
        for (name, stat) in point.stats {
            curves.metrics.entry(name).or_default().push(EpochStat { epoch: point.index as u32, stat, not_finite: 0 });
        }
    }
    let odd = observations.iter().flat_map(|row| {
        let values = row.metrics.0.iter().filter(|(_, value)| !value.0.is_finite());
        values.map(|(name, _)| (row.arm, row.index as u32, name))
    });
    for (arm, epoch, name) in odd {
        let curve = arms.get_mut(&arm).and_then(|arm| arm.metrics.get_mut(name));
        if let Some(at) = curve.and_then(|curve| curve.iter_mut().find(|at| at.epoch == epoch)) {
            at.not_finite += 1;
        }
    }
    Ok(arms.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{PointId, TrialId};
    use crate::spec::Config;
    use proptest::prelude::*;

    fn row(seed: u64, epoch: u32, values: &[(&str, f64)]) -> EpochRow {
        let id = TrialId { point: PointId::of(&Config::default()), seed };
        EpochRow { id, epoch, metrics: values.iter().copied().collect() }
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
        assert_eq!((loss[0].epoch, loss[0].stat.mean, loss[0].not_finite), (1, 2.0, 0));
        assert!(!loss[1].stat.mean.is_finite() && loss[1].not_finite == 1 && loss[1].stat.n == 2);
        assert_eq!(found[0].metrics["late"][0].stat, Stat { mean: 7.0, std: None, n: 1 });
    }

    proptest! {
        #[test]
        fn figures_agree_with_sums_written_out(values in prop::collection::vec(prop::collection::vec(-1e3_f64..1e3, 1..6), 1..5)) {
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
                let own: Vec<f64> = values.iter().filter_map(|epochs| epochs.get(at.epoch as usize - 1)).copied().collect();
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
