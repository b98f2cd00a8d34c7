//! The dispatcher's part that starts and ends processes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::super::action::{Action, EndBy, Exit};
use super::super::launch::{
    self, CommandLine, Incoming, LocalWorker, Place, ProgramPlan, SpawnPlan,
};
use super::super::proc_fs::start_ticks;
use super::super::process_groups::signal_process;
use super::super::refusal::{Refusal, hint};
use super::super::slot_index::SlotIndex;
use super::super::start_clock::StartClock;
use super::super::worker_command::{ProgramStart, Start, TRIALS, WorkerStart};
use super::super::worker_process::{Log, ProcessState, RunningProcess, log_name};
use super::{BoxFuture, Dispatcher, Envelope};
use crate::ledger::Write;
use crate::machine::search_path;
use crate::plan::PlannedTrial;
use crate::protocol::{
    FromWorker, HEARTBEAT_VARIABLE, Hello, PROTOCOL_VERSION, ToAgent, encode_line,
};

/// Grace period between SIGTERM and SIGKILL for a launcher's process.
const LAUNCHER_KILL_GRACE_PERIOD: Duration = Duration::from_secs(5);
/// How much of a run directory's identity distinguishes the files of attempts, in characters.
const IDENTITY_PREFIX: usize = 4;

/// A process that has been started.
struct Spawned {
    local: LocalWorker,
    /// Clock ticks before it was started.
    ticks_before: Option<u64>,
    /// Its log, relative to the run directory.
    log: String,
    /// The name of what was started.
    program: Arc<str>,
}

impl Dispatcher {
    /// Starts a worker in a slot.
    pub(super) fn spawn(&mut self, slot: SlotIndex) -> Vec<Action> {
        match self.workers.start.clone() {
            Start::Worker(start) => self.spawn_worker(slot, start),
            // There is nothing to start before there is a trial.
            Start::Program(start) => {
                let hello = self.introduction(slot, &start, 1);
                let now = self.now();
                self.reactor.on_message(now, slot, FromWorker::Hello(hello))
            }
        }
    }

    fn spawn_worker(&mut self, slot: SlotIndex, start: WorkerStart) -> Vec<Action> {
        if let Some(why) = self.missing_file() {
            return self.postpone(slot, &why);
        }
        let has_agent = self.workers.launcher.has_agent(false);
        let mut environment: BTreeMap<_, _> = self.workers.slots[slot.0]
            .environment
            .iter()
            .cloned()
            .chain(start.environment)
            .collect();
        // An agent watches for heartbeats itself.
        if !has_agent && let Some(silence) = self.workers.launcher.silence() {
            environment.insert(HEARTBEAT_VARIABLE.to_owned(), silence.as_secs().to_string());
        }

        let line = CommandLine {
            command: start.command,
            environment,
            workdir: start.workdir,
            secret: start.secret,
            ..CommandLine::default()
        };
        let report = self.reporter(slot);
        let plan = SpawnPlan {
            line: self.wrap(slot, line, None),
            log: self.workers.dir.join(log_name(slot)),
            agent: has_agent,
        };
        let ticks_before = StartClock::ticks();
        match launch::spawn(&plan, self.budget.clone(), report) {
            Ok(local) => {
                let spawned = Spawned {
                    local,
                    ticks_before,
                    log: log_name(slot),
                    program: plan.line.name(),
                };
                self.on_spawned(slot, spawned);
                Vec::new()
            }
            Err(refusal) => self.on_worker_refused(slot, &plan.line, &refusal),
        }
    }

    /// A worker could not be started.
    fn on_worker_refused(
        &mut self,
        slot: SlotIndex,
        line: &CommandLine,
        refusal: &Refusal,
    ) -> Vec<Action> {
        let current_dir = std::env::current_dir().ok();
        let here = current_dir
            .as_ref()
            .map_or(String::new(), |dir| format!(" (from {})", dir.display()));
        let program = line.command.first().map_or("", String::as_str);
        let workdir = line.workdir.clone().or(current_dir).unwrap_or_default();
        let cause = explain(&refusal.error, program, &workdir);
        let why = format!("cannot start {program:?}{here}: {cause}");
        if refusal.is_shortage(self.proven.here) {
            // It may have disappeared between the check before the start and the start.
            let why = self
                .missing_file()
                .unwrap_or_else(|| format!("{why}{}", hint(&refusal.error)));
            return self.postpone(slot, &why);
        }
        let now = self.now();
        self.reactor
            .on_exit(now, slot, Exit::NotStarted, why.as_str())
    }

