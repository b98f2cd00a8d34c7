//! The dispatcher's part that makes programs' folders and command lines ready while all slots are busy: when one becomes free, the
//! next program need not wait for that.

use super::super::launch::ProgramPlan;
use super::super::start::{ProgramStart, Start};
use super::Dispatcher;
use crate::grid::TrialId;
use crate::plan::PlannedTrial;

/// So many are made ready at most.
const MOST: usize = 8;

/// Programs that are ready to be started.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// None: something was wrong. It will be wrong again when the trial is to start, and is reported then.
    ready: Vec<(TrialId, Option<ProgramPlan>)>,
}

impl Ahead {
    fn has(&self, trial: &PlannedTrial) -> bool {
        self.ready.iter().any(|(ready, _)| *ready == trial.id)
    }
}

impl Dispatcher {
    /// What to start for a trial, in a slot that is not known yet.
    pub(super) fn program_of(&mut self, start: &ProgramStart, trial: &PlannedTrial) -> std::io::Result<ProgramPlan> {
        let ready = self.ahead.ready.iter().position(|(ready, _)| *ready == trial.id);
        match ready.and_then(|place| self.ahead.ready.remove(place).1) {
            Some(plan) => Ok(plan),
            None => start.plan(trial, &(self.config_of)(trial), &self.workers.dir),
        }
    }

    /// The trial whose program is to be made ready next.
    pub(super) fn to_prepare(&self) -> Option<&PlannedTrial> {
        let programs = matches!(self.workers.start, Start::Program(_));
        let busy = programs && self.processes.iter().all(|process| process.alive);
        if busy { self.coming().find(|next| !self.ahead.has(next)) } else { None }
    }

    /// The trials that are to be ready: as many as there are slots, which may all become free at once.
    fn coming(&self) -> impl Iterator<Item = &PlannedTrial> {
        self.reactor.upcoming().take(self.processes.len().min(MOST))
    }

    /// Makes a program ready.
    pub(super) fn prepare(&mut self) {
        let (Start::Program(start), Some(next)) = (&self.workers.start, self.to_prepare()) else { return };
        let (id, plan) = (next.id, start.plan(next, &(self.config_of)(next), &self.workers.dir));
        // Those that have been passed over are made ready anew when it is their turn again.
        let coming: Vec<TrialId> = self.coming().map(|next| next.id).collect();
        self.ahead.ready.retain(|(ready, _)| coming.contains(ready));
        self.ahead.ready.push((id, plan.ok()));
    }
}
