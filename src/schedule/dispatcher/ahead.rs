//! The dispatcher's part that has programs' folders and command lines made ready before their turn,
//! on a thread of its own: when a slot becomes free, its next program need not wait for the file
//! system.

use std::fs::File;
use std::sync::Arc;

use super::super::launch::ProgramPlan;
use super::super::start::{ProgramStart, Start};
use super::Dispatcher;
use super::preparer::{Make, Preparer};
use crate::grid::TrialId;
use crate::plan::PlannedTrial;

/// So many are made ready at most. A disk may take a tenth of a second to read what it needs for a
/// new folder.
const MOST: usize = 256;

/// Programs that are ready to be started.
#[derive(Default)]
pub(super) struct Ahead {
    /// Where they are made, from the first one on. What is None there went wrong. It will go wrong
    /// again when the trial is to start, and is reported then.
    preparer: Option<Preparer<Option<ProgramPlan>>>,
    /// How many programs were started since the last ones were asked for, and how many were known
    /// to come then.
    started: usize,
    known: usize,
    /// How many were started since the last tick, and from the last but one to that.
    recent: (usize, usize),
}

impl Ahead {
    /// Time passes.
    pub(super) fn on_tick(&mut self) {
        self.recent = (0, self.recent.0);
    }

    /// How many are to be ready: as many as there are slots, which may all become free at once; if
    /// trials are short, as many as start from tick to tick.
    fn depth(&self, slots: usize) -> usize {
        let (this_tick, last_tick) = self.recent;
        slots.max(this_tick).max(last_tick).min(MOST)
    }

    /// Whether programs are to be made ready: of those that were to be, a quarter has been started.
    fn is_due(&self, slots: usize) -> bool {
        self.started > 0 && self.started * 4 >= self.depth(slots).min(self.known)
    }

    /// A program that was made ready for a trial. The trial starts.
    fn take(&mut self, trial: TrialId) -> Option<ProgramPlan> {
        self.started += 1;
        self.recent.0 += 1;
        self.preparer.as_mut()?.take(trial)?
    }
}

impl Dispatcher {
    /// What to start for a trial, as an attempt of that name, and its log.
    pub(super) fn program_of(
        &mut self,
        start: &ProgramStart,
        trial: &PlannedTrial,
        attempt: &str,
    ) -> std::io::Result<(ProgramPlan, File)> {
        // One whose folder has been removed since is made again.
        if let Some(mut plan) = self.ahead.take(trial.id)
            && let Ok(log) = plan.begin(attempt)
        {
            return Ok((plan, log));
        }
        let mut plan = start.plan(trial, &(self.config_of)(trial), &self.workers.dir)?;
        let log = plan.begin(attempt)?;
        Ok((plan, log))
    }

    /// Whether programs are to be made ready.
    pub(super) fn is_to_prepare(&self) -> bool {
        self.ahead.is_due(self.processes.len())
    }

    /// Has the next programs made ready.
    pub(super) fn prepare(&mut self) {
        self.ahead.started = 0;
        let Start::Program(start) = &self.workers.start else {
            return;
        };
        if self.ahead.preparer.is_none() {
            // Without a thread nothing is made ready: each is made at its turn.
            self.ahead.preparer = Preparer::new().ok();
        }
        let depth = self.ahead.depth(self.processes.len());
        let Some(preparer) = &mut self.ahead.preparer else {
            return;
        };
        // Those that have been passed over are made ready anew when it is their turn again.
        let coming: Vec<&PlannedTrial> = self.reactor.upcoming().take(MOST).collect();
        preparer.keep(&coming.iter().map(|trial| trial.id).collect());
        self.ahead.known = coming.len();
        let missing = coming
            .into_iter()
            .take(depth)
            .filter(|trial| !preparer.has(trial.id));
        let order = |trial: &PlannedTrial| -> (TrialId, Make<Option<ProgramPlan>>) {
            let (start, dir) = (Arc::clone(start), self.workers.dir.clone());
            let (config, trial) = ((self.config_of)(trial), *trial);
            (
                trial.id,
                Box::new(move || start.plan(&trial, &config, &dir).ok()),
            )
        };
        let orders = missing.map(order).collect();
        preparer.ask(orders);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many starts programs are to be made ready, 1,000 being known to come.
    fn due_after(ahead: &mut Ahead, slots: usize) -> usize {
        (ahead.started, ahead.known) = (0, 1000);
        assert!(!ahead.is_due(slots), "nothing has been started");
        (1..)
            .find(|_| ahead.take("k7m2p9x4qa-3".parse().unwrap()).is_some() || ahead.is_due(slots))
            .unwrap()
    }

    #[test]
    fn long_trials_have_as_many_ready_as_there_are_slots() {
        let mut ahead = Ahead::default();
        assert_eq!(
            [ahead.depth(1), ahead.depth(8), ahead.depth(1000)],
            [1, 8, MOST]
        );
        assert_eq!(
            [
                due_after(&mut ahead, 1),
                due_after(&mut ahead, 8),
                due_after(&mut ahead, 1000)
            ],
            [1, 2, MOST / 4]
        );
    }

    #[test]
    fn short_trials_have_as_many_ready_as_start_in_a_tick() {
        let mut ahead = Ahead {
            recent: (100, 0),
            ..Ahead::default()
        };
        assert_eq!((ahead.depth(2), due_after(&mut ahead, 2)), (100, 34));
        ahead.on_tick();
        assert_eq!((ahead.depth(2), ahead.recent), (134, (0, 134)));
        ahead.on_tick();
        assert_eq!(ahead.depth(2), 2, "none started in a whole tick");
    }

    #[test]
    fn where_few_are_known_to_come_they_are_looked_for_often() {
        // `--best-first` knows one at a time.
        for known in [0, 1, 4] {
            assert!(
                Ahead {
                    started: 1,
                    known,
                    recent: (200, 200),
                    ..Ahead::default()
                }
                .is_due(2)
            );
        }
        assert!(
            !Ahead {
                started: 1,
                known: 5,
                recent: (200, 200),
                ..Ahead::default()
            }
            .is_due(2)
        );
    }
}
