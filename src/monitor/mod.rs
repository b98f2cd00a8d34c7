//! Monitoring a sweep: a read model of a run directory, kept up to date from its ledger, for
//! `status`, `watch` and the web page. It works on running, finished and crashed sweeps alike, and
//! writes nothing.
//!
//! `sweep` holds the state; `attempts` records what attempts tell, and `remaining` estimates the
//! time that is left.

mod attempts;
mod error;
mod records;
mod remaining;
mod sweep;

pub use error::MonitorError;
pub use records::{Failures, LatestAttempt, RunningTrial, SlotWork};
pub use remaining::TimeLeft;
pub use sweep::{Status, Sweep};
