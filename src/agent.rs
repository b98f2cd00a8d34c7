//! `pentagrid agent`: stands between the coordinator and a worker or program on another machine.
//! Starts it, passes the coordinator's lines on, ends it when the coordinator is gone or asks for
//! it, and says at last how it ended. Threads and pipes, no tokio.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::unistd::Pid;

use crate::machine::{host_name, search_path};
use crate::protocol::{AGENT_LINE, FromAgent, MAX_LINE, ToAgent, decode_line, encode_line};
use crate::schedule::{MARK, explained, is_ignored};

/// How long what was asked to end may take before it is killed: a little less than the coordinator
/// waits for it.
const GRACE: Duration = Duration::from_secs(4);
/// How often signals and silence are looked for.
const PACE: Duration = Duration::from_millis(100);
/// How often a program's agent shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A signal to the whole job reaches the worker and this agent one after the other.
const TOGETHER: Duration = Duration::from_millis(300);
/// Slurm may take so long to say when the job ends.
const ANSWER: Duration = Duration::from_secs(5);

/// The signal by which somebody else wants this process to end.
static TOLD: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: i32) {
    TOLD.store(signal, Ordering::Relaxed);
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The worker's or program's command line.
    pub command: Vec<String>,
    /// The folder to start it in.
    pub workdir: Option<PathBuf>,
    /// The mark of its sweep.
    pub run: Option<String>,
    /// Where it is a program that trains one trial, its metrics file.
    pub metrics: Option<PathBuf>,
    /// Whether the coordinator's first line has what must not stand on the command line.
    pub secrets: bool,
    /// After so long without a word of the coordinator it is given up.
    pub silence: Duration,
}

/// What comes by the coordinator's first line.
#[derive(Default)]
struct Secrets {
    environment: BTreeMap<String, String>,
    words: Vec<(usize, String)>,
}

/// Something that happened.
enum Event {
    Line(ToAgent),
    /// The coordinator's end of the pipe is closed.
    Closed,
    Exited(io::Result<ExitStatus>),
}

/// Why the worker is being ended.
enum Ending {
    /// The coordinator asked for it, or closed the pipe.
    Asked,
    /// Nobody there did.
    Lost(String),
}

