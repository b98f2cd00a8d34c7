//! The decisions of a sweep, as a pure state machine: something happens (`on_...`), and what is to be done comes
//! back as a list of actions. No clock, no process, no file: the dispatcher brings those.

use std::collections::VecDeque;
use std::time::Duration;

use super::action::{Action, EndBy, Exit, Fatal, Policy, Record, START_FAILURES, Settings, TICK, Time};
use super::failures::Failures;
use super::notice::Notice;
use crate::plan::PlannedTrial;
use crate::protocol::{FailureKind, FromWorker, Hello, PROTOCOL_VERSION};

/// A trial that is not done, with what it has been through.
#[derive(Clone, Debug)]
struct Job {
    trial: PlannedTrial,
    failures: u32,
    /// Whether it once brought a worker down: it is never bundled again.
    alone: bool,
}

/// A trial that a worker has.
#[derive(Clone, Debug)]
struct Given {
    job: Job,
    /// When the worker said that it began.
    started: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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
struct Slot {
    device: usize,
    state: State,
    /// Whether its worker has introduced itself.
    greeted: bool,
    given: Vec<Given>,
    last_seen: Time,
    /// Why we ended it, where that was its own fault.
    fault: Option<(FailureKind, String)>,
}

/// What to do once a record is on the disk.
#[derive(Debug)]
enum OnDisk {
    Nothing,
    Tell(Notice),
}

/// Why no more trials are begun.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Close,
    Interrupt,
    Fatal(Fatal),
}

/// The state of a sweep's scheduling.
#[derive(Debug)]
pub struct Reactor {
    settings: Settings,
    slots: Vec<Slot>,
    queue: VecDeque<Job>,
    /// Trials that will be tried again, and when.
    waiting: Vec<(Time, Job)>,
    policy: Policy,
    in_phase: bool,
    unwritten: VecDeque<OnDisk>,
    stop: Option<Stop>,
    start_failures: u32,
    failures: Failures,
    last_tick: Time,
    actions: Vec<Action>,
}

impl Reactor {
    /// A reactor with empty slots and nothing to do.
    pub fn new(settings: Settings) -> Self {
        let slot = |&device: &usize| Slot {
            device,
            state: State::Empty(Time::ZERO),
            greeted: false,
            given: Vec::new(),
            last_seen: Time::ZERO,
            fault: None,
        };
        Self {
            slots: settings.slots.iter().map(slot).collect(),
            failures: Failures::new(settings.limits.clone(), settings.arms.clone()),
            settings,
            queue: VecDeque::new(),
            waiting: Vec::new(),
            policy: Policy::AllSlots,
            in_phase: false,
            unwritten: VecDeque::new(),
            stop: None,
            start_failures: 0,
            last_tick: Time::ZERO,
            actions: Vec::new(),
        }
    }

    /// Trials that workers have at this moment.
    pub fn in_flight(&self) -> usize {
        self.slots.iter().map(|slot| slot.given.len()).sum()
    }

    /// Records that are not on the disk yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Why the sweep was given up, if it was.
    pub fn fatal(&self) -> Option<&Fatal> {
        match &self.stop {
            Some(Stop::Fatal(fatal)) => Some(fatal),
            _ => None,
        }
    }

    /// Whether the user stopped the sweep.
    pub fn is_interrupted(&self) -> bool {
        self.stop == Some(Stop::Interrupt)
    }

    /// Trials to run; `PhaseDone` comes when all have ended.
    pub fn on_trials(&mut self, now: Time, trials: Vec<PlannedTrial>, policy: Policy) -> Vec<Action> {
        self.queue.extend(trials.into_iter().map(|trial| Job { trial, failures: 0, alone: false }));
        self.policy = policy;
        self.in_phase = true;
        self.settle(now)
    }

    /// Nothing further will come: workers may go. `Stopped` comes when they have.
    pub fn on_close(&mut self, now: Time) -> Vec<Action> {
        self.stop(now, Stop::Close, EndBy::Close);
        self.settle(now)
    }

