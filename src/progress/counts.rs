//! Counts, throughput and time left of a phase, from the scheduler's notices. Pure: the caller
//! passes the time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::slot_time::SlotTimes;
use crate::plan::Phase;
use crate::schedule::{Notice, SlotIndex};
use crate::text::count;

/// The progress of a phase.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The phase.
    pub phase: Option<Phase>,
    /// The progress of each arm.
    pub arms: Vec<ArmProgress>,
    slots: usize,
    began: Duration,
    /// Number of trials that have ended since the phase began in this session.
    ended: u64,
    /// What the workers of slots wait for in a queue.
    waits: BTreeMap<SlotIndex, String>,
    slot_times: SlotTimes,
}

/// The progress of one arm in a phase.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArmProgress {
    /// Number of its trials.
    pub all: u64,
    /// Trials with a result.
    pub done: u64,
    /// Trials that failed and have no retries left.
    pub failed: u64,
    /// Trials that do not run, since their points cannot become the best any more.
    pub pruned: u64,
    /// Trials that succeeded in this session: their number, and the seconds of their slots' time
    /// that they took.
    measured: (u64, f64),
}

impl ArmProgress {
    /// Number of trials that have not ended.
    pub fn left(&self) -> u64 {
        self.all - self.done - self.failed - self.pruned
    }

    /// Mean seconds that its trials took; None before the first has succeeded.
    fn mean_duration(&self) -> Option<f64> {
        let (count, seconds) = self.measured;
        (count > 0).then(|| seconds / count as f64)
    }
}

impl Progress {
    /// Records something that happened at the time `now`.
    pub fn update(&mut self, now: Duration, notice: &Notice) {
        match notice {
            Notice::PhaseStarted {
                phase, arms, slots, ..
            } => {
                let arms = arms
                    .iter()
                    .map(|&(all, done, failed)| ArmProgress {
                        all,
                        done,
                        failed,
                        ..ArmProgress::default()
                    })
                    .collect();
                // Workers stay, and keep waiting, from one phase to the next.
                let waits = std::mem::take(&mut self.waits);
                *self = Self {
                    phase: Some(*phase),
                    arms,
                    slots: *slots,
                    began: now,
                    ended: 0,
                    waits,
                    slot_times: SlotTimes::default(),
                };
            }
            Notice::TrialDone {
                slot,
                trial,
                duration,
                ..
            } => {
                let share = self.slot_times.own_time(slot.0, now, *duration);
                let arm = &mut self.arms[trial.arm.0];
                arm.done += 1;
                arm.measured.0 += 1;
                arm.measured.1 += share.as_secs_f64();
                self.ended += 1;
            }
            Notice::TrialFailed {
                trial,
                retry_in: None,
                ..
            } => {
                self.arms[trial.arm.0].failed += 1;
                self.ended += 1;
            }
            Notice::Pruned { trials } => {
                for trial in trials {
                    self.arms[trial.arm.0].pruned += 1;
                }
            }
            Notice::RaceOff { back, .. } => {
                for trial in back {
                    self.arms[trial.arm.0].pruned -= 1;
                }
            }
            Notice::Waits {
                slot,
                why: Some(why),
            } => {
                self.waits.insert(*slot, why.clone());
            }
            Notice::Waits { slot, why: None }
            | Notice::WorkerReady { slot, .. }
            | Notice::WorkerLost { slot, .. }
            | Notice::TrialStarted { slot, .. } => {
                self.waits.remove(slot);
            }
            _ => {}
        }
    }

    /// Says how many workers wait in a queue, and for what: `3 workers pending (2 Priority, 1
    /// Resources)`. None if no worker waits.
    pub fn waiting_line(&self) -> Option<String> {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.waits.values() {
            *reasons.entry(reason).or_default() += 1;
        }
        if self.waits.is_empty() {
            return None;
        }

        let workers = count(self.waits.len(), "worker");
        let listed = if reasons.len() == 1 {
            reasons.into_keys().collect()
        } else {
            let counted: Vec<String> = reasons
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            counted.join(", ")
        };
        Some(format!("{workers} pending ({listed})"))
    }

    fn sum(&self, figure: impl Fn(&ArmProgress) -> u64) -> u64 {
        self.arms.iter().map(figure).sum()
    }

    /// Number of trials of the phase.
    pub fn all(&self) -> u64 {
        self.sum(|arm| arm.all)
    }

    /// Number of trials with a result.
    pub fn done(&self) -> u64 {
        self.sum(|arm| arm.done)
    }

