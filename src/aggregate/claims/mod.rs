//! Verdicts on the claims of a spec: `judge` puts them together, `finals` judges by final metrics,
//! `history` by the epochs, `model` holds what comes out. Pure; `report::claims` puts it into
//! words.

mod finals;
mod history;
mod judge;
mod model;
#[cfg(test)]
mod tests;

pub use history::{Histories, TrialHistory};
pub use judge::{Figures, judge, judge_published, our_figures};
pub use model::{
    Bounded, Comparison, Evidence, Judgement, Pairs, Ratio, Saturation, Tested, Verdict, Worst,
};
