//! Every way in which a command ends, and its exit code: a contract with scripts.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::aggregate::{StatsError, Unreported};
use crate::ledger::LedgerError;
use crate::monitor::WatchError;
use crate::schedule::Fatal;
use crate::schedule::devices::DeviceError;
use crate::schedule::ulimits::TooLittle;
use crate::spec::Diagnosis;

/// How a command ended that did what it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is done.
    Done,
    /// All is done, but some trials failed, or differ when they are run again, or claims do not
    /// hold.
    SomeFailed,
    /// All is done, but no point could be selected of an arm, or trials are left all the same.
    Incomplete,
    /// The user stopped it; everything is kept.
    Interrupted,
}

impl Outcome {
    /// Exit code of bad usage and bad specs.
    pub const USAGE: u8 = 2;

    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SomeFailed | Self::Incomplete => 3,
            Self::Interrupted => 130,
        }
    }

    /// The name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::SomeFailed => "some_failed",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why a command could not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The sweep file is not a valid spec.
    #[error("{0}")]
    Spec(Box<Diagnosis>),
    /// The arguments name something that is not there or cannot be.
    #[error("{0}")]
    Usage(String),
    /// `--devices` cannot be met.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The sweep was given up.
    #[error("{fatal}{}\nresults so far are kept in {}: the same command goes on from there{}",
            log.as_ref().map(|log| format!("\nthe end of its log:\n{}", indent(log))).unwrap_or_default(), dir.display(), retry_hint(fatal))]
    GivenUp {
        /// Why.
        fatal: Fatal,
        /// The end of the log of the worker at fault.
        log: Option<String>,
        /// The run directory.
        dir: PathBuf,
    },
    /// No finished trial has the metric that selection needs.
    #[error(
        "{unreported}\nno final trial was run: correct `metric` in the sweep file, and go on with --accept-changes"
    )]
    Unreported {
        /// Which metric, and which ones there are.
        unreported: Unreported,
    },
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
    /// A report or an export cannot be written.
    #[error("{what} {}: {source}{}", path.display(), elsewhere(source))]
    Folder {
        /// What was being done, e.g. "cannot write".
        what: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Our own output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    /// A bug of ours.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The system's limits leave too little room.
    #[error(transparent)]
    TooLittle(#[from] TooLittle),
    /// Something that should not happen.
    #[error("{0}")]
    Unexpected(String),
}

impl From<WatchError> for CliError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Ledger(error) => error.into(),
            WatchError::Spec(diagnosis) => Self::Spec(diagnosis),
            WatchError::Stats(error) => error.into(),
        }
    }
}

impl CliError {
    /// The name of its kind in JSON: programs go by it and by the exit code, not by the words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Spec(_) => "spec",
            Self::Usage(_) | Self::Ledger(LedgerError::Path { .. }) => "usage",
            Self::Device(_) => "devices",
            Self::Ledger(LedgerError::Absent(_)) => "no_ledger",
            Self::Ledger(LedgerError::Held { .. }) => "held",
            Self::Ledger(LedgerError::Changed { changed, .. }) if changed.spec.is_empty() => {
                "training_changed"
            }
            Self::Ledger(LedgerError::Changed { .. }) => "spec_changed",
            Self::Ledger(_) => "ledger",
            Self::GivenUp { .. } => "given_up",
            Self::Unreported { .. } => "unreported_metric",
            Self::File { .. } | Self::Folder { .. } | Self::Output(_) => "file",
            Self::TooLittle(_) => "limit",
            Self::Stats(_) | Self::Unexpected(_) => "unexpected",
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spec(_) | Self::Usage(_) | Self::Device(_) => Outcome::USAGE,
            Self::Ledger(LedgerError::Held { .. }) => 4,
            Self::Ledger(
                LedgerError::Changed { .. } | LedgerError::Absent(_) | LedgerError::Path { .. },
            ) => Outcome::USAGE,
            Self::GivenUp {
                fatal: Fatal::Ledger(_) | Fatal::Shortage { .. },
                ..
            }
            | Self::Ledger(_)
            | Self::File { .. }
            | Self::Folder { .. } => 5,
            Self::GivenUp {
                fatal: Fatal::AllAlike { .. } | Fatal::TooManyFailures { .. },
                ..
            } => Outcome::SomeFailed.exit_code(),
            Self::Unreported { .. } => Outcome::Incomplete.exit_code(),
            Self::GivenUp { .. }
            | Self::Output(_)
            | Self::Stats(_)
            | Self::TooLittle(_)
            | Self::Unexpected(_) => 1,
        }
    }
}

/// What to do about a place where nothing can be written.
fn elsewhere(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "\nname a folder that can be written with --out"
        }
        _ => "",
    }
}

/// What failed for good stays so unless the user asks for another try.
fn retry_hint(fatal: &Fatal) -> &'static str {
    match fatal {
        Fatal::AllAlike { .. } | Fatal::TooManyFailures { .. } => {
            ", and with --retry-failed tries again what failed"
        }
        _ => "",
    }
}

fn indent(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
