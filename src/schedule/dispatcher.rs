//! Executes the reactor's actions: starts and ends worker processes, sends messages, keeps the
//! clock, records, and tells observers. The only part of a sweep that waits for anything.

mod incoming;
mod ledger_lock;
mod records;
mod remote;
mod shortage;
mod spawn;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use ledger_lock::LedgerLock;
use remote::RemoteWorkers;
use shortage::Proven;
use tokio::sync::mpsc;

use super::action::{Action, Fatal, Policy, Settings, TICK, Time};
use super::budget::{self, Budget, Held, Waiting};
use super::command_files::CommandFiles;
use super::devices::SlotDevice;
use super::launch::{Incoming, Launcher};
use super::notice::{Notice, Observer};
use super::out_of_memory::killed_by_kernel;
use super::reactor::Reactor;
use super::run_mark::Mark;
use super::signals::{StopRequest, StopSignals};
use super::slot_index::{PerSlot, SlotIndex};
use super::start_clock::StartClock;
use super::worker_command::Start;
use super::worker_process::SlotProcess;
use crate::ledger::{Committed, LedgerError, WorkerId, Write};
use crate::plan::{PlannedTrial, Race};
use crate::protocol::{FromWorker, ToWorker, TrialRequest, encode_line};
use crate::spec::Config;

/// How many messages may wait for the reactor before workers have to wait.
const MAX_QUEUED_MESSAGES: usize = 1024;
/// How many records may wait for the disk before workers have to wait.
const MAX_UNWRITTEN: usize = 10_000;

/// How and where trials are run.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// What is started.
    pub start: Start,
    /// The run directory. Logs go to `logs/` in it, or to the trials' own folders.
    pub dir: PathBuf,
    /// The identity of the run directory.
    pub identity: String,
    /// The slots.
    pub slots: Vec<SlotDevice>,
    /// What starts it.
    pub launcher: Launcher,
}

/// Boxed future returned when a message is sent to the dispatcher.
type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns the configuration of a trial.
pub type ConfigOf = Box<dyn Fn(&PlannedTrial) -> Config>;

/// Takes each record. Those that are `Write::of_a_trial` must be acknowledged, in order.
pub type Recorder = Box<dyn Fn(Write)>;

/// Where results go, and how workers are numbered.
pub struct Recording {
    /// Takes each record.
    pub record: Recorder,
    /// Brings the acknowledgements of what was recorded.
    pub committed: mpsc::UnboundedReceiver<Committed>,
    /// Number of this session.
    pub session: i64,
    /// The first number that a new worker may have.
    pub next_worker: i64,
}

/// How a phase ended.
#[derive(Debug)]
pub enum PhaseEnd {
    /// Every trial has ended, and is recorded.
    Done,
    /// The user stopped it.
    Interrupted,
    /// It was given up. If a worker did not start, with the end of its log.
    GivenUp(Fatal, Option<String>),
}

/// A message on its way from a process to the dispatcher.
struct Envelope {
    slot: SlotIndex,
    worker: WorkerId,
    incoming: Incoming,
}

/// A message that came together with others and waits for its turn.
struct QueuedMessage {
    slot: SlotIndex,
    worker: WorkerId,
    message: FromWorker,
    /// The memory that it was read into.
    held: Arc<Held>,
}

/// Executes the reactor's actions.
pub struct Dispatcher {
    reactor: Reactor,
    workers: WorkerCommand,
    config_of: ConfigOf,
    record: Recorder,
    observer: Box<dyn Observer>,
    session: i64,
    next_worker: WorkerId,
    processes: PerSlot<SlotProcess>,
    incoming: mpsc::Receiver<Envelope>,
    report: mpsc::Sender<Envelope>,
    /// The rest of the messages that came together.
    next: VecDeque<QueuedMessage>,
    /// Memory for results on their way to the disk.
    budget: Budget,
    /// The memory of the message that is being handled.
    charge: Option<Arc<Held>>,
    /// The memory of each record that is not on the disk yet, in their order.
    unwritten: VecDeque<Option<Arc<Held>>>,
    /// Set while workers are not heard, because too many records are not on the disk.
    unheard: Option<Waiting>,
    committed: mpsc::UnboundedReceiver<Committed>,
    began: Instant,
    start_clock: StartClock,
    /// The kernel's count of processes killed for lack of memory at the last tick, or when one of
    /// this sweep's processes exited after it. On a big host the count takes long to read.
    oom_kills: u64,
    ledger_error: Option<LedgerError>,
    ledger_lock: LedgerLock,
    signals: StopSignals,
    remote: RemoteWorkers,
    proven: Proven,
    files: CommandFiles,
}

