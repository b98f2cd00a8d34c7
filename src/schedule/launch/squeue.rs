//! What Slurm's queue says of a run directory's workers, each a job or step whose name says so:
//! what they wait for, and which were left by an earlier coordinator.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ledger::WorkerId;

/// How long cancelled jobs may take to end. Slurm's own grace period between SIGTERM and SIGKILL is
/// usually 30 s.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(90);
/// Time between two polls of the queue while jobs are being cancelled.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How the names of all of pentagrid's jobs and steps begin.
const NAME_PREFIX: &str = "pg-";
/// How much of the hash of a run directory's identity is in a name, in hexadecimal digits.
const HASH_DIGITS: usize = 10;

/// A job or step of a run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `12`, or `12.0` for a step.
    pub id: String,
    /// The worker.
    pub worker: WorkerId,
    /// Its state, as Slurm calls it. Later versions may have other states.
    pub state: String,
    /// Why it waits.
    pub reason: String,
}

/// Why Slurm's queue could not be asked, or changed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// One of Slurm's programs cannot be started.
    #[error("cannot start {program}: {error}")]
    CannotStart {
        /// The program.
        program: &'static str,
        /// The operating system's reason.
        error: std::io::Error,
    },
    /// One of Slurm's programs failed.
    #[error("{program}: {message}")]
    Failed {
        /// The program.
        program: &'static str,
        /// The last line of its stderr.
        message: String,
    },
    /// Jobs were cancelled, and have not ended.
    #[error("cancelled, but still there after {} s: {jobs}", CANCEL_TIMEOUT.as_secs())]
    StillThere {
        /// Their ids.
        jobs: String,
    },
}

impl Entry {
    /// What it waits for, if it waits.
    pub fn waits(&self) -> Option<String> {
        let is_waiting = matches!(
            self.state.as_str(),
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
        );
        if !is_waiting {
            return None;
        }
        if matches!(self.reason.as_str(), "" | "None") {
            Some(self.state.clone())
        } else {
            Some(self.reason.clone())
        }
    }
}

/// How the names of a run directory's workers begin.
fn family(mark: &str) -> String {
    let hash = blake3::hash(mark.as_bytes()).to_hex();
    format!("{NAME_PREFIX}{}.", &hash[..HASH_DIGITS])
}

/// The name of a worker's job or step.
pub fn job_name(mark: &str, worker: WorkerId) -> String {
    format!("{}{}", family(mark), worker.0)
}

/// The arguments that make `squeue` list the jobs of this user, for `read`.
pub const JOBS: [&str; 3] = ["--me", "--noheader", "--format=%i|%j|%T|%r"];
/// The same for the steps.
const STEPS: [&str; 4] = ["--steps", "--me", "--noheader", "--format=%i|%j|RUNNING|"];

/// Parses an answer of `squeue`, and returns the jobs of a run directory.
pub fn read(answer: &str, mark: &str) -> Vec<Entry> {
    let family = family(mark);
    answer
        .lines()
        .filter_map(|line| read_line(line, &family))
        .collect()
}

fn read_line(line: &str, family: &str) -> Option<Entry> {
    let mut parts = line.split('|').map(str::trim);
    let id = parts.next()?.to_owned();
    let worker = parts.next()?.strip_prefix(family)?.parse().ok()?;
    let state = parts.next().unwrap_or_default().to_owned();
    let reason = parts.next().unwrap_or_default().to_owned();
    Some(Entry {
        id,
        worker: WorkerId(worker),
        state,
        reason,
    })
}

/// The jobs and steps of a run directory that still exist, and those among `recorded` whose names
/// are pentagrid's: the run directory may have been moved.
fn left(mark: &str, recorded: &[String]) -> Result<Vec<String>, QueueError> {
    let mut ids = Vec::new();
    for question in [&JOBS[..], &STEPS[..]] {
        let answer = ask("squeue", question)?;
        ids.extend(read(&answer, mark).into_iter().map(|entry| entry.id));
        ids.extend(
            answer
                .lines()
                .filter_map(|line| recorded_id(line, recorded)),
        );
    }
    ids.sort();
    ids.dedup();

    // A step ends with its job.
    let jobs: Vec<String> = ids.iter().filter(|id| !id.contains('.')).cloned().collect();
    ids.retain(|id| match id.split_once('.') {
        Some((job, _)) => !jobs.iter().any(|other| other == job),
        None => true,
    });
    Ok(ids)
}

/// The id in a line of `squeue`, if it is recorded and its name is pentagrid's.
fn recorded_id(line: &str, recorded: &[String]) -> Option<String> {
    let mut parts = line.split('|').map(str::trim);
    let id = parts.next()?;
    let name = parts.next()?;
    let is_recorded = recorded
        .iter()
        .any(|recorded| recorded == id || recorded.strip_suffix(".0") == Some(id));
    (name.starts_with(NAME_PREFIX) && is_recorded).then(|| id.to_owned())
}

/// Cancels the jobs and steps that an earlier coordinator of a run directory has left, and waits
/// until they have ended. Returns how many there were.
///
/// # Errors
/// `QueueError`, if Slurm cannot be asked, or some of them do not end.
pub fn end_left(mark: &str, recorded: &[String]) -> Result<usize, QueueError> {
    let found = left(mark, recorded)?;
    if found.is_empty() {
        return Ok(0);
    }
    let began = Instant::now();
    loop {
        let rest = left(mark, recorded)?;
        if rest.is_empty() {
            return Ok(found.len());
        }
        if began.elapsed() > CANCEL_TIMEOUT {
            return Err(QueueError::StillThere {
                jobs: rest.join(" "),
            });
        }
        // scancel complains of jobs that have ended since; only whether any is left counts.
        let ids: Vec<&str> = rest.iter().map(String::as_str).collect();
        drop(ask("scancel", &ids));
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Runs one of Slurm's programs, and returns its output.
fn ask(program: &'static str, arguments: &[&str]) -> Result<String, QueueError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| QueueError::CannotStart { program, error })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let message = stderr.lines().last().unwrap_or("no answer").to_owned();
        return Err(QueueError::Failed { program, message });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_jobs_of_the_run_directory_are_read_and_unknown_states_do_no_harm() {
        let mine = job_name("/runs/a", WorkerId(3));
        let other = job_name("/runs/b", WorkerId(3));
        let answer = format!(
            "12|{mine}|PENDING|Priority\n13|{other}|PENDING|Priority\n14|bash|RUNNING|None\n15|{mine}|QUANTUM|None\n\
             16|{mine}|CONFIGURING|None\nnonsense\n17|{mine}x|PENDING|None\n18.0|{mine}|RUNNING|\n"
        );
        let entries = read(&answer, "/runs/a");
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.id.as_str(), entry.worker.0, entry.waits()))
            .collect();
        let waits = |text: &str| Some(text.to_owned());
        assert_eq!(
            seen,
            [
                ("12", 3, waits("Priority")),
                ("15", 3, None),
                ("16", 3, waits("CONFIGURING")),
                ("18.0", 3, None)
            ]
        );
    }
}
