//! Mean, sample standard deviation (n - 1) and n of each metric of each point over its seeds.
//! Polars groups and counts; `moments` computes means and deviations. Only this file and `parquet`
//! name Polars.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::{
    Column, DataFrame, DataType, IntoColumn, IntoLazy, NamedFrom, PolarsError, PolarsResult,
    Series, col, len,
};

use super::moments::moments;
use crate::protocol::Metrics;

/// A finished trial, as far as statistics need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Number of the arm.
    pub arm: usize,
    /// Number of the point within the arm.
    pub index: u64,
    /// The seed. Observations are sorted by it, so that sums do not depend on the order of
    /// execution.
    pub seed: u64,
    /// The final metrics.
    pub metrics: &'a Metrics,
    /// Whether it counts as diverged.
    pub diverged: bool,
}

/// Mean and spread of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat {
    /// Arithmetic mean. Not finite if a value is not finite.
    pub mean: f64,
    /// Sample standard deviation, with n - 1 in the denominator; None for n = 1.
    pub std: Option<f64>,
    /// Number of trials that reported the metric.
    pub n: u32,
}

impl Stat {
    /// Computes the statistics of some values, as `moments` does.
    pub fn of(values: &[f64]) -> Self {
        let (mean, std) = moments(values);
        Self {
            mean,
            std,
            n: values.len() as u32,
        }
    }
}

/// The statistics of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointStats {
    /// Number of the arm.
    pub arm: usize,
    /// Number of the point within the arm.
    pub index: u64,
    /// Number of finished trials.
    pub n: u32,
    /// Of these, diverged (`Metrics::diverged`).
    pub diverged: u32,
    /// By metric; metrics that no trial reported are absent.
    pub stats: BTreeMap<String, Stat>,
}

/// An error that Polars reports, which is always a bug in pentagrid.
#[derive(Debug, thiserror::Error)]
#[error("computing means and deviations failed: {0}")]
pub struct StatsError(#[from] PolarsError);

/// Makes Polars start the threads that it will need, while they can still be started.
///
/// # Errors
/// As `point_stats`.
pub fn start_threads() -> Result<(), StatsError> {
    let metrics: Metrics = [("m", 0.0), ("n", 1.0)].into_iter().collect();
    let rows = [0, 1].map(|seed| Observation {
        arm: 0,
        index: 0,
        seed,
        metrics: &metrics,
        diverged: false,
    });
    point_stats(&rows).map(drop)
}

/// Computes the statistics of every point that has a finished trial, by arm and then in grid order.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn point_stats(observations: &[Observation<'_>]) -> Result<Vec<PointStats>, StatsError> {
    if observations.is_empty() {
        return Ok(Vec::new());
    }

    let mut sorted: Vec<&Observation<'_>> = observations.iter().collect();
    sorted.sort_by_key(|row| (row.arm, row.index, row.seed));

    // Values are collected column by column, since trials of a sweep report the same metrics.
    let names = metric_names(&sorted);
    let columns: Vec<Vec<Option<f64>>> = names
        .iter()
        .map(|name| sorted.iter().map(|row| row.metrics.get(name)).collect())
        .collect();
    let mut points = read_groups(&group(make_frame(&sorted)?)?)?;

    // The rows are sorted by point, so the rows of each group are adjacent and in the order of the
    // groups.
    let mut begin = 0;
    for point in &mut points {
        let end = begin + point.n as usize;
        for (name, column) in names.iter().zip(&columns) {
            let values: Vec<f64> = column[begin..end].iter().copied().flatten().collect();
            if !values.is_empty() {
                point.stats.insert((*name).to_owned(), Stat::of(&values));
            }
        }
        begin = end;
    }
    Ok(points)
}

/// The names of all metrics, sorted.
fn metric_names<'a>(rows: &[&Observation<'a>]) -> Vec<&'a str> {
    let mut names = BTreeSet::new();
    let mut previous: Option<&Metrics> = None;
    for row in rows {
        // Nearly all rows have the same names as the one before.
        let is_same = previous.is_some_and(|metrics| metrics.0.keys().eq(row.metrics.0.keys()));
        if !is_same {
            names.extend(row.metrics.0.keys().map(String::as_str));
        }
        previous = Some(row.metrics);
    }
    names.into_iter().collect()
}

