//! The dispatcher's part that starts and ends processes, through whatever launcher.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::super::action::{Action, EndBy, Exit};
use super::super::launch::{
    self, CommandLine, Incoming, LocalWorker, Place, SpawnPlan, signal_process,
};
use super::super::process::{Process, log_name};
use super::super::processes::{StartClock, start_ticks};
use super::super::shortage::{Refusal, hint};
use super::super::start::{ProgramStart, Start, TRIALS, WorkerStart};
use super::{BoxFuture, Dispatcher};
use crate::ledger::{WorkerId, Write};
use crate::machine::search_path;
use crate::plan::PlannedTrial;
use crate::protocol::{
    FromWorker, HEARTBEAT_VARIABLE, Hello, PROTOCOL_VERSION, ToAgent, encode_line,
};

/// A launcher's process that was told to end at once may take so long before it is killed itself.
const STUBBORN: Duration = Duration::from_secs(5);

impl Dispatcher {
    pub(super) fn spawn(&mut self, slot: usize) -> Vec<Action> {
        match self.workers.start.clone() {
            Start::Worker(start) => self.spawn_worker(slot, start),
            // There is nothing to start before there is a trial.
            Start::Program(start) => {
                self.processes[slot].ending = false;
                let hello = self.introduction(slot, &start, 1);
                self.reactor
                    .on_message(self.began.elapsed(), slot, FromWorker::Hello(hello))
            }
        }
    }

    fn spawn_worker(&mut self, slot: usize, start: WorkerStart) -> Vec<Action> {
        if let Some(why) = self.is_away() {
            return self.postpone(slot, &why);
        }
        let device = &self.workers.slots[slot];
        let mut environment: BTreeMap<_, _> = device
            .environment
            .iter()
            .cloned()
            .chain(start.environment)
            .collect();
        let agent = self.workers.launcher.has_agent(false);
        if let Some(silence) = self.workers.launcher.silence().filter(|_| !agent) {
            environment.insert(HEARTBEAT_VARIABLE.to_owned(), silence.as_secs().to_string());
        }
        let line = CommandLine {
            command: start.command,
            environment,
            workdir: start.workdir,
            secret: start.secret,
            ..CommandLine::default()
        };
        let log = self.workers.dir.join(log_name(slot));
        let report = self.reporter(slot);
        let plan = SpawnPlan {
            line: self.wrap(slot, line, None),
            log,
            agent,
        };
        let before = StartClock::ticks();
        match launch::spawn(&plan, self.budget.clone(), report) {
            Ok(local) => {
                self.started(slot, local, before, log_name(slot), plan.line.name());
                Vec::new()
            }
            Err(refusal) => {
                let program = plan.line.command.first().map_or("", String::as_str);
                let here = std::env::current_dir()
                    .map_or(String::new(), |dir| format!(" (from {})", dir.display()));
                let error = &refusal.error;
                let workdir = plan
                    .line
                    .workdir
                    .clone()
                    .or_else(|| std::env::current_dir().ok())
                    .unwrap_or_default();
                let why = format!(
                    "cannot start {program:?}{here}: {}",
                    explain(error, program, &workdir)
                );
                if refusal.is_shortage(self.proven.here) {
                    return self.postpone(slot, &format!("{why}{}", hint(error)));
                }
                self.reactor
                    .on_exit(self.began.elapsed(), slot, Exit::NotStarted, &why)
            }
        }
    }

    /// Starts the program of a trial. It is told of its trial by being started.
    pub(super) fn spawn_program(
        &mut self,
        slot: usize,
        start: &ProgramStart,
        trial: &PlannedTrial,
    ) -> Vec<Action> {
        if let Some(why) = self.is_away() {
            return self.postpone(slot, &why);
        }
        let report = self.reporter(slot);
        let agent = self.workers.launcher.has_agent(true);
        let attempt = self.attempt_name(slot);
        let config = (self.config_of)(trial);
        let plan = start
            .plan(trial, &config, &self.workers.dir)
            .and_then(|mut plan| Ok((plan.begin(&attempt)?, plan)))
            .map(|(log, mut plan)| {
                for (name, value) in &self.workers.slots[slot].environment {
                    plan.line
                        .environment
                        .entry(name.clone())
                        .or_insert_with(|| value.clone());
                }
                plan.line = self.wrap(slot, std::mem::take(&mut plan.line), Some(&plan.metrics));
                plan.agent = agent;
                (plan, log)
            });
        let before = StartClock::ticks();
        let spawned = plan.map_err(Refusal::from).and_then(|(plan, log)| {
            let name = plan.line.name();
            let log_name = format!("{TRIALS}/{}/{}", plan.trial, plan.log);
            let spawned = launch::spawn_program(plan, log, self.budget.clone(), report)?;
            Ok((spawned, name, log_name))
        });
        let now = self.began.elapsed();
        match spawned {
            Ok((local, name, log_name)) => {
                self.started(slot, local, before, log_name, name);
                let hello = self.introduction(slot, start, start.threads_of(trial));
                (self.record)(Write::WorkerHello {
                    worker: WorkerId(self.processes[slot].worker),
                    hello,
                });
                // Behind an agent it begins when the agent says so.
                match agent {
                    true => Vec::new(),
                    false => self.reactor.on_message(
                        now,
                        slot,
                        FromWorker::Started {
                            trial: trial.id.to_string(),
                        },
                    ),
                }
            }
            Err(refusal) => {
                let error = &refusal.error;
                let cause = explain(
                    error,
                    start.program.first().unwrap_or_default(),
                    &start.workdir,
                );
                let why = format!(
                    "cannot start {} in {}: {cause}",
                    start.program,
                    start.workdir.display()
                );
                if refusal.is_shortage(self.proven.here) || self.has_no_folder(error, trial) {
                    return self.postpone(slot, &format!("{why}{}", hint(error)));
                }
                self.reactor.on_exit(now, slot, Exit::NotStarted, &why)
            }
        }
    }

