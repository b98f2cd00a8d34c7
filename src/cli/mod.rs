//! The commands: `args` says what can be typed, `app` runs it, one file a verb does it, `printer`
//! owns every line of output (`terminal` is its thread for stderr, `drawn` the bars there),
//! `progress` shows a running sweep, `error` gives each way to fail its exit code. Only this module
//! knows miette and clap.

mod app;
mod args;
pub mod diagnosis;
mod drawn;
mod error;
mod export;
mod json;
mod logs;
mod plan;
mod planned;
mod printer;
mod progress;
mod report;
mod resume;
mod run;
mod serve;
mod show;
mod sink;
mod standing;
mod status;
mod terminal;
mod trials;
mod trials_left;
mod verify;
mod watch;
mod worker_check;

pub use app::run;
pub use args::Cli;
