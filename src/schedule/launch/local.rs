//! A worker's process, or that of the launcher that it is behind: its pipes, its log file, its
//! process group. Reports to the dispatcher what the process says and how it ends; decides nothing.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Notify, mpsc};

use super::launcher::{CommandLine, start};
use super::proof::Proof;
use crate::files;
use crate::protocol::{AGENT_LINE, FrameError, FromWorker, MAX_LINE, decode_line};
use crate::schedule::action::Exit;
use crate::schedule::budget::{Budget, Held};
use crate::schedule::shortage::Refusal;

/// After a worker's process has ended, its output may still be held open by a grandchild: how long
/// it is waited for, ...
const LEAKED_PIPE: Duration = Duration::from_secs(2);
/// ... and how much is read. What the worker itself wrote is in the pipe.
const LEAKED_BYTES: usize = 4 << 20;

/// As much of a worker's output is read at a time.
const CHUNK: usize = 64 << 10;

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct SpawnPlan {
    /// What is really started.
    pub line: CommandLine,
    /// The file that its stderr is appended to.
    pub log: PathBuf,
    /// Whether an agent stands beside the worker, whose lines are not the worker's.
    pub agent: bool,
}

/// A running worker process. Dropping its stdin tells it to end.
#[derive(Debug)]
pub struct LocalWorker {
    /// Its process id, which is its process group's too.
    pub pid: u32,
    /// Messages for it; closing this closes its stdin. None: it takes no messages.
    pub stdin: Option<mpsc::UnboundedSender<String>>,
    /// The log that it appends to: its size is asked for at the end of each trial.
    pub log: Arc<File>,
    /// How long that was before.
    pub begin: u64,
}

/// What comes from a worker process.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(FromWorker),
    /// Messages that were read together, and the room that they take until what they lead to is on
    /// the disk.
    Messages(Vec<FromWorker>, Held),
    /// What was to be waited for is over: the worker is being started.
    Running {
        /// Where.
        host: String,
        /// Its job or step, by Slurm's numbers.
        job: Option<String>,
        /// After so long Slurm will end it.
        ends_in: Option<Duration>,
        /// What it was given as GPUs.
        gpus: Option<String>,
    },
    /// The agent beside a program lives.
    Alive,
    /// Something that is not a message.
    Garbage(FrameError),
    /// A program's metrics are not as they should be.
    Misreport(String),
    /// A program has ended well; what it has to say of its trial.
    Ended(Exit, FromWorker),
    /// A program has ended, and what it reported cannot be read for a shortage of this machine.
    Unread(String),
    /// The process is gone, and its output is read to the end. With what the agent beside it said,
    /// if there was one.
    Exit(Exit, Option<Proof>),
}

/// Starts a worker. What comes from it goes to `report`; `Incoming::Exit` is the last of it.
///
/// # Errors
/// The operating system's, if the log cannot be opened or the program not be started.
pub fn spawn<R, F>(plan: &SpawnPlan, budget: Budget, report: R) -> Result<LocalWorker, Refusal>
where
    R: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let log = files::open_to_append(&plan.log).map_err(|error| match error.raw_os_error() {
        Some(_) => error,
        None => std::io::Error::other(format!(
            "cannot open its log, {}: {error}",
            plan.log.display()
        )),
    })?;
    let begin = log.metadata()?.len();
    let mut command = plan.line.process()?;
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?);
    let mut child = start(command).map_err(Refusal::of_the_process)?;
    let pid = child
        .id()
        .ok_or_else(|| std::io::Error::other("the worker ended at once"))?;
    let (stdin, messages) = mpsc::unbounded_channel();
    if !plan.line.first_lines.0.is_empty() {
        // The receiver is still here.
        let _ = stdin.send(plan.line.first_lines.0.clone());
    }
    let pipes = child
        .stdin
        .take()
        .zip(child.stdout.take())
        .ok_or_else(|| std::io::Error::other("the worker has no pipes"))?;
    tokio::spawn(feed(pipes.0, messages));
    tokio::spawn(attend(child, pipes.1, plan.agent, budget, report));
    Ok(LocalWorker {
        pid,
        stdin: Some(stdin),
        log: Arc::new(log),
        begin,
    })
}