    /// What the files of a slot's next process are told apart by: its number, and the beginning of
    /// the run directory's identity, since one that was restored from a copy counts from where the
    /// copy ended.
    fn attempt_name(&self, slot: usize) -> String {
        let identity: String = self.workers.identity.chars().take(4).collect();
        format!("{}-{identity}", self.processes[slot].worker)
    }

    /// What is really started for a command line.
    fn wrap(
        &self,
        slot: usize,
        line: CommandLine,
        metrics: Option<&std::path::Path>,
    ) -> CommandLine {
        let place = Place {
            slot,
            worker: self.processes[slot].worker,
            mark: &self.away.mark,
            metrics,
        };
        self.workers.launcher.wrap(line, place)
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
    fn started(
        &mut self,
        slot: usize,
        local: LocalWorker,
        before: Option<u64>,
        log: String,
        program: Arc<str>,
    ) {
        self.proven.here = true;
        let (pid, worker) = (local.pid, self.processes[slot].worker);
        let start_ticks = self.start_clock.start_of(pid, before).unwrap_or(0);
        self.processes[slot] = Process {
            worker,
            pid,
            start_ticks,
            log: log.into(),
            log_file: Some(Arc::clone(&local.log)),
            log_mark: local.begin,
            local: Some(local),
            alive: true,
            killed_before: self.killed,
            program,
            ..Process::none(slot)
        };
        if self.workers.launcher.has_queue() {
            self.away.look_soon(self.began.elapsed());
        }
        (self.record)(Write::WorkerStarted {
            worker: WorkerId(worker),
            session: self.session,
            slot,
            device: self.workers.slots[slot].name.clone(),
            pid,
            start_ticks,
            launcher: self.workers.launcher.name(),
        });
    }

    pub(super) fn end(&mut self, slot: usize, how: EndBy) -> Vec<Action> {
        let program = matches!(self.workers.start, Start::Program(_));
        let waits = self.reactor.is_queued(slot);
        let process = &mut self.processes[slot];
        process.ending = true;
        if !process.alive && program {
            // Between trials there is no process.
            return self
                .reactor
                .on_exit(self.began.elapsed(), slot, Exit::Code(0), "");
        }
        if !process.alive {
            // Its start has failed, and the reactor knows.
            return Vec::new();
        }
        let launcher = &self.workers.launcher;
        let agent = launcher.has_agent(program);
        let how = if waits { EndBy::Kill } else { how };
        let local = process.local.take();
        match how {
            EndBy::Close => {}
            EndBy::Terminate if agent => {
                // It ends the worker as gently as we would here, where a signal to srun would not.
                if let Some(stdin) = local.as_ref().and_then(|local| local.stdin.as_ref()) {
                    let _ = stdin.send(encode_line(&ToAgent::Terminate));
                }
            }
            EndBy::Terminate => launcher.terminate(process.pid),
            EndBy::Kill => {
                launcher.kill(process.pid);
                if launcher.has_queue() {
                    tokio::spawn(insist(
                        process.pid,
                        process.start_ticks,
                        process.job.clone(),
                    ));
                }
            }
        }
        Vec::new()
    }
}

/// Why a program could not be started, with what the kernel does not say.
fn explain(error: &std::io::Error, program: &str, workdir: &Path) -> String {
    launch::explained(error, program, workdir, &search_path())
}

/// Ends a process of `srun` that does not go. Only it: it has a child that then cancels its job.
async fn insist(pid: u32, ticks: u64, job: Option<String>) {
    tokio::time::sleep(STUBBORN).await;
    if start_ticks(pid) == Some(ticks) {
        signal_process(pid, Signal::SIGKILL);
        if let Some(job) = job {
            // Whether it was still there does not matter, nor whether anybody answers.
            drop(
                tokio::process::Command::new("scancel")
                    .arg(job)
                    .status()
                    .await,
            );
        }
    }
}
