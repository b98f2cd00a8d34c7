//! A program that trains one trial: its folder, its process, the metrics that it writes. Makes of what it does the messages that
//! a worker would send, and reports them to the dispatcher; decides nothing.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::local::exit_of;
use super::metrics_file::{MetricsFile, last_json_line};
use super::{Incoming, LocalWorker};
use crate::protocol::{FailureKind, FromWorker, Metrics};
use crate::schedule::action::Exit;
use crate::schedule::log_end;

/// How often the metrics file is looked at.
const PACE: Duration = Duration::from_millis(100);
/// As much of the metrics file is read at a time.
const CHUNK: u64 = 1 << 20;
/// As much of the output's end is searched for a last line of JSON.
const OUTPUT_END: u64 = 64 << 10;

/// How to start a trial's program.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// The trial's id.
    pub trial: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables to set, over the coordinator's own.
    pub environment: Vec<(String, String)>,
    /// The folder that it is started in.
    pub workdir: PathBuf,
    /// The file that its stdout and stderr are appended to.
    pub log: PathBuf,
    /// The file that it writes its metrics to; made anew.
    pub metrics: PathBuf,
    /// The metric that the sweep selects by.
    pub metric: String,
}

/// Starts a program. What it reports goes to `report`: epochs as they come, and at last `Incoming::Ended` or
/// `Incoming::Exit`.
///
/// # Errors
/// The operating system's, if the folder cannot be written or the program not be started.
pub fn spawn_program<R, F>(plan: &ProgramPlan, report: R) -> std::io::Result<LocalWorker>
where
    R: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (program, arguments) = plan.command.split_first().ok_or_else(|| std::io::Error::other("an empty command"))?;
    let log = OpenOptions::new().create(true).append(true).open(&plan.log)?;
    let begin = log.metadata()?.len();
    // What an earlier attempt wrote is not this one's; and it may have left a pipe there, which nobody reads.
    match std::fs::remove_file(&plan.metrics) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::write(&plan.metrics, "")?,
    }
    let mut child = Command::new(program)
        .args(arguments)
        .envs(plan.environment.iter().cloned())
        .current_dir(&plan.workdir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // As for workers: Ctrl-C reaches the coordinator only, and whatever the program starts can be ended with it.
        .process_group(0)
        .spawn()?;
    let pid = child.id().ok_or_else(|| std::io::Error::other("the program ended at once"))?;
    let plan = plan.clone();
    tokio::spawn(async move {
        let mut follower = Follower { path: plan.metrics.clone(), read: 0, file: MetricsFile::default() };
        let mut broken = false;
        let exit = loop {
            tokio::select! {
                status = child.wait() => break exit_of(status),
                () = tokio::time::sleep(PACE), if !broken => {
                    broken = !follower.follow(&plan.trial, &report).await;
                }
            }
        };
        let last = if broken { None } else { Some(follower.finish(&plan.trial, &report).await) };
        match (exit, last) {
            (Exit::Code(0), Some(true)) => {
                let metrics = follower.file.last().cloned();
                let (message, exit) = (conclusion(&plan, metrics, begin), exit);
                report(Incoming::Ended(exit, message)).await;
            }
            (exit, _) => report(Incoming::Exit(exit)).await,
        }
    });
    Ok(LocalWorker { pid, stdin: None })
}

/// What a program that ended well has to say of its trial.
fn conclusion(plan: &ProgramPlan, metrics: Option<Metrics>, begin: u64) -> FromWorker {
    let trial = plan.trial.clone();
    let printed = || last_json_line(&log_end(&plan.log, begin, None, OUTPUT_END).unwrap_or_default());
    let metrics = metrics.or_else(printed).unwrap_or_default();
    if metrics.get(&plan.metric).is_some() {
        return FromWorker::Done { trial, metrics };
    }
    let reported = match metrics.0.is_empty() {
        true => "it reported no metrics".to_owned(),
        false => format!("it reported {}", metrics.0.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    let message = format!(
        "the program ended well, but without the metric {:?}: {reported} (write {{\"{}\": VALUE}} as a line to the file named by \
         PENTAGRID_METRICS, or print it as the last line)",
        plan.metric, plan.metric
    );
    FromWorker::Failed { trial, kind: FailureKind::MissingMetric, message }
}

/// Reads a metrics file as it grows.
struct Follower {
    path: PathBuf,
    read: u64,
    file: MetricsFile,
}

impl Follower {
    /// Reports what has been added; false, and reports it, if that is not as it should be.
    async fn follow<R, F>(&mut self, trial: &str, report: &R) -> bool
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        // As far as it goes at this moment: a program that writes faster than we read must not keep us from its end.
        let size = match size(&self.path, self.read) {
            Ok(size) => size,
            Err(what) => {
                report(Incoming::Misreport(what)).await;
                return false;
            }
        };
        while self.read < size {
            let rows = match added(&self.path, self.read) {
                Ok(bytes) if bytes.is_empty() => return true,
                Ok(bytes) => {
                    self.read += bytes.len() as u64;
                    self.file.feed(&bytes)
                }
                Err(error) => Err(format!("cannot read the metrics file: {error}")),
            };
            if !tell(trial, rows, report).await {
                return false;
            }
        }
        true
    }

    async fn finish<R, F>(&mut self, trial: &str, report: &R) -> bool
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        self.follow(trial, report).await && {
            let rows = self.file.finish();
            tell(trial, rows, report).await
        }
    }
}

async fn tell<R, F>(trial: &str, rows: Result<std::collections::BTreeMap<u32, Metrics>, String>, report: &R) -> bool
where
    R: Fn(Incoming) -> F,
    F: Future<Output = ()>,
{
    match rows {
        Ok(rows) => {
            for (epoch, values) in rows {
                report(Incoming::Message(FromWorker::Epoch { trial: trial.to_owned(), epoch, values })).await;
            }
            true
        }
        Err(what) => {
            report(Incoming::Misreport(what)).await;
            false
        }
    }
}

/// How long the metrics file is. One that is not there any more has nothing new.
fn size(path: &Path, read: u64) -> Result<u64, String> {
    match std::fs::metadata(path) {
        // To open a pipe would be to wait for its other end.
        Ok(metadata) if !metadata.is_file() => Err("the metrics file is not a plain file any more".to_owned()),
        Ok(metadata) if metadata.len() < read => {
            Err(format!("the metrics file got shorter ({read} bytes, then {}): open it to append", metadata.len()))
        }
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(read),
        Err(error) => Err(format!("cannot read the metrics file: {error}")),
    }
}

/// What stands in a file from that place on, at most a chunk of it.
fn added(path: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(CHUNK).read_to_end(&mut bytes)?;
    Ok(bytes)
}
