//! The reactor under random orders of events: no slot is double-booked, each trial ends once,
//! attempts stay within their limits, and all work gets done while workers live.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// What a simulated worker, machine or disk does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The worker of a slot takes its next regular step.
    Proceed(usize),
    /// It crashes.
    Crash(usize),
    /// It reports an error.
    Fail(usize),
    /// It prints something that is not a message.
    Garbage(usize),
    /// It runs out of memory.
    RunOutOfMemory(usize),
    /// From now on the machine refuses to start processes, or does so no more.
    Refuse(bool),
    /// The disk commits a record.
    Commit,
    /// Seconds pass.
    Tick(u64),
}

fn step(slots: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..slots).prop_map(Step::Proceed),
        1 => (0..slots).prop_map(Step::Crash),
        1 => (0..slots).prop_map(Step::Fail),
        1 => (0..slots).prop_map(Step::Garbage),
        1 => (0..slots).prop_map(Step::RunOutOfMemory),
        1 => any::<bool>().prop_map(Step::Refuse),
        4 => Just(Step::Commit),
        2 => (1_u64..90).prop_map(Step::Tick),
    ]
}

impl Step {
    fn slot(self) -> Option<usize> {
        match self {
            Self::Proceed(slot)
            | Self::Crash(slot)
            | Self::Fail(slot)
            | Self::Garbage(slot)
            | Self::RunOutOfMemory(slot) => Some(slot),
            Self::Refuse(_) | Self::Commit | Self::Tick(_) => None,
        }
    }
}

/// A simulated worker in a slot.
#[derive(Clone, Debug, Default)]
struct SimulatedWorker {
    is_alive: bool,
    has_greeted: bool,
    is_closing: bool,
    /// Its trials, and whether it has started each.
    trials: Vec<(u64, bool)>,
}

/// Workers and a disk around a reactor. Checks the rules at each step.
struct World {
    reactor: Reactor,
    now: u64,
    workers: Vec<SimulatedWorker>,
    unwritten: usize,
    /// Whether the machine refuses to start processes.
    refuses: bool,
    /// Failed attempts by trial.
    attempts: HashMap<u64, u32>,
    /// Trials that ran out of memory on a device of several slots.
    out_of_memory: HashSet<u64>,
    /// How often each trial has ended.
    ended: BTreeMap<u64, u32>,
    phase_done: bool,
}

/// Trials in groups of `group_size`; 0 for no groups.
fn trials_of(trials: u64, group_size: u64) -> Vec<PlannedTrial> {
    (0..trials)
        .map(|number| PlannedTrial {
            group: number.checked_div(group_size).map(|group| group as u32),
            ..trial(number)
        })
        .collect()
}

