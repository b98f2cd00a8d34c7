//! Progress of a sweep that this process runs: bars on a terminal (`bars`) or plain lines
//! (`plain`), both computed from the scheduler's notices (`counts`). Observers never influence a
//! decision.

mod bars;
mod counts;
mod lines;
mod names;
mod plain;
mod slot_time;

pub use bars::{Bar, Bars, Board};
pub use counts::{Progress, human_duration};
pub use names::Names;
pub use plain::Plain;
pub use slot_time::SlotTimes;
