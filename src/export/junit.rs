//! JUnit's XML, as continuous integration servers read it: an arm is a test suite, a trial a test
//! case.

use std::fmt::Write as _;

use super::Exported;
use crate::ledger::TrialState;
use crate::printable;
use crate::spec::{ColumnNames, Spec};

/// The trials as JUnit's XML: failed ones as failures with their kind and message, those that have
/// not ended as skipped.
pub fn write_junit(spec: &Spec, trials: &[Exported<'_>]) -> String {
    let failed = |trial: &&Exported<'_>| trial.row.state == TrialState::Failed;
    let ended =
        |trial: &Exported<'_>| matches!(trial.row.state, TrialState::Done | TrialState::Failed);
    let seconds = |trials: &[&Exported<'_>]| {
        trials
            .iter()
            .filter_map(|trial| trial.last?.duration)
            .sum::<f64>()
    };
    let all: Vec<&Exported<'_>> = trials.iter().collect();
    let names = ColumnNames::of(spec, []);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.3}\">\n",
        escaped(&spec.name),
        all.len(),
        all.iter().copied().filter(failed).count(),
        seconds(&all)
    );
    for (number, arm) in spec.arms.iter().enumerate() {
        let own: Vec<&Exported<'_>> = trials.iter().filter(|trial| trial.arm == number).collect();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            escaped(&arm.name),
            own.len(),
            own.iter().copied().filter(failed).count(),
            own.iter().filter(|trial| !ended(trial)).count(),
            seconds(&own)
        );
        for trial in own {
            let values: Vec<String> = trial
                .config
                .0
                .iter()
                .map(|(name, value)| {
                    format!(
                        "{}={}",
                        names.parameter(name),
                        printable::escaped(&value.to_string())
                    )
                })
                .collect();
            let _ = write!(
                out,
                "    <testcase name=\"{} {} seed={}\" classname=\"{}.{}.{}\" time=\"{:.3}\"",
                trial.id,
                escaped(&values.join(" ")),
                trial.id.seed,
                escaped(&spec.name),
                escaped(&arm.name),
                trial.phase.name(),
                trial.last.and_then(|last| last.duration).unwrap_or(0.0)
            );
            let message = trial
                .last
                .and_then(|last| last.message.as_deref())
                .unwrap_or_default();
            let kind = trial
                .last
                .and_then(|last| last.kind)
                .map_or(String::new(), |kind| kind.to_string());
            let _ = match trial.row.state {
                TrialState::Done => writeln!(out, "/>"),
                TrialState::Failed => writeln!(
                    out,
                    ">\n      <failure type=\"{}\" message=\"{}\"/>\n    </testcase>",
                    escaped(&kind),
                    escaped(message)
                ),
                TrialState::Waiting | TrialState::Running => {
                    writeln!(
                        out,
                        ">\n      <skipped message=\"{}\"/>\n    </testcase>",
                        trial.state()
                    )
                }
            };
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text within an attribute. XML 1.0 has no way to write most control characters: they are left
/// out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
