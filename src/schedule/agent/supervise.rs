//! Waits for the worker's end, and brings it about when the coordinator asks for that, falls
//! silent, or the system sends a signal.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Event, KILL_GRACE_PERIOD, POLL_INTERVAL, channel, termination};
use crate::protocol::{FromAgent, ToAgent};

/// How often the agent of a program sends a heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Why the worker is being ended.
pub(super) enum Ending {
    /// The coordinator asked for it, or closed the pipe.
    Requested,
    /// Something else happened, which the text says.
    Lost(String),
}

/// Watches over a worker that has been started.
pub(super) struct Supervisor {
    /// The worker's process group.
    group: u32,
    /// The coordinator is given up after it has been silent for this long.
    silence: Duration,
    /// Whether it is a program that trains one trial, which neither reads its stdin nor speaks.
    is_program: bool,
    last_heard: Instant,
    last_heartbeat: Instant,
    /// Whether the coordinator has suspended the worker, and itself.
    suspended: bool,
    ending: Option<Ending>,
    /// The next signal to send to the worker, and when.
    next_signal: Option<(Instant, Signal)>,
}

impl Supervisor {
    pub(super) fn new(group: u32, silence: Duration, is_program: bool) -> Self {
        let now = Instant::now();
        Self {
            group,
            silence,
            is_program,
            last_heard: now,
            last_heartbeat: now,
            suspended: false,
            ending: None,
            next_signal: None,
        }
    }

    /// Waits until the worker has exited; returns its status, and why it was ended if it was.
    pub(super) fn run(
        mut self,
        events: &Receiver<Event>,
    ) -> (io::Result<ExitStatus>, Option<Ending>) {
        loop {
            match events.recv_timeout(POLL_INTERVAL) {
                Ok(Event::Exited(status)) => return (status, self.ending),
                Ok(Event::Line(line)) => self.on_line(&line),
                Ok(Event::Closed) => self.on_closed(),
                Err(RecvTimeoutError::Timeout) => {}
                // The senders are this agent's own threads. Without them nothing can arrive.
                Err(RecvTimeoutError::Disconnected) => {
                    let error = io::Error::other("the worker cannot be waited for");
                    return (Err(error), self.ending);
                }
            }
            self.check_for_loss();
            self.send_next_signal();
            self.send_heartbeat();
        }
    }

    fn on_line(&mut self, line: &ToAgent) {
        self.last_heard = Instant::now();
        match line {
            ToAgent::Heartbeat | ToAgent::Secrets { .. } => {}
            ToAgent::Terminate => {
                self.ending.get_or_insert(Ending::Requested);
                self.next_signal = Some((self.last_heard, Signal::SIGTERM));
            }
            ToAgent::Suspend => {
                self.suspended = true;
                termination::signal_group(self.group, Signal::SIGSTOP);
            }
            ToAgent::Continue => {
                self.suspended = false;
                termination::signal_group(self.group, Signal::SIGCONT);
            }
        }
    }

    fn on_closed(&mut self) {
        self.ending.get_or_insert(Ending::Requested);
        // A worker sees the end of its stdin and gets a grace period; a program does not read it.
        let delay = if self.is_program {
            Duration::ZERO
        } else {
            KILL_GRACE_PERIOD
        };
        self.next_signal
            .get_or_insert((Instant::now() + delay, Signal::SIGTERM));
    }

    /// Begins to end the worker if a signal has arrived or the coordinator has fallen silent.
    fn check_for_loss(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let why = if let Some(signal) = termination::received() {
            termination::describe_signal(signal)
        } else if self.last_heard.elapsed() > self.silence && !self.suspended {
            format!(
                "nothing was heard of the coordinator for {} s",
                self.silence.as_secs()
            )
        } else {
            return;
        };
        self.ending = Some(Ending::Lost(why));
        self.next_signal = Some((Instant::now(), Signal::SIGTERM));
    }

    fn send_next_signal(&mut self) {
        let Some((_, signal)) = self.next_signal.filter(|(at, _)| *at <= Instant::now()) else {
            return;
        };
        // A stopped process would not see the signal before it continues.
        termination::signal_group(self.group, Signal::SIGCONT);
        termination::signal_group(self.group, signal);
        self.next_signal = Some((Instant::now() + KILL_GRACE_PERIOD, Signal::SIGKILL));
    }

    /// Shows the coordinator that a program is alive. A worker sends its own heartbeats.
    fn send_heartbeat(&mut self) {
        if self.is_program && self.last_heartbeat.elapsed() > HEARTBEAT_INTERVAL {
            self.last_heartbeat = Instant::now();
            channel::send(&FromAgent::Heartbeat);
        }
    }
}
