//! A slot's state, and the trials that its worker has.

use std::collections::HashSet;

use super::{EndBy, Failure, PlannedTrial, Time};
use crate::grid::TrialId;
use crate::plan::Finals;

/// A group of points with work in common, and the seed.
pub(super) type Group = (u32, u64);

/// A trial that is not done, with its history.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub trial: PlannedTrial,
    pub failures: u32,
    /// Whether it has brought a worker down: it is never bundled again.
    pub alone: bool,
    /// The device on which it ran out of memory beside other trials. It is tried again there, with
    /// the device to itself.
    pub own_device: Option<usize>,
    /// How often its worker was lost.
    pub losses: u32,
}

/// A trial that a worker has been given.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub job: Job,
    /// When the worker said that it started the trial.
    pub started: Option<Time>,
    /// How long the worker could not be heard since then.
    pub unheard: Time,
    /// What it has reported since then, as far as its final metrics depend on that.
    pub finals: Option<Finals>,
}

/// A place where one worker runs at a time.
#[derive(Debug)]
pub(super) struct Slot {
    pub device: usize,
    pub state: SlotState,
    /// How many of its workers in a row were lost before they started a trial.
    pub idle_losses: u32,
    /// How many of its workers in a row did not start.
    pub start_failures: u32,
    /// How many starts in a row were postponed.
    pub postponed_starts: u32,
}

/// What a slot is doing.
#[derive(Debug)]
pub(super) enum SlotState {
    /// There is no process, and none is started before `until`.
    Empty { until: Time },
    /// A process has been started, and has not said hello.
    Starting { since: Time, process: Process },
    /// A worker has said hello.
    Ready(Worker),
    /// A process was told to end.
    Ending(Ending),
}

/// A process in a slot, whether or not it has said hello.
#[derive(Debug)]
pub(super) struct Process {
    /// Whether it waits for its turn in a queue, such as Slurm's.
    pub queued: bool,
    /// When the system will end it.
    pub expiry: Option<Expiry>,
    /// The first trial that it was given. For programs, which are a process for each trial: the
    /// present one.
    pub first_trial: Option<TrialId>,
}

/// The time limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    /// When the system ends the process.
    pub at: Time,
    /// If the process disappears after this time, its time limit is blamed.
    pub window_start: Time,
}

/// A worker that has said hello.
#[derive(Debug)]
pub(super) struct Worker {
    pub process: Process,
    /// How many trials it prefers to get at once.
    pub pack: usize,
    pub last_seen: Time,
    pub assignments: Vec<Assignment>,
    /// The trial that it ended last.
    pub last_ended: Option<TrialId>,
    /// The group that it works on.
    pub group: Option<Group>,
    /// The trials of that group that it has finished: others may have the same result.
    pub finished: HashSet<TrialId>,
}

/// A process that was told to end.
#[derive(Debug)]
pub(super) struct Ending {
    pub how: EndBy,
    /// When it is killed if it has not ended.
    pub kill_at: Time,
    /// Why it was told to end, if that is its own fault.
    pub fault: Option<Fault>,
    pub occupant: Occupant,
}

/// What occupies a slot whose process was told to end.
#[derive(Debug)]
pub(super) enum Occupant {
    /// A process that has not said hello.
    Process(Process),
    /// A worker that has said hello.
    Worker(Worker),
}

/// What a worker did wrong.
#[derive(Debug)]
pub(super) struct Fault {
    pub failure: Failure,
    /// Whether it concerns the trial that the worker ended last, and not those that it was given
    /// since then.
    pub of_last_ended: bool,
}

/// What was in a slot whose process is gone.
#[derive(Debug)]
pub(super) struct Departed {
    /// Whether it had said hello.
    pub was_ready: bool,
    /// Whether it had been told to end.
    pub was_ending: bool,
    pub fault: Option<Fault>,
    pub process: Process,
    pub assignments: Vec<Assignment>,
}

impl Job {
    /// A trial that has not been tried.
    pub(super) fn new(trial: PlannedTrial) -> Self {
        Self {
            trial,
            failures: 0,
            alone: false,
            own_device: None,
            losses: 0,
        }
    }

