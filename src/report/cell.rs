//! A value in a table's cell as a paper prints it: `93.50 ± 1.35`, with n where it is not the
//! planned one.

use crate::aggregate::Stat;
use crate::spec::PublishedFigure;

/// A mean with its spread, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct CellValue {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation; None for n = 1, or where none was published.
    pub std: Option<f64>,
    /// The number of runs; None where it was not published.
    pub n: Option<u32>,
    /// The planned number of runs; None if n needs no mention.
    pub planned: Option<u32>,
    /// Whether it was published: then none of its digits may be rounded away.
    pub as_published: bool,
}

impl CellValue {
    /// A measured value, with n out of `planned` runs.
    pub fn ours(stat: Stat, planned: u32) -> Self {
        Self {
            mean: stat.mean,
            std: stat.std,
            n: Some(stat.n),
            planned: Some(planned),
            as_published: false,
        }
    }

    /// A published value.
    pub fn published(figure: PublishedFigure) -> Self {
        Self {
            mean: figure.mean,
            std: figure.std,
            n: figure.n,
            planned: None,
            as_published: true,
        }
    }

    /// Returns the remark on n: `n=2 of 3` if runs are missing, `n=1` if only one was planned.
    pub fn remark(&self) -> Option<String> {
        match (self.n, self.planned) {
            (Some(n), Some(planned)) if n != planned => Some(format!("n={n} of {planned}")),
            (Some(1), Some(1)) => Some("n=1".to_owned()),
            _ => None,
        }
    }

    /// Mean and deviation with a separator between them, without the remark.
    pub fn numbers(&self, separator: &str) -> String {
        let mean = self.write(self.mean);
        match self.std {
            Some(std) => format!("{mean}{separator}{}", self.write(std)),
            None => mean,
        }
    }

    fn write(&self, value: f64) -> String {
        if self.as_published {
            as_published(value)
        } else {
            Form::of(self.mean, self.std).write(value)
        }
    }

    /// Plain text, with the remark in parentheses.
    pub fn plain(&self) -> String {
        let numbers = self.numbers(" ± ");
        match self.remark() {
            Some(remark) => format!("{numbers} ({remark})"),
            None => numbers,
        }
    }
}

/// `93.50 ± 1.35`, or the mean alone for n = 1.
pub fn mean_std(stat: Stat) -> String {
    CellValue {
        mean: stat.mean,
        std: stat.std,
        n: None,
        planned: None,
        as_published: false,
    }
    .plain()
}

/// A number with the decimals of the mean that it belongs to: a difference, the end of an interval.
pub(crate) fn same_form(value: f64, mean: f64, std: Option<f64>) -> String {
    Form::of(mean, std).write(value)
}

/// `= 0.18`, `= 0.012`, `< 0.001`.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p if p < 0.0995 => format!("= {p:.3}"),
        p => format!("= {p:.2}"),
    }
}

/// All digits that were published, and at least two decimals.
fn as_published(value: f64) -> String {
    let shortest = value.to_string();
    let decimals = shortest
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    if decimals >= 2 {
        shortest
    } else {
        format!("{value:.2}")
    }
}

/// The form of a mean and its deviation, which is the same for both.
#[derive(Clone, Copy)]
enum Form {
    Decimals(usize),
    Exponent,
}

impl Form {
    /// Two decimals, as the paper prints its percentages and seconds. Values below ten (losses,
    /// accuracies between 0 and 1) get as many as show two digits of the deviation, or four digits
    /// of the mean where there is none.
    fn of(mean: f64, std: Option<f64>) -> Self {
        let mean = finite_abs(mean);
        let std = finite_abs(std.unwrap_or(0.0));
        if mean.max(std) == 0.0 || mean >= 10.0 {
            return Self::Decimals(2);
        }
        if mean.max(std) < 0.001 {
            return Self::Exponent;
        }

        let decimals = if std > 0.0 {
            1.0 - std.log10().floor()
        } else {
            3.0 - mean.log10().floor()
        };
        Self::Decimals(decimals.clamp(2.0, 6.0) as usize)
    }

    fn write(self, value: f64) -> String {
        match self {
            _ if value.is_nan() => "NaN".to_owned(),
            _ if value.is_infinite() => if value > 0.0 { "∞" } else { "-∞" }.to_owned(),
            Self::Decimals(count) => format!("{value:.count$}"),
            Self::Exponent => format!("{value:.2e}"),
        }
    }
}

/// The absolute value; 0 if it is not finite.
fn finite_abs(value: f64) -> f64 {
    if value.is_finite() { value.abs() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_in_papers() {
        let ours = |mean, std, n| CellValue::ours(Stat { mean, std, n }, 3).plain();
        assert_eq!(ours(93.5, Some(1.354), 3), "93.50 ± 1.35");
        assert_eq!(ours(93.5, Some(0.0), 3), "93.50 ± 0.00");
        assert_eq!(ours(93.5, Some(1.0), 2), "93.50 ± 1.00 (n=2 of 3)");
        assert_eq!(ours(93.5, None, 1), "93.50 (n=1 of 3)");
        assert_eq!(
            CellValue::ours(
                Stat {
                    mean: 0.01234,
                    std: None,
                    n: 1
                },
                1
            )
            .plain(),
            "0.01234 (n=1)"
        );
        assert_eq!(ours(0.93330, Some(0.00211), 3), "0.9333 ± 0.0021");
        assert_eq!(ours(0.1234, Some(0.0), 3), "0.1234 ± 0.0000");
        assert_eq!(ours(2.5, Some(0.34), 3), "2.50 ± 0.34");
        assert_eq!(ours(f64::NAN, Some(f64::NAN), 3), "NaN ± NaN");
        assert_eq!(ours(1.5e-5, Some(2e-6), 3), "1.50e-5 ± 2.00e-6");
        assert_eq!(
            CellValue::published(PublishedFigure {
                mean: 93.625,
                std: Some(2.01),
                n: Some(10),
                images: None
            })
            .plain(),
            "93.625 ± 2.01"
        );
    }
}