impl Dispatcher {
    /// A dispatcher with no workers yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's, if signals cannot be listened to.
    pub fn new(
        mut workers: WorkerCommand,
        settings: Settings,
        config_of: ConfigOf,
        recording: Recording,
        observer: Box<dyn Observer>,
    ) -> std::io::Result<Self> {
        let (report, incoming) = mpsc::channel(MAX_QUEUED_MESSAGES);
        // Programs may be started in another folder.
        workers.dir = std::path::absolute(&workers.dir).unwrap_or(workers.dir);
        let mark = Mark::new(&workers.dir, &workers.identity);
        for slot in &mut workers.slots {
            slot.environment.extend(mark.variables());
        }

        let files = CommandFiles::find(&workers.start, &workers.launcher);
        let processes = (0..workers.slots.len())
            .map(|slot| SlotProcess::absent(SlotIndex(slot)))
            .collect();
        Ok(Self {
            reactor: Reactor::new(settings),
            workers,
            config_of,
            record: recording.record,
            observer,
            session: recording.session,
            next_worker: WorkerId(recording.next_worker),
            processes,
            incoming,
            report,
            next: VecDeque::new(),
            budget: Budget::new(budget::LIMIT),
            charge: None,
            unwritten: VecDeque::new(),
            unheard: None,
            committed: recording.committed,
            began: Instant::now(),
            start_clock: StartClock::default(),
            oom_kills: killed_by_kernel(),
            ledger_error: None,
            ledger_lock: LedgerLock::default(),
            signals: StopSignals::listen()?,
            remote: RemoteWorkers::new(mark),
            proven: Proven::default(),
            files,
        })
    }

    /// Tells the observer something that the reactor does not know of.
    pub fn tell(&mut self, notice: &Notice) {
        self.observer.notice(notice);
    }

    /// Sets the race that trials are in, and whether they are ordered by what their points can
    /// still reach. To be called before any `run`.
    pub fn set_race(&mut self, race: Race, best_first: bool) {
        self.reactor.set_race(race, best_first);
    }

    /// Runs trials to their end.
    ///
    /// # Errors
    /// The ledger's, if it cannot be written.
    pub async fn run(
        &mut self,
        trials: Vec<PlannedTrial>,
        policy: Policy,
    ) -> Result<PhaseEnd, LedgerError> {
        let now = self.now();
        let actions = self.reactor.on_trials(now, trials, policy);
        self.event_loop(actions).await
    }

    /// Lets all workers end.
    ///
    /// # Errors
    /// As `run`.
    pub async fn close(&mut self) -> Result<PhaseEnd, LedgerError> {
        let now = self.now();
        let actions = self.reactor.on_close(now);
        self.event_loop(actions).await
    }

    fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Executes actions, and waits for the next event, until a phase or the sweep has ended.
    async fn event_loop(&mut self, mut actions: Vec<Action>) -> Result<PhaseEnd, LedgerError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(end) = self.execute(actions) {
                return match self.ledger_error.take() {
                    Some(error) => Err(error),
                    None => Ok(end),
                };
            }
            self.charge = None;
            if let Some(queued) = self.next.pop_front() {
                self.charge = Some(queued.held);
                actions = self.on_incoming(Envelope {
                    slot: queued.slot,
                    worker: queued.worker,
                    incoming: Incoming::Message(queued.message),
                });
                continue;
            }

