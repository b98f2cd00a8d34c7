//! A cluster that exists in numbers only, around the real reactor: workers that start, train, fail
//! and are preempted, a disk that takes time, one coordinator that deals with one event after
//! another. Pure and seeded: the same cluster gives the same outcome. For `docs/scaling.md`, and for
//! the tests that no trial is lost or ends twice (`tests/integration/simulation.rs`).

mod books;
mod chance;
mod workers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use books::Books;
pub(super) use books::{Breach, Outcome};
use chance::Chance;
use pentagrid::grid::{ArmIndex, PointId, PointIndex, TrialId};
use pentagrid::plan::{Phase, PlannedTrial};
use pentagrid::protocol::FromWorker;
use pentagrid::schedule::{
    Action, EndBy, Exit, Policy, Reactor, Record, Settings, SlotIndex, TICK, Time,
};
use pentagrid::spec::Limits;
use workers::{Say, Workers};

/// A worker with a trial says something at least this often.
const HEARTBEAT: Time = Time::from_secs(20);
/// The dispatcher lets workers wait from so many records on that are not on the disk
/// (`dispatcher.rs`).
const MOST_UNWRITTEN: usize = 10_000;

/// What is simulated. Times are in seconds, chances between 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// Slots, each with a worker of its own.
    pub workers: usize,
    /// So many slots share a device.
    pub per_device: usize,
    /// So many slots are on a node: they are preempted together.
    pub per_node: usize,
    /// Trials.
    pub trials: u64,
    /// So many trials have work in common and go to one worker; 0: none have.
    pub group: u64,
    /// The most trials that a worker is given at a time.
    pub bundle: usize,
    /// Whether each trial has its device to itself, as final trials do.
    pub timed: bool,
    /// Rows of history that a trial sends.
    pub epochs: u32,
    /// How long a trial takes on average.
    pub trial_seconds: f64,
    /// Trials take between 1 - spread and 1 + spread times that.
    pub spread: f64,
    /// How long a worker takes to say hello.
    pub start_seconds: f64,
    /// The chance that a trial reports an error.
    pub error: f64,
    /// The chance that a trial brings its worker down.
    pub crash: f64,
    /// The chance that a trial runs out of memory.
    pub out_of_memory: f64,
    /// The chance that a worker falls silent in a trial.
    pub hang: f64,
    /// How often a node is preempted, in hours between two times; 0: never.
    pub preempted_every_hours: f64,
    /// How long a preempted node is away.
    pub away_seconds: f64,
    /// How long a commit takes, from the first record to the acknowledgement.
    pub commit_seconds: f64,
    /// What an event costs the coordinator, which deals with one at a time.
    pub event_seconds: f64,
    /// What giving out a trial and recording its result cost it on top of that.
    pub trial_overhead_seconds: f64,
    /// Of all chance.
    pub seed: u64,
}

impl Default for Cluster {
    /// Well-behaved workers, trials of a second, a coordinator that takes no time.
    fn default() -> Self {
        Self {
            workers: 8,
            per_device: 1,
            per_node: 8,
            trials: 1000,
            group: 0,
            bundle: 1,
            timed: false,
            epochs: 0,
            trial_seconds: 1.0,
            spread: 0.1,
            start_seconds: 5.0,
            error: 0.0,
            crash: 0.0,
            out_of_memory: 0.0,
            hang: 0.0,
            preempted_every_hours: 0.0,
            away_seconds: 60.0,
            commit_seconds: 0.005,
            event_seconds: 0.0,
            trial_overhead_seconds: 0.0,
            seed: 0,
        }
    }
}

/// What the reactor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventKind {
    /// All trials, at the beginning.
    Trials,
    /// A worker's hello, or another message that may free it for a trial (`done`, `failed`).
    Turn,
    /// A message that changes nothing for other workers: `started`, `epoch`, `heartbeat`.
    Progress,
    /// Records are on the disk.
    Committed,
    /// A worker is gone.
    Exit,
    /// A second has passed.
    Tick,
    /// Nothing further will come.
    Close,
}