    /// The user asks to stop. The second time does not wait for anybody.
    pub fn on_interrupt(&mut self, now: Time) -> Vec<Action> {
        if matches!(self.stop, None | Some(Stop::Close)) {
            self.actions.push(Action::Tell(Notice::Stopping { cut_off: self.in_flight() }));
            self.stop(now, Stop::Interrupt, EndBy::Terminate);
        } else {
            self.end_all(now, EndBy::Kill);
        }
        self.settle(now)
    }

    /// The ledger cannot be written: what is not on the disk now never counts.
    pub fn on_ledger_failure(&mut self, now: Time, message: String) -> Vec<Action> {
        self.unwritten.clear();
        self.stop(now, Stop::Fatal(Fatal::Ledger(message)), EndBy::Terminate);
        self.settle(now)
    }

    /// The next `count` records are on the disk.
    pub fn on_committed(&mut self, now: Time, count: usize) -> Vec<Action> {
        for _ in 0..count {
            if let Some(OnDisk::Tell(notice)) = self.unwritten.pop_front() {
                self.actions.push(Action::Tell(notice));
            }
        }
        self.settle(now)
    }

    /// A second has passed.
    pub fn on_tick(&mut self, now: Time) -> Vec<Action> {
        let gap = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if gap > 5 * TICK {
            // The program was stopped for a while (Ctrl-Z, a debugger): what workers said meanwhile is still unread.
            for slot in &mut self.slots {
                slot.last_seen += gap;
                if let State::Starting(since) | State::Ending(_, since) = &mut slot.state {
                    *since += gap;
                }
                for since in slot.given.iter_mut().filter_map(|given| given.started.as_mut()) {
                    *since += gap;
                }
            }
        }
        for number in 0..self.slots.len() {
            let slot = &self.slots[number];
            let silent = now.saturating_sub(slot.last_seen);
            match slot.state {
                // One that has nothing to do may well have nothing to say.
                State::Ready if !slot.given.is_empty() && silent > self.settings.heartbeat => {
                    let message = format!("the worker was silent for {} s", silent.as_secs());
                    self.blame(now, number, FailureKind::LostHeartbeat, message);
                }
                State::Ready if self.overdue(now, number).is_some() => self.time_out(now, number),
                State::Starting(since) if now.saturating_sub(since) > self.settings.start => {
                    let message = format!("no hello after {} s", now.saturating_sub(since).as_secs());
                    self.blame(now, number, FailureKind::CouldNotStart, message);
                }
                State::Ending(how, until) if how < EndBy::Kill && now >= until => self.end(now, number, EndBy::Kill),
                _ => {}
            }
        }
        self.settle(now)
    }

