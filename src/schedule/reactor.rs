//! The decisions of a sweep, as a pure state machine: something happens (`on_...`), and what is to
//! be done comes back as a list of actions. No clock, no process, no file: the dispatcher brings
//! those.

mod ending;
mod hand_out;
mod lost;
mod postponed;
mod queue;
mod racing;
mod ranked;
mod slot;
mod time_left;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use postponed::Shortage;
use queue::Queue;
use slot::{Given, Job, Slot, State};

use super::action::{
    Action, EndBy, Exit, Fatal, Policy, Record, START_FAILURES, Settings, TICK, Time,
};
use super::failures::{Failures, recorded};
use super::memory;
use super::notice::Notice;
use crate::grid::TrialId;
use crate::plan::{PlannedTrial, Race, Shared};
use crate::protocol::{FailureKind, FromWorker, Hello, PROTOCOL_VERSION, Reported, note_text};

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
    /// Nothing that is left can finish in time.
    OutOfTime,
    Fatal(Fatal),
}

/// The state of a sweep's scheduling.
#[derive(Debug)]
pub struct Reactor {
    settings: Settings,
    slots: Vec<Slot>,
    /// The slots of each device, by the device's number.
    devices: Vec<Vec<usize>>,
    /// Slots that may be given something, and perhaps some others: so that with thousands of slots
    /// not all are looked at each time.
    free: BTreeSet<usize>,
    queue: Queue,
    /// Trials that ran out of memory beside others: each waits until it can have its device to
    /// itself.
    solitary: Vec<Job>,
    /// Trials that will be tried again, and when, the first one first.
    waiting: Vec<(Time, Job)>,
    /// Which points get no further seeds, where there is a race.
    race: Option<Race>,
    /// The trials that are held back for it.
    held: Vec<Job>,
    /// At most so many trials of the queue are of points that are out.
    perhaps_out: usize,
    policy: Policy,
    in_phase: bool,
    unwritten: VecDeque<OnDisk>,
    stop: Option<Stop>,
    start_failures: u32,
    /// What keeps workers from starting at present.
    shortage: Option<Shortage>,
    failures: Failures,
    /// The longest that a trial of each arm has taken.
    longest: Vec<Option<Duration>>,
    /// Whether any trial was handed out.
    handed_out: bool,
    last_tick: Time,
    actions: Vec<Action>,
}

