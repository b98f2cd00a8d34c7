//! The ledger: `ledger.sqlite` in the run directory, the one truth about a sweep. One coordinator
//! writes (`lock`, `writer`), anybody reads (`reader`) or follows it (`follower`), and gets `rows`.
//! Tables and views are described in `docs/ledger.md`.

mod claim;
mod coalesce;
mod damage;
mod error;
mod filesystem;
mod follower;
mod history;
mod lock;
mod patience;
mod place;
mod prepare;
mod reader;
mod rows;
mod schema;
mod tables;
mod versions;
mod views;
mod write;
mod writer;

pub use claim::Claim;
pub use error::{Changed, Gone, LedgerError};
pub use follower::{AttemptNews, Follower, News};
pub use lock::{Holder, Lock};
pub use patience::Waiting;
pub use prepare::{Consent, Identity, LeftWorker, Opened, SessionInfo, open_for_run};
pub use reader::{Reader, identity_of};
pub use rows::{
    AttemptRow, EpochRow, LastAttempt, SessionRow, TrialRow, TrialState, VersionRow, Versions,
    WorkerRow,
};
pub use schema::{FILE_NAME, SCHEMA_VERSION};
pub use versions::Retrained;
pub use write::{LogMark, Stamped, WorkerId, Write};
pub use writer::{Committed, Writer};
