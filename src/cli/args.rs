//! The command line: commands, arguments and their help. The commands' files act on them.

mod run;
mod states;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use run::{LauncherArg, ResumeArgs, RunArgs};
pub(crate) use states::ListedState;

use crate::schedule::devices::DeviceRequest;

/// Grid search for papers: every value, several seeds, mean ± std, tables ready to print, nothing
/// lost.
#[derive(Debug, Parser)]
#[command(
    name = "pentagrid",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done · 1 unexpected · 2 bad usage or bad sweep file · 3 completed, but some trials failed, no point could be selected, \
                  or a check did not pass · \
                  4 the run directory is in use by another pentagrid · 5 ledger or disk error · 130 interrupted, everything kept"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Say more: -v what the program decides, -vv every message to and from workers
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Say nothing but results and errors
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// When to use colours: auto, always or never
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, hide_possible_values = true, value_name = "WHEN", help_heading = "Output")]
    pub color: Color,
    /// How log lines on stderr are written: text or json
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, hide_possible_values = true, value_name = "FORMAT", help_heading = "Output")]
    pub log_format: LogFormat,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what a sweep would run: arms, points, trials, seeds, estimated time; touches nothing
    Plan(PlanArgs),
    /// Start or resume a sweep, then write the report
    Run(RunArgs),
    /// Resume a sweep from the sweep file kept in its run directory
    Resume(ResumeArgs),
    /// Show progress: counts, running and failed trials, time left
    Status(StatusArgs),
    /// Follow a sweep in the terminal until it ends: as status, redrawn at each change
    Watch(WatchArgs),
    /// Show a sweep as a web page: progress, tables, curves, heat maps, trials; also while it runs
    Serve(ServeArgs),
    /// List trials, one line each
    Trials(TrialsArgs),
    /// Show one trial: parameters, attempts, metrics, the end of its log, how to rerun it
    Show(ShowArgs),
    /// Rerun finished trials and compare every metric bit for bit
    Verify(VerifyArgs),
    /// Write tables, figures and data files again, from the ledger alone
    Report(ReportArgs),
    /// Write trials and histories for other tools: csv, parquet, tensorboard, optuna, junit
    Export(ExportArgs),
    /// Check that your worker follows the protocol: pentagrid worker-check -- COMMAND
    WorkerCheck(WorkerCheckArgs),
    /// Run beside a worker on another machine (pentagrid starts this itself)
    #[command(hide = true)]
    Agent(AgentArgs),
    /// Print the JSON schema of sweep files
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, of pentagrid or of one command: pentagrid man run | man -l -
    Man {
        /// Which command
        command: Option<String>,
    },
}

impl Verb {
    /// Whether the answer, and errors, are JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Plan(arguments) => arguments.json,
            Self::Status(arguments) => arguments.json,
            Self::Trials(arguments) => arguments.json,
            Self::Show(arguments) => arguments.json,
            Self::Verify(arguments) => arguments.json,
            Self::Report(arguments) => arguments.json,
            Self::Export(arguments) => arguments.json,
            Self::WorkerCheck(arguments) => arguments.json,
            Self::Run(_)
            | Self::Resume(_)
            | Self::Watch(_)
            | Self::Serve(_)
            | Self::Agent(_)
            | Self::Schema
            | Self::Completions { .. }
            | Self::Man { .. } => false,
        }
    }
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The sweep file
    pub spec: PathBuf,
    /// List every trial that is left, in the order in which they would run
    #[arg(long)]
    pub trials: bool,
    /// Run directory to compare with [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where it would run: auto, cpu, cpu:N, cuda, cuda:0,1
    #[arg(long, default_value = "auto", value_name = "DEVICES")]
    pub devices: DeviceRequest,
    /// How workers would be started: local, slurm, command [default: as in the sweep file]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LAUNCHER")]
    pub launcher: Option<LauncherArg>,
    /// As one JSON document; with --trials one JSON object a line (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run directory
    pub dir: PathBuf,
    /// As one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The run directory
    pub dir: PathBuf,
    /// Show it once and end
    #[arg(long)]
    pub once: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The run directory
    pub dir: PathBuf,
    /// Port to listen at; 0: any that is free
    #[arg(long, default_value_t = 8055, value_name = "PORT")]
    pub port: u16,
    /// Address or name to listen at; with another one than this machine's own 127.0.0.1, ::1 or
    /// localhost the page asks for the token in its URL
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub host: String,
    /// Ask for a token on this machine, too: others who use it cannot see the page then
    #[arg(long)]
    pub token: bool,
}

/// Arguments of `trials`.
#[derive(Debug, Args)]
pub struct TrialsArgs {
    /// The run directory
    pub dir: PathBuf,
    /// Only trials of this arm
    #[arg(long, value_name = "ARM")]
    pub arm: Option<String>,
    /// Only trials in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<ListedState>,
    /// One JSON object a line
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// As CSV
    #[arg(long)]
    pub csv: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run directory
    pub dir: PathBuf,
    /// The trial's id, or enough of its beginning
    pub trial: String,
    /// As one JSON document (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run directory
    pub dir: PathBuf,
    /// How many finished trials to rerun, drawn at random
    #[arg(short, value_name = "N", default_value_t = 3, conflicts_with = "trial", value_parser = clap::value_parser!(u32).range(1..))]
    pub n: u32,
    /// Rerun this trial: its id, or enough of its beginning (may be given several times)
    #[arg(long, value_name = "TRIAL")]
    pub trial: Vec<String>,
    /// Where to run: auto, cpu, cpu:N, cuda, cuda:0,1
    #[arg(long, default_value = "auto", value_name = "DEVICES")]
    pub devices: DeviceRequest,
    /// How workers are started: local, slurm, command [default: as in the sweep file]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LAUNCHER")]
    pub launcher: Option<LauncherArg>,
    /// As one JSON document (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run directory
    pub dir: PathBuf,
    /// End with exit code 3 if the sweep is not finished, or if a claim of its spec is contradicted
    /// or lacks data
    #[arg(long)]
    pub check: bool,
    /// Report directory [default: reports/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Say what was written as one JSON document (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run directory
    pub dir: PathBuf,
    /// For which tool
    #[arg(long, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// Directory to write to [default: exports/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Say what was written as one JSON document (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// A format of `export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// trials.csv and history.csv
    Csv,
    /// trials.parquet and history.parquet, with types
    Parquet,
    /// A run of TensorBoard for each trial: its history, and its hyper-parameters for the HParams
    /// tab
    Tensorboard,
    /// A journal of Optuna with a study for each arm, also for optuna-dashboard
    Optuna,
    /// Trials as test cases, for continuous integration
    Junit,
}

/// Arguments of `worker-check`.
#[derive(Debug, Args)]
pub struct WorkerCheckArgs {
    /// The worker's program and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Hyper-parameters of the trials that it is given, as a JSON object
    #[arg(long, default_value = "{}", value_name = "JSON")]
    pub config: String,
    /// The metric that a sweep would select by
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// How long a trial may take, in seconds
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub patience: u64,
    /// Where to run: auto, cpu, cpu:N, cuda, cuda:0,1
    #[arg(long, default_value = "auto", value_name = "DEVICES")]
    pub devices: DeviceRequest,
    /// As one JSON document (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// End the worker when the coordinator has been silent for this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub silence: u64,
    /// The run directory, by which the worker is marked
    #[arg(long, value_name = "DIR")]
    pub run: Option<String>,
    /// What is started is a program that trains one trial and writes its metrics here
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// The folder to start it in
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// The first line on stdin has what must not stand on this command line
    #[arg(long)]
    pub secrets: bool,
    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
