//! The decisions of a sweep, as a pure state machine: each `on_...` function takes an event and
//! returns the actions that follow from it. It has no clock, starts no process and opens no file;
//! the dispatcher does that.

mod ending;
mod exits;
mod hand_out;
mod lost;
mod messages;
mod outcomes;
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
use slot::{Job, Slot, SlotState};

use super::action::{
    Action, EndBy, Exit, Failure, Fatal, MAX_START_FAILURES, Policy, Reason, Record, Settings,
    TICK, Time,
};
use super::failures::Failures;
use super::notice::Notice;
use super::slot_index::{PerSlot, SlotIndex};
use crate::plan::{PlannedTrial, Race};
use crate::protocol::FailureKind;

/// How many ticks late a tick may be before the program is taken to have been suspended.
const MAX_LATE_TICKS: u32 = 5;

/// What to do once a record is on the disk.
#[derive(Debug)]
enum AfterCommit {
    Nothing,
    Tell(Notice),
}

/// Why no more trials are started.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Close,
    Interrupt,
    /// No trial that is left can finish in time.
    OutOfTime,
    Fatal(Fatal),
}

/// The state of a sweep's scheduling.
#[derive(Debug)]
pub struct Reactor {
    settings: Settings,
    slots: PerSlot<Slot>,
    /// The slots of each device, by the device's number.
    devices: Vec<Vec<SlotIndex>>,
    /// Slots that may be available; all others are not. With thousands of slots it would take too
    /// long to look at each of them for every event.
    free: BTreeSet<SlotIndex>,
    queue: Queue,
    /// Trials that ran out of memory beside others. Each waits until it can have its device to
    /// itself.
    solitary: Vec<Job>,
    /// Trials that will be tried again, and when, the first one first.
    delayed: Vec<(Time, Job)>,
    /// Decides which points get no further seeds, if the sweep has a race.
    race: Option<Race>,
    /// The trials that are held back for the race.
    held: Vec<Job>,
    /// Upper bound for the number of queued trials whose points are out of the race.
    maybe_out: usize,
    policy: Policy,
    in_phase: bool,
    /// One entry for each record that is not on the disk yet, in their order.
    uncommitted: VecDeque<AfterCommit>,
    stop: Option<Stop>,
    /// How many workers in a row did not start.
    start_failures: u32,
    /// What keeps workers from starting at present.
    shortage: Option<Shortage>,
    failures: Failures,
    /// The longest that a trial of each arm has taken.
    longest: Vec<Option<Duration>>,
    /// Whether any trial was handed out.
    handed_out: bool,
    last_tick: Time,
    /// The actions that the present event has led to so far.
    actions: Vec<Action>,
}

impl Reactor {
    /// A reactor with empty slots and nothing to do.
    pub fn new(settings: Settings) -> Self {
        let device_count = settings.slots.iter().max().map_or(0, |last| last + 1);
        let mut devices = vec![Vec::new(); device_count];
        for (slot, &device) in settings.slots.iter().enumerate() {
            devices[device].push(SlotIndex(slot));
        }
        let slots: PerSlot<Slot> = settings
            .slots
            .iter()
            .map(|&device| Slot::empty(device))
            .collect();
        Self {
            devices,
            free: slots.indices().collect(),
            slots,
            failures: Failures::new(settings.limits.clone(), settings.arms.clone()),
            longest: settings.longest.clone(),
            handed_out: false,
            settings,
            queue: Queue::default(),
            solitary: Vec::new(),
            delayed: Vec::new(),
            race: None,
            held: Vec::new(),
            maybe_out: 0,
            policy: Policy::AllSlots,
            in_phase: false,
            uncommitted: VecDeque::new(),
            stop: None,
            start_failures: 0,
            shortage: None,
            last_tick: Time::ZERO,
            actions: Vec::new(),
        }
    }

    /// The number of trials that workers have at this moment.
    pub fn in_flight(&self) -> usize {
        self.slots.iter().map(|slot| slot.assignments().len()).sum()
    }

    /// The number of records that are not on the disk yet.
    pub fn unwritten(&self) -> usize {
        self.uncommitted.len()
    }

    /// The number of results and failures of trials that are not on the disk yet.
    pub fn unwritten_results(&self) -> usize {
        self.uncommitted
            .iter()
            .filter(|after| {
                matches!(
                    after,
                    AfterCommit::Tell(Notice::TrialDone { .. } | Notice::TrialFailed { .. })
                )
            })
            .count()
    }

    /// Why the sweep was given up, if it was.
    pub fn fatal(&self) -> Option<&Fatal> {
        match &self.stop {
            Some(Stop::Fatal(fatal)) => Some(fatal),
            _ => None,
        }
    }

