//! Why a sweep cannot be monitored.

use crate::aggregate::StatsError;
use crate::ledger::LedgerError;
use crate::spec::Diagnosis;

/// Why a sweep cannot be monitored.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// This version of the program does not accept the sweep file in the ledger.
    #[error("{0}")]
    Spec(Box<Diagnosis>),
    /// Computing the statistics failed, which is a bug.
    #[error(transparent)]
    Stats(#[from] StatsError),
}
