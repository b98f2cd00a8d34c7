//! A worker's process, or that of the launcher in front of it: its pipes, its log file, its process
//! group. Reports to the dispatcher what the process says and how it ends; decides nothing.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Notify, mpsc};

use super::command_line::{CommandLine, start};
use super::exit_evidence::ExitEvidence;
use super::incoming::Incoming;
use super::lines::read_lines;
use crate::files;
use crate::schedule::action::Exit;
use crate::schedule::budget::Budget;
use crate::schedule::refusal::Refusal;

/// How to start a worker.
#[derive(Clone, Debug)]
pub(crate) struct SpawnPlan {
    /// What is really started.
    pub line: CommandLine,
    /// The file that its stderr is appended to.
    pub log: PathBuf,
    /// Whether an agent runs beside the worker, whose lines come among the worker's.
    pub agent: bool,
}

/// A running worker process. Dropping its stdin tells it to end.
#[derive(Debug)]
pub(crate) struct LocalWorker {
    /// Its process id, which is its process group's too.
    pub pid: u32,
    /// Messages for it; dropping this closes its stdin. None: it takes no messages.
    pub stdin: Option<mpsc::UnboundedSender<String>>,
    /// The log that it appends to.
    pub log: Arc<File>,
    /// The length of the log before it was started.
    pub begin: u64,
}

/// Starts a worker. What comes from it goes to `report`; `Incoming::Exit` comes last.
///
/// # Errors
/// The operating system's, if the log cannot be opened or the program not be started.
pub(crate) fn spawn<R, F>(
    plan: &SpawnPlan,
    budget: Budget,
    report: R,
) -> Result<LocalWorker, Refusal>
where
    R: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let log = open_log(&plan.log)?;
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

    let pipes = child.stdin.take().zip(child.stdout.take());
    let (stdin, stdout) = pipes.ok_or_else(|| std::io::Error::other("the worker has no pipes"))?;
    let messages = feed(stdin, &plan.line);
    tokio::spawn(supervise(child, stdout, plan.agent, budget, report));
    Ok(LocalWorker {
        pid,
        stdin: Some(messages),
        log: Arc::new(log),
        begin,
    })
}

/// Opens a worker's log. If its folder was removed while the sweep ran, it is created again.
fn open_log(path: &Path) -> std::io::Result<File> {
    let mut opened = files::open_to_append(path);
    if matches!(&opened, Err(error) if error.kind() == ErrorKind::NotFound)
        && let Some(folder) = path.parent()
        && std::fs::create_dir(folder).is_ok()
    {
        opened = files::open_to_append(path);
    }

    // A shortage is recognized by the number of the error, which a text does not have.
    opened.map_err(|error| match (error.kind(), error.raw_os_error()) {
        (ErrorKind::NotFound, _) | (_, None) => std::io::Error::new(
            error.kind(),
            format!("cannot open its log, {}: {error}", path.display()),
        ),
        _ => error,
    })
}

/// Writes messages to a process's stdin, the first lines of the command line before all others,
/// until the returned sender is dropped.
pub(super) fn feed(mut stdin: ChildStdin, line: &CommandLine) -> mpsc::UnboundedSender<String> {
    let (sender, mut messages) = mpsc::unbounded_channel::<String>();
    if !line.first_lines.0.is_empty() {
        // The receiver exists until the task below ends.
        let _ = sender.send(line.first_lines.0.clone());
    }
    tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            // A process that has closed its stdin is about to exit, and its exit says why.
            if stdin.write_all(message.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    sender
}

/// Reads a worker's stdout and waits for its exit.
async fn supervise<R, F>(
    mut child: Child,
    stdout: ChildStdout,
    has_agent: bool,
    budget: Budget,
    report: R,
) where
    R: Fn(Incoming) -> F + Send + Sync,
    F: Future<Output = ()> + Send,
{
    let mut evidence = has_agent.then(ExitEvidence::default);
    let status = {
        let gone = Notify::new();
        let read = read_lines(stdout, &mut evidence, &budget, &gone, &report);
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
    report(Incoming::Exit(exit_of(status), evidence)).await;
}

pub(super) fn exit_of(status: std::io::Result<ExitStatus>) -> Exit {
    let Ok(status) = status else {
        return Exit::Code(-1);
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}
