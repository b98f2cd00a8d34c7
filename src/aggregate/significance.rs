//! The statistics of the audit, from means, deviations and counts alone: Welch's test, intervals,
//! Holm's adjustment. `claims` and `report::audit` use them, for our figures and for published ones
//! alike.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::moments::moments;
use super::stats::Stat;
use crate::spec::PublishedFigure;

/// What counts as significant: an adjusted p below it. Intervals are of the level 1 - `ALPHA`.
pub const ALPHA: f64 = 0.05;

/// Deviations of this share of their mean or less come from rounding.
const ROUNDING: f64 = 1e-12;

/// A mean with what a test needs to know about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation; None for n = 1, or where none was published.
    pub std: Option<f64>,
    /// Over how many runs; None where that was not published.
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
    /// The reason in a few words.
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

/// What Welch's test says about two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The difference of the means in standard errors.
    pub t: f64,
    /// Degrees of freedom, by Welch and Satterthwaite.
    pub df: f64,
    /// Two-sided p, from 0 to 1.
    pub p: f64,
}

impl Sample {
    /// Deviation, number of runs, and this less one, where they are of use.
    fn spread(self) -> Result<(f64, f64, f64), NoTest> {
        if !self.mean.is_finite() || self.std.is_some_and(|std| !std.is_finite()) {
            return Err(NoTest::NotFinite);
        }
        let n = f64::from(self.n.ok_or(NoTest::NoCount)?);
        if n < 2.0 {
            return Err(NoTest::OneRun);
        }
        let std = self.std.ok_or(NoTest::NoStd)?;
        // The same value in every run: what is left of the sum's rounding is no spread.
        Ok((
            if std <= ROUNDING * self.mean.abs() {
                0.0
            } else {
                std
            },
            n,
            n - 1.0,
        ))
    }

    /// The interval of the mean at the level 1 - `ALPHA`: mean ± t(1 - α/2, n - 1) s/√n. A point,
    /// where nothing varies.
    ///
    /// # Errors
    /// `NoTest`, if there is nothing to estimate it from.
    pub fn interval(self) -> Result<(f64, f64), NoTest> {
        let (std, n, df) = self.spread()?;
        let half = if std > 0.0 {
            quantile(df) * std / n.sqrt()
        } else {
            0.0
        };
        Ok((self.mean - half, self.mean + half))
    }
}

/// Welch's test of the means of two samples, two-sided. It takes the samples as independent. B. L.
/// Welch, The generalization of "Student's" problem when several different population variances are
/// involved, Biometrika 34 (1947); F. E. Satterthwaite, Biometrics Bulletin 2 (1946), for the
/// degrees of freedom.
///
/// # Errors
/// `NoTest`, if the figures do not allow one.
pub fn welch(a: Sample, b: Sample) -> Result<Welch, NoTest> {
    let (variance, df) = pooled(a, b, 1.0, 1.0)?;
    let t = (a.mean - b.mean) / variance.sqrt();
    Ok(Welch {
        t,
        df,
        p: two_sided(t, df)?,
    })
}

/// The interval of the ratio of two positive means at the level 1 - `ALPHA`: (a/b) exp(± t(1 - α/2,
/// df) √v), where v = s_a²/(n_a a²) + s_b²/(n_b b²) is the variance of the logarithm of the ratio
/// by the delta method (L. V. Hedges, J. Gurevitch, P. S. Curtis, The meta-analysis of response
/// ratios, Ecology 80 (1999), equation 1), and df are the degrees of freedom of this sum by Welch
/// and Satterthwaite.
///
/// # Errors
/// `NoTest`, if the figures do not allow one.
pub fn ratio_interval(a: Sample, b: Sample) -> Result<(f64, f64), NoTest> {
    if a.mean.is_finite() && b.mean.is_finite() && (a.mean <= 0.0 || b.mean <= 0.0) {
        return Err(NoTest::NotPositive);
    }
    let (variance, df) = pooled(a, b, a.mean, b.mean)?;
    let (ratio, half) = (a.mean / b.mean, quantile(df) * variance.sqrt());
    Ok((ratio * (-half).exp(), ratio * half.exp()))
}

/// Variance of the difference of two means, each in its own unit, and its degrees of freedom.
fn pooled(a: Sample, b: Sample, unit_a: f64, unit_b: f64) -> Result<(f64, f64), NoTest> {
    let ((std_a, n_a, df_a), (std_b, n_b, df_b)) = (a.spread()?, b.spread()?);
    let (v_a, v_b) = (
        (std_a / unit_a).powi(2) / n_a,
        (std_b / unit_b).powi(2) / n_b,
    );
    let variance = v_a + v_b;
    // Deviations so small that their squares vanish are of no use either.
    if !variance.is_normal() {
        return Err(if variance.is_finite() {
            NoTest::NoSpread
        } else {
            NoTest::NotFinite
        });
    }
    // Shares of the whole, so that no fourth power underflows.
    let (share_a, share_b) = (v_a / variance, v_b / variance);
    Ok((
        variance,
        1.0 / (share_a * share_a / df_a + share_b * share_b / df_b),
    ))
}

