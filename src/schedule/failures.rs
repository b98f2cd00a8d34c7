//! What a sweep's failures lead to: whether a trial is tried again, and when so much has failed
//! that going on would only burn the grid. The reactor asks; pure.

use std::time::Duration;

use super::action::Fatal;
use super::retry::next_attempt;
use crate::protocol::FailureKind;
use crate::spec::Limits;

/// So many trials in a row, the first ones of a run, all failing for good in the same way, are no
/// accident.
pub const ALIKE: u64 = 5;

/// The longest message of a failure that is recorded, in bytes.
const MAX_MESSAGE: usize = 4 << 10;
/// The longest one that is told where a sweep is given up.
const MAX_REASON: usize = 400;

/// Whether a message is cut when it is recorded.
pub fn is_too_long(message: &str) -> bool {
    message.len() > MAX_MESSAGE
}

/// A message as it is recorded.
pub fn recorded(message: String) -> String {
    if !is_too_long(&message) {
        return message;
    }
    let cut = beginning(&message, MAX_MESSAGE);
    format!(
        "{cut}… ({} more bytes are in the log)",
        message.len() - cut.len()
    )
}

/// The beginning of a text, at most that many bytes of it.
pub fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Counts what failed.
#[derive(Debug)]
pub struct Failures {
    limits: Limits,
    /// What the arms are called.
    arms: Vec<String>,
    /// Trials that failed for good, arm by arm.
    lost: Vec<u64>,
    /// The way in which every trial of this run has failed for good so far, and how many did; None
    /// once one did not.
    alike: Option<(Option<(FailureKind, String)>, u64)>,
    fatal: Option<Fatal>,
}

impl Failures {
    /// Nothing has failed yet.
    pub fn new(limits: Limits, arms: Vec<String>) -> Self {
        Self {
            lost: Vec::new(),
            limits,
            arms,
            alike: Some((None, 0)),
            fatal: None,
        }
    }

    /// How long a trial of that arm may take.
    pub fn timeout(&self, arm: usize) -> Option<Duration> {
        self.limits.of(arm).timeout
    }

    /// A trial has a result.
    pub fn done(&mut self) {
        self.alike = None;
    }

    /// An attempt in `slot` failed, the trial's `failures`th. After what pause to try again; None:
    /// it failed for good, and `fatal` may have something to say.
    pub fn failed(
        &mut self,
        slot: usize,
        arm: usize,
        failures: u32,
        kind: FailureKind,
        message: &str,
    ) -> Option<Duration> {
        let pause = next_attempt(kind, failures, self.limits.of(arm).retries);
        if pause.is_some() {
            return pause;
        }
        if self.lost.len() <= arm {
            self.lost.resize(arm + 1, 0);
        }
        self.lost[arm] += 1;
        self.count_alike(slot, kind, message);
        let all = self.lost.iter().sum::<u64>();
        let over = |lost: u64, most: Option<u32>| most.filter(|most| lost > u64::from(*most));
        let too_many = over(self.lost[arm], self.limits.of_arm(arm).max_failures)
            .map(|most| Fatal::TooManyFailures {
                arm: Some(self.arms.get(arm).cloned().unwrap_or_default()),
                most,
            })
            .or_else(|| {
                over(all, self.limits.all.max_failures)
                    .map(|most| Fatal::TooManyFailures { arm: None, most })
            });
        self.fatal = self.fatal.take().or(too_many);
        None
    }

    /// Why the sweep is to be given up, if it is.
    pub fn fatal(&self) -> Option<&Fatal> {
        self.fatal.as_ref()
    }

    fn count_alike(&mut self, slot: usize, kind: FailureKind, message: &str) {
        let Some((way, count)) = self.alike.take() else {
            return;
        };
        let this = (kind, way_of_failing(message));
        if way.as_ref().is_some_and(|way| *way != this) {
            return;
        }
        if count + 1 >= ALIKE {
            let cut = beginning(message, MAX_REASON);
            let message = if cut.len() < message.len() {
                format!("{cut}…")
            } else {
                cut.to_owned()
            };
            self.fatal = Some(Fatal::AllAlike {
                slot,
                count: count + 1,
                kind,
                message,
            });
        }
        self.alike = Some((Some(this), count + 1));
    }
}

/// A failure's message without what belongs to its trial: numbers, and the line that a message
/// about metrics quotes.
fn way_of_failing(message: &str) -> String {
    let quotes = message.contains(" of the metrics file ");
    let what = message
        .split_once(": ")
        .filter(|_| quotes)
        .map_or(message, |(what, _)| what);
    what.chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Limit;

    /// For good: a configuration that cannot be run is never tried again.
    fn fail(failures: &mut Failures, arm: usize, message: &str) {
        assert_eq!(
            failures.failed(0, arm, 1, FailureKind::BadConfig, message),
            None
        );
    }

    #[test]
    fn a_long_message_is_cut_and_says_by_how_much() {
        assert_eq!(recorded("short".to_owned()), "short");
        let whole = "ä".repeat(500_000);
        let cut = recorded(whole);
        assert!(
            cut.len() < MAX_MESSAGE + 100 && cut.ends_with("… (995904 more bytes are in the log)"),
            "{}",
            &cut[MAX_MESSAGE..]
        );
    }

    #[test]
    fn first_trials_that_all_fail_alike_end_the_sweep() {
        let mut failures = Failures::new(Limits::default(), Vec::new());
        (0..ALIKE - 1)
            .for_each(|number| fail(&mut failures, 0, &format!("no file number {number}")));
        assert_eq!(failures.fatal(), None);
        fail(&mut failures, 1, "no file number 99");
        assert!(matches!(
            failures.fatal(),
            Some(Fatal::AllAlike {
                count: ALIKE,
                kind: FailureKind::BadConfig,
                ..
            })
        ));
    }

    #[test]
    fn a_line_that_a_message_quotes_does_not_make_it_another_failure() {
        let quoted = |line: &str| {
            way_of_failing(&format!(
                "line 1 of the metrics file is not a JSON object: {line}"
            ))
        };
        assert_eq!(quoted("[0.1, \"a\"]"), quoted("[0.25, \"b\"]"));
        assert_ne!(
            way_of_failing("exit code 1: no file a"),
            way_of_failing("exit code 1: no file b")
        );
    }

    #[test]
    fn one_result_or_another_failure_shows_that_it_is_not_everything() {
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
    fn limits_hold_for_all_and_for_an_arm() {
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
    fn retries_of_an_arm_go_before_those_of_all() {
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
                .map_while(|count| failures.failed(0, arm, count, kind, ""))
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
