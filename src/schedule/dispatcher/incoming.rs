//! The dispatcher's part that handles what comes from processes: messages, reports of agents,
//! exits.

use std::sync::Arc;

use super::super::action::{Action, Exit, Reason};
use super::super::budget::Held;
use super::super::last_words::{is_about_usage, last_words};
use super::super::launch::{ExitEvidence, Incoming};
use super::super::out_of_memory;
use super::super::slot_index::SlotIndex;
use super::super::worker_command::Start;
use super::super::worker_process::RunningProcess;
use super::{Dispatcher, Envelope, QueuedMessage};
use crate::ledger::{WorkerId, Write};
use crate::protocol::FromWorker;

/// The exit code by which argparse and click say that they do not accept the arguments.
const USAGE: i32 = 2;
/// The exit code by which a program says that it has kept its state and wants to be started again:
/// EX_TEMPFAIL of sysexits.h, which batch systems read so.
const START_AGAIN: i32 = 75;

impl Dispatcher {
    /// Something comes from a process.
    pub(super) fn on_incoming(&mut self, envelope: Envelope) -> Vec<Action> {
        let Envelope {
            slot,
            worker,
            incoming,
        } = envelope;
        // An earlier process of the slot is not heard any more.
        if self.processes[slot].worker != worker {
            return Vec::new();
        }

        let now = self.now();
        tracing::trace!(%slot, ?worker, ?incoming, "from the worker");
        match incoming {
            Incoming::Message(message) => self.on_message(slot, message),
            Incoming::Messages(messages, held) => {
                self.queue_messages(slot, worker, messages, held);
                Vec::new()
            }
            Incoming::Garbage(error) => self.reactor.on_garbage(now, slot, error.to_string()),
            Incoming::Misreport(error) => self.reactor.on_garbage(now, slot, error.to_string()),
            Incoming::Unread(why) => {
                self.on_process_gone(slot, Exit::Code(0));
                self.reactor.on_start_postponed(now, slot, &why)
            }
            Incoming::Ended(exit, message) => self.on_program_ended(slot, exit, message),
            Incoming::Running {
                host,
                job,
                ends_in,
                gpus,
            } => {
                tracing::debug!(%slot, ?worker, host, ?job, ?ends_in, ?gpus, "runs");
                if let Some(process) = self.processes[slot].running_mut() {
                    process.job.clone_from(&job);
                }
                (self.record)(Write::WorkerPlaced {
                    worker,
                    host: Some(host),
                    job,
                    waits: None,
                });
                self.reactor.on_running(now, slot, ends_in)
            }
            Incoming::Alive => self.reactor.on_message(now, slot, FromWorker::Heartbeat),
            Incoming::Exit(exit, None) => self.on_exit(slot, exit),
            Incoming::Exit(exit, Some(evidence)) => self.on_remote_exit(slot, exit, evidence),
        }
    }

    fn on_message(&mut self, slot: SlotIndex, message: FromWorker) -> Vec<Action> {
        self.log_long_failure(slot, &message);
        if let FromWorker::Hello(hello) = &message {
            if let Some(process) = self.processes[slot].running_mut() {
                process.understands_heartbeats = hello.heartbeats;
            }
            (self.record)(Write::WorkerHello {
                worker: self.processes[slot].worker,
                hello: hello.clone(),
            });
        }
        let now = self.now();
        self.reactor.on_message(now, slot, message)
    }

    /// Queues messages that were read together. The memory that they were read into is given back
    /// when all of them are on the disk.
    fn queue_messages(
        &mut self,
        slot: SlotIndex,
        worker: WorkerId,
        messages: Vec<FromWorker>,
        held: Held,
    ) {
        self.proven.elsewhere = true;
        let held = Arc::new(held);
        for message in messages {
            self.next.push_back(QueuedMessage {
                slot,
                worker,
                message,
                held: Arc::clone(&held),
            });
        }
    }

    /// A program has exited well, and its result is known.
    fn on_program_ended(
        &mut self,
        slot: SlotIndex,
        exit: Exit,
        message: FromWorker,
    ) -> Vec<Action> {
        self.log_long_failure(slot, &message);
        let was_told_to_end = self
            .on_process_gone(slot, exit)
            .is_some_and(|process| process.told_to_end);
        let now = self.now();
        // A program that was told to end may exit well in the middle of its trial.
        if was_told_to_end {
            return self.reactor.on_exit(now, slot, exit, "");
        }
        // A full disk takes no metrics, so that their absence is not the program's fault.
        if matches!(message, FromWorker::Failed { .. })
            && let Some(why) = self.full_disk()
        {
            return self.reactor.on_start_postponed(now, slot, &why);
        }
        self.reactor.on_message(now, slot, message)
    }

