//! Every way in which a command ends, and its exit code: a contract with scripts.

use std::path::PathBuf;

use crate::aggregate::StatsError;
use crate::ledger::LedgerError;
use crate::monitor::MonitorError;
use crate::report::write::ReportError;
use crate::schedule::Fatal;
use crate::schedule::ulimits::TooLittle;
use crate::spec::Diagnosis;
use crate::sweep::{Outcome, SweepError};

/// Exit code of bad usage and of invalid sweep files.
pub(crate) const USAGE: u8 = 2;
/// Exit code of a sweep that ended with failed or missing trials.
const INCOMPLETE: u8 = 3;
/// Exit code of a run directory that another coordinator uses.
const HELD: u8 = 4;
/// Exit code of errors of the ledger or the disk.
const LEDGER: u8 = 5;

/// Returns the exit code of a command that did what it could.
pub(crate) fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 0,
        Outcome::SomeFailed | Outcome::Incomplete => INCOMPLETE,
        Outcome::Interrupted => 130,
    }
}

/// Why a command could not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The sweep could not be opened or run.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The arguments name something that is not there or cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was being done, e.g. "cannot read".
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Our own output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    /// Something that should not happen.
    #[error("{0}")]
    Unexpected(String),
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> Self {
        Self::Sweep(error.into())
    }
}

impl From<StatsError> for CliError {
    fn from(error: StatsError) -> Self {
        Self::Sweep(error.into())
    }
}

impl From<TooLittle> for CliError {
    fn from(error: TooLittle) -> Self {
        Self::Sweep(error.into())
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        Self::Sweep(error.into())
    }
}

impl From<MonitorError> for CliError {
    fn from(error: MonitorError) -> Self {
        match error {
            MonitorError::Ledger(error) => error.into(),
            MonitorError::Spec(diagnosis) => Self::Sweep(SweepError::Spec(diagnosis)),
            MonitorError::Stats(error) => error.into(),
        }
    }
}

impl CliError {
    /// Returns what is wrong with the sweep file, if that is it.
    pub(crate) fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::Sweep(SweepError::Spec(diagnosis)) => Some(diagnosis),
            _ => None,
        }
    }

    /// Returns the name of its kind in JSON: programs go by it and by the exit code, not by the
    /// words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::File { .. } | Self::Output(_) => "file",
            Self::Unexpected(_) => "unexpected",
            Self::Sweep(error) => match error {
                SweepError::Spec(_) => "spec",
                SweepError::Refused(_) => "usage",
                SweepError::Device(_) => "devices",
                SweepError::GivenUp { .. } => "given_up",
                SweepError::Unreported { .. } => "unreported_metric",
                SweepError::TooLittle(_) => "limit",
                SweepError::Ledger(error) | SweepError::Report(ReportError::Ledger(error)) => {
                    ledger_kind(error)
                }
                SweepError::Report(ReportError::OtherRun { .. } | ReportError::Out { .. }) => {
                    "usage"
                }
                SweepError::Report(ReportError::File { .. }) => "file",
                SweepError::Report(ReportError::Stats(_) | ReportError::Format { .. })
                | SweepError::Stats(_)
                | SweepError::System { .. } => "unexpected",
            },
        }
    }

    /// Returns the exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::File { .. } => LEDGER,
            Self::Output(_) | Self::Unexpected(_) => 1,
            Self::Sweep(error) => match error {
                SweepError::Spec(_)
                | SweepError::Refused(_)
                | SweepError::Device(_)
                | SweepError::Report(ReportError::OtherRun { .. } | ReportError::Out { .. }) => {
                    USAGE
                }
                SweepError::Ledger(error) | SweepError::Report(ReportError::Ledger(error)) => {
                    ledger_exit_code(error)
                }
                SweepError::Report(ReportError::File { .. }) => LEDGER,
                SweepError::GivenUp { fatal, .. } => match fatal {
                    Fatal::Ledger(_) | Fatal::Shortage { .. } => LEDGER,
                    Fatal::AllAlike { .. } | Fatal::TooManyFailures { .. } => INCOMPLETE,
                    _ => 1,
                },
                SweepError::Unreported { .. } => INCOMPLETE,
                SweepError::TooLittle(_)
                | SweepError::Report(ReportError::Stats(_) | ReportError::Format { .. })
                | SweepError::Stats(_)
                | SweepError::System { .. } => 1,
            },
        }
    }
}

fn ledger_kind(error: &LedgerError) -> &'static str {
    match error {
        LedgerError::Path { .. } => "usage",
        LedgerError::Absent(_) => "no_ledger",
        LedgerError::Held { .. } => "held",
        LedgerError::Changed { changed, .. } if changed.spec.is_empty() => "training_changed",
        LedgerError::Changed { .. } => "spec_changed",
        _ => "ledger",
    }
}

fn ledger_exit_code(error: &LedgerError) -> u8 {
    match error {
        LedgerError::Held { .. } => HELD,
        LedgerError::Changed { .. } | LedgerError::Absent(_) | LedgerError::Path { .. } => USAGE,
        _ => LEDGER,
    }
}