impl Agent {
    /// Runs the worker to its end; the exit code is the worker's, as a shell gives it.
    ///
    /// # Errors
    /// The system's, if the pipes cannot be set up.
    pub fn run(&self) -> io::Result<u8> {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            // What this agent was started to ignore stays so, also for what it starts.
            if is_ignored(signal) {
                continue;
            }
            let action = SigAction::new(
                SigHandler::Handler(note),
                SaFlags::SA_RESTART,
                SigSet::empty(),
            );
            // SAFETY: the handler only stores a number.
            unsafe { sigaction(signal, &action) }?;
        }
        let (events, happened) = channel();
        let (pass, passed) = channel();
        hear(events.clone(), pass);
        say(&running());
        let secrets = match self.secrets {
            true => self.wait_for_secrets(&happened),
            false => Some(Secrets::default()),
        };
        let Some(secrets) = secrets else {
            // Nothing was started: the coordinator is gone, or wants that no more.
            say(&FromAgent::Ended {
                code: None,
                signal: Some(Signal::SIGTERM as i32),
                lost: None,
                metrics: None,
            });
            return Ok(143);
        };
        let mut child = match self.start(secrets) {
            Ok(child) => child,
            Err(error) => {
                say(&FromAgent::NotStarted {
                    why: self.why_not(&error),
                    errno: error.raw_os_error(),
                });
                return Ok(127);
            }
        };
        let pid = child.id();
        pass_on(child.stdin.take(), passed);
        std::thread::spawn(move || drop(events.send(Event::Exited(child.wait()))));
        let (status, ending) = self.attend(pid, &happened);
        Ok(self.conclude(pid, status, ending))
    }

    /// Waits for the line with the secrets. None: none will come, or the worker is not wanted any
    /// more.
    fn wait_for_secrets(&self, happened: &Receiver<Event>) -> Option<Secrets> {
        let mut heard = Instant::now();
        while heard.elapsed() < self.silence && TOLD.load(Ordering::Relaxed) == 0 {
            match happened.recv_timeout(PACE) {
                Ok(Event::Line(ToAgent::Secrets { environment, words })) => {
                    return Some(Secrets { environment, words });
                }
                Ok(Event::Line(ToAgent::Terminate) | Event::Closed)
                | Err(RecvTimeoutError::Disconnected) => return None,
                Ok(_) => heard = Instant::now(),
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
            // Both ways out of a program go to its log, which is our stderr's other end.
            let log: OwnedFd = io::stderr().as_fd().try_clone_to_owned()?;
            command.stdin(Stdio::null()).stdout(log);
        } else {
            // Its messages go straight to the coordinator; this agent is silent while it lives.
            command.stdin(Stdio::piped());
        }
        command.spawn()
    }

    fn why_not(&self, error: &io::Error) -> String {
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

    /// Waits for the worker's end, and brings it about where that is asked for.
    fn attend(
        &self,
        pid: u32,
        happened: &Receiver<Event>,
    ) -> (io::Result<ExitStatus>, Option<Ending>) {
        let mut heard = Instant::now();
        let mut shown = Instant::now();
        let mut suspended = false;
        let mut ending: Option<Ending> = None;
        // When the next step of ending it is due, and which signal that is.
        let mut next: Option<(Instant, Signal)> = None;
        loop {
            match happened.recv_timeout(PACE) {
                Ok(Event::Exited(status)) => return (status, ending),
                Ok(Event::Line(line)) => {
                    heard = Instant::now();
                    match line {
                        ToAgent::Heartbeat | ToAgent::Secrets { .. } => {}
                        ToAgent::Terminate => {
                            ending.get_or_insert(Ending::Asked);
                            next = Some((heard, Signal::SIGTERM));
                        }
                        ToAgent::Suspend => (suspended, _) = (true, signal(pid, Signal::SIGSTOP)),
                        ToAgent::Continue => (suspended, _) = (false, signal(pid, Signal::SIGCONT)),
                    }
                }
                Ok(Event::Closed) => {
                    ending.get_or_insert(Ending::Asked);
                    // A worker sees the end of its own stdin, and has its grace; a program has none
                    // to see.
                    let patience = if self.metrics.is_some() {
                        Duration::ZERO
                    } else {
                        GRACE
                    };
                    next.get_or_insert((Instant::now() + patience, Signal::SIGTERM));
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Both senders are threads of ours; without them there is nothing to wait for but
                // the end.
                Err(RecvTimeoutError::Disconnected) => {
                    return (
                        Err(io::Error::other("the worker cannot be waited for")),
                        ending,
                    );
                }
            }
            let told = TOLD.load(Ordering::Relaxed);
            let silent = heard.elapsed() > self.silence && !suspended;
            if ending.is_none() && (told != 0 || silent) {
                ending = Some(Ending::Lost(match told {
                    0 => format!(
                        "nothing was heard of the coordinator for {} s",
                        self.silence.as_secs()
                    ),
                    _ => by_signal(told),
                }));
                next = Some((Instant::now(), Signal::SIGTERM));
            }
            if let Some((_, which)) = next.filter(|(at, _)| *at <= Instant::now()) {
                signal(pid, Signal::SIGCONT);
                signal(pid, which);
                next = Some((Instant::now() + GRACE, Signal::SIGKILL));
            }
            if self.metrics.is_some() && shown.elapsed() > HEARTBEAT {
                shown = Instant::now();
                say(&FromAgent::Heartbeat);
            }
        }
    }

    /// Ends what the worker has left, and says how it ended.
    fn conclude(&self, pid: u32, status: io::Result<ExitStatus>, mut ending: Option<Ending>) -> u8 {
        let (code, by) = match &status {
            Ok(status) => (status.code(), status.signal()),
            Err(_) => (Some(-1), None),
        };
        if ending.is_none() && by.is_some() {
            std::thread::sleep(TOGETHER);
            let told = TOLD.load(Ordering::Relaxed);
            ending = (told != 0).then(|| Ending::Lost(by_signal(told)));
        }
        if ending.is_some() {
            // Told to end, the leader may be gone before those that it started have put their
            // things in order.
            let begun = Instant::now();
            while begun.elapsed() < GRACE && signal_is_possible(pid) {
                std::thread::sleep(PACE);
            }
        }
        signal(pid, Signal::SIGKILL);
        let lost = match ending {
            Some(Ending::Lost(why)) => Some(why),
            _ => None,
        };
        let metrics = self
            .metrics
            .as_ref()
            .map(|path| path.metadata().map_or(0, |metadata| metadata.len()));
        say(&FromAgent::Ended {
            code,
            signal: by,
            lost,
            metrics,
        });
        let shells = by.map_or(code.unwrap_or(1), |signal| 128 + signal);
        u8::try_from(shells).unwrap_or(1)
    }
}

/// Writes the coordinator's lines to the worker.
fn pass_on(stdin: Option<ChildStdin>, passed: Receiver<Vec<u8>>) {
    // A worker that does not read must not keep us from hearing the coordinator.
    std::thread::spawn(move || {
        let Some(mut stdin) = stdin else { return };
        for line in passed {
            // A worker that has closed its stdin is about to end.
            if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
}

/// Reads what comes from the coordinator: its own lines become events, all others are passed on to
/// the worker.
fn hear(events: Sender<Event>, pass: Sender<Vec<u8>>) {
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
                // A later coordinator may have more to say.
                if let Ok(message) = decode_line(&line) {
                    drop(events.send(Event::Line(message)));
                }
            } else {
                // Whatever it is, it shows that the coordinator lives.
                drop(events.send(Event::Line(ToAgent::Heartbeat)));
                drop(pass.send(std::mem::take(&mut line)));
            }
        }
        drop(events.send(Event::Closed));
        // With this the worker's stdin is closed, once all of it is written.
        drop(pass);
    });
}

/// Says something to the coordinator. Where nobody listens any more, the end of stdin says so too.
fn say(message: &FromAgent) {
    let mut out = io::stdout().lock();
    drop(
        out.write_all(encode_line(message).as_bytes())
            .and_then(|()| out.flush()),
    );
}

fn signal(group: u32, signal: Signal) {
    // A group that is gone is what was wanted.
    let _ = i32::try_from(group).map(|group| killpg(Pid::from_raw(group), signal));
}

fn signal_is_possible(group: u32) -> bool {
    i32::try_from(group).is_ok_and(|group| killpg(Pid::from_raw(group), None).is_ok())
}

fn by_signal(number: i32) -> String {
    let name = Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    format!(
        "it was told to end by {name} from outside (preempted, cancelled, or at its time limit)"
    )
}

fn host() -> String {
    host_name().unwrap_or_else(|| "an unknown host".to_owned())
}

/// What there is to say of this place.
fn running() -> FromAgent {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let job = variable("SLURM_JOB_ID");
    let step = variable("SLURM_STEP_ID");
    let seconds = job
        .as_deref()
        .and_then(|job| seconds_left(job, variable("SLURM_JOB_END_TIME").as_deref()));
    let job = job.map(|job| step.map_or(job.clone(), |step| format!("{job}.{step}")));
    FromAgent::Running {
        host: host(),
        job,
        seconds,
        gpus: variable("CUDA_VISIBLE_DEVICES"),
    }
}

/// How long a job may still run: by the time that Slurm (23.02 and later) puts into its
/// environment, or by asking.
pub fn seconds_left(job: &str, end: Option<&str>) -> Option<u64> {
    if let Some(end) = end.and_then(|end| end.parse::<i64>().ok()) {
        return u64::try_from(end - jiff::Timestamp::now().as_second()).ok();
    }
    let mut squeue = Command::new("squeue")
        .args(["--noheader", "--format=%L", "--jobs", job])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    while began.elapsed() < ANSWER && matches!(squeue.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // One that has ended can be killed without harm.
    drop(squeue.kill());
    let output = squeue.wait_with_output().ok()?;
    slurm_duration(String::from_utf8_lossy(&output.stdout).trim())
}

/// Seconds of `days-hours:minutes:seconds`, of which the first parts may be missing. None for
/// anything else, such as `UNLIMITED`.
pub fn slurm_duration(text: &str) -> Option<u64> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let parts: Vec<u64> = clock
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let seconds = match parts[..] {
        [minutes, seconds] => minutes * 60 + seconds,
        [hours, minutes, seconds] => (hours * 60 + minutes) * 60 + seconds,
        _ => return None,
    };
    days.checked_mul(86_400)?.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_durations_are_read() {
        assert_eq!(
            ["0:05", "59:59", "1:00:00", "2-00:00:01"].map(slurm_duration),
            [Some(5), Some(3599), Some(3600), Some(172_801)]
        );
        assert_eq!(
            [
                "UNLIMITED",
                "INVALID",
                "",
                "5",
                "1-",
                "a:b",
                "99999999999999999999-0:00"
            ]
            .map(slurm_duration),
            [None; 7]
        );
    }
}
