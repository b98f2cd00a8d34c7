//! Whether a published percentage is possible as a mean: the mean of n runs on m images is a
//! multiple of 100/(n m). `report::audit` flags those that are not.

use crate::spec::PublishedFigure;

/// The largest number of runs that is tried as an explanation of an impossible mean.
const MAX_RUNS: u32 = 20;

/// A published mean that is impossible for its number of runs and images.
#[derive(Clone, Debug, PartialEq)]
pub struct Impossible {
    /// The distance in percentage points between the means that are possible.
    pub step: f64,
    /// Numbers of runs, up to 20, for which it would be possible.
    pub fits: Vec<u32>,
}

/// Checks a percentage of correct images against its granularity (N. J. L. Brown, J. A. J.
/// Heathers, The GRIM test, Social Psychological and Personality Science 8 (2017)). None: it is
/// possible, or cannot be checked because `images` or `n` is not known.
///
/// The figure may have been rounded to the decimals that it shows. Zeros at its end are not known,
/// so a figure is never called impossible because of them.
pub fn impossible(figure: &PublishedFigure) -> Option<Impossible> {
    let n = figure.n?;
    let images = figure.images?;
    if fits(figure.mean, n, images) {
        return None;
    }
    Some(Impossible {
        step: step(n, images),
        fits: (1..=MAX_RUNS)
            .filter(|n| fits(figure.mean, *n, images))
            .collect(),
    })
}

fn step(n: u32, images: u32) -> f64 {
    100.0 / (f64::from(n) * f64::from(images))
}

/// Whether a mean, rounded as it is printed, is a multiple of the step.
fn fits(mean: f64, n: u32, images: u32) -> bool {
    let step = step(n, images);
    let nearest = (mean / step).round() * step;
    let decimals = mean
        .to_string()
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());

    // The decimal number itself is rounded to binary, hence the billionth.
    let tolerance = 0.5 * 10_f64.powi(-(decimals as i32)) + 1e-9;
    (nearest - mean).abs() <= tolerance
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
    fn one_of_the_papers_means_is_impossible() {
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
    fn means_without_images_or_n_are_not_judged() {
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
        fn possible_means_are_never_called_impossible(n in 1_u32..40, images in 1_u32..2000, share in 0.0_f64..=1.0, decimals in 0_usize..6) {
            let cases = n * images;
            let correct = (share * f64::from(cases)).round();
            let mean = 100.0 * correct / f64::from(cases);
            let printed: f64 = format!("{mean:.decimals$}").parse().unwrap();
            prop_assert_eq!(impossible(&figure(printed, n, images)), None);
        }
    }
}
