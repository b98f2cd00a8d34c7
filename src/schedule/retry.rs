//! How often a failed trial is tried again, and after which pause, for each kind of failure.

use std::time::Duration;

use crate::protocol::FailureKind;

/// The longest pause, as a power of two in seconds.
const MAX_BACKOFF: u32 = 5;

/// The pause before the next attempt after `failures` failed attempts, the last of this kind, or
/// `None` if no retries are left. `retries` is the number in the sweep file, if it has one.
///
/// What fails in the same way every time (a configuration that cannot be run, a metric that is not
/// reported or cannot be read) is never tried again. A timeout is tried again only if the sweep file asks for it.
/// What a program reports as an error gets one retry; what may be bad luck with the machine (a
/// crash, lack of memory, silence) gets two.
pub(super) fn next_attempt(
    kind: FailureKind,
    failures: u32,
    retries: Option<u32>,
) -> Option<Duration> {
    let retries = match kind {
        FailureKind::BadConfig | FailureKind::MissingMetric | FailureKind::BadMetrics => 0,
        FailureKind::Timeout => retries.unwrap_or(0),
        FailureKind::Error | FailureKind::Protocol => retries.unwrap_or(1),
        FailureKind::Exit
        | FailureKind::Signal
        | FailureKind::OutOfMemory
        | FailureKind::LostHeartbeat
        | FailureKind::CouldNotStart => retries.unwrap_or(2),
    };
    let doublings = failures.saturating_sub(1).min(MAX_BACKOFF);
    (failures <= retries).then(|| Duration::from_secs(1 << doublings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_limit_of_retries_and_pauses_grow() {
        for kind in FailureKind::ALL {
            let pauses: Vec<u64> = (1..)
                .map_while(|failures| next_attempt(kind, failures, None))
                .map(|pause| pause.as_secs())
                .collect();
            let expected: &[u64] = match kind {
                FailureKind::BadConfig
                | FailureKind::MissingMetric
                | FailureKind::BadMetrics
                | FailureKind::Timeout => &[],
                FailureKind::Error | FailureKind::Protocol => &[1],
                _ => &[1, 2],
            };
            assert_eq!(pauses, expected, "{kind}");
        }
    }
}
