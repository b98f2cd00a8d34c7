//! What a sweep has to run: trials in order (`trials`), how two specs differ (`changes`), and how long it may take
//! (`estimate`), and which have work in common
//! (`sharing`). Pure: the ledger's contents come in as plain values.

mod changes;
mod estimate;
mod sharing;
mod trials;

pub use changes::{ArmChange, SpecChanges};
pub use estimate::{Basis, Estimate, estimate};
pub use sharing::{Bounds, Groups, Shared};
pub use trials::{Phase, PlannedTrial, all_trials, final_trials, gather, shuffle, tuning_trials};
