//! The statistics of the audit, from means, deviations and counts alone: Welch's test, intervals,
//! Holm's adjustment. `claims` and `report::audit` use them, for measured and for published values
//! alike.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::stats::Stat;
use crate::spec::PublishedFigure;

/// The significance level: an adjusted p below it is significant. Intervals have the level
/// 1 - `ALPHA`.
pub const ALPHA: f64 = 0.05;

/// A deviation of at most this share of its mean comes from rounding.
const ROUNDING_TOLERANCE: f64 = 1e-12;

/// A mean with its deviation and count, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation; None for n = 1, or where none was published.
    pub std: Option<f64>,
    /// Number of runs; None where it was not published.
    pub n: Option<u32>,
}

impl From<Stat> for Sample {
    fn from(stat: Stat) -> Self {
        Self {
            mean: stat.mean,
            std: stat.std,
            n: Some(stat.n),
        }
    }
}

impl From<PublishedFigure> for Sample {
    fn from(figure: PublishedFigure) -> Self {
        Self {
            mean: figure.mean,
            std: figure.std,
            n: figure.n,
        }
    }
}

/// Why there is no test, or no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoTest {
    /// There is no result.
    Missing,
    /// A value is NaN or infinite.
    NotFinite,
    /// No number of runs is known.
    NoCount,
    /// There is one run only.
    OneRun,
    /// No standard deviation is known.
    NoStd,
    /// Neither sample varies, so nothing says how far chance reaches.
    NoSpread,
    /// A ratio of means that are not both positive.
    NotPositive,
}

impl NoTest {
    /// The reason as a short phrase.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no result",
            Self::NotFinite => "a value is not finite",
            Self::NoCount => "the number of runs is not known",
            Self::OneRun => "n = 1",
            Self::NoStd => "no standard deviation is known",
            Self::NoSpread => "neither varies",
            Self::NotPositive => "a mean is not positive",
        }
    }
}

/// The result of Welch's test of two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The difference of the means in standard errors.
    pub t: f64,
    /// Degrees of freedom, by Welch and Satterthwaite.
    pub df: f64,
    /// Two-sided p, from 0 to 1.
    pub p: f64,
}

/// A confidence interval at the level 1 - `ALPHA`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The usable spread of a sample.
struct Spread {
    std: f64,
    n: f64,
    /// Degrees of freedom, n - 1.
    df: f64,
}

impl Sample {
    fn spread(self) -> Result<Spread, NoTest> {
        if !self.mean.is_finite() || self.std.is_some_and(|std| !std.is_finite()) {
            return Err(NoTest::NotFinite);
        }
        let n = f64::from(self.n.ok_or(NoTest::NoCount)?);
        if n < 2.0 {
            return Err(NoTest::OneRun);
        }

        // If every run has the same value, the rounding of the sum is not a spread.
        let std = self.std.ok_or(NoTest::NoStd)?;
        let is_rounding = std <= ROUNDING_TOLERANCE * self.mean.abs();
        Ok(Spread {
            std: if is_rounding { 0.0 } else { std },
            n,
            df: n - 1.0,
        })
    }

    /// Returns the interval of the mean at the level 1 - `ALPHA`: mean ± t(1 - α/2, n - 1) s/√n.
    /// It is a point where nothing varies.
    ///
    /// # Errors
    /// `NoTest`, if there is nothing to estimate it from.
    pub fn interval(self) -> Result<Interval, NoTest> {
        let spread = self.spread()?;
        let half = if spread.std > 0.0 {
            quantile(spread.df) * spread.std / spread.n.sqrt()
        } else {
            0.0
        };
        Ok(Interval {
            low: self.mean - half,
            high: self.mean + half,
        })
    }
}

/// Welch's test of the means of two samples, two-sided. It takes the samples as independent. B. L.
/// Welch, The generalization of "Student's" problem when several different population variances are
/// involved, Biometrika 34 (1947); F. E. Satterthwaite, Biometrics Bulletin 2 (1946), for the
/// degrees of freedom.
///
/// # Errors
/// `NoTest`, if the values do not allow a test.
pub fn welch(a: Sample, b: Sample) -> Result<Welch, NoTest> {
    let pooled = pool(a, b, 1.0, 1.0)?;
    let t = (a.mean - b.mean) / pooled.variance.sqrt();
    Ok(Welch {
        t,
        df: pooled.df,
        p: two_sided(t, pooled.df)?,
    })
}

