//! Safe racing in the reactor: results move the race on, and trials of points that are out are held
//! back. Should a result show that the race was not safe, they all come back.

use super::slot::Job;
use super::{Action, Notice, Reactor};
use crate::plan::{Phase, PlannedTrial, Race, Turn};
use crate::protocol::Metrics;

/// Part of the queue that may be of points that are out, before the whole of it is gone through: each time costs as much as
/// it is long. What comes to its front is looked at in any case.
const SHARE: u64 = 8;

impl Reactor {
    /// The race that the next trials are in, as it stands; `best_first`: they are not given out as they come, but by what
    /// their points can still reach. Once, before any trials.
    pub fn race(&mut self, race: Race, best_first: bool) {
        self.race = Some(race);
        if best_first {
            self.queue.rank();
        }
    }

    /// A result has come. It need not be on the disk yet: if it never gets there, the next start knows nothing of it,
    /// and nothing of what was held back for it.
    pub(super) fn on_result(&mut self, trial: &PlannedTrial, metrics: &Metrics) {
        let Some(race) = &mut self.race else { return };
        let turn = race.record(trial.id, metrics.get(&self.settings.metric));
        self.queue.touch(trial.id.point, race);
        match turn {
            Turn::Nothing => {}
            Turn::Out(trials) => self.perhaps_out += trials,
            Turn::Off => {
                let held = std::mem::take(&mut self.held);
                if let Some(beyond) = race.beyond().cloned() {
                    let back = held.iter().map(|job| job.trial).collect();
                    self.actions.push(Action::Tell(Notice::RaceOff { beyond, back }));
                }
                self.queue.extend(held, self.race.as_ref());
            }
        }
    }

    /// Holds back the trials of points that are out.
    pub(super) fn hold_back(&mut self) {
        let Some(race) = &self.race else { return };
        let is_out = |job: &Job| job.trial.phase == Phase::Tune && race.is_out(job.trial.id.point);
        let mut out = Vec::new();
        if self.perhaps_out * SHARE >= self.queue.len() as u64 && self.perhaps_out > 0 {
            out.extend(self.queue.take_out(&is_out));
            self.perhaps_out = 0;
        }
        while self.queue.front().is_some_and(is_out) {
            out.extend(self.queue.pop_front(Some(race)));
        }
        out.extend(self.solitary.extract_if(.., |job| is_out(job)));
        out.extend(self.waiting.extract_if(.., |(_, job)| is_out(job)).map(|(_, job)| job));
        if !out.is_empty() {
            self.actions.push(Action::Tell(Notice::Pruned { trials: out.iter().map(|job| job.trial).collect() }));
            self.held.extend(out);
        }
    }
}