            // While the disk falls behind, workers wait, so that memory does not fill up.
            let is_heard = self.reactor.unwritten() < MAX_UNWRITTEN || self.reactor.is_stopping();
            self.unheard = if is_heard {
                None
            } else {
                self.unheard.take().or_else(|| Some(self.budget.waiting()))
            };
            actions = tokio::select! {
                Some(envelope) = self.incoming.recv(), if is_heard => self.on_incoming(envelope),
                Some(committed) = self.committed.recv() => self.on_committed(committed),
                _ = tick.tick() => self.on_tick(),
                Some(answer) = self.remote.answers.recv() => self.on_queue_answer(&answer),
                request = self.signals.recv() => match request {
                    StopRequest::Stop => self.on_stop(),
                    StopRequest::Suspend => self.suspend().await,
                },
            };
        }
    }

    fn on_committed(&mut self, committed: Committed) -> Vec<Action> {
        match committed {
            Committed::Count(count) => {
                self.unwritten.drain(..count.min(self.unwritten.len()));
                self.on_ledger_free();
                self.reactor.on_committed(count)
            }
            Committed::Waiting(waiting) => self.on_ledger_locked(waiting),
            Committed::Failed(error) => {
                self.unwritten.clear();
                let now = self.now();
                let actions = self.reactor.on_ledger_failure(now, error.to_string());
                self.ledger_error = Some(error);
                actions
            }
        }
    }

    fn on_tick(&mut self) -> Vec<Action> {
        self.keep_in_touch();
        self.oom_kills = killed_by_kernel();
        // A worker that waits because it is not heard is neither silent nor late.
        self.reactor.on_unheard(self.budget.take_waited());
        let mut actions = self.give_up_unwritten();
        let now = self.now();
        actions.extend(self.reactor.on_tick(now));
        actions
    }

    /// Executes actions, and those that follow from them; returns how the phase ended if it has.
    fn execute(&mut self, actions: Vec<Action>) -> Option<PhaseEnd> {
        let mut pending = VecDeque::from(actions);
        while let Some(action) = pending.pop_front() {
            tracing::debug!(?action);
            match action {
                Action::Spawn { slot } => pending.extend(self.spawn(slot)),
                Action::Send {
                    slot,
                    bundle,
                    share,
                } => pending.extend(self.send(slot, &bundle, share)),
                Action::End { slot, how } => pending.extend(self.end(slot, how)),
                Action::Record(record) => {
                    let write = self.completed(record);
                    self.unwritten.push_back(self.charge.clone());
                    (self.record)(write);
                }
                Action::Tell(notice) => self.observer.notice(&notice),
                Action::PhaseDone => return Some(PhaseEnd::Done),
                Action::Stopped => return Some(self.stopped()),
            }
        }
        None
    }

    fn stopped(&self) -> PhaseEnd {
        match self.reactor.fatal() {
            Some(fatal) => PhaseEnd::GivenUp(fatal.clone(), self.log_end_for(fatal)),
            None if self.reactor.is_interrupted() => PhaseEnd::Interrupted,
            None => PhaseEnd::Done,
        }
    }

    /// Gives trials to a slot's worker, or starts the program of the trial.
    fn send(&mut self, slot: SlotIndex, bundle: &[PlannedTrial], share: bool) -> Vec<Action> {
        if let (Start::Program(start), [trial]) = (&self.workers.start, bundle) {
            let start = Arc::clone(start);
            return self.spawn_program(slot, &start, trial);
        }

        let requests = bundle
            .iter()
            .map(|trial| TrialRequest {
                trial: trial.id.to_string(),
                seed: trial.id.seed,
                config: (self.config_of)(trial),
            })
            .collect();
        let line = encode_line(&ToWorker::Run {
            bundle: requests,
            share,
        });
        self.mark_log(slot);
        tracing::trace!(%slot, line = line.trim_end(), "to the worker");
        if let Some(process) = self.processes[slot].running() {
            process.send(line);
        }
        Vec::new()
    }
}