    /// A worker says something.
    pub fn on_message(&mut self, now: Time, number: usize, message: FromWorker) -> Vec<Action> {
        let slot = &mut self.slots[number];
        slot.last_seen = now;
        if slot.fault.is_some() {
            // It broke the protocol or was given up as lost: nothing that it says after that is believed.
            return self.settle(now);
        }
        match (slot.state, message) {
            (State::Starting(_), FromWorker::Hello(hello)) => self.welcome(now, number, hello),
            (State::Ending(..), FromWorker::Hello(_)) | (_, FromWorker::Heartbeat) => {}
            (State::Ready | State::Ending(..), FromWorker::Started { trial }) => match self.given(number, &trial) {
                Some(given) if given.started.is_none() => {
                    given.started = Some(now);
                    let trial = given.job.trial;
                    self.record(Record::Started { slot: number, trial }, OnDisk::Nothing);
                    self.actions.push(Action::Tell(Notice::TrialStarted { slot: number, trial }));
                }
                Some(_) => self.blame(now, number, FailureKind::Protocol, format!("`started` twice for trial {trial}")),
                None => self.blame_stranger(now, number, "started", &trial),
            },
            (State::Ready | State::Ending(..), FromWorker::Epoch { trial, epoch, values }) => {
                match self.given(number, &trial).filter(|given| given.started.is_some()).map(|given| given.job.trial) {
                    Some(trial) => {
                        let notice = Notice::Epoch { slot: number, trial, epoch, values: values.clone() };
                        self.record(Record::Epoch { slot: number, trial, epoch, values }, OnDisk::Nothing);
                        self.actions.push(Action::Tell(notice));
                    }
                    None => self.blame_stranger(now, number, "epoch", &trial),
                }
            }
            (State::Ready | State::Ending(..), FromWorker::Done { trial, metrics }) => match self.take(number, &trial) {
                Some((job, since)) if metrics.get(&self.settings.metric).is_some() => {
                    self.failures.done();
                    let (trial, duration) = (job.trial, now.saturating_sub(since));
                    let notice = Notice::TrialDone { slot: number, trial, metrics: metrics.clone(), duration };
                    self.record(Record::Done { slot: number, trial, metrics, duration }, OnDisk::Tell(notice));
                }
                Some((job, since)) => {
                    let message = format!("the result has no metric {:?}", self.settings.metric);
                    self.fail(now, number, job, since, FailureKind::MissingMetric, message);
                }
                None => self.blame_stranger(now, number, "done", &trial),
            },
            (State::Ready | State::Ending(..), FromWorker::Failed { trial, kind, message }) => match self.take(number, &trial) {
                Some((job, since)) => self.fail(now, number, job, since, kind, message),
                None => self.blame_stranger(now, number, "failed", &trial),
            },
            (State::Ready, FromWorker::Hello(_)) => self.blame(now, number, FailureKind::Protocol, "a second hello".into()),
            (State::Starting(_), _) => self.blame(now, number, FailureKind::Protocol, "a message before hello".into()),
            // Its end is already known: the dispatcher reads nothing after it.
            (State::Empty(_), _) => {}
        }
        self.settle(now)
    }

    /// A worker printed something that is not a message.
    pub fn on_garbage(&mut self, now: Time, number: usize, what: String) -> Vec<Action> {
        self.blame(now, number, FailureKind::Protocol, what);
        self.settle(now)
    }

    /// A worker's process is gone and its output is read to the end.
    pub fn on_exit(&mut self, now: Time, number: usize, exit: Exit, why: &str) -> Vec<Action> {
        let slot = &mut self.slots[number];
        let state = std::mem::replace(&mut slot.state, State::Empty(now));
        let fault = slot.fault.take();
        let given = std::mem::take(&mut slot.given);
        let wanted = fault.is_none() && matches!(state, State::Ending(..));
        let (kind, how) = fault.unwrap_or_else(|| exit.describe(why));
        if !wanted {
            self.actions.push(Action::Tell(Notice::WorkerLost { slot: number, how: how.clone() }));
        }
        // Without a `started` the first trial of a bundle is the likeliest cause, if the worker was well before.
        let none_started = given.iter().all(|given| given.started.is_none());
        let mut unstarted = Vec::new();
        for (place, Given { mut job, started }) in given.into_iter().enumerate() {
            match started {
                Some(_) if wanted => {
                    let message = "the sweep was stopped".to_owned();
                    self.record(Record::Interrupted { slot: number, trial: job.trial, message }, OnDisk::Nothing);
                    unstarted.push(job);
                }
                None if wanted || !(none_started && place == 0) => unstarted.push(job),
                since => {
                    job.alone = true;
                    self.fail(now, number, job, since.unwrap_or(now), kind, how.clone());
                }
            }
        }
        for job in unstarted.into_iter().rev() {
            self.queue.push_front(job);
        }
        if !wanted && !self.slots[number].greeted {
            self.start_failures += 1;
            self.slots[number].state = State::Empty(now + Duration::from_millis(250 << self.start_failures.min(6)));
            if self.start_failures >= START_FAILURES {
                self.stop(now, Stop::Fatal(Fatal::NoStart { slot: number, how }), EndBy::Terminate);
            }
        }
        self.settle(now)
    }

