//! The web page of a sweep, for `pentagrid serve`. `overview`, `list`, `trial`, `charts` and
//! `compare` make JSON of what the ledger tells (pure but for reading it), `engine` keeps the sweep
//! up to date on a thread of its own, `guard` says who may see it, `http` answers, `connections`
//! serves. The page itself is `page/`: plain files, embedded.

mod charts;
mod compare;
mod connections;
mod engine;
mod guard;
mod http;
mod list;
mod overview;
mod query;
mod trial;

pub use connections::serve;
pub use engine::{Engine, Rerun};
pub use guard::{Guard, Token};
pub use http::routes;
