//! Which value of its history is a trial's: `at` under `metric`.

use std::fmt;

/// Which value of its history is a trial's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// The last one that it reported.
    #[default]
    Last,
    /// The best one; the other metrics are those of the same epoch or step.
    Best,
    /// The mean of the last ones; the other metrics are means over the same epochs or steps.
    MeanLast(u32),
}

/// The largest number of values of a mean.
const MAX_MEAN: u32 = 100_000;

impl At {
    /// Reads the form of the sweep file: `last`, `best`, `mean_last_5`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "last" => Some(Self::Last),
            "best" => Some(Self::Best),
            _ => {
                let number = name.strip_prefix("mean_last_")?;
                let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
                let count = number.parse().ok().filter(|_| is_number)?;
                (1..=MAX_MEAN)
                    .contains(&count)
                    .then_some(Self::MeanLast(count))
            }
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Best => f.write_str("best"),
            Self::MeanLast(count) => write!(f, "mean_last_{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in ["last", "best", "mean_last_1", "mean_last_100000"] {
            assert_eq!(At::from_name(name).unwrap().to_string(), name);
        }
        for name in [
            "",
            "max",
            "mean_last_",
            "mean_last_0",
            "mean_last_+1",
            "mean_last_100001",
        ] {
            assert_eq!(At::from_name(name), None, "{name}");
        }
    }
}
