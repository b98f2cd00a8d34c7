//! How much of a slot's time a trial takes. Trials of a pack begin and end together, so each of
//! them seems to take as long as all of them. Pure; the estimates of `counts` and of the monitor
//! use it.

use std::collections::HashMap;
use std::time::Duration;

/// The time until which each slot is accounted for.
#[derive(Clone, Debug, Default)]
pub struct SlotTimes {
    until: HashMap<usize, Duration>,
}

impl SlotTimes {
    /// Returns the part of a trial's duration that no earlier trial in its slot took. `end` is when
    /// it ended, by any clock that all trials share.
    pub fn own_time(&mut self, slot: usize, end: Duration, duration: Duration) -> Duration {
        let until = self.until.entry(slot).or_default();
        let own = if *until > end.saturating_sub(duration) {
            end.saturating_sub(*until).min(duration)
        } else {
            duration
        };
        *until = end.max(*until);
        own
    }

    /// The same for times of the ledger: the end in milliseconds since 1970, the duration in
    /// seconds.
    pub fn own_seconds(&mut self, slot: u32, end: i64, seconds: f64) -> f64 {
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.own_time(
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
    fn trials_that_overlap_count_once() {
        let seconds = Duration::from_secs;
        let mut slot_times = SlotTimes::default();

        // Alone, then three together, one of them longer, then alone again after a pause.
        let ends_and_durations = [(10, 10), (15, 5), (15, 5), (17, 7), (30, 6)];
        let own = ends_and_durations
            .map(|(end, duration)| slot_times.own_time(0, seconds(end), seconds(duration)));
        assert_eq!(own, [10, 5, 0, 2, 6].map(seconds));

        // Slots do not overlap each other.
        assert_eq!(
            slot_times.own_time(1, seconds(30), seconds(30)),
            seconds(30)
        );
    }
}
