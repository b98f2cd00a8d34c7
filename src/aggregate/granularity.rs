//! Whether a published percentage can be a mean at all: n runs on m images give multiples of 100/(n
//! m) and nothing else. `report::audit` flags figures that cannot.

use crate::spec::PublishedFigure;

/// The most runs that are tried to explain an impossible mean.
const MOST_RUNS: u32 = 20;

/// A published mean that its number of runs and images cannot give.
#[derive(Clone, Debug, PartialEq)]
pub struct Impossible {
    /// The distance in percentage points between the means that are possible.
    pub step: f64,
    /// Numbers of runs, up to 20, that could give it.
    pub fits: Vec<u32>,
}

/// Checks a percentage of correct images against its granularity (N. J. L. Brown, J. A. J.
/// Heathers, The GRIM test, Social Psychological and Personality Science 8 (2017)). None: possible,
/// or not to be told for want of `images` or `n`.
///
/// The figure may have been rounded to the decimals that it shows. Zeros at its end are not known,
/// so a figure is never called impossible because of them.
pub fn impossible(figure: &PublishedFigure) -> Option<Impossible> {
    let (n, images) = (figure.n?, figure.images?);
    let decimals = figure
        .mean
        .to_string()
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let fits = |n: u32| {
        let cases = f64::from(n) * f64::from(images);
        let step = 100.0 / cases;
        let nearest = (figure.mean / step).round() * step;
        // The decimal itself is rounded to binary: a billionth of it is no difference.
        let tolerance = 0.5 * 10_f64.powi(-(decimals as i32)) + 1e-9;
        (nearest - figure.mean).abs() <= tolerance
    };
    (!fits(n)).then(|| Impossible {
        step: 100.0 / (f64::from(n) * f64::from(images)),
        fits: (1..=MOST_RUNS).filter(|n| fits(*n)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn figure(mean: f64, n: u32, images: u32) -> PublishedFigure {
        PublishedFigure {
            mean,
            std: None,
            n: Some(n),
            images: Some(images),
        }
    }

    #[test]
    fn of_the_papers_means_one_is_impossible() {
        let found = impossible(&figure(93.625, 10, 200)).unwrap();
        assert!((found.step - 0.05).abs() < 1e-12);
        assert_eq!(found.fits, [4, 8, 12, 16, 20]);
        for mean in [87.55, 94.5, 93.85, 94.1, 87.45, 93.5, 93.35, 93.0, 94.2] {
            assert_eq!(impossible(&figure(mean, 10, 200)), None, "{mean}");
        }
        for mean in [100.0, 99.95] {
            assert_eq!(impossible(&figure(mean, 10, 1200)), None, "{mean}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        assert_eq!(
            impossible(&PublishedFigure {
                n: None,
                ..figure(93.625, 10, 200)
            }),
            None
        );
        assert_eq!(
            impossible(&PublishedFigure {
                images: None,
                ..figure(93.625, 10, 200)
            }),
            None
        );
        // Of 28 images 14 are 50 %, 15 are 53.57 %.
        assert!(impossible(&figure(51.9, 1, 28)).is_some());
        assert_eq!(impossible(&figure(53.57, 1, 28)), None);
    }

    proptest! {
        #[test]
        fn no_true_mean_is_called_impossible(n in 1_u32..40, images in 1_u32..2000, share in 0.0_f64..=1.0, decimals in 0_usize..6) {
            let cases = n * images;
            let correct = (share * f64::from(cases)).round();
            let mean = 100.0 * correct / f64::from(cases);
            let printed: f64 = format!("{mean:.decimals$}").parse().unwrap();
            prop_assert_eq!(impossible(&figure(printed, n, images)), None);
        }
    }
}
