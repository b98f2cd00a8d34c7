//! Starting worker processes. `local` starts them on this machine; other ways to get a worker go beside it.

mod local;

pub use local::{Incoming, LocalWorker, SpawnPlan, spawn};