/// The t-test of paired differences against 0: their mean, and the two-sided p. Where they are all
/// the same and not 0, p is 0: what every run shows to the last bit is not chance.
///
/// # Errors
/// `NoTest`, with fewer than two differences, or one that is not finite.
pub fn paired(differences: &[f64]) -> Result<(f64, f64), NoTest> {
    let sample = sample(differences);
    let (std, n, df) = sample.spread()?;
    let p = match (std > 0.0, sample.mean == 0.0) {
        (true, _) => two_sided(sample.mean / (std / n.sqrt()), df)?,
        (false, true) => 1.0,
        (false, false) => 0.0,
    };
    Ok((sample.mean, p))
}

/// Mean, sample standard deviation (n - 1) and n of some values.
pub fn sample(values: &[f64]) -> Sample {
    let (mean, std) = moments(values);
    Sample {
        mean,
        std,
        n: Some(values.len() as u32),
    }
}

/// p-values adjusted for their number, so that the chance of a single false alarm among them all
/// stays below `ALPHA`: S. Holm, A simple sequentially rejective multiple test procedure,
/// Scandinavian Journal of Statistics 6 (1979).
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
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

/// The quantile 1 - `ALPHA`/2 of Student's distribution. NaN for degrees of freedom that are not
/// positive.
fn quantile(df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |student| student.inverse_cdf(1.0 - ALPHA / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(mean: f64, std: f64, n: u32) -> Sample {
        Sample {
            mean,
            std: Some(std),
            n: Some(n),
        }
    }

    #[track_caller]
    fn near(ours: f64, reference: f64) {
        assert!(
            (ours - reference).abs() <= 1e-9 * reference.abs(),
            "{ours} is not {reference}"
        );
    }

    /// The paper's test accuracies: Hybrid against SGD with momentum, Adam, AdaHessian, SGD;
    /// AdaHessian against SGD with momentum. The values are SciPy 1.17.1's: `r =
    /// scipy.stats.ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=False);
    /// print(repr(r.statistic), repr(r.pvalue))`, the degrees of freedom by the formula.
    #[test]
    fn welch_agrees_with_scipy() {
        let cases = [
            (
                of(94.2, 0.79, 10),
                of(93.5, 1.35, 10),
                1.4151958759427008,
                14.516993142017897,
                0.17810417702677345,
            ),
            (
                of(94.2, 0.79, 10),
                of(93.35, 3.51, 10),
                0.7471044417573761,
                9.909493130092635,
                0.472355183994754,
            ),
            (
                of(94.2, 0.79, 10),
                of(93.0, 2.28, 10),
                1.5726297874137665,
                11.130305949137336,
                0.14378071222044886,
            ),
            (
                of(94.2, 0.79, 10),
                of(87.45, 1.42, 10),
                13.135925809250136,
                14.084164836895237,
                2.701719548616768e-09,
            ),
            (
                of(93.0, 2.28, 10),
                of(93.5, 1.35, 10),
                -0.5967241447110554,
                14.619846738101618,
                0.5598193953018302,
            ),
            (
                of(1.0, 2.0, 3),
                of(4.0, 0.0, 7),
                -2.598076211353316,
                2.0,
                0.12168993434632014,
            ),
            (
                of(1e-3, 1e-5, 2),
                of(1.1e-3, 2e-6, 50),
                -14.130835473605542,
                1.0032025075877875,
                0.044624212689189396,
            ),
        ];
        for (a, b, t, df, p) in cases {
            let test = welch(a, b).unwrap();
            near(test.t, t);
            near(test.df, df);
            near(test.p, p);
        }
    }

    #[test]
    fn where_there_is_no_test_there_is_a_reason() {
        let good = of(1.0, 1.0, 3);
        let none = |sample| welch(good, sample).unwrap_err();
        assert_eq!(none(Sample { std: None, ..good }), NoTest::NoStd);
        assert_eq!(none(Sample { n: None, ..good }), NoTest::NoCount);
        assert_eq!(
            none(Sample {
                mean: 1.0,
                std: None,
                n: Some(1)
            }),
            NoTest::OneRun
        );
        assert_eq!(none(of(f64::NAN, 1.0, 3)), NoTest::NotFinite);
        assert_eq!(none(of(1.0, f64::INFINITY, 3)), NoTest::NotFinite);
        assert_eq!(
            welch(of(1.0, 0.0, 3), of(2.0, 0.0, 3)),
            Err(NoTest::NoSpread)
        );
        assert_eq!(
            welch(of(99.9, 1.7e-14, 3), of(99.8, 0.0, 3)),
            Err(NoTest::NoSpread),
            "three times the same, summed"
        );
        assert_eq!(
            ratio_interval(of(1.0, 0.1, 3), of(-1.0, 0.1, 3)),
            Err(NoTest::NotPositive)
        );
        assert_eq!(
            ratio_interval(of(1.0, 0.1, 3), of(f64::NAN, 0.1, 3)),
            Err(NoTest::NotFinite)
        );
    }

    /// The paper's training times: AdaHessian to Adam, AdaHessian to SGD with momentum. With SciPy:
    /// `h = scipy.stats.t.ppf(.975, df) * math.sqrt(v); print(repr(r * math.exp(-h)), repr(r *
    /// math.exp(h)))`.
    #[test]
    fn intervals_agree_with_scipy() {
        let (low, high) = ratio_interval(of(14.26, 3.27, 10), of(11.30, 1.63, 10)).unwrap();
        near(low, 1.0515050168140991);
        near(high, 1.5145053610350585);
        let (low, high) = ratio_interval(of(14.26, 3.27, 10), of(13.79, 1.78, 10)).unwrap();
        near(low, 0.8652421745652232);
        near(high, 1.2358701377878685);
        // scipy.stats.t.ppf(.975, 9) and (.975, 1)
        let (low, high) = of(0.0, 10.0_f64.sqrt(), 10).interval().unwrap();
        near(high, 2.262157162798205);
        near(low, -high);
        near(
            of(0.0, 2.0_f64.sqrt(), 2).interval().unwrap().1,
            12.706204736174694,
        );
        assert_eq!(of(5.0, 0.0, 4).interval(), Ok((5.0, 5.0)));
    }

    /// `scipy.stats.ttest_1samp([-.5, -.2, -.9, .1], 0)`
    #[test]
    fn paired_differences_agree_with_scipy() {
        let (mean, p) = paired(&[-0.5, -0.2, -0.9, 0.1]).unwrap();
        near(mean, -0.375);
        near(p, 0.17741756335220246);
        assert_eq!(paired(&[-0.1; 3]), Ok((-0.1, 0.0)));
        assert_eq!(paired(&[0.0; 3]), Ok((0.0, 1.0)));
        assert_eq!(paired(&[1.0]), Err(NoTest::OneRun));
        assert_eq!(paired(&[1.0, f64::NAN]), Err(NoTest::NotFinite));
    }

    /// `statsmodels.stats.multitest.multipletests(ps, method="holm")[1]`
    #[test]
    fn holm_agrees_with_statsmodels() {
        let same = |ps: &[f64], reference: &[f64]| {
            holm(ps)
                .iter()
                .zip(reference)
                .for_each(|(a, b)| near(*a, *b))
        };
        same(&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02]);
        same(&[0.5, 0.5, 0.001], &[1.0, 1.0, 0.003]);
        same(&[0.9], &[0.9]);
        same(&[0.02; 3], &[0.06; 3]);
        assert!(holm(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn holm_keeps_the_order_and_lowers_nothing(ps in prop::collection::vec(0.0_f64..=1.0, 0..20)) {
            let adjusted = holm(&ps);
            for (i, &p) in ps.iter().enumerate() {
                prop_assert!(adjusted[i] >= p && adjusted[i] <= 1.0);
                prop_assert!(adjusted[i] <= ps.len() as f64 * p, "never more than Bonferroni");
                for (j, &q) in ps.iter().enumerate() {
                    prop_assert!(p > q || adjusted[i] <= adjusted[j]);
                }
            }
        }

        #[test]
        fn welch_is_symmetric_and_knows_no_unit(
            (m1, s1, n1) in (-1e3_f64..1e3, 0.0_f64..1e3, 2_u32..50),
            (m2, s2, n2) in (-1e3_f64..1e3, 1e-3_f64..1e3, 2_u32..50),
            unit in 1e-6_f64..1e6,
        ) {
            let (a, b) = (of(m1, s1, n1), of(m2, s2, n2));
            let (one, other) = (welch(a, b).unwrap(), welch(b, a).unwrap());
            prop_assert_eq!(one.t, -other.t);
            prop_assert!((one.df - other.df).abs() <= 1e-9 * one.df && (one.p - other.p).abs() <= 1e-9);
            let least = f64::from(n1.min(n2) - 1);
            prop_assert!(one.df >= least * (1.0 - 1e-9) && one.df <= f64::from(n1 + n2 - 2) * (1.0 + 1e-9));
            let scaled = welch(of(m1 * unit, s1 * unit, n1), of(m2 * unit, s2 * unit, n2)).unwrap();
            prop_assert!((scaled.p - one.p).abs() <= 1e-6);
        }

        #[test]
        fn nothing_finite_gives_nan(
            (m1, s1, n1) in (any::<f64>(), any::<f64>(), 0_u32..5),
            (m2, s2, n2) in (any::<f64>(), any::<f64>(), 0_u32..5),
        ) {
            let (a, b) = (of(m1, s1.abs(), n1), of(m2, s2.abs(), n2));
            if let Ok(test) = welch(a, b) {
                prop_assert!(!test.p.is_nan() && (0.0..=1.0).contains(&test.p), "{test:?}");
            }
        }
    }
}