    /// The group of trials that it has work in common with. A trial that brought a worker down has
    /// none: it is computed by itself.
    pub(super) fn group(&self) -> Option<Group> {
        self.trial
            .group
            .filter(|_| !self.alone)
            .map(|group| (group, self.trial.id.seed))
    }
}

impl Assignment {
    pub(super) fn new(job: Job) -> Self {
        Self {
            job,
            started: None,
            unheard: Time::ZERO,
            finals: None,
        }
    }
}

impl Process {
    pub(super) fn new(queued: bool) -> Self {
        Self {
            queued,
            expiry: None,
            first_trial: None,
        }
    }
}

impl Worker {
    pub(super) fn new(now: Time, process: Process, pack: usize) -> Self {
        Self {
            process,
            pack,
            last_seen: now,
            assignments: Vec::new(),
            last_ended: None,
            group: None,
            finished: HashSet::new(),
        }
    }
}

impl Slot {
    /// A slot without a process.
    pub(super) fn empty(device: usize) -> Self {
        Self {
            device,
            state: SlotState::Empty { until: Time::ZERO },
            idle_losses: 0,
            start_failures: 0,
            postponed_starts: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.state, SlotState::Empty { .. })
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, SlotState::Starting { .. })
    }

    /// Whether it has a worker that can be given trials.
    pub(super) fn is_ready_and_idle(&self) -> bool {
        matches!(&self.state, SlotState::Ready(worker) if worker.assignments.is_empty())
    }

    /// Whether trials can be handed out to it, if need be after a worker has been started.
    pub(super) fn is_available(&self) -> bool {
        self.is_empty() || self.is_ready_and_idle()
    }

    /// Whether its process waits for its turn in a queue.
    pub(super) fn is_queued(&self) -> bool {
        self.process().is_some_and(|process| process.queued)
    }

    /// Whether its process was told to end for a fault of its own.
    pub(super) fn has_fault(&self) -> bool {
        matches!(&self.state, SlotState::Ending(ending) if ending.fault.is_some())
    }

    /// Turns the process that is starting into a worker, which has said hello.
    pub(super) fn become_ready(&mut self, now: Time, pack: usize) {
        let empty = SlotState::Empty { until: Time::ZERO };
        self.state = match std::mem::replace(&mut self.state, empty) {
            SlotState::Starting { mut process, .. } => {
                process.queued = false;
                SlotState::Ready(Worker::new(now, process, pack))
            }
            other => other,
        };
    }

    /// The process in it.
    pub(super) fn process(&self) -> Option<&Process> {
        match &self.state {
            SlotState::Empty { .. } => None,
            SlotState::Starting { process, .. } => Some(process),
            SlotState::Ready(worker) => Some(&worker.process),
            SlotState::Ending(ending) => Some(match &ending.occupant {
                Occupant::Process(process) => process,
                Occupant::Worker(worker) => &worker.process,
            }),
        }
    }

    /// The process in it, to change it.
    pub(super) fn process_mut(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            SlotState::Empty { .. } => None,
            SlotState::Starting { process, .. } => Some(process),
            SlotState::Ready(worker) => Some(&mut worker.process),
            SlotState::Ending(ending) => Some(match &mut ending.occupant {
                Occupant::Process(process) => process,
                Occupant::Worker(worker) => &mut worker.process,
            }),
        }
    }

    /// The worker in it, which may have been told to end.
    pub(super) fn worker(&self) -> Option<&Worker> {
        match &self.state {
            SlotState::Ready(worker)
            | SlotState::Ending(Ending {
                occupant: Occupant::Worker(worker),
                ..
            }) => Some(worker),
            _ => None,
        }
    }

    /// The worker in it, to change it.
    pub(super) fn worker_mut(&mut self) -> Option<&mut Worker> {
        match &mut self.state {
            SlotState::Ready(worker)
            | SlotState::Ending(Ending {
                occupant: Occupant::Worker(worker),
                ..
            }) => Some(worker),
            _ => None,
        }
    }

    /// The trials that its worker has.
    pub(super) fn assignments(&self) -> &[Assignment] {
        self.worker().map_or(&[], |worker| &worker.assignments)
    }

    /// The trial of that id that its worker has.
    pub(super) fn assignment_mut(&mut self, trial: TrialId) -> Option<&mut Assignment> {
        self.worker_mut()?
            .assignments
            .iter_mut()
            .find(|assignment| assignment.job.trial.id == trial)
    }

    /// Tells its process to end, as far as the state goes. Returns whether it was not told so
    /// before, by the same or more severe means.
    pub(super) fn end(&mut self, how: EndBy, kill_at: Time, new_fault: Option<Fault>) -> bool {
        let empty = SlotState::Empty { until: Time::ZERO };
        let (occupant, fault) = match std::mem::replace(&mut self.state, empty) {
            SlotState::Starting { process, .. } => (Occupant::Process(process), new_fault),
            SlotState::Ready(worker) => (Occupant::Worker(worker), new_fault),
            SlotState::Ending(ending) if ending.how < how => (ending.occupant, ending.fault),
            state @ (SlotState::Empty { .. } | SlotState::Ending(_)) => {
                self.state = state;
                return false;
            }
        };
        self.state = SlotState::Ending(Ending {
            how,
            kill_at,
            fault,
            occupant,
        });
        true
    }

    /// Takes out the process that is gone; the slot stays empty at least until `until`. Returns
    /// `None` if there was none.
    pub(super) fn vacate(&mut self, until: Time) -> Option<Departed> {
        let state = std::mem::replace(&mut self.state, SlotState::Empty { until });
        match state {
            SlotState::Empty { .. } => None,
            SlotState::Starting { process, .. } => Some(Departed::of_process(process)),
            SlotState::Ready(worker) => Some(Departed::of_worker(worker)),
            SlotState::Ending(ending) => {
                let departed = match ending.occupant {
                    Occupant::Process(process) => Departed::of_process(process),
                    Occupant::Worker(worker) => Departed::of_worker(worker),
                };
                Some(Departed {
                    was_ending: true,
                    fault: ending.fault,
                    ..departed
                })
            }
        }
    }

    /// Excuses a time in which its worker could not be heard, though it may have worked.
    pub(super) fn excuse_unheard_time(&mut self, gap: Time) {
        if let SlotState::Starting { since, .. } = &mut self.state {
            *since += gap;
        }
        let Some(worker) = self.worker_mut() else {
            return;
        };
        worker.last_seen += gap;
        for assignment in &mut worker.assignments {
            if assignment.started.is_some() {
                assignment.unheard += gap;
            }
        }
    }

    /// Does not count a time in which this program and its workers were suspended.
    pub(super) fn skip_suspended_time(&mut self, gap: Time) {
        match &mut self.state {
            SlotState::Starting { since, .. } => *since += gap,
            SlotState::Ending(ending) => ending.kill_at += gap,
            SlotState::Empty { .. } | SlotState::Ready(_) => {}
        }
        let Some(worker) = self.worker_mut() else {
            return;
        };
        worker.last_seen += gap;
        for started in worker
            .assignments
            .iter_mut()
            .filter_map(|assignment| assignment.started.as_mut())
        {
            *started += gap;
        }
    }
}

impl Departed {
    fn of_process(process: Process) -> Self {
        Self {
            was_ready: false,
            was_ending: false,
            fault: None,
            process,
            assignments: Vec::new(),
        }
    }

    fn of_worker(worker: Worker) -> Self {
        Self {
            was_ready: true,
            was_ending: false,
            fault: None,
            process: worker.process,
            assignments: worker.assignments,
        }
    }

    /// Whether it was told to end, and not for a fault of its own.
    pub(super) fn was_expected(&self) -> bool {
        self.was_ending && self.fault.is_none()
    }

    /// Whether it had started a trial that it has not ended.
    pub(super) fn has_started_a_trial(&self) -> bool {
        self.assignments
            .iter()
            .any(|assignment| assignment.started.is_some())
    }
}
