//! Why a sweep could not be opened or run.

use std::io;
use std::path::PathBuf;

use crate::aggregate::{StatsError, Unreported};
use crate::ledger::LedgerError;
use crate::report::write::ReportError;
use crate::schedule::Fatal;
use crate::schedule::devices::DeviceError;
use crate::schedule::ulimits::TooLittle;
use crate::spec::Diagnosis;

/// Why a sweep could not be opened or run. What was recorded before is kept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The sweep file is not valid.
    #[error("{0}")]
    Spec(Box<Diagnosis>),
    /// What is asked for is not there or cannot be done: the message says what to do.
    #[error("{0}")]
    Refused(String),
    /// The devices that are asked for are not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The sweep was given up.
    #[error(
        "{fatal}{}\nresults so far are kept in {}: the same command resumes the sweep{}",
        log.as_ref().map(|log| format!("\nthe end of its log:\n{}", indent(log))).unwrap_or_default(),
        dir.display(),
        retry_hint(fatal)
    )]
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
        "{unreported}\nno final trial was run: correct `metric` in the sweep file, and resume with --accept-changes"
    )]
    Unreported {
        /// Which metric, and which ones there are.
        unreported: Unreported,
    },
    /// The system's limits leave too little room.
    #[error(transparent)]
    TooLittle(#[from] TooLittle),
    /// The report could not be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Means and deviations could not be computed.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The operating system refused something that it should not.
    #[error("{what}: {source}")]
    System {
        /// What was being done, e.g. "cannot start the event loop".
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl SweepError {
    /// Returns a function that wraps an error of the operating system.
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Trials without retries left stay failed unless the user asks for another try.
fn retry_hint(fatal: &Fatal) -> &'static str {
    match fatal {
        Fatal::AllAlike { .. } | Fatal::TooManyFailures { .. } => {
            ", and with --retry-failed runs failed trials again"
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
