//! The phases of a sweep: tuning trials, selection, final trials. The trials run in the event loop;
//! what is selected is computed between them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::error::SweepError;
use super::options::RunOptions;
use super::watched::Watched;
use crate::aggregate::{Evaluation, evaluate, race};
use crate::grid::{Grid, TrialId};
use crate::ledger::{Reader, TrialRow, TrialState};
use crate::plan::{Groups, Phase, PlannedTrial, final_trials, gather, shuffle, tuning_trials};
use crate::schedule::devices::SlotDevice;
use crate::schedule::{Dispatcher, Notice, PhaseEnd, Policy};
use crate::spec::Spec;

/// How long another program may keep the ledger from being read before the user is warned.
const FIRST_MESSAGE: Duration = Duration::from_secs(4);
/// Time between two such warnings.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two attempts to read a locked ledger.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// How the phases ended, and how the sweep stands after them.
type Ended = (PhaseEnd, Option<Evaluation>);

/// The phases of a sweep.
pub(super) struct Phases<'a> {
    /// The sweep.
    pub spec: &'a Spec,
    /// Its points.
    pub grid: &'a Grid,
    /// The ledger that results are recorded in.
    pub reader: Reader,
    /// What the ledger holds of each trial.
    pub rows: HashMap<TrialId, TrialRow>,
    /// Where trials run.
    pub slots: &'a [SlotDevice],
    /// How they run.
    pub options: &'a RunOptions,
    /// The event loop.
    pub runtime: &'a Runtime,
    /// Runs trials.
    pub dispatcher: Dispatcher,
    /// The code that they run.
    pub watched: Watched<'a>,
}