    /// Number of trials that failed and have no retries left.
    pub fn failed(&self) -> u64 {
        self.sum(|arm| arm.failed)
    }

    /// Number of trials that do not need to run.
    pub fn pruned(&self) -> u64 {
        self.sum(|arm| arm.pruned)
    }

    /// Number of trials that have not ended.
    pub fn left(&self) -> u64 {
        self.sum(ArmProgress::left)
    }

    /// Trials per minute since the phase began in this session; None before the first has ended.
    pub fn per_minute(&self, now: Duration) -> Option<f64> {
        let elapsed = now.saturating_sub(self.began).as_secs_f64();
        (self.ended > 0 && elapsed > 0.0).then(|| self.ended as f64 * 60.0 / elapsed)
    }

    /// Time left, from the mean duration of each arm. An arm without a result is assumed to take
    /// the mean of the others.
    pub fn time_left(&self) -> Option<Duration> {
        let known: Vec<f64> = self
            .arms
            .iter()
            .filter_map(ArmProgress::mean_duration)
            .collect();
        if known.is_empty() {
            return None;
        }

        // An arm of which nothing is known is taken to be as slow as the others.
        let typical = known.iter().sum::<f64>() / known.len() as f64;

        let work: f64 = self
            .arms
            .iter()
            .map(|arm| arm.mean_duration().unwrap_or(typical) * arm.left() as f64)
            .sum();
        Duration::try_from_secs_f64(work / self.slots.max(1) as f64).ok()
    }
}

/// Formats a duration for people: `45 s`, `3 min 20 s`, `2 h 05 min`, `46.0 days`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..=172_799 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{:.1} days", seconds as f64 / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{ArmIndex, PointId, PointIndex, TrialId};
    use crate::plan::{BoundViolation, PlannedTrial};

    fn trial(arm: usize) -> PlannedTrial {
        let id = TrialId {
            point: PointId::of_canonical("{}"),
            seed: 0,
        };
        PlannedTrial {
            id,
            phase: Phase::Tune,
            arm: ArmIndex(arm),
            index: PointIndex(0),
            group: None,
        }
    }

    #[test]
    fn time_left_uses_the_durations_of_each_arm() {
        let mut progress = Progress::default();
        let at = Duration::from_secs;
        progress.update(
            at(0),
            &Notice::PhaseStarted {
                phase: Phase::Tune,
                arms: vec![(10, 4, 1), (5, 0, 0), (2, 0, 0)],
                slots: 2,
                timed: false,
            },
        );
        assert_eq!(
            (progress.all(), progress.done(), progress.failed()),
            (17, 4, 1)
        );
        assert_eq!(progress.time_left(), None);
        let done = |arm, seconds| Notice::TrialDone {
            slot: SlotIndex(0),
            trial: trial(arm),
            metrics: Default::default(),
            duration: at(seconds),
        };
        progress.update(at(10), &done(0, 10));
        progress.update(at(30), &done(1, 20));

        // 4 left of 10 s, 4 left of 20 s, 2 left of unknown duration counted as 15 s, on 2 slots.
        assert_eq!(progress.time_left(), Some(at(75)));
        assert_eq!(progress.per_minute(at(30)), Some(4.0));

        // A pack of two: as long as one, for both.
        progress.update(at(60), &done(1, 20));
        progress.update(at(60), &done(1, 20));
        assert_eq!(progress.arms[1].measured, (3, 40.0));
        progress.arms[1] = ArmProgress {
            done: 1,
            measured: (1, 20.0),
            ..progress.arms[1]
        };

        // Two of the second arm's need not run, and one of them must after all.
        progress.update(
            at(31),
            &Notice::Pruned {
                trials: vec![trial(1), trial(1)],
            },
        );
        assert_eq!(
            (progress.pruned(), progress.left(), progress.time_left()),
            (2, 8, Some(at(55)))
        );
        let beyond = BoundViolation {
            trial: trial(1).id,
            value: 2.0,
            best: 1.0,
        };
        progress.update(
            at(32),
            &Notice::RaceOff {
                beyond,
                back: vec![trial(1)],
            },
        );
        assert_eq!(
            (progress.pruned(), progress.left(), progress.time_left()),
            (1, 9, Some(at(65)))
        );
    }

    #[test]
    fn durations_are_formatted_for_people() {
        let say = |seconds| human_duration(Duration::from_secs(seconds));
        assert_eq!(
            [say(0), say(59), say(60), say(3725), say(172_800)],
            ["0 s", "59 s", "1 min 00 s", "1 h 02 min", "2.0 days"]
        );
    }
}