    fn welcome(&mut self, now: Time, number: usize, hello: Hello) {
        let program = format!("{} {}", hello.program, hello.version);
        if hello.protocol != PROTOCOL_VERSION {
            return self.stop(now, Stop::Fatal(Fatal::WrongProtocol { program, found: hello.protocol }), EndBy::Terminate);
        }
        if !hello.metrics.is_empty() && !hello.metrics.contains(&self.settings.metric) {
            let (metric, known) = (self.settings.metric.clone(), hello.metrics.join(", "));
            return self.stop(now, Stop::Fatal(Fatal::NoMetric { program, metric, known }), EndBy::Terminate);
        }
        self.start_failures = 0;
        self.slots[number].greeted = true;
        self.slots[number].state = State::Ready;
        self.actions.push(Action::Tell(Notice::WorkerReady { slot: number, hello }));
    }

    fn given(&mut self, number: usize, trial: &str) -> Option<&mut Given> {
        self.slots[number].given.iter_mut().find(|given| given.job.trial.id.to_string() == trial)
    }

    /// Takes a begun trial off its worker.
    fn take(&mut self, number: usize, trial: &str) -> Option<(Job, Time)> {
        let given = &mut self.slots[number].given;
        let place = given.iter().position(|given| given.job.trial.id.to_string() == trial && given.started.is_some())?;
        let Given { job, started } = given.remove(place);
        Some((job, started?))
    }

    fn fail(&mut self, now: Time, slot: usize, mut job: Job, since: Time, kind: FailureKind, message: String) {
        job.failures += 1;
        let (trial, duration) = (job.trial, now.saturating_sub(since));
        let retry_in = self.failures.failed(slot, trial.arm, job.failures, kind, &message);
        let notice = Notice::TrialFailed { slot, trial, kind, message: message.clone(), retry_in };
        self.record(Record::Failed { slot, trial, kind, message, for_good: retry_in.is_none(), duration }, OnDisk::Tell(notice));
        if let Some(pause) = retry_in {
            self.waiting.push((now + pause, job));
        }
        if let Some(fatal) = self.failures.fatal().filter(|_| self.stop.is_none()).cloned() {
            self.stop(now, Stop::Fatal(fatal), EndBy::Terminate);
        }
    }

    /// The time limit that a trial of that slot's worker has passed.
    fn overdue(&self, now: Time, number: usize) -> Option<Duration> {
        self.slots[number].given.iter().find_map(|given| {
            let limit = self.failures.timeout(given.job.trial.arm)?;
            (now.saturating_sub(given.started?) > limit).then_some(limit)
        })
    }

    /// Ends a worker whose trial takes too long: with a warning first, so that it may put its things in order.
    fn time_out(&mut self, now: Time, number: usize) {
        if let Some(limit) = self.overdue(now, number) {
            let message = format!("it took longer than {} s, which is the limit (`timeout`)", limit.as_secs());
            self.slots[number].fault = Some((FailureKind::Timeout, message));
            self.end(now, number, EndBy::Terminate);
        }
    }

    /// A worker spoke of a trial that it does not have, or had not begun.
    fn blame_stranger(&mut self, now: Time, number: usize, what: &str, trial: &str) {
        let shown: String = trial.chars().take(40).collect();
        self.blame(now, number, FailureKind::Protocol, format!("`{what}` for trial {shown:?}, which this worker has not begun"));
    }

    /// Ends a worker at once by its own fault, unless it is being ended anyhow.
    fn blame(&mut self, now: Time, number: usize, kind: FailureKind, message: String) {
        if matches!(self.slots[number].state, State::Starting(_) | State::Ready) {
            self.slots[number].fault = Some((kind, message));
            self.end(now, number, EndBy::Kill);
        }
    }

    fn end(&mut self, now: Time, number: usize, how: EndBy) {
        let slot = &mut self.slots[number];
        match slot.state {
            State::Empty(_) => return,
            State::Ending(already, _) if already >= how => return,
            State::Starting(_) | State::Ready | State::Ending(..) => {}
        }
        slot.state = State::Ending(how, now + self.settings.grace);
        self.actions.push(Action::End { slot: number, how });
    }