    /// Starts the program of a trial. The program learns of its trial from its command line and
    /// environment.
    pub(super) fn spawn_program(
        &mut self,
        slot: SlotIndex,
        start: &ProgramStart,
        trial: &PlannedTrial,
    ) -> Vec<Action> {
        if let Some(why) = self.missing_file() {
            return self.postpone(slot, &why);
        }
        match self.try_spawn_program(slot, start, trial) {
            Ok(spawned) => {
                self.on_spawned(slot, spawned);
                let hello = self.introduction(slot, start, start.threads_of(trial));
                (self.record)(Write::WorkerHello {
                    worker: self.processes[slot].worker,
                    hello,
                });
                // Behind an agent the trial starts when the agent says so.
                if self.workers.launcher.has_agent(true) {
                    return Vec::new();
                }
                let now = self.now();
                self.reactor.on_started(now, slot, trial.id)
            }
            Err(refusal) => self.on_program_refused(slot, start, trial, &refusal),
        }
    }

    fn try_spawn_program(
        &mut self,
        slot: SlotIndex,
        start: &ProgramStart,
        trial: &PlannedTrial,
    ) -> Result<Spawned, Refusal> {
        let report = self.reporter(slot);
        let (plan, log) = self.plan_program(slot, start, trial)?;
        let program = plan.line.name();
        let log_name = format!("{TRIALS}/{}/{}", plan.trial, plan.log);
        let ticks_before = StartClock::ticks();
        let local = launch::spawn_program(plan, log, self.budget.clone(), report)?;
        Ok(Spawned {
            local,
            ticks_before,
            log: log_name,
            program,
        })
    }

