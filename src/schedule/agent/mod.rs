//! `pentagrid agent`: runs beside a worker or program on another machine. It starts the process,
//! forwards the coordinator's lines to it, ends it when the coordinator asks for that or
//! disappears, and finally reports how it ended. Threads and pipes, no tokio.

mod channel;
mod supervise;
mod termination;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::launch::{explained, seconds_left};
use super::run_mark::MARK;
use crate::machine::{host_name, search_path};
use crate::protocol::{FromAgent, ToAgent};
use supervise::{Ending, Supervisor};

/// Grace period between SIGTERM and SIGKILL for the worker: a little less than the coordinator
/// waits for this agent.
const KILL_GRACE_PERIOD: Duration = Duration::from_secs(4);
/// How often signals and silence are checked for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long to wait for a signal to this agent after the worker died of one: Slurm signals the
/// processes of a job one after the other.
const JOB_SIGNAL_DELAY: Duration = Duration::from_millis(300);

/// Exit code of an agent that could not start its command, as of a shell.
const EXIT_NOT_STARTED: u8 = 127;
/// Exit code of an agent whose command was no longer wanted, as of a shell after SIGTERM.
const EXIT_TERMINATED: u8 = 143;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The worker's or program's command line.
    pub command: Vec<String>,
    /// The folder to start it in.
    pub workdir: Option<PathBuf>,
    /// The mark of its sweep.
    pub run: Option<String>,
    /// The metrics file, where the command is a program that trains one trial.
    pub metrics: Option<PathBuf>,
    /// Whether the coordinator's first line carries values that must not be on the command line.
    pub secrets: bool,
    /// The coordinator is given up after it has been silent for this long.
    pub silence: Duration,
}

/// What the coordinator's first line carries.
#[derive(Default)]
struct Secrets {
    environment: BTreeMap<String, String>,
    words: Vec<(usize, String)>,
}

/// Something that happened.
enum Event {
    /// A line for the agent, or a heartbeat for each line that is for the worker.
    Line(ToAgent),
    /// The coordinator has closed its end of the pipe.
    Closed,
    /// The worker has exited.
    Exited(io::Result<ExitStatus>),
}

impl Agent {
    /// Runs the worker to its end and returns its exit code, as a shell would.
    ///
    /// # Errors
    /// The system's, if the pipes cannot be set up.
    pub fn run(&self) -> io::Result<u8> {
        termination::install_handlers()?;
        let (events, received) = channel();
        let (forward, forwarded) = channel();
        channel::read_coordinator(events.clone(), forward);
        channel::send(&running());

        let secrets = if self.secrets {
            self.wait_for_secrets(&received)
        } else {
            Some(Secrets::default())
        };
        let Some(secrets) = secrets else {
            // Nothing was started: the coordinator is gone, or has asked to end.
            channel::send(&FromAgent::Ended {
                code: None,
                signal: Some(Signal::SIGTERM as i32),
                lost: None,
                metrics: None,
            });
            return Ok(EXIT_TERMINATED);
        };

        let mut child = match self.start(secrets) {
            Ok(child) => child,
            Err(error) => {
                channel::send(&FromAgent::NotStarted {
                    why: self.explain(&error),
                    errno: error.raw_os_error(),
                });
                return Ok(EXIT_NOT_STARTED);
            }
        };

        let pid = child.id();
        channel::forward_to_worker(child.stdin.take(), forwarded);
        std::thread::spawn(move || drop(events.send(Event::Exited(child.wait()))));
        let supervisor = Supervisor::new(pid, self.silence, self.metrics.is_some());
        let (status, ending) = supervisor.run(&received);
        Ok(self.conclude(pid, &status, ending))
    }

