//! Safe racing in the reactor: results move the race on, and trials of points that are out are held
//! back. Should a result show that the race was not safe, they all come back.

use super::slot::Job;
use super::{Action, Notice, Reactor};
use crate::plan::{Phase, PlannedTrial, Race, RaceUpdate};
use crate::protocol::Metrics;

/// Part of the queue that may be of points that are out, before the whole of it is gone through:
/// each time costs as much as it is long. What is about to be given out is looked at in any case.
const SHARE: usize = 8;

impl Reactor {
    /// The race that the next trials are in, as it stands; `best_first`: they are not given out as
    /// they come, but by what their points can still reach. Once, before any trials.
    pub fn race(&mut self, race: Race, best_first: bool) {
        self.race = Some(race);
        if best_first {
            self.queue.rank();
        }
    }

    /// Trials that wait from now on.
    pub(super) fn enter(&mut self, jobs: Vec<Job>) {
        match &self.race {
            Some(race) => self.queue.extend_ranked(jobs, race),
            None => self.queue.extend(jobs),
        }
        // Some may be of points that are out already.
        self.perhaps_out = self.queue.len();
    }

    /// A result has come. It need not be on the disk yet: if it never gets there, the next start
    /// knows nothing of it, and nothing of what was held back for it.
    pub(super) fn on_result(&mut self, trial: &PlannedTrial, metrics: &Metrics) {
        let Some(race) = &mut self.race else { return };
        let turn = race.record(trial.id, metrics.get(&self.settings.metric));
        self.queue.touch(trial.id.point, race);
        match turn {
            RaceUpdate::Unchanged => {}
            RaceUpdate::Eliminated(trials) => self.perhaps_out += trials as usize,
            RaceUpdate::Cancelled => {
                let held = std::mem::take(&mut self.held);
                if let Some(beyond) = race.bound_violation().cloned() {
                    let back = held.iter().map(|job| job.trial).collect();
                    self.actions
                        .push(Action::Tell(Notice::RaceOff { beyond, back }));
                }
                self.enter(held);
            }
        }
    }

    /// Holds back the trials of points that are out.
    pub(super) fn hold_back(&mut self) {
        let Some(race) = &self.race else { return };
        let is_out = |job: &Job| is_out(race, job);
        let mut out = Vec::new();
        if self.perhaps_out > 0 && self.perhaps_out * SHARE >= self.queue.len() {
            out.extend(self.queue.take_out(&is_out));
            self.perhaps_out = 0;
        }
        out.extend(self.solitary.extract_if(.., |job| is_out(job)));
        out.extend(
            self.waiting
                .extract_if(.., |(_, job)| is_out(job))
                .map(|(_, job)| job),
        );
        self.hold(out);
    }

    /// Those trials of a bundle whose points are not out; the others are held back.
    pub(super) fn still_in(&mut self, bundle: Vec<Job>) -> Vec<Job> {
        let Some(race) = &self.race else {
            return bundle;
        };
        let (out, bundle): (Vec<Job>, Vec<Job>) =
            bundle.into_iter().partition(|job| is_out(race, job));
        self.hold(out);
        bundle
    }

    fn hold(&mut self, out: Vec<Job>) {
        if !out.is_empty() {
            self.actions.push(Action::Tell(Notice::Pruned {
                trials: out.iter().map(|job| job.trial).collect(),
            }));
            self.held.extend(out);
        }
    }
}

fn is_out(race: &Race, job: &Job) -> bool {
    job.trial.phase == Phase::Tune && race.is_eliminated(job.trial.id.point)
}
