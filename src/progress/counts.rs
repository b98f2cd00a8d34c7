//! Counts, throughput and time left, from notices. Pure but for the clock readings that it is
//! handed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::slot_time::SlotTimes;
use crate::plan::Phase;
use crate::schedule::Notice;
use crate::text::count;

/// How a phase stands.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The phase.
    pub phase: Option<Phase>,
    /// By arm: all trials, done, failed for good.
    pub arms: Vec<ArmProgress>,
    slots: usize,
    began: Duration,
    /// Trials that ended since the phase began in this session.
    ended: u64,
    /// What slots wait for in a queue.
    waits: BTreeMap<usize, String>,
    slot_times: SlotTimes,
}

/// How one arm stands in a phase.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArmProgress {
    /// All its trials.
    pub all: u64,
    /// With a result.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Not to be run: their points cannot become the best any more.
    pub pruned: u64,
    /// Trials that ended in this session: their number, and the seconds that they took of their
    /// slots.
    measured: (u64, f64),
}

impl ArmProgress {
    /// Trials that have not ended.
    pub fn left(&self) -> u64 {
        self.all - self.done - self.failed - self.pruned
    }
}

impl Progress {
    /// Takes note of what happened at a time.
    pub fn update(&mut self, now: Duration, notice: &Notice) {
        match notice {
            Notice::PhaseStarted { phase, arms, slots } => {
                let arm = |&(all, done, failed): &(u64, u64, u64)| ArmProgress {
                    all,
                    done,
                    failed,
                    ..ArmProgress::default()
                };
                let waits = std::mem::take(&mut self.waits);
                *self = Self {
                    phase: Some(*phase),
                    arms: arms.iter().map(arm).collect(),
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
                let share = self.slot_times.share(*slot, now, *duration);
                let arm = &mut self.arms[trial.arm];
                arm.done += 1;
                arm.measured = (arm.measured.0 + 1, arm.measured.1 + share.as_secs_f64());
                self.ended += 1;
            }
            Notice::TrialFailed {
                trial,
                retry_in: None,
                ..
            } => {
                self.arms[trial.arm].failed += 1;
                self.ended += 1;
            }
            Notice::Pruned { trials } => trials
                .iter()
                .for_each(|trial| self.arms[trial.arm].pruned += 1),
            Notice::RaceOff { back, .. } => back
                .iter()
                .for_each(|trial| self.arms[trial.arm].pruned -= 1),
            Notice::Waits {
                slot,
                why: Some(why),
            } => drop(self.waits.insert(*slot, why.clone())),
            Notice::Waits { slot, why: None }
            | Notice::WorkerReady { slot, .. }
            | Notice::WorkerLost { slot, .. } => {
                self.waits.remove(slot);
            }
            Notice::TrialStarted { slot, .. } => drop(self.waits.remove(slot)),
            _ => {}
        }
    }

    /// How many workers wait in a queue, and for what: `3 workers pending (2 Priority, 1
    /// Resources)`. None: none do.
    pub fn waiting_line(&self) -> Option<String> {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        self.waits
            .values()
            .for_each(|why| *reasons.entry(why).or_default() += 1);
        let all = self.waits.len();
        let them = count(all, "worker");
        match reasons.len() {
            0 => None,
            1 => reasons
                .keys()
                .next()
                .map(|why| format!("{them} pending ({why})")),
            _ => {
                let each: Vec<String> = reasons
                    .iter()
                    .map(|(why, count)| format!("{count} {why}"))
                    .collect();
                Some(format!("{them} pending ({})", each.join(", ")))
            }
        }
    }

    fn sum(&self, figure: impl Fn(&ArmProgress) -> u64) -> u64 {
        self.arms.iter().map(figure).sum()
    }

    /// All trials of the phase.
    pub fn all(&self) -> u64 {
        self.sum(|arm| arm.all)
    }

    /// Trials with a result.
    pub fn done(&self) -> u64 {
        self.sum(|arm| arm.done)
    }

    /// Trials that failed for good.
    pub fn failed(&self) -> u64 {
        self.sum(|arm| arm.failed)
    }

    /// Trials that need not run.
    pub fn pruned(&self) -> u64 {
        self.sum(|arm| arm.pruned)
    }

    /// Trials that have not ended.
    pub fn left(&self) -> u64 {
        self.sum(ArmProgress::left)
    }

    /// Trials a minute, since the phase began in this session; None before the first.
    pub fn per_minute(&self, now: Duration) -> Option<f64> {
        let elapsed = now.saturating_sub(self.began).as_secs_f64();
        (self.ended > 0 && elapsed > 0.0).then(|| self.ended as f64 * 60.0 / elapsed)
    }

    /// Time left, from the arms' own mean durations; an arm without any counts as the mean of the
    /// others.
    pub fn time_left(&self) -> Option<Duration> {
        let known: Vec<f64> = self
            .arms
            .iter()
            .filter(|arm| arm.measured.0 > 0)
            .map(|arm| arm.measured.1 / arm.measured.0 as f64)
            .collect();
        if known.is_empty() {
            return None;
        }
        let typical = known.iter().sum::<f64>() / known.len() as f64;
        let work: f64 = self
            .arms
            .iter()
            .map(|arm| {
                let each = if arm.measured.0 > 0 {
                    arm.measured.1 / arm.measured.0 as f64
                } else {
                    typical
                };
                each * arm.left() as f64
            })
            .sum();
        Duration::try_from_secs_f64(work / self.slots.max(1) as f64).ok()
    }
}

/// A duration as people say it: `45 s`, `3 min 20 s`, `2 h 05 min`, `46 days`.
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
    use crate::grid::{PointId, TrialId};
    use crate::plan::{Beyond, PlannedTrial};

    fn trial(arm: usize) -> PlannedTrial {
        let id = TrialId {
            point: PointId::of_canonical("{}"),
            seed: 0,
        };
        PlannedTrial {
            id,
            phase: Phase::Tune,
            arm,
            index: 0,
            group: None,
        }
    }

    #[test]
    fn time_left_goes_by_each_arms_own_duration() {
        let mut progress = Progress::default();
        let at = Duration::from_secs;
        progress.update(
            at(0),
            &Notice::PhaseStarted {
                phase: Phase::Tune,
                arms: vec![(10, 4, 1), (5, 0, 0), (2, 0, 0)],
                slots: 2,
            },
        );
        assert_eq!(
            (progress.all(), progress.done(), progress.failed()),
            (17, 4, 1)
        );
        assert_eq!(progress.time_left(), None);
        let done = |arm, seconds| Notice::TrialDone {
            slot: 0,
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
        let beyond = Beyond {
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
    fn durations_are_written_as_people_say_them() {
        let say = |seconds| human_duration(Duration::from_secs(seconds));
        assert_eq!(
            [say(0), say(59), say(60), say(3725), say(172_800)],
            ["0 s", "59 s", "1 min 00 s", "1 h 02 min", "2.0 days"]
        );
    }
}