/// Who wants to know what the reactor's answers cost brings a clock: the simulation has none.
pub(super) trait Meter {
    /// The reactor is about to be told something.
    fn before(&mut self) {}
    /// It has answered.
    fn after(&mut self, _event: EventKind) {}
}

impl Meter for () {}

/// Something that happens in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker speaks; the number tells it from those that had its slot before.
    Speaks {
        slot: usize,
        process: u64,
    },
    /// A worker's process ends.
    Ends {
        slot: usize,
        process: u64,
        signal: bool,
    },
    /// So many records are on the disk.
    Committed(usize),
    /// A node is taken away.
    Preempted {
        node: usize,
    },
    Tick,
}

struct World<'a> {
    cluster: &'a Cluster,
    reactor: Reactor,
    chance: Chance,
    workers: Workers<'a>,
    books: Books,
    /// What is going to happen: when, in which order among events of one time, what.
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    pushed: u64,
    /// Messages that wait because the disk has fallen behind.
    held_up: VecDeque<(usize, FromWorker)>,
    /// Records that no commit has taken yet.
    unwritten: usize,
    committing: bool,
    /// When the coordinator has dealt with what it was told last.
    free: Time,
    /// When something happened last, but for ticks.
    last: Time,
    /// The phase is done.
    ended: bool,
    /// Every worker is gone, too.
    over: bool,
}

/// Runs a sweep's trials on the cluster, to their end.
///
/// # Errors
/// What the reactor did that it must never do: give out a trial twice, lose one, count one twice.
pub(super) fn simulate(cluster: &Cluster, meter: &mut dyn Meter) -> Result<Outcome, Breach> {
    let mut world = World::new(cluster);
    world.play(meter)?;
    Ok(world.books.close(
        world.free,
        cluster.workers,
        world.reactor.fatal().map(ToString::to_string),
    ))
}

fn seconds(seconds: f64) -> Time {
    Time::from_secs_f64(seconds.max(0.0))
}

fn trial(cluster: &Cluster, number: u64) -> PlannedTrial {
    let group = (cluster.group > 0).then(|| (number / cluster.group.max(1)) as u32);
    let id = TrialId {
        point: PointId::of_canonical(&number.to_string()),
        seed: 0,
    };
    PlannedTrial {
        id,
        phase: if cluster.timed {
            Phase::Final
        } else {
            Phase::Tune
        },
        arm: ArmIndex(0),
        index: PointIndex(number),
        group,
    }
}

