//! The simulation's workers: what each says next, and when.

use std::collections::VecDeque;
use std::ops::Range;

use pentagrid::plan::PlannedTrial;
use pentagrid::protocol::{FailureKind, FromWorker, Hello, Metrics, PROTOCOL_VERSION, Position};
use pentagrid::schedule::Time;

use super::books::{Books, Breach};
use super::chance::Chance;
use super::{Cluster, HEARTBEAT, seconds};

/// What comes after what a worker has said.
pub(super) enum Say {
    /// It speaks again after that time.
    Next(Time),
    /// Its process dies.
    Crash,
}

/// How a trial will end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Error,
    OutOfMemory,
    Crash,
    Hang,
}

/// A trial that is being trained.
struct Training {
    trial: PlannedTrial,
    began: Time,
    fate: Fate,
    /// When each epoch ends is a multiple of this.
    epoch: Time,
    epochs_told: u32,
    /// When the next epoch, or the trial, ends.
    next: Time,
}

#[derive(Default)]
struct Worker {
    /// Tells one process in a slot from the next.
    process: u64,
    alive: bool,
    greeted: bool,
    spawned: Time,
    bundle: VecDeque<PlannedTrial>,
    training: Option<Training>,
    /// The node is away until then.
    away: Time,
}

pub(super) struct Workers<'a> {
    cluster: &'a Cluster,
    workers: Vec<Worker>,
    metrics: Metrics,
}

