//! The web page of a sweep, for `pentagrid serve`. `overview` (with `standings` and `activity`),
//! `list`, `trial`, `charts`, `parameters` and `compare` turn the monitored sweep into JSON;
//! `engine` keeps the sweep up to date on its own thread; `guard` decides who may see it; `http`
//! answers requests, and `connections` serves them. The page itself is in `page/`: plain files that
//! are embedded in the program.

mod activity;
mod charts;
mod compare;
mod connections;
mod engine;
mod guard;
mod http;
mod list;
mod overview;
mod parameters;
mod query;
mod standings;
mod trial;

pub use connections::serve;
pub use engine::{Engine, Rerun};
pub use guard::{Guard, Token};
pub use http::routes;
