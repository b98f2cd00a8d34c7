//! What failures lead to: whether a trial is tried again, and when too many have failed and the
//! sweep is given up. Pure; the reactor asks.

use std::time::Duration;

use super::action::Fatal;
use super::retry::next_attempt;
use super::slot_index::SlotIndex;
use crate::grid::ArmIndex;
use crate::protocol::FailureKind;
use crate::spec::Limits;
use crate::text::count;

/// How many trials at the beginning of a run may fail permanently in the same way before the sweep
/// is given up.
pub(crate) const MAX_ALIKE_FAILURES: u64 = 5;

/// Maximum length of a failure's message in the ledger, in bytes.
const MAX_MESSAGE: usize = 4 << 10;
/// Maximum length of a failure's message in the reason for giving a sweep up, in bytes.
const MAX_REASON: usize = 400;

/// Whether a message is shortened when it is recorded.
pub(crate) fn is_too_long(message: &str) -> bool {
    message.len() > MAX_MESSAGE
}

/// A message as it is recorded.
pub(crate) fn recorded(message: String) -> String {
    if !is_too_long(&message) {
        return message;
    }
    let cut = beginning(&message, MAX_MESSAGE);
    format!(
        "{cut}… (the log has {})",
        count(message.len() - cut.len(), "more byte")
    )
}

