//! JUnit's XML, as continuous integration servers read it: an arm is a test suite, a trial a test
//! case.

use std::time::Duration;

use quick_junit::{
    NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite, XmlString,
};

use super::Exported;
use crate::ledger::TrialState;
use crate::printable;
use crate::spec::{ColumnNames, Spec};

/// Returns the trials as JUnit's XML: failed ones as failures with their kind and message, those
/// that have not ended as skipped.
///
/// # Errors
/// The XML writer's.
pub fn write_junit(spec: &Spec, trials: &[Exported<'_>]) -> Result<String, SerializeError> {
    let names = ColumnNames::of(spec, []);
    let mut report = Report::new(&spec.name);
    report.set_time(total_duration(trials.iter()));

    for (number, arm) in spec.arms.iter().enumerate() {
        let own = || trials.iter().filter(|trial| trial.arm == number);
        let mut suite = TestSuite::new(&arm.name);
        suite.set_time(total_duration(own()));
        suite.add_test_cases(own().map(|trial| test_case(spec, &names, trial)));

        // Not among the counts that the library keeps.
        let skipped = own().filter(|trial| !has_ended(trial)).count();
        let count = XmlString::new(skipped.to_string());
        suite.extra.insert("skipped".into(), count);
        report.add_test_suite(suite);
    }

    report.to_string()
}

/// One trial.
fn test_case(spec: &Spec, names: &ColumnNames, trial: &Exported<'_>) -> TestCase {
    let mut values = String::new();
    for (name, value) in &trial.config.0 {
        let name = names.parameter(name);
        values += &format!("{name}={} ", printable::escaped(&value.to_string()));
    }
    let name = format!("{} {values}seed={}", trial.id, trial.id.seed);

    let mut case = TestCase::new(allowed(&name), status(trial));
    case.set_classname(format!(
        "{}.{}.{}",
        spec.name,
        spec.arms[trial.arm].name,
        trial.phase.name()
    ));
    case.set_time(total_duration(std::iter::once(trial)));
    case
}

fn status(trial: &Exported<'_>) -> TestCaseStatus {
    match trial.row.state {
        TrialState::Done => TestCaseStatus::success(),
        TrialState::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            if let Some(kind) = trial.last.and_then(|last| last.kind) {
                status.set_type(kind.to_string());
            }
            let message = trial.last.and_then(|last| last.message.as_deref());
            status.set_message(allowed(message.unwrap_or_default()));
            status
        }
        TrialState::Waiting | TrialState::Running => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(trial.state());
            status
        }
    }
}

fn has_ended(trial: &Exported<'_>) -> bool {
    matches!(trial.row.state, TrialState::Done | TrialState::Failed)
}

/// How long the last attempts of these trials took in all.
fn total_duration<'a>(trials: impl Iterator<Item = &'a Exported<'a>>) -> Duration {
    let seconds = trials.filter_map(|trial| trial.last?.duration).sum();
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The text without two characters that XML 1.0 forbids and `quick-junit` lets pass.
fn allowed(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "")
}
