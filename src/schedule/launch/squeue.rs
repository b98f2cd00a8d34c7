//! What Slurm says of our jobs and steps, and how those that an earlier coordinator left are ended.
//! They are known by their names.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long what was cancelled may take to go: Slurm's own grace between SIGTERM and SIGKILL, which
/// is 30 s as a rule, and more.
const PATIENCE: Duration = Duration::from_secs(90);
/// How every name of ours begins.
const OURS: &str = "pg-";
const PACE: Duration = Duration::from_millis(250);

/// A job or step of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `12`, or `12.0` for a step.
    pub id: String,
    /// The worker's number in the ledger.
    pub worker: i64,
    /// As Slurm calls it; others may come with later versions.
    pub state: String,
    /// Why it waits.
    pub reason: String,
}

impl Entry {
    /// Whether it waits for its turn, and what for.
    pub fn waits(&self) -> Option<String> {
        let waiting = matches!(
            self.state.as_str(),
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
        );
        waiting.then(|| {
            if matches!(self.reason.as_str(), "" | "None") {
                self.state.clone()
            } else {
                self.reason.clone()
            }
        })
    }
}

/// The name of a run directory's workers, but for their numbers.
fn family(mark: &str) -> String {
    let hash = blake3::hash(mark.as_bytes()).to_hex();
    format!("{OURS}{}.", &hash[..10])
}

/// The name of a worker's job or step.
pub fn job_name(mark: &str, worker: i64) -> String {
    format!("{}{worker}", family(mark))
}

/// How `squeue` is asked for the jobs of this user, in lines that `read` understands.
pub const JOBS: [&str; 3] = ["--me", "--noheader", "--format=%i|%j|%T|%r"];
/// The same for the steps.
const STEPS: [&str; 4] = ["--steps", "--me", "--noheader", "--format=%i|%j|RUNNING|"];

/// Those of the jobs in an answer of `squeue` that belong to a run directory.
pub fn read(answer: &str, mark: &str) -> Vec<Entry> {
    let family = family(mark);
    let entry = |line: &str| -> Option<Entry> {
        let mut parts = line.split('|');
        let (id, name) = (parts.next()?.trim(), parts.next()?.trim());
        let worker = name.strip_prefix(&family)?.parse().ok()?;
        let mut text = || parts.next().unwrap_or_default().trim().to_owned();
        Some(Entry {
            id: id.to_owned(),
            worker,
            state: text(),
            reason: text(),
        })
    };
    answer.lines().filter_map(entry).collect()
}

/// Jobs and steps of a run directory that are still there, and those among `recorded` that have a
/// name of ours: a run directory may have been moved.
fn left(mark: &str, recorded: &[String]) -> Result<Vec<String>, String> {
    let mut ids = Vec::new();
    for question in [&JOBS[..], &STEPS[..]] {
        let answer = ask("squeue", question)?;
        ids.extend(read(&answer, mark).into_iter().map(|entry| entry.id));
        for line in answer.lines() {
            let mut parts = line.split('|').map(str::trim);
            if let (Some(id), Some(name)) = (parts.next(), parts.next())
                && name.starts_with(OURS)
                && recorded
                    .iter()
                    .any(|recorded| recorded == id || recorded.strip_suffix(".0") == Some(id))
            {
                ids.push(id.to_owned());
            }
        }
    }
    ids.sort();
    ids.dedup();
    // A step goes with its job.
    let jobs: Vec<String> = ids.iter().filter(|id| !id.contains('.')).cloned().collect();
    ids.retain(|id| {
        id.split_once('.')
            .is_none_or(|(job, _)| !jobs.iter().any(|other| other == job))
    });
    Ok(ids)
}

/// Cancels the jobs and steps that an earlier coordinator of a run directory has left, and waits
/// until they are gone. How many there were.
///
/// # Errors
/// What Slurm says, if it cannot be asked; or which of them do not go.
pub fn end_left(mark: &str, recorded: &[String]) -> Result<usize, String> {
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
        if began.elapsed() > PATIENCE {
            return Err(format!(
                "cancelled, but still there after {} s: {}",
                PATIENCE.as_secs(),
                rest.join(" ")
            ));
        }
        // One that ended meanwhile makes scancel complain; whether any is left is what counts.
        drop(ask(
            "scancel",
            &rest.iter().map(String::as_str).collect::<Vec<_>>(),
        ));
        std::thread::sleep(PACE);
    }
}

/// The answer of one of Slurm's programs.
fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{program}: {}",
            said.lines().last().unwrap_or("no answer")
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_jobs_are_seen_and_unknown_states_do_no_harm() {
        let (mine, other) = (job_name("/runs/a", 3), job_name("/runs/b", 3));
        let answer = format!(
            "12|{mine}|PENDING|Priority\n13|{other}|PENDING|Priority\n14|bash|RUNNING|None\n15|{mine}|QUANTUM|None\n\
             16|{mine}|CONFIGURING|None\nnonsense\n17|{mine}x|PENDING|None\n18.0|{mine}|RUNNING|\n"
        );
        let entries = read(&answer, "/runs/a");
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.id.as_str(), entry.worker, entry.waits()))
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
