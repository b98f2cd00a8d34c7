//! Watching a sweep. From inside, bars on a terminal (`bars`) and lines elsewhere (`plain`), both
//! drawn from `progress`: observers of the scheduler's notices. From outside, `sweep`: what the
//! ledger tells, for `status`, `watch` and the web page. Never part of a decision.

mod bars;
mod names;
mod overlap;
mod plain;
mod progress;
mod sweep;

pub use bars::{Bar, Bars, Board};
pub use names::Names;
pub use plain::Plain;
pub use progress::{Progress, human_duration};
pub use sweep::{Course, Failures, Last, Running, Sweep, TimeLeft, WatchError, Work};
