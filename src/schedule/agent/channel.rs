//! The agent's pipes: lines from the coordinator, messages to it, and lines that are forwarded to
//! the worker.

use std::io::{self, BufRead, Read, Write};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, Sender};

use super::Event;
use crate::protocol::{AGENT_LINE, FromAgent, MAX_LINE, ToAgent, decode_line, encode_line};

/// Reads lines from the coordinator on a thread: those for the agent become events, all others are
/// forwarded to the worker.
pub(super) fn read_coordinator(events: Sender<Event>, forward: Sender<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input
                .by_ref()
                .take(MAX_LINE as u64 + 1)
                .read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                break;
            }

            if line.starts_with(AGENT_LINE) {
                // A later coordinator may send messages that this version does not know.
                if let Ok(message) = decode_line(&line) {
                    drop(events.send(Event::Line(message)));
                }
            } else {
                // Any line shows that the coordinator is alive.
                drop(events.send(Event::Line(ToAgent::Heartbeat)));
                drop(forward.send(std::mem::take(&mut line)));
            }
        }
        drop(events.send(Event::Closed));
        // This closes the worker's stdin, once everything has been written to it.
        drop(forward);
    });
}

/// Writes the coordinator's lines to the worker on a thread, so that a worker that does not read
/// cannot keep the agent from hearing the coordinator.
pub(super) fn forward_to_worker(stdin: Option<ChildStdin>, forwarded: Receiver<Vec<u8>>) {
    std::thread::spawn(move || {
        let Some(mut stdin) = stdin else { return };
        for line in forwarded {
            // A worker that has closed its stdin is about to exit.
            if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
}

/// Sends a message to the coordinator.
pub(super) fn send(message: &FromAgent) {
    let mut out = io::stdout().lock();
    // If the coordinator no longer reads, the end of stdin will tell.
    drop(
        out.write_all(encode_line(message).as_bytes())
            .and_then(|()| out.flush()),
    );
}
