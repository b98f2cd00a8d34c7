//! A worker process on this machine: its pipes, its log file, its process group. Reports to the dispatcher what
//! the process says and how it ends; decides nothing.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::protocol::{FrameError, FromWorker, MAX_LINE, decode_line};
use crate::schedule::action::Exit;

/// After a worker's process has ended, its output may still be held open by a grandchild: it is read for so long.
const LEAKED_PIPE: Duration = Duration::from_secs(2);

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct SpawnPlan {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables to set, over the coordinator's own.
    pub environment: BTreeMap<String, String>,
    /// The folder that it is started in; None: the coordinator's.
    pub workdir: Option<PathBuf>,
    /// The file that its stderr is appended to.
    pub log: PathBuf,
}

/// A running worker process. Dropping its stdin tells it to end.
#[derive(Debug)]
pub struct LocalWorker {
    /// Its process id, which is its process group's too.
    pub pid: u32,
    /// Messages for it; closing this closes its stdin. None: it takes no messages.
    pub stdin: Option<mpsc::UnboundedSender<String>>,
}

/// What comes from a worker process.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(FromWorker),
    /// Something that is not a message.
    Garbage(FrameError),
    /// A program's metrics are not as they should be.
    Misreport(String),
    /// A program has ended well; what it has to say of its trial.
    Ended(Exit, FromWorker),
    /// The process is gone, and its output is read to the end.
    Exit(Exit),
}

/// Starts a worker. What comes from it goes to `report`; `Incoming::Exit` is the last of it.
///
/// # Errors
/// The operating system's, if the log cannot be opened or the program not be started.
pub fn spawn<R, F>(plan: &SpawnPlan, report: R) -> std::io::Result<LocalWorker>
where
    R: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let log = OpenOptions::new().create(true).append(true).open(&plan.log)?;
    let (program, arguments) = plan.command.split_first().ok_or_else(|| std::io::Error::other("an empty command"))?;
    let mut command = Command::new(program);
    if let Some(workdir) = &plan.workdir {
        command.current_dir(workdir);
    }
    let mut child = command
        .args(arguments)
        .envs(&plan.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // A group of its own: Ctrl-C in the terminal reaches the coordinator only, which then ends workers in order;
        // and whatever the worker starts can be ended with it.
        .process_group(0)
        .spawn()?;
    let pid = child.id().ok_or_else(|| std::io::Error::other("the worker ended at once"))?;
    let (stdin, messages) = mpsc::unbounded_channel();
    let pipes = child.stdin.take().zip(child.stdout.take()).ok_or_else(|| std::io::Error::other("the worker has no pipes"))?;
    tokio::spawn(feed(pipes.0, messages));
    tokio::spawn(attend(child, pipes.1, report));
    Ok(LocalWorker { pid, stdin: Some(stdin) })
}

/// Writes messages to a worker's stdin until there are no more, then closes it.
async fn feed(mut stdin: ChildStdin, mut messages: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = messages.recv().await {
        // A worker that has closed its stdin is about to end, and its exit says why.
        if stdin.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
}

/// Reads a worker's stdout and waits for its end.
async fn attend<R, F>(mut child: Child, stdout: ChildStdout, report: R)
where
    R: Fn(Incoming) -> F + Send + Sync,
    F: Future<Output = ()> + Send,
{
    let status = {
        let read = read_lines(stdout, &report);
        tokio::pin!(read);
        tokio::select! {
            status = child.wait() => {
                // Grandchildren may keep the pipe open for ever; what the worker itself wrote is there at once.
                let _ = tokio::time::timeout(LEAKED_PIPE, &mut read).await;
                status
            }
            () = &mut read => child.wait().await,
        }
    };
    report(Incoming::Exit(exit_of(status))).await;
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

/// Reads messages until the end of the pipe. After a line that is not a message nothing more is believed, but the
/// pipe is still emptied, so that the worker does not block before it is ended.
async fn read_lines<R, F>(stdout: ChildStdout, report: &R)
where
    R: Fn(Incoming) -> F,
    F: Future<Output = ()>,
{
    let mut reader = BufReader::with_capacity(64 << 10, stdout);
    let mut line = Vec::new();
    let mut broken = false;
    while let Ok(chunk) = reader.fill_buf().await {
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(chunk.len(), |end| end + 1);
        if !broken {
            line.extend_from_slice(&chunk[..used]);
        }
        reader.consume(used);
        if broken || (end.is_none() && line.len() <= MAX_LINE) {
            continue;
        }
        if line.trim_ascii().is_empty() {
            line.clear();
            continue;
        }
        match decode_line(&line) {
            Ok(message) => report(Incoming::Message(message)).await,
            Err(error) => {
                broken = true;
                report(Incoming::Garbage(error)).await;
            }
        }
        line.clear();
    }
}