    /// Creates the files of an attempt, and returns what to start with its log.
    fn plan_program(
        &self,
        slot: SlotIndex,
        start: &ProgramStart,
        trial: &PlannedTrial,
    ) -> io::Result<(ProgramPlan, File)> {
        let config = (self.config_of)(trial);
        let mut plan = start.plan(trial, &config, &self.workers.dir)?;
        let log = plan.begin(&self.attempt_name(slot))?;
        for (name, value) in &self.workers.slots[slot.0].environment {
            plan.line
                .environment
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        plan.line = self.wrap(slot, std::mem::take(&mut plan.line), Some(&plan.metrics));
        plan.agent = self.workers.launcher.has_agent(true);
        Ok((plan, log))
    }

    /// The program of a trial could not be started.
    fn on_program_refused(
        &mut self,
        slot: SlotIndex,
        start: &ProgramStart,
        trial: &PlannedTrial,
        refusal: &Refusal,
    ) -> Vec<Action> {
        let error = &refusal.error;
        let program = start.program.first().unwrap_or_default();
        let cause = explain(error, program, &start.workdir);
        let why = format!(
            "cannot start {} in {}: {cause}",
            start.program,
            start.workdir.display()
        );
        if refusal.is_shortage(self.proven.here) || self.has_no_folder(error, trial) {
            // It may have disappeared between the check before the start and the start.
            let why = self
                .missing_file()
                .unwrap_or_else(|| format!("{why}{}", hint(error)));
            return self.postpone(slot, &why);
        }
        let now = self.now();
        self.reactor
            .on_exit(now, slot, Exit::NotStarted, why.as_str())
    }

    /// What distinguishes the files of a slot's next process: its number, and the beginning of the
    /// run directory's identity. A directory restored from a copy continues to count where the copy
    /// ended.
    fn attempt_name(&self, slot: SlotIndex) -> String {
        let identity: String = self
            .workers
            .identity
            .chars()
            .take(IDENTITY_PREFIX)
            .collect();
        format!("{}-{identity}", self.processes[slot].worker.0)
    }

    /// The command line that is really started for `line`.
    fn wrap(&self, slot: SlotIndex, line: CommandLine, metrics: Option<&Path>) -> CommandLine {
        let place = Place {
            slot,
            worker: self.processes[slot].worker,
            mark: &self.remote.mark,
            metrics,
        };
        self.workers.launcher.wrap(line, place)
    }

    /// The hello of a program, which does not speak the protocol.
    fn introduction(&self, slot: SlotIndex, start: &ProgramStart, threads: u32) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            program: start.program.to_string(),
            device: self.workers.slots[slot.0].model.clone(),
            threads,
            pack: 0,
            ..Hello::default()
        }
    }

    /// Numbers the next process of a slot, and returns what takes the messages from it.
    fn reporter(
        &mut self,
        slot: SlotIndex,
    ) -> impl Fn(Incoming) -> BoxFuture + Send + Sync + use<> {
        let worker = self.next_worker;
        self.next_worker.0 += 1;
        self.processes[slot].worker = worker;
        let report = self.report.clone();
        move |incoming| {
            let report = report.clone();
            let envelope = Envelope {
                slot,
                worker,
                incoming,
            };
            // Sending fails only after the dispatcher is gone.
            Box::pin(async move { drop(report.send(envelope).await) })
        }
    }

    /// A slot's process has been started.
    fn on_spawned(&mut self, slot: SlotIndex, spawned: Spawned) {
        self.proven.here = true;
        let pid = spawned.local.pid;
        let start_ticks = self
            .start_clock
            .start_of(pid, spawned.ticks_before)
            .unwrap_or(0);

        let process = &mut self.processes[slot];
        process.log = Log {
            name: spawned.log.into(),
            file: Some(spawned.local.log),
            mark: spawned.local.begin,
        };
        process.state = ProcessState::Running(RunningProcess {
            pid,
            start_ticks,
            stdin: spawned.local.stdin,
            told_to_end: false,
            oom_kills_before: self.oom_kills,
            program: spawned.program,
            job: None,
            queue_reason: None,
            understands_heartbeats: false,
            missed_heartbeats: false,
        });
        (self.record)(Write::WorkerStarted {
            worker: process.worker,
            session: self.session,
            slot: slot.0,
            device: self.workers.slots[slot.0].name.clone(),
            pid,
            start_ticks,
            launcher: self.workers.launcher.name(),
        });
        if self.workers.launcher.has_queue() {
            let now = self.now();
            self.remote.poll_soon(now);
        }
    }

    /// Ends a slot's process.
    pub(super) fn end(&mut self, slot: SlotIndex, how: EndBy) -> Vec<Action> {
        let runs_programs = matches!(self.workers.start, Start::Program(_));
        let is_queued = self.reactor.is_queued(slot);
        let now = self.now();
        let Some(process) = self.processes[slot].running_mut() else {
            // Between trials there is no program.
            if runs_programs {
                return self.reactor.on_exit(now, slot, Exit::Code(0), "");
            }
            // The worker's start has failed, and the reactor knows.
            return Vec::new();
        };
        process.told_to_end = true;
        let stdin = process.stdin.take();

        let launcher = &self.workers.launcher;
        let how = if is_queued { EndBy::Kill } else { how };
        match how {
            EndBy::Close => {}
            EndBy::Terminate if launcher.has_agent(runs_programs) => {
                // The agent ends the worker gently, which a signal to srun would not.
                if let Some(stdin) = stdin {
                    let _ = stdin.send(encode_line(&ToAgent::Terminate));
                }
            }
            EndBy::Terminate => launcher.terminate(process.pid),
            EndBy::Kill => {
                launcher.kill(process.pid);
                if launcher.has_queue() {
                    tokio::spawn(kill_stubborn_launcher(
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

/// Explains why a program could not be started, with what the kernel does not say.
fn explain(error: &io::Error, program: &str, workdir: &Path) -> String {
    launch::explained(error, program, workdir, &search_path())
}

/// Kills a process of `srun` that does not end. Its group is left alone: it has a child that then
/// cancels its job.
async fn kill_stubborn_launcher(pid: u32, ticks: u64, job: Option<String>) {
    tokio::time::sleep(LAUNCHER_KILL_GRACE_PERIOD).await;
    if start_ticks(pid) != Some(ticks) {
        return;
    }
    signal_process(pid, Signal::SIGKILL);
    if let Some(job) = job {
        let mut scancel = tokio::process::Command::new("scancel");
        // The job may have ended already, and `scancel` may fail.
        drop(scancel.arg(job).status().await);
    }
}
