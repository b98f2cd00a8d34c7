//! The dispatcher's part for workers that are not processes of this machine: heartbeats, what their
//! queue says of them, Ctrl-Z.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::super::action::{Action, Time};
use super::super::launch::squeue;
use super::super::processes::{Mark, signal_group};
use super::super::start::Start;
use super::Dispatcher;
use crate::ledger::{WorkerId, Write};
use crate::protocol::{ToAgent, ToWorker, encode_line};

/// So soon after a worker was asked for its queue is looked at.
const SOON: Time = Time::from_secs(2);
/// And so often while any waits: Slurm's controller has others to answer.
const PACE: Time = Time::from_secs(15);
/// A message may take so long into a launcher's pipe before this program stops itself.
const FLUSH: Duration = Duration::from_millis(100);

/// What the dispatcher keeps of them.
pub(super) struct Away {
    /// The mark of the run directory.
    pub mark: Mark,
    /// What `squeue` answered.
    pub answers: mpsc::UnboundedReceiver<String>,
    answer: mpsc::UnboundedSender<String>,
    /// When it is to be asked next.
    look: Option<Time>,
    /// When workers were last told that we live.
    told: Time,
}

impl Away {
    /// Nothing is known yet.
    pub fn new(mark: Mark) -> Self {
        let (answer, answers) = mpsc::unbounded_channel();
        Self {
            mark,
            answers,
            answer,
            look: None,
            told: Time::ZERO,
        }
    }

    /// A worker was asked for.
    pub fn look_soon(&mut self, now: Time) {
        self.look = Some(self.look.map_or(now + SOON, |look| look.min(now + SOON)));
    }
}

impl Dispatcher {
    /// Tells workers elsewhere that we live, and asks what those wait for that do not run yet.
    pub(super) fn keep_in_touch(&mut self) {
        let Some(silence) = self.workers.launcher.silence() else {
            return;
        };
        let now = self.now();
        if self.was_unheard(now) {
            self.processes
                .iter_mut()
                .for_each(|process| process.unheard |= process.alive);
        }
        if now.saturating_sub(self.away.told) >= silence / 6 {
            self.away.told = now;
            self.tell_agents(ToAgent::Heartbeat);
        }
        let waits = (0..self.processes.len())
            .any(|slot| self.processes[slot].alive && self.reactor.is_queued(slot));
        if waits && self.away.look.is_some_and(|look| now >= look) {
            self.away.look = Some(now + PACE);
            let answer = self.away.answer.clone();
            tokio::spawn(async move {
                match Command::new("squeue")
                    .args(squeue::JOBS)
                    .stdin(std::process::Stdio::null())
                    .output()
                    .await
                {
                    // The receiver lives as long as the dispatcher.
                    Ok(output) => {
                        drop(answer.send(String::from_utf8_lossy(&output.stdout).into_owned()))
                    }
                    Err(error) => tracing::warn!("cannot start squeue: {error}"),
                }
            });
        }
    }

    /// Whether workers have heard nothing of us for a good part of what they bear: this program was
    /// stopped (Ctrl-Z, a closed laptop).
    pub(super) fn was_unheard(&self, now: Time) -> bool {
        let silent = now.saturating_sub(self.away.told);
        self.workers
            .launcher
            .silence()
            .is_some_and(|silence| silent > silence / 2)
    }

    /// Says something to every agent; a heartbeat also to workers without one that understand it.
    fn tell_agents(&self, message: ToAgent) {
        let agent = self
            .workers
            .launcher
            .has_agent(matches!(self.workers.start, Start::Program(_)));
        for (slot, process) in self.processes.iter().enumerate() {
            let line = match &message {
                _ if !process.alive || self.reactor.is_queued(slot) => continue,
                message if agent => encode_line(message),
                ToAgent::Heartbeat if process.heartbeats => encode_line(&ToWorker::Heartbeat),
                _ => continue,
            };
            if let Some(stdin) = process
                .local
                .as_ref()
                .and_then(|local| local.stdin.as_ref())
            {
                // One whose stdin is closed is ending.
                let _ = stdin.send(line);
            }
        }
    }

    /// What `squeue` says of our jobs.
    pub(super) fn queue_says(&mut self, answer: &str) -> Vec<Action> {
        let now = self.now();
        let mut actions = Vec::new();
        for entry in squeue::read(answer, &self.away.mark.id) {
            let found = self
                .processes
                .iter()
                .position(|process| process.alive && process.worker == entry.worker);
            let Some(slot) = found.filter(|&slot| self.reactor.is_queued(slot)) else {
                continue;
            };
            let waits = entry.waits();
            let process = &mut self.processes[slot];
            if process.job.as_ref() == Some(&entry.id) && process.waits == waits {
                continue;
            }
            (process.job, process.waits) = (Some(entry.id.clone()), waits.clone());
            (self.record)(Write::WorkerPlaced {
                worker: WorkerId(entry.worker),
                host: None,
                job: Some(entry.id),
                waits: waits.clone(),
            });
            actions.extend(
                waits
                    .map(|why| self.reactor.on_waiting(now, slot, why))
                    .into_iter()
                    .flatten(),
            );
        }
        actions
    }

    /// Stops the workers and this program until somebody continues it, as Ctrl-Z and `fg` do.
    pub(super) async fn suspend(&mut self) -> Vec<Action> {
        let began = self.began.elapsed();
        let local = self.workers.launcher.is_local();
        let groups: Vec<u32> = self
            .processes
            .iter()
            .filter(|process| process.alive && local)
            .map(|process| process.pid)
            .collect();
        // SIGSTOP and not SIGTSTP: nobody can ignore it.
        groups
            .iter()
            .for_each(|&group| signal_group(group, Signal::SIGSTOP));
        if !local {
            self.tell_agents(ToAgent::Suspend);
            tokio::time::sleep(FLUSH).await;
        }
        if let Err(error) = nix::sys::signal::raise(Signal::SIGSTOP) {
            tracing::warn!("cannot stop this program: {error}");
        }
        groups
            .iter()
            .for_each(|&group| signal_group(group, Signal::SIGCONT));
        self.tell_agents(ToAgent::Continue);
        let now = self.began.elapsed();
        self.reactor.on_continued(now, now.saturating_sub(began))
    }
}