    /// Waits for the line with the secrets. Returns `None` if it will not come, or if the worker is
    /// no longer wanted.
    fn wait_for_secrets(&self, events: &Receiver<Event>) -> Option<Secrets> {
        let mut last_heard = Instant::now();
        while last_heard.elapsed() < self.silence && termination::received().is_none() {
            match events.recv_timeout(POLL_INTERVAL) {
                Ok(Event::Line(ToAgent::Secrets { environment, words })) => {
                    return Some(Secrets { environment, words });
                }
                Ok(Event::Line(ToAgent::Terminate) | Event::Closed)
                | Err(RecvTimeoutError::Disconnected) => return None,
                Ok(_) => last_heard = Instant::now(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        None
    }

    fn start(&self, secrets: Secrets) -> io::Result<Child> {
        let mut words = self.command.clone();
        for (place, word) in secrets.words {
            *words
                .get_mut(place)
                .ok_or_else(|| io::Error::other("a secret word that has no place"))? = word;
        }
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| io::Error::other("an empty command"))?;

        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(secrets.environment)
            .process_group(0);
        if let Some(workdir) = &self.workdir {
            command.current_dir(workdir);
        }
        if let Some(run) = &self.run {
            command.env(MARK, run);
        }

        if self.metrics.is_some() {
            // A program's stdout and stderr both go to its log, which is this agent's stderr.
            let log: OwnedFd = io::stderr().as_fd().try_clone_to_owned()?;
            command.stdin(Stdio::null()).stdout(log);
        } else {
            // A worker writes to the coordinator directly; this agent is silent while it lives.
            command.stdin(Stdio::piped());
        }
        command.spawn()
    }

    /// Explains why the command could not be started.
    fn explain(&self, error: &io::Error) -> String {
        let program = self.command.first().map_or("", String::as_str);
        let here = self
            .workdir
            .as_ref()
            .map_or(String::new(), |dir| format!(" in {}", dir.display()));
        let workdir = self
            .workdir
            .clone()
            .or_else(|| std::env::current_dir().ok())
            .unwrap_or_default();
        let error = explained(error, program, &workdir, &search_path());
        format!("cannot start {program:?}{here} on {}: {error}", host())
    }

    /// Ends what the worker has left running, and reports how the worker ended.
    fn conclude(
        &self,
        pid: u32,
        status: &io::Result<ExitStatus>,
        mut ending: Option<Ending>,
    ) -> u8 {
        let code = match status {
            Ok(status) => status.code(),
            Err(_) => Some(-1),
        };
        let signal = status.as_ref().ok().and_then(ExitStatus::signal);
        if ending.is_none() && signal.is_some() {
            std::thread::sleep(JOB_SIGNAL_DELAY);
            ending = termination::received()
                .map(|signal| Ending::Lost(termination::describe_signal(signal)));
        }

        if ending.is_some() {
            // The leader may exit before its children have shut down in order.
            let began = Instant::now();
            while began.elapsed() < KILL_GRACE_PERIOD && termination::group_exists(pid) {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        termination::signal_group(pid, Signal::SIGKILL);

        let lost = match ending {
            Some(Ending::Lost(why)) => Some(why),
            Some(Ending::Requested) | None => None,
        };
        let metrics = self
            .metrics
            .as_ref()
            .map(|path| path.metadata().map_or(0, |metadata| metadata.len()));
        channel::send(&FromAgent::Ended {
            code,
            signal,
            lost,
            metrics,
        });
        let shell_code = signal.map_or(code.unwrap_or(1), |signal| 128 + signal);
        u8::try_from(shell_code).unwrap_or(1)
    }
}

fn host() -> String {
    host_name().unwrap_or_else(|| "an unknown host".to_owned())
}

/// The message that tells the coordinator where this agent runs.
fn running() -> FromAgent {
    let job = variable("SLURM_JOB_ID");
    let seconds = job
        .as_deref()
        .and_then(|job| seconds_left(job, variable("SLURM_JOB_END_TIME").as_deref()));
    let step = variable("SLURM_STEP_ID");
    let job = job.map(|job| step.map_or(job.clone(), |step| format!("{job}.{step}")));
    FromAgent::Running {
        host: host(),
        job,
        seconds,
        gpus: variable("CUDA_VISIBLE_DEVICES"),
    }
}

/// The value of an environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