/// The interval of the ratio of two positive means at the level 1 - `ALPHA`: (a/b) exp(± t(1 - α/2,
/// df) √v), where v = s_a²/(n_a a²) + s_b²/(n_b b²) is the variance of the logarithm of the ratio
/// by the delta method (L. V. Hedges, J. Gurevitch, P. S. Curtis, The meta-analysis of response
/// ratios, Ecology 80 (1999), equation 1), and df are the degrees of freedom of this sum by Welch
/// and Satterthwaite.
///
/// # Errors
/// `NoTest`, if the values do not allow an interval.
pub fn ratio_interval(a: Sample, b: Sample) -> Result<Interval, NoTest> {
    if a.mean.is_finite() && b.mean.is_finite() && (a.mean <= 0.0 || b.mean <= 0.0) {
        return Err(NoTest::NotPositive);
    }
    let pooled = pool(a, b, a.mean, b.mean)?;

    // The interval is symmetric on the logarithmic scale.
    let ratio = a.mean / b.mean;
    let half = quantile(pooled.df) * pooled.variance.sqrt();
    Ok(Interval {
        low: ratio * (-half).exp(),
        high: ratio * half.exp(),
    })
}

/// Variance of the difference of two means and its degrees of freedom.
struct Pooled {
    variance: f64,
    df: f64,
}

/// Pools two samples, each in its own unit.
fn pool(a: Sample, b: Sample, unit_a: f64, unit_b: f64) -> Result<Pooled, NoTest> {
    let a = a.spread()?;
    let b = b.spread()?;
    let variance_a = (a.std / unit_a).powi(2) / a.n;
    let variance_b = (b.std / unit_b).powi(2) / b.n;
    let variance = variance_a + variance_b;

    // Deviations so small that their squares vanish are of no use either.
    if !variance.is_normal() {
        return Err(if variance.is_finite() {
            NoTest::NoSpread
        } else {
            NoTest::NotFinite
        });
    }

    // Shares of the whole, so that no fourth power underflows.
    let share_a = variance_a / variance;
    let share_b = variance_b / variance;
    Ok(Pooled {
        variance,
        df: 1.0 / (share_a * share_a / a.df + share_b * share_b / b.df),
    })
}

/// The result of a t-test of paired differences against 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    /// The mean difference.
    pub difference: f64,
    /// Two-sided p, from 0 to 1.
    pub p: f64,
}

/// The t-test of paired differences against 0. Where they are all equal and not 0, p is 0: a
/// difference that every run shows to the last bit is not chance.
///
/// # Errors
/// `NoTest`, with fewer than two differences, or one that is not finite.
pub fn paired(differences: &[f64]) -> Result<PairedTest, NoTest> {
    let sample = sample(differences);
    let spread = sample.spread()?;

    // Without a spread there is no t: equal differences are certain, or there is no difference.
    let p = if spread.std > 0.0 {
        two_sided(sample.mean / (spread.std / spread.n.sqrt()), spread.df)?
    } else if sample.mean == 0.0 {
        1.0
    } else {
        0.0
    };
    Ok(PairedTest {
        difference: sample.mean,
        p,
    })
}

/// Returns mean, sample standard deviation (n - 1) and n of some values.
pub fn sample(values: &[f64]) -> Sample {
    Stat::of(values).into()
}

/// Adjusts p-values for their number, so that the chance of a single false alarm among them all
/// stays below `ALPHA`: S. Holm, A simple sequentially rejective multiple test procedure,
/// Scandinavian Journal of Statistics 6 (1979).
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));

    // From the smallest p to the largest; an adjusted p is never below the one before.
    let mut adjusted = vec![1.0; ps.len()];
    let mut least: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max(((ps.len() - rank) as f64 * ps[index]).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}

fn two_sided(t: f64, df: f64) -> Result<f64, NoTest> {
    let student = StudentsT::new(0.0, 1.0, df).map_err(|_| NoTest::NotFinite)?;
    let p = 2.0 * student.sf(t.abs());
    if p.is_nan() {
        Err(NoTest::NotFinite)
    } else {
        Ok(p.clamp(0.0, 1.0))
    }
}

/// The quantile 1 - `ALPHA`/2 of Student's distribution; NaN if the degrees of freedom are not
/// positive.
fn quantile(df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |student| student.inverse_cdf(1.0 - ALPHA / 2.0))
}

#[cfg(test)]
mod tests;
