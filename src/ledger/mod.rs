//! The ledger: `ledger.sqlite` in the run directory, the one truth about a sweep. One coordinator writes
//! (`lock`, `writer`), anybody reads (`reader`) or follows it (`news`), and gets `rows`. Tables and views are described in `docs/ledger.md`.

mod error;
mod filesystem;
mod fold;
mod history;
mod lock;
mod news;
mod prepare;
mod reader;
mod rows;
mod schema;
mod tables;
mod versions;
mod views;
mod write;
mod writer;

pub use error::{Changed, LedgerError};
pub use lock::{Holder, Lock};
pub use news::{AttemptNews, Follower, News};
pub use prepare::{Consent, LeftWorker, Opened, SessionInfo, open_for_run};
pub use reader::Reader;
pub use rows::{AttemptRow, EpochRow, LastAttempt, SessionRow, TrialRow, TrialState, VersionRow, Versions, WorkerRow};
pub use schema::{FILE_NAME, SCHEMA_VERSION};
pub use versions::Retrained;
pub use write::{LogMark, Stamped, WorkerId, Write};
pub use writer::{Committed, Writer};
