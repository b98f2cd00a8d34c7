//! Which worker gets which trials, and where a worker is started: the reactor's part that shares
//! out the work.

use super::{Action, EndBy, Given, Job, Policy, Reactor, Slot, State, Time};

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
        if self.left() == 0 {
            return;
        }
        let alone = self.policy == Policy::OnePerDevice;
        let mut busy = if alone {
            self.busy_devices(|slot| !slot.given.is_empty())
        } else {
            Vec::new()
        };
        // Ready workers first: a trial should not wait for a process to start if one is idle.
        for ready in [true, false] {
            if !ready && alone {
                // A worker that is starting will take its device's next trial: no second one is
                // needed.
                let starting = self.busy_devices(|slot| matches!(slot.state, State::Starting(_)));
                busy.iter_mut()
                    .zip(starting)
                    .for_each(|(busy, starting)| *busy |= starting);
            }
            let mut starting = if ready { 0 } else { self.starting() };
            // Whether the queue has nothing for those that have not begun a group.
            let mut dry = false;
            for number in self.free.clone() {
                let (device, state) = (self.slots[number].device, self.slots[number].state);
                match state {
                    State::Ready if self.is_idle(number) => {}
                    State::Empty(_) => {}
                    State::Ready | State::Starting(_) | State::Ending(..) => {
                        self.free.remove(&number);
                        continue;
                    }
                }
                if self.left() == 0 || (alone && busy[device]) || ready != (state == State::Ready) {
                    continue;
                }
                if self.solitary.is_empty() {
                    if dry && !self.queue.is_open(number) {
                        continue;
                    }
                    dry = self.queue.peek(number).is_none();
                }
                match (state, self.turn(number)) {
                    (State::Ready, Turn::Queue) if self.queue.peek(number).is_some() => {
                        if !self.next_fits(now, number) {
                            self.renew(now, number);
                            continue;
                        }
                        self.give_from_queue(now, number);
                    }
                    (State::Ready, Turn::Solitary(place)) => {
                        let job = self.solitary.remove(place);
                        self.give(now, number, vec![job]);
                    }
                    // The device's other workers have nothing to do, but may still hold memory.
                    (State::Ready, Turn::Wait) => self.close_idle_beside(now, number),
                    (State::Empty(not_before), turn @ (Turn::Queue | Turn::Solitary(_)))
                        if now >= not_before
                            && starting < self.left()
                            && self.next_fits(now, number)
                            && (turn != Turn::Queue || self.queue.peek(number).is_some()) =>
                    {
                        self.slots[number].state = State::Starting(now);
                        self.slots[number].greeted = false;
                        self.slots[number].last_seen = now;
                        self.slots[number].queued = self.settings.queued;
                        (self.slots[number].ends, self.slots[number].fresh) = (None, true);
                        starting += 1;
                        self.actions.push(Action::Spawn { slot: number });
                    }
                    _ => continue,
                }
                if alone {
                    busy[device] = true;
                }
            }
        }
    }

    /// By device: whether a slot of it is so.
    fn busy_devices(&self, is_so: impl Fn(&Slot) -> bool) -> Vec<bool> {
        self.devices
            .iter()
            .map(|slots| slots.iter().any(|&slot| is_so(&self.slots[slot])))
            .collect()
    }

    fn starting(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| matches!(slot.state, State::Starting(_)))
            .count()
    }

    fn is_idle(&self, number: usize) -> bool {
        self.slots[number].given.is_empty()
    }

    /// The slots that share a slot's device.
    fn beside(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        self.devices[self.slots[number].device]
            .iter()
            .copied()
            .filter(move |&other| other != number)
    }

    fn turn(&self, number: usize) -> Turn {
        let has_it_alone = |other: usize| {
            self.slots[other]
                .given
                .iter()
                .any(|given| given.job.own_device.is_some())
        };
        if self.beside(number).any(has_it_alone) {
            return Turn::Wait;
        }
        if self.solitary.is_empty() && !self.has_room(number) {
            return Turn::Wait;
        }
        let device = Some(self.slots[number].device);
        match self
            .solitary
            .iter()
            .position(|job| job.own_device == device)
        {
            None => Turn::Queue,
            Some(place)
                if self
                    .beside(number)
                    .all(|other| matches!(self.slots[other].state, State::Empty(_))) =>
            {
                Turn::Solitary(place)
            }
            Some(_) => Turn::Wait,
        }
    }

    /// What share of its device a trial takes.
    fn share(&self, job: &Job) -> f64 {
        self.settings
            .per_gpu
            .get(job.trial.arm.0)
            .map_or(0.0, |&trials| 1.0 / f64::from(trials))
    }

    /// Whether the next trial of the queue fits beside those that its device has. It is waited for:
    /// a trial that needs a whole device would otherwise never get one.
    fn has_room(&self, number: usize) -> bool {
        let Some(next) = self.queue.peek(number) else {
            return true;
        };
        let most = |slot: usize| {
            self.slots[slot]
                .given
                .iter()
                .map(|given| self.share(&given.job))
                .fold(0.0, f64::max)
        };
        let taken: f64 = self.beside(number).map(most).sum();
        // Thirds do not add up to one exactly.
        taken == 0.0 || taken + self.share(next) <= 1.0 + 1e-9
    }

    fn close_idle_beside(&mut self, now: Time, number: usize) {
        let idle: Vec<usize> = self
            .beside(number)
            .filter(|&other| self.slots[other].state == State::Ready && self.is_idle(other))
            .collect();
        if self
            .solitary
            .iter()
            .any(|job| job.own_device == Some(self.slots[number].device))
        {
            idle.into_iter()
                .for_each(|other| self.end(now, other, EndBy::Close));
        }
    }

    fn give_from_queue(&mut self, now: Time, number: usize) {
        // A worker may compute the trials of a bundle together: one that is timed comes by itself.
        let timed = self.policy == Policy::OnePerDevice;
        let most = if timed {
            1
        } else {
            self.settings.bundle.max(self.slots[number].pack)
        };
        let (most, room) = (most.min(self.room(now, number)), self.room(now, number));
        while self.queue.peek(number).is_some() {
            let bundle = self.queue.take(
                number,
                self.slots.len(),
                most,
                !timed && self.settings.persistent,
            );
            let mut bundle = self.still_in(bundle);
            // Trials with work in common come together, but no more of them than can finish.
            bundle
                .split_off(room.min(bundle.len()))
                .into_iter()
                .rev()
                .for_each(|job| self.put_back(job));
            if !bundle.is_empty() {
                return self.give(now, number, bundle);
            }
        }
    }

    fn give(&mut self, now: Time, number: usize, bundle: Vec<Job>) {
        let group = bundle
            .first()
            .and_then(Job::group)
            .filter(|_| self.policy == Policy::AllSlots);
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
        slot.given = bundle
            .iter()
            .cloned()
            .map(|job| Given {
                job,
                started: None,
                unheard: Time::ZERO,
            })
            .collect();
        let bundle = bundle.into_iter().map(|job| job.trial).collect();
        self.actions.push(Action::Send {
            slot: number,
            bundle,
            share: group.is_some(),
        });
    }
}
