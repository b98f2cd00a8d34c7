//! The reactor under random orders of events: no slot is double-booked, every trial ends once,
//! attempts stay within their limits, and all work is done while workers live.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::tests::{at, done, hello, reactor, started, trial};
use super::*;

/// What a simulated worker and disk do next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Say(usize),
    Crash(usize),
    Fail(usize),
    Garbage(usize),
    LackMemory(usize),
    /// The machine lacks something from here on, or has it again.
    Lack(bool),
    Commit,
    Tick(u64),
}

fn step(slots: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..slots).prop_map(Step::Say),
        1 => (0..slots).prop_map(Step::Crash),
        1 => (0..slots).prop_map(Step::Fail),
        1 => (0..slots).prop_map(Step::Garbage),
        1 => (0..slots).prop_map(Step::LackMemory),
        1 => any::<bool>().prop_map(Step::Lack),
        4 => Just(Step::Commit),
        2 => (1_u64..90).prop_map(Step::Tick),
    ]
}

/// A world of workers and a disk around a reactor, which checks the rules as it goes.
struct World {
    reactor: Reactor,
    now: u64,
    /// By slot: is there a process, has it said hello, what has it got (trial, begun).
    alive: Vec<bool>,
    greeted: Vec<bool>,
    closing: Vec<bool>,
    has: Vec<Vec<(u64, bool)>>,
    unwritten: usize,
    /// Whether nothing can be started at present.
    lacks: bool,
    attempts: HashMap<u64, u32>,
    /// Trials that ran out of memory on a device of several slots.
    lacked: HashSet<u64>,
    /// How each trial ended, and how often.
    ended: BTreeMap<u64, u32>,
    phase_done: bool,
}

fn trials_of(trials: u64, grouped: u64) -> Vec<PlannedTrial> {
    let group = |number: u64| (grouped > 0).then(|| (number / grouped.max(1)) as u32);
    (0..trials)
        .map(|number| PlannedTrial {
            group: group(number),
            ..trial(number)
        })
        .collect()
}

