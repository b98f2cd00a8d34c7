//! What the reactor keeps of a slot: its worker's state, and the trials that the worker has.

use std::collections::HashSet;

use crate::grid::TrialId;

use super::{EndBy, FailureKind, PlannedTrial, Time};

/// Trials with work in common: number of the group of points, and the seed.
pub(super) type Group = (u32, u64);

/// A trial that is not done, with what it has been through.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub trial: PlannedTrial,
    pub failures: u32,
    /// Whether it once brought a worker down: it is never bundled again.
    pub alone: bool,
    /// The device on which it ran out of memory beside other trials: there it runs again, with the
    /// device to itself.
    pub own_device: Option<usize>,
    /// How often its worker was lost.
    pub losses: u32,
}

/// A trial that a worker has.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub job: Job,
    /// When the worker said that it began.
    pub started: Option<Time>,
    /// For how long it could not be heard since then.
    pub unheard: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No process; none before that time.
    Empty(Time),
    /// A process that has not introduced itself.
    Starting(Time),
    /// A worker.
    Ready,
    /// A worker that was told to end, by these means, and until when it may take.
    Ending(EndBy, Time),
}

#[derive(Debug)]
pub(super) struct Slot {
    pub device: usize,
    pub state: State,
    /// Whether its worker has introduced itself.
    pub greeted: bool,
    /// Whether its process still waits in a queue.
    pub queued: bool,
    /// When its worker will be ended by others.
    pub ends: Option<Time>,
    /// From when on a worker that is lost was lost to that.
    pub nearly: Option<Time>,
    /// Whether its worker has had no trial yet.
    pub fresh: bool,
    /// The trial that its worker got first.
    pub first: Option<TrialId>,
    /// How many of its workers in a row were lost before they did anything.
    pub losses: u32,
    /// Workers in a row that did not start here.
    pub start_failures: u32,
    /// Starts in a row that were postponed here.
    pub postponed: u32,
    /// How many trials its worker would like at once.
    pub pack: usize,
    pub given: Vec<Given>,
    pub last_seen: Time,
    /// Why we ended it, where that was its own fault.
    pub fault: Option<(FailureKind, String)>,
    /// The trial that its worker ended last.
    pub ended: Option<TrialId>,
    /// Whether the fault concerns that trial, and not the one that its worker has been given since.
    pub fault_of_ended: bool,
    /// The group that its worker works on.
    pub group: Option<Group>,
    /// The trials of that group that its worker has finished: others may have the same result.
    pub finished: HashSet<TrialId>,
}

impl Job {
    /// A trial that has not been tried.
    pub fn new(trial: PlannedTrial) -> Self {
        Self {
            trial,
            failures: 0,
            alone: false,
            own_device: None,
            losses: 0,
        }
    }

    /// The trials that it has work in common with. One that brought a worker down is computed by
    /// itself.
    pub fn group(&self) -> Option<Group> {
        self.trial
            .group
            .filter(|_| !self.alone)
            .map(|group| (group, self.trial.id.seed))
    }
}

impl Slot {
    /// A slot without a worker.
    pub fn empty(device: usize) -> Self {
        Self {
            device,
            state: State::Empty(Time::ZERO),
            greeted: false,
            queued: false,
            ends: None,
            nearly: None,
            fresh: true,
            first: None,
            losses: 0,
            start_failures: 0,
            postponed: 0,
            pack: 0,
            given: Vec::new(),
            last_seen: Time::ZERO,
            fault: None,
            ended: None,
            fault_of_ended: false,
            group: None,
            finished: HashSet::new(),
        }
    }

    /// Its worker is gone: the next one has all its time before it. The trial that the last one got
    /// first, and from when on it was near its end.
    pub fn vacate(&mut self) -> (Option<TrialId>, Option<Time>) {
        (self.queued, self.fresh, self.ends) = (false, true, None);
        (self.first.take(), self.nearly.take())
    }

    /// Its worker could not be heard for a while: that counts for no limit, though it may have
    /// worked.
    pub fn pardon(&mut self, gap: Time) {
        self.last_seen += gap;
        if let State::Starting(since) = &mut self.state {
            *since += gap;
        }
        self.given
            .iter_mut()
            .filter(|given| given.started.is_some())
            .for_each(|given| given.unheard += gap);
    }

    /// The process was stopped for a while: that time does not count.
    pub fn skip(&mut self, gap: Time) {
        self.last_seen += gap;
        if let State::Starting(since) | State::Ending(_, since) = &mut self.state {
            *since += gap;
        }
        for since in self
            .given
            .iter_mut()
            .filter_map(|given| given.started.as_mut())
        {
            *since += gap;
        }
    }
}
