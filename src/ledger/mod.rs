//! The ledger: `ledger.sqlite` in the run directory, the single source of truth about a sweep. One
//! coordinator writes (`open`, `lock`, `writer`); any number of programs read it (`reader`) or
//! follow it (`follower`), and get `rows`. It takes rows and gives rows: it parses no sweep file
//! and expands no grid. `docs/ledger.md` describes tables and views.

mod claim;
mod coalesce;
mod connection;
mod damage;
mod error;
mod filesystem;
mod finals;
mod follower;
mod history;
mod holder;
mod identity;
mod kernel_locks;
mod lock;
mod open;
mod patience;
mod place;
mod reader;
mod recovery;
mod rows;
mod schema;
mod session;
mod sweep_rows;
mod tables;
mod versions;
mod views;
mod write;
mod writer;

pub use claim::Claim;
pub use error::{Changed, Gone, LedgerError};
pub use follower::{AttemptUpdate, Follower, Update};
pub use holder::Holder;
pub use identity::Identity;
pub use lock::Lock;
pub use open::{Consent, Opened, open_for_run};
pub use patience::Waiting;
pub use place::check_path;
pub use reader::{Reader, identity_of};
pub use recovery::LeftWorker;
pub use rows::{
    AttemptRow, EpochRow, LastAttempt, Retrained, SessionRow, TrialRow, TrialState, VersionRow,
    Versions, WorkerRow,
};
pub use schema::{FILE_NAME, SCHEMA_VERSION};
pub use session::SessionInfo;
pub use sweep_rows::{ArmRows, EarlierSweep, SweepRows, ViewColumns};
pub use write::{LogMark, WorkerId, Write};
pub use writer::{Committed, Writer};
