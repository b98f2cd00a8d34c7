//! Which worker gets which trials, and in which slots workers are started.

use std::collections::BTreeSet;

use super::slot::{Assignment, Job, Process, SlotState};
use super::{Action, EndBy, Policy, Reactor, Slot, SlotIndex, Time};

/// How far the shares of a device's trials may add up to more than one: thirds do not add up to one
/// exactly.
const SHARE_TOLERANCE: f64 = 1e-9;

/// What a slot can be given.
#[derive(PartialEq, Eq)]
enum NextWork {
    /// The next trials of the queue.
    Queue,
    /// The trial at this place among those that need their device to themselves.
    Solitary(usize),
    /// Nothing: a trial waits for the device to become free, or has it to itself.
    Wait,
}

/// The devices on which no further trial may start now. Empty unless each trial has its device to
/// itself.
type BusyDevices = BTreeSet<usize>;

impl Reactor {
    /// Puts a trial before all that have not been tried, so that failures show early.
    pub(super) fn put_back(&mut self, job: Job) {
        if job.own_device.is_some() {
            self.solitary.push(job);
        } else {
            self.maybe_out += usize::from(self.race.is_some());
            self.queue.put_back(job);
        }
    }

    /// The number of trials that could be handed out.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() + self.solitary.len()
    }

    /// Gives idle workers trials, and starts workers where more are needed.
    pub(super) fn hand_out(&mut self, now: Time) {
        if self.queued() == 0 {
            return;
        }
        let mut busy = BusyDevices::new();
        if self.policy == Policy::OnePerDevice {
            busy.extend(self.devices_with(|slot| !slot.assignments().is_empty()));
        }

        // Ready workers come first: no trial should wait for a process to start while one is idle.
        self.give_to_ready_workers(now, &mut busy);
        if self.policy == Policy::OnePerDevice {
            // A worker that is starting will take its device's next trial: no second one is needed.
            busy.extend(self.devices_with(Slot::is_starting));
        }
        self.start_workers(now, &mut busy);
    }

    fn give_to_ready_workers(&mut self, now: Time, busy: &mut BusyDevices) {
        // Whether the queue has nothing for slots that have not begun a group.
        let mut is_dry = false;
        for slot in self.free.clone() {
            if !self.slots[slot].is_available() {
                self.free.remove(&slot);
                continue;
            }
            let device = self.slots[slot].device;
            if self.queued() == 0 || busy.contains(&device) || self.slots[slot].is_empty() {
                continue;
            }
            if self.has_nothing_for(slot, &mut is_dry) {
                continue;
            }

            match self.next_work(slot) {
                NextWork::Queue => {
                    if self.queue.peek(slot).is_none() {
                        continue;
                    }
                    if !self.next_fits(now, slot) {
                        self.replace_worker(now, slot);
                        continue;
                    }
                    self.give_from_queue(now, slot);
                }
                NextWork::Solitary(place) => {
                    let job = self.solitary.remove(place);
                    self.give(now, slot, vec![job]);
                }
                // The device's other workers have nothing to do, but may still hold memory.
                NextWork::Wait => self.close_idle_beside(now, slot),
            }
            self.mark_busy(device, busy);
        }
    }

    fn start_workers(&mut self, now: Time, busy: &mut BusyDevices) {
        let mut starting = self.slots.iter().filter(|slot| slot.is_starting()).count();
        let mut is_dry = false;
        for slot in self.free.clone() {
            if !self.slots[slot].is_available() {
                self.free.remove(&slot);
                continue;
            }
            let SlotState::Empty { until } = self.slots[slot].state else {
                continue;
            };
            let device = self.slots[slot].device;
            if self.queued() == 0 || busy.contains(&device) {
                continue;
            }
            if self.has_nothing_for(slot, &mut is_dry) {
                continue;
            }

            let has_work = match self.next_work(slot) {
                NextWork::Queue => self.queue.peek(slot).is_some(),
                NextWork::Solitary(_) => true,
                NextWork::Wait => false,
            };
            let is_needed = starting < self.queued();
            if has_work && is_needed && now >= until && self.next_fits(now, slot) {
                self.slots[slot].state = SlotState::Starting {
                    since: now,
                    process: Process::new(self.settings.queued),
                };
                starting += 1;
                self.actions.push(Action::Spawn { slot });
                self.mark_busy(device, busy);
            }
        }
    }

    /// Whether nothing that is queued is for this slot. `is_dry` remembers the answer for slots
    /// that have not begun a group, since it is the same for all of them.
    fn has_nothing_for(&self, slot: SlotIndex, is_dry: &mut bool) -> bool {
        if !self.solitary.is_empty() {
            return false;
        }
        if *is_dry && !self.queue.has_open_group(slot) {
            return true;
        }
        *is_dry = self.queue.peek(slot).is_none();
        false
    }

    fn mark_busy(&self, device: usize, busy: &mut BusyDevices) {
        if self.policy == Policy::OnePerDevice {
            busy.insert(device);
        }
    }

    /// The devices of the slots for which `predicate` holds.
    fn devices_with<'a>(
        &'a self,
        predicate: impl Fn(&Slot) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        self.slots
            .iter()
            .filter(move |slot| predicate(slot))
            .map(|slot| slot.device)
    }

    /// The other slots of a slot's device.
    fn beside(&self, slot: SlotIndex) -> impl Iterator<Item = SlotIndex> + '_ {
        self.devices[self.slots[slot].device]
            .iter()
            .copied()
            .filter(move |&other| other != slot)
    }

    fn next_work(&self, slot: SlotIndex) -> NextWork {
        if self.beside(slot).any(|other| self.has_device_alone(other)) {
            return NextWork::Wait;
        }
        if self.solitary.is_empty() && !self.has_room(slot) {
            return NextWork::Wait;
        }

        let device = Some(self.slots[slot].device);
        let place = self
            .solitary
            .iter()
            .position(|job| job.own_device == device);
        let Some(place) = place else {
            return NextWork::Queue;
        };
        if self.beside(slot).all(|other| self.slots[other].is_empty()) {
            NextWork::Solitary(place)
        } else {
            NextWork::Wait
        }
    }

    /// Whether a slot's worker has a trial that needs its device to itself.
    fn has_device_alone(&self, slot: SlotIndex) -> bool {
        self.slots[slot]
            .assignments()
            .iter()
            .any(|assignment| assignment.job.own_device.is_some())
    }

    /// The share of its device that a trial takes.
    fn share(&self, job: &Job) -> f64 {
        self.settings
            .per_gpu
            .get(job.trial.arm.0)
            .map_or(0.0, |&trials| 1.0 / f64::from(trials))
    }

    /// Whether the next trial of the queue fits on the device beside those that it has. Other
    /// trials do not overtake it: a trial that needs a whole device would never get one.
    fn has_room(&self, slot: SlotIndex) -> bool {
        let Some(next) = self.queue.peek(slot) else {
            return true;
        };
        let taken: f64 = self
            .beside(slot)
            .map(|other| self.largest_share(other))
            .sum();
        taken == 0.0 || taken + self.share(next) <= 1.0 + SHARE_TOLERANCE
    }

    fn largest_share(&self, slot: SlotIndex) -> f64 {
        self.slots[slot]
            .assignments()
            .iter()
            .map(|assignment| self.share(&assignment.job))
            .fold(0.0, f64::max)
    }

    /// Ends idle workers on the device of a slot, if a trial waits for that device.
    fn close_idle_beside(&mut self, now: Time, slot: SlotIndex) {
        let device = Some(self.slots[slot].device);
        if !self.solitary.iter().any(|job| job.own_device == device) {
            return;
        }
        let idle: Vec<SlotIndex> = self
            .beside(slot)
            .filter(|&other| self.slots[other].is_ready_and_idle())
            .collect();
        for other in idle {
            self.end(now, other, EndBy::Close);
        }
    }

    fn give_from_queue(&mut self, now: Time, slot: SlotIndex) {
        // A worker may compute the trials of a bundle together; a trial that is timed is given to
        // it alone.
        let is_timed = self.policy == Policy::OnePerDevice;
        let wanted = if is_timed {
            1
        } else {
            let pack = self.slots[slot].worker().map_or(0, |worker| worker.pack);
            self.settings.bundle.max(pack)
        };
        let fitting = self.trials_that_fit(now, slot);
        let limit = wanted.min(fitting);
        let grouped = !is_timed && self.settings.persistent;

        while self.queue.peek(slot).is_some() {
            let bundle = self.queue.take(slot, self.slots.len(), limit, grouped);
            let mut bundle = self.without_those_out(bundle);
            // Trials with work in common come together, but no more of them than can finish.
            let excess = bundle.split_off(fitting.min(bundle.len()));
            for job in excess.into_iter().rev() {
                self.put_back(job);
            }
            if !bundle.is_empty() {
                return self.give(now, slot, bundle);
            }
        }
    }

    fn give(&mut self, now: Time, slot: SlotIndex, bundle: Vec<Job>) {
        let Some(worker) = self.slots[slot].worker_mut() else {
            return;
        };
        let group = bundle
            .first()
            .and_then(Job::group)
            .filter(|_| self.policy == Policy::AllSlots);
        if group.is_none() || worker.group != group {
            worker.finished.clear();
        }
        worker.group = group;
        worker.last_seen = now;

        // A program is a process of its own for each trial. It is started only now, and may have to
        // wait for its turn.
        if worker.process.first_trial.is_none() || !self.settings.persistent {
            worker.process.first_trial = bundle.first().map(|job| job.trial.id);
        }
        worker.process.queued = self.settings.queued && !self.settings.persistent;

        let trials = bundle.iter().map(|job| job.trial).collect();
        worker.assignments = bundle.into_iter().map(Assignment::new).collect();
        self.handed_out = true;
        self.actions.push(Action::Send {
            slot,
            bundle: trials,
            share: group.is_some(),
        });
    }
}