    fn end_all(&mut self, now: Time, how: EndBy) {
        for number in 0..self.slots.len() {
            self.end(now, number, how);
        }
    }

    fn stop(&mut self, now: Time, stop: Stop, how: EndBy) {
        if !matches!(self.stop, Some(Stop::Fatal(_))) {
            self.stop = Some(stop);
        }
        self.end_all(now, how);
    }

    fn record(&mut self, record: Record, on_disk: OnDisk) {
        if !matches!(self.stop, Some(Stop::Fatal(Fatal::Ledger(_)))) {
            self.actions.push(Action::Record(record));
            self.unwritten.push_back(on_disk);
        }
    }

    /// Hands out what can be handed out, notices what has come to its end, and returns what is to be done.
    fn settle(&mut self, now: Time) -> Vec<Action> {
        if self.stop.is_none() {
            let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(|(at, _)| *at <= now);
            self.waiting = later;
            // A retry goes before what has not been tried: trouble shows early.
            for (_, job) in due.into_iter().rev() {
                self.queue.push_front(job);
            }
            self.hand_out(now);
            if self.in_phase
                && self.queue.is_empty()
                && self.waiting.is_empty()
                && self.in_flight() == 0
                && self.unwritten.is_empty()
            {
                self.in_phase = false;
                self.actions.push(Action::PhaseDone);
            }
        } else if self.slots.iter().all(|slot| matches!(slot.state, State::Empty(_))) && self.unwritten.is_empty() {
            self.actions.push(Action::Stopped);
        }
        std::mem::take(&mut self.actions)
    }

    fn starting(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Starting(_))).count()
    }

    fn hand_out(&mut self, now: Time) {
        let mut busy_devices: Vec<usize> = Vec::new();
        if self.policy == Policy::OnePerDevice {
            busy_devices.extend(self.slots.iter().filter(|slot| !slot.given.is_empty()).map(|slot| slot.device));
        }
        // Ready workers first: a trial should not wait for a process to start if one is idle.
        for ready in [true, false] {
            for number in 0..self.slots.len() {
                let (device, state) = (self.slots[number].device, self.slots[number].state);
                let alone = self.policy == Policy::OnePerDevice;
                if self.queue.is_empty() || (alone && busy_devices.contains(&device)) {
                    continue;
                }
                match state {
                    State::Ready if ready && self.slots[number].given.is_empty() => self.give(now, number),
                    // One that is starting will take the device's next trial: no second is needed.
                    State::Starting(_) if !ready && alone => {}
                    State::Empty(not_before) if !ready && now >= not_before && self.starting() < self.queue.len() => {
                        self.slots[number].state = State::Starting(now);
                        self.slots[number].greeted = false;
                        self.slots[number].last_seen = now;
                        self.actions.push(Action::Spawn { slot: number });
                    }
                    _ => continue,
                }
                busy_devices.push(device);
            }
        }
    }

    fn give(&mut self, now: Time, number: usize) {
        let mut bundle = Vec::new();
        // A worker may run the trials of a bundle together: one that is timed comes by itself.
        let most = if self.policy == Policy::OnePerDevice { 1 } else { self.settings.bundle };
        while bundle.len() < most {
            match self.queue.front() {
                Some(job) if bundle.is_empty() || !job.alone => {}
                _ => break,
            }
            let Some(job) = self.queue.pop_front() else { break };
            let alone = job.alone;
            bundle.push(job);
            if alone {
                break;
            }
        }
        let slot = &mut self.slots[number];
        slot.last_seen = now;
        slot.given = bundle.iter().cloned().map(|job| Given { job, started: None }).collect();
        self.actions.push(Action::Send { slot: number, bundle: bundle.into_iter().map(|job| job.trial).collect() });
    }
}
#[cfg(test)]
#[path = "reactor_tests.rs"]
mod tests;
