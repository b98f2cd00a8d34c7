//! The simulation's books: where each trial is, so that a trial given out twice, counted twice or
//! lost is noticed at once; and what the workers' time went into.

use std::collections::VecDeque;

use pentagrid::plan::PlannedTrial;
use pentagrid::schedule::Time;

/// Something that a reactor must never do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// A trial was given out that a worker has, or that has ended.
    #[error("trial {0} is given out although {1}")]
    GivenOut(u64, &'static str),
    /// A slot was given trials or a worker that it cannot take.
    #[error("slot {0} {1}")]
    Slot(usize, &'static str),
    /// A trial ended that had ended, or that this worker does not have.
    #[error("trial {0} ends although {1}")]
    Ended(u64, &'static str),
    /// The phase is done, but not every trial is.
    #[error("the phase is done, but {0} trials have not ended and {1} records are not on the disk")]
    Lost(u64, usize),
    /// Nothing will ever happen again, and it is not over.
    #[error("nothing more will happen, and trials are left")]
    Stuck,
}

/// How a simulated sweep went. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// What the reactor was told, in all.
    pub events: u64,
    /// Trials with a result.
    pub done: u64,
    /// Trials that failed for good.
    pub failed: u64,
    /// Attempts that failed and were tried again.
    pub retried: u64,
    /// Workers that were lost with a preempted node.
    pub preempted: u64,
    /// The most records at a time that were not on the disk.
    pub most_unwritten: usize,
    /// From the beginning to the end.
    pub makespan: f64,
    /// Workers' time that went into results.
    pub training: f64,
    /// Workers' time that went into attempts that came to nothing.
    pub lost: f64,
    /// Workers' time between their start and their hello.
    pub starting: f64,
    /// Time of workers that were ready and had nothing, while there were trials that no worker had
    /// been given.
    pub idle: f64,
    /// All workers' time until the last trial had been given out for the first time.
    pub until_dry: f64,
    /// Why the sweep was given up, if it was.
    pub given_up: Option<String>,
}

impl Outcome {
    /// The share of the workers' time, until no trial was left to give out, in which they were
    /// ready and waited for the coordinator.
    pub(crate) fn idle_share(&self) -> f64 {
        if self.until_dry > 0.0 {
            self.idle / self.until_dry
        } else {
            0.0
        }
    }
}

/// Where a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    With(u32),
    Ended,
}

pub(super) struct Books {
    pub outcome: Outcome,
    places: Vec<Place>,
    /// Whether a trial was ever given out.
    seen: Vec<bool>,
    never_given: u64,
    left: u64,
    dry: Option<Time>,
    unwritten: usize,
    /// Trials that each slot has.
    with: std::collections::HashMap<usize, VecDeque<u64>>,
    /// Ready workers that have nothing, since when.
    idle_since: std::collections::HashMap<usize, Time>,
}

impl Books {
    pub(super) fn new(trials: u64) -> Self {
        let count = usize::try_from(trials).unwrap_or(usize::MAX);
        Self {
            outcome: Outcome::default(),
            places: vec![Place::Waiting; count],
            seen: vec![false; count],
            never_given: trials,
            left: trials,
            dry: None,
            unwritten: 0,
            with: Default::default(),
            idle_since: Default::default(),
        }
    }

    /// A worker is given trials.
    pub(super) fn given(
        &mut self,
        now: Time,
        slot: usize,
        bundle: &[PlannedTrial],
    ) -> Result<(), Breach> {
        for trial in bundle {
            let number = trial.index.0 as usize;
            match self.places[number] {
                Place::Waiting => self.places[number] = Place::With(slot as u32),
                Place::With(_) => return Err(Breach::GivenOut(trial.index.0, "a worker has it")),
                Place::Ended => return Err(Breach::GivenOut(trial.index.0, "it has ended")),
            }
            if !std::mem::replace(&mut self.seen[number], true) {
                self.never_given -= 1;
            }
            self.with.entry(slot).or_default().push_back(trial.index.0);
        }
        self.busy(now, slot);
        if self.never_given == 0 && self.dry.is_none() {
            self.dry = Some(now);
            let idle: Vec<usize> = self.idle_since.keys().copied().collect();
            idle.into_iter().for_each(|slot| self.busy(now, slot));
        }
        Ok(())
    }

    /// A worker is ready and has nothing.
    pub(super) fn idle(&mut self, now: Time, slot: usize) {
        if self.dry.is_none() {
            self.idle_since.insert(slot, now);
        }
    }

    /// It has something, or is gone.
    pub(super) fn busy(&mut self, now: Time, slot: usize) {
        if let Some(since) = self.idle_since.remove(&slot) {
            self.outcome.idle += now.saturating_sub(since).as_secs_f64();
        }
    }

    /// A trial ends for good.
    pub(super) fn ended(
        &mut self,
        slot: usize,
        trial: &PlannedTrial,
        done: bool,
    ) -> Result<(), Breach> {
        self.leave(slot, trial, Place::Ended)?;
        self.left -= 1;
        if done {
            self.outcome.done += 1;
        } else {
            self.outcome.failed += 1;
        }
        Ok(())
    }

    /// An attempt fails and will be made again.
    pub(super) fn failed(&mut self, slot: usize, trial: &PlannedTrial) -> Result<(), Breach> {
        self.outcome.retried += 1;
        self.leave(slot, trial, Place::Waiting)
    }

    fn leave(&mut self, slot: usize, trial: &PlannedTrial, to: Place) -> Result<(), Breach> {
        let place = &mut self.places[trial.index.0 as usize];
        match *place {
            Place::Ended => return Err(Breach::Ended(trial.index.0, "it had ended")),
            // Its worker's end was noticed just before its record was made.
            Place::Waiting => {}
            Place::With(other) if other as usize == slot => {}
            Place::With(_) => return Err(Breach::Ended(trial.index.0, "another worker has it")),
        }
        *place = to;
        if let Some(with) = self.with.get_mut(&slot) {
            with.retain(|number| *number != trial.index.0);
        }
        Ok(())
    }

    /// A worker's end is about to be told: its trials may be given out again.
    pub(super) fn gone(&mut self, slot: usize) {
        for number in self.with.remove(&slot).unwrap_or_default() {
            self.places[number as usize] = Place::Waiting;
        }
    }

    pub(super) fn unwritten(&mut self, count: usize) {
        self.unwritten = count;
        self.outcome.most_unwritten = self.outcome.most_unwritten.max(count);
    }

    pub(super) fn committed(&mut self, count: usize) {
        self.unwritten -= count.min(self.unwritten);
    }

    /// The reactor says that all trials have ended and are on the disk.
    pub(super) fn all_ended(&self) -> Result<(), Breach> {
        if self.left > 0 || self.unwritten > 0 {
            Err(Breach::Lost(self.left, self.unwritten))
        } else {
            Ok(())
        }
    }

    pub(super) fn close(mut self, now: Time, workers: usize, given_up: Option<String>) -> Outcome {
        self.outcome.makespan = now.as_secs_f64();
        self.outcome.until_dry = self.dry.unwrap_or(now).as_secs_f64() * workers as f64;
        self.outcome.given_up = given_up;
        self.outcome
    }
}
