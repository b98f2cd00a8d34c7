//! Process groups: signalling them, and telling a process from a later one with the same number, so that what a
//! killed coordinator left behind is ended and nobody else is.

use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// When the kernel started a process, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)).
/// None if there is no such process, or no `/proc`.
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    // A zombie is dead already: its parent has only not looked yet.
    (fields.next()? != "Z").then_some(())?;
    fields.nth(18)?.parse().ok()
}

/// Tells when processes were started without asking the kernel for each: its answer takes as long as a short program.
#[derive(Debug, Default)]
pub struct StartClock {
    /// Whether our clock has been seen to say what the kernel says; None: not compared yet.
    trusted: Option<bool>,
}

impl StartClock {
    /// Clock ticks since boot, as `start_ticks` counts them. None without such a clock.
    pub fn ticks() -> Option<u64> {
        // Linux shows 100 ticks a second whatever it counts itself (proc(5), USER_HZ); elsewhere the comparison fails.
        const TICK: u64 = 10_000_000;
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
        let (seconds, rest) = (u64::try_from(now.tv_sec()).ok()?, u64::try_from(now.tv_nsec()).ok()?);
        Some(seconds * (1_000_000_000 / TICK) + rest / TICK)
    }

    /// When a process was started, given the ticks before that was asked for: exactly, if no tick has passed since; otherwise as
    /// the kernel says.
    pub fn start_of(&mut self, pid: u32, before: Option<u64>) -> Option<u64> {
        let certain = before.filter(|before| Self::ticks() == Some(*before));
        match (certain, self.trusted) {
            (Some(ticks), Some(true)) => Some(ticks),
            _ => {
                let found = start_ticks(pid);
                if let (None, Some(ticks), Some(found)) = (self.trusted, certain, found) {
                    self.trusted = Some(ticks == found);
                }
                found
            }
        }
    }
}

/// Sends a signal to a process group. A group that is gone is no error.
pub fn signal_group(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && let Err(error) = killpg(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %signal, "cannot signal a worker's process group: {error}");
    }
}

/// The variable by which every process of a sweep is known: its value is the run directory.
pub const MARK: &str = "PENTAGRID_RUN";

/// The folder below a run directory in which `verify` reruns trials.
pub const VERIFY: &str = "verify";

/// A name for the folder of this process's reruns, by which one can tell later whether it still lives.
pub fn scratch_name() -> String {
    let pid = std::process::id();
    format!("{VERIFY}/{pid}-{}", start_ticks(pid).unwrap_or(0))
}

/// Whether the process that such a folder is named after has ended.
fn is_forsaken(scratch: &str) -> bool {
    let named = scratch.split_once('-').and_then(|(pid, ticks)| Some((pid.parse().ok()?, ticks.parse().ok()?)));
    named.is_some_and(|(pid, ticks): (u32, u64)| start_ticks(pid) != Some(ticks))
}

/// A run directory as the mark has it: absolute, whatever way led to it.
pub fn mark(run_dir: &Path) -> String {
    run_dir.canonicalize().unwrap_or_else(|_| run_dir.to_owned()).display().to_string()
}

/// Processes of `srun` that outlived a coordinator: told to end, each ends its worker at once. Only they and not their groups, whose
/// other member is needed for that.
pub fn end_left_launchers(recorded: &[(u32, u64)]) {
    for (pid, ticks) in recorded {
        if let (true, Ok(pid)) = (start_ticks(*pid) == Some(*ticks), i32::try_from(*pid)) {
            // One that has gone meanwhile is what was wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Kills what outlived a coordinator: the process groups of recorded processes whose leader still has its start time, and
/// every process that bears the mark of the run directory, such as children of a leader that is gone. Returns how many
/// processes there were.
pub fn end_left(recorded: &[(u32, u64)], run_dir: &Path) -> usize {
    let leaders: Vec<u32> =
        recorded.iter().filter(|(pid, ticks)| start_ticks(*pid) == Some(*ticks)).map(|(pid, _)| *pid).collect();
    leaders.iter().for_each(|&leader| signal_group(leader, Signal::SIGKILL));
    let mine = ancestors();
    let others: Vec<u32> =
        marked(&mark(run_dir)).into_iter().filter(|pid| !leaders.contains(pid) && !mine.contains(pid)).collect();
    for &pid in &others {
        if let Ok(pid) = i32::try_from(pid)
            // One that has ended meanwhile is what was wanted.
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::warn!(pid, "cannot end a process that was left: {error}");
        }
    }
    leaders.len() + others.len()
}

/// The processes that were started with a mark. Those of other users cannot be looked at, and are not ours.
fn marked(run_dir: &str) -> Vec<u32> {
    let entry = format!("{MARK}={run_dir}");
    let reruns = format!("{entry}/{VERIFY}/");
    let is_ours = |variable: &[u8]| {
        let below = variable.strip_prefix(reruns.as_bytes()).and_then(|rest| std::str::from_utf8(rest).ok());
        variable == entry.as_bytes() || below.is_some_and(is_forsaken)
    };
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pid = |folder: std::fs::DirEntry| {
        let pid: u32 = folder.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(folder.path().join("environ")).ok()?;
        (environment.split(|&byte| byte == 0).any(is_ours) && start_ticks(pid).is_some()).then_some(pid)
    };
    processes.flatten().filter_map(pid).collect()
}

/// This process, and those that started it.
fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(1)?.parse().ok()
    };
    while let Some(pid) = found.last().and_then(|&pid| parent(pid)).filter(|&pid| pid > 1 && !found.contains(&pid)) {
        found.push(pid);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn our_clock_says_what_the_kernel_says() {
        let mut clock = StartClock::default();
        for _ in 0..50 {
            let before = StartClock::ticks();
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            assert_eq!(clock.start_of(child.id(), before), start_ticks(child.id()));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn only_what_belongs_to_the_sweep_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let sleep = |run: &str| Command::new("sleep").arg("600").env(MARK, run).process_group(0).spawn().unwrap();
        let own = mark(dir.path());
        let (mut recorded, mut marked, mut other) = (sleep("/elsewhere"), sleep(&own), sleep(&format!("{own}2")));
        let ticks = start_ticks(recorded.id()).unwrap();
        assert_eq!(end_left(&[(recorded.id(), ticks + 1)], dir.path()), 1, "another process had that number then");
        assert_eq!(marked.wait().unwrap().signal(), Some(9));
        assert_eq!((recorded.try_wait().unwrap(), other.try_wait().unwrap()), (None, None));
        assert_eq!(end_left(&[(recorded.id(), ticks)], dir.path()), 1);
        assert_eq!(recorded.wait().unwrap().signal(), Some(9));
        assert_eq!(end_left(&[(recorded.id(), ticks)], dir.path()), 0, "it is gone");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
