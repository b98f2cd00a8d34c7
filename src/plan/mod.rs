//! What a sweep has to run: the trials in order (`trials`), how two sweep files differ (`changes`),
//! what is trained (`fingerprint`), the final metrics of a trial that runs (`finals`), how long it may take (`estimate`), which trials have work in
//! common (`sharing`), and which cannot change the outcome any more (`racing`). Pure: the ledger's
//! contents come in as plain values.

mod changes;
mod estimate;
mod finals;
mod fingerprint;
mod racing;
#[cfg(test)]
mod racing_tests;
mod sharing;
mod trials;

pub use changes::{ArmChange, SeedChange, SpecChanges};
pub use estimate::{Basis, Estimate, estimate};
pub use finals::Finals;
pub use fingerprint::{Difference, Fingerprint, Sources};
pub use racing::{BoundViolation, Race, RaceUpdate};
pub use sharing::{Bounds, Epochs, Groups, Shared};
pub use trials::{Phase, PlannedTrial, all_trials, final_trials, gather, shuffle, tuning_trials};
