//! What a killed coordinator has left: says what was found in the run directory, and ends the
//! programs that still run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::observer::Observer;
use crate::ledger::{LeftWorker, Opened, WorkerId};
use crate::schedule::{Mark, end_left, end_left_launchers, squeue, start_ticks, strangers};
use crate::text::{count, form};

/// How long killed processes may take to be gone.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How often they are looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Says what was found in the run directory, and ends what a killed coordinator left running.
/// Returns the workers that have certainly ended.
pub(crate) fn end(
    opened: &Opened,
    dir: &Path,
    mark: &Mark,
    observer: &dyn Observer,
) -> Vec<WorkerId> {
    for remark in &opened.remarks {
        observer.say(remark);
    }
    if opened.identity.copied_from.is_some() {
        tell_strangers(mark, dir, observer);
    }
    let (by_slurm, others): (Vec<&LeftWorker>, Vec<&LeftWorker>) = opened
        .left_workers
        .iter()
        .partition(|left| left.launcher.as_deref() == Some("slurm"));
    let (elsewhere, here): (Vec<&LeftWorker>, Vec<&LeftWorker>) = others
        .into_iter()
        .partition(|left| left.elsewhere.is_some());
    let mut ended = Vec::new();
    if end_jobs(&by_slurm, mark, observer) {
        ended.extend(by_slurm);
    }
    ended.extend(end_here(&here, mark, observer));
    tell_elsewhere(&elsewhere, observer);
    if opened.cut_off > 0 {
        observer.say(&format!(
            "cut off when the last run in {} was killed, and to start again: {}",
            dir.display(),
            count(opened.cut_off, "trial")
        ));
    }
    ended
        .into_iter()
        .map(|left| WorkerId(left.number))
        .collect()
}

fn processes(left: &[&LeftWorker]) -> Vec<(u32, u64)> {
    left.iter().filter_map(|left| left.process).collect()
}

/// Ends what was started through Slurm. Says whether it is certain that nothing is left of it.
fn end_jobs(left: &[&LeftWorker], mark: &Mark, observer: &dyn Observer) -> bool {
    if left.is_empty() {
        return true;
    }
    end_left_launchers(&processes(left));
    let jobs: Vec<String> = left.iter().filter_map(|left| left.job.clone()).collect();
    // Those of an earlier version are named by the directory.
    let names = [Some(&mark.id), mark.legacy.then_some(&mark.dir)];
    let found = names
        .into_iter()
        .flatten()
        .try_fold(0, |sum, name| Ok(sum + squeue::end_left(name, &jobs)?));
    match found {
        Ok(0) => {}
        Ok(found) => observer.say(&format!(
            "cancelled {} of Slurm's that a killed coordinator had left",
            count(found, "job")
        )),
        Err::<_, squeue::QueueError>(error) => {
            observer.warn(&format!(
                "whether a killed coordinator has left jobs of Slurm's cannot be known: {error}\nlook with `squeue --me`, and end with \
                 `scancel` those whose names begin with pg-"
            ));
            return false;
        }
    }
    true
}

/// Ends what runs on this host. Returns the workers that are gone.
fn end_here<'a>(
    left: &[&'a LeftWorker],
    mark: &Mark,
    observer: &dyn Observer,
) -> Vec<&'a LeftWorker> {
    let ended = end_left(&processes(left), mark);
    if ended > 0 {
        observer.say(&format!(
            "ended {} that a killed coordinator had left running",
            count(ended, "process")
        ));
    }

    let began = Instant::now();
    while !left.iter().all(is_gone) && began.elapsed() < END_TIMEOUT {
        std::thread::sleep(POLL_INTERVAL);
    }

    let stubborn: Vec<String> = left
        .iter()
        .filter(|left| !is_gone(left))
        .filter_map(|left| Some(left.process?.0.to_string()))
        .collect();
    if !stubborn.is_empty() {
        observer.warn(&format!(
            "{} left by a killed coordinator could not be ended: {}\nlook with `ps -p {}`; what is still written changes no result",
            count(stubborn.len(), "process"),
            stubborn.join(", "),
            stubborn.join(",")
        ));
    }
    left.iter().copied().filter(is_gone).collect()
}

/// Whether the process of an earlier worker has ended.
fn is_gone(left: &&LeftWorker) -> bool {
    left.process
        .is_none_or(|(pid, ticks)| start_ticks(pid) != Some(ticks))
}

/// Says what may still run on other hosts, where this program can end nothing.
fn tell_elsewhere(left: &[&LeftWorker], observer: &dyn Observer) {
    let mut hosts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (host, pid) in left.iter().filter_map(|left| left.elsewhere.as_ref()) {
        hosts.entry(host).or_default().push(pid.to_string());
    }
    for (host, pids) in hosts {
        let programs = count(pids.len(), "program");
        let shown = pids.iter().take(20).cloned().collect::<Vec<_>>().join(",");
        observer.warn(&format!(
            "this sweep has run on {host}, and {programs} started there may still run: their end was not seen\n\
             look there with `ps -p {shown}`; what they still write changes no result, and a run there ends them"
        ));
    }
}

/// Says which processes run for a directory that was here before this one.
fn tell_strangers(mark: &Mark, dir: &Path, observer: &dyn Observer) {
    let pids: Vec<String> = strangers(mark).iter().map(ToString::to_string).collect();
    if !pids.is_empty() {
        observer.warn(&format!(
            "{} of another run directory, which was in this place before, still {} {}, and {} left alone\n\
             to end {}: kill {}",
            count(pids.len(), "process"),
            form(pids.len(), "uses", "use"),
            dir.display(),
            form(pids.len(), "is", "are"),
            form(pids.len(), "it", "them"),
            pids.join(" ")
        ));
    }
}
