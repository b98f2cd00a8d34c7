//! How often a failed trial is tried again, and how long to wait before, for each kind of failure.

use std::time::Duration;

use crate::protocol::FailureKind;

/// Whether to try again after `failures` failed attempts, the last of this kind; and after what
/// pause. `retries` is the number that the spec asks for, if it does.
///
/// What fails the same way every time (a configuration that cannot be run, a metric that is not
/// reported) is never tried again, and what took too long only if the spec asks for it. What a
/// program reports as an error gets one more chance; what looks like bad luck of the machine (a
/// crash, no memory, silence) two.
pub fn next_attempt(kind: FailureKind, failures: u32, retries: Option<u32>) -> Option<Duration> {
    let retries = match kind {
        FailureKind::BadConfig | FailureKind::MissingMetric => 0,
        FailureKind::Timeout => retries.unwrap_or(0),
        FailureKind::Error | FailureKind::Protocol => retries.unwrap_or(1),
        FailureKind::Exit
        | FailureKind::Signal
        | FailureKind::OutOfMemory
        | FailureKind::LostHeartbeat
        | FailureKind::CouldNotStart => retries.unwrap_or(2),
    };
    (failures <= retries).then(|| Duration::from_secs(1 << failures.saturating_sub(1).min(5)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_is_tried_for_ever_and_pauses_grow() {
        for kind in FailureKind::ALL {
            let pauses: Vec<u64> = (1..)
                .map_while(|failures| next_attempt(kind, failures, None))
                .map(|pause| pause.as_secs())
                .collect();
            let expected: &[u64] = match kind {
                FailureKind::BadConfig | FailureKind::MissingMetric | FailureKind::Timeout => &[],
                FailureKind::Error | FailureKind::Protocol => &[1],
                _ => &[1, 2],
            };
            assert_eq!(pauses, expected, "{kind}");
        }
    }
}
