//! Reads the lines that a worker, and the agent beside it, write to stdout.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::Notify;

use super::exit_evidence::ExitEvidence;
use super::incoming::Incoming;
use crate::protocol::{AGENT_LINE, FrameError, FromAgent, FromWorker, MAX_LINE, decode_line};
use crate::schedule::budget::{Budget, Held};

/// How long to read on after a worker has exited: a grandchild may hold its stdout open.
const MAX_LEAK_TIME: Duration = Duration::from_secs(2);
/// How much to read on. What the worker itself wrote is in the pipe.
const MAX_LEAKED_BYTES: usize = 4 << 20;
/// How much of a worker's output is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Reads messages until the end of the pipe, and reports together those that come together.
///
/// After a line that is not a message nothing more is believed, but the pipe is still emptied, so
/// that the worker does not block before it is ended. If `evidence` is given, lines of an agent
/// come among the messages. While the budget has no room nothing is read, and the worker waits for
/// its pipe.
///
/// Grandchildren may hold the pipe open without end: once the process is `gone`, it is read for a
/// while only.
pub(super) async fn read_lines<R, F>(
    mut stdout: ChildStdout,
    evidence: &mut Option<ExitEvidence>,
    budget: &Budget,
    gone: &Notify,
    report: &R,
) where
    R: Fn(Incoming) -> F,
    F: Future<Output = ()>,
{
    let mut chunk = vec![0; CHUNK];
    let mut lines = LineReader::new(evidence, budget, report);
    let mut leak: Option<Leak> = None;
    loop {
        let read = match &mut leak {
            None => tokio::select! {
                read = stdout.read(&mut chunk) => read,
                () = gone.notified() => {
                    leak = Some(Leak::new());
                    continue;
                }
            },
            Some(leak) => match leak.read(&mut stdout, &mut chunk).await {
                Some(read) => read,
                None => break,
            },
        };
        let Ok(length @ 1..) = read else { break };
        lines.take(&chunk[..length]).await;
    }
}

/// What may still be read after the process has exited.
struct Leak {
    time: Duration,
    bytes: usize,
}

impl Leak {
    fn new() -> Self {
        Self {
            time: MAX_LEAK_TIME,
            bytes: MAX_LEAKED_BYTES,
        }
    }

    /// Reads on; returns `None` if it has taken too long, or was too much.
    async fn read(
        &mut self,
        stdout: &mut ChildStdout,
        chunk: &mut [u8],
    ) -> Option<std::io::Result<usize>> {
        // Only waiting for the pipe counts, not waiting for room.
        let began = Instant::now();
        let read = tokio::time::timeout(self.time, stdout.read(chunk))
            .await
            .ok()?;
        self.time = self.time.saturating_sub(began.elapsed());
        if self.bytes == 0 {
            return None;
        }
        let length = read.as_ref().copied().unwrap_or(0);
        self.bytes = self.bytes.saturating_sub(length);
        Some(read)
    }
}

/// Splits output into lines, and reports the messages in them.
struct LineReader<'a, R> {
    evidence: &'a mut Option<ExitEvidence>,
    budget: &'a Budget,
    report: &'a R,
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether a line was not a message.
    is_broken: bool,
    /// Messages that have not been reported yet.
    messages: Vec<FromWorker>,
    /// The memory that they take.
    held: Held,
}

impl<'a, R, F> LineReader<'a, R>
where
    R: Fn(Incoming) -> F,
    F: Future<Output = ()>,
{
    fn new(evidence: &'a mut Option<ExitEvidence>, budget: &'a Budget, report: &'a R) -> Self {
        Self {
            evidence,
            budget,
            report,
            partial: Vec::new(),
            is_broken: false,
            messages: Vec::new(),
            held: Held::default(),
        }
    }

    /// Takes the next bytes of the output, and reports the messages that they complete.
    async fn take(&mut self, mut rest: &[u8]) {
        let mut error = None;
        while !rest.is_empty() && (!self.is_broken || self.evidence.is_some()) {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (part, later) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = later;

            // Most lines come whole, and are decoded where they are.
            if end.is_some() && self.partial.is_empty() {
                self.on_line(part, &mut error).await;
                continue;
            }
            if self.partial.len() <= MAX_LINE {
                self.partial.extend_from_slice(part);
            }
            let is_too_long = !self.is_broken && self.partial.len() > MAX_LINE;
            if end.is_none() && !is_too_long {
                break;
            }
            let line = std::mem::take(&mut self.partial);
            self.on_line(&line, &mut error).await;
        }

        self.flush().await;
        self.held = Held::default();
        if let Some(error) = error {
            (self.report)(Incoming::Garbage(error)).await;
        }
    }

    async fn on_line(&mut self, line: &[u8], error: &mut Option<FrameError>) {
        if line.starts_with(AGENT_LINE)
            && let Some(evidence) = self.evidence.as_mut()
        {
            // An agent is believed even if the worker has printed garbage. Messages of a later
            // version of the agent are skipped.
            let Ok(message) = decode_line(line) else {
                return;
            };
            evidence.on_message(&message);
            if let Some(incoming) = incoming_from_agent(message) {
                self.flush().await;
                (self.report)(incoming).await;
            }
            return;
        }
        if self.is_broken || line.trim_ascii().is_empty() {
            return;
        }

        let held = match self.budget.try_take(line.len()) {
            Some(held) => held,
            None => {
                // The messages so far are reported first: their room is given back only then.
                self.flush().await;
                self.budget.take(line.len()).await
            }
        };
        self.held.merge(held);
        match decode_line(line) {
            Ok(message) => self.messages.push(message),
            Err(wrong) => {
                self.is_broken = true;
                *error = Some(wrong);
            }
        }
    }

    /// Reports the messages so far.
    async fn flush(&mut self) {
        if !self.messages.is_empty() {
            let messages = std::mem::take(&mut self.messages);
            let held = std::mem::take(&mut self.held);
            (self.report)(Incoming::Messages(messages, held)).await;
        }
    }
}

/// What the dispatcher must know of an agent's message. The end is reported when the launcher's
/// process has exited, too.
fn incoming_from_agent(message: FromAgent) -> Option<Incoming> {
    match message {
        FromAgent::Running {
            host,
            job,
            seconds,
            gpus,
        } => Some(Incoming::Running {
            host,
            job,
            ends_in: seconds.map(Duration::from_secs),
            gpus,
        }),
        FromAgent::Heartbeat => Some(Incoming::Alive),
        FromAgent::NotStarted { .. } | FromAgent::Ended { .. } => None,
    }
}