/// The beginning of a text, at most `limit` bytes of it.
pub fn beginning(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Counts failures.
#[derive(Debug)]
pub(crate) struct Failures {
    limits: Limits,
    /// The names of the arms.
    arms: Vec<String>,
    /// The number of trials that failed permanently, by arm.
    permanent: Vec<u64>,
    alike: Alike,
    fatal: Option<Fatal>,
}

/// Whether all trials of this run have failed permanently in the same way.
#[derive(Debug)]
enum Alike {
    /// No trial has ended.
    Untested,
    /// All have, so far.
    All {
        kind: FailureKind,
        /// What their messages have in common.
        way: String,
        count: u64,
    },
    /// At least one has not.
    No,
}

impl Failures {
    /// Nothing has failed yet.
    pub(crate) fn new(limits: Limits, arms: Vec<String>) -> Self {
        Self {
            permanent: Vec::new(),
            limits,
            arms,
            alike: Alike::Untested,
            fatal: None,
        }
    }

    /// How long a trial of an arm may take.
    pub(crate) fn timeout(&self, arm: ArmIndex) -> Option<Duration> {
        self.limits.of(arm.0).timeout
    }

    /// A trial has a result.
    pub(crate) fn done(&mut self) {
        self.alike = Alike::No;
    }

    /// An attempt in `slot` failed, the trial's `failures`th. Returns the pause before the next
    /// attempt, or `None` if no retries are left; then `fatal` may have a reason to stop.
    pub(crate) fn failed(
        &mut self,
        slot: SlotIndex,
        arm: ArmIndex,
        failures: u32,
        kind: FailureKind,
        message: &str,
    ) -> Option<Duration> {
        let pause = next_attempt(kind, failures, self.limits.of(arm.0).retries);
        if pause.is_some() {
            return pause;
        }
        if self.permanent.len() <= arm.0 {
            self.permanent.resize(arm.0 + 1, 0);
        }
        self.permanent[arm.0] += 1;
        self.count_alike(slot, kind, message);
        self.fatal = self.fatal.take().or_else(|| self.too_many(arm));
        None
    }

    /// Why the sweep is to be given up, if it is.
    pub(crate) fn fatal(&self) -> Option<&Fatal> {
        self.fatal.as_ref()
    }

    /// The limit of failures that is exceeded after one in this arm, if any is.
    fn too_many(&self, arm: ArmIndex) -> Option<Fatal> {
        let arm_limit = self.limits.of_arm(arm.0).max_failures;
        if let Some(most) = exceeded(self.permanent[arm.0], arm_limit) {
            return Some(Fatal::TooManyFailures {
                arm: Some(self.arms.get(arm.0).cloned().unwrap_or_default()),
                most,
            });
        }
        let all = self.permanent.iter().sum();
        let most = exceeded(all, self.limits.all.max_failures)?;
        Some(Fatal::TooManyFailures { arm: None, most })
    }

    fn count_alike(&mut self, slot: SlotIndex, kind: FailureKind, message: &str) {
        let way = way_of_failing(message);
        let count = match &self.alike {
            Alike::No => return,
            Alike::Untested => 1,
            Alike::All {
                kind: other_kind,
                way: other_way,
                count,
            } if *other_kind == kind && *other_way == way => count + 1,
            Alike::All { .. } => {
                self.alike = Alike::No;
                return;
            }
        };
        if count >= MAX_ALIKE_FAILURES {
            self.fatal = Some(Fatal::AllAlike {
                slot,
                count,
                kind,
                message: shortened(message),
            });
        }
        self.alike = Alike::All { kind, way, count };
    }
}

/// The limit, if the count exceeds it.
fn exceeded(count: u64, limit: Option<u32>) -> Option<u32> {
    limit.filter(|&limit| count > u64::from(limit))
}

fn shortened(message: &str) -> String {
    let cut = beginning(message, MAX_REASON);
    if cut.len() < message.len() {
        format!("{cut}…")
    } else {
        cut.to_owned()
    }
}

/// A failure's message without what differs from trial to trial: numbers, and the line that a
/// message about metrics quotes.
fn way_of_failing(message: &str) -> String {
    let quotes_a_line =
        message.contains(" of the metrics file ") || message.starts_with("exit code ");
    let what = message
        .split_once(": ")
        .filter(|_| quotes_a_line)
        .map_or(message, |(what, _)| what);
    what.chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Limit;

    /// Permanently: a configuration that cannot be run is never tried again.
    fn fail(failures: &mut Failures, arm: usize, message: &str) {
        assert_eq!(
            failures.failed(
                SlotIndex(0),
                ArmIndex(arm),
                1,
                FailureKind::BadConfig,
                message
            ),
            None
        );
    }

    #[test]
    fn a_long_message_is_shortened_and_says_by_how_much() {
        assert_eq!(recorded("short".to_owned()), "short");
        let whole = "ä".repeat(500_000);
        let cut = recorded(whole);
        assert!(
            cut.len() < MAX_MESSAGE + 100 && cut.ends_with("… (the log has 995,904 more bytes)"),
            "{}",
            &cut[MAX_MESSAGE..]
        );
    }

    #[test]
    fn first_trials_that_all_fail_alike_end_the_sweep() {
        let mut failures = Failures::new(Limits::default(), Vec::new());
        (0..MAX_ALIKE_FAILURES - 1)
            .for_each(|number| fail(&mut failures, 0, &format!("no file number {number}")));
        assert_eq!(failures.fatal(), None);
        fail(&mut failures, 1, "no file number 99");
        assert!(matches!(
            failures.fatal(),
            Some(Fatal::AllAlike {
                count: MAX_ALIKE_FAILURES,
                kind: FailureKind::BadConfig,
                ..
            })
        ));
    }

    #[test]
    fn failures_that_quote_different_lines_are_alike() {
        let quoted = |line: &str| {
            way_of_failing(&format!(
                "line 1 of the metrics file is not a JSON object: {line}"
            ))
        };
        assert_eq!(quoted("[0.1, \"a\"]"), quoted("[0.25, \"b\"]"));
        assert_eq!(
            way_of_failing("exit code 1: KeyError: 'a'"),
            way_of_failing("exit code 1: KeyError: 'b'")
        );
        assert_ne!(
            way_of_failing("the worker was ended by SIGSEGV"),
            way_of_failing("the worker was ended by SIGKILL")
        );
    }

    #[test]
    fn one_result_or_a_different_failure_prevents_that() {
        let mut failures = Failures::new(Limits::default(), Vec::new());
        fail(&mut failures, 0, "a");
        failures.done();
        (0..20).for_each(|_| fail(&mut failures, 0, "a"));
        assert_eq!(failures.fatal(), None);
        let mut failures = Failures::new(Limits::default(), Vec::new());
        (0..20).for_each(|number| fail(&mut failures, 0, if number % 3 == 0 { "a" } else { "b" }));
        assert_eq!(failures.fatal(), None);
    }

    #[test]
    fn limits_apply_to_the_sweep_and_to_each_arm() {
        let most = |most| Limit {
            max_failures: Some(most),
            ..Limit::default()
        };
        let mut failures = Failures::new(
            Limits {
                all: most(3),
                arms: vec![Limit::default(), most(1)],
            },
            vec!["a".into(), "b".into()],
        );
        failures.done();
        fail(&mut failures, 0, "a");
        fail(&mut failures, 1, "a");
        assert_eq!(failures.fatal(), None);
        fail(&mut failures, 1, "a");
        assert_eq!(
            failures.fatal(),
            Some(&Fatal::TooManyFailures {
                arm: Some("b".to_owned()),
                most: 1
            })
        );
        let mut failures = Failures::new(
            Limits {
                all: most(0),
                arms: Vec::new(),
            },
            Vec::new(),
        );
        fail(&mut failures, 7, "a");
        assert_eq!(
            failures.fatal(),
            Some(&Fatal::TooManyFailures { arm: None, most: 0 })
        );
    }

    #[test]
    fn retries_of_an_arm_override_those_of_the_sweep() {
        let retries = |retries| Limit {
            retries: Some(retries),
            ..Limit::default()
        };
        let mut failures = Failures::new(
            Limits {
                all: retries(0),
                arms: vec![retries(2)],
            },
            Vec::new(),
        );
        let mut pauses = |arm, kind| {
            (1..)
                .map_while(|count| failures.failed(SlotIndex(0), ArmIndex(arm), count, kind, ""))
                .count()
        };
        assert_eq!(
            (pauses(0, FailureKind::Exit), pauses(1, FailureKind::Exit)),
            (2, 0)
        );
        assert_eq!(
            (
                pauses(0, FailureKind::Timeout),
                pauses(0, FailureKind::BadConfig)
            ),
            (2, 0)
        );
    }
}
