//! The signals by which a user, a terminal or the system asks the coordinator to stop, permanently
//! or for a while. What was ignored when this program was started (`nohup`, `cmd &` in a script)
//! stays ignored, by it and by what it starts.

use std::mem::MaybeUninit;

use nix::libc;
use nix::sys::signal::{SigHandler, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask to stop: Ctrl-C, the end of the terminal, a shutdown. Listened to from before
/// the first trial to the end, so that none is lost between phases.
pub struct Stops {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    /// Ctrl-Z.
    suspend: Option<Signal>,
}

/// What the user, the terminal or the system asks for by a signal.
pub enum Asked {
    /// To stop permanently.
    Stop,
    /// To stop until told to continue.
    Suspend,
}

impl Stops {
    /// Listens from here on, but not to what this program was started to ignore. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: listen_to(Number::SIGINT)?,
            terminate: listen_to(Number::SIGTERM)?,
            hang_up: listen_to(Number::SIGHUP)?,
            suspend: listen_to(Number::SIGTSTP)?,
        })
    }

    /// The next one.
    pub async fn asked(&mut self) -> Asked {
        tokio::select! {
            () = next(&mut self.interrupt) => Asked::Stop,
            () = next(&mut self.terminate) => Asked::Stop,
            () = next(&mut self.hang_up) => Asked::Stop,
            () = next(&mut self.suspend) => Asked::Suspend,
        }
    }
}

/// Listens to a signal; None if this program was started to ignore it. A listener takes the place
/// of the signal's usual effect until `stop_listening`. Must be called within a tokio runtime.
///
/// # Errors
/// The operating system's.
pub fn listen_to(which: Number) -> std::io::Result<Option<Signal>> {
    if is_ignored(which) {
        return Ok(None);
    }
    signal(SignalKind::from_raw(which as i32)).map(Some)
}

/// Waits for the next signal; for ever where the signal is ignored.
pub async fn next(listener: &mut Option<Signal>) {
    match listener {
        Some(listener) => drop(listener.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a signal is ignored.
pub fn is_ignored(which: Number) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action `sigaction` only writes the present one to `now`, which has room
    // for it.
    let asked =
        unsafe { libc::sigaction(which as libc::c_int, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: all zeros are a valid `sigaction` (the default action), and so is what the kernel has
    // written.
    asked == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Makes sure that this program hears how its children end: where it was started with SIGCHLD
/// ignored, it would not.
pub fn hear_of_children() {
    if is_ignored(Number::SIGCHLD) {
        // SAFETY: the default disposition is always valid, and runs none of our code.
        if let Err(error) = unsafe { nix::sys::signal::signal(Number::SIGCHLD, SigHandler::SigDfl) }
        {
            tracing::warn!("cannot hear of the ends of programs: {error}");
        }
    }
}

/// Gives the signals that ask to stop their usual effect again, once nothing listens to them any
/// more. What is ignored stays ignored.
pub fn stop_listening() {
    for which in [
        Number::SIGINT,
        Number::SIGTERM,
        Number::SIGHUP,
        Number::SIGTSTP,
    ] {
        if is_ignored(which) {
            continue;
        }
        // SAFETY: the default disposition is always valid, and runs none of our code.
        if let Err(error) = unsafe { nix::sys::signal::signal(which, SigHandler::SigDfl) } {
            tracing::warn!(%which, "cannot restore a signal's default: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_ignored_is_not_listened_to() {
        // Signals that nothing else in these tests uses.
        let (ignored, other) = (Number::SIGWINCH, Number::SIGURG);
        // SAFETY: to ignore a signal runs none of our code.
        unsafe { nix::sys::signal::signal(ignored, SigHandler::SigIgn) }.unwrap();
        assert_eq!([ignored, other].map(is_ignored), [true, false]);
        assert!(listen_to(ignored).unwrap().is_none());
        assert!(is_ignored(ignored), "it still is");
        let mut listener = listen_to(other).unwrap();
        nix::sys::signal::raise(other).unwrap();
        next(&mut listener).await;
    }
}
