//! Which worker gets which trials, and where a worker is started: the reactor's part that shares out the work.

use super::{Action, EndBy, Given, Job, Policy, Reactor, State, Time};

/// What a slot may be given.
#[derive(PartialEq, Eq)]
enum Turn {
    /// The next trials of the queue.
    Queue,
    /// The trial at that place among those that need their device to themselves.
    Solitary(usize),
    /// Nothing: a trial waits for the device to become free, or has it to itself.
    Wait,
}

impl Reactor {
    /// Puts a trial before all that have not been tried: trouble shows early.
    pub(super) fn put_back(&mut self, job: Job) {
        match job.own_device {
            Some(_) => self.solitary.push(job),
            None => {
                self.perhaps_out += usize::from(self.race.is_some());
                self.queue.put_back(job);
            }
        }
    }

    /// Trials that no worker has.
    pub(super) fn left(&self) -> usize {
        self.queue.len() + self.solitary.len()
    }

    /// Gives idle workers trials, and starts workers where more are needed.
    pub(super) fn hand_out(&mut self, now: Time) {
        let mut busy_devices: Vec<usize> = Vec::new();
        if self.policy == Policy::OnePerDevice {
            busy_devices.extend(self.slots.iter().filter(|slot| !slot.given.is_empty()).map(|slot| slot.device));
        }
        // Ready workers first: a trial should not wait for a process to start if one is idle.
        for ready in [true, false] {
            for number in 0..self.slots.len() {
                let (device, state) = (self.slots[number].device, self.slots[number].state);
                let alone = self.policy == Policy::OnePerDevice;
                if self.left() == 0 || (alone && busy_devices.contains(&device)) {
                    continue;
                }
                // Most messages leave every slot as it was: to ask each for its turn would look at all the others again.
                let may_change = match state {
                    State::Ready => ready && self.is_idle(number),
                    State::Starting(_) => alone,
                    State::Empty(_) => !ready,
                    State::Ending(..) => false,
                };
                if !may_change {
                    continue;
                }
                match (state, self.turn(number)) {
                    (State::Ready, Turn::Queue) if ready && self.is_idle(number) && self.queue.peek(number).is_some() => {
                        if !self.next_fits(now, number) {
                            self.renew(now, number);
                            continue;
                        }
                        self.give_from_queue(now, number);
                    }
                    (State::Ready, Turn::Solitary(place)) if ready && self.is_idle(number) => {
                        let job = self.solitary.remove(place);
                        self.give(now, number, vec![job]);
                    }
                    // The device's other workers have nothing to do, but may still hold memory.
                    (State::Ready, Turn::Wait) if ready && self.is_idle(number) => self.close_idle_beside(now, number),
                    // One that is starting will take the device's next trial: no second is needed.
                    (State::Starting(_), _) if !ready && alone => {}
                    (State::Empty(not_before), turn @ (Turn::Queue | Turn::Solitary(_)))
                        if !ready
                            && now >= not_before
                            && self.starting() < self.left()
                            && self.next_fits(now, number)
                            && (turn != Turn::Queue || self.queue.peek(number).is_some()) =>
                    {
                        self.slots[number].state = State::Starting(now);
                        self.slots[number].greeted = false;
                        self.slots[number].last_seen = now;
                        self.slots[number].queued = self.settings.queued;
                        (self.slots[number].ends, self.slots[number].fresh) = (None, true);
                        self.actions.push(Action::Spawn { slot: number });
                    }
                    _ => continue,
                }
                busy_devices.push(device);
            }
        }
    }

    fn starting(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Starting(_))).count()
    }

    fn is_idle(&self, number: usize) -> bool {
        self.slots[number].given.is_empty()
    }

    /// The slots that share a slot's device.
    fn beside(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        let device = self.slots[number].device;
        (0..self.slots.len()).filter(move |&other| other != number && self.slots[other].device == device)
    }

    fn turn(&self, number: usize) -> Turn {
        let has_it_alone = |other: usize| self.slots[other].given.iter().any(|given| given.job.own_device.is_some());
        if self.beside(number).any(has_it_alone) {
            return Turn::Wait;
        }
        if self.solitary.is_empty() && !self.has_room(number) {
            return Turn::Wait;
        }
        let device = Some(self.slots[number].device);
        match self.solitary.iter().position(|job| job.own_device == device) {
            None => Turn::Queue,
            Some(place) if self.beside(number).all(|other| matches!(self.slots[other].state, State::Empty(_))) => {
                Turn::Solitary(place)
            }
            Some(_) => Turn::Wait,
        }
    }

    /// What share of its device a trial takes.
    fn share(&self, job: &Job) -> f64 {
        self.settings.per_gpu.get(job.trial.arm).map_or(0.0, |&trials| 1.0 / f64::from(trials))
    }

    /// Whether the next trial of the queue fits beside those that its device has. It is waited for: a trial that needs a whole
    /// device would otherwise never get one.
    fn has_room(&self, number: usize) -> bool {
        let Some(next) = self.queue.peek(number) else { return true };
        let most = |slot: usize| self.slots[slot].given.iter().map(|given| self.share(&given.job)).fold(0.0, f64::max);
        let taken: f64 = self.beside(number).map(most).sum();
        // Thirds do not add up to one exactly.
        taken == 0.0 || taken + self.share(next) <= 1.0 + 1e-9
    }

    fn close_idle_beside(&mut self, now: Time, number: usize) {
        let idle: Vec<usize> =
            self.beside(number).filter(|&other| self.slots[other].state == State::Ready && self.is_idle(other)).collect();
        if self.solitary.iter().any(|job| job.own_device == Some(self.slots[number].device)) {
            idle.into_iter().for_each(|other| self.end(now, other, EndBy::Close));
        }
    }

    fn give_from_queue(&mut self, now: Time, number: usize) {
        // A worker may compute the trials of a bundle together: one that is timed comes by itself.
        let timed = self.policy == Policy::OnePerDevice;
        let most = if timed { 1 } else { self.settings.bundle.max(self.slots[number].pack) };
        let (most, room) = (most.min(self.room(now, number)), self.room(now, number));
        while self.queue.peek(number).is_some() {
            let bundle = self.queue.take(number, self.slots.len(), most, !timed && self.settings.persistent);
            let mut bundle = self.still_in(bundle);
            // Trials with work in common come together, but no more of them than can finish.
            bundle.split_off(room.min(bundle.len())).into_iter().rev().for_each(|job| self.put_back(job));
            if !bundle.is_empty() {
                return self.give(now, number, bundle);
            }
        }
    }

    fn give(&mut self, now: Time, number: usize, bundle: Vec<Job>) {
        let group = bundle.first().and_then(Job::group).filter(|_| self.policy == Policy::AllSlots);
        self.handed_out = true;
        let slot = &mut self.slots[number];
        slot.last_seen = now;
        // A program is a process of its own for every trial.
        if slot.fresh || !self.settings.persistent {
            (slot.fresh, slot.first) = (false, bundle.first().map(|job| job.trial.id));
        }
        // It is started only now, and has to wait for its own turn.
        slot.queued = self.settings.queued && !self.settings.persistent;
        if group.is_none() || slot.group != group {
            slot.finished.clear();
        }
        slot.group = group;
        slot.given = bundle.iter().cloned().map(|job| Given { job, started: None }).collect();
        let bundle = bundle.into_iter().map(|job| job.trial).collect();
        self.actions.push(Action::Send { slot: number, bundle, share: group.is_some() });
    }
}
