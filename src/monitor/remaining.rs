//! Throughput, and an estimate of the time that is left.

use std::collections::{BTreeMap, HashSet};

use super::attempts::milliseconds;
use super::sweep::Sweep;
use crate::aggregate::ArmEvaluation;
use crate::grid::ArmIndex;
use crate::plan::estimate;

/// Time left by arm, in seconds, with the slots of the last session.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeLeft {
    /// For the tuning trials, which share all slots.
    pub tune: Vec<f64>,
    /// For the final trials, which run one at a time on each device.
    pub finals: Vec<f64>,
}

impl TimeLeft {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.tune.iter().chain(&self.finals).sum()
    }
}

impl Sweep {
    /// Trials per minute, from the last ones that succeeded; None if it does not run, or if fewer
    /// than two have ended while it was monitored.
    pub fn per_minute(&self) -> Option<f64> {
        self.holder.as_ref()?;
        let first = milliseconds(self.recent_ends.front()?);
        let last = milliseconds(self.recent_ends.back()?);
        let intervals = (self.recent_ends.len() - 1) as f64;
        (last > first).then(|| intervals * 60_000.0 / (last - first) as f64)
    }

    /// How long the rest takes. None if all is done, or if no trial has ended that could tell.
    pub fn time_left(&self) -> Option<TimeLeft> {
        let measured = self.mean_durations();
        let slots = self.slots();
        if self.evaluation().is_complete() || measured.is_empty() || slots.is_empty() {
            return None;
        }

        let devices = slots.iter().collect::<HashSet<_>>().len();
        let mut left = TimeLeft {
            tune: Vec::new(),
            finals: Vec::new(),
        };
        for arm in &self.evaluation().arms {
            let tune = self.seconds_for(arm, arm.tune_tally.left(), &measured)?;
            left.tune.push(tune / slots.len() as f64);
            let finals = self.seconds_for(arm, self.finals_left(arm), &measured)?;
            left.finals.push(finals / devices as f64);
        }
        Some(left)
    }

    /// Mean duration of the successful trials by arm, in seconds.
    fn mean_durations(&self) -> BTreeMap<ArmIndex, f64> {
        self.measured
            .iter()
            .enumerate()
            .filter(|(_, (count, _))| *count > 0)
            .map(|(arm, (count, sum))| (ArmIndex(arm), sum / *count as f64))
            .collect()
    }

    /// Final trials of an arm that are still to run. An arm of which no point can be selected any
    /// more has none.
    fn finals_left(&self, arm: &ArmEvaluation) -> u64 {
        let may_have_finals = arm.selection.best.is_some() || arm.tune_tally.left() > 0;
        if !may_have_finals {
            return 0;
        }
        let planned = self.spec().seeds.final_.len() as u64;
        planned - arm.final_tally.done - arm.final_tally.failed
    }

    /// Seconds that a number of trials of an arm take, one after the other.
    fn seconds_for(
        &self,
        arm: &ArmEvaluation,
        trials: u64,
        measured: &BTreeMap<ArmIndex, f64>,
    ) -> Option<f64> {
        let left = [(ArmIndex(arm.arm), trials)];
        let estimate = estimate(self.spec(), self.grid(), left, measured)?;
        Some(estimate.work.as_secs_f64())
    }
}
