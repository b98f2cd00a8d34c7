//! The commands: `args` says what can be typed, `app` runs it, one file a verb does it, `printer`
//! owns every line of output (`terminal` is its thread for stderr, `drawn` the bars there), `error`
//! gives each way to fail its exit code. Only this module knows miette.

mod app;
mod args;
mod audit;
pub mod diagnosis;
mod drawn;
mod ending;
mod environment;
mod error;
mod export;
mod figures;
mod find_program;
mod fingerprint;
mod folder;
mod json;
mod leftovers;
mod logs;
mod made_report;
mod output_dirs;
mod places;
mod plan;
mod planned;
mod printer;
mod recorded;
mod report;
mod resume;
mod run;
mod serve;
mod show;
mod sources;
mod status;
mod sweep;
mod sweep_file;
mod terminal;
mod trials;
mod verify;
mod watch;
mod worker_check;

pub use app::run;
pub use args::Cli;
