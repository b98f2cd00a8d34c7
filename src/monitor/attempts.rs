//! Records what attempts tell about a sweep: which trials run, what slots have done, how trials
//! failed.

use std::collections::{BTreeMap, HashMap};

use super::records::{Failures, LatestAttempt, RunningTrial};
use super::sweep::Sweep;
use crate::grid::TrialId;
use crate::ledger::{AttemptUpdate, EpochRow};
use crate::protocol::FailureKind;
use crate::report::device_in_words;

/// Number of the last successful trials that the throughput is computed from.
const RECENT_TRIALS: usize = 200;

impl Sweep {
    /// Records attempts that are new or have changed. `epochs` are the last rows of history of the
    /// trials that run.
    pub(super) fn record_attempts(&mut self, attempts: Vec<AttemptUpdate>, epochs: Vec<EpochRow>) {
        let mut epochs: HashMap<TrialId, EpochRow> =
            epochs.into_iter().map(|row| (row.id, row)).collect();
        for attempt in attempts {
            self.record_slot(&attempt);
            self.running.remove(&attempt.number);
            if attempt.ended_at.is_none() && self.holder.is_some() {
                self.record_running(&attempt, epochs.remove(&attempt.trial));
            } else if attempt.outcome == "done" {
                self.record_success(&attempt);
            }
            self.record_latest(attempt);
        }

        if self.holder.is_none() {
            self.running.clear();
        }
    }

    /// Adds an attempt to what its slot has done.
    fn record_slot(&mut self, attempt: &AttemptUpdate) {
        let Some((slot, device)) = &attempt.slot else {
            return;
        };

        let work = self.slot_work.entry(*slot).or_default();
        work.device.clone_from(device);
        if attempt.outcome != "done" {
            return;
        }

        work.done += 1;
        work.seconds += attempt.duration.unwrap_or(0.0);
        let device = device_in_words(device, attempt.threads);

        if let Err(index) = self.devices.binary_search(&device) {
            self.devices.insert(index, device);
        }
    }

    fn record_running(&mut self, attempt: &AttemptUpdate, epoch: Option<EpochRow>) {
        let Some(trial) = self.planned(attempt.trial) else {
            return;
        };
        let running = RunningTrial {
            trial,
            started: milliseconds(&attempt.started_at),
            slot: attempt.slot.clone(),
            epoch: epoch.map(|row| (row.position, row.metrics)),
        };
        self.running.insert(attempt.number, running);
    }

    /// Adds a successful attempt to the measured durations and to the throughput.
    fn record_success(&mut self, attempt: &AttemptUpdate) {
        let ended_at = attempt.ended_at.as_deref();
        if let Some(seconds) = attempt.duration {
            // Trials of a pack end together: they count only the time that passed.
            let end = ended_at.map_or(0, milliseconds);
            let slot = attempt.slot.as_ref().map_or(0, |(slot, _)| *slot);
            let seconds = self.slot_times.own_seconds(slot, end, seconds);
            for &(arm, _) in self.tracker.places(attempt.trial.point) {
                let measured = &mut self.measured[arm];
                measured.0 += 1;
                measured.1 += seconds;
            }
        }

        if let Some(at) = ended_at {
            self.recent_ends.push_back(at.to_owned());
            if self.recent_ends.len() > RECENT_TRIALS {
                self.recent_ends.pop_front();
            }
        }
    }

    /// Keeps an attempt if it is the latest one at its trial.
    fn record_latest(&mut self, attempt: AttemptUpdate) {
        let is_outdated = self
            .latest
            .get(&attempt.trial)
            .is_some_and(|known| known.number > attempt.number);
        if is_outdated {
            return;
        }

        let failure = (attempt.outcome == "failed").then(|| {
            (
                attempt.kind.unwrap_or(FailureKind::Error),
                attempt.message.unwrap_or_default(),
            )
        });
        if failure.is_some() {
            self.failing.insert(attempt.trial);
        } else {
            self.failing.remove(&attempt.trial);
        }
        let latest = LatestAttempt {
            number: attempt.number,
            started: milliseconds(&attempt.started_at),
            duration: attempt.duration,
            failure,
        };
        self.latest.insert(attempt.trial, latest);
    }

    /// Trials that failed, by kind of failure; the kind of most trials comes first.
    pub fn failures(&self) -> Vec<Failures> {
        let mut kinds: BTreeMap<&'static str, Failures> = BTreeMap::new();
        for id in &self.failing {
            let latest = self.latest.get(id);
            let Some((kind, message)) = latest.and_then(|latest| latest.failure.as_ref()) else {
                continue;
            };
            if self.planned(*id).is_none() {
                continue;
            }
            let failures = kinds.entry(kind.name()).or_insert_with(|| Failures {
                kind: *kind,
                failed: Vec::new(),
                to_retry: 0,
                message: String::new(),
            });
            if self.failed.contains(id) {
                failures.failed.push(*id);
            } else {
                failures.to_retry += 1;
            }
            if failures.message.is_empty() {
                failures.message.clone_from(message);
            }
        }

        let mut list: Vec<Failures> = kinds.into_values().collect();
        list.sort_by_key(|kind| std::cmp::Reverse((kind.failed.len(), kind.to_retry)));
        list
    }
}

/// A time of the ledger in milliseconds since 1970; 0 if it is not a time.
pub(super) fn milliseconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>()
        .map_or(0, jiff::Timestamp::as_millisecond)
}
