//! What a trial costs a slot. Trials of a pack begin and end together: each by itself seems to take
//! as long as all of them. Pure; `progress` and `sweep` estimate by it.

use std::collections::HashMap;
use std::time::Duration;

/// Until when each slot's time is accounted for.
#[derive(Clone, Debug, Default)]
pub struct SlotTimes {
    until: HashMap<usize, Duration>,
}

impl SlotTimes {
    /// The part of a trial's duration that no trial in its slot had before it; `end` is when it
    /// ended, by any clock that all share.
    pub fn share(&mut self, slot: usize, end: Duration, duration: Duration) -> Duration {
        let until = self.until.entry(slot).or_default();
        let own = if *until > end.saturating_sub(duration) {
            end.saturating_sub(*until).min(duration)
        } else {
            duration
        };
        *until = end.max(*until);
        own
    }

    /// The same of the ledger's times: the end in milliseconds since 1970, the duration in seconds.
    pub fn share_of(&mut self, slot: u32, end: i64, seconds: f64) -> f64 {
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.share(
            slot as usize,
            Duration::from_millis(end.unsigned_abs()),
            duration,
        )
        .as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_together_counts_once() {
        let mut slot_times = SlotTimes::default();
        let mut share = |slot, end, duration| {
            slot_times
                .share(
                    slot,
                    Duration::from_secs(end),
                    Duration::from_secs(duration),
                )
                .as_secs()
        };
        // Alone, then three together, one of them longer, then alone again after a pause.
        assert_eq!(
            [
                share(0, 10, 10),
                share(0, 15, 5),
                share(0, 15, 5),
                share(0, 17, 7),
                share(0, 30, 6)
            ],
            [10, 5, 0, 2, 6]
        );
        // Slots do not overlap each other.
        assert_eq!(share(1, 30, 30), 30);
    }
}