/// Writes messages to a worker's stdin until there are no more, then closes it.
pub(super) async fn feed(mut stdin: ChildStdin, mut messages: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = messages.recv().await {
        // A worker that has closed its stdin is about to end, and its exit says why.
        if stdin.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
}

/// Reads a worker's stdout and waits for its end.
async fn attend<R, F>(mut child: Child, stdout: ChildStdout, agent: bool, budget: Budget, report: R)
where
    R: Fn(Incoming) -> F + Send + Sync,
    F: Future<Output = ()> + Send,
{
    let mut proof = agent.then(Proof::default);
    let status = {
        let gone = Notify::new();
        let read = read_lines(stdout, &mut proof, &budget, &gone, &report);
        tokio::pin!(read);
        tokio::select! {
            status = child.wait() => {
                gone.notify_one();
                read.await;
                status
            }
            () = &mut read => child.wait().await,
        }
    };
    report(Incoming::Exit(exit_of(status), proof)).await;
}

pub(super) fn exit_of(status: std::io::Result<ExitStatus>) -> Exit {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(-1),
        },
        Err(_) => Exit::Code(-1),
    }
}

/// Reads messages until the end of the pipe, and reports together those that come together. After a
/// line that is not a message nothing more is believed, but the pipe is still emptied, so that the
/// worker does not block before it is ended. Where `proof` is there, lines of an agent come among
/// them. While the budget has no room nothing is read, and the worker waits for its pipe.
///
/// Grandchildren may keep the pipe open for ever: once the process is `gone`, it is read for a
/// while only.
pub(super) async fn read_lines<R, F>(
    mut stdout: ChildStdout,
    proof: &mut Option<Proof>,
    budget: &Budget,
    gone: &Notify,
    report: &R,
) where
    R: Fn(Incoming) -> F,
    F: Future<Output = ()>,
{
    let mut chunk = vec![0; CHUNK];
    // A line whose end has not come yet.
    let mut line = Vec::new();
    let mut broken = false;
    let mut leaked: Option<(Duration, usize)> = None;
    loop {
        let read = match &mut leaked {
            None => tokio::select! {
                read = stdout.read(&mut chunk) => read,
                () = gone.notified() => {
                    leaked = Some((LEAKED_PIPE, LEAKED_BYTES));
                    continue;
                }
            },
            Some((time, bytes)) => {
                // Only waiting for the pipe counts, not waiting for room.
                let began = Instant::now();
                let Ok(read) = tokio::time::timeout(*time, stdout.read(&mut chunk)).await else {
                    break;
                };
                *time = time.saturating_sub(began.elapsed());
                if *bytes == 0 {
                    break;
                }
                *bytes = bytes.saturating_sub(*read.as_ref().unwrap_or(&0));
                read
            }
        };
        let Ok(length @ 1..) = read else { break };
        let mut rest = &chunk[..length];
        let mut messages = Vec::new();
        let mut held = Held::default();
        let mut last = None;
        while !rest.is_empty() && (!broken || proof.is_some()) {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(rest.len(), |end| end + 1);
            let (part, later) = rest.split_at(used);
            rest = later;
            let whole: &[u8] = match (end, line.is_empty()) {
                // Most lines come whole, and are read where they lie.
                (Some(_), true) => part,
                _ => {
                    if line.len() <= MAX_LINE {
                        line.extend_from_slice(part);
                    }
                    if end.is_none() && (broken || line.len() <= MAX_LINE) {
                        break;
                    }
                    &line
                }
            };
            if let Some(proof) = proof.as_mut().filter(|_| whole.starts_with(AGENT_LINE)) {
                // What an agent says is believed whatever the worker has said; a line of a later
                // agent's says nothing to us.
                let news = decode_line(whole)
                    .ok()
                    .and_then(|message| proof.hear(message));
                if let Some(news) = news {
                    if !messages.is_empty() {
                        report(Incoming::Messages(
                            std::mem::take(&mut messages),
                            std::mem::take(&mut held),
                        ))
                        .await;
                    }
                    report(news).await;
                }
            } else if !broken && !whole.trim_ascii().is_empty() {
                let more = match budget.try_take(whole.len()) {
                    Some(more) => more,
                    None => {
                        // What has been read is passed on before: its room is given back only then.
                        if !messages.is_empty() {
                            report(Incoming::Messages(
                                std::mem::take(&mut messages),
                                std::mem::take(&mut held),
                            ))
                            .await;
                        }
                        budget.take(whole.len()).await
                    }
                };
                held.merge(more);
                match decode_line(whole) {
                    Ok(message) => messages.push(message),
                    Err(error) => (broken, last) = (true, Some(error)),
                }
            }
            line.clear();
        }
        if !messages.is_empty() {
            report(Incoming::Messages(messages, held)).await;
        }
        if let Some(error) = last {
            report(Incoming::Garbage(error)).await;
        }
    }
}