impl World {
    fn new(slots: usize, bundle: usize, trials: u64, group_size: u64) -> Self {
        let devices: Vec<usize> = (0..slots).map(|slot| slot / 2).collect();
        let mut world = Self {
            reactor: reactor(&devices, bundle),
            now: 0,
            workers: vec![SimulatedWorker::default(); slots],
            unwritten: 0,
            refuses: false,
            attempts: HashMap::new(),
            out_of_memory: HashSet::new(),
            ended: BTreeMap::new(),
            phase_done: false,
        };
        let trials = trials_of(trials, group_size);
        let actions = world.reactor.on_trials(at(0), trials, Policy::AllSlots);
        world.obey(actions);
        world
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Spawn { slot } => self.spawn(slot),
                Action::Send {
                    slot,
                    bundle,
                    share,
                } => self.send(slot.0, &bundle, share),
                Action::End { slot, how } => {
                    assert!(self.workers[slot.0].is_alive);
                    match how {
                        EndBy::Kill => self.die(slot.0, Exit::Signal(9)),
                        EndBy::Close | EndBy::Terminate => self.workers[slot.0].is_closing = true,
                    }
                }
                Action::Record(record) => self.write(&record),
                Action::PhaseDone => {
                    assert_eq!(
                        self.unwritten, 0,
                        "the phase is done before its results are on the disk"
                    );
                    self.phase_done = true;
                }
                Action::Tell(_) | Action::Stopped => {}
            }
        }
    }

    fn spawn(&mut self, slot: SlotIndex) {
        assert!(
            !self.workers[slot.0].is_alive,
            "slot {slot} has a worker already"
        );
        assert!(
            self.beside(slot.0).all(|other| !self.needs_device(other)),
            "started beside a trial that needs the device"
        );
        if self.refuses {
            let why = "no more processes";
            let actions = self.reactor.on_start_postponed(at(self.now), slot, why);
            return self.obey(actions);
        }
        self.workers[slot.0].is_alive = true;
        self.workers[slot.0].has_greeted = false;
    }

    fn send(&mut self, slot: usize, bundle: &[PlannedTrial], share: bool) {
        let is_one_group = bundle.iter().all(|trial| trial.group == bundle[0].group);
        assert!(!share || is_one_group, "two groups in one bundle");
        assert!(!share || bundle[0].group.is_some());

        let worker = &self.workers[slot];
        assert!(
            worker.is_alive && worker.has_greeted && worker.trials.is_empty(),
            "slot {slot} is double-booked"
        );
        for trial in bundle {
            let mut running = self.workers.iter().flat_map(|worker| &worker.trials);
            assert!(
                running.all(|(other, _)| *other != trial.index.0),
                "trial {} runs twice",
                trial.index.0
            );
            assert!(
                !self.ended.contains_key(&trial.index.0),
                "trial {} had ended",
                trial.index.0
            );
        }

        assert!(
            self.beside(slot).all(|other| !self.needs_device(other)),
            "slot {slot} works beside a trial that needs the device"
        );
        if bundle
            .iter()
            .any(|trial| self.out_of_memory.contains(&trial.index.0))
        {
            assert_eq!(bundle.len(), 1);
            assert!(
                self.beside(slot).all(|other| !self.workers[other].is_alive),
                "slot {slot} should have the device to itself"
            );
        }
        self.workers[slot].trials = bundle.iter().map(|trial| (trial.index.0, false)).collect();
    }

    fn write(&mut self, record: &Record) {
        self.unwritten += 1;
        match record {
            Record::Done { trial, .. }
            | Record::Failed {
                trial,
                permanent: true,
                ..
            } => *self.ended.entry(trial.index.0).or_default() += 1,
            Record::Failed { trial, .. } => {
                let attempts = self.attempts.entry(trial.index.0).or_default();
                *attempts += 1;
                assert!(*attempts <= 2, "at most three attempts");
            }
            _ => {}
        }
    }

    fn die(&mut self, slot: usize, exit: Exit) {
        let worker = &mut self.workers[slot];
        if !worker.is_alive {
            return;
        }
        worker.is_alive = false;
        worker.is_closing = false;
        worker.trials.clear();
        let actions = self
            .reactor
            .on_exit(at(self.now), SlotIndex(slot), exit, "");
        self.obey(actions);
    }

    /// The other slots of a slot's device.
    fn beside(&self, slot: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.workers.len()).filter(move |&other| other != slot && other / 2 == slot / 2)
    }

    fn needs_device(&self, slot: usize) -> bool {
        self.workers[slot]
            .trials
            .iter()
            .any(|(trial, _)| self.out_of_memory.contains(trial))
    }

    fn say(&mut self, slot: usize, message: FromWorker) {
        let actions = self
            .reactor
            .on_message(at(self.now), SlotIndex(slot), message);
        self.obey(actions);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Proceed(slot) => self.proceed(slot),
            Step::Fail(slot) => {
                if let Some(number) = self.take_started(slot) {
                    self.fail(slot, number, FailureKind::Error);
                }
            }
            Step::RunOutOfMemory(slot) => {
                if let Some(number) = self.take_started(slot) {
                    if self.beside(slot).next().is_some() {
                        self.out_of_memory.insert(number);
                    }
                    self.fail(slot, number, FailureKind::OutOfMemory);
                }
            }
            Step::Crash(slot) => {
                // Crashes before hello three times in a row end the sweep, which is not what is
                // tested here.
                let worker = &self.workers[slot];
                if worker.has_greeted && !worker.is_closing {
                    self.die(slot, Exit::Signal(11));
                }
            }
            Step::Garbage(slot) => {
                let worker = &self.workers[slot];
                if worker.is_alive && worker.has_greeted {
                    let what = "junk".to_owned();
                    let actions = self.reactor.on_garbage(at(self.now), SlotIndex(slot), what);
                    self.obey(actions);
                }
            }
            Step::Refuse(refuses) => self.refuses = refuses,
            Step::Commit => {
                if self.unwritten > 0 {
                    self.unwritten -= 1;
                    let actions = self.reactor.on_committed(1);
                    self.obey(actions);
                }
            }
            Step::Tick(seconds) => {
                for _ in 0..seconds {
                    self.tick();
                }
            }
        }
    }

    fn proceed(&mut self, slot: usize) {
        let worker = &mut self.workers[slot];
        if worker.is_closing {
            return self.die(slot, Exit::Code(0));
        }
        if !worker.is_alive {
            return;
        }
        if !worker.has_greeted {
            worker.has_greeted = true;
            return self.say(slot, hello());
        }
        let Some((number, has_started)) = worker.trials.first().copied() else {
            return;
        };
        if has_started {
            worker.trials.remove(0);
            self.say(slot, done(number));
        } else {
            worker.trials[0].1 = true;
            self.say(slot, started(number));
        }
    }

    /// Takes the trial that a slot's worker has started off it.
    fn take_started(&mut self, slot: usize) -> Option<u64> {
        let worker = &mut self.workers[slot];
        let (number, has_started) = worker.trials.first().copied()?;
        if !worker.is_alive || !has_started {
            return None;
        }
        worker.trials.remove(0);
        Some(number)
    }

    fn fail(&mut self, slot: usize, number: u64, kind: FailureKind) {
        let message = FromWorker::Failed {
            trial: trial(number).id.to_string(),
            kind,
            message: String::new(),
        };
        self.say(slot, message);
    }

    fn tick(&mut self) {
        self.now += 1;
        for slot in 0..self.workers.len() {
            if self.workers[slot].is_alive && self.workers[slot].has_greeted {
                self.say(slot, FromWorker::Heartbeat);
            } else {
                // Workers that never greet end the sweep, which is not what is tested here.
                self.proceed(slot);
            }
        }
        let actions = self.reactor.on_tick(at(self.now));
        self.obey(actions);
    }
}

proptest! {
    #[test]
    fn each_trial_ends_once(
        slots in 1_usize..5,
        bundle in 1_usize..4,
        trials in 0_u64..12,
        group_size in 0_u64..5,
        steps in prop::collection::vec(step(4), 0..200),
    ) {
        let mut world = World::new(slots, bundle, trials, group_size);
        for step in steps {
            if step.slot().is_none_or(|slot| slot < slots) {
                world.take(step);
            }
        }

        // From here on all workers are well: all trials must end.
        world.take(Step::Refuse(false));
        for _ in 0..400 {
            (0..slots).for_each(|slot| world.proceed(slot));
            world.take(Step::Commit);
            world.take(Step::Tick(1));
        }
        prop_assert!(world.phase_done);
        prop_assert_eq!(world.ended.len() as u64, trials);
        prop_assert!(world.ended.values().all(|times| *times == 1));
    }
}