impl Reactor {
    /// A reactor with empty slots and nothing to do.
    pub fn new(settings: Settings) -> Self {
        let mut devices = vec![Vec::new(); settings.slots.iter().max().map_or(0, |most| most + 1)];
        settings
            .slots
            .iter()
            .enumerate()
            .for_each(|(slot, &device)| devices[device].push(slot));
        Self {
            slots: settings
                .slots
                .iter()
                .map(|&device| Slot::empty(device))
                .collect(),
            devices,
            free: (0..settings.slots.len()).collect(),
            failures: Failures::new(settings.limits.clone(), settings.arms.clone()),
            longest: settings.longest.clone(),
            handed_out: false,
            settings,
            queue: Queue::default(),
            solitary: Vec::new(),
            waiting: Vec::new(),
            race: None,
            held: Vec::new(),
            perhaps_out: 0,
            policy: Policy::AllSlots,
            in_phase: false,
            unwritten: VecDeque::new(),
            stop: None,
            start_failures: 0,
            shortage: None,
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

    /// Results and failures of trials that are not on the disk yet.
    pub fn unwritten_results(&self) -> usize {
        let is_result = |on_disk: &&OnDisk| {
            matches!(
                on_disk,
                OnDisk::Tell(Notice::TrialDone { .. } | Notice::TrialFailed { .. })
            )
        };
        self.unwritten.iter().filter(is_result).count()
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
        matches!(self.stop, Some(Stop::Interrupt | Stop::OutOfTime))
    }

    /// Trials to run; `PhaseDone` comes when all have ended.
    pub fn on_trials(
        &mut self,
        now: Time,
        trials: Vec<PlannedTrial>,
        policy: Policy,
    ) -> Vec<Action> {
        self.held.clear();
        self.enter(trials.into_iter().map(Job::new).collect());
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
        if matches!(self.stop, None | Some(Stop::Close | Stop::OutOfTime)) {
            self.actions.push(Action::Tell(Notice::Stopping {
                cut_off: self.in_flight(),
            }));
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
    pub fn on_committed(&mut self, count: usize) -> Vec<Action> {
        for _ in 0..count {
            if let Some(OnDisk::Tell(notice)) = self.unwritten.pop_front() {
                self.actions.push(Action::Tell(notice));
            }
        }
        self.conclude()
    }

    /// A second has passed.
    pub fn on_tick(&mut self, now: Time) -> Vec<Action> {
        let gap = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if gap > 5 * TICK {
            // The program was stopped for a while (Ctrl-Z, a debugger): what workers said meanwhile
            // is still unread.
            self.skip(gap);
        }
        for number in 0..self.slots.len() {
            let slot = &self.slots[number];
            let silent = now.saturating_sub(slot.last_seen);
            match slot.state {
                // One that has nothing to do may well have nothing to say.
                State::Ready if self.must_speak(number) && silent > self.settings.heartbeat => {
                    let message = format!("the worker was silent for {} s", silent.as_secs());
                    self.blame(now, number, FailureKind::LostHeartbeat, message);
                }
                State::Ready if self.overdue(now, number).is_some() => self.time_out(now, number),
                State::Starting(since)
                    if !slot.queued && now.saturating_sub(since) > self.settings.start =>
                {
                    let message =
                        format!("no hello after {} s", now.saturating_sub(since).as_secs());
                    self.blame(now, number, FailureKind::CouldNotStart, message);
                }
                State::Ending(how, until) if how < EndBy::Kill && now >= until => {
                    self.end(now, number, EndBy::Kill)
                }
                _ => {}
            }
        }
        self.check_shortage(now);
        self.settle(now)
    }

    /// Whether no more trials are begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// For so long since the last tick workers were not heard, since what they said could not be
    /// written as fast: no limit counts that.
    pub fn on_unheard(&mut self, gap: Duration) {
        if !gap.is_zero() {
            self.slots.iter_mut().for_each(|slot| slot.pardon(gap));
            self.skip_shortage(gap);
        }
    }

    /// The program and its workers were stopped for so long, and go on now.
    pub fn on_continued(&mut self, now: Time, gap: Duration) -> Vec<Action> {
        self.skip(gap);
        self.last_tick = now;
        self.settle(now)
    }

    fn skip(&mut self, gap: Duration) {
        self.slots.iter_mut().for_each(|slot| slot.skip(gap));
        self.skip_shortage(gap);
    }

    /// A worker says something.
    pub fn on_message(&mut self, now: Time, number: usize, message: FromWorker) -> Vec<Action> {
        let slot = &mut self.slots[number];
        slot.last_seen = now;
        if slot.fault.is_some() {
            // It broke the protocol or was given up as lost: nothing that it says after that is
            // believed.
            return self.settle(now);
        }
        match (slot.state, message) {
            (State::Starting(_), FromWorker::Hello(hello)) => self.welcome(now, number, hello),
            (State::Ending(..), FromWorker::Hello(_)) | (_, FromWorker::Heartbeat) => {
                return self.conclude();
            }
            (State::Ready | State::Ending(..), FromWorker::Started { trial }) => {
                match self.given(number, &trial) {
                    Some(given) if given.started.is_none() => {
                        given.started = Some(now);
                        let trial = given.job.trial;
                        self.note_start(now, number);
                        self.record(
                            Record::Started {
                                slot: number,
                                trial,
                            },
                            OnDisk::Nothing,
                        );
                        self.actions.push(Action::Tell(Notice::TrialStarted {
                            slot: number,
                            trial,
                        }));
                        return self.conclude();
                    }
                    Some(_) => self.blame(
                        now,
                        number,
                        FailureKind::Protocol,
                        format!("`started` twice for trial {trial}"),
                    ),
                    None => self.blame_stranger(now, number, "started", &trial),
                }
            }
            (
                State::Ready | State::Ending(..),
                FromWorker::Epoch {
                    trial,
                    position,
                    values,
                },
            ) => {
                match self
                    .given(number, &trial)
                    .filter(|given| given.started.is_some())
                    .map(|given| given.job.trial)
                {
                    Some(trial) => {
                        self.warn_of_notes(trial, &values);
                        let notice = Notice::Epoch {
                            slot: number,
                            trial,
                            position,
                            values: values.numbers.clone(),
                        };
                        self.record(
                            Record::Epoch {
                                slot: number,
                                trial,
                                position,
                                values,
                            },
                            OnDisk::Nothing,
                        );
                        self.actions.push(Action::Tell(notice));
                        return self.conclude();
                    }
                    None => self.blame_stranger(now, number, "epoch", &trial),
                }
            }
            (
                State::Ready | State::Ending(..),
                FromWorker::Done {
                    trial,
                    metrics,
                    same_as,
                    shared_epochs,
                },
            ) => {
                self.done(now, number, &trial, metrics, (same_as, shared_epochs));
            }
            (
                State::Ready | State::Ending(..),
                FromWorker::Failed {
                    trial,
                    kind,
                    message,
                },
            ) => match self.take(number, &trial) {
                Some((job, since)) => self.fail(
                    now,
                    number,
                    job,
                    since,
                    memory::refine(kind, &message),
                    message,
                ),
                None => self.blame_stranger(now, number, "failed", &trial),
            },
            (State::Ready, FromWorker::Hello(_)) => {
                self.blame(now, number, FailureKind::Protocol, "a second hello".into())
            }
            (State::Starting(_), _) => self.blame(
                now,
                number,
                FailureKind::Protocol,
                "a message before hello".into(),
            ),
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

    /// A worker's process is gone and its output is read to the end. `why` as for `Exit::describe`.
    pub fn on_exit(&mut self, now: Time, number: usize, exit: Exit, why: &str) -> Vec<Action> {
        self.free.insert(number);
        let slot = &mut self.slots[number];
        if matches!(slot.state, State::Empty(_)) {
            // Its end is known already: its start was postponed.
            return self.settle(now);
        }
        let state = std::mem::replace(&mut slot.state, State::Empty(now));
        let (fault, innocent) = (slot.fault.take(), std::mem::take(&mut slot.fault_of_ended));
        let wanted = fault.is_none() && matches!(state, State::Ending(..));
        slot.ended = None;
        if !wanted && self.was_lost(exit, fault.as_ref()) {
            let how = fault.map_or_else(|| why.to_owned(), |(_, how)| how);
            return self.lost(now, number, &how);
        }
        let slot = &mut self.slots[number];
        slot.vacate();
        slot.finished.clear();
        let given = std::mem::take(&mut slot.given);
        let (kind, how) = fault.unwrap_or_else(|| {
            exit.describe(
                if self.settings.persistent {
                    "worker"
                } else {
                    "program"
                },
                why,
            )
        });
        // Of a program there is nothing to say but what is said of its trial.
        if !wanted && self.settings.persistent {
            self.actions.push(Action::Tell(Notice::WorkerLost {
                slot: number,
                how: how.clone(),
            }));
        }
        // Without a `started` the first trial of a bundle is the likeliest cause, if the worker was
        // well before.
        let none_started = given.iter().all(|given| given.started.is_none());
        let mut unstarted = Vec::new();
        for (
            place,
            Given {
                mut job, started, ..
            },
        ) in given.into_iter().enumerate()
        {
            match started {
                Some(_) if wanted => {
                    let message = "the sweep was stopped".to_owned();
                    self.record(
                        Record::Interrupted {
                            slot: number,
                            trial: job.trial,
                            message,
                        },
                        OnDisk::Nothing,
                    );
                    unstarted.push(job);
                }
                None if wanted || innocent || !(none_started && place == 0) => unstarted.push(job),
                since => {
                    job.alone = true;
                    self.fail(now, number, job, since.unwrap_or(now), kind, how.clone());
                }
            }
        }
        unstarted
            .into_iter()
            .rev()
            .for_each(|job| self.put_back(job));
        if !wanted && !self.slots[number].greeted {
            self.start_failures += 1;
            let slot = &mut self.slots[number];
            slot.start_failures += 1;
            slot.state =
                State::Empty(now + Duration::from_millis(250 << slot.start_failures.min(6)));
            // One bad device or node among many is no reason to stop those that work, or have not
            // had their chance.
            let may_start = |slot: &Slot| match slot.state {
                State::Ready => true,
                State::Starting(_) => slot.start_failures == 0,
                State::Empty(_) | State::Ending(..) => false,
            };
            if self.start_failures >= START_FAILURES && !self.slots.iter().any(may_start) {
                self.stop(
                    now,
                    Stop::Fatal(Fatal::NoStart { slot: number, how }),
                    EndBy::Terminate,
                );
            }
        }
        self.settle(now)
    }

    fn welcome(&mut self, now: Time, number: usize, hello: Hello) {
        let program = format!("{} {}", hello.program, hello.version);
        if hello.protocol != PROTOCOL_VERSION {
            return self.stop(
                now,
                Stop::Fatal(Fatal::WrongProtocol {
                    program,
                    found: hello.protocol,
                }),
                EndBy::Terminate,
            );
        }
        if !hello.metrics.is_empty() && !hello.metrics.contains(&self.settings.metric) {
            let (metric, known) = (self.settings.metric.clone(), hello.metrics.join(", "));
            return self.stop(
                now,
                Stop::Fatal(Fatal::NoMetric {
                    program,
                    metric,
                    known,
                }),
                EndBy::Terminate,
            );
        }
        self.start_failures = 0;
        self.slots[number].start_failures = 0;
        self.slots[number].greeted = true;
        self.slots[number].queued = false;
        self.slots[number].losses = 0;
        self.slots[number].state = State::Ready;
        self.free.insert(number);
        self.slots[number].pack = hello.pack as usize;
        if self.settings.persistent {
            self.note_start(now, number);
        }
        self.actions.push(Action::Tell(Notice::WorkerReady {
            slot: number,
            hello,
        }));
    }

    /// A worker has a result. `shared` is what it took from another trial: which it is the same as,
    /// and how many epochs.
    fn done(
        &mut self,
        now: Time,
        number: usize,
        trial: &str,
        metrics: Reported,
        shared: (Option<String>, u32),
    ) {
        let Some((job, since)) = self.take(number, trial) else {
            return self.blame_stranger(now, number, "done", trial);
        };
        if metrics.get(&self.settings.metric).is_none() {
            let message = match metrics.notes.get(&self.settings.metric) {
                Some(value) => format!(
                    "the metric {:?} that the sweep selects by is not a number in the result: {}",
                    self.settings.metric,
                    note_text(value)
                ),
                None => format!("the result has no metric {:?}", self.settings.metric),
            };
            return self.fail(now, number, job, since, FailureKind::MissingMetric, message);
        }
        let same_as = match shared.0 {
            None => None,
            Some(other) => match other
                .parse()
                .ok()
                .filter(|id| self.slots[number].finished.contains(id))
            {
                Some(id) => Some(id),
                None => {
                    let shown: String = other.chars().take(40).collect();
                    let message = format!(
                        "`same_as` names trial {shown:?}, which is not one of the group that this worker has finished"
                    );
                    self.fail(
                        now,
                        number,
                        job,
                        since,
                        FailureKind::Protocol,
                        message.clone(),
                    );
                    self.slots[number].fault_of_ended = true;
                    return self.blame(now, number, FailureKind::Protocol, message);
                }
            },
        };
        self.failures.done();
        let (trial, duration) = (job.trial, now.saturating_sub(since));
        self.learn(trial.arm.0, duration);
        if job.group().is_some() {
            self.slots[number].finished.insert(trial.id);
            self.queue.finished(number, job.group(), duration);
        }
        self.warn_of_notes(trial, &metrics);
        let notice = Notice::TrialDone {
            slot: number,
            trial,
            metrics: metrics.numbers.clone(),
            duration,
        };
        let shared = Shared {
            same_as,
            epochs: shared.1,
        };
        self.on_result(&trial, &metrics.numbers);
        self.record(
            Record::Done {
                slot: number,
                trial,
                metrics,
                shared,
                duration,
            },
            OnDisk::Tell(notice),
        );
    }

    /// Tells once in a sweep that values are no numbers: a program that logs text does so on every
    /// line.
    fn warn_of_notes(&mut self, trial: PlannedTrial, values: &Reported) {
        if !values.notes.is_empty() && !std::mem::replace(&mut self.settings.warned_of_notes, true)
        {
            self.actions.push(Action::Tell(Notice::Noted {
                trial,
                notes: values.notes.clone(),
            }));
        }
    }

    /// The trial of that name that a worker has. An id has one spelling, so that it is enough to
    /// read it.
    fn given(&mut self, number: usize, trial: &str) -> Option<&mut Given> {
        let trial: TrialId = trial.parse().ok()?;
        self.slots[number]
            .given
            .iter_mut()
            .find(|given| given.job.trial.id == trial)
    }

    /// Takes a begun trial off its worker.
    fn take(&mut self, number: usize, trial: &str) -> Option<(Job, Time)> {
        let trial: TrialId = trial.parse().ok()?;
        let given = &mut self.slots[number].given;
        let place = given
            .iter()
            .position(|given| given.job.trial.id == trial && given.started.is_some())?;
        let Given { job, started, .. } = given.remove(place);
        self.slots[number].ended = Some(job.trial.id);
        self.free.insert(number);
        Some((job, started?))
    }

    fn fail(
        &mut self,
        now: Time,
        slot: usize,
        mut job: Job,
        since: Time,
        kind: FailureKind,
        message: String,
    ) {
        job.failures += 1;
        let message = recorded(message);
        let device = self.slots[slot].device;
        if kind == FailureKind::OutOfMemory && self.devices[device].len() > 1 {
            (job.alone, job.own_device) = (true, Some(device));
        }
        let (trial, duration) = (job.trial, now.saturating_sub(since));
        let retry_in = self
            .failures
            .failed(slot, trial.arm.0, job.failures, kind, &message);
        let notice = Notice::TrialFailed {
            slot,
            trial,
            kind,
            message: message.clone(),
            retry_in,
        };
        self.record(
            Record::Failed {
                slot,
                trial,
                kind,
                message,
                for_good: retry_in.is_none(),
                duration,
            },
            OnDisk::Tell(notice),
        );
        if let Some(pause) = retry_in {
            let due = now + pause;
            let place = self.waiting.partition_point(|(at, _)| *at <= due);
            self.waiting.insert(place, (due, job));
        }
        if let Some(fatal) = self
            .failures
            .fatal()
            .filter(|_| self.stop.is_none())
            .cloned()
        {
            self.stop(now, Stop::Fatal(fatal), EndBy::Terminate);
        }
    }

    fn record(&mut self, record: Record, on_disk: OnDisk) {
        if !matches!(self.stop, Some(Stop::Fatal(Fatal::Ledger(_)))) {
            self.actions.push(Action::Record(record));
            self.unwritten.push_back(on_disk);
        }
    }

    /// Hands out what can be handed out, and concludes.
    fn settle(&mut self, now: Time) -> Vec<Action> {
        if self.stop.is_none() {
            let due = self.waiting.partition_point(|(at, _)| *at <= now);
            let due: Vec<Job> = self.waiting.drain(..due).map(|(_, job)| job).collect();
            due.into_iter().rev().for_each(|job| self.put_back(job));
            self.hold_back();
            self.hand_out(now);
            self.notice_end_of_time(now);
        }
        self.conclude()
    }

    /// Notices what has come to its end, and returns what is to be done. Enough where no slot can
    /// have become free.
    fn conclude(&mut self) -> Vec<Action> {
        if self.stop.is_none() {
            let ended = self.left() == 0 && self.waiting.is_empty() && self.unwritten.is_empty();
            if self.in_phase && ended && self.in_flight() == 0 {
                self.in_phase = false;
                self.forget_shortage();
                self.actions.push(Action::PhaseDone);
            }
        } else if self
            .slots
            .iter()
            .all(|slot| matches!(slot.state, State::Empty(_)))
            && self.unwritten.is_empty()
        {
            self.actions.push(Action::Stopped);
        }
        std::mem::take(&mut self.actions)
    }
}

#[cfg(test)]
mod away_tests;
#[cfg(test)]
mod racing_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod tests;
