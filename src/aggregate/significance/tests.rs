//! Tests of the statistics against SciPy and statsmodels, and their properties.

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
fn a_missing_test_has_a_reason() {
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
    let Interval { low, high } = ratio_interval(of(14.26, 3.27, 10), of(11.30, 1.63, 10)).unwrap();
    near(low, 1.0515050168140991);
    near(high, 1.5145053610350585);
    let Interval { low, high } = ratio_interval(of(14.26, 3.27, 10), of(13.79, 1.78, 10)).unwrap();
    near(low, 0.8652421745652232);
    near(high, 1.2358701377878685);
    // scipy.stats.t.ppf(.975, 9) and (.975, 1)
    let Interval { low, high } = of(0.0, 10.0_f64.sqrt(), 10).interval().unwrap();
    near(high, 2.262157162798205);
    near(low, -high);
    near(
        of(0.0, 2.0_f64.sqrt(), 2).interval().unwrap().high,
        12.706204736174694,
    );
    let point = Interval {
        low: 5.0,
        high: 5.0,
    };
    assert_eq!(of(5.0, 0.0, 4).interval(), Ok(point));
}

/// `scipy.stats.ttest_1samp([-.5, -.2, -.9, .1], 0)`
#[test]
fn paired_differences_agree_with_scipy() {
    let test = paired(&[-0.5, -0.2, -0.9, 0.1]).unwrap();
    near(test.difference, -0.375);
    near(test.p, 0.17741756335220246);

    let result = |difference, p| Ok(PairedTest { difference, p });
    assert_eq!(paired(&[-0.1; 3]), result(-0.1, 0.0));
    assert_eq!(paired(&[0.0; 3]), result(0.0, 1.0));
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
            .for_each(|(a, b)| near(*a, *b));
    };
    same(&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02]);
    same(&[0.5, 0.5, 0.001], &[1.0, 1.0, 0.003]);
    same(&[0.9], &[0.9]);
    same(&[0.02; 3], &[0.06; 3]);
    assert!(holm(&[]).is_empty());
}

proptest! {
    #[test]
    fn holm_keeps_the_order_and_never_lowers_p(ps in prop::collection::vec(0.0_f64..=1.0, 0..20)) {
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
    fn welch_is_symmetric_and_independent_of_the_unit(
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
    fn p_is_never_nan(
        (m1, s1, n1) in (any::<f64>(), any::<f64>(), 0_u32..5),
        (m2, s2, n2) in (any::<f64>(), any::<f64>(), 0_u32..5),
    ) {
        let (a, b) = (of(m1, s1.abs(), n1), of(m2, s2.abs(), n2));
        if let Ok(test) = welch(a, b) {
            prop_assert!(!test.p.is_nan() && (0.0..=1.0).contains(&test.p), "{test:?}");
        }
    }
}
