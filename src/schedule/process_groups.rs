//! Signals to process groups.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Sends a signal to a process group, if it still exists.
pub fn signal_group(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && let Err(error) = killpg(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %signal, "cannot signal a worker's process group: {error}");
    }
}
