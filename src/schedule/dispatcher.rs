//! Does what the reactor decides: starts and ends worker processes, carries messages, keeps the clock, records,
//! tells observers. The only part of a sweep that waits for anything.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use super::action::{Action, EndBy, Exit, Fatal, Policy, Record, Settings, TICK, Time};
use super::devices::SlotDevice;
use super::launch::{self, Incoming, LocalWorker, SpawnPlan};
use super::memory;
use super::notice::{Notice, Observer};
use super::process::{Process, log_name};
use super::processes::{MARK, StartClock, mark, signal_group};
use super::reactor::Reactor;
use super::start::{ProgramStart, Start, WorkerStart};
use super::stops::{Asked, Stops};
use crate::ledger::{Committed, LedgerError, LogMark, WorkerId, Write};
use crate::plan::{PlannedTrial, Race};
use crate::protocol::{FromWorker, Hello, PROTOCOL_VERSION, ToWorker, TrialRequest, encode_line};
use crate::spec::Config;

/// Messages that may wait for the reactor before workers have to wait for it.
const QUEUE: usize = 1024;
/// Records that may wait for the disk before workers have to wait for it.
const UNWRITTEN: usize = 10_000;
/// So old may the kernel's count of killed processes be when a process is started.
const MOMENT: Time = Time::from_millis(100);
/// How much of a log's end is shown when a worker could not start.
const LOG_END: u64 = 2000;

/// How trials are run, and where.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// By what.
    pub start: Start,
    /// The run directory; logs go to `logs/` in it, or to the trials' own folders.
    pub dir: PathBuf,
    /// The slots.
    pub slots: Vec<SlotDevice>,
}

/// What a message on its way to the dispatcher is to whoever sends it.
type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where configurations come from.
pub type Launcher = Box<dyn Fn(&PlannedTrial) -> Config>;

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
    config_of: Launcher,
    record: Recorder,
    observer: Box<dyn Observer>,
    session: i64,
    next_worker: i64,
    processes: Vec<Process>,
    incoming: mpsc::Receiver<(usize, i64, Incoming)>,
    report: mpsc::Sender<(usize, i64, Incoming)>,
    /// What came together with a message that is being dealt with, and comes next.
    next: VecDeque<(usize, i64, FromWorker)>,
    committed: mpsc::UnboundedReceiver<Committed>,
    began: Instant,
    start_clock: StartClock,
    /// How many processes the kernel had killed for lack of memory, and when that was read.
    killed: Option<(Time, u64)>,
    ledger_error: Option<LedgerError>,
    stops: Stops,
}

