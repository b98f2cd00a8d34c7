//! The signals by which a user, a terminal or the system asks the coordinator to stop or to
//! suspend. A signal that was ignored when this program was started (`nohup`, `cmd &` in a script)
//! stays ignored, by this program and by what it starts.

use std::mem::MaybeUninit;

use nix::libc;
use nix::sys::signal::{SigHandler, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a sweep listens to: Ctrl-C, the end of the terminal, a shutdown, Ctrl-Z. They
/// are listened to from before the first trial to the end, so that none is missed between phases.
pub(crate) struct StopSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    suspend: Option<Signal>,
}

/// What a signal asks for.
pub(crate) enum StopRequest {
    /// To stop permanently.
    Stop,
    /// To stop until told to continue.
    Suspend,
}

impl StopSignals {
    /// Starts to listen, except to signals that this program was started to ignore. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: listen_to(Number::SIGINT)?,
            terminate: listen_to(Number::SIGTERM)?,
            hang_up: listen_to(Number::SIGHUP)?,
            suspend: listen_to(Number::SIGTSTP)?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn recv(&mut self) -> StopRequest {
        tokio::select! {
            () = next_signal(&mut self.interrupt) => StopRequest::Stop,
            () = next_signal(&mut self.terminate) => StopRequest::Stop,
            () = next_signal(&mut self.hang_up) => StopRequest::Stop,
            () = next_signal(&mut self.suspend) => StopRequest::Suspend,
        }
    }
}

/// Listens to a signal. Returns `None` if this program was started to ignore it. The listener
/// replaces the signal's default action until `stop_listening`. Must be called within a tokio
/// runtime.
///
/// # Errors
/// The operating system's.
pub fn listen_to(number: Number) -> std::io::Result<Option<Signal>> {
    if is_ignored(number) {
        return Ok(None);
    }
    signal(SignalKind::from_raw(number as i32)).map(Some)
}

/// Waits for the next signal; without end if the signal is ignored.
pub async fn next_signal(listener: &mut Option<Signal>) {
    match listener {
        Some(listener) => drop(listener.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a signal is ignored.
pub fn is_ignored(number: Number) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action `sigaction` only writes the present one to `action`, which has
    // room for it.
    let status =
        unsafe { libc::sigaction(number as libc::c_int, std::ptr::null(), action.as_mut_ptr()) };
    if status != 0 {
        return false;
    }
    // SAFETY: all zeros are a valid `sigaction` (the default action), and so is what the kernel has
    // written.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

/// Makes sure that this program is told when its children exit. It would not be if it was started
/// with SIGCHLD ignored.
pub fn reset_child_signal() {
    if is_ignored(Number::SIGCHLD) {
        reset(Number::SIGCHLD);
    }
}

/// Restores the default actions of the signals that ask to stop, once nothing listens to them any
/// more. Ignored signals stay ignored.
pub fn stop_listening() {
    for number in [
        Number::SIGINT,
        Number::SIGTERM,
        Number::SIGHUP,
        Number::SIGTSTP,
    ] {
        if !is_ignored(number) {
            reset(number);
        }
    }
}

fn reset(number: Number) {
    // SAFETY: the default action is always valid, and runs none of this program's code.
    if let Err(error) = unsafe { nix::sys::signal::signal(number, SigHandler::SigDfl) } {
        tracing::warn!(%number, "cannot restore a signal's default action: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ignored_signals_are_not_listened_to() {
        // Signals that nothing else in these tests uses.
        let ignored = Number::SIGWINCH;
        let other = Number::SIGURG;
        // SAFETY: to ignore a signal runs none of this program's code.
        unsafe { nix::sys::signal::signal(ignored, SigHandler::SigIgn) }.unwrap();
        assert_eq!([ignored, other].map(is_ignored), [true, false]);
        assert!(listen_to(ignored).unwrap().is_none());
        assert!(is_ignored(ignored), "it still is");
        let mut listener = listen_to(other).unwrap();
        nix::sys::signal::raise(other).unwrap();
        next_signal(&mut listener).await;
    }
}
