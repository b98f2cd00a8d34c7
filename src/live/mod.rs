//! Watching a sweep: bars on a terminal (`bars`), lines elsewhere (`plain`), both drawn from `progress`. Observers
//! of the scheduler's notices; never part of a decision.

mod bars;
mod names;
mod plain;
mod progress;

pub use bars::Bars;
pub use names::Names;
pub use plain::Plain;
pub use progress::{Progress, human_duration};
