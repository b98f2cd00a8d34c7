//! A program that trains one trial: its folder, its process, the metrics that it writes. Translates
//! what it does into the messages that a worker would send, and reports them to the dispatcher;
//! decides nothing.

mod collect_error;
mod collector;
mod follower;
mod names;
mod outcome;
mod run;
mod source;
mod watch;

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use super::command_line::{CommandLine, start};
use super::incoming::Incoming;
use super::local::{LocalWorker, feed};
use crate::files;
use crate::schedule::budget::Budget;
use crate::schedule::refusal::Refusal;
use collector::Collector;
use outcome::Output;
use run::ProgramRun;
pub use source::Source;
pub(super) use source::TrialSource;
use watch::Watch;

/// The variable that names the file that an attempt writes its metrics to.
pub(crate) const METRICS_VARIABLE: &str = "PENTAGRID_METRICS";

/// How often the metrics file is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long a file may take to arrive from another machine.
const SHARED_FILE_TIMEOUT: Duration = Duration::from_secs(60);

/// How to start a trial's program.
#[derive(Debug)]
pub struct ProgramPlan {
    /// The trial's id.
    pub trial: String,
    /// The program's command line; `Launcher::wrap` turns it into the one that is really started.
    pub line: CommandLine,
    /// Whether an agent runs beside the program.
    pub agent: bool,
    /// Whether its folder has just been created, so that nothing of an earlier attempt is in it.
    pub fresh: bool,
    /// The trial's folder.
    pub folder: PathBuf,
    /// The file in it that its stdout and stderr are appended to.
    pub log: String,
    /// The file that it writes its metrics to, which does not exist when it starts.
    pub metrics: PathBuf,
    /// The metric that the sweep selects by; empty: none is needed.
    pub metric: String,
    /// Where its metrics are read from beside that file.
    pub sources: Vec<TrialSource>,
}

impl ProgramPlan {
    /// Gives the attempt files of its own, and opens its log. The program of an earlier attempt may
    /// still run, on another machine or as a child that left its group, and what it writes must not
    /// be taken for this attempt's.
    ///
    /// # Errors
    /// The operating system's, also if the folder has been removed.
    pub fn begin(&mut self, attempt: &str) -> std::io::Result<File> {
        self.rename_metrics(attempt);
        let first = self.folder.join(&self.log);
        if self.fresh {
            return files::create(&first);
        }
        if std::fs::symlink_metadata(&self.metrics).is_ok() {
            return Err(std::io::Error::other(format!(
                "{} is there already",
                self.metrics.display()
            )));
        }

        match std::fs::symlink_metadata(&first) {
            // A log that holds nothing is replaced: it may be open in an earlier attempt's program.
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 => {
                std::fs::remove_file(&first)?;
                files::create(&first)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => files::create(&first),
            _ => {
                self.log = format!("output-{attempt}.log");
                files::create(&self.folder.join(&self.log))
            }
        }
    }

    /// Gives the attempt a metrics file of its own, unless the sweep file names another one.
    fn rename_metrics(&mut self, attempt: &str) {
        let own = self.folder.join(format!("metrics-{attempt}.jsonl"));
        let default = std::mem::replace(&mut self.metrics, own);
        if let Some(named) = self.line.environment.get_mut(METRICS_VARIABLE)
            && *named == default.display().to_string()
        {
            *named = self.metrics.display().to_string();
        }
    }
}

/// Starts a program whose log has been opened. What it reports goes to `report`: epochs as they
/// come, and `Incoming::Ended` or `Incoming::Exit` last.
///
/// # Errors
/// The operating system's, if the folder cannot be written or the program not be started.
pub(crate) fn spawn_program<R, F>(
    mut plan: ProgramPlan,
    log: File,
    budget: Budget,
    report: R,
) -> Result<LocalWorker, Refusal>
where
    R: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let log = Arc::new(log);
    let begin = if plan.fresh { 0 } else { log.metadata()?.len() };
    if plan.agent {
        // On a shared file system a file that another machine creates may appear late here, while
        // one that exists is seen to grow at once.
        files::create(&plan.metrics)?;
    }

    let sources = std::mem::take(&mut plan.sources);
    let collector = Collector::new(&plan.trial, &plan.metric, sources, Arc::clone(&log), begin);
    let watch = Watch::new(collector, budget.clone());
    let mut command = plan.line.process()?;
    if plan.agent {
        // The agent reads the coordinator's messages from its stdin and answers on its stdout; the
        // program's output comes on its stderr.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    } else {
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
    }
    command.stderr(log.try_clone()?);
    let mut child = start(command).map_err(Refusal::of_the_process)?;
    let pid = child
        .id()
        .ok_or_else(|| std::io::Error::other("it ended at once"))?;

    let stdin = child.stdin.take().map(|stdin| feed(stdin, &plan.line));
    let output = Output {
        log: Arc::clone(&log),
        begin,
    };
    let run = ProgramRun::new(plan, child, pid, output, watch, budget);
    tokio::spawn(run.supervise(report));
    Ok(LocalWorker {
        pid,
        stdin,
        log,
        begin,
    })
}
