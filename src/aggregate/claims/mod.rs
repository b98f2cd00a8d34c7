//! Verdicts on the claims of a sweep file. `judge` puts them together, `finals` judges by final
//! metrics, `history` by the epochs, and `model` holds the result. Pure; `report::claims` writes
//! the sentences.

mod finals;
mod history;
mod judge;
mod model;
#[cfg(test)]
mod tests;

pub use history::{Histories, TrialHistory};
pub use judge::{judge, judge_published, measured_metrics};
pub use model::{
    Bounded, Comparison, Evidence, FinalMetrics, Judgement, Pairs, Ratio, Saturation, Tested,
    Verdict, Worst,
};