fn make_frame(rows: &[&Observation<'_>]) -> PolarsResult<DataFrame> {
    let arms: Vec<u64> = rows.iter().map(|row| row.arm as u64).collect();
    let indices: Vec<u64> = rows.iter().map(|row| row.index).collect();
    let diverged: Vec<u32> = rows.iter().map(|row| u32::from(row.diverged)).collect();
    let columns: Vec<Column> = vec![
        Series::new("arm".into(), arms).into_column(),
        Series::new("index".into(), indices).into_column(),
        Series::new("diverged".into(), diverged).into_column(),
    ];
    DataFrame::new_infer_height(columns)
}

fn group(frame: DataFrame) -> PolarsResult<DataFrame> {
    let counts = vec![len().alias("n"), col("diverged").sum()];
    // Stable, so that the groups keep the order of the sorted rows.
    frame
        .lazy()
        .group_by_stable([col("arm"), col("index")])
        .agg(counts)
        .collect()
}

/// Reads the points of a grouped frame, without their statistics.
fn read_groups(frame: &DataFrame) -> PolarsResult<Vec<PointStats>> {
    let arms = read_column(frame, "arm")?;
    let indices = read_column(frame, "index")?;
    let counts = read_column(frame, "n")?;
    let diverged = read_column(frame, "diverged")?;

    Ok((0..frame.height())
        .map(|row| PointStats {
            arm: arms[row] as usize,
            index: indices[row],
            n: counts[row] as u32,
            diverged: diverged[row] as u32,
            stats: BTreeMap::new(),
        })
        .collect())
}

fn read_column(frame: &DataFrame, name: &str) -> PolarsResult<Vec<u64>> {
    let column = frame.column(name)?.cast(&DataType::UInt64)?;
    Ok(column
        .u64()?
        .iter()
        .map(Option::unwrap_or_default)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(arm: usize, index: u64, seed: u64, metrics: &Metrics) -> Observation<'_> {
        Observation {
            arm,
            index,
            seed,
            metrics,
            diverged: metrics.diverged("m"),
        }
    }

    fn metrics(pairs: &[(&str, f64)]) -> Metrics {
        pairs.iter().copied().collect()
    }

    #[test]
    fn one_trial_has_a_mean_but_no_deviation() {
        let one = metrics(&[("m", 2.5)]);
        let stats = point_stats(&[row(0, 0, 0, &one)]).unwrap();
        assert_eq!(
            stats[0].stats["m"],
            Stat {
                mean: 2.5,
                std: None,
                n: 1
            }
        );
    }

    #[test]
    fn large_numbers_and_near_ones_keep_their_digits() {
        let (a, b, c) = (
            metrics(&[("m", 1e16), ("k", 1e308)]),
            metrics(&[("m", 1e16 + 2.0), ("k", 1e308)]),
            metrics(&[("m", 1e16 + 4.0)]),
        );
        let stats = point_stats(&[row(0, 0, 0, &a), row(0, 0, 1, &b), row(0, 0, 2, &c)]).unwrap();
        assert_eq!(
            stats[0].stats["m"],
            Stat {
                mean: 1e16 + 2.0,
                std: Some(2.0),
                n: 3
            }
        );
        assert_eq!(
            stats[0].stats["k"],
            Stat {
                mean: 1e308,
                std: Some(0.0),
                n: 2
            }
        );
    }

    #[test]
    fn diverged_trials_are_counted_and_missing_metrics_left_out() {
        let (nan, fine, none) = (
            metrics(&[("m", f64::NAN), ("k", 1.0)]),
            metrics(&[("m", 1.0), ("k", 3.0)]),
            metrics(&[("k", 5.0)]),
        );
        let stats =
            point_stats(&[row(0, 0, 0, &nan), row(0, 0, 1, &fine), row(0, 0, 2, &none)]).unwrap();
        assert_eq!((stats[0].n, stats[0].diverged), (3, 1));
        assert!(stats[0].stats["m"].mean.is_nan() && stats[0].stats["m"].n == 2);
        assert_eq!(
            stats[0].stats["k"],
            Stat {
                mean: 3.0,
                std: Some(2.0),
                n: 3
            }
        );
    }

    #[test]
    fn metrics_may_have_any_name() {
        let odd = metrics(&[
            ("arm", 1.0),
            ("n", 2.0),
            ("0", 3.0),
            ("diverged", 4.0),
            ("", 5.0),
        ]);
        let stats = point_stats(&[row(3, 7, 0, &odd)]).unwrap();
        assert_eq!(
            (stats[0].arm, stats[0].index, stats[0].stats.len()),
            (3, 7, 5)
        );
        assert_eq!(stats[0].stats["0"].mean, 3.0);
    }

    /// Welford's running mean and variance (Knuth, TAOCP 2, 4.2.2): an independent second opinion.
    fn welford(values: &[f64]) -> (f64, Option<f64>) {
        let (mut mean, mut m2) = (0.0, 0.0);
        for (count, value) in values.iter().enumerate() {
            let delta = value - mean;
            mean += delta / (count + 1) as f64;
            m2 += delta * (value - mean);
        }
        (
            mean,
            (values.len() > 1).then(|| (m2 / (values.len() - 1) as f64).sqrt()),
        )
    }

    proptest! {
        #[test]
        fn statistics_agree_with_welford_in_any_order(
            values in prop::collection::vec((0_usize..3, 0_u64..3, -1e6_f64..1e6), 1..40),
            turn in 0_usize..40,
        ) {
            let all: Vec<Metrics> = values.iter().map(|(.., value)| metrics(&[("m", *value)])).collect();
            let mut rows: Vec<_> =
                values.iter().zip(&all).enumerate().map(|(seed, ((arm, index, _), m))| row(*arm, *index, seed as u64, m)).collect();
            let stats = point_stats(&rows).unwrap();
            let middle = turn % rows.len();
            rows.rotate_left(middle);
            prop_assert_eq!(&point_stats(&rows).unwrap(), &stats, "to the last bit");
            prop_assert!(stats.windows(2).all(|pair| (pair[0].arm, pair[0].index) < (pair[1].arm, pair[1].index)));
            for point in &stats {
                let own: Vec<f64> =
                    values.iter().filter(|(arm, index, _)| (*arm, *index) == (point.arm, point.index)).map(|(.., value)| *value).collect();
                let (mean, std) = welford(&own);
                let ours = point.stats["m"];
                prop_assert_eq!(ours.n as usize, own.len());
                prop_assert!((ours.mean - mean).abs() <= 1e-9 * (1.0 + mean.abs()));
                match (ours.std, std) {
                    (Some(a), Some(b)) => prop_assert!((a - b).abs() <= 1e-8 * (1.0 + b.abs())),
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }
    }
}
