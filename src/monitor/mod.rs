//! Monitoring a sweep: a read model of a run directory, kept up to date from its ledger, for
//! `status`, `watch` and the web page. It works on running, finished and crashed sweeps alike.

mod sweep;

pub use sweep::{Course, Failures, Last, Running, Sweep, TimeLeft, WatchError, Work};