impl World {
    /// `grouped`: of how many trials a group is; 0 for no groups.
    fn new(slots: usize, bundle: usize, trials: u64, grouped: u64) -> Self {
        let devices: Vec<usize> = (0..slots).map(|slot| slot / 2).collect();
        let mut world = Self {
            reactor: reactor(&devices, bundle),
            now: 0,
            alive: vec![false; slots],
            greeted: vec![false; slots],
            closing: vec![false; slots],
            has: vec![Vec::new(); slots],
            unwritten: 0,
            lacks: false,
            attempts: HashMap::new(),
            lacked: HashSet::new(),
            ended: BTreeMap::new(),
            phase_done: false,
        };
        let actions = world
            .reactor
            .on_trials(at(0), trials_of(trials, grouped), Policy::AllSlots);
        world.obey(actions);
        world
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Spawn { slot } => {
                    assert!(!self.alive[slot], "slot {slot} has a worker already");
                    assert!(
                        self.beside(slot).all(|other| !self.has_lacking(other)),
                        "started beside a trial that needs the device"
                    );
                    if self.lacks {
                        let actions = self.reactor.on_start_postponed(
                            at(self.now),
                            slot,
                            "no more processes",
                        );
                        self.obey(actions);
                        continue;
                    }
                    (self.alive[slot], self.greeted[slot]) = (true, false);
                }
                Action::Send {
                    slot,
                    bundle,
                    share,
                } => {
                    assert!(
                        bundle
                            .iter()
                            .all(|trial| !share || trial.group == bundle[0].group),
                        "two groups in one bundle"
                    );
                    assert!(!share || bundle[0].group.is_some());
                    assert!(
                        self.alive[slot] && self.greeted[slot] && self.has[slot].is_empty(),
                        "slot {slot} is double-booked"
                    );
                    for trial in &bundle {
                        assert!(
                            self.has
                                .iter()
                                .flatten()
                                .all(|(other, _)| *other != trial.index.0),
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
                        self.beside(slot).all(|other| !self.has_lacking(other)),
                        "slot {slot} works beside one that needs it all"
                    );
                    if bundle
                        .iter()
                        .any(|trial| self.lacked.contains(&trial.index.0))
                    {
                        assert_eq!(bundle.len(), 1);
                        assert!(
                            self.beside(slot).all(|other| !self.alive[other]),
                            "slot {slot} should have the device to itself"
                        );
                    }
                    self.has[slot] = bundle.iter().map(|trial| (trial.index.0, false)).collect();
                }
                Action::End { slot, how } => {
                    assert!(self.alive[slot]);
                    match how {
                        EndBy::Kill => self.die(slot, Exit::Signal(9)),
                        EndBy::Close | EndBy::Terminate => self.closing[slot] = true,
                    }
                }
                Action::Record(record) => {
                    self.unwritten += 1;
                    let end = match record {
                        Record::Done { trial, .. }
                        | Record::Failed {
                            trial,
                            for_good: true,
                            ..
                        } => Some(trial.index.0),
                        Record::Failed { trial, .. } => {
                            *self.attempts.entry(trial.index.0).or_default() += 1;
                            assert!(self.attempts[&trial.index.0] <= 2, "at most three attempts");
                            None
                        }
                        _ => None,
                    };
                    if let Some(trial) = end {
                        *self.ended.entry(trial).or_default() += 1;
                    }
                }
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

    fn die(&mut self, slot: usize, exit: Exit) {
        if self.alive[slot] {
            (self.alive[slot], self.closing[slot]) = (false, false);
            self.has[slot].clear();
            let actions = self.reactor.on_exit(at(self.now), slot, exit, "");
            self.obey(actions);
        }
    }

    /// The slots that share a slot's device.
    fn beside(&self, slot: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.alive.len()).filter(move |&other| other != slot && other / 2 == slot / 2)
    }

    fn has_lacking(&self, slot: usize) -> bool {
        self.has[slot]
            .iter()
            .any(|(trial, _)| self.lacked.contains(trial))
    }

    fn hear(&mut self, slot: usize, message: FromWorker) {
        let actions = self.reactor.on_message(at(self.now), slot, message);
        self.obey(actions);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Say(slot) if self.closing[slot] => self.die(slot, Exit::Code(0)),
            Step::Say(slot) if self.alive[slot] && !self.greeted[slot] => {
                self.greeted[slot] = true;
                self.hear(slot, hello());
            }
            Step::Say(slot) if self.alive[slot] => {
                let Some((number, begun)) = self.has[slot].first().copied() else {
                    return;
                };
                if begun {
                    self.has[slot].remove(0);
                    self.hear(slot, done(number));
                } else {
                    self.has[slot][0].1 = true;
                    self.hear(slot, started(number));
                }
            }
            Step::Fail(slot)
                if self.alive[slot] && self.has[slot].first().is_some_and(|(_, begun)| *begun) =>
            {
                let (number, _) = self.has[slot].remove(0);
                let trial = trial(number).id.to_string();
                self.hear(
                    slot,
                    FromWorker::Failed {
                        trial,
                        kind: FailureKind::Error,
                        message: String::new(),
                    },
                );
            }
            Step::LackMemory(slot)
                if self.alive[slot] && self.has[slot].first().is_some_and(|(_, begun)| *begun) =>
            {
                let (number, _) = self.has[slot].remove(0);
                if self.beside(slot).next().is_some() {
                    self.lacked.insert(number);
                }
                let trial = trial(number).id.to_string();
                self.hear(
                    slot,
                    FromWorker::Failed {
                        trial,
                        kind: FailureKind::OutOfMemory,
                        message: String::new(),
                    },
                );
            }
            // Crashes before hello three times in a row end the sweep, which is not what is tested
            // here.
            Step::Crash(slot) if self.greeted[slot] && !self.closing[slot] => {
                self.die(slot, Exit::Signal(11))
            }
            Step::Garbage(slot) if self.alive[slot] && self.greeted[slot] => {
                let actions = self.reactor.on_garbage(at(self.now), slot, "junk".into());
                self.obey(actions);
            }
            Step::Lack(lacks) => self.lacks = lacks,
            Step::Commit if self.unwritten > 0 => {
                self.unwritten -= 1;
                let actions = self.reactor.on_committed(1);
                self.obey(actions);
            }
            Step::Tick(seconds) => {
                for _ in 0..seconds {
                    self.now += 1;
                    for slot in 0..self.alive.len() {
                        if self.alive[slot] && self.greeted[slot] {
                            self.hear(slot, FromWorker::Heartbeat);
                        } else {
                            // Workers that never greet end the sweep, which is not what is tested
                            // here.
                            self.take(Step::Say(slot));
                        }
                    }
                    let actions = self.reactor.on_tick(at(self.now));
                    self.obey(actions);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_trial_ends_once(
        slots in 1_usize..5,
        bundle in 1_usize..4,
        trials in 0_u64..12,
        grouped in 0_u64..5,
        steps in prop::collection::vec(step(4), 0..200),
    ) {
        let mut world = World::new(slots, bundle, trials, grouped);
        for step in steps {
            let fits = match step {
                Step::Say(slot) | Step::Crash(slot) | Step::Fail(slot) | Step::Garbage(slot) | Step::LackMemory(slot) => slot < slots,
                Step::Lack(_) | Step::Commit | Step::Tick(_) => true,
            };
            if fits {
                world.take(step);
            }
        }
        world.take(Step::Lack(false));
        // From here on all workers are well: everything must come to its end.
        for _ in 0..400 {
            (0..slots).for_each(|slot| world.take(Step::Say(slot)));
            world.take(Step::Commit);
            world.take(Step::Tick(1));
        }
        prop_assert!(world.phase_done);
        prop_assert_eq!(world.ended.len() as u64, trials);
        prop_assert!(world.ended.values().all(|times| *times == 1));
    }
}
