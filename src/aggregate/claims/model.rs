//! What judging a claim gives: a verdict, and the figures that it rests on, arm by arm, for whoever
//! puts them into words or draws them.

use crate::aggregate::significance::{NoTest, Sample};
use crate::protocol::{Position, Unit};

/// What the results say about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They agree with it, and by more than chance would give.
    Confirmed,
    /// They neither confirm nor contradict it.
    NotSignificant,
    /// They disagree with it, and by more than chance would give.
    Contradicted,
    /// A figure that the claim needs is missing, or is not a finite number.
    NoData,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::NotSignificant => "not significant",
            Self::Contradicted => "contradicted",
            Self::NoData => "no data",
        }
    }
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub evidence: Evidence,
}

/// What a verdict rests on, by kind of claim. Arms are numbers in `Spec::arms`.
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

/// One arm against another.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The arm of the claim.
    pub arm: usize,
    /// The other.
    pub other: usize,
    /// What the arm reached; None: no result.
    pub mine: Option<Sample>,
    /// What the other reached.
    pub theirs: Option<Sample>,
    /// By how much the arm is ahead in the claimed direction; negative: behind. NaN without both.
    pub lead: f64,
    /// Welch's test, or why there is none.
    pub test: Result<Tested, NoTest>,
}

/// The outcome of a test among several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// Two-sided p.
    pub p: f64,
    /// The same, adjusted by Holm for all comparisons of all claims.
    pub adjusted: f64,
}

/// A ratio of two means.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// What the arm above the line reached; None: no result.
    pub of: Option<Sample>,
    /// What the arm below the line reached.
    pub to: Option<Sample>,
    /// Its interval at 95 %, or why there is none.
    pub interval: Result<(f64, f64), NoTest>,
}

/// One arm's mean and a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded {
    /// The arm.
    pub arm: usize,
    /// What it reached; None: no result.
    pub sample: Option<Sample>,
    /// The mean's interval at 95 %, or why there is none.
    pub interval: Result<(f64, f64), NoTest>,
}

/// At which epoch one arm saturates.
#[derive(Clone, Debug, PartialEq)]
pub struct Saturation {
    /// The arm.
    pub arm: usize,
    /// Whether its history is by epochs or by steps.
    pub unit: Unit,
    /// The epochs (or steps) over its trials; or why there are none.
    pub epoch: Result<Sample, NoTest>,
    /// The mean epoch's interval at 95 %, or why there is none.
    pub interval: Result<(f64, f64), NoTest>,
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
    /// Pairs with the claimed one above.
    pub above: usize,
    /// Pairs with a value that is not finite; they count as not above.
    pub not_finite: usize,
    /// The epoch at which it is furthest from true by its test, where it is significantly below.
    pub worst: Option<Worst>,
}

/// An epoch at which the claimed metric is significantly below the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// The epoch or step.
    pub position: Position,
    /// Mean difference over the trials; negative.
    pub difference: f64,
    /// The paired test's p, adjusted by Holm over arms and epochs.
    pub adjusted: f64,
}
