//! The dispatcher's part for workers that do not run as processes of this machine: heartbeats, what
//! their queue reports, and suspension by Ctrl-Z.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::super::action::{Action, Time};
use super::super::launch::squeue::{self, Entry};
use super::super::process_groups::signal_group;
use super::super::run_mark::Mark;
use super::super::slot_index::SlotIndex;
use super::super::worker_command::Start;
use super::Dispatcher;
use crate::ledger::Write;
use crate::protocol::{ToAgent, ToWorker, encode_line};

/// Delay before the first `squeue` poll for a new worker.
const FIRST_QUEUE_POLL: Time = Time::from_secs(2);
/// Time between two `squeue` polls while a worker waits. Slurm's controller serves others as well.
const QUEUE_POLL_INTERVAL: Time = Time::from_secs(15);
/// How long to wait before this program suspends itself, so that a message gets through the
/// launchers' pipes.
const FLUSH_TIME: Duration = Duration::from_millis(100);
/// How many heartbeats are sent within the time after which a worker gives up.
const HEARTBEATS_PER_SILENCE: u32 = 6;

/// What the dispatcher knows of workers elsewhere.
pub(super) struct RemoteWorkers {
    /// The mark of the run directory.
    pub mark: Mark,
    /// The answers of `squeue`.
    pub answers: mpsc::UnboundedReceiver<String>,
    answer: mpsc::UnboundedSender<String>,
    /// When `squeue` is polled next, if a worker has been asked for.
    next_poll: Option<Time>,
    /// When the last heartbeat was sent.
    last_heartbeat: Time,
}

impl RemoteWorkers {
    /// Nothing is known yet.
    pub(crate) fn new(mark: Mark) -> Self {
        let (answer, answers) = mpsc::unbounded_channel();
        Self {
            mark,
            answers,
            answer,
            next_poll: None,
            last_heartbeat: Time::ZERO,
        }
    }

    /// Plans to poll the queue soon, because a worker was asked for.
    pub(crate) fn poll_soon(&mut self, now: Time) {
        let soon = now + FIRST_QUEUE_POLL;
        self.next_poll = Some(self.next_poll.map_or(soon, |planned| planned.min(soon)));
    }
}

impl Dispatcher {
    /// Sends heartbeats to workers elsewhere, and polls the queue for those that do not run yet.
    pub(super) fn keep_in_touch(&mut self) {
        let Some(silence) = self.workers.launcher.silence() else {
            return;
        };
        let now = self.now();
        if self.was_unheard(now) {
            for process in self.processes.iter_mut() {
                if let Some(process) = process.running_mut() {
                    process.missed_heartbeats = true;
                }
            }
        }
        let since_heartbeat = now.saturating_sub(self.remote.last_heartbeat);
        if since_heartbeat >= silence / HEARTBEATS_PER_SILENCE {
            self.remote.last_heartbeat = now;
            self.tell_agents(&ToAgent::Heartbeat);
        }

        let is_any_queued = self
            .processes
            .entries()
            .any(|(slot, process)| process.running().is_some() && self.reactor.is_queued(slot));
        let is_poll_due = self.remote.next_poll.is_some_and(|planned| now >= planned);
        if is_any_queued && is_poll_due {
            self.remote.next_poll = Some(now + QUEUE_POLL_INTERVAL);
            tokio::spawn(poll_queue(self.remote.answer.clone()));
        }
    }

    /// Whether workers have heard nothing of the coordinator for more than half of the time after
    /// which they give up: this program was suspended (Ctrl-Z, a closed laptop).
    pub(super) fn was_unheard(&self, now: Time) -> bool {
        let silent = now.saturating_sub(self.remote.last_heartbeat);
        self.workers
            .launcher
            .silence()
            .is_some_and(|silence| silent > silence / 2)
    }

    /// Sends a message to every agent. Heartbeats also go to workers without an agent, if they
    /// understand them.
    fn tell_agents(&self, message: &ToAgent) {
        let runs_programs = matches!(self.workers.start, Start::Program(_));
        let has_agents = self.workers.launcher.has_agent(runs_programs);
        for (slot, process) in self.processes.entries() {
            let Some(process) = process.running() else {
                continue;
            };
            if self.reactor.is_queued(slot) {
                continue;
            }
            if has_agents {
                process.send(encode_line(message));
            } else if *message == ToAgent::Heartbeat && process.understands_heartbeats {
                process.send(encode_line(&ToWorker::Heartbeat));
            }
        }
    }

    /// `squeue` has answered.
    pub(super) fn on_queue_answer(&mut self, answer: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        for entry in squeue::read(answer, &self.remote.mark.id) {
            actions.extend(self.on_queue_entry(entry));
        }
        actions
    }

    fn on_queue_entry(&mut self, entry: Entry) -> Vec<Action> {
        let Some(slot) = self.queued_slot(&entry) else {
            return Vec::new();
        };
        let Some(process) = self.processes[slot].running_mut() else {
            return Vec::new();
        };
        let reason = entry.waits();
        if process.job.as_ref() == Some(&entry.id) && process.queue_reason == reason {
            return Vec::new();
        }

        process.job = Some(entry.id.clone());
        process.queue_reason.clone_from(&reason);
        (self.record)(Write::WorkerPlaced {
            worker: entry.worker,
            host: None,
            job: Some(entry.id),
            waits: reason.clone(),
        });
        let now = self.now();
        match reason {
            Some(reason) => self.reactor.on_waiting(now, slot, reason),
            None => Vec::new(),
        }
    }

    /// The slot whose process a queue's entry is about, if the process waits.
    fn queued_slot(&self, entry: &Entry) -> Option<SlotIndex> {
        self.processes
            .entries()
            .find(|(_, process)| process.running().is_some() && process.worker == entry.worker)
            .map(|(slot, _)| slot)
            .filter(|&slot| self.reactor.is_queued(slot))
    }

    /// Suspends the workers and this program until it is continued, as Ctrl-Z and `fg` do.
    pub(super) async fn suspend(&mut self) -> Vec<Action> {
        let began = self.now();
        let is_local = self.workers.launcher.is_local();
        let groups: Vec<u32> = self
            .processes
            .iter()
            .filter(|_| is_local)
            .filter_map(|process| Some(process.running()?.pid))
            .collect();
        // SIGSTOP, unlike SIGTSTP, cannot be ignored.
        for &group in &groups {
            signal_group(group, Signal::SIGSTOP);
        }
        if !is_local {
            self.tell_agents(&ToAgent::Suspend);
            tokio::time::sleep(FLUSH_TIME).await;
        }

        if let Err(error) = nix::sys::signal::raise(Signal::SIGSTOP) {
            tracing::warn!("cannot suspend this program: {error}");
        }

        for &group in &groups {
            signal_group(group, Signal::SIGCONT);
        }
        self.tell_agents(&ToAgent::Continue);
        let now = self.now();
        self.reactor.on_continued(now, now.saturating_sub(began))
    }
}

/// Asks `squeue` for the user's jobs, and sends its answer.
async fn poll_queue(answer: mpsc::UnboundedSender<String>) {
    let output = Command::new("squeue")
        .args(squeue::JOBS)
        .stdin(Stdio::null())
        .output()
        .await;
    match output {
        // The receiver lives as long as the dispatcher.
        Ok(output) => drop(answer.send(String::from_utf8_lossy(&output.stdout).into_owned())),
        Err(error) => tracing::warn!("cannot start squeue: {error}"),
    }
}
