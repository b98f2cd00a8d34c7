//! Process groups: signalling them, and telling a process from a later one with the same number, so that what a
//! killed coordinator left behind is ended and nobody else is.

use nix::sys::signal::{SigHandler, Signal, killpg, signal};
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

/// Sends a signal to a process group. A group that is gone is no error.
pub fn signal_group(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && let Err(error) = killpg(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %signal, "cannot signal a worker's process group: {error}");
    }
}

/// Kills the process groups of workers that outlived their coordinator: those whose leader still has the start
/// time that was recorded. Returns how many there were.
pub fn end_left_workers(left: &[(u32, u64)]) -> usize {
    let alive = left.iter().filter(|(pid, ticks)| start_ticks(*pid) == Some(*ticks));
    alive.map(|(pid, _)| signal_group(*pid, Signal::SIGKILL)).count()
}

/// Gives the signals that ask to stop their usual effect again, once nobody listens to them any more.
pub fn stop_listening() {
    for which in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP] {
        // SAFETY: the default disposition is always valid, and runs none of our code.
        if let Err(error) = unsafe { signal(which, SigHandler::SigDfl) } {
            tracing::warn!(%which, "cannot restore a signal's default: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn only_the_very_process_that_was_recorded_is_ended() {
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let ticks = start_ticks(child.id()).unwrap();
        assert_eq!(end_left_workers(&[(child.id(), ticks + 1)]), 0, "another process with its number");
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(end_left_workers(&[(child.id(), ticks)]), 1);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(end_left_workers(&[(child.id(), ticks)]), 0, "it is gone");
    }
}
