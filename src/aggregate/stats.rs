//! Mean, sample standard deviation (n - 1) and n of each metric of each point over its seeds.
//! Polars groups and counts; `moments` computes means and deviations. The only file that names
//! Polars beside `parquet`.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::{
    Column, DataFrame, IntoColumn, IntoLazy, NamedFrom, PolarsError, PolarsResult, Series, col, len,
};

use super::moments::moments;
use crate::protocol::Metrics;

/// A finished trial, as far as statistics go.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Number of the arm.
    pub arm: usize,
    /// Number of the point within the arm.
    pub index: u64,
    /// The seed: observations are put in its order, so that sums do not depend on the order of
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
    /// How many trials reported the metric.
    pub n: u32,
}

/// The statistics of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointStats {
    /// Number of the arm.
    pub arm: usize,
    /// Number of the point within the arm.
    pub index: u64,
    /// Finished trials.
    pub n: u32,
    /// Of these, diverged (`Metrics::diverged`).
    pub diverged: u32,
    /// By metric; metrics that no trial reported are absent.
    pub stats: BTreeMap<String, Stat>,
}

/// Polars could not do its part: always a bug of ours.
#[derive(Debug, thiserror::Error)]
#[error("computing means and deviations failed: {0}")]
pub struct StatsError(#[from] PolarsError);

/// Keeps Polars from starting a thread on every core: they are the trainers', and our tables are
/// small. Call it before anything else that may use Polars, while the program has one thread.
pub fn limit_threads() {
    if std::env::var_os("POLARS_MAX_THREADS").is_none() {
        // SAFETY: called at the very beginning of `main`, before any other thread exists.
        unsafe { std::env::set_var("POLARS_MAX_THREADS", "1") };
    }
}

/// Has Polars start the threads that it will need, while they can still be started.
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

/// The statistics of every point that has a finished trial, by arm and then in grid order.
///
/// # Errors
/// `StatsError`, if Polars reports an error.
pub fn point_stats(observations: &[Observation<'_>]) -> Result<Vec<PointStats>, StatsError> {
    if observations.is_empty() {
        return Ok(Vec::new());
    }
    let mut sorted: Vec<&Observation<'_>> = observations.iter().collect();
    sorted.sort_by_key(|row| (row.arm, row.index, row.seed));
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (at, row) in sorted.iter().enumerate() {
        // Nearly all report the same.
        if at == 0 || !row.metrics.0.keys().eq(sorted[at - 1].metrics.0.keys()) {
            names.extend(row.metrics.0.keys().map(String::as_str));
        }
    }
    let names: Vec<&str> = names.into_iter().collect();
    let columns: Vec<Vec<Option<f64>>> = names
        .iter()
        .map(|name| sorted.iter().map(|row| row.metrics.get(name)).collect())
        .collect();
    let mut points = read_groups(&group(make_frame(&sorted)?)?)?;

    // The rows are sorted by point: those of a group follow one another, in the order of the
    // groups.
    let mut begin = 0;
    for point in &mut points {
        let end = begin + point.n as usize;
        for (name, column) in names.iter().zip(&columns) {
            let values: Vec<f64> = column[begin..end].iter().copied().flatten().collect();
            if !values.is_empty() {
                let (mean, std) = moments(&values);
                point.stats.insert(
                    (*name).to_owned(),
                    Stat {
                        mean,
                        std,
                        n: values.len() as u32,
                    },
                );
            }
        }
        begin = end;
    }
    Ok(points)
}

fn make_frame(rows: &[&Observation<'_>]) -> PolarsResult<DataFrame> {
    let columns: Vec<Column> = vec![
        Series::new(
            "arm".into(),
            rows.iter().map(|row| row.arm as u64).collect::<Vec<_>>(),
        )
        .into_column(),
        Series::new(
            "index".into(),
            rows.iter().map(|row| row.index).collect::<Vec<_>>(),
        )
        .into_column(),
        Series::new(
            "diverged".into(),
            rows.iter()
                .map(|row| u32::from(row.diverged))
                .collect::<Vec<_>>(),
        )
        .into_column(),
    ];
    DataFrame::new_infer_height(columns)
}

fn group(frame: DataFrame) -> PolarsResult<DataFrame> {
    let counts = vec![len().alias("n"), col("diverged").sum()];
    // The rows are sorted, and so are groups in the order in which they come.
    frame
        .lazy()
        .group_by_stable([col("arm"), col("index")])
        .agg(counts)
        .collect()
}

/// The points, without their statistics.
fn read_groups(frame: &DataFrame) -> PolarsResult<Vec<PointStats>> {
    let whole = |name: &str| -> PolarsResult<Vec<u64>> {
        Ok(frame
            .column(name)?
            .cast(&polars::prelude::DataType::UInt64)?
            .u64()?
            .iter()
            .map(Option::unwrap_or_default)
            .collect())
    };
    let (arms, indices, counts, diverged) = (
        whole("arm")?,
        whole("index")?,
        whole("n")?,
        whole("diverged")?,
    );
    let point = |row: usize| PointStats {
        arm: arms[row] as usize,
        index: indices[row],
        n: counts[row] as u32,
        diverged: diverged[row] as u32,
        stats: BTreeMap::new(),
    };
    Ok((0..frame.height()).map(point).collect())
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
    fn what_diverged_is_counted_and_what_is_missing_is_left_out() {
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
    fn names_of_metrics_may_be_anything() {
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
        fn figures_agree_with_welford_and_not_with_the_order(
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