impl Phases<'_> {
    /// Runs all phases. Only the trials run within the event loop: Polars, which selection uses,
    /// refuses to work inside one.
    ///
    /// # Errors
    /// `SweepError`: the ledger fails, or no finished trial has the metric that selection needs.
    pub(crate) fn run(&mut self) -> Result<Ended, SweepError> {
        let mut tuning = tuning_trials(self.grid, &self.spec.seeds.tune);
        if let Some(seed) = self.options.shuffle {
            shuffle(&mut tuning, seed);
        }
        if self.options.sharing {
            Groups::of(self.spec, self.grid).mark(&mut tuning);
            gather(&mut tuning);
        }
        if let Some(race) = race(self.spec, self.grid, &self.rows) {
            self.dispatcher.set_race(race, self.options.best_first);
        }

        let mut ended = self.tune_and_finish(tuning.clone())?;
        // A final trial may have shown that the bound of `prune: safe` does not hold: then the
        // pruned trials run after all.
        if let (PhaseEnd::Done, Some(evaluation)) = &ended
            && evaluation.beyond.is_some()
            && evaluation.tuning_left() > 0
        {
            ended = self.tune_and_finish(tuning)?;
        }
        let (PhaseEnd::Done, evaluation) = ended else {
            return Ok((ended.0, None));
        };
        match self.runtime.block_on(self.dispatcher.close())? {
            // All trials are done: a Ctrl-C while the workers leave only hurries them.
            PhaseEnd::Interrupted => Ok((PhaseEnd::Done, evaluation)),
            end => Ok((end, evaluation)),
        }
    }

    /// Runs the tuning trials, and the final trials of the points that they select.
    fn tune_and_finish(&mut self, tuning: Vec<PlannedTrial>) -> Result<Ended, SweepError> {
        match self.phase(Phase::Tune, tuning, Policy::AllSlots)? {
            PhaseEnd::Done => self.finals(),
            stopped => Ok((stopped, None)),
        }
    }

    /// Runs the final trials of the points that are selected now.
    fn finals(&mut self) -> Result<Ended, SweepError> {
        let tuned = evaluate(self.spec, self.grid, &self.rows)?;
        if !self.spec.seeds.tune.is_empty()
            && let Some(unreported) = tuned.unreported(&self.spec.metric.name)
        {
            self.runtime.block_on(self.dispatcher.close())?;
            return Err(SweepError::Unreported { unreported });
        }
        // All tuning trials were run. Where results are missing all the same, something else has
        // changed the ledger: what would be selected now may not be the best point.
        if tuned.tuning_left() > 0 {
            return Ok((PhaseEnd::Done, Some(tuned)));
        }

        let finals = final_trials(self.grid, &tuned.selected(), &self.spec.seeds.final_);
        let any_left = finals.iter().any(|trial| self.is_left(trial));
        let policy = if tuned.finals_are_timed(self.spec) {
            Policy::OnePerDevice
        } else {
            Policy::AllSlots
        };
        let end = self.phase(Phase::Final, finals, policy)?;
        let evaluation = if any_left {
            evaluate(self.spec, self.grid, &self.rows)?
        } else {
            tuned
        };
        Ok((end, Some(evaluation)))
    }

    /// Whether a trial has still to be run.
    fn is_left(&self, trial: &PlannedTrial) -> bool {
        match self.rows.get(&trial.id).map(|row| row.state) {
            Some(TrialState::Done) => false,
            Some(TrialState::Failed) => self.options.retry_failed,
            _ => true,
        }
    }

    /// Runs those trials of a phase that have no result yet.
    fn phase(
        &mut self,
        phase: Phase,
        trials: Vec<PlannedTrial>,
        policy: Policy,
    ) -> Result<PhaseEnd, SweepError> {
        if trials.is_empty() {
            return Ok(PhaseEnd::Done);
        }
        let mut arms = vec![(0, 0, 0); self.grid.arms().len()];
        let mut left = Vec::new();
        for trial in trials {
            let (all, done, failed) = &mut arms[trial.arm.0];
            *all += 1;
            match self.rows.get(&trial.id).map(|row| row.state) {
                _ if self.is_left(&trial) => left.push(trial),
                Some(TrialState::Done) => *done += 1,
                _ => *failed += 1,
            }
        }

        let any_left = !left.is_empty();
        let slots = match policy {
            Policy::AllSlots => self.slots.len(),
            Policy::OnePerDevice => device_count(self.slots),
        };
        self.dispatcher.tell(&Notice::PhaseStarted {
            phase,
            arms,
            slots,
            timed: slots < self.slots.len(),
        });
        let trials = self.dispatcher.run(left, policy);
        let end = self.watched.during(self.runtime, trials)?;
        self.dispatcher.tell(&Notice::PhaseEnded { phase });

        if any_left {
            match self.read_rows()? {
                Some(rows) => self.rows = rows,
                None => return Ok(PhaseEnd::Interrupted),
            }
            self.watched.check();
        }
        Ok(end)
    }

    /// Reads what the ledger holds of each trial, once no other program has it locked. None: the
    /// user did not wait for that.
    fn read_rows(&mut self) -> Result<Option<HashMap<TrialId, TrialRow>>, SweepError> {
        let began = Instant::now();
        let mut next_message = FIRST_MESSAGE;
        loop {
            match rows(&self.reader) {
                Err(SweepError::Ledger(error)) if error.is_busy() => {}
                Err(error) => return Err(error),
                Ok(rows) => return Ok(Some(rows)),
            }
            if began.elapsed() >= next_message {
                next_message = began.elapsed() + MESSAGE_INTERVAL;
                let what = self.reader.locked(began.elapsed()).to_string();
                self.dispatcher
                    .tell(&Notice::LedgerLocked { what, results: 0 });
            }
            let stopped = self.dispatcher.is_stopped_within(RETRY_INTERVAL);
            if self.runtime.block_on(stopped) {
                return Ok(None);
            }
        }
    }
}

/// Returns how many devices the slots are on.
fn device_count(slots: &[SlotDevice]) -> usize {
    let devices: HashSet<usize> = slots.iter().map(|slot| slot.device).collect();
    devices.len()
}

/// Reads what the ledger holds of each trial.
pub(super) fn rows(reader: &Reader) -> Result<HashMap<TrialId, TrialRow>, SweepError> {
    Ok(reader
        .trials()?
        .into_iter()
        .map(|row| (row.id, row))
        .collect())
}