    /// Whether the user, or the end of the allocation, stopped the sweep.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.stop, Some(Stop::Interrupt | Stop::OutOfTime))
    }

    /// Whether no more trials are started.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Adds the trials of a phase; `PhaseDone` follows when all have ended.
    pub fn on_trials(
        &mut self,
        now: Time,
        trials: Vec<PlannedTrial>,
        policy: Policy,
    ) -> Vec<Action> {
        self.held.clear();
        self.enqueue(trials.into_iter().map(Job::new).collect());
        self.policy = policy;
        self.in_phase = true;
        self.advance(now)
    }

    /// There are no further trials, and workers may exit. `Stopped` follows when they have.
    pub fn on_close(&mut self, now: Time) -> Vec<Action> {
        self.stop(now, Stop::Close, EndBy::Close);
        self.advance(now)
    }

    /// The user asks to stop. A second request kills the workers.
    pub fn on_interrupt(&mut self, now: Time) -> Vec<Action> {
        if matches!(self.stop, None | Some(Stop::Close | Stop::OutOfTime)) {
            self.tell(Notice::Stopping {
                cut_off: self.in_flight(),
            });
            self.stop(now, Stop::Interrupt, EndBy::Terminate);
        } else {
            self.end_all(now, EndBy::Kill);
        }
        self.advance(now)
    }

    /// The ledger cannot be written: what is not on the disk by now never counts.
    pub fn on_ledger_failure(&mut self, now: Time, message: String) -> Vec<Action> {
        self.uncommitted.clear();
        self.stop(now, Stop::Fatal(Fatal::Ledger(message)), EndBy::Terminate);
        self.advance(now)
    }

    /// The next `count` records are on the disk.
    pub fn on_committed(&mut self, count: usize) -> Vec<Action> {
        for _ in 0..count {
            if let Some(AfterCommit::Tell(notice)) = self.uncommitted.pop_front() {
                self.tell(notice);
            }
        }
        self.conclude()
    }

    /// A second has passed.
    pub fn on_tick(&mut self, now: Time) -> Vec<Action> {
        let gap = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if gap > MAX_LATE_TICKS * TICK {
            // The program was suspended (Ctrl-Z, a debugger). The messages that workers sent in
            // that time have not been read yet.
            self.skip_suspended_time(gap);
        }

        for slot in self.slots.indices() {
            self.check_limits(now, slot);
        }
        self.check_shortage(now);
        self.advance(now)
    }

    /// Workers could not be heard for this long since the last tick, because the ledger was slower
    /// than they are. No limit counts that time.
    pub fn on_unheard(&mut self, gap: Duration) {
        if gap.is_zero() {
            return;
        }
        for slot in self.slots.iter_mut() {
            slot.excuse_unheard_time(gap);
        }
        self.skip_shortage(gap);
    }

    /// The program and its workers were suspended for this long, and run again.
    pub fn on_continued(&mut self, now: Time, gap: Duration) -> Vec<Action> {
        self.skip_suspended_time(gap);
        self.last_tick = now;
        self.advance(now)
    }

    fn skip_suspended_time(&mut self, gap: Duration) {
        for slot in self.slots.iter_mut() {
            slot.skip_suspended_time(gap);
        }
        self.skip_shortage(gap);
    }

    /// Ends a slot's process if it has exceeded a time limit.
    fn check_limits(&mut self, now: Time, slot: SlotIndex) {
        match &self.slots[slot].state {
            SlotState::Empty { .. } => {}
            SlotState::Starting { since, process } => {
                let waited = now.saturating_sub(*since);
                if !process.queued && waited > self.settings.start {
                    let message = format!("no hello after {} s", waited.as_secs());
                    self.blame(now, slot, FailureKind::CouldNotStart, message);
                }
            }
            SlotState::Ready(worker) => {
                let silence = now.saturating_sub(worker.last_seen);
                if self.must_speak(slot) && silence > self.settings.heartbeat {
                    let message = format!("the worker was silent for {} s", silence.as_secs());
                    self.blame(now, slot, FailureKind::LostHeartbeat, message);
                } else if let Some(limit) = self.exceeded_timeout(now, slot) {
                    self.time_out(now, slot, limit);
                }
            }
            SlotState::Ending(ending) => {
                if ending.how < EndBy::Kill && now >= ending.kill_at {
                    self.end(now, slot, EndBy::Kill);
                }
            }
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.actions.push(Action::Tell(notice));
    }

    fn record(&mut self, record: Record, after: AfterCommit) {
        if !matches!(self.stop, Some(Stop::Fatal(Fatal::Ledger(_)))) {
            self.actions.push(Action::Record(record));
            self.uncommitted.push_back(after);
        }
    }

    /// Hands out what can be handed out, and returns the actions.
    fn advance(&mut self, now: Time) -> Vec<Action> {
        if self.stop.is_none() {
            self.requeue_delayed(now);
            self.hold_back();
            self.hand_out(now);
            self.check_time_left(now);
        }
        self.conclude()
    }

    /// Queues the trials whose pause before the next attempt is over.
    fn requeue_delayed(&mut self, now: Time) {
        let count = self.delayed.partition_point(|(at, _)| *at <= now);
        let due: Vec<Job> = self.delayed.drain(..count).map(|(_, job)| job).collect();
        for job in due.into_iter().rev() {
            self.put_back(job);
        }
    }

    /// Checks whether a phase or the sweep has ended, and returns the actions. This is enough where
    /// no slot can have become available.
    fn conclude(&mut self) -> Vec<Action> {
        if self.stop.is_none() {
            if self.in_phase && self.is_phase_over() {
                self.in_phase = false;
                self.forget_shortage();
                self.actions.push(Action::PhaseDone);
            }
        } else if self.uncommitted.is_empty() && self.slots.iter().all(Slot::is_empty) {
            self.actions.push(Action::Stopped);
        }
        std::mem::take(&mut self.actions)
    }

    fn is_phase_over(&self) -> bool {
        self.queued() == 0
            && self.delayed.is_empty()
            && self.uncommitted.is_empty()
            && self.in_flight() == 0
    }
}

#[cfg(test)]
mod tests;
