//! How a sweep ended that ran to its end: what of it is not as it was to be, which makes its exit
//! code 3.

use std::path::Path;

use crate::aggregate::{ArmEvaluation, Evaluation};
use crate::report::not_selected;
use crate::shell::shell_path;
use crate::spec::Spec;
use crate::text::{count, form};

/// How a command ended, if no error stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is done.
    Done,
    /// All is done, but some trials failed, or differ when they are run again, or claims do not
    /// hold.
    SomeFailed,
    /// All is done, but no point could be selected of an arm, or trials are left although all were run.
    Incomplete,
    /// The user stopped it; everything is kept.
    Interrupted,
}

impl Outcome {
    /// Returns the name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::SomeFailed => "some_failed",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How a sweep ended whose trials were all run.
pub fn outcome(evaluation: &Evaluation) -> Outcome {
    if evaluation.failed() > 0 {
        Outcome::SomeFailed
    } else if !evaluation.is_complete() || evaluation.without_selection().next().is_some() {
        Outcome::Incomplete
    } else {
        Outcome::Done
    }
}

/// The warnings about a sweep that has ended: failed trials, arms without a selected point, trials
/// that are left although all were run.
pub fn warnings(spec: &Spec, dir: &Path, evaluation: &Evaluation) -> Vec<String> {
    let dir = shell_path(dir);
    let mut warnings = Vec::new();
    let failed = evaluation.failed();
    if failed > 0 {
        let them = form(failed, "it", "them");
        warnings.push(format!(
            "{} failed, no retries left: see `pentagrid trials {dir} --state failed`; `pentagrid resume {dir} --retry-failed` runs {them} again",
            count(failed, "trial")
        ));
    }
    for arm in evaluation.without_selection() {
        if let Some(why) = not_selected(spec, evaluation, arm) {
            warnings.push(format!(
                "{}: {why}{}",
                spec.arms[arm.arm].label,
                way_on(arm)
            ));
        }
    }
    let left = evaluation.sum(|arm| arm.tune_tally.left() + arm.final_tally.left());
    if left > 0 {
        let are = form(left, "is", "are");
        warnings.push(format!(
            "{} {are} left, although every trial was run: something else has removed their results from the ledger; \
             `pentagrid resume {dir}` runs what is left",
            count(left, "trial")
        ));
    }
    warnings
}

/// What helps where finished trials lack the metric: a finished trial is never run again.
fn way_on(arm: &ArmEvaluation) -> &'static str {
    match arm.selection.lack_metric {
        0 => "",
        _ => {
            "; give the sweep other tuning seeds, or a run directory of its own with --dir, to have trials that report it"
        }
    }
}
