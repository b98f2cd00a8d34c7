//! Does what the reactor decides: starts and ends worker processes, carries messages, keeps the
//! clock, records, tells observers. The only part of a sweep that waits for anything.

mod away;
mod locked;
mod records;
mod shortages;
mod starting;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use away::Away;
use locked::Locked;
use shortages::Proven;
use tokio::sync::mpsc;

use super::action::{Action, Exit, Fatal, Policy, Settings, TICK, Time};
use super::budget::{self, Budget, Held, Waiting};
use super::command_files::CommandFiles;
use super::devices::SlotDevice;
use super::launch::{Incoming, Launcher};
use super::memory;
use super::notice::{Notice, Observer};
use super::process::Process;
use super::processes::{Mark, StartClock};
use super::reactor::Reactor;
use super::start::Start;
use super::stops::{Asked, Stops};
use crate::ledger::{Committed, LedgerError, WorkerId, Write};
use crate::plan::{PlannedTrial, Race};
use crate::protocol::{FromWorker, ToWorker, TrialRequest, encode_line};
use crate::spec::Config;

/// Messages that may wait for the reactor before workers have to wait for it.
const QUEUE: usize = 1024;
/// Records that may wait for the disk before workers have to wait for it.
const UNWRITTEN: usize = 10_000;

/// How trials are run, and where.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// By what.
    pub start: Start,
    /// The run directory; logs go to `logs/` in it, or to the trials' own folders.
    pub dir: PathBuf,
    /// Its identity.
    pub identity: String,
    /// The slots.
    pub slots: Vec<SlotDevice>,
    /// Through what.
    pub launcher: Launcher,
}

/// What a message on its way to the dispatcher is to whoever sends it.
type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where configurations come from.
pub type ConfigOf = Box<dyn Fn(&PlannedTrial) -> Config>;

/// Where records go. What is `Write::of_a_trial` must be acknowledged, in order.
pub type Recorder = Box<dyn Fn(Write)>;

/// How a phase came to its end.
#[derive(Debug)]
pub enum PhaseEnd {
    /// Every trial has ended, and is recorded.
    Done,
    /// The user stopped it.
    Interrupted,
    /// It was given up. The log's end of the worker that did not start comes along, if that was it.
    GivenUp(Fatal, Option<String>),
}

/// The hands of a sweep.
pub struct Dispatcher {
    reactor: Reactor,
    workers: WorkerCommand,
    config_of: ConfigOf,
    record: Recorder,
    observer: Box<dyn Observer>,
    session: i64,
    next_worker: i64,
    processes: Vec<Process>,
    incoming: mpsc::Receiver<(usize, i64, Incoming)>,
    report: mpsc::Sender<(usize, i64, Incoming)>,
    /// What came together with a message that is being dealt with, and comes next.
    next: VecDeque<(usize, i64, FromWorker, Arc<Held>)>,
    /// Room for results on their way to the disk.
    budget: Budget,
    /// The room of the message that is being dealt with.
    charge: Option<Arc<Held>>,
    /// The room of each record that is not on the disk yet, in their order.
    unwritten: VecDeque<Option<Arc<Held>>>,
    /// That workers are not heard, because too many records are not on the disk.
    deaf: Option<Waiting>,
    committed: mpsc::UnboundedReceiver<Committed>,
    began: Instant,
    start_clock: StartClock,
    /// How many processes the kernel had killed for lack of memory at the last tick, or when one of
    /// this sweep's processes failed after it: on a big host the count takes long to read.
    killed: u64,
    ledger_error: Option<LedgerError>,
    locked: Locked,
    stops: Stops,
    away: Away,
    proven: Proven,
    files: CommandFiles,
}

impl Dispatcher {
    /// A dispatcher with no workers yet. `committed` brings the acknowledgements of what `record`
    /// was given. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's, if signals cannot be listened to.
    pub fn new(
        mut workers: WorkerCommand,
        settings: Settings,
        config_of: ConfigOf,
        (record, committed): (Recorder, mpsc::UnboundedReceiver<Committed>),
        observer: Box<dyn Observer>,
        (session, next_worker): (i64, i64),
    ) -> std::io::Result<Self> {
        let (report, incoming) = mpsc::channel(QUEUE);
        // Programs may be started in another folder.
        workers.dir = std::path::absolute(&workers.dir).unwrap_or(workers.dir);
        let mark = Mark::new(&workers.dir, &workers.identity);
        workers
            .slots
            .iter_mut()
            .for_each(|slot| slot.environment.extend(mark.variables()));
        let files = CommandFiles::find(&workers.start, &workers.launcher);
        let processes = (0..workers.slots.len()).map(Process::none).collect();
        Ok(Self {
            reactor: Reactor::new(settings),
            workers,
            config_of,
            record,
            observer,
            session,
            next_worker,
            processes,
            incoming,
            report,
            next: VecDeque::new(),
            budget: Budget::new(budget::LIMIT),
            charge: None,
            unwritten: VecDeque::new(),
            deaf: None,
            committed,
            began: Instant::now(),
            start_clock: StartClock::default(),
            killed: memory::killed_by_kernel(),
            ledger_error: None,
            locked: Locked::default(),
            stops: Stops::listen()?,
            away: Away::new(mark),
            proven: Proven::default(),
            files,
        })
    }