impl Dispatcher {
    /// A dispatcher with no workers yet. `committed` brings the acknowledgements of what `record` was given.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's, if signals cannot be listened to.
    pub fn new(
        mut workers: WorkerCommand,
        settings: Settings,
        config_of: Launcher,
        (record, committed): (Recorder, mpsc::UnboundedReceiver<Committed>),
        observer: Box<dyn Observer>,
        (session, next_worker): (i64, i64),
    ) -> std::io::Result<Self> {
        let (report, incoming) = mpsc::channel(QUEUE);
        let mark = mark(&workers.dir);
        workers.slots.iter_mut().for_each(|slot| slot.environment.push((MARK.to_owned(), mark.clone())));
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
            committed,
            began: Instant::now(),
            start_clock: StartClock::default(),
            killed: None,
            ledger_error: None,
            stops: Stops::listen()?,
        })
    }

    /// Tells the observer something that the reactor does not know of.
    pub fn tell(&mut self, notice: &Notice) {
        self.observer.notice(notice);
    }

    /// The race that trials are in, as it stands, and whether they go by what their points can still reach. To be called
    /// before any `run`.
    pub fn race(&mut self, race: Race, best_first: bool) {
        self.reactor.race(race, best_first);
    }

    /// Runs trials to their end.
    ///
    /// # Errors
    /// The ledger's, if it cannot be written.
    pub async fn run(&mut self, trials: Vec<PlannedTrial>, policy: Policy) -> Result<PhaseEnd, LedgerError> {
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
            if let Some((slot, worker, message)) = self.next.pop_front() {
                actions = self.receive((slot, worker, Incoming::Message(message)));
                continue;
            }
            actions = tokio::select! {
                // A disk that falls behind makes the workers wait, instead of filling the memory.
                Some(message) = self.incoming.recv(), if self.reactor.unwritten() < UNWRITTEN => self.receive(message),
                Some(committed) = self.committed.recv() => {
                    let now = self.now();
                    match committed {
                        Committed::Count(count) => self.reactor.on_committed(count),
                        Committed::Failed(error) => {
                            let actions = self.reactor.on_ledger_failure(now, error.to_string());
                            self.ledger_error = Some(error);
                            actions
                        }
                    }
                }
                _ = tick.tick() => self.reactor.on_tick(self.began.elapsed()),
                asked = self.stops.asked() => match asked {
                    Asked::Stop => self.reactor.on_interrupt(self.began.elapsed()),
                    Asked::Suspend => self.suspend(),
                },
            };
        }
    }

    /// Stops the workers and this program until somebody continues it, as Ctrl-Z and `fg` do.
    fn suspend(&mut self) -> Vec<Action> {
        let began = self.began.elapsed();
        let groups: Vec<u32> = self.processes.iter().filter(|process| process.alive).map(|process| process.pid).collect();
        // SIGSTOP and not SIGTSTP: nobody can ignore it.
        groups.iter().for_each(|&group| signal_group(group, Signal::SIGSTOP));
        if let Err(error) = nix::sys::signal::raise(Signal::SIGSTOP) {
            tracing::warn!("cannot stop this program: {error}");
        }
        groups.iter().for_each(|&group| signal_group(group, Signal::SIGCONT));
        let now = self.began.elapsed();
        self.reactor.on_continued(now, now.saturating_sub(began))
    }

    fn receive(&mut self, (slot, worker, incoming): (usize, i64, Incoming)) -> Vec<Action> {
        if self.processes[slot].worker != worker {
            return Vec::new();
        }
        let now = self.now();
        tracing::trace!(slot, worker, ?incoming, "from the worker");
        match incoming {
            Incoming::Message(message) => {
                if let FromWorker::Hello(hello) = &message {
                    (self.record)(Write::WorkerHello { worker: WorkerId(worker), hello: hello.clone() });
                }
                self.reactor.on_message(now, slot, message)
            }
            Incoming::Messages(messages) => {
                self.next.extend(messages.into_iter().map(|message| (slot, worker, message)));
                Vec::new()
            }
            Incoming::Garbage(error) => self.reactor.on_garbage(now, slot, error.to_string()),
            Incoming::Misreport(what) => self.reactor.on_garbage(now, slot, what),
            Incoming::Ended(exit, message) => {
                self.gone(slot, exit);
                // A program that was told to end may end well, but in the middle of its trial.
                if self.processes[slot].ending {
                    self.reactor.on_exit(now, slot, exit, "")
                } else {
                    self.reactor.on_message(now, slot, message)
                }
            }
            Incoming::Exit(exit) => {
                self.gone(slot, exit);
                let why = self.lack_of_memory(slot, exit).unwrap_or_default();
                self.reactor.on_exit(now, slot, exit, &why)
            }
        }
    }

    /// A slot's process has ended.
    fn gone(&mut self, slot: usize, exit: Exit) {
        let process = &mut self.processes[slot];
        // The leader is gone; what it started is not needed any more.
        signal_group(process.pid, Signal::SIGKILL);
        (process.local, process.alive) = (None, false);
        (self.record)(Write::WorkerEnded { worker: WorkerId(process.worker), outcome: format!("{exit:?}") });
    }

    /// What shows that a slot's process, which has ended, lacked memory.
    fn lack_of_memory(&self, slot: usize, exit: Exit) -> Option<String> {
        let process = &self.processes[slot];
        let log = super::log_end(&self.workers.dir.join(&*process.log), process.log_mark, None, LOG_END).unwrap_or_default();
        memory::evidence(exit, &log, memory::killed_by_kernel().saturating_sub(process.killed_before))
    }

    /// Does what is to be done; says if that was the end.
    fn perform(&mut self, actions: Vec<Action>) -> Option<PhaseEnd> {
        let mut pending = VecDeque::from(actions);
        while let Some(action) = pending.pop_front() {
            tracing::debug!(?action);
            match action {
                Action::Spawn { slot } => pending.extend(self.spawn(slot)),
                Action::Send { slot, bundle, share } => pending.extend(self.send(slot, &bundle, share)),
                Action::End { slot, how } => pending.extend(self.end(slot, how)),
                Action::Record(record) => {
                    let write = self.dated(record);
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

    fn spawn(&mut self, slot: usize) -> Vec<Action> {
        match self.workers.start.clone() {
            Start::Worker(start) => self.spawn_worker(slot, start),
            // There is nothing to start before there is a trial.
            Start::Program(start) => {
                self.processes[slot].ending = false;
                let hello = self.introduction(slot, &start, 1);
                self.reactor.on_message(self.began.elapsed(), slot, FromWorker::Hello(hello))
            }
        }
    }

    fn spawn_worker(&mut self, slot: usize, start: WorkerStart) -> Vec<Action> {
        let device = &self.workers.slots[slot];
        let plan = SpawnPlan {
            command: start.command,
            environment: device.environment.iter().cloned().chain(start.environment).collect::<BTreeMap<_, _>>(),
            workdir: start.workdir,
            log: self.workers.dir.join(log_name(slot)),
        };
        let mark = std::fs::metadata(&plan.log).map_or(0, |metadata| metadata.len());
        let before = StartClock::ticks();
        let spawned = launch::spawn(&plan, self.reporter(slot));
        match spawned {
            Ok(local) => {
                self.started(slot, local, before, log_name(slot), mark);
                Vec::new()
            }
            Err(error) => {
                let program = plan.command.first().map_or("", String::as_str);
                let here = std::env::current_dir().map_or(String::new(), |dir| format!(" (from {})", dir.display()));
                let why = format!("cannot start {program:?}{here}: {error}");
                self.reactor.on_exit(self.began.elapsed(), slot, Exit::NotStarted, &why)
            }
        }
    }

    /// Starts the program of a trial. It is told of its trial by being started.
    fn spawn_program(&mut self, slot: usize, start: &ProgramStart, trial: &PlannedTrial) -> Vec<Action> {
        let config = (self.config_of)(trial);
        let log = ProgramStart::log_name(trial);
        let plan = start.plan(trial, &config, &self.workers.slots[slot], &self.workers.dir);
        let mark = std::fs::metadata(self.workers.dir.join(&log)).map_or(0, |metadata| metadata.len());
        let before = StartClock::ticks();
        let spawned = plan.and_then(|plan| launch::spawn_program(&plan, self.reporter(slot)));
        let now = self.began.elapsed();
        match spawned {
            Ok(local) => {
                self.started(slot, local, before, log, mark);
                let hello = self.introduction(slot, start, start.threads_of(trial));
                (self.record)(Write::WorkerHello { worker: WorkerId(self.processes[slot].worker), hello });
                self.reactor.on_message(now, slot, FromWorker::Started { trial: trial.id.to_string() })
            }
            Err(error) => {
                let why = format!("cannot start {} in {}: {error}", start.program, start.workdir.display());
                self.reactor.on_exit(now, slot, Exit::NotStarted, &why)
            }
        }
    }

    /// What a program would say of itself if it spoke the protocol.
    fn introduction(&self, slot: usize, start: &ProgramStart, threads: u32) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            program: start.program.to_string(),
            device: self.workers.slots[slot].model.clone(),
            threads,
            pack: 0,
            ..Hello::default()
        }
    }

    /// Takes what comes from the next process of a slot.
    fn reporter(&mut self, slot: usize) -> impl Fn(Incoming) -> BoxFuture + Send + Sync + use<> {
        let worker = self.next_worker;
        self.next_worker += 1;
        self.processes[slot].worker = worker;
        let report = self.report.clone();
        move |incoming| {
            let report = report.clone();
            // The receiver lives as long as this dispatcher; after it nobody wants to know.
            Box::pin(async move { drop(report.send((slot, worker, incoming)).await) })
        }
    }

    /// A slot's process has started; `before` is when that was asked for.
    fn started(&mut self, slot: usize, mut local: LocalWorker, before: Option<u64>, log: String, log_mark: u64) {
        let (pid, worker) = (local.pid, self.processes[slot].worker);
        let start_ticks = self.start_clock.start_of(pid, before).unwrap_or(0);
        let (log, log_file) = (log.into(), local.log.take());
        let killed_before = self.killed_by_now();
        self.processes[slot] =
            Process { worker, pid, local: Some(local), alive: true, ending: false, log, log_file, log_mark, killed_before };
        (self.record)(Write::WorkerStarted {
            worker: WorkerId(worker),
            session: self.session,
            slot,
            device: self.workers.slots[slot].name.clone(),
            pid,
            start_ticks,
        });
    }

    /// How many processes the kernel has killed for lack of memory, by a count that is at most a moment old: that of a big host takes
    /// as long to read as a short process to start.
    fn killed_by_now(&mut self) -> u64 {
        let now = self.now();
        if self.killed.is_none_or(|(at, _)| now.saturating_sub(at) > MOMENT) {
            self.killed = Some((now, memory::killed_by_kernel()));
        }
        self.killed.map_or(0, |(_, count)| count)
    }

    fn send(&mut self, slot: usize, bundle: &[PlannedTrial], share: bool) -> Vec<Action> {
        if let (Start::Program(start), [trial]) = (&self.workers.start, bundle) {
            let start = start.clone();
            return self.spawn_program(slot, &start, trial);
        }
        let request = |trial: &PlannedTrial| TrialRequest {
            trial: trial.id.to_string(),
            seed: trial.id.seed,
            config: (self.config_of)(trial),
        };
        self.processes[slot].log_mark = self.log_size(slot);
        let line = encode_line(&ToWorker::Run { bundle: bundle.iter().map(request).collect(), share });
        tracing::trace!(slot, line = line.trim_end(), "to the worker");
        if let Some(stdin) = self.processes[slot].local.as_ref().and_then(|local| local.stdin.as_ref()) {
            // If its stdin is closed the worker is ending, and its exit brings the trials back.
            let _ = stdin.send(line);
        }
        Vec::new()
    }

    fn end(&mut self, slot: usize, how: EndBy) -> Vec<Action> {
        let process = &mut self.processes[slot];
        process.ending = true;
        if !process.alive && matches!(self.workers.start, Start::Program(_)) {
            // Between trials there is no process.
            return self.reactor.on_exit(self.began.elapsed(), slot, Exit::Code(0), "");
        }
        if process.local.take().is_none() && how == EndBy::Close {
            return Vec::new();
        }
        match how {
            EndBy::Close => {}
            EndBy::Terminate => signal_group(process.pid, Signal::SIGTERM),
            EndBy::Kill => signal_group(process.pid, Signal::SIGKILL),
        }
        Vec::new()
    }

    /// Adds what only the dispatcher knows: who, and where in the log.
    fn dated(&mut self, record: Record) -> Write {
        let seconds = |duration: Time| duration.as_secs_f64();
        match record {
            Record::Started { slot, trial } => Write::TrialStarted {
                trial: trial.id,
                phase: trial.phase,
                worker: WorkerId(self.processes[slot].worker),
                log: LogMark { file: Arc::clone(&self.processes[slot].log), offset: self.processes[slot].log_mark },
            },
            Record::Epoch { trial, epoch, values, .. } => Write::Epoch { trial: trial.id, epoch, values },
            Record::Done { slot, trial, metrics, shared, duration } => {
                Write::TrialDone { trial: trial.id, metrics, shared, log_end: self.mark_log(slot), duration: seconds(duration) }
            }
            Record::Failed { slot, trial, kind, message, for_good, duration } => Write::TrialFailed {
                trial: trial.id,
                phase: trial.phase,
                kind,
                message,
                for_good,
                log_end: self.mark_log(slot),
                duration: seconds(duration),
            },
            Record::Interrupted { slot, trial, message } => {
                Write::TrialInterrupted { trial: trial.id, message, log_end: self.log_size(slot) }
            }
        }
    }

    /// Where a trial's part of the log ends, and the next one's begins.
    fn mark_log(&mut self, slot: usize) -> u64 {
        self.processes[slot].log_mark = self.log_size(slot);
        self.processes[slot].log_mark
    }

    fn log_size(&self, slot: usize) -> u64 {
        self.processes[slot].log_size(&self.workers.dir)
    }

    fn log_end_for(&self, fatal: &Fatal) -> Option<String> {
        let (Fatal::NoStart { slot, .. } | Fatal::AllAlike { slot, .. }) = fatal else { return None };
        let end = super::log_end(&self.workers.dir.join(&*self.processes[*slot].log), 0, None, LOG_END).ok()?;
        (!end.trim().is_empty()).then_some(end)
    }
}
