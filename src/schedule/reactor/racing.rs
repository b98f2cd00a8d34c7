//! Safe racing in the reactor: results advance the race, and trials whose points are out are held
//! back. If a result shows that the race was not safe, they all come back.

use super::slot::Job;
use super::{Notice, Reactor};
use crate::plan::{Phase, PlannedTrial, Race, RaceUpdate};
use crate::protocol::Metrics;

/// The whole queue is searched once more than one in this many of its trials may be out: a search
/// costs as much as the queue is long. Trials that are about to be handed out are always checked.
const SEARCH_THRESHOLD: usize = 8;

impl Reactor {
    /// Sets the race that the next trials are in. With `best_first` they are handed out by what
    /// their points can still reach, instead of in their order. To be called once, before any
    /// trials.
    pub fn set_race(&mut self, race: Race, best_first: bool) {
        self.race = Some(race);
        if best_first {
            self.queue.rank();
        }
    }

    /// Queues trials.
    pub(super) fn enqueue(&mut self, jobs: Vec<Job>) {
        match &self.race {
            Some(race) => self.queue.extend_ranked(jobs, race),
            None => self.queue.extend(jobs),
        }
        // Some may be of points that are out already.
        self.maybe_out = self.queue.len();
    }

    /// Tells the race of a result. It need not be on the disk yet: if it never gets there, the next
    /// start knows neither the result nor what was held back for it.
    pub(super) fn on_result(&mut self, trial: &PlannedTrial, metrics: &Metrics) {
        let Some(race) = &mut self.race else { return };
        let update = race.record(trial.id, metrics.get(&self.settings.metric));
        self.queue.on_result(trial.id.point, race);
        match update {
            RaceUpdate::Unchanged => {}
            RaceUpdate::Eliminated(trials) => self.maybe_out += trials as usize,
            RaceUpdate::Cancelled => {
                let held = std::mem::take(&mut self.held);
                if let Some(beyond) = race.bound_violation().cloned() {
                    let back = held.iter().map(|job| job.trial).collect();
                    self.tell(Notice::RaceOff { beyond, back });
                }
                self.enqueue(held);
            }
        }
    }

    /// Holds back the trials whose points are out.
    pub(super) fn hold_back(&mut self) {
        let Some(race) = &self.race else { return };
        let mut out = Vec::new();
        if self.maybe_out > 0 && self.maybe_out * SEARCH_THRESHOLD >= self.queue.len() {
            out.extend(self.queue.take_out(&|job| is_out(race, job)));
            self.maybe_out = 0;
        }
        out.extend(self.solitary.extract_if(.., |job| is_out(race, job)));
        let delayed = self.delayed.extract_if(.., |(_, job)| is_out(race, job));
        out.extend(delayed.map(|(_, job)| job));
        self.hold(out);
    }

    /// Holds back those trials of a bundle whose points are out, and returns the others.
    pub(super) fn without_those_out(&mut self, bundle: Vec<Job>) -> Vec<Job> {
        let Some(race) = &self.race else {
            return bundle;
        };
        let (out, bundle): (Vec<Job>, Vec<Job>) =
            bundle.into_iter().partition(|job| is_out(race, job));
        self.hold(out);
        bundle
    }

    fn hold(&mut self, out: Vec<Job>) {
        if out.is_empty() {
            return;
        }
        self.tell(Notice::Pruned {
            trials: out.iter().map(|job| job.trial).collect(),
        });
        self.held.extend(out);
    }
}

fn is_out(race: &Race, job: &Job) -> bool {
    job.trial.phase == Phase::Tune && race.is_eliminated(job.trial.id.point)
}