    /// Tells the observer something that the reactor does not know of.
    pub fn tell(&mut self, notice: &Notice) {
        self.observer.notice(notice);
    }

    /// The race that trials are in, as it stands, and whether they go by what their points can
    /// still reach. To be called before any `run`.
    pub fn race(&mut self, race: Race, best_first: bool) {
        self.reactor.race(race, best_first);
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
        self.turn(actions).await
    }

    /// Lets all workers end.
    ///
    /// # Errors
    /// As `run`.
    pub async fn close(&mut self) -> Result<PhaseEnd, LedgerError> {
        let now = self.now();
        let actions = self.reactor.on_close(now);
        self.turn(actions).await
    }

    fn now(&self) -> Time {
        self.began.elapsed()
    }

    async fn turn(&mut self, mut actions: Vec<Action>) -> Result<PhaseEnd, LedgerError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(end) = self.perform(actions) {
                return match self.ledger_error.take() {
                    Some(error) => Err(error),
                    None => Ok(end),
                };
            }
            self.charge = None;
            if let Some((slot, worker, message, held)) = self.next.pop_front() {
                self.charge = Some(held);
                actions = self.receive((slot, worker, Incoming::Message(message)));
                continue;
            }
            // A disk that falls behind makes the workers wait, instead of filling the memory.
            let hears = self.reactor.unwritten() < UNWRITTEN || self.reactor.is_stopping();
            self.deaf = if hears {
                None
            } else {
                self.deaf.take().or_else(|| Some(self.budget.waiting()))
            };
            actions = tokio::select! {
                Some(message) = self.incoming.recv(), if hears => self.receive(message),
                Some(committed) = self.committed.recv() => {
                    let now = self.now();
                    match committed {
                        Committed::Count(count) => {
                            self.unwritten.drain(..count.min(self.unwritten.len()));
                            self.on_ledger_free();
                            self.reactor.on_committed(count)
                        }
                        Committed::Waiting(waiting) => self.on_ledger_locked(waiting),
                        Committed::Failed(error) => {
                            self.unwritten.clear();
                            let actions = self.reactor.on_ledger_failure(now, error.to_string());
                            self.ledger_error = Some(error);
                            actions
                        }
                    }
                }
                _ = tick.tick() => {
                    self.keep_in_touch();
                    self.killed = memory::killed_by_kernel();
                    // A worker that waits because it is not heard is neither silent nor late.
                    self.reactor.on_unheard(self.budget.take_waited());
                    let mut actions = self.give_up_where_due();
                    actions.extend(self.reactor.on_tick(self.began.elapsed()));
                    actions
                }
                Some(answer) = self.away.answers.recv() => self.queue_says(&answer),
                asked = self.stops.asked() => match asked {
                    Asked::Stop => self.on_stop(),
                    Asked::Suspend => self.suspend().await,
                },
            };
        }
    }

    fn receive(&mut self, (slot, worker, incoming): (usize, i64, Incoming)) -> Vec<Action> {
        if self.processes[slot].worker != worker {
            return Vec::new();
        }
        let now = self.now();
        tracing::trace!(slot, worker, ?incoming, "from the worker");
        match incoming {
            Incoming::Message(message) => {
                self.log_long_failure(slot, &message);
                if let FromWorker::Hello(hello) = &message {
                    self.processes[slot].heartbeats = hello.heartbeats;
                    (self.record)(Write::WorkerHello {
                        worker: WorkerId(worker),
                        hello: hello.clone(),
                    });
                }
                self.reactor.on_message(now, slot, message)
            }
            Incoming::Messages(messages, held) => {
                self.proven.elsewhere = true;
                let held = Arc::new(held);
                self.next.extend(
                    messages
                        .into_iter()
                        .map(|message| (slot, worker, message, Arc::clone(&held))),
                );
                Vec::new()
            }
            Incoming::Garbage(error) => self.reactor.on_garbage(now, slot, error.to_string()),
            Incoming::Misreport(what) => self.reactor.on_garbage(now, slot, what),
            Incoming::Unread(why) => {
                self.gone(slot, Exit::Code(0));
                self.reactor.on_start_postponed(now, slot, &why)
            }
            Incoming::Ended(exit, message) => {
                self.log_long_failure(slot, &message);
                self.gone(slot, exit);
                // A program that was told to end may end well, but in the middle of its trial.
                if self.processes[slot].ending {
                    self.reactor.on_exit(now, slot, exit, "")
                } else if let Some(why) = self
                    .is_full()
                    .filter(|_| matches!(message, FromWorker::Failed { .. }))
                {
                    // Where nothing can be written no metrics can be.
                    self.reactor.on_start_postponed(now, slot, &why)
                } else {
                    self.reactor.on_message(now, slot, message)
                }
            }
            Incoming::Running {
                host,
                job,
                ends_in,
                gpus,
            } => {
                let gpus = gpus
                    .filter(|gpus| !gpus.is_empty())
                    .map_or(String::new(), |gpus| format!(", GPU {gpus}"));
                tracing::debug!(slot, worker, host, ?job, ?ends_in, "runs{gpus}");
                self.processes[slot].job.clone_from(&job);
                (self.record)(Write::WorkerPlaced {
                    worker: WorkerId(worker),
                    host: Some(host),
                    job,
                    waits: None,
                });
                self.reactor.on_running(now, slot, ends_in)
            }
            Incoming::Alive => self.reactor.on_message(now, slot, FromWorker::Heartbeat),
            Incoming::Exit(exit, None) => {
                let process = &self.processes[slot];
                // With an agent, the agent says so.
                let gave_up = process.heartbeats && (process.unheard || self.was_unheard(now));
                self.gone(slot, exit);
                if gave_up {
                    return self.reactor.on_exit(
                        now,
                        slot,
                        Exit::Lost,
                        "nothing was heard of the coordinator, which was stopped",
                    );
                }
                if let Some(why) = self.is_short_at_exit(slot, exit) {
                    return self.reactor.on_start_postponed(now, slot, &why);
                }
                let why = self.lack_of_memory(slot, exit).unwrap_or_default();
                self.reactor.on_exit(now, slot, exit, &why)
            }
            Incoming::Exit(exit, Some(proof)) => {
                if let Some(why) = self.is_refused_elsewhere(&proof) {
                    self.gone(slot, exit);
                    return self.reactor.on_start_postponed(now, slot, &why);
                }
                let log = self.recent_log(slot);
                let (exit, why) = proof.judge(exit, &self.processes[slot].program, &log);
                self.gone(slot, exit);
                if let Some(why) = self.is_short_at_exit(slot, exit) {
                    return self.reactor.on_start_postponed(now, slot, &why);
                }
                let why = self.lack_of_memory(slot, exit).unwrap_or(why);
                self.reactor.on_exit(now, slot, exit, &why)
            }
        }
    }

    /// A slot's process has ended.
    fn gone(&mut self, slot: usize, exit: Exit) {
        let process = &mut self.processes[slot];
        // The leader is gone; what it started is not needed any more.
        self.workers.launcher.sweep_up(process.pid);
        (process.local, process.alive) = (None, false);
        (self.record)(Write::WorkerEnded {
            worker: WorkerId(process.worker),
            outcome: format!("{exit:?}"),
        });
    }

    /// What shows that a slot's process, which has ended, lacked memory.
    fn lack_of_memory(&mut self, slot: usize, exit: Exit) -> Option<String> {
        self.killed = memory::killed_by_kernel();

        // What the kernel of this machine has killed says nothing of other machines.
        let killed = match self.workers.launcher.is_local() {
            true => self
                .killed
                .saturating_sub(self.processes[slot].killed_before),
            false => 0,
        };
        memory::evidence(exit, &self.recent_log(slot), killed)
    }

    /// The end of what a slot's process has written.
    fn recent_log(&self, slot: usize) -> String {
        let process = &self.processes[slot];
        process
            .log_end(&self.workers.dir, process.log_mark)
            .unwrap_or_default()
    }

    /// Does what is to be done; says if that was the end.
    fn perform(&mut self, actions: Vec<Action>) -> Option<PhaseEnd> {
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
                    let write = self.dated(record);
                    self.unwritten.push_back(self.charge.clone());
                    (self.record)(write);
                }
                Action::Tell(notice) => self.observer.notice(&notice),
                Action::PhaseDone => return Some(PhaseEnd::Done),
                Action::Stopped => {
                    return Some(match self.reactor.fatal() {
                        Some(fatal) => PhaseEnd::GivenUp(fatal.clone(), self.log_end_for(fatal)),
                        None if self.reactor.is_interrupted() => PhaseEnd::Interrupted,
                        None => PhaseEnd::Done,
                    });
                }
            }
        }
        None
    }

    fn send(&mut self, slot: usize, bundle: &[PlannedTrial], share: bool) -> Vec<Action> {
        if let (Start::Program(start), [trial]) = (&self.workers.start, bundle) {
            let start = Arc::clone(start);
            return self.spawn_program(slot, &start, trial);
        }
        let request = |trial: &PlannedTrial| TrialRequest {
            trial: trial.id.to_string(),
            seed: trial.id.seed,
            config: (self.config_of)(trial),
        };
        self.processes[slot].log_mark = self.log_size(slot);
        let line = encode_line(&ToWorker::Run {
            bundle: bundle.iter().map(request).collect(),
            share,
        });
        tracing::trace!(slot, line = line.trim_end(), "to the worker");
        if let Some(stdin) = self.processes[slot]
            .local
            .as_ref()
            .and_then(|local| local.stdin.as_ref())
        {
            // If its stdin is closed the worker is ending, and its exit brings the trials back.
            let _ = stdin.send(line);
        }
        Vec::new()
    }
}
