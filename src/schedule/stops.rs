//! The signals by which a user, a terminal or the system asks the coordinator to stop, for good or for a while. For the
//! dispatcher.

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Signals that ask to stop: Ctrl-C, the end of the terminal, a shutdown. Listened to from before the first trial
/// to the end, so that none is lost between phases.
pub struct Stops {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    /// Ctrl-Z.
    suspend: tokio::signal::unix::Signal,
}

/// What the user, the terminal or the system asks for by a signal.
pub enum Asked {
    /// To stop for good.
    Stop,
    /// To stop until told to continue.
    Suspend,
}

impl Stops {
    /// Listens from here on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            suspend: signal(SignalKind::from_raw(Signal::SIGTSTP as i32))?,
        })
    }

    /// The next one.
    pub async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Stop,
            _ = self.suspend.recv() => Asked::Suspend,
        }
    }
}
