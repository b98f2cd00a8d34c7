//! What claims are judged by, and the result: a verdict and the evidence for it, arm by arm.

use std::collections::BTreeMap;

use crate::aggregate::significance::{ALPHA, Interval, NoTest, Sample};
use crate::protocol::{Position, Unit};
use crate::spec::Way;

/// The final metrics of each arm's selected point: by number of the arm, then by name.
pub type FinalMetrics = Vec<BTreeMap<String, Sample>>;

/// What the results say about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The results agree with the claim, significantly.
    Confirmed,
    /// The results neither confirm nor contradict the claim.
    NotSignificant,
    /// The results disagree with the claim, significantly.
    Contradicted,
    /// A value that the claim needs is missing, or is not finite.
    NoData,
}

impl Verdict {
    /// The verdict's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::NotSignificant => "not significant",
            Self::Contradicted => "contradicted",
            Self::NoData => "no data",
        }
    }
}

/// A verdict and its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Its evidence.
    pub evidence: Evidence,
}

/// The evidence for a verdict, by kind of claim. Arms are numbers in `Spec::arms`.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// `highest`, `lowest`, `greater`, `less`: the arm against each of the others.
    Comparisons(Vec<Comparison>),
    /// `ratio`.
    Ratio(Ratio),
    /// `at_least`, `at_most`: arm by arm.
    Bounds(Vec<Bounded>),
    /// `saturates`: arm by arm.
    Saturation(Vec<Saturation>),
    /// `always_above`: arm by arm.
    Pairs(Vec<Pairs>),
}

/// One arm compared with another.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The arm of the claim.
    pub arm: usize,
    /// The arm that it is compared with.
    pub other: usize,
    /// The claimed arm's result, if there is one.
    pub mine: Option<Sample>,
    /// The other arm's result, if there is one.
    pub theirs: Option<Sample>,
    /// How far the arm is ahead in the claimed direction; negative if it is behind, NaN if a result
    /// is missing.
    pub lead: f64,
    /// Welch's test, or why there is none.
    pub test: Result<Tested, NoTest>,
}

impl Comparison {
    /// Whether the arms differ significantly.
    pub fn is_significant(&self) -> bool {
        self.test.is_ok_and(|test| test.adjusted < ALPHA)
    }
}

/// The outcome of a test among several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// Two-sided p.
    pub p: f64,
    /// p adjusted by Holm for all comparisons of all claims.
    pub adjusted: f64,
}

/// A ratio of two means.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// The numerator's result, if there is one.
    pub of: Option<Sample>,
    /// The denominator's result, if there is one.
    pub to: Option<Sample>,
    /// The ratio's 95 % interval, or why there is none.
    pub interval: Result<Interval, NoTest>,
}

/// One arm's mean against a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded {
    /// The arm.
    pub arm: usize,
    /// Its result, if there is one.
    pub sample: Option<Sample>,
    /// The mean's 95 % interval, or why there is none.
    pub interval: Result<Interval, NoTest>,
}

impl Bounded {
    /// Whether the interval lies on the claimed side of the value; it may end at the value.
    pub fn holds(&self, way: Way, value: f64) -> bool {
        self.interval.is_ok_and(|interval| match way {
            Way::Up => interval.low >= value,
            Way::Down => interval.high <= value,
        })
    }

    /// Whether the whole interval lies on the other side of the value.
    pub fn fails(&self, way: Way, value: f64) -> bool {
        self.interval.is_ok_and(|interval| match way {
            Way::Up => interval.high < value,
            Way::Down => interval.low > value,
        })
    }
}

/// The epoch at which one arm saturates.
#[derive(Clone, Debug, PartialEq)]
pub struct Saturation {
    /// The arm.
    pub arm: usize,
    /// Whether its history is by epochs or by steps.
    pub unit: Unit,
    /// The epoch (or step) over its trials, or why there is none.
    pub epoch: Result<Sample, NoTest>,
    /// The mean epoch's 95 % interval, or why there is none.
    pub interval: Result<Interval, NoTest>,
}

/// How often one metric is above another in an arm's trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// The arm.
    pub arm: usize,
    /// Whether its history is by epochs or by steps.
    pub unit: Unit,
    /// Trials with both metrics.
    pub trials: usize,
    /// Pairs of values: trials × epochs.
    pub pairs: usize,
    /// Pairs in which the claimed metric is above the other.
    pub above: usize,
    /// Pairs with a value that is not finite, which count as not above.
    pub not_finite: usize,
    /// The epoch with the smallest p among those where the claimed metric is significantly below.
    pub worst: Option<Worst>,
}

/// An epoch at which the claimed metric is significantly below the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// The epoch or step.
    pub position: Position,
    /// Mean difference over the trials, which is negative.
    pub difference: f64,
    /// The paired test's p, adjusted by Holm over arms and epochs.
    pub adjusted: f64,
}