    /// A process without an agent has exited.
    fn on_exit(&mut self, slot: SlotIndex, exit: Exit) -> Vec<Action> {
        let now = self.now();
        let is_unheard = self.was_unheard(now);
        let Some(process) = self.on_process_gone(slot, exit) else {
            return Vec::new();
        };
        // With an agent, the agent would report this.
        if process.understands_heartbeats && (process.missed_heartbeats || is_unheard) {
            let why = "nothing was heard of the coordinator, which was stopped";
            return self.reactor.on_exit(now, slot, Exit::Lost, why);
        }
        if let Some(why) = self.shortage_at_exit(slot, exit, &process) {
            return self.reactor.on_start_postponed(now, slot, &why);
        }
        let is_of_one_trial = matches!(self.workers.start, Start::Program(_));
        if exit == Exit::Code(START_AGAIN) && is_of_one_trial {
            let how = "it asked to be started again (exit code 75)";
            return self.reactor.on_exit(now, slot, Exit::Lost, how);
        }
        if let Some(why) = self.lack_of_memory(slot, exit, &process) {
            return self.reactor.on_exit(now, slot, exit, why.as_str());
        }
        let log = self.recent_log(slot);
        let words = last_words(&log).filter(|_| matches!(exit, Exit::Code(_)));
        let reason = match &words {
            None => Reason::Unknown,
            Some(words) if exit == Exit::Code(USAGE) && is_about_usage(&log) => {
                Reason::Usage(words)
            }
            Some(words) => Reason::Words(words),
        };
        self.reactor.on_exit(now, slot, exit, reason)
    }

    /// The launcher of a process with an agent has exited.
    fn on_remote_exit(
        &mut self,
        slot: SlotIndex,
        launcher_exit: Exit,
        evidence: ExitEvidence,
    ) -> Vec<Action> {
        let now = self.now();
        if let Some(why) = self.remote_shortage(&evidence) {
            self.on_process_gone(slot, launcher_exit);
            return self.reactor.on_start_postponed(now, slot, &why);
        }

        let log = self.recent_log(slot);
        let program = self.processes[slot]
            .running()
            .map_or_else(|| "".into(), |process| Arc::clone(&process.program));
        let (exit, why) = evidence.conclude(launcher_exit, &program, &log);
        let Some(process) = self.on_process_gone(slot, exit) else {
            return Vec::new();
        };
        if let Some(why) = self.shortage_at_exit(slot, exit, &process) {
            return self.reactor.on_start_postponed(now, slot, &why);
        }
        let why = self.lack_of_memory(slot, exit, &process).unwrap_or(why);
        self.reactor.on_exit(now, slot, exit, why.as_str())
    }

    /// Notes that a slot's process has exited, and ends what it has left running.
    fn on_process_gone(&mut self, slot: SlotIndex, exit: Exit) -> Option<RunningProcess> {
        let process = self.processes[slot].take_running()?;
        self.workers.launcher.end_leftovers(process.pid);
        (self.record)(Write::WorkerEnded {
            worker: self.processes[slot].worker,
            outcome: format!("{exit:?}"),
        });
        Some(process)
    }

    /// What shows that a process which has exited lacked memory.
    fn lack_of_memory(
        &mut self,
        slot: SlotIndex,
        exit: Exit,
        process: &RunningProcess,
    ) -> Option<String> {
        self.oom_kills = out_of_memory::killed_by_kernel();
        // The count of this machine's kernel does not hold for other machines.
        let killed = if self.workers.launcher.is_local() {
            self.oom_kills.saturating_sub(process.oom_kills_before)
        } else {
            0
        };
        out_of_memory::evidence(exit, &self.recent_log(slot), killed)
    }

    /// The end of what a slot's process has written for its present trial.
    fn recent_log(&self, slot: SlotIndex) -> String {
        let log = &self.processes[slot].log;
        log.end(&self.workers.dir, log.mark).unwrap_or_default()
    }
}