impl<'a> Workers<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let workers = (0..cluster.workers).map(|_| Worker::default()).collect();
        Self {
            cluster,
            workers,
            metrics: [("score", 1.0)].into_iter().collect(),
        }
    }

    /// Starts a worker; returns its process and when it says hello.
    pub(super) fn spawn(&mut self, now: Time, slot: usize) -> Result<(u64, Time), Breach> {
        let start = seconds(self.cluster.start_seconds);
        let worker = &mut self.workers[slot];
        if worker.alive {
            return Err(Breach::Slot(slot, "is given a second worker"));
        }
        let (process, away) = (worker.process + 1, worker.away);
        *worker = Worker {
            process,
            alive: true,
            spawned: now,
            away,
            ..Worker::default()
        };
        Ok((process, now.max(away) + start))
    }

    /// Gives a worker trials.
    pub(super) fn give(&mut self, slot: usize, bundle: Vec<PlannedTrial>) -> Result<u64, Breach> {
        let worker = &mut self.workers[slot];
        // One that has just died is not known to be gone.
        if worker.alive
            && (!worker.greeted || !worker.bundle.is_empty() || worker.training.is_some())
        {
            return Err(Breach::Slot(
                slot,
                "is given trials although its worker is not ready for them",
            ));
        }
        worker.bundle = bundle.into();
        Ok(worker.process)
    }

    /// A worker is told to end; its process, if it has one.
    pub(super) fn told_to_end(&self, slot: usize) -> Option<u64> {
        let worker = &self.workers[slot];
        worker.alive.then_some(worker.process)
    }

    /// A process ends, if it has not ended already.
    pub(super) fn end(&mut self, now: Time, slot: usize, process: u64, books: &mut Books) -> bool {
        let worker = &mut self.workers[slot];
        if !worker.alive || worker.process != process {
            return false;
        }
        worker.alive = false;
        match &worker.training {
            Some(training) => {
                books.outcome.lost += now.saturating_sub(training.began).as_secs_f64();
            }
            None if !worker.greeted => {
                books.outcome.starting += now.saturating_sub(worker.spawned).as_secs_f64();
            }
            None => books.busy(now, slot),
        }
        (worker.training, worker.bundle) = (None, VecDeque::new());
        true
    }

    /// The processes that a preempted node takes with it.
    pub(super) fn preempt(&mut self, slots: Range<usize>, back: Time) -> Vec<(usize, u64)> {
        let mut taken = Vec::new();
        for slot in slots {
            let worker = &mut self.workers[slot];
            worker.away = back;
            if worker.alive {
                taken.push((slot, worker.process));
            }
        }
        taken
    }

    /// What a worker says now, and what it does after it; None if it is gone.
    pub(super) fn speak(
        &mut self,
        now: Time,
        slot: usize,
        process: u64,
        chance: &mut Chance,
        books: &mut Books,
    ) -> Option<(Option<FromWorker>, Option<Say>)> {
        let worker = &mut self.workers[slot];
        if !worker.alive || worker.process != process {
            return None;
        }
        if !worker.greeted {
            worker.greeted = true;
            books.outcome.starting += now.saturating_sub(worker.spawned).as_secs_f64();
            books.idle(now, slot);
            let hello = Hello {
                protocol: PROTOCOL_VERSION,
                program: "simulated".into(),
                version: "1".into(),
                ..Hello::default()
            };
            return Some((Some(FromWorker::Hello(hello)), None));
        }
        let Some(training) = &mut worker.training else {
            let trial = worker.bundle.pop_front()?;
            let training = Training::begin(self.cluster, now, trial, chance);
            let pause = training.pause(now);
            worker.training = Some(training);
            return Some((
                Some(FromWorker::Started {
                    trial: trial.id.to_string(),
                }),
                Some(Say::Next(pause)),
            ));
        };
        let trial = training.trial.id.to_string();
        if now < training.next {
            return Some((
                Some(FromWorker::Heartbeat),
                Some(Say::Next(training.pause(now))),
            ));
        }
        if training.epochs_told < self.cluster.epochs && training.fate != Fate::Hang {
            training.epochs_told += 1;
            // After the last epoch comes the result, at once.
            training.next = if training.epochs_told == self.cluster.epochs {
                now
            } else {
                now + training.epoch
            };
            let message = FromWorker::Epoch {
                trial,
                position: Position::epoch(training.epochs_told),
                values: self.metrics.clone().into(),
            };
            return Some((Some(message), Some(Say::Next(training.pause(now)))));
        }
        let took = now.saturating_sub(training.began).as_secs_f64();
        let fate = training.fate;
        match fate {
            // It says nothing more, and does not die either.
            Fate::Hang => return Some((None, None)),
            Fate::Crash => return Some((None, Some(Say::Crash))),
            Fate::Done => books.outcome.training += took,
            Fate::Error | Fate::OutOfMemory => books.outcome.lost += took,
        }
        worker.training = None;
        let next = if worker.bundle.is_empty() {
            books.idle(now, slot);
            None
        } else {
            Some(Say::Next(Time::ZERO))
        };
        let failed = |kind| FromWorker::Failed {
            trial: trial.clone(),
            kind,
            message: "simulated".into(),
        };
        let message = match fate {
            Fate::Error => failed(FailureKind::Error),
            Fate::OutOfMemory => failed(FailureKind::OutOfMemory),
            _ => FromWorker::done(trial, self.metrics.clone()),
        };
        Some((Some(message), next))
    }
}

impl Training {
    fn begin(cluster: &Cluster, now: Time, trial: PlannedTrial, chance: &mut Chance) -> Self {
        let mut long =
            cluster.trial_seconds * (1.0 + cluster.spread * (2.0 * chance.number() - 1.0));
        let mut drawn = chance.number();
        let fates = [
            (Fate::Error, cluster.error),
            (Fate::OutOfMemory, cluster.out_of_memory),
            (Fate::Crash, cluster.crash),
            (Fate::Hang, cluster.hang),
        ];
        let mut fate = Fate::Done;
        for (which, likely) in fates {
            if drawn < likely && fate == Fate::Done {
                fate = which;
            }
            drawn -= likely;
        }
        if fate != Fate::Done {
            long *= chance.number();
        }
        let epoch = seconds(long / f64::from(cluster.epochs.max(1)));
        Self {
            trial,
            began: now,
            fate,
            epoch,
            epochs_told: 0,
            next: now + epoch,
        }
    }

    /// How long it is silent.
    fn pause(&self, now: Time) -> Time {
        self.next.saturating_sub(now).min(HEARTBEAT)
    }
}
