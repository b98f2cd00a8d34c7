//! Signals of the agent: those that tell it to end, and those that it sends to the worker's process
//! group.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::unistd::Pid;

use crate::schedule::signals::is_ignored;

/// The last signal that asked this process to end; 0 before the first one.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn store_signal(signal: i32) {
    RECEIVED.store(signal, Ordering::Relaxed);
}

/// Starts to listen to the signals that ask a process to end.
///
/// # Errors
/// The operating system's.
pub(super) fn install_handlers() -> io::Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // A signal that this agent was started to ignore stays ignored, also for the worker.
        if is_ignored(signal) {
            continue;
        }
        let action = SigAction::new(
            SigHandler::Handler(store_signal),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        // SAFETY: the handler only stores a number.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// The signal that has asked this agent to end, if one has.
pub(super) fn received() -> Option<i32> {
    Some(RECEIVED.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
}

/// Sends a signal to a process group, if it still exists.
pub(super) fn signal_group(group: u32, signal: Signal) {
    // A group that is gone has done what the signal asks for.
    let _ = i32::try_from(group).map(|group| killpg(Pid::from_raw(group), signal));
}

/// Whether a process group has any process left.
pub(super) fn group_exists(group: u32) -> bool {
    i32::try_from(group).is_ok_and(|group| killpg(Pid::from_raw(group), None).is_ok())
}

/// Says which signal from outside ended the worker.
pub(super) fn describe_signal(number: i32) -> String {
    let name = Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    format!(
        "it was told to end by {name} from outside (preempted, cancelled, or at its time limit)"
    )
}
