//! Starting processes. `local` starts workers on this machine, `program` programs that train one trial each; other ways to
//! get a worker go beside them.

mod local;
mod metrics_file;
mod program;

pub use local::{Incoming, LocalWorker, SpawnPlan, spawn};
pub use program::{ProgramPlan, spawn_program};