impl<'a> World<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let reactor = Reactor::new(Settings {
            slots: (0..cluster.workers)
                .map(|slot| slot / cluster.per_device.max(1))
                .collect(),
            persistent: true,
            bundle: cluster.bundle,
            metric: "score".into(),
            finals: None,
            heartbeat: Time::from_secs(60),
            start: Time::from_secs(120),
            grace: Time::from_secs(5),
            shortage: Time::from_secs(120),
            limits: Limits::default(),
            queued: false,
            agent: false,
            all_end: None,
            longest: Vec::new(),
            per_gpu: Vec::new(),
            arms: vec!["simulated".into()],
            warned_of_notes: false,
        });
        let mut world = Self {
            cluster,
            reactor,
            chance: Chance::new(cluster.seed),
            workers: Workers::new(cluster),
            books: Books::new(cluster.trials),
            events: BinaryHeap::new(),
            pushed: 0,
            held_up: VecDeque::new(),
            unwritten: 0,
            committing: false,
            free: Time::ZERO,
            last: Time::ZERO,
            ended: false,
            over: false,
        };
        world.push(TICK, Event::Tick);
        for node in 0..cluster.workers.div_ceil(cluster.per_node.max(1)) {
            world.plan_preemption(Time::ZERO, node);
        }
        world
    }

    fn push(&mut self, at: Time, event: Event) {
        self.pushed += 1;
        self.events.push(Reverse((at, self.pushed, event)));
    }

    fn plan_preemption(&mut self, now: Time, node: usize) {
        if self.cluster.preempted_every_hours > 0.0 {
            let hours = self.chance.waiting_time(self.cluster.preempted_every_hours);
            self.push(now + seconds(hours * 3600.0), Event::Preempted { node });
        }
    }

    fn play(&mut self, meter: &mut dyn Meter) -> Result<(), Breach> {
        let trials: Vec<PlannedTrial> = (0..self.cluster.trials)
            .map(|number| trial(self.cluster, number))
            .collect();
        let policy = if self.cluster.timed {
            Policy::OnePerDevice
        } else {
            Policy::AllSlots
        };
        self.tell(meter, EventKind::Trials, Time::ZERO, |reactor, now| {
            reactor.on_trials(now, trials, policy)
        })?;
        // Whoever has a trial is never silent for so long.
        let patience = seconds(3600.0 + self.cluster.away_seconds + self.cluster.start_seconds);
        while !self.over {
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                return Err(Breach::Stuck);
            };
            if event != Event::Tick {
                self.last = at;
            } else if at.saturating_sub(self.last) > patience {
                return Err(Breach::Stuck);
            }
            self.happen(meter, at, event)?;
            if std::mem::take(&mut self.ended) {
                self.tell(meter, EventKind::Close, at, |reactor, now| {
                    reactor.on_close(now)
                })?;
            }
            while self.reactor.unwritten() < MOST_UNWRITTEN
                && let Some((slot, message)) = self.held_up.pop_front()
            {
                self.hear(meter, at, slot, message)?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, meter: &mut dyn Meter, at: Time, event: Event) -> Result<(), Breach> {
        match event {
            Event::Speaks { slot, process } => {
                let Some((message, next)) =
                    self.workers
                        .speak(at, slot, process, &mut self.chance, &mut self.books)
                else {
                    return Ok(());
                };
                match next {
                    Some(Say::Next(after)) => {
                        self.push(at + after, Event::Speaks { slot, process });
                    }
                    Some(Say::Crash) => self.push(
                        at,
                        Event::Ends {
                            slot,
                            process,
                            signal: true,
                        },
                    ),
                    None => {}
                }
                match message {
                    Some(message)
                        if self.reactor.unwritten() >= MOST_UNWRITTEN
                            || !self.held_up.is_empty() =>
                    {
                        self.held_up.push_back((slot, message));
                    }
                    Some(message) => self.hear(meter, at, slot, message)?,
                    None => {}
                }
            }
            Event::Ends {
                slot,
                process,
                signal,
            } => {
                if self.workers.end(at, slot, process, &mut self.books) {
                    // What it said is read before its end is noticed.
                    let (said, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held_up)
                        .into_iter()
                        .partition(|(from, _)| *from == slot);
                    self.held_up = kept.into();
                    for (_, message) in said {
                        self.hear(meter, at, slot, message)?;
                    }
                    self.books.gone(slot);
                    let exit = if signal {
                        Exit::Signal(9)
                    } else {
                        Exit::Code(0)
                    };
                    self.tell(meter, EventKind::Exit, at, |reactor, now| {
                        reactor.on_exit(now, SlotIndex(slot), exit, "")
                    })?;
                }
            }
            Event::Committed(count) => {
                self.committing = false;
                self.books.committed(count);
                self.tell(meter, EventKind::Committed, at, |reactor, _| {
                    reactor.on_committed(count)
                })?;
            }
            Event::Preempted { node } => {
                let slots = node * self.cluster.per_node
                    ..((node + 1) * self.cluster.per_node).min(self.cluster.workers);
                let back = at + seconds(self.cluster.away_seconds);
                for (slot, process) in self.workers.preempt(slots, back) {
                    self.books.outcome.preempted += 1;
                    self.push(
                        at,
                        Event::Ends {
                            slot,
                            process,
                            signal: true,
                        },
                    );
                }
                self.plan_preemption(back, node);
            }
            Event::Tick => {
                self.push(at.max(self.free) + TICK, Event::Tick);
                self.tell(meter, EventKind::Tick, at, |reactor, now| {
                    reactor.on_tick(now)
                })?;
            }
        }
        Ok(())
    }

    fn hear(
        &mut self,
        meter: &mut dyn Meter,
        at: Time,
        slot: usize,
        message: FromWorker,
    ) -> Result<(), Breach> {
        let kind = match &message {
            FromWorker::Hello(_) | FromWorker::Done { .. } | FromWorker::Failed { .. } => {
                EventKind::Turn
            }
            FromWorker::Started { .. } | FromWorker::Epoch { .. } | FromWorker::Heartbeat => {
                EventKind::Progress
            }
        };
        if kind == EventKind::Turn {
            self.free = self.free.max(at) + seconds(self.cluster.trial_overhead_seconds);
        }
        self.tell(meter, kind, at, |reactor, now| {
            reactor.on_message(now, SlotIndex(slot), message)
        })
    }

    /// Tells the reactor, as soon as the coordinator has time, and does what it says.
    fn tell(
        &mut self,
        meter: &mut dyn Meter,
        kind: EventKind,
        at: Time,
        what: impl FnOnce(&mut Reactor, Time) -> Vec<Action>,
    ) -> Result<(), Breach> {
        let now = self.free.max(at);
        meter.before();
        let actions = what(&mut self.reactor, now);
        meter.after(kind);
        self.free = now + seconds(self.cluster.event_seconds);
        self.books.outcome.events += 1;
        for action in actions {
            self.perform(action)?;
        }
        if self.unwritten > 0 && !self.committing {
            self.committing = true;
            let count = std::mem::take(&mut self.unwritten);
            self.push(
                self.free + seconds(self.cluster.commit_seconds),
                Event::Committed(count),
            );
        }
        Ok(())
    }

    /// Does what the reactor says.
    fn perform(&mut self, action: Action) -> Result<(), Breach> {
        let now = self.free;
        match action {
            Action::Spawn { slot } => {
                let slot = slot.0;
                let (process, hello) = self.workers.spawn(now, slot)?;
                self.push(hello, Event::Speaks { slot, process });
            }
            Action::Send { slot, bundle, .. } => {
                let slot = slot.0;
                self.books.given(now, slot, &bundle)?;
                let process = self.workers.give(slot, bundle)?;
                self.push(now, Event::Speaks { slot, process });
            }
            Action::End { slot, how } => {
                let slot = slot.0;
                let after = if how == EndBy::Kill {
                    Time::ZERO
                } else {
                    Time::from_millis(100)
                };
                if let Some(process) = self.workers.told_to_end(slot) {
                    self.push(
                        now + after,
                        Event::Ends {
                            slot,
                            process,
                            signal: how == EndBy::Kill,
                        },
                    );
                }
            }
            Action::Record(record) => {
                self.unwritten += 1;
                match record {
                    Record::Done { slot, trial, .. } => self.books.ended(slot.0, &trial, true)?,
                    Record::Failed {
                        slot,
                        trial,
                        permanent: true,
                        ..
                    } => self.books.ended(slot.0, &trial, false)?,
                    Record::Failed { slot, trial, .. } => self.books.failed(slot.0, &trial)?,
                    Record::Started { .. } | Record::Epoch { .. } | Record::Interrupted { .. } => {}
                }
                self.books.unwritten(self.reactor.unwritten());
            }
            Action::Tell(_) => {}
            Action::PhaseDone => {
                self.books.all_ended()?;
                self.ended = true;
            }
            Action::Stopped => self.over = true,
        }
        Ok(())
    }
}
